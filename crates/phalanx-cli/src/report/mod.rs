//! What a run shows and writes, made from the trainer's events: its reporters are [subscribers](phalanx::train::Subscriber).
//!
//! * [`Progress`] is the bar on a terminal, and plain lines elsewhere; [`CountProgress`] that of things that are counted.
//! * [`noise_advice`] says in a sentence what a noise scale means for a batch size.
//! * [`TextCurve`] draws how a measure changed from epoch to epoch, in text, with the characters of a [`Charset`].
//! * [`figure`] draws curves and heat maps; [`page`] writes pages around them.
//! * [`constant_loss`] is the loss of a model that ignores the features, which a trained one must beat.
//! * [`Table`] lays names and values out in two columns, [`grouped`] writes large counts, [`measured`] writes losses and rates,
//!   [`shell_word`] writes what is to be typed.
//!
//! Nothing here computes on params or gradients.

mod charset;
mod constant_loss;
mod count;
pub mod figure;
mod noise_advice;
mod number;
pub mod page;
mod progress;
mod shell_word;
mod table;
mod text_curve;

pub use charset::Charset;
pub use constant_loss::constant_loss;
pub use count::CountProgress;
pub use noise_advice::{noise_advice, with_error};
pub use number::{grouped, measured};
pub use progress::{Progress, ProgressStyle};
pub use shell_word::shell_word;
pub use table::Table;
pub use text_curve::{TextCurve, stdout_columns};
