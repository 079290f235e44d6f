//! The folder that a run writes: its options, its log and its results, made from the trainer's
//! events.
//!
//! * [`RunDir`] is the folder: `config.toml`, `metrics.jsonl`, `metrics.csv`, `results.json`,
//!   `model.safetensors`.
//! * [`Metrics`] writes the log of a run, [`TensorBoard`] the same for TensorBoard; both are
//!   [subscribers](crate::train::Subscriber).
//! * [`LogLine`] is a line of it, whichever file it goes to, with values by [`Measure`]; [`RunLog`]
//!   reads them back.
//! * [`Results`] is the content of `results.json`.
//!
//! Nothing here computes on params or gradients, except that [`TensorBoard`] counts params into
//! histograms.
//!
//! # Examples
//!
//! What a run leaves, as a program of your own may read it:
//!
//! ```
//! use phalanx::log::{LineFault, LogError, Metrics, PhaseSecs, Results, RunLog, Stopped};
//!
//! fn unreadable_lines(metrics: &Metrics) -> Option<u64> {
//!     metrics.unreadable()
//! }
//!
//! fn is_complete(results: &Results) -> bool {
//!     let phases: &PhaseSecs = &results.phase_secs;
//!     let reason: &Stopped = &results.stopped;
//!     !matches!(reason, Stopped::Diverged) && phases.compute >= 0.0
//! }
//!
//! fn logged_steps(log: &RunLog) -> usize {
//!     log.steps.len()
//! }
//!
//! fn text(fault: Result<LineFault, LogError>) -> String {
//!     fault.map_or_else(|error| error.to_string(), |_| String::new())
//! }
//! ```

mod error;
pub(crate) mod memory;
pub(crate) mod metrics;
mod results;
mod run_dir;
mod tensor_board;

pub use error::{LineFault, LogError};
pub use metrics::{LogEvent, LogLine, Measure, Metrics, RunLog};
pub use results::{PhaseSecs, Results, Stopped};
pub use run_dir::RunDir;
pub use tensor_board::TensorBoard;
