//! Phalanx: a multi-threaded data-parallel trainer.
//!
//! Worker threads each compute the gradients of their shards of a mini-batch; an all-reduce
//! combines them with exactly defined **sum** or **mean** semantics; one update is applied to the
//! single shared copy of the params. Two promises set Phalanx apart:
//!
//! - **The semantics are exact.** Sum, mean and the variants that other frameworks actually compute
//!   have different names ([`optim::Reduction`]), are defined for uneven shards, sample weights and
//!   the short last batch, and can be translated into each other.
//! - **The same bits for any number of threads and processes.** The result is a function of data,
//!   options, seed, program and instruction set. The number of threads and processes determines
//!   which of them computes a shard, never how.
//!
//! # The code of one training step
//!
//! Twelve files, in this order, contain a training step in one process: [`train`] with its overview
//! and diagrams; in `train/` `trainer.rs` (starts one thread per rank), `run.rs` (the state shared
//! by all ranks), `worker.rs` (the main loop of a rank), `step.rs` (one step of it),
//! `contribution.rs` (the gradients of its shards), `combiner.rs` (the gradient of its segment) and
//! `norms.rs`; `model/mlp.rs` (forward and backward pass); `optim/optimizer.rs` and
//! `optim/rules.rs` (the update); and `communicator.rs` of [`collective`] (the communication of the
//! ranks). `exchange.rs` adds other processes. `examples/reference_step.rs` is the same step in
//! plain loops.
//!
//! # Modules
//!
//! ```text
//! phalanx-cli            the program: flags, terminal, pages, measurements, sweeps
//!      |
//! checkpoint, log        files that a run writes and resumes from
//!      |
//!    train               the only module that deals with both gradients and ranks
//!      |
//! data, model, optim, collective      which do not import each other
//! ```
//!
//! | module | subject |
//! |---|---|
//! | [`collective`] | ranks, buffers, segments, reductions: the reducer, the package `phalanx-collective` |
//! | [`data`] | samples, formats, sample order |
//! | [`model`] | arrays, params, losses: forward and backward next to each other |
//! | [`optim`] | params, grads, learning rates, schedules, conventions |
//! | [`train`] | options, the plan they result in, the step, the run |
//! | [`checkpoint`] | the model file, also for other programs; checkpoints, and the thread that writes them |
//! | [`log`] | the folder of a run, its log and its results |
//!
//! The book in `docs/src` of the repository is the guide for users: from the first run to sum or
//! mean, several machines and your own model. These pages are the reference.
//!
//! # Terminology
//!
//! | word | meaning |
//! |---|---|
//! | sample | one training example; may carry a weight |
//! | batch size | samples in one step over **all** threads and processes |
//! | shard | a contiguous range of the batch's samples, the unit of gradient computation; the number of shards is part of the mathematics, never derived from the thread count |
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
//! `half` adds f16 and bf16 to the element types of the reducer, and `mpi` a wire over MPI,
//! `collective::MpiWire`, which needs Open MPI or MPICH, and libclang to build. The program is the
//! package `phalanx-cli`; the reducer alone is `phalanx-collective`.
//!
//! # Examples
//!
//! Train on the built-in digits with two threads, and score the result:
//!
//! ```
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

pub mod checkpoint;
pub mod data;
pub mod log;
pub mod model;
mod num;
pub mod optim;
mod protobuf;
mod simd;
pub mod train;

pub use phalanx_collective as collective;

/// The Rust blocks of the README and of the book, compiled and run by `cargo test --doc`.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../README.md")]
    mod readme {}
    #[doc = include_str!("../docs/src/reducer.md")]
    mod reducer {}
    #[doc = include_str!("../docs/src/own-model.md")]
    mod own_model {}
}

/// Items that only the tests, the benches and the program need; they may change in every version.
#[doc(hidden)]
pub mod internals {
    pub use crate::checkpoint::checkpoint_dir::remove_leftovers;
    pub use crate::checkpoint::checkpoint_file::{History, RunFacts};
    pub use crate::checkpoint::error::remedy;
    pub use crate::checkpoint::load::{FileSummary, TensorSummary, summarize};
    pub use crate::checkpoint::onnx::OnnxModel;
    pub use crate::checkpoint::saver::Writer;
    pub use crate::checkpoint::whole_file::{write_whole, write_whole_with};
    pub use crate::data::dataset::GatherBuffer;
    pub use crate::data::error::{LabelFault, LibsvmFault, Location};
    pub use crate::data::order::sample_order;
    pub use crate::data::standardize::FeatureScale;
    pub use crate::data::summary::{DataSummary, Fingerprint};
    pub use crate::log::error::LineFault;
    pub use crate::log::metrics::{LogEvent, LogLine, Measure, RunLog, csv_field};
    pub use crate::log::results::{available_bytes, peak_rss_bytes};
    pub use crate::model::fused::{FusedModel, SegmentModel, ShardRun};
    pub use crate::model::mlp::MlpWorkspace;
    pub use crate::model::real::Real;
    pub use crate::optim::blocks::{
        BLOCK_LEN, Blocks, clip_factor, norm_of_squares, scale_grads, sum_of_squares,
    };
    pub use crate::optim::convention::translation::Condition;
    pub use crate::optim::optimizer::Update;
    pub use crate::optim::options::Hyper;
    pub use crate::optim::reduction::divide_grads;
    pub use crate::optim::schedule::{BatchCut, Schedule};
    pub use crate::simd::InstructionSet;
    pub use crate::train::noise_scale::{BatchParts, NoiseMeasurement};
    pub use crate::train::norms::all_finite;
    pub use crate::train::position::{Best, Quality};

    /// The products of a layer.
    pub mod kernel {
        pub use crate::model::kernel::{
            Epilogue, Linear, Panels, Scratch, ShardRows, backward_bias, backward_weight, bias_gradient,
            weight_gradient,
        };
    }
}
