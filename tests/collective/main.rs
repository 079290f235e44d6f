//! Tests of the reducer: exact results, the same bits for any order of arrival, and an error on
//! every rank for every failure.

mod chunks;
mod crafted_sums;
mod deadlines;
mod departures;
mod error_bounds;
mod exact;
mod failures;
mod groups;
mod integers;
mod misuse;
mod processes;
mod ranks;
mod same_bits;
mod special_values;
#[path = "../tally/mod.rs"]
mod tally;
