//! The folder that a run writes: its options, its log and its results, made from the trainer's events.
//!
//! * [`RunDir`] is the folder: `config.toml`, `metrics.jsonl`, `metrics.csv`, `results.json`, `model.safetensors`.
//! * [`Metrics`] is the log of a run, [`TensorBoard`] the same for TensorBoard; both are [subscribers](crate::train::Subscriber).
//! * [`Line`] is a line of it, whichever file it goes to.
//! * [`Results`] is what `results.json` holds.
//!
//! Nothing here computes on params or gradients, except that [`TensorBoard`] counts params into histograms.

mod memory;
mod metrics;
mod results;
mod run_dir;
mod tensor_board;

pub use memory::{available_bytes, peak_rss_bytes};
pub use metrics::{Line, Metrics};
pub use results::{PhaseSecs, Results, Stopped};
pub use run_dir::{ReportError, RunDir};
pub use tensor_board::TensorBoard;
