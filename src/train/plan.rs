//! What options come to on given data and a given model: checked, and complete.

mod check;

use std::ops::Range;

use self::check::{check, check_data, metric, noise_interval};
use super::place::Place;
use super::shards::part;
use super::{Best, Length, Metric, OnDivergence, Options, Quality, Shards, TrainError};
use crate::data::Dataset;
use crate::model::{Model, Tensor};
use crate::optim::{BatchCut, Blocks, Hyper, L2Form, Reduction, ScaleRate, Schedule};

/// A run that can begin: nothing in it is left to choose, and every choice fits the others.
///
/// # Examples
///
/// ```
/// use phalanx::data::{LoadOptions, Source};
/// use phalanx::model::{Activation, Loss, Mlp, MlpShape};
/// use phalanx::train::{Metric, NoiseInterval, Options, Plan, Shards, TrainError};
///
/// let digits: Source = "digits".parse()?;
/// let data = digits.load(&LoadOptions::default())?;
/// let (hidden, activation, loss) = (vec![16], Activation::Relu, Loss::CrossEntropy);
/// let model = Mlp::new(MlpShape { inputs: 64, hidden, outputs: 10, activation, loss });
/// let options = Options { batch_size: 100, noise_scale: Some(NoiseInterval::Auto), ..Options::default() };
/// let plan = Plan::new(&options, &model, &data.train, data.test.as_ref())?;
/// assert_eq!((plan.steps_per_epoch(), plan.short_batch(), plan.shards()), (15, Some(37), 4));
/// assert_eq!(plan.shards(), Shards::Auto.count(100));
/// assert_eq!((plan.noise_interval(), plan.metric()), (Some(10), Metric::TestAccuracy));
///
/// let none = Options { batch_size: 0, ..options };
/// let refused = Plan::new(&none, &model, &data.train, None);
/// assert!(matches!(refused, Err(TrainError::ZeroBatch)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Plan {
    place: Place,
    batch_size: usize,
    shards: usize,
    reduction: Reduction,
    train_samples: usize,
    test_samples: usize,
    drop_last: bool,
    shuffle: bool,
    seed: u64,
    total_steps: u64,
    hyper: Hyper,
    /// The rate after scaling, before the schedule.
    rate: f64,
    schedule: Schedule,
    clip_grad_norm: Option<f64>,
    metric: Metric,
    min_gain: f64,
    early_stop: Option<u64>,
    keep_best: bool,
    noise_interval: Option<u64>,
    grad_norm_every: u64,
    on_divergence: OnDivergence,
    blocks: Blocks,
    /// Boundaries of the ranks' runs of blocks.
    block_cuts: Vec<usize>,
}

impl Plan {
    /// Checks the options against the data and the model, and fills in what they leave open.
    ///
    /// # Errors
    ///
    /// Whatever cannot be trained, each with what to do about it.
    pub fn new<M: Model>(
        options: &Options,
        model: &M,
        train: &Dataset,
        test: Option<&Dataset>,
    ) -> Result<Self, TrainError> {
        check(options)?;
        check_data(options, model, train, test)?;
        let metric = metric(options, test)?;
        let hyper = options.optimizer.check()?;
        if hyper.l2_form() == L2Form::BatchSum && options.reduction != Reduction::Mean {
            return Err(TrainError::L2Form { reduction: options.reduction });
        }
        let largest = options.batch_size.min(train.len());
        let shards = shards_of(options.shards, largest);
        let steps_per_epoch = steps_per_epoch(train.len(), options.batch_size, options.drop_last);
        let total_steps = match options.length {
            Length::Epochs(epochs) => epochs.saturating_mul(steps_per_epoch),
            Length::Steps(steps) => steps,
        };
        let rate = scaled_rate(options, &hyper, BatchCut { batch_size: largest, shards })?;
        let tensors: Vec<_> = model.tensors().iter().map(Tensor::rows).collect();
        let biases = model.tensors().iter().map(|tensor| tensor.shape.len() == 1).collect();
        let blocks = Blocks::of_rows(&tensors).with_biases(biases);
        Ok(Self {
            place: Place::alone(options.threads),
            batch_size: options.batch_size,
            shards,
            reduction: options.reduction,
            train_samples: train.len(),
            test_samples: test.map_or(0, Dataset::len),
            drop_last: options.drop_last,
            shuffle: options.shuffle,
            seed: options.seed,
            total_steps,
            hyper,
            rate,
            schedule: Schedule::new(&options.schedule, rate, total_steps, steps_per_epoch)?,
            clip_grad_norm: options.clip_grad_norm,
            metric,
            min_gain: options.min_gain,
            early_stop: options.early_stop,
            keep_best: options.keep_best,
            noise_interval: noise_interval(options, model, largest)?,
            grad_norm_every: options.grad_norm_every,
            on_divergence: options.on_divergence,
            block_cuts: blocks.cut(options.threads),
            blocks,
        })
    }

    /// The plan of a process among several.
    pub(super) fn at(self, place: Place) -> Self {
        Self { block_cuts: self.blocks.cut(place.ranks()), place, ..self }
    }

    /// Threads of this process, each a rank.
    pub fn threads(&self) -> usize {
        self.place.ranks_of(self.place.process()).len()
    }

    /// Number of ranks, over all processes.
    pub fn ranks(&self) -> usize {
        self.place.ranks()
    }

    /// Number of processes that [share](super::Trainer::across) the run.
    pub fn processes(&self) -> usize {
        self.place.processes()
    }

    /// Which ranks are in which process.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The shards of a process, of a step that has so many.
    pub(super) fn shards_in(&self, process: usize, shards: usize) -> Range<usize> {
        let ranks = self.place.ranks_of(process);
        let of = |rank| part(shards, self.ranks(), rank);
        of(ranks.start).start..of(ranks.end - 1).end
    }

    /// The params that the ranks of a process own.
    pub(super) fn params_in(&self, process: usize) -> Range<usize> {
        let ranks = self.place.ranks_of(process);
        self.blocks.params_range(self.block_cuts[ranks.start]..self.block_cuts[ranks.end])
    }

    /// Samples of a full batch.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// Shards of the largest batch. A batch of fewer samples than that has one shard a sample.
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// Shards of a batch of `samples` samples: no more than one a sample.
    pub fn shards_of(&self, samples: usize) -> usize {
        self.shards.min(samples)
    }

    /// Samples of the largest batch: a batch size beyond the data makes one short batch of all of it.
    pub fn max_batch_samples(&self) -> usize {
        self.batch_size.min(self.train_samples)
    }

    /// Samples of the largest shard.
    pub fn max_shard_samples(&self) -> usize {
        self.max_batch_samples().div_ceil(self.shards)
    }

    /// How gradients are reduced.
    pub fn reduction(&self) -> Reduction {
        self.reduction
    }

    /// Training samples.
    pub fn train_samples(&self) -> usize {
        self.train_samples
    }

    /// Test samples, 0 without.
    pub fn test_samples(&self) -> usize {
        self.test_samples
    }

    /// Number of params.
    pub fn params_len(&self) -> usize {
        self.blocks.params_len()
    }

    /// Whether each epoch has a sample order of its own.
    pub fn shuffle(&self) -> bool {
        self.shuffle
    }

    /// Seed of initial params and sample order.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Steps of one pass over the training samples.
    pub fn steps_per_epoch(&self) -> u64 {
        steps_per_epoch(self.train_samples, self.batch_size, self.drop_last)
    }

    /// Steps of the run.
    pub fn total_steps(&self) -> u64 {
        self.total_steps
    }

    /// Samples of the short last batch; `None` if all batches of an epoch are full, or the last is left out.
    pub fn short_batch(&self) -> Option<usize> {
        let rest = self.train_samples % self.batch_size;
        (rest > 0 && !self.drop_last).then_some(rest)
    }

    /// The batches of an epoch, as ranges of the sample order.
    pub fn batches(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (batch_size, samples) = (self.batch_size, self.train_samples);
        (0..self.steps_per_epoch() as usize).map(move |step| {
            let start = step * batch_size;
            start..samples.min(start + batch_size)
        })
    }

    /// The checked optimizer.
    pub fn hyper(&self) -> &Hyper {
        &self.hyper
    }

    /// What λ of the coupled penalty is divided by in a step of total weight `weight`.
    pub(super) fn l2_divisor(&self, weight: f64) -> f64 {
        if self.hyper.l2_form() == L2Form::BatchSum { weight } else { 1.0 }
    }

    /// The learning rate after scaling to the batch size, before the schedule.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// The learning rate of a step, counted from 0.
    pub fn rate_at(&self, step: u64) -> f64 {
        self.schedule.rate_at(step)
    }

    /// Largest global norm of the reduced gradient.
    pub fn clip_grad_norm(&self) -> Option<f64> {
        self.clip_grad_norm
    }

    /// What the params are judged by.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// How much better than the best so far an epoch must at least be.
    pub fn min_gain(&self) -> f64 {
        self.min_gain
    }

    /// Whether a copy of the best params is kept.
    pub fn keep_best(&self) -> bool {
        self.keep_best
    }

    /// Epochs without gain after which the run ends.
    pub fn early_stop(&self) -> Option<u64> {
        self.early_stop
    }

    /// Whether an epoch is better than the best before it.
    pub(super) fn is_gain(&self, now: &Quality, best: &Quality) -> bool {
        now.gain_over(best, self.metric).is_some_and(|gain| gain > self.min_gain)
    }

    /// Whether the run has gone on for too long since its best epoch, after so many epochs.
    pub(super) fn is_stale(&self, best: &Best, epochs: u64) -> bool {
        self.early_stop.is_some_and(|patience| epochs.saturating_sub(best.epoch + 1) >= patience)
    }

    /// Steps from one measurement of the gradient noise scale to the next; `None` if it is not measured.
    pub fn noise_interval(&self) -> Option<u64> {
        self.noise_interval
    }

    /// What is done with a step whose loss or gradient is no finite number.
    pub fn on_divergence(&self) -> OnDivergence {
        self.on_divergence
    }

    /// Whether a step, counted from 0, tells the norm of its gradient though it does not clip.
    pub(super) fn tells_grad_norm(&self, step: u64) -> bool {
        self.grad_norm_every != 0 && (step + 1).is_multiple_of(self.grad_norm_every)
    }

    /// Whether a step, counted from 0, measures the noise scale: the last of every so many.
    pub(super) fn measures_noise(&self, step: u64) -> bool {
        self.noise_interval.is_some_and(|interval| (step + 1).is_multiple_of(interval))
    }

    /// The blocks that params are cut into for norms.
    pub(super) fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    /// The blocks of a rank's segment.
    pub(super) fn block_run(&self, rank: usize) -> Range<usize> {
        self.block_cuts[rank]..self.block_cuts[rank + 1]
    }

    /// The params that a rank owns.
    pub(super) fn segment(&self, rank: usize) -> Range<usize> {
        self.blocks.params_range(self.block_run(rank))
    }

    /// Number of params that a rank owns.
    pub(super) fn segment_len(&self, rank: usize) -> usize {
        self.segment(rank).len()
    }

    /// Boundaries of all ranks' runs of blocks.
    pub(super) fn block_cuts(&self) -> &[usize] {
        &self.block_cuts
    }

    /// Boundaries of the segments of the params that this process's ranks own.
    pub(super) fn param_cuts(&self) -> Vec<usize> {
        let Range { start, end } = self.place.ranks_of(self.place.process());
        self.block_cuts[start..=end].iter().map(|block| self.blocks.params_range(0..*block).end).collect()
    }
}

/// Shards of a batch of so many samples: none is empty.
fn shards_of(shards: Shards, samples: usize) -> usize {
    shards.count(samples).min(samples)
}

/// The rate given, or the default of the optimizer, carried over to the batch size.
fn scaled_rate(options: &Options, hyper: &Hyper, now: BatchCut) -> Result<f64, TrainError> {
    let rate = options.rate.unwrap_or_else(|| hyper.kind().default_rate());
    let (scale, base) = (options.scale_rate, options.base_batch_size);
    match (scale, base) {
        (ScaleRate::None, None) => Ok(rate),
        (ScaleRate::None, Some(found)) => Err(TrainError::UnusedBaseBatch { found }),
        (_, None | Some(0)) => Err(TrainError::NoBaseBatch),
        (_, Some(batch_size)) => {
            let base = BatchCut { batch_size, shards: shards_of(options.shards, batch_size) };
            Ok(rate * scale.factor(hyper.kind(), options.reduction, base, now))
        }
    }
}

fn steps_per_epoch(samples: usize, batch_size: usize, drop_last: bool) -> u64 {
    let steps = if drop_last { samples / batch_size } else { samples.div_ceil(batch_size) };
    steps as u64
}
