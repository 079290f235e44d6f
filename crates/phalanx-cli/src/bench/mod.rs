//! Measurements of the speed of training and of the all-reduce on this machine.
//!
//! # Vocabulary
//!
//! - A *take* is one repetition of a measurement. Takes of different thread counts alternate, so
//!   that a machine that slows down for a while slows down all of them.
//! - The *spread* of takes is the range from their minimum to their maximum around the median.
//! - The *speed-up* of a thread count is its median speed over that of the smallest count; the
//!   *efficiency* is the speed-up divided by the ratio of the counts: 1 if twice the threads are
//!   twice as fast.
//! - *Strong* scaling keeps the batch size, so that each thread computes less of it; *weak* scaling
//!   increases it with the threads.
//! - A *limit* is the speed of something simpler, measured in the same run: matrix products for
//!   training, copies for the all-reduce. Only speeds of one machine at one time are comparable, so
//!   reports state shares of a limit.
//!
//! # Files
//!
//! * [`ScalingBench`] measures training, [`measure_all_reduce`] the reducer; both return plain
//!   data.
//! * [`ProductRate`] and the copies are the limits; serial and rayon's reductions are measured
//!   alongside the reducer.
//! * [`speed_up_chart`] draws a [`ScalingReport`].
//! * [`Warning`] is a reason why measurements may be unreliable: a busy machine, more threads than
//!   cores.
//!
//! This module measures through the public API of the library, and never prints.

mod all_reduce;
mod chart;
mod error;
mod machine;
mod operands;
#[cfg(feature = "mpi")]
mod processes;
mod scaling;
mod timing;

pub use all_reduce::{AllReduceOptions, AllReducePoint, AllReduceReport, ElementType, measure_all_reduce};
pub use chart::speed_up_chart;
pub use error::BenchError;
pub use machine::{Machine, ProductRate, Warning};
#[cfg(feature = "mpi")]
pub use processes::{ProcessesReport, measure_processes};
pub use scaling::{
    Growth, MeasuredRun, PhaseShares, ScalingBench, ScalingOptions, ScalingPoint, ScalingReport,
};
pub use timing::Statistics;
