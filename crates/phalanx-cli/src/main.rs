//! The `phalanx` program: train, evaluate and predict with a thread count.

use std::process::ExitCode;

fn main() -> ExitCode {
    phalanx_cli::main(std::env::args_os())
}
