//! The `phalanx` program: train, evaluate and predict with a thread count.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run(std::env::args_os())
}
