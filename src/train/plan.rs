//! A plan: options for specific data and a specific model, validated and complete.

use std::ops::Range;

use super::error::TrainError;
use super::options::{Length, Metric, OnDivergence, Options, Shards};
use super::position::{Best, Position, Quality};
use super::samples::{memory_is_given, target_shape};
use super::score::check_score_weights;
use super::shards::{RankLayout, part, pieces};
use super::snapshot::Snapshot;
use crate::collective::tree::Node;
use crate::data::{Dataset, Targets};
use crate::model::{AnyModel, ErasedModel, Model, Tensor, segment_model};
use crate::optim::{BatchCut, Blocks, Hyper, L2Form, OptimizerOptions, Reduction, ScaleRate, Schedule};

/// A validated run: every choice is made, and all choices fit each other.
///
/// # Examples
///
/// ```
/// use phalanx::data::{LoadOptions, Source};
/// use phalanx::model::{Activation, Loss, Mlp, MlpShape};
/// use phalanx::train::{Metric, Options, Plan, Shards, TrainError};
///
/// let digits: Source = "digits".parse()?;
/// let data = digits.load(&LoadOptions::default())?;
/// let (hidden, activation, loss) = (vec![16], Activation::Relu, Loss::CrossEntropy);
/// let model = Mlp::new(MlpShape { inputs: 64, hidden, outputs: 10, activation, loss });
/// let options = Options { batch_size: 100, noise_scale: Some(Options::NOISE_INTERVAL), ..Options::default() };
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
    options: Options,
    layout: RankLayout,
    shards: usize,
    train_samples: usize,
    /// The total weight of the training samples.
    train_weight: f64,
    /// True if the training samples have weights.
    is_weighted: bool,
    test_samples: usize,
    total_steps: u64,
    hyper: Hyper,
    /// The learning rate after scaling, before the schedule.
    rate: f64,
    schedule: Schedule,
    metric: Metric,
    noise_interval: Option<u64>,
    blocks: Blocks,
    /// The boundaries of the ranks' ranges of blocks.
    block_cuts: Vec<usize>,
}

impl Plan {
    /// Validates the options against the data and the model, and fills in the defaults.
    ///
    /// # Errors
    ///
    /// If the run cannot be trained; each error explains how to fix it.
    pub fn new<M: Model>(
        options: &Options,
        model: &M,
        train: &Dataset,
        test: Option<&Dataset>,
    ) -> Result<Self, TrainError> {
        Self::of(options, &ErasedModel(model), train, test)
    }

    /// Creates a plan for a model of any type.
    pub(super) fn of(
        options: &Options,
        model: &AnyModel<'_>,
        train: &Dataset,
        test: Option<&Dataset>,
    ) -> Result<Self, TrainError> {
        check(options)?;
        check_data(options, model, train, test)?;
        let metric = metric(options, test)?;
        let hyper = options.optimizer.hyper()?;
        if hyper.l2_form() != L2Form::Gradient && options.reduction != Reduction::Mean {
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
            layout: RankLayout::alone(options.threads),
            shards,
            train_samples: train.len(),
            is_weighted: train.weights().is_some(),
            train_weight: train
                .weights()
                .map_or(train.len() as f64, |weights| weights.iter().map(|w| f64::from(*w)).sum()),
            test_samples: test.map_or(0, Dataset::len),
            total_steps,
            hyper,
            rate,
            schedule: Schedule::new(&options.schedule, rate, total_steps, steps_per_epoch)?,
            metric,
            noise_interval: noise_interval(options, model, largest)?,
            block_cuts: blocks.cut(options.threads),
            blocks,
            options: options.clone(),
        })
    }

    /// Returns the same plan for one of several processes.
    pub(super) fn at(self, layout: RankLayout) -> Self {
        Self { block_cuts: self.blocks.cut(layout.ranks()), layout, ..self }
    }

    /// Returns the number of threads of this process, each of which is a rank.
    pub fn threads(&self) -> usize {
        self.layout.ranks_of(self.layout.process()).len()
    }

    /// Returns the number of ranks, over all processes.
    pub fn ranks(&self) -> usize {
        self.layout.ranks()
    }

    /// Returns the number of processes that [share](super::Trainer::across) the run.
    pub fn processes(&self) -> usize {
        self.layout.processes()
    }

    /// Returns the ranks of each process.
    pub(super) fn layout(&self) -> &RankLayout {
        &self.layout
    }

    /// Returns the shards of a process, in a step with `shards` shards.
    fn shards_in(&self, process: usize, shards: usize) -> Range<usize> {
        let ranks = self.layout.ranks_of(process);
        let of = |rank| part(shards, self.ranks(), rank);
        of(ranks.start).start..of(ranks.end - 1).end
    }

    /// Returns the subtrees of the shards of a process, in order, in a step with `shards` shards.
    pub(super) fn subtrees_in(&self, process: usize, shards: usize) -> impl Iterator<Item = Node> + use<> {
        pieces(self.shards_in(process, shards), usize::MAX)
    }

    /// Returns the params that the ranks of a process own.
    pub(super) fn params_in(&self, process: usize) -> Range<usize> {
        let ranks = self.layout.ranks_of(process);
        self.blocks.params_range(self.block_cuts[ranks.start]..self.block_cuts[ranks.end])
    }

    /// Returns the number of samples of a full batch.
    pub fn batch_size(&self) -> usize {
        self.options.batch_size
    }

    /// Returns the number of shards of the largest batch. A batch with fewer samples than that has
    /// one shard per sample.
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// Returns the number of shards of a batch of `samples` samples: at most one per sample.
    pub fn shards_of(&self, samples: usize) -> usize {
        self.shards.min(samples)
    }

    /// Returns the number of samples of the largest batch: if the batch size exceeds the data, all
    /// of it is one short batch.
    pub fn max_batch_samples(&self) -> usize {
        self.options.batch_size.min(self.train_samples)
    }

    /// Returns the number of samples of the largest shard.
    pub fn max_shard_samples(&self) -> usize {
        self.max_batch_samples().div_ceil(self.shards)
    }

    /// Returns the reduction of gradients.
    pub fn reduction(&self) -> Reduction {
        self.options.reduction
    }

    /// Returns the number of training samples.
    pub fn train_samples(&self) -> usize {
        self.train_samples
    }

    /// Returns the number of test samples, 0 without test data.
    pub fn test_samples(&self) -> usize {
        self.test_samples
    }

    /// Returns the number of params.
    pub fn params_len(&self) -> usize {
        self.blocks.params_len()
    }

    /// Returns whether the samples are shuffled in each epoch.
    pub fn shuffle(&self) -> bool {
        self.options.shuffle
    }

    /// Returns the seed of the initial params and the sample order.
    pub fn seed(&self) -> u64 {
        self.options.seed
    }

    /// Returns the number of steps of one pass over the training samples.
    pub fn steps_per_epoch(&self) -> u64 {
        steps_per_epoch(self.train_samples, self.options.batch_size, self.options.drop_last)
    }

    /// Returns the number of steps of the run.
    pub fn total_steps(&self) -> u64 {
        self.total_steps
    }

    pub(crate) fn is_weighted(&self) -> bool {
        self.is_weighted
    }

    /// Returns the number of samples of the short last batch; `None` if all batches of an epoch are
    /// full, or the last is dropped.
    pub fn short_batch(&self) -> Option<usize> {
        let rest = self.train_samples % self.options.batch_size;
        (rest > 0 && !self.options.drop_last).then_some(rest)
    }

    /// Returns the batches of an epoch, as ranges of the sample order.
    pub fn batches(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (batch_size, samples) = (self.options.batch_size, self.train_samples);
        (0..self.steps_per_epoch() as usize).map(move |step| {
            let start = step * batch_size;
            start..samples.min(start + batch_size)
        })
    }

    /// Returns the options of the optimizer, with every default filled in.
    pub fn optimizer(&self) -> OptimizerOptions {
        self.hyper.options()
    }

    pub(super) fn hyper(&self) -> &Hyper {
        &self.hyper
    }

    /// Returns the divisor of λ of the coupled penalty in a step of total weight `weight`.
    pub(super) fn l2_divisor(&self, weight: f64) -> f64 {
        match self.hyper.l2_form() {
            L2Form::Gradient => 1.0,
            L2Form::BatchSum => weight,
            L2Form::DataSum => self.train_weight,
        }
    }

    /// Returns the learning rate after scaling to the batch size, before the schedule.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Returns the learning rate of a step, counted from 0.
    pub fn rate_at(&self, step: u64) -> f64 {
        self.schedule.rate_at(step)
    }

    /// Returns the maximum global norm of the reduced gradient.
    pub fn clip_grad_norm(&self) -> Option<f64> {
        self.options.clip_grad_norm
    }

    /// Returns the metric of the params.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Returns the improvement over the best so far that an epoch must exceed.
    pub fn min_gain(&self) -> f64 {
        self.options.min_gain
    }

    /// Returns whether a copy of the best params is kept.
    pub fn keep_best(&self) -> bool {
        self.options.keep_best
    }

    /// Returns the number of epochs without improvement after which the run ends.
    pub fn early_stop(&self) -> Option<u64> {
        self.options.early_stop
    }

    /// Returns whether an epoch is better than the best one so far.
    pub(super) fn is_gain(&self, now: &Quality, best: &Quality) -> bool {
        now.gain_over(best, self.metric).is_some_and(|gain| gain > self.options.min_gain)
    }

    /// Returns whether the run is `early_stop` epochs past its best epoch, after `epochs` epochs.
    pub(super) fn is_stale(&self, best: &Best, epochs: u64) -> bool {
        self.options.early_stop.is_some_and(|patience| epochs.saturating_sub(best.epoch + 1) >= patience)
    }

    /// Returns the number of steps between measurements of the gradient noise scale; `None` if it
    /// is not measured.
    pub fn noise_interval(&self) -> Option<u64> {
        self.noise_interval
    }

    /// Returns the reaction to a step whose loss or gradient is NaN or infinite.
    pub fn on_divergence(&self) -> OnDivergence {
        self.options.on_divergence
    }

    /// Returns the specification of a step, counted from 0.
    pub(super) fn step(&self, number: u64) -> StepSpec {
        let is_due = |every: u64| every != 0 && (number + 1).is_multiple_of(every);
        StepSpec {
            number,
            rate: self.rate_at(number),
            noise: self.noise_interval.is_some_and(is_due),
            norm: is_due(self.options.grad_norm_every),
        }
    }

    /// Returns the blocks into which params are divided for norms.
    pub(super) fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    /// Returns the blocks of a rank's segment.
    pub(super) fn block_run(&self, rank: usize) -> Range<usize> {
        self.block_cuts[rank]..self.block_cuts[rank + 1]
    }

    /// Returns the params that a rank owns.
    pub(super) fn segment(&self, rank: usize) -> Range<usize> {
        self.blocks.params_range(self.block_run(rank))
    }

    /// Returns the boundaries of all ranks' ranges of blocks.
    pub(super) fn block_cuts(&self) -> &[usize] {
        &self.block_cuts
    }

    /// Checks that the position of the snapshot fits a run of this plan, and that steps are left.
    pub(super) fn check_resumed(&self, snapshot: &Snapshot) -> Result<(), TrainError> {
        let (found, expected) = (snapshot.state_names(), self.hyper().state_names());
        if found != expected {
            let (kind, found) = (self.hyper().kind(), found.to_vec());
            return Err(TrainError::ResumedState { kind, found, expected });
        }
        let of_state = (0..found.len()).map(|index| snapshot.state(index).map(<[f32]>::len).sum());
        let best = snapshot.has_best().then(|| snapshot.best().map(<[f32]>::len).sum());
        let mut lengths = [snapshot.params().map(<[f32]>::len).sum()].into_iter().chain(of_state).chain(best);
        if let Some(found) = lengths.find(|len: &usize| *len != self.params_len()) {
            return Err(TrainError::ResumedParams { found, expected: self.params_len() });
        }
        let (steps_per_epoch, batch_size) = (self.steps_per_epoch(), self.batch_size());
        let position = snapshot.position();
        let Position { step, epoch, batch, .. } = *position;
        if !position.fits(steps_per_epoch, batch_size as u64) {
            let samples = position.sums.samples;
            return Err(TrainError::ResumedPosition {
                step,
                epoch,
                batch,
                samples,
                steps_per_epoch,
                batch_size,
            });
        }
        if self.keep_best() && position.best.is_some() && !snapshot.has_best() {
            return Err(TrainError::ResumedBest);
        }
        if let Some(best) = position.best.filter(|best| self.is_stale(best, epoch)) {
            return Err(TrainError::StoppedEarly { epoch, best: best.epoch + 1 });
        }
        if step >= self.total_steps() {
            return Err(TrainError::NothingLeft { step, total: self.total_steps() });
        }
        Ok(())
    }

    /// Checks that the system can provide the minimum memory of a run: the params and their backup
    /// copy, a gradient, the optimizer's state, the best params and the samples of a shard per
    /// rank. An error here is better than a failed allocation that ends the program during the run.
    pub(super) fn check_memory(&self, features: usize) -> Result<(), TrainError> {
        let (params, state) = (self.params_len(), self.hyper.state_names().len());
        let vectors = 3 + state + usize::from(self.options.keep_best);
        let samples = self.max_shard_samples() * self.threads().min(self.shards);
        let numbers = params.saturating_mul(vectors).saturating_add(samples.saturating_mul(features));
        let bytes = numbers.saturating_mul(size_of::<f32>());
        if memory_is_given(bytes) {
            Ok(())
        } else {
            Err(TrainError::Memory { params, samples, features, bytes })
        }
    }

    /// Returns the boundaries of the segments of the params that this process's ranks own.
    pub(super) fn param_cuts(&self) -> Vec<usize> {
        let Range { start, end } = self.layout.ranks_of(self.layout.process());
        self.block_cuts[start..=end].iter().map(|block| self.blocks.params_range(0..*block).end).collect()
    }
}

/// A step of a run.
#[derive(Clone, Copy)]
pub(super) struct StepSpec {
    /// The step, counted from 0.
    pub(super) number: u64,
    /// The learning rate.
    pub(super) rate: f64,
    /// True if the gradient noise scale is measured.
    pub(super) noise: bool,
    /// True if the norm of the gradient is reported.
    pub(super) norm: bool,
}

impl StepSpec {
    /// Returns whether the step measures anything in addition to its update, which has the same
    /// bits either way.
    pub(super) fn measures(&self) -> bool {
        self.noise || self.norm
    }
}

/// Returns the number of shards of a batch of `samples` samples; no shard is empty.
fn shards_of(shards: Shards, samples: usize) -> usize {
    shards.count(samples).min(samples)
}

/// Returns the learning rate passed, or the default of the optimizer, scaled to the batch size.
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

/// Checks the options on their own.
fn check(options: &Options) -> Result<(), TrainError> {
    if options.threads == 0 {
        return Err(TrainError::ZeroThreads);
    }
    if options.batch_size == 0 {
        return Err(TrainError::ZeroBatch);
    }
    if options.shards == Shards::Count(0) {
        return Err(TrainError::ZeroShards);
    }
    if matches!(options.length, Length::Epochs(0) | Length::Steps(0)) {
        return Err(TrainError::ZeroLength);
    }
    match options.clip_grad_norm {
        Some(found) if !(found > 0.0 && found.is_finite()) => Err(TrainError::ClipNorm { found }),
        _ => Ok(()),
    }
}

/// Checks the data against the options and the model.
fn check_data(
    options: &Options,
    model: &AnyModel<'_>,
    train: &Dataset,
    test: Option<&Dataset>,
) -> Result<(), TrainError> {
    let samples = train.len();
    if samples == 0 {
        return Err(TrainError::NoSamples);
    }
    if options.drop_last && samples < options.batch_size {
        return Err(TrainError::NoWholeBatch { samples, batch_size: options.batch_size });
    }
    if let Some(weights) = train.weights() {
        check_weights(weights)?;
    }
    test.map_or(Ok(()), check_score_weights)?;
    for data in [Some(train), test].into_iter().flatten() {
        model.check(data.features(), target_shape(data))?;
    }
    Ok(())
}

/// Returns the requested metric, or the first that the data allow.
fn metric(options: &Options, test: Option<&Dataset>) -> Result<Metric, TrainError> {
    if !(options.min_gain >= 0.0 && options.min_gain.is_finite()) {
        return Err(TrainError::MinGain { found: options.min_gain });
    }
    if options.early_stop == Some(0) {
        return Err(TrainError::ZeroEarlyStop);
    }
    let has_classes = test.is_some_and(|test| matches!(test.targets(), Targets::Classes { .. }));
    let missing = |metric| match metric {
        Metric::TestAccuracy | Metric::TestLoss if test.is_none() => Some("test samples"),
        Metric::TestAccuracy if !has_classes => Some("test samples with classes"),
        _ => None,
    };
    match options.metric {
        None => {
            let first = Metric::ALL.into_iter().find(|metric| missing(*metric).is_none());
            Ok(first.expect("the training loss is always available"))
        }
        Some(metric) => {
            missing(metric).map_or(Ok(metric), |missing| Err(TrainError::Metric { metric, missing }))
        }
    }
}

/// Checks that a gradient can be divided by the sum of any of the weights.
fn check_weights(weights: &[f32]) -> Result<(), TrainError> {
    let positive = || weights.iter().copied().filter(|weight| *weight > 0.0);
    let (least, total) = (positive().fold(f32::INFINITY, f32::min), positive().map(f64::from).sum::<f64>());
    if total == 0.0 {
        return Err(TrainError::ZeroWeight { samples: weights.len() });
    }
    if least < f32::MIN_POSITIVE || total > f64::from(f32::MAX) {
        return Err(TrainError::ExtremeWeights { least, total });
    }
    Ok(())
}

/// Returns the interval at which the noise scale is measured, if the largest batch has several
/// parts to compare.
fn noise_interval(
    options: &Options,
    model: &AnyModel<'_>,
    largest: usize,
) -> Result<Option<u64>, TrainError> {
    let interval = match options.noise_scale {
        None => return Ok(None),
        Some(0) => return Err(TrainError::ZeroNoiseInterval),
        Some(steps) => steps,
    };
    if largest < 2 {
        return Err(TrainError::NoiseOfOneSample);
    }
    if segment_model(model).is_none() && shards_of(options.shards, largest) < 2 {
        return Err(TrainError::NoiseOfOneShard { samples: largest });
    }
    Ok(Some(interval))
}
