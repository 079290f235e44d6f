#![doc = include_str!("../README.md")]

mod arithmetic;
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
pub use communicator::{AbortHandle, Communicator, Session, World};
pub use error::{CollectiveError, Difference, Operation};
pub use loan::Peers;
#[cfg(feature = "mpi")]
pub use mpi::{MpiError, MpiWire};
#[cfg(feature = "processes")]
pub use processes::ProcessCommunicator;
pub use shared::Shared;
pub use tree::segment;
#[cfg(feature = "processes")]
#[doc(hidden)]
pub use wire::gather_parts;
#[cfg(feature = "processes")]
pub use wire::{Incoming, LocalWire, Outgoing, Wire};
