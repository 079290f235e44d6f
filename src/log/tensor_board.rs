//! The log of a run for TensorBoard.

mod event_file;

use std::path::Path;

use self::event_file::{EventFile, Histogram, Value};
use super::LogError;
use super::metrics::{Lines, LogEvent, LogLine, Measure};
use crate::model::Tensor;
use crate::train::{Event, Position, Subscriber, SubscriberError};

/// Writes an event file for TensorBoard, a subscriber of the run:
/// `events.out.tfevents.SECOND.phalanx` in its folder, so that `tensorboard --logdir runs` shows
/// one run for each.
///
/// | tag | kind | value |
/// |---|---|---|
/// | `step/KEY` | scalar | the values of the line of a step in [`metrics.jsonl`](super::Metrics): `train_loss`, `lr`, `grad_norm`, `noise_scale`, `noise_scale_error` |
/// | `epoch/KEY` | scalar | the values of an epoch: `train_loss`, `test_loss`, `test_accuracy`, `noise_scale`, `noise_scale_error`, `samples_per_sec`, `epoch_secs`, `compute_secs`, `wait_secs`, `reduce_update_secs` |
/// | `partial_epoch/KEY` | scalar | the same of the part of an epoch that a run ended with |
/// | `params/TENSOR` | histogram | the params after an epoch, by tensor, such as `params/layers.0.weight`: finite values in 30 buckets of one width from the least to the largest |
///
/// A scalar is the value of the line as f32, also if it is NaN or infinite, which TensorBoard
/// marks; a value that is not known is left out. The step is that of the line, the wall time that
/// of writing. `grad_norm` is there if the run computes it:
/// [`Options::grad_norm_every`](crate::train::Options::grad_norm_every).
///
/// A run that is resumed writes a new file, with the records of the old one up to there and a
/// `SessionLog` of status `START` at the next step, which marks the point; the old one is left
/// empty. So the folder has each step once, whatever reads it. A TensorBoard that is already
/// running drops the void records: one that loads in Python by such a mark at the head of each
/// file, one that loads fast by the order of steps in each tag, so that the part of an epoch stays
/// until it is started anew.
///
/// Scalars are `simple_value` and histograms `HistogramProto`, as those of PyTorch's
/// `SummaryWriter`: TensorBoard makes its own later forms of them while it reads, and programs that
/// read event files without it know these best.
///
/// # Cost
///
/// One record a line, handed to the system whole. At the end of an epoch rank 0 copies the params,
/// and the thread of the subscribers counts them.
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
    pub(super) fn create(folder: &Path, every: u64, tensors: Vec<Tensor>) -> Result<Self, LogError> {
        let lines = Lines::new(every, &Position::default());
        Ok(Self { lines, file: EventFile::create(folder)?, tensors })
    }

    /// Resumes the file of the run in `before`.
    pub(super) fn resume(
        folder: &Path,
        every: u64,
        tensors: Vec<Tensor>,
        position: &Position,
        before: &Path,
    ) -> Result<Self, LogError> {
        let file = EventFile::resume(folder, position, before)?;
        Ok(Self { lines: Lines::new(every, position), file, tensors })
    }

    fn params(&mut self, step: u64, params: &[f32]) -> Result<(), LogError> {
        let (mut rest, mut values) = (params, Vec::new());
        for tensor in &self.tensors {
            let (own, after) = rest.split_at(tensor.len());
            rest = after;
            let tag = format!("params/{}", tensor.name);
            values.extend(histogram(own).map(|histogram| (tag, Value::Histogram(histogram))));
        }
        self.file.write(step, &values)
    }
}

impl Subscriber for TensorBoard {
    fn receive(&mut self, event: &Event<'_>) -> Result<(), SubscriberError> {
        if let Some(line) = self.lines.of(event) {
            self.file.write(line.step, &scalars(&line))?;
        }
        if let Event::Params { step, params, .. } = event {
            self.params(*step, params)?;
        }
        Ok(())
    }

    fn wants_params(&self) -> bool {
        true
    }
}

/// The values of a line by tag. A step that diverged is one of the steps, so that their curve shows
/// it.
fn scalars(line: &LogLine) -> Vec<(String, Value)> {
    let group = match line.event {
        LogEvent::Epoch => "epoch",
        LogEvent::PartialEpoch => "partial_epoch",
        _ => "step",
    };
    let scalar = |(measure, value): &(Measure, Option<f64>)| {
        let tag = format!("{group}/{}", measure.key());
        value.map(|value| (tag, Value::Scalar(value as f32)))
    };
    line.values.iter().filter_map(scalar).collect()
}

/// Buckets of a histogram: as many as TensorFlow's own summaries have, in which TensorBoard's views
/// resample it anyway.
const BUCKETS: usize = 30;

/// Counts the finite values in 30 buckets of one width from the least to the largest, or in one if
/// they are all the same; nothing if there are none. A value on a limit counts above it, the
/// largest in the last bucket.
fn histogram(values: &[f32]) -> Option<Histogram> {
    let finite = || values.iter().filter(|value| value.is_finite()).map(|value| f64::from(*value));
    let (min, max) = (finite().reduce(f64::min)?, finite().reduce(f64::max)?);
    let buckets = if min == max { 1 } else { BUCKETS };
    let (width, last) = ((max - min) / buckets as f64, buckets - 1);
    let mut bucket_limit: Vec<f64> = (1..buckets).map(|limit| min + width * limit as f64).collect();
    bucket_limit.push(max);
    let mut histogram =
        Histogram { min, max, bucket_limit, bucket: vec![0.0; buckets], ..Default::default() };
    for value in finite() {
        // Rounded, the quotient can be off by one bucket. With one bucket it is NaN, which becomes
        // bucket 0.
        let mut at = (((value - min) / width) as usize).min(last);
        if at > 0 && value < histogram.bucket_limit[at - 1] {
            at -= 1;
        } else if at < last && value >= histogram.bucket_limit[at] {
            at += 1;
        }
        histogram.bucket[at] += 1.0;
        histogram.num += 1.0;
        histogram.sum += value;
        histogram.sum_squares += value * value;
    }
    Some(histogram)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_on_a_limit_count_above_it_and_the_largest_in_the_last_bucket() {
        let values: Vec<f32> = (0..=30).map(|value| value as f32 - 15.0).collect();
        let found = histogram(&values).unwrap();
        let mut counts = vec![1.0; 30];
        counts[29] = 2.0;
        assert_eq!((found.min, found.max, found.num, found.sum), (-15.0, 15.0, 31.0, 0.0));
        assert_eq!((found.bucket, found.sum_squares), (counts, 2480.0));
        assert_eq!(found.bucket_limit[..3], [-14.0, -13.0, -12.0]);
    }

    #[test]
    fn every_value_counts_between_the_limits_of_its_bucket() {
        let values: Vec<f32> = (0..10_000).map(|at: u32| ((at * at) as f32).sin() * 0.07 + 0.3).collect();
        let found = histogram(&values).unwrap();
        for (at, count) in found.bucket.iter().enumerate() {
            let from = if at == 0 { found.min } else { found.bucket_limit[at - 1] };
            let to = if at == 29 { f64::INFINITY } else { found.bucket_limit[at] };
            let expected = values.iter().filter(|value| (from..to).contains(&f64::from(**value))).count();
            assert_eq!(*count, expected as f64, "bucket {at}");
        }
    }

    #[test]
    fn equal_values_have_one_bucket_and_others_than_numbers_none() {
        let same = histogram(&[0.25, f32::NAN, 0.25, f32::INFINITY]).unwrap();
        assert_eq!((same.bucket_limit, same.bucket), (vec![0.25], vec![2.0]));
        assert_eq!(histogram(&[f32::NAN]), None);
        assert_eq!(histogram(&[]), None);
    }
}
