//! The reducer: exact, the same bits for any arrival, and an error on every rank for whatever goes wrong.

mod exact;
mod failures;
mod misuse;
mod ranks;
mod same_bits;
#[path = "../tally.rs"]
mod tally;
