//! Phalanx: a multi-threaded data-parallel trainer.

#[cfg(feature = "program")]
pub mod checkpoint;
pub mod collective;
#[cfg(feature = "program")]
pub mod data;
#[cfg(feature = "program")]
pub mod model;
#[cfg(feature = "program")]
pub mod optim;
#[cfg(feature = "program")]
pub mod report;
#[cfg(feature = "program")]
pub mod train;
