//! The log of a run for TensorBoard.

mod event_file;
mod histogram;
mod message;
mod record;

use std::path::Path;

use self::event_file::EventFile;
use self::histogram::histogram;
use self::message::Value;
use super::ReportError;
use super::metrics::{Line, Lines};
use crate::model::Tensor;
use crate::train::{EpochParams, Event, Position, Subscriber, SubscriberError};

/// Writes an event file for TensorBoard, a subscriber of the run: `events.out.tfevents.SECOND.phalanx` in its folder, so that
/// `tensorboard --logdir runs` shows one run for each.
///
/// | tag | kind | what |
/// |---|---|---|
/// | `step/KEY` | scalar | what the line of a step in [`metrics.jsonl`](super::Metrics) has: `train_loss`, `lr`, `grad_norm`, `noise_scale`, `noise_scale_error` |
/// | `epoch/KEY` | scalar | that of an epoch: `train_loss`, `test_loss`, `test_accuracy`, `noise_scale`, `noise_scale_error`, `samples_per_sec`, `epoch_secs`, `compute_secs`, `wait_secs`, `reduce_update_secs` |
/// | `partial_epoch/KEY` | scalar | the same of the part of an epoch that a run ended with |
/// | `params/TENSOR` | histogram | the params after an epoch, by tensor, such as `params/layers.0.weight`: finite values in 30 buckets of one width from the least to the largest |
///
/// A scalar is the value of the line as f32, also if it is no number, which TensorBoard marks; what is null in the line for another
/// reason is left out. The step is that of the line, the wall time that of writing. `grad_norm` is there where the run tells it:
/// [`Options::grad_norm_every`](crate::train::Options::grad_norm_every).
///
/// A run that goes on writes a new file, with what the old one has up to there and a `SessionLog` of status `START` at the next step,
/// which marks the point; the old one is left empty. So the folder has each step once, whatever reads it. A TensorBoard that looks on
/// drops what is void: one that loads in Python by such a mark at the head of each file, one that loads fast by the order of steps in
/// each tag, so that the part of an epoch stays until it is started anew.
///
/// Scalars are `simple_value` and histograms `HistogramProto`, as those of PyTorch's `SummaryWriter`: TensorBoard makes its own
/// later forms of them while it reads, and programs that read event files without it know these best.
///
/// # Cost
///
/// One record a line, handed to the system whole. At the end of an epoch rank 0 copies the params, and the thread of the
/// subscribers counts them.
///
/// # Examples
///
/// ```
/// use phalanx::data::{LoadOptions, Source};
/// use phalanx::model::{Activation, Loss, Mlp, MlpShape, Model};
/// use phalanx::log::RunDir;
/// use phalanx::train::{Length, Options, Trainer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let digits = "digits".parse::<Source>()?.load(&LoadOptions::default())?;
/// let (hidden, activation, loss) = (vec![32], Activation::Relu, Loss::CrossEntropy);
/// let model = Mlp::new(MlpShape { inputs: 64, hidden, outputs: 10, activation, loss });
/// let options = Options { length: Length::Epochs(2), grad_norm_every: 10, ..Options::default() };
///
/// let mut dir = RunDir::create(&folder.path().join("run"))?;
/// let board = dir.tensor_board(10, model.tensors())?;
/// Trainer::new(&model, &digits.train, options).subscribe(board).run()?;
/// dir.keep();
/// # Ok(())
/// # }
/// ```
pub struct TensorBoard {
    lines: Lines,
    file: EventFile,
    tensors: Vec<Tensor>,
}

impl TensorBoard {
    /// Begins a file in the folder of a run.
    pub(super) fn create(folder: &Path, every: u64, tensors: Vec<Tensor>) -> Result<Self, ReportError> {
        let lines = Lines::new(every, &Position::default());
        Ok(Self { lines, file: EventFile::create(folder)?, tensors })
    }

    /// Goes on with that of the run in `before`.
    pub(super) fn resume(
        folder: &Path,
        every: u64,
        tensors: Vec<Tensor>,
        position: &Position,
        before: &Path,
    ) -> Result<Self, ReportError> {
        let file = EventFile::resume(folder, position, before)?;
        Ok(Self { lines: Lines::new(every, position), file, tensors })
    }

    fn params(&mut self, told: &EpochParams<'_>) -> Result<(), ReportError> {
        let (mut rest, mut values) = (told.params, Vec::new());
        for tensor in &self.tensors {
            let (own, after) = rest.split_at(tensor.len());
            rest = after;
            let tag = format!("params/{}", tensor.name);
            values.extend(histogram(own).map(|histo| Value {
                tag,
                histo: Some(histo),
                ..Default::default()
            }));
        }
        self.file.write(told.step, values)
    }
}

impl Subscriber for TensorBoard {
    fn hear(&mut self, event: &Event<'_>) -> Result<(), SubscriberError> {
        if let Some(line) = self.lines.of(event) {
            self.file.write(line.step, scalars(&line))?;
        }
        if let Event::Params(told) = event {
            self.params(told)?;
        }
        Ok(())
    }

    fn wants_params(&self) -> bool {
        true
    }
}

/// What a line says, by tag. A step that diverged is one of the steps, so that their curve shows it.
fn scalars(line: &Line) -> Vec<Value> {
    let event = if line.event == "diverged" { "step" } else { line.event };
    let scalar = |(name, value): &(&str, Option<f64>)| {
        let tag = format!("{event}/{name}");
        value.map(|value| Value { tag, simple_value: Some(value as f32), ..Default::default() })
    };
    line.facts.iter().filter_map(scalar).collect()
}
