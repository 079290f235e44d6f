//! The log of a run for TensorBoard.

mod event_file;

use std::path::Path;

use self::event_file::{EventFile, Histogram, Value};
use super::LogError;
use super::metrics::{Lines, LogEvent, LogLine, Measure};
use crate::model::Tensor;
use crate::train::{Event, Position, Subscriber, SubscriberError};

/// A subscriber that writes an event file for TensorBoard, `events.out.tfevents.SECOND.phalanx`, to
/// the folder of the run, so that `tensorboard --logdir runs` shows all runs.
///
/// | tag | kind | value |
/// |---|---|---|
/// | `step/KEY` | scalar | the values of the line of a step in [`metrics.jsonl`](super::Metrics): `train_loss`, `lr`, `grad_norm`, `noise_scale`, `noise_scale_error` |
/// | `epoch/KEY` | scalar | the values of an epoch: `train_loss`, `test_loss`, `test_accuracy`, `noise_scale`, `noise_scale_error`, `samples_per_sec`, `epoch_secs`, `compute_secs`, `wait_secs`, `reduce_update_secs` |
/// | `partial_epoch/KEY` | scalar | the same values of a partial epoch at the end of a run |
/// | `params/TENSOR` | histogram | the params after an epoch, by tensor, such as `params/layers.0.weight`: finite values in 30 buckets of equal width from the smallest to the largest |
///
/// A scalar is the value of the line as f32, even if it is NaN or infinite, which TensorBoard
/// marks; unknown values are omitted. The step is that of the line, the wall time is the time of
/// writing. `grad_norm` is present if the run computes it:
/// [`Options::grad_norm_every`](crate::train::Options::grad_norm_every).
///
/// A resumed run writes a new file, with the records of the old file up to the point of resumption
/// and a `SessionLog` of status `START` at the next step, which marks that point; the old file is
/// emptied. So the folder contains each step once, for every reader. A TensorBoard that is already
/// running discards the obsolete records: the Python loader by the `START` mark at the beginning of
/// each file, the fast loader by the order of steps within each tag, so that it shows the values of
/// the partial epoch until it is restarted.
///
/// Scalars are `simple_value` and histograms `HistogramProto`, as in PyTorch's `SummaryWriter`:
/// TensorBoard converts them to its newer forms on reading, and other programs that read event
/// files support these forms best.
///
/// # Cost
///
/// One record per line, written with a single call. At the end of an epoch, rank 0 copies the
/// params, and the subscriber thread counts them.
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
    /// Starts a file in the folder of a run.
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

/// Returns the values of a line by tag. A step that diverged is included in the steps, so that
/// their curve shows it.
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

/// The number of buckets of a histogram: the same as in TensorFlow's summaries; TensorBoard's views
/// resample to this number anyway.
const BUCKETS: usize = 30;

/// Counts the finite values in 30 buckets of equal width from the smallest to the largest, or in
/// one bucket if all are equal; returns `None` without finite values. A value on a limit belongs to
/// the bucket above it, the largest value to the last bucket.
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
        // Because of rounding, the quotient can be off by one bucket. With one bucket it is NaN,
        // which becomes bucket 0.
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
    fn values_on_a_limit_belong_to_the_bucket_above_and_the_largest_to_the_last() {
        let values: Vec<f32> = (0..=30).map(|value| value as f32 - 15.0).collect();
        let found = histogram(&values).unwrap();
        let mut counts = vec![1.0; 30];
        counts[29] = 2.0;
        assert_eq!((found.min, found.max, found.num, found.sum), (-15.0, 15.0, 31.0, 0.0));
        assert_eq!((found.bucket, found.sum_squares), (counts, 2480.0));
        assert_eq!(found.bucket_limit[..3], [-14.0, -13.0, -12.0]);
    }

    #[test]
    fn every_value_is_between_the_limits_of_its_bucket() {
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
    fn equal_values_have_one_bucket_and_non_finite_values_no_bucket() {
        let same = histogram(&[0.25, f32::NAN, 0.25, f32::INFINITY]).unwrap();
        assert_eq!((same.bucket_limit, same.bucket), (vec![0.25], vec![2.0]));
        assert_eq!(histogram(&[f32::NAN]), None);
        assert_eq!(histogram(&[]), None);
    }
}
