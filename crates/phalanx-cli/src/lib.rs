//! The program `phalanx`: train, evaluate, predict, report and measure. This library is for its own
//! binary only; to embed the trainer, depend on `phalanx` instead.
//! The book in the folder `docs` of the repository explains how to use the program.
//!
//! `cli` defines the commands and parses the arguments. `args` reads flags from the command line,
//! the environment and files; `run` contains the largest command, `train`, and code that other
//! commands share with it; `commands` contains all others; `terminal` connects a command to the
//! system: streams, exit codes, signals, launchers.

mod args {
    pub mod flags;
    pub mod layers;
    pub mod parser;
    pub mod suggest;
    pub mod values;
}
mod advice;
mod bench;
mod cli;
mod commands {
    pub mod bench;
    pub mod convert;
    pub mod export;
    pub mod inspect;
    pub mod paper;
    pub mod predict;
    pub mod report;
    pub mod reproduce;
    pub mod shell;
    pub mod sweep;
}
mod figure;
mod numbers;
mod page;
mod pool;
mod progress;
mod record_log;
mod reproduce;
mod run {
    pub mod data;
    pub mod like;
    pub mod prepared;
    pub mod resume;
    pub mod settings;
    pub mod tables;
    pub mod train;
}
mod sweep;
mod terminal {
    pub mod cpus;
    pub mod failure;
    pub mod launcher;
    pub mod output;
    pub mod process_group;
    pub mod signals;
}
mod text;
mod text_curve;

pub use cli::main;
