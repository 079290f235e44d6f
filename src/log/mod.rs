//! The folder of a run: its options, its log and its results, written from the trainer's events.
//!
//! * [`RunDir`] is the folder: `config.toml`, `metrics.jsonl`, `metrics.csv`, `results.json`,
//!   `model.safetensors`.
//! * [`Metrics`] writes the log of a run, [`TensorBoard`] the same values for TensorBoard; both are
//!   [subscribers](crate::train::Subscriber).
//! * [`Results`] is the content of `results.json`, with the [`Conventions`] of the run.
//!
//! Nothing here computes on params or gradients, except that [`TensorBoard`] counts params into
//! histograms.
//!
//! # Examples
//!
//! Creating the folder and the log of a run in your own program, and inspecting its log and its
//! results:
//!
//! ```
//! use phalanx::log::{LogError, Metrics, Results, RunDir};
//! use phalanx::train::StopReason;
//!
//! fn unreadable_lines(metrics: &Metrics) -> Option<u64> {
//!     metrics.unreadable()
//! }
//!
//! fn is_complete(results: &Results) -> bool {
//!     results.stopped == StopReason::Completed && results.phases.compute.as_secs_f64() >= 0.0
//! }
//!
//! fn begin(folder: &std::path::Path) -> Result<(RunDir, Metrics), LogError> {
//!     let dir = RunDir::create(folder)?;
//!     let metrics = dir.metrics(10)?;
//!     Ok((dir, metrics))
//! }
//! ```

mod conventions;
pub(crate) mod error;
pub(crate) mod metrics;
pub(crate) mod results;
mod run_dir;
mod tensor_board;

pub use conventions::Conventions;
pub use error::LogError;
pub use metrics::Metrics;
pub use results::Results;
pub use run_dir::RunDir;
pub use tensor_board::TensorBoard;
