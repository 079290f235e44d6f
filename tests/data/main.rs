//! Data in every format: correct files are read, and invalid files are rejected with the expected
//! messages.

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
