#![doc = include_str!("../README.md")]

mod communicator;
mod element;
mod error;
mod gate;
mod kernel;
mod loan;
#[cfg(feature = "mpi")]
mod mpi;
mod op;
#[cfg(feature = "processes")]
mod processes;
mod recipe;
mod reduce;
pub mod reference;
mod round;
mod shared;
mod state;
mod sync;
pub mod tree;
mod wait;
#[cfg(feature = "processes")]
mod wire;
mod world;

pub use communicator::{Communicator, Session};
pub use element::{Element, Float};
pub use error::{CollectiveError, Difference};
pub use loan::Peers;
#[cfg(feature = "mpi")]
pub use mpi::{MpiError, MpiWire};
pub use op::{Op, Operation};
#[cfg(feature = "processes")]
pub use processes::ProcessCommunicator;
pub use shared::Shared;
pub use tree::segment;
#[cfg(feature = "processes")]
#[doc(hidden)]
pub use wire::gather_parts;
#[cfg(feature = "processes")]
pub use wire::{Incoming, LocalWire, Outgoing, Wire};
pub use world::{AbortHandle, World};
