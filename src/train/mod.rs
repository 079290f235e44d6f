//! Data-parallel training: the only module that knows gradients and ranks.
//!
//! The files to read, in this order:
//!
//! 1. [`Options`] (`options.rs`): the options of a run, unchecked.
//! 2. [`Plan`] (`plan.rs`): the options on given data and a given model, checked and complete. `shards.rs` has the arithmetic of
//!    which samples make a shard, and which rank computes it.
//! 3. [`Trainer`] (`trainer.rs`) starts one thread a rank, and passes events to each [`Subscriber`] (`subscriber.rs`). `run.rs` is the
//!    state that all ranks share.
//! 4. `worker.rs` is the life of one rank: epochs, steps, scores.
//! 5. `step.rs` is one step of one rank; `contribution.rs`, `combiner.rs` and `norms.rs` are what it calls.
//!
//! # The step
//!
//! ```text
//! sample order (seed, epoch) -> the step's samples -> shards (fixed count) -> ranks (contiguous runs of shards)
//!
//! contribute   each rank, on its shards: gather and convert rows -> forward -> loss -> backward
//! exchange     with other processes: totals of the shards, and subtrees of gradients                 (exchange.rs)
//! round
//! reduce       each rank, on its segment: gradient of all shards -> divide (reduction) -> update, or write down
//! rounds       where a norm or a check of the whole gradient comes before the update                 (norms.rs)
//! update       each rank, on its segment: clip -> optimizer -> params
//! share        with other processes: the updated params
//! ```
//!
//! The pieces of a gradient are used for the update while they are in the cache. Where a norm comes before the update, or where
//! no bound known beforehand shows that the whole gradient is finite, they are written down first and more rounds follow.
//!
//! The contribution of a rank is one of two things, by what costs less; the bits are the same:
//!
//! - **by shards**, the definition, and the way of your own models: the gradient sums of its shards, combined in the fixed
//!   tree as far as the rank has them. The reduction combines the rest.
//! - **by segment**, mostly that of a perceptron: the activations of its samples and the derivatives by them. The reduction
//!   computes the gradient of the segment from all of them, shard by shard in the tree, so that no gradient crosses from
//!   core to core, and ranks share that work evenly however few shards there are.
//!
//! Params exist once, in a [`Shared`](crate::collective::Shared): all ranks read them while they compute, each
//! writes its own segment in the update. Nothing is broadcast, and a step allocates nothing.
//!
//! # The phases of a rank
//!
//! Each rank records the phase that it enters (`phase.rs`): it is in the error if the rank panics, and its time is charged to the
//! account in brackets.
//!
//! ```text
//! Prepare
//!    v
//! Order [rest] <--------------------------------------------------------------------- next epoch ---.
//!    v                                                                                               |
//! Load [compute] <-----------------------------------------------------------------.                 |
//!    v    ^  next piece of shards                                                   |                |
//! Gradient [compute]                                                                |                |
//!    v                                                                              |                |
//! BeforeReduce [wait]                                                               | next step      |
//!    v  all ranks meet                                                              |                |
//! Reduce [reduce_update] <-----------.                                              |                |
//!    v    ^  next piece of gradient  |  norms, or a check of the whole gradient     |                |
//! Update [reduce_update]             |                                              |                |
//!    v                               |                                              |                |
//! AfterReduce [wait] ----------------'                                              |                |
//!    v  all ranks have departed                                                     |                |
//! Score [rest] ---> Save, when due ------------------------------------------------'----------------'
//!    v
//! End
//! ```
//!
//! While a rank exchanges norms, or data with other processes, it stays in Reduce, but its time is charged to wait. Score is counted as rest
//! while results are sent, and not at all while test samples are scored.
//!
//! # Around the step
//!
//! **Saving.** A run that is to be [saved](Trainer::save_every) hands out a [`Snapshot`] (`snapshot.rs`) between two steps: each rank copies
//! the segment that it owns into one of two buffers, and continues; a subscriber writes it. [`Trainer::resume`] resumes from one.
//!
//! **Judging.** At the end of each whole epoch all ranks judge its params alike, by a [`Metric`]; each keeps its segment of the best
//! if [`Options::keep_best`] asks for it, and the run ends early if [`Options::early_stop`] does.
//!
//! **The gradient noise scale** ([`NoiseScale`], `noise_scale.rs`) is measured every few steps, if [`Options::noise_scale`] asks for
//! it, from the parts that a batch is made of anyway: the norms of their gradients and of their sum. A perceptron knows the norm of the
//! gradient of each sample, |δ|²(|a|² + 1) added up over the layers, without computing it, so that its parts are samples;
//! of other models they are shards, which a measuring step computes one at a time rather than several together. It then
//! writes the reduced gradient down, to take its norm, and is like any other step otherwise: the params have the same bits.
//!
//! **When something fails.** A loss, a gradient or a param that is NaN or infinite ends the run in that step ([`Divergence`],
//! `outcome.rs`), or the step is skipped ([`OnDivergence`]); all ranks see the same sums and so decide alike. A rank that panics is
//! named with its step and phase. Params are then as the last whole step left them: each rank keeps the pieces
//! of its segment while it updates them (`run.rs`). The [reliability score](crate::guide::reliability) counts how often this was tried.
//!
//! **Over several processes** ([`Trainer::across`]) ranks are counted through, so that shards and segments are dealt to all of them,
//! once all have agreed that they are about to do the same. A rank meets those of its process as ever, and
//! through its first thread those of others (`ranks.rs`). Within a process a subtree comes by shards or by segment as above; by segment
//! where its shards are one subtree and it has several threads. Its cost is [modelled](crate::guide::cluster).
//!
//! **Sameness.** Ranks decide who computes a shard, never how: the bits of a sample's row do not depend on the rows that
//! are computed with it, a shard's gradient is a sum over its own samples, shards are combined in one binary tree over
//! their index, norms add fixed blocks in order. So the bits of params, losses and optimizer state are a function of data,
//! options, seed, program and instruction set, not of the number of threads or processes. `examples/reference_step.rs` is a step without
//! all this, on one thread in plain loops, with the same bits where sums are exact.
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
//! Of the updates, the copy of the old segment (`run.rs`) is a fifth to a third: 1.5 to 2.4 % of a step on two ranks, 1.5 % on one
//! with batches of 128, and 9 % on one with batches of 32 and 784-128-10, where params and copy do not fit the second cache together
//! (medians of 9 pairs of runs with and without). It buys that a failure in the middle of an update loses no params.
//!
//! 784-128-10 with batches of 32 takes 115 µs a step; what then keeps two ranks below twice the speed of one is that each reads the
//! half of the params and the samples that the other wrote, some 250 KB that come from another core's cache.

mod combiner;
mod contribution;
mod error;
mod exchange;
pub(crate) mod noise_scale;
pub(crate) mod norms;
mod options;
mod outcome;
mod phase;
mod plan;
pub(crate) mod position;
mod ranks;
mod run;
mod samples;
mod score;
mod shards;
mod snapshot;
mod step;
mod subscriber;
mod trainer;
mod worker;

pub use error::{SubscriberError, TrainError};
pub use noise_scale::{NoiseEstimate, NoiseScale};
pub use options::{Length, Metric, OnDivergence, Options, SaveEvery, Shards};
pub use outcome::{Divergence, Outcome, StopReason};
pub use phase::PhaseTimes;
pub use plan::Plan;
pub use position::Position;
pub(crate) use position::Quality;
pub use score::{predict, score};
pub use snapshot::Snapshot;
pub use subscriber::{EpochEnd, Event, StepEnd, Subscriber};
pub use trainer::Trainer;
