//! Data of every format: what is read, and what is refused with which words.

mod bad_bytes;
mod bad_input;
mod bad_models;
mod bad_source;
mod damaged;
mod formats;
mod gzip_bombs;
mod streams;
mod tables;
#[path = "../tally/mod.rs"]
mod tally;
