//! The reducer: threads of one process combine their values, exactly and always in the same order.
//!
//! # Words
//!
//! - A [`World`] is a group of *ranks*, numbered from 0. Each rank has one [`Communicator`] and runs on any thread: of
//!   `std`, of a pool, of another program. [`World::run`] starts the threads itself.
//! - A [`Session`] is the use of a communicator by a task that borrows it, and ends with the task.
//! - A collective call is one *round*: every rank **arrives**, saying what it wants to do and with what memory; the last
//!   one opens the round; everyone **works**; everyone **departs**. A [`barrier`](Communicator::barrier) is a round
//!   without work.
//! - A [`segment`](segment()) is the part of a vector that one rank reduces for all: rank `r` reads segment `r` of every
//!   rank's values, combines them in the fixed [`tree`] over the ranks and writes the result to every rank's values.
//! - A [`Shared`] value exists once: all ranks [`read`](Shared::read) it between rounds, and each writes its own segment
//!   inside an [`update`](Communicator::update).
//!
//! - A [`Wire`] carries bytes between *processes*; a [`ProcessCommunicator`] is the communicator of one, in whose world every process is a
//!   rank. What both communicators can is [`Collectives`]. Features: `processes`, part of the default ones, and `mpi` for `MpiWire`.
//!
//! # Guarantees
//!
//! - **The same bits** on every rank, in every run, whatever the timing: a result is a function of the number of ranks and
//!   the inputs of each. The slow versions in [`reference`](mod@reference) define it. With another number of ranks the result
//!   may round differently: see the trade-offs.
//! - **All ranks agree.** A call succeeds on every rank or fails on every rank, with the same error: whether a round
//!   opened is decided by one atomic word, and what follows by data that all ranks see.
//! - **Nobody waits for a rank that is gone.** A rank that panics, leaves or [fails](Communicator::fail), an [`AbortHandle`]
//!   and a timeout end the world: they wake all who wait and every later call fails at once with the first cause. A rank is
//!   gone when its communicator or session is dropped, so its task has to own the one or [enter](Communicator::enter) the
//!   other.
//! - **What needs no other rank works whoever has left**, [`Shared::read`] included.
//! - **Misuse leaves things as they were.** Ranks that bring different operations, types, lens or roots all get
//!   [`CollectiveError::Mismatch`], their values untouched, and the world stays usable.
//! - No call allocates; worlds share nothing with each other; there is no global state.
//!
//! # Trade-offs
//!
//! - A rank inside arithmetic is waited for: others hold pointers into its memory, so a departure has neither timeout
//!   nor abort. A function given to the reducer that never returns stops the world for good.
//! - Waiting ranks first spin for some 20 µs, then sleep. With more ranks than cores nobody spins. The first call after a long
//!   wait costs the waking of a thread.
//! - The tree of an all-reduce is over the ranks, so a sum of floats depends on their number, as with MPI and NCCL. For the
//!   same bits with any number of threads, cut the work into a fixed number of shards, share these out between the ranks and
//!   combine their results with [`tree`], as the trainer and `examples/k_means.rs` do.
//! - All ranks must run at the same time. How that goes wrong in a thread pool is said
//!   [there](Communicator#thread-pools).
//!
//! # Examples
//! ```
//! use phalanx::collective::{CollectiveError, Op, World};
//!
//! let sums = World::run(3, |rank| {
//!     let mut values = [rank.rank() as f64];
//!     rank.all_reduce(&mut values, Op::Sum)?;
//!     Ok::<_, CollectiveError>(values[0])
//! })?;
//! assert_eq!(sums, [3.0, 3.0, 3.0]);
//! # Ok::<(), CollectiveError>(())
//! ```

#[cfg(feature = "processes")]
mod collectives;
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

#[cfg(feature = "processes")]
pub use collectives::Collectives;
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
