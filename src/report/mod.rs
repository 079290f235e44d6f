//! What a run shows and writes, made from the trainer's events: its reporters are [subscribers](crate::train::Subscriber).
//!
//! * [`RunDir`] is the folder of a run: `config.toml`, `metrics.jsonl`, `metrics.csv`, `results.json`,
//!   `model.safetensors`.
//! * [`Metrics`] is the log of a run, [`TensorBoard`] the same for TensorBoard.
//! * [`Results`] is what `results.json` holds.
//! * [`Progress`] is the bar on a terminal, and plain lines elsewhere; [`CountProgress`] that of things that are counted.
//! * [`noise_advice`] says in a sentence what a noise scale means for a batch size.
//! * [`TextCurve`] draws how a measure changed from epoch to epoch, in text, with the characters of a [`Charset`].
//! * [`figure`] draws curves and heat maps; [`page`] writes pages around them.
//! * [`constant_loss`] is the loss of a model that ignores the features, which a trained one must beat.
//! * [`Table`] lays names and values out in two columns, [`grouped`] writes large counts, [`measured`] writes losses and rates,
//!   [`shell_word`] writes what is to be typed.
//!
//! Nothing here computes on params or gradients, but that [`TensorBoard`] counts params into histograms.

mod charset;
mod constant_loss;
mod count;
pub mod figure;
mod memory;
mod metrics;
mod noise_advice;
mod number;
pub mod page;
mod progress;
mod results;
mod run_dir;
mod shell_word;
mod table;
mod tensor_board;
mod text_curve;

pub use charset::Charset;
pub use constant_loss::constant_loss;
pub use count::CountProgress;
pub use memory::{available_bytes, peak_rss_bytes};
pub use metrics::Metrics;
pub use noise_advice::{noise_advice, with_error};
pub use number::{grouped, measured};
pub use progress::{Progress, ProgressStyle};
pub use results::{PhaseSecs, Results, Stopped};
pub use run_dir::{ReportError, RunDir};
pub use shell_word::shell_word;
pub use table::Table;
pub use tensor_board::TensorBoard;
pub use text_curve::{TextCurve, stdout_columns};
