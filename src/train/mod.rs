//! Data-parallel training: the only room that knows gradients and ranks.
//!
//! The walk of the data, and the files to read in this order:
//!
//! 1. [`Options`] (`options.rs`) say what is wanted; nothing in them is checked.
//! 2. [`Plan`] (`plan.rs`) is what they come to on given data and a given model: checked, and complete. Which
//!    samples make a batch and which of them a shard stands in `shards.rs`.
//! 3. [`Trainer`] (`trainer.rs`, `threads.rs`) starts one thread a rank, and tells what happens to every [`Subscriber`] (`subscriber.rs`).
//! 4. `worker.rs` is the life of one rank: epochs, steps, scores.
//! 5. `step.rs` is one step of one rank, in two halves with a round of the reducer between them:
//!
//! ```text
//! sample order (seed, epoch) -> the step's samples -> shards (fixed count) -> ranks (contiguous runs of shards)
//! contribute   each rank, on its shards: gather and convert rows -> forward -> loss -> backward
//! round        every rank lends what it has
//! reduce       each rank, on its segment: gradient of all shards -> divide (reduction) -> optimizer -> params
//! ```
//!
//! A run that is to be [saved](Trainer::save_every) hands out a [`Snapshot`] between two steps: each rank copies the segment that it
//! owns into one of two slots (`slot.rs`), and goes on; whoever listens writes it. [`Trainer::resume`] goes on from one (`start.rs`).
//!
//! At the end of each whole epoch all ranks judge its params alike, by a [`Metric`] (`quality.rs`); each keeps its segment of the best
//! if [`Options::keep_best`] asks for it, and the run ends early if [`Options::early_stop`] does.
//!
//! What a rank has is one of two things, by what costs less; the bits are the same (`contribution.rs`, `combiner.rs`):
//!
//! - **by shards**, the definition, and the way of models of one's own: the gradient sums of its shards, combined in the fixed
//!   tree as far as the rank has them (`gradients.rs`). The second half combines the rest.
//! - **by segment**, mostly that of a perceptron: the activations of its samples and the derivatives by them. The second half
//!   computes the gradient of the segment from all of them, shard by shard in the tree, so that no gradient crosses from
//!   core to core, and ranks share that half evenly however few shards there are.
//!
//! The pieces of a gradient are used for the update while they are in the cache. Where a norm comes before the update, or where
//! no bound known beforehand says that the whole gradient is finite, they are written down first and more rounds follow.
//!
//! Params exist once, in a [`Shared`](crate::collective::Shared): all ranks read them while they compute, each
//! writes its own segment in the second half. Nothing is broadcast, and a step allocates nothing.
//!
//! **The gradient noise scale** ([`NoiseScale`], `noise_scale.rs`) is measured every few steps, if [`Options::noise_scale`] asks for
//! it, from the parts that a batch is made of anyway: the lens of their gradients and of their sum. A perceptron knows how long the
//! gradient of each sample is, |δ|²(|a|² + 1) added up over the layers, without computing it, so that its parts are samples;
//! of other models they are shards, which a measuring step computes one at a time rather than several together (`noise.rs`). It then
//! writes the reduced gradient down, to take its norm, and is like any other step otherwise: the params have the same bits.
//!
//! **When something fails.** A loss, a gradient or a param that is no finite number ends the run in that step ([`Divergence`],
//! `divergence.rs`), or the step is left out ([`OnDivergence`]); all ranks see the same sums and so decide alike. A rank that panics is
//! told with its step and [`Phase`] (`whereabouts.rs`). Params are then as the last whole step left them: each rank keeps the pieces
//! of its segment while it updates them (`kept.rs`). The [reliability score](crate::guide::reliability) says how often this was tried.
//!
//! **Over several processes** ([`Trainer::across`]) ranks are counted through, so that shards and segments are dealt to all of them
//! (`place.rs`), once all have agreed that they are about to do the same (`agreement.rs`). A rank meets those of its process as ever, and
//! through its first thread those of others (`ranks.rs`, `processes.rs`). A step (`step/across.rs`) then has more rounds:
//!
//! ```text
//! say          loss and weight of each shard, to all                                        small
//! fold         each thread, on segments of other processes: the subtrees of this one       (crossing.rs)
//! exchange     to each process the subtrees for the params that it owns                     (n−1)/n of the params
//! reduce       each rank, on its segment: all subtrees in the fixed tree -> divide, update  (tree.rs)
//! agree        where a norm or a look at the whole gradient comes before the update         small
//! share        the updated params of each process, to all                                   (n−1)/n of the params
//! ```
//!
//! Within a process a subtree comes by shards or by segment as above; by segment where its shards are one subtree and it has several
//! threads. What it costs is [modelled](crate::guide::cluster).
//!
//! **Sameness.** Ranks decide who computes a shard, never how: the bits of a sample's row do not depend on the rows that
//! are computed with it, a shard's gradient is a sum over its own samples, shards are combined in one binary tree over
//! their index, norms add fixed blocks in order. So the bits of params, losses and optimizer state are a function of data,
//! options, seed, program and instruction set, not of the number of threads or processes.
//!
//! # Where the time goes
//!
//! Shares of a rank's time on two ranks, 784-512-512-10 with batches of 256 and momentum, by `perf record` (two cores of Zen 4):
//!
//! | share | what | what bounds it |
//! |---|---|---|
//! | 83 % | products, at 100 to 105 GFLOP/s a core | the multiply-adds: 116 GFLOP/s a core at most, 105 in gemm's large products |
//! | 8 % | updates | params and momentum, from the third cache and back, 16 GB/s; reading them ahead gained nothing |
//! | 4 % | transposing samples into panels and back | the second cache |
//! | 3 % | waiting | how evenly the machine runs its cores |
//! | 2 % | gathering, softmax, activations | division of pixels, by 8 at a time |
//!
//! Of the updates, the copy of the segment that `kept.rs` keeps is a fifth to a third: 1.5 to 2.4 % of a step on two ranks, 1.5 % on one
//! with batches of 128, and 9 % on one with batches of 32 and 784-128-10, where params and copy do not fit the second cache together
//! (medians of 9 pairs of runs with and without). It buys that a failure in the middle of an update loses no params.
//!
//! 784-128-10 with batches of 32 takes 115 µs a step; what then keeps two ranks below twice the speed of one is that each reads the
//! half of the params and the samples that the other wrote, some 250 KB that come from another core's cache.

mod agreement;
mod combiner;
mod contribution;
mod crossing;
mod divergence;
mod error;
mod event;
#[cfg(test)]
mod fault;
mod gradients;
mod kept;
mod memory;
mod noise;
mod noise_scale;
mod norms;
mod options;
mod outcome;
mod place;
mod plan;
mod position;
mod processes;
mod quality;
mod ranks;
mod run;
mod save_every;
mod score;
mod shards;
mod slot;
mod snapshot;
mod start;
mod step;
mod subscriber;
mod teller;
mod threads;
mod trainer;
mod tree;
mod whereabouts;
mod worker;

pub use divergence::{Blame, Divergence, OnDivergence, all_finite};
pub use error::TrainError;
pub use event::{EpochEnd, EpochParams, Event, PhaseTimes, StepEnd, StepScore};
pub use noise_scale::{BatchParts, NoiseEstimate, NoiseMeasurement, NoiseScale};
pub use options::{Length, NoiseInterval, Options};
pub use outcome::{Outcome, StateVector, StopReason};
pub use plan::Plan;
pub use position::{EpochSums, Position};
pub use quality::{Best, Metric, Quality};
pub use save_every::SaveEvery;
pub use score::{predict, score};
pub use shards::Shards;
pub use snapshot::Snapshot;
pub use subscriber::{Subscriber, SubscriberError};
pub use trainer::Trainer;
pub use whereabouts::Phase;
