//! Each parser is tested on files with hundreds of thousands of mutations, the same in every run:
//! it reads or rejects them, and never panics, hangs or allocates without limit. With
//! RELIABILITY_FULL, there are ten million executions per parser.

mod hunt;
mod mutant;
mod samples;
#[path = "../tally/mod.rs"]
mod tally;
mod tensors;
