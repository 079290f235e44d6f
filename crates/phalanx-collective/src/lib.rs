#![doc = include_str!("../README.md")]

mod communicator;
mod element;
mod error;
mod gate;
#[cfg(feature = "processes")]
mod header;
mod kernel;
mod loan;
#[cfg(feature = "processes")]
mod local_wire;
#[cfg(feature = "mpi")]
mod mpi_wire;
mod op;
#[cfg(feature = "processes")]
mod process_communicator;
mod recipe;
mod reduce;
pub mod reference;
mod round;
mod segment;
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
#[cfg(feature = "processes")]
pub use local_wire::LocalWire;
#[cfg(feature = "mpi")]
pub use mpi_wire::{MpiError, MpiWire};
pub use op::{Op, Operation};
#[cfg(feature = "processes")]
pub use process_communicator::ProcessCommunicator;
pub use segment::segment;
pub use shared::Shared;
#[cfg(feature = "processes")]
pub use wire::{Incoming, Outgoing, Wire, gather_parts};
pub use world::{AbortHandle, World};
