//! Phalanx: a multi-threaded data-parallel trainer.
//!
//! Worker threads each compute the gradients of their shards of a mini-batch; an all-reduce combines them with **sum** or
//! **mean** semantics that mean exactly what they say; one update changes the one shared copy of the params. Two promises
//! set it apart:
//!
//! - **The semantics are exact.** Sum, mean and what other frameworks really compute are told apart by name
//!   ([`optim::Reduction`]), for uneven shards, sample weights and the short last batch, and can be translated.
//! - **The same bits for any number of threads and processes.** The result is a function of data, options, seed, program and
//!   instruction set. Threads and processes decide who computes a shard, never how.
//!
//! # From here to one training step
//!
//! Five files, in this order: this one, [`train`] (the walk of the data), `train/trainer.rs` (one thread a rank),
//! `train/worker.rs` (the life of a rank), `train/step.rs` (one step of it).
//!
//! # Rooms
//!
//! ```text
//!            cli (the program)
//!             |
//!           report                       made from what train tells, and from what checkpoint saves
//!             |
//!         checkpoint                     writes what train hands out, and reads what it goes on from
//!             |
//!           train                        the only room that knows gradients AND ranks
//!     ________|_________________
//!    |         |         |      |
//!  data      model     optim   collective      no arrows among these four
//! ```
//!
//! | room | speaks of |
//! |---|---|
//! | [`collective`] | ranks, buffers, segments, reductions: the reducer, which can be lifted out whole |
//! | [`data`] | samples, formats, sample order |
//! | [`model`] | arrays, params, losses: forward and backward side by side |
//! | [`optim`] | params, grads, learning rates, schedules, conventions |
//! | [`train`] | options, the plan they come to, the step, the run |
//! | [`checkpoint`] | the model file, also for other programs; checkpoints, and the thread that writes them |
//! | [`report`] | progress, logs, tables, figures and pages, made from the trainer's events and from what a run has left |
//! | [`sweep`] | many runs over batch sizes and rates, and what they say of sum and mean; beside `report` |
//! | [`mod@bench`] | how training and the all-reduce scale, measured from outside beside `report` |
//!
//! [`guide`] answers the question that all this grew from: does one divide by the batch size?
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | sample | one training example; may carry a weight |
//! | batch size | samples in one step over **all** threads and processes |
//! | shard | a contiguous range of the batch's samples, the unit of gradient computation; how many there are is part of the mathematics, never derived from the thread count |
//! | rank | 0-based index of a worker thread, counted over all processes |
//! | world size | number of ranks |
//! | segment | the part of the flat params that a rank owns while it reduces and updates |
//! | params, grads | flat `[f32]` of all parameters, of their gradients |
//! | step | one update of the params |
//! | epoch | one pass over the training samples |
//! | reduction | how per-sample gradients become the one gradient of a step |
//!
//! # Features
//!
//! The default feature `program` holds everything but MPI. Without default features only [`collective`] remains, on parking_lot and
//! crossbeam. `half` adds f16 and bf16 to the element types of the reducer, `processes` (part of `program`) the reducer across processes
//! over any wire, and `mpi` a wire over MPI, `collective::MpiWire`, which needs Open MPI or MPICH, and libclang to build.
//!
//! # Examples
//!
//! Train on the built-in digits with two threads, and score the result:
//!
#![cfg_attr(feature = "program", doc = "```")]
#![cfg_attr(not(feature = "program"), doc = "```ignore")]
//! use phalanx::data::{LoadOptions, Source};
//! use phalanx::model::{Activation, Loss, Mlp, MlpShape};
//! use phalanx::train::{Options, Trainer, score};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let digits = "digits".parse::<Source>()?.load(&LoadOptions::default())?;
//! let (hidden, activation, loss) = (vec![32], Activation::Relu, Loss::CrossEntropy);
//! let model = Mlp::new(MlpShape { inputs: 64, hidden, outputs: 10, activation, loss });
//! let outcome = Trainer::new(&model, &digits.train, Options { threads: 2, ..Options::default() }).run()?;
//! let accuracy = score(&model, &outcome.params, &digits.test.unwrap())?.accuracy().unwrap();
//! assert!(accuracy > 0.9);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "program")]
pub mod bench;
#[cfg(feature = "program")]
pub mod checkpoint;
pub mod collective;
#[cfg(feature = "program")]
pub mod data;
#[cfg(feature = "program")]
pub mod guide;
#[cfg(feature = "program")]
pub mod model;
#[cfg(feature = "program")]
pub mod optim;
#[cfg(feature = "program")]
pub mod report;
#[cfg(feature = "program")]
pub mod sweep;
#[cfg(feature = "program")]
pub mod train;
#[cfg(feature = "program")]
mod vectorized;
