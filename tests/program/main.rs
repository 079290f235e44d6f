//! Tests of the program through its command line, with one file per command or topic.
//! [`test_dir::TestDir`] is the directory in which a test runs it.

mod advice;
mod bad_input;
mod bench;
mod classic;
mod completions;
mod config;
mod convert;
mod damaged;
#[cfg(unix)]
mod durability;
mod early_stop;
mod export;
#[cfg(unix)]
mod faulty;
#[cfg(unix)]
mod kills;
#[cfg(unix)]
mod limits;
#[cfg(unix)]
mod load;
mod metrics;
#[cfg(unix)]
mod moments;
mod noise_scale;
mod partial_epoch;
mod predict;
mod presets;
mod print_config;
mod report;
mod reproduce;
mod resume;
mod runs;
#[cfg(unix)]
mod stops;
mod sweep;
mod tables;
#[path = "../tally/mod.rs"]
mod tally;
mod targets;
mod tensor_board;
mod terminal;
mod test_dir;
mod versions;
