//! The program `phalanx`: train, evaluate, predict, report and measure. Its library is for its own
//! binary; embed `phalanx` instead.

mod advice;
mod bench;
mod cli;
mod figure;
mod numbers;
mod page;
mod progress;
mod sweep;
mod text;
mod text_curve;

pub use cli::run;
