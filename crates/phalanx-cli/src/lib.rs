//! The program `phalanx`: train, evaluate, predict, report and measure. Its library is for its own binary; embed `phalanx` instead.

mod bench;
mod cli;
mod report;
mod sweep;

pub use cli::run;
