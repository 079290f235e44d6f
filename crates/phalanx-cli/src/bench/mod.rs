//! Measuring: how training and the all-reduce scale on the machine at hand.
//!
//! # Words
//!
//! - A *take* is one repetition of a measurement. Takes of different thread counts come in turn, so that a machine that
//!   slows down for a while slows all of them.
//! - The *spread* of takes is their least and their greatest value around the median.
//! - The *speed-up* of a thread count is its median speed over that of the smallest count; the *efficiency* is the
//!   speed-up over the quotient of the counts, 1 if twice the threads are twice as fast.
//! - *Strong* scaling keeps the batch size, so each thread gets less of it; *weak* scaling lets it grow with the threads.
//! - A *limit* is the speed of something simpler, measured in the same run: matrix products for training, copies for the
//!   all-reduce. Speeds of one machine at one time can be compared with each other, hence the shares of a limit.
//!
//! # Files
//!
//! * [`ScalingBench`] measures training, [`measure_all_reduce`] the reducer; both return plain data.
//! * [`ProductRate`] and the copies are the limits; serial and rayon's reductions stand beside the reducer.
//! * [`speed_up_chart`] draws a [`ScalingReport`].
//! * [`Warning`] says why figures may not be trusted: a busy machine, more threads than cores.
//!
//! This room measures through the public face of the others, and never prints.

mod all_reduce;
mod all_reduce_report;
mod among;
mod baseline;
mod chart;
mod element_type;
mod error;
mod machine;
mod operand;
#[cfg(feature = "mpi")]
mod processes;
mod product;
mod product_rate;
mod ranks;
mod scaling;
mod scaling_report;
mod spread;
mod warning;

pub use all_reduce::{AllReduceOptions, measure_all_reduce};
pub use all_reduce_report::{AllReducePoint, AllReduceReport};
pub use chart::speed_up_chart;
pub use element_type::ElementType;
pub use error::BenchError;
pub use machine::Machine;
#[cfg(feature = "mpi")]
pub use processes::{ProcessesPoint, ProcessesReport, measure_processes};
pub use product_rate::ProductRate;
pub use scaling::{Growth, ScalingBench, ScalingOptions, Take};
pub use scaling_report::{PhaseShares, ScalingPoint, ScalingReport};
pub use spread::Spread;
pub use warning::Warning;
