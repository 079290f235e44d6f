//! Each parser meets files that were damaged by hundreds of thousands of changes, the same in every run: it reads or refuses
//! them, and never panics, hangs or takes memory without end. With RELIABILITY_FULL ten million for each parser.

mod hunt;
mod mutant;
mod samples;
#[path = "../tally/mod.rs"]
mod tally;
mod tensors;
