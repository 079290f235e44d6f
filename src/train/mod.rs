//! Data-parallel training: the only module that deals with both gradients and ranks.
//!
//! Read the files in this order:
//!
//! 1. [`Options`] (`options.rs`): the options of a run, unchecked.
//! 2. [`Plan`] (`plan.rs`): the options for specific data and a specific model, validated and
//!    complete. `shards.rs` computes which samples form a shard, and which rank computes it.
//! 3. [`Trainer`] (`trainer.rs`) starts one thread per rank, and passes events to each
//!    [`Subscriber`] (`subscriber.rs`). `run.rs` contains the state shared by all ranks.
//! 4. `worker.rs` is the main loop of one rank: epochs, steps, scores.
//! 5. `step.rs` is one step of one rank; it uses `contribution.rs`, `combiner.rs` and `norms.rs`.
//!
//! # The step
//!
//! ```text
//! sample order (seed, epoch) -> the step's samples -> shards (fixed count) -> ranks (contiguous ranges of shards)
//!
//! contribute   each rank, on its shards: gather and convert rows -> forward -> loss -> backward
//! exchange     with other processes: totals of the shards, and subtrees of gradients                 (exchange.rs)
//! all ranks meet
//! reduce       each rank, on its segment: gradient of all shards -> divide (reduction) -> update, or store
//! all ranks meet again, if the update needs a norm or a check of the whole gradient first             (norms.rs)
//! update       each rank, on its segment: clip -> optimizer -> params
//! share        with other processes: the updated params
//! ```
//!
//! The pieces of a gradient are used for the update while they are in the cache. If the update
//! needs a norm, or if no bound known in advance guarantees that the whole gradient is finite, the
//! gradient is stored first and further rounds follow.
//!
//! The contribution of a rank takes one of two forms, whichever costs less; the bits are the same:
//!
//! - **by shards**, the definition, used for custom models: the gradient sums of its shards,
//!   combined in the fixed tree as far as the rank's own shards allow. The reduction combines the
//!   rest.
//! - **by segment**, used mostly for a perceptron: the activations of its samples and the
//!   derivatives with respect to them. The reduction computes the gradient of the segment from all
//!   of these, shard by shard in the tree, so that no gradient moves between cores, and ranks share
//!   that work evenly even if there are few shards.
//!
//! Params exist once, in a [`Shared`](crate::collective::Shared): all ranks read them while they
//! compute, and each writes its own segment in the update. Nothing is broadcast, and in a run of
//! one process a step allocates nothing.
//!
//! # The phases of a rank
//!
//! Each rank records the phase that it enters (`phase.rs`). If the rank panics, the error names
//! that phase. The time spent in a phase is charged to the account in brackets.
//!
//! ```text
//! Prepare
//!    v
//! Order [rest] <--------------------------------------------------------------------- next epoch ----.
//!    v                                                                                               |
//! Load [compute] <------------------------------------------------------------------.                |
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
//! Score [rest] ---> Save, when due -------------------------------------------------'----------------'
//!    v
//! End
//! ```
//!
//! While a rank exchanges norms, or totals and subtrees with other processes, it stays in Reduce,
//! but its time is charged to wait; it exchanges the updated params in AfterReduce. Score is
//! charged to rest while results are sent; the time for scoring test samples is not charged at all.
//!
//! # Before and after the step
//!
//! **Saving.** A run that is [saved](Trainer::save_every) emits a [`Snapshot`] (`snapshot.rs`)
//! between two steps: each rank copies the segment that it owns into one of two buffers, and
//! continues; a subscriber writes the snapshot. [`Trainer::resume`] resumes from one.
//!
//! **The best epoch.** At the end of each whole epoch, all ranks evaluate the params with the same
//! [`Metric`]. If [`Options::keep_best`] is set, each rank keeps its segment of the best params. If
//! [`Options::early_stop`] is set, the run stops early when the metric no longer improves.
//!
//! **The gradient noise scale** ([`NoiseScale`], `noise_scale.rs`) is measured every few steps, if
//! [`Options::noise_scale`] is set, from the parts of a batch: it needs the norm of the gradient of
//! each part and the norm of their sum. For a perceptron, the squared norm of a sample's gradient
//! is |δ|²(|a|² + 1) summed over the layers, where a is the input of a layer and δ the derivative
//! of the loss with respect to its output before the activation. The gradient itself is not needed,
//! so the parts are samples. For other models they are shards, which a measuring step computes one
//! at a time rather than several together. A measuring step also stores the reduced gradient, to
//! compute its norm. Otherwise it is like any other step: the params have the same bits.
//!
//! **Failures.** A NaN or infinite loss or gradient ends the run in that step ([`Divergence`],
//! `outcome.rs`), or the step is skipped ([`OnDivergence`]); NaN or infinite params always end it.
//! All ranks see the same sums and so decide alike. If a rank panics, the error names its step and
//! phase. The params are then those after the last complete step: each rank keeps a copy of the old
//! values of its segment while it updates them (`run.rs`). The chapter "Reliability" of the book
//! lists how often this was tested.
//!
//! **Several processes** ([`Trainer::across`]): the processes first verify that they are about to
//! run the same training. Ranks are numbered over all processes, so that shards and segments are
//! distributed over all ranks. A rank communicates with the ranks of its process as before, and
//! with those of other processes through the first thread of its process (`ranks.rs`). Within a
//! process, a subtree is computed by shards or by segment as above, but by segment only if the
//! shards of each process form one subtree and the process has several threads. The book models the
//! cost in "The cost of a cluster".
//!
//! **Identical bits.** The number of ranks determines which rank computes a shard, never how: the
//! bits of a sample's row do not depend on the rows computed together with it, a shard's gradient
//! is a sum over its own samples, shards are combined in one binary tree over their index, and
//! norms add fixed blocks in order. So the bits of params, losses and optimizer state are a
//! function of data, options, seed, program and instruction set, not of the number of threads or
//! processes. `examples/reference_step.rs` implements the same step without any of this, on one
//! thread in plain loops; its params have the same bits if sums are exact.
//!
//! # Profile of a step
//!
//! Shares of the time of two ranks, 784-512-512-10 with batches of 256 and momentum, as
//! `benches/profile.py` measures them with `perf record`, on two cores of Zen 5, whose AVX-512 is
//! twice as wide as its AVX2, and of Zen 3, which has AVX2 and half the L2 cache:
//!
//! | work | Zen 5, AVX-512 | Zen 5, AVX2 | Zen 3, AVX2 | bound by |
//! |---|---|---|---|---|
//! | products | 78 % | 86 % | 77 % | multiply-adds: 215 to 250 GFLOP/s a core with AVX-512, of at most 258; 120 to 130 with AVX2, of at most 129; 70 to 87 on Zen 3, of at most 94 |
//! | updates, with the copy of the old segment | 8.1 % | 5.7 % | 6.7 % | reading params and momentum from the L3 cache and writing them back; prefetching gained nothing |
//! | packing and transposing | 5.6 % | 3.3 % | 8.4 % | the L2 and L3 caches |
//! | gathering, softmax, activations | 3.2 % | 2.2 % | 4.1 % | reading samples in random order, which are requested ahead; then division of pixels |
//! | waiting | 2.3 % | 1.4 % | 1.3 % | uneven progress of the cores |
//! | other, with loading the data | 2.0 % | 1.4 % | 2.3 % | |
//!
//! On Zen 5, what is not a product takes about the same time with both sets, so its share is larger
//! where the products are faster. On Zen 3, a gradient of a weight takes a tenth longer because the
//! sums of shards of 32 rows are stored until they are combined: that is the price of the fixed
//! tree.
//!
//! Copying the old segment (`run.rs`) takes a fifth to a third of the time of the updates: 1.5 to
//! 2.4 % of a step with two ranks. With one rank it takes 1.5 % with batches of 128, and 9 % with
//! batches of 32 and 784-128-10, whose steps are short (Zen 4, medians of 9 pairs of runs with and
//! without). In return, a failure in the middle of an update loses no params.
//!
//! 784-128-10 with batches of 32 takes 60 µs a step on two ranks and 104 on one with AVX-512, and
//! 85 and 160 with AVX2. On two it takes more than half as long because each reads the half of the
//! params and the samples that the other wrote, about 250 KB that come from another core's cache.

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
