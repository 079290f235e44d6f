//! Phalanx: a multi-threaded data-parallel trainer.

pub mod collective;
#[cfg(feature = "program")]
pub mod data;
#[cfg(feature = "program")]
pub mod model;
#[cfg(feature = "program")]
pub mod optim;
