//! Data-parallel training: the only room that knows gradients and ranks.
//!
//! The walk of the data, and the files to read in this order:
//!
//! 1. [`Options`] (`options.rs`) say what is wanted; nothing in them is checked.
//! 2. [`Plan`] (`plan.rs`) is what they come to on given data and a given model: checked, and complete. Which
//!    samples make a batch and which of them a shard stands in `shards.rs`.
//! 3. [`Trainer`] (`trainer.rs`) starts one thread a rank and hears their events.
//! 4. `worker.rs` is the life of one rank: epochs, steps, scores.
//! 5. `step.rs` is one step of one rank, in two halves with a round of the reducer between them:
//!
//! ```text
//! sample order (seed, epoch) -> the step's samples -> shards (fixed count) -> ranks (contiguous runs of shards)
//! contribute   each rank, subtree by subtree of its shards: gather and convert rows -> forward -> loss -> backward -> the
//!              gradient sums of the shards, combined in the fixed tree as far as the rank has them
//! round        every rank lends what it has
//! combine      each rank, on its segment: the rest of the tree -> divide (reduction) -> clip -> optimizer -> params
//! ```
//!
//! Params exist once, in a [`Shared`](crate::collective::Shared): all ranks read them while they compute, each
//! writes its own segment while they combine. Nothing is broadcast, and a step allocates nothing.
//!
//! **Sameness.** Ranks decide who computes a shard, never how: the bits of a sample's row do not depend on the rows that
//! are computed with it, a shard's gradient is a sum over its own samples, shards are combined in one binary tree over
//! their index, norms add fixed blocks in order. So the bits of params, losses and optimizer state are a function of data,
//! options, seed, program and instruction set, not of the number of threads.

mod combiner;
mod contribution;
mod error;
mod event;
mod gradients;
mod norms;
mod options;
mod plan;
mod score;
mod shards;
mod step;
mod trainer;
mod worker;

pub use error::TrainError;
pub use event::{EpochEnd, Event, PhaseTimes, StepEnd};
pub use options::{Length, Options};
pub use plan::Plan;
pub use score::{predict, score};
pub use shards::Shards;
pub use trainer::{Outcome, StateVector, StopReason, Trainer};
