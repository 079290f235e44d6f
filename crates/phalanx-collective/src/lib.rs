#![doc = include_str!("../README.md")]

mod arithmetic;
mod chunks;
mod communicator;
mod error;
mod gate;
mod loan;
#[cfg(feature = "mpi")]
mod mpi;
#[cfg(feature = "processes")]
mod processes;
#[doc(hidden)]
pub mod reference;
mod round;
mod shared;
mod sync;
pub mod tree;
#[cfg(feature = "processes")]
mod wire;

pub use arithmetic::{Element, Float, Op};
pub use chunks::{ChunkError, Threads, map_reduce, sum_chunks};
pub use communicator::{AbortHandle, Communicator, Session, World};
pub use error::CollectiveError;
pub use loan::Peers;
#[cfg(feature = "mpi")]
pub use mpi::{MpiError, MpiWire};
#[cfg(feature = "processes")]
pub use processes::ProcessCommunicator;
pub use shared::Shared;
pub use tree::segment;
#[cfg(feature = "processes")]
pub use wire::{Incoming, LocalWire, Outgoing, Wire};

/// Items that only the tests and the trainer need; they may change in every version.
#[doc(hidden)]
pub mod internals {
    pub use super::error::{Difference, Operation};
    #[cfg(feature = "processes")]
    pub use super::wire::gather_parts;
}
