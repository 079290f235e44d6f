//! The `phalanx` program; see the library of this package.

use std::process::ExitCode;

fn main() -> ExitCode {
    phalanx_cli::main(std::env::args_os())
}
