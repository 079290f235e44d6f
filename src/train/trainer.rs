//! A run: starts one thread per rank, passes their events to the subscribers, and joins the
//! threads.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use super::error::TrainError;
use super::options::{Options, SaveEvery};
use super::outcome::{
    DivergedAt, Divergence, Outcome, RankOutcome, StopReason, find_divergence, outcome, tensor_of,
};
use super::phase::PhaseRecord;
use super::plan::Plan;
use super::position::Position;
use super::ranks::{Processes, Ranks};
use super::run::{Rollback, RunContext};
use super::score::Scorer;
use super::shards::part;
use super::snapshot::{Snapshot, SnapshotBuffers, SnapshotSegment, Start};
use super::subscriber::{Callback, Event, Subscriber, Subscribers};
use super::worker::Worker;
use crate::collective::{Shared, Wire, World};
use crate::data::{Dataset, sample_order};
use crate::model::{AnyModel, ErasedModel, Model};

/// Trains a model on data.
///
/// # Examples
///
/// Computes the mean of four numbers with a custom model, on two threads:
///
/// ```
/// use ndarray::array;
/// use phalanx::data::{Dataset, Targets};
/// use phalanx::model::{from_fn, Samples};
/// use phalanx::train::{Options, Trainer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let data = Dataset::from_arrays(array![[1.0], [2.0], [3.0], [6.0]], Targets::None, None)?;
/// let mean = from_fn(vec![0.0], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
///     grads[0] = samples.inputs.iter().map(|x| 2.0 * (params[0] - x)).sum();
///     samples.inputs.iter().map(|x| f64::from((params[0] - x).powi(2))).sum()
/// });
/// let options = Options { threads: 2, batch_size: 4, rate: Some(0.4), ..Options::default() };
/// let outcome = Trainer::new(&mean, &data, options).run()?;
/// assert!((outcome.params[0] - 3.0).abs() < 1e-3);
/// # Ok(())
/// # }
/// ```
pub struct Trainer<'a> {
    model: Box<AnyModel<'a>>,
    train: &'a Dataset,
    test: Option<&'a Dataset>,
    score_at: Vec<u64>,
    options: Options,
    initial: Option<Vec<f32>>,
    resumed: Option<Snapshot>,
    save_every: SaveEvery,
    stop: Option<&'a AtomicBool>,
    wire: Option<Box<dyn Wire + 'a>>,
    subscribers: Subscribers<'a>,
    /// A rank, and the hook that is called in each phase that it enters.
    #[cfg(test)]
    fault: Option<(usize, super::phase::PhaseHook)>,
}

impl<'a> Trainer<'a> {
    /// Prepares a run; nothing is validated before [`run`](Self::run).
    pub fn new<M: Model>(model: &'a M, train: &'a Dataset, options: Options) -> Self {
        Self {
            model: Box::new(ErasedModel(model)),
            train,
            test: None,
            score_at: Vec::new(),
            options,
            initial: None,
            resumed: None,
            save_every: SaveEvery::Never,
            stop: None,
            wire: None,
            subscribers: Subscribers::default(),
            #[cfg(test)]
            fault: None,
        }
    }

    /// Scores these samples after each epoch.
    pub fn test(self, test: &'a Dataset) -> Self {
        Self { test: Some(test), ..self }
    }

    /// Scores the test samples after these steps as well, counted from 1 and in any order; each
    /// score is reported as an [`Event::Score`]. Without test samples, nothing is reported.
    pub fn score_at(self, mut steps: Vec<u64>) -> Self {
        steps.sort_unstable();
        Self { score_at: steps, ..self }
    }

    /// Starts from these params instead of the model's own.
    pub fn initial_params(self, params: Vec<f32>) -> Self {
        Self { initial: Some(params), ..self }
    }

    /// Resumes a run with the same data, model and options from a snapshot; the result is
    /// bit-identical to an uninterrupted run, with any number of threads, and even from the middle
    /// of an epoch.
    ///
    /// The trainer does not check that data and options are the same, only that the snapshot fits
    /// them. A longer run is one way to change them; a schedule that depends on its length changes
    /// with it.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use phalanx::data::{Dataset, Targets};
    /// use phalanx::model::{from_fn, Samples};
    /// use phalanx::train::{Length, Options, Trainer};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let data = Dataset::from_arrays(array![[1.0], [2.0], [3.0], [6.0]], Targets::None, None)?;
    /// let mean = from_fn(vec![0.0], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
    ///     grads[0] = samples.inputs.iter().map(|x| 2.0 * (params[0] - x)).sum();
    ///     samples.inputs.iter().map(|x| f64::from((params[0] - x).powi(2))).sum()
    /// });
    /// let options = |steps| Options { batch_size: 3, length: Length::Steps(steps), ..Options::default() };
    /// let whole = Trainer::new(&mean, &data, options(5)).run()?;
    /// let half = Trainer::new(&mean, &data, options(3)).run()?.snapshot().unwrap();
    /// let rest = Trainer::new(&mean, &data, options(5)).resume(half).run()?;
    /// assert_eq!(rest.params, whole.params);
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume(self, snapshot: Snapshot) -> Self {
        Self { resumed: Some(snapshot), ..self }
    }

    /// Emits an [`Event::Snapshot`] at this interval; never by default.
    ///
    /// # Cost
    ///
    /// Each rank copies the segment of params and state that it owns; a step waits for nothing
    /// else. If the subscribers still hold two snapshots, no third is taken: it stays due until one
    /// of them is dropped.
    pub fn save_every(self, every: SaveEvery) -> Self {
        Self { save_every: every, ..self }
    }

    /// Adds a subscriber to the run's events. There may be several, which receive the events in the
    /// order in which they were added.
    ///
    /// # Examples
    ///
    /// Writes the log of the program `phalanx` from your own program:
    ///
    /// ```
    /// use phalanx::data::{LoadOptions, Source};
    /// use phalanx::model::{Activation, Loss, Mlp, MlpShape};
    /// use phalanx::log::RunDir;
    /// use phalanx::train::{Length, Options, Trainer};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let digits = "digits".parse::<Source>()?.load(&LoadOptions::default())?;
    /// let (hidden, activation, loss) = (vec![32], Activation::Relu, Loss::CrossEntropy);
    /// let model = Mlp::new(MlpShape { inputs: 64, hidden, outputs: 10, activation, loss });
    /// let trainer = Trainer::new(&model, &digits.train, Options { length: Length::Epochs(2), ..Options::default() });
    ///
    /// let mut dir = RunDir::create(&folder.path().join("run"))?;
    /// trainer.subscribe(dir.metrics(10)?).run()?;
    /// dir.keep();
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe(mut self, subscriber: impl Subscriber + 'a) -> Self {
        self.subscribers.add(subscriber);
        self
    }

    /// Adds a function that receives the run's events: a [subscriber](Self::subscribe) that cannot
    /// fail.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use phalanx::data::{Dataset, Targets};
    /// use phalanx::model::{from_fn, Samples};
    /// use phalanx::train::{Event, Options, Trainer};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let data = Dataset::from_arrays(array![[1.0], [2.0], [3.0], [6.0]], Targets::None, None)?;
    /// let mean = from_fn(vec![0.0], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
    ///     grads[0] = samples.inputs.iter().map(|x| 2.0 * (params[0] - x)).sum();
    ///     samples.inputs.iter().map(|x| f64::from((params[0] - x).powi(2))).sum()
    /// });
    /// let mut losses = Vec::new();
    /// let trainer = Trainer::new(&mean, &data, Options::default()).on_event(|event| {
    ///     if let Event::Epoch(epoch) = event {
    ///         losses.push(epoch.train_loss);
    ///     }
    /// });
    /// trainer.run()?;
    /// assert!(losses.len() == 10 && losses[9] < losses[0]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_event(self, receive: impl FnMut(&Event<'_>) + 'a) -> Self {
        self.subscribe(Callback(receive))
    }

    /// Ends the run after the first step that begins once this flag is set.
    pub fn stop_on(self, stop: &'a AtomicBool) -> Self {
        Self { stop: Some(stop), ..self }
    }

    /// Shares the run with other processes: each creates a trainer with the same data, model and
    /// options, and all call [`run`](Self::run). Their numbers of threads may differ: ranks are
    /// counted over all processes.
    ///
    /// Params, losses and state have the bits of a run in one process, for any number of processes
    /// and threads; each process returns the whole [`Outcome`], except for the phases, which are
    /// those of its own ranks. All subscribers receive the same steps and epochs, but only process
    /// 0 emits an [`Event::Snapshot`]. A [stop flag](Self::stop_on) of any process, and a
    /// subscriber that fails, stop all processes. If a process fails for another reason, the others
    /// wait for it: they end with [`TrainError::Processes`], at the latest after
    /// [`Options::timeout`].
    ///
    /// # Cost
    ///
    /// Each process sends `(n−1)/n` of the params for every subtree of its shards, and then the
    /// same amount of updated params: `2(n−1)/n` in total if every process has 2^k shards that
    /// begin at a multiple of 2^k. A step takes four more latencies of the wire, plus one for each
    /// norm or check of the whole gradient before its update. Each process holds all samples and
    /// params; the optimizer's state is distributed.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use phalanx::collective::LocalWire;
    /// use phalanx::data::{Dataset, Targets};
    /// use phalanx::model::{from_fn, Samples};
    /// use phalanx::train::{Options, Trainer};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let data = Dataset::from_arrays(array![[1.0], [2.0], [3.0], [6.0]], Targets::None, None)?;
    /// let mean = from_fn(vec![0.0], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
    ///     grads[0] = samples.inputs.iter().map(|x| 2.0 * (params[0] - x)).sum();
    ///     samples.inputs.iter().map(|x| f64::from((params[0] - x).powi(2))).sum()
    /// });
    /// let options = Options { threads: 2, batch_size: 4, rate: Some(0.3), ..Options::default() };
    /// let alone = Trainer::new(&mean, &data, options.clone()).run()?;
    /// std::thread::scope(|scope| {
    ///     for mut wire in LocalWire::connect(3) {
    ///         let (mean, data, options, alone) = (&mean, &data, options.clone(), &alone);
    ///         scope.spawn(move || {
    ///             let outcome = Trainer::new(mean, data, options).across(&mut wire).run().unwrap();
    ///             assert_eq!(outcome.params, alone.params);
    ///         });
    ///     }
    /// });
    /// # Ok(())
    /// # }
    /// ```
    pub fn across(self, wire: impl Wire + 'a) -> Self {
        Self { wire: Some(Box::new(wire)), ..self }
    }

    /// Injects a fault into a rank.
    #[cfg(test)]
    pub(super) fn fault(self, rank: usize, fault: super::phase::PhaseHook) -> Self {
        Self { fault: Some((rank, fault)), ..self }
    }

    /// Returns the plan of the run; a snapshot to resume from is checked against it.
    ///
    /// # Errors
    ///
    /// If the options, the data, the model and the snapshot to resume from do not fit each other,
    /// or no steps are left.
    pub fn plan(&self) -> Result<Plan, TrainError> {
        if matches!(self.save_every, SaveEvery::Steps(0) | SaveEvery::Epochs(0)) {
            return Err(TrainError::ZeroSaveEvery);
        }
        let plan = Plan::of(&self.options, &*self.model, self.train, self.test)?;
        self.resumed.as_ref().map_or(Ok(()), |snapshot| plan.check_resumed(snapshot))?;
        Ok(plan)
    }

    /// Trains, and passes events to the subscribers on the calling thread.
    ///
    /// # Errors
    ///
    /// If the options, the data, the model, the initial params and the snapshot do not fit each
    /// other, no steps are left, there is not enough memory, a thread cannot be started, a rank
    /// panics (in the model, say) or waits longer than the timeout for another, a subscriber fails,
    /// or the processes differ or cannot continue together. All threads have ended by then.
    ///
    /// # Panics
    ///
    /// If a subscriber panics, or the model does on the calling thread, such as in
    /// [`Model::initial_params`].
    pub fn run(mut self) -> Result<Outcome, TrainError> {
        let plan = self.plan()?;
        plan.check_memory(self.train.features())?;
        let mut start = match self.resumed.take() {
            Some(snapshot) => Start { position: *snapshot.position(), values: snapshot.joined() },
            None => {
                let initial = self.initial.take();
                let params = initial.unwrap_or_else(|| self.model.initial_params(plan.seed()));
                Start { values: SnapshotSegment { params, ..SnapshotSegment::default() }, ..Start::default() }
            }
        };
        let (found, expected) = (start.values.params.len(), plan.params_len());
        if found != expected {
            return Err(TrainError::InitialParams { found, expected });
        }
        let mut wire = self.wire.take().filter(|wire| wire.processes() > 1);
        let processes = match wire.as_deref_mut() {
            Some(wire) => Some(Processes::meet(wire, plan.threads(), self.options.timeout)?),
            None => None,
        };
        if let Some(processes) = &processes {
            agree(processes, &self.agreement(&start))?;
        }
        let plan = match &processes {
            Some(processes) => plan.at(processes.layout().clone()),
            None => plan,
        };
        let threads = plan.threads();
        let world = match self.options.timeout {
            Some(timeout) => World::with_timeout(threads, timeout)?,
            None => World::new(threads)?,
        };
        let phases = (0..threads).map(|_| PhaseRecord::default());
        #[cfg(test)]
        let phases = plant(phases, self.fault.take());
        let (samples, never) = (self.train.len(), AtomicBool::new(false));
        let run = RunContext {
            params: Shared::within(&world, std::mem::take(&mut start.values.params), plan.param_cuts())?,
            order: Shared::new(&world, (0..samples as u32).collect(), rank_0_owns(samples, threads))?,
            plan,
            model: &*self.model,
            train: self.train,
            test: self.test,
            score_at: self.score_at,
            start,
            save_every: self.save_every,
            buffers: SnapshotBuffers::two(threads),
            rollback: Rollback::new(threads),
            phases: phases.map(Arc::new).collect(),
            stop: self.stop.unwrap_or(&never),
            quit: AtomicBool::new(false),
        };
        self.subscribers.notify(&Event::Start(&run.plan), &run.quit);
        let ranks = world.communicators();
        let ranks = ranks.map(|comm| Ranks::new(comm, processes.as_ref(), &run.plan)).collect();
        let ranks = match run_ranks(&run, ranks, &mut self.subscribers) {
            Ok(ranks) => ranks,
            Err(TrainError::Panicked { rank, step, phase, message, .. }) => {
                let params = run.rollback.last_whole(run.params, step - 1);
                return Err(TrainError::Panicked { rank, step, phase, message, params });
            }
            Err(error) => return Err(error),
        };
        let RunContext { plan, model, train, params, .. } = run;
        let mut outcome = outcome(&ranks, params.into_inner(), plan.keep_best());
        if let Some(processes) = &processes {
            processes.complete(&mut outcome, &plan)?;
        }
        outcome.divergence = divergence(&ranks[0], &plan, model, train, &outcome.params);
        match self.subscribers.into_failure() {
            Some(source) => Err(TrainError::Subscriber { source, outcome: Box::new(outcome) }),
            None => Ok(outcome),
        }
    }

    /// Returns the values that must be the same in every process, one per line: a name and its
    /// value. Threads and timeout may differ.
    ///
    /// The score of the first samples detects differences that the other values do not: another
    /// model function with the same tensors, other inputs gathered from the same stored samples,
    /// and cores that compute different bits.
    ///
    /// # Cost
    ///
    /// Reads all samples, params and state.
    fn agreement(&self, start: &Start) -> String {
        let Start { position, values } = start;
        let Position { step, epoch, batch, updates, skipped, weightless, sums, noise_scale: noise, best } =
            position;
        let steps = (updates, skipped, weightless);
        let course = (epoch, batch, steps, sums.loss, sums.weight, noise, best);
        let state: Vec<u32> = values.state.iter().map(|vector| checksum(vector)).collect();
        let first = Scorer::new(&*self.model, self.train).score(&values.params, 0).sums().map(f64::to_bits);
        let Options {
            threads: _,
            timeout: _,
            batch_size,
            shards,
            reduction,
            length,
            optimizer,
            rate,
            schedule,
            scale_rate,
            base_batch_size,
            clip_grad_norm,
            drop_last,
            shuffle,
            metric,
            min_gain,
            early_stop,
            keep_best,
            noise_scale,
            grad_norm_every,
            on_divergence,
            seed,
        } = &self.options;
        let all: [(&str, &dyn Debug); 23] = [
            ("the version of phalanx", &env!("CARGO_PKG_VERSION")),
            ("the training samples", &self.train.fingerprint()),
            ("the test samples", &self.test.map(Dataset::fingerprint)),
            ("the model", &self.model.tensors()),
            ("the initial params", &checksum(&values.params)),
            ("the step to resume from", step),
            ("the state to resume from", &(course, state, checksum(&values.best))),
            ("the score of the first samples", &first),
            ("the batch size", batch_size),
            ("the shards", shards),
            ("the reduction", reduction),
            ("the length of the run", length),
            ("the optimizer", optimizer),
            ("the rate", rate),
            ("the schedule", schedule),
            ("the scaling of the rate", &(scale_rate, base_batch_size)),
            ("the clipping", clip_grad_norm),
            ("the handling of a short last batch", drop_last),
            ("the shuffling", shuffle),
            ("the metric and early stopping", &(metric, min_gain, early_stop, keep_best)),
            ("the measurements", &(noise_scale, grad_norm_every)),
            ("the reaction to divergence", on_divergence),
            ("the seed", seed),
        ];
        let line = |(name, value): (&str, &dyn Debug)| format!("{name}\t{value:?}\n");
        all.map(line).concat() + &line(("the steps to score after", &self.score_at))
    }
}

/// Compares the [agreement](Trainer::agreement) of all processes: an error on each of them names
/// the first value that differs from process 0.
fn agree(processes: &Processes<'_>, own: &str) -> Result<(), TrainError> {
    let texts = processes.gather_texts(own)?;
    for (process, text) in texts.iter().enumerate() {
        let mut pairs = texts[0].lines().zip(text.lines());
        if let Some((expected, found)) = pairs.find(|(expected, found)| expected != found) {
            let split = |line: &str| {
                let (name, value) = line.split_once('\t').unwrap_or((line, line));
                (name.to_owned(), value.to_owned())
            };
            let ((what, expected), (_, found)) = (split(expected), split(found));
            return Err(TrainError::Disagreement { process, what, found, expected });
        }
    }
    Ok(())
}

fn checksum(values: &[f32]) -> u32 {
    crc32c::crc32c(bytemuck::cast_slice(values))
}

/// Runs one thread for each rank of this process, delivers the events of the first, and joins all
/// threads.
fn run_ranks(
    run: &RunContext<'_>,
    all: Vec<Ranks<'_>>,
    subscribers: &mut Subscribers<'_>,
) -> Result<Vec<RankOutcome>, TrainError> {
    thread::scope(|scope| {
        let (sender, receiver) = subscribers.channel();
        let mut sender = Some(sender);
        let mut threads = Vec::with_capacity(all.len());
        for ranks in all {
            let (rank, events) = (ranks.rank(), sender.take());
            let work = move || Worker::new(run, ranks, events).run();
            let thread = thread::Builder::new().name(format!("rank {rank}")).spawn_scoped(scope, work);
            threads.push(thread.map_err(|source| TrainError::Spawn { rank, source })?);
        }
        subscribers.deliver(receiver, &run.quit);
        let ends = threads.into_iter().enumerate().map(|(thread, handle)| match handle.join() {
            Ok(end) => end,
            Err(payload) => {
                let (rank, last) = (run.plan.layout().rank(thread), run.phases[thread].last());
                Err(TrainError::panicked(rank, last, payload.as_ref()))
            }
        });
        settle(ends.collect())
    })
}

/// Returns all results if all ranks succeeded; otherwise the error that caused the others.
fn settle(ends: Vec<Result<RankOutcome, TrainError>>) -> Result<Vec<RankOutcome>, TrainError> {
    let (good, bad): (Vec<_>, Vec<_>) = ends.into_iter().partition(Result::is_ok);
    match bad.into_iter().filter_map(Result::err).min_by_key(TrainError::distance_from_cause) {
        Some(error) => Err(error),
        None => Ok(good.into_iter().flatten().collect()),
    }
}

/// Returns the point at which the run diverged, if it did in a step; the params are those before
/// the step.
fn divergence(
    rank: &RankOutcome,
    plan: &Plan,
    model: &AnyModel<'_>,
    train: &Dataset,
    params: &[f32],
) -> Option<Divergence> {
    let (at, batch) = rank.diverged.clone().filter(|_| rank.reason == StopReason::Diverged)?;
    let step = rank.position.step;
    Some(match at {
        DivergedAt::Param(param) => Divergence::Update { step, tensor: tensor_of(model, param) },
        DivergedAt::Gradient => {
            let mut order: Vec<u32> = (0..train.len() as u32).collect();
            if plan.shuffle() {
                sample_order(plan.seed(), (step - 1) / plan.steps_per_epoch(), &mut order);
            }
            let (samples, shards) = (&order[batch.clone()], plan.shards_of(batch.len()));
            let shards = (0..shards).map(|shard| &samples[part(samples.len(), shards, shard)]);
            find_divergence(model, train, params, step, shards)
        }
    })
}

/// Returns boundaries that assign all of `len` values to rank 0.
fn rank_0_owns(len: usize, ranks: usize) -> Vec<usize> {
    let mut cuts = vec![len; ranks + 1];
    cuts[0] = 0;
    cuts
}

#[cfg(test)]
fn plant(
    phases: impl Iterator<Item = PhaseRecord>,
    mut fault: Option<(usize, super::phase::PhaseHook)>,
) -> impl Iterator<Item = PhaseRecord> {
    phases.enumerate().map(move |(rank, mut record)| {
        record.hook = fault.take_if(|(struck, _)| *struck == rank).map(|(_, fault)| fault);
        record
    })
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::data::Targets;
    use crate::model::{Samples, from_fn};
    use crate::train::{Length, PhaseTimes};

    #[test]
    fn the_outcome_adds_up_the_phases_of_all_epochs_for_every_rank() {
        let data = Dataset::from_arrays(array![[1.0], [2.0], [3.0], [6.0]], Targets::None, None).unwrap();
        let model = from_fn(vec![0.0], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
            grads[0] = samples.inputs.iter().map(|x| params[0] - x).sum();
            0.0
        });
        let options = Options { threads: 3, length: Length::Epochs(2), ..Options::default() };
        let mut of_rank_0 = PhaseTimes::default();
        let outcome = Trainer::new(&model, &data, options)
            .on_event(|event| {
                if let Event::Epoch(epoch) = event {
                    of_rank_0 += epoch.phases;
                }
            })
            .run();
        let phases = outcome.unwrap().phases;
        assert_eq!((phases.len(), phases[0]), (3, of_rank_0));
        assert!(phases.iter().all(|rank| !rank.compute.is_zero() && !rank.wait.is_zero()), "{phases:?}");
    }

    #[test]
    fn scores_are_reported_after_the_requested_steps_for_the_params_at_that_step() {
        let data = Dataset::from_arrays(array![[1.0], [2.0], [3.0], [6.0]], Targets::None, None).unwrap();
        let model = from_fn(vec![0.0], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
            grads[0] = samples.inputs.iter().map(|x| params[0] - x).sum();
            samples.inputs.iter().map(|x| f64::from(params[0] - x).powi(2)).sum()
        });
        let options =
            |steps| Options { batch_size: 3, threads: 2, length: Length::Steps(steps), ..Options::default() };
        let mut scores = Vec::new();
        let trainer = Trainer::new(&model, &data, options(6)).test(&data).score_at(vec![9, 5, 0, 2]);
        trainer
            .on_event(|event| {
                scores.extend(if let Event::Score { step, test } = event {
                    Some((*step, *test))
                } else {
                    None
                })
            })
            .run()
            .unwrap();
        assert_eq!(scores.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [2, 5]);
        for (step, test) in scores {
            let outcome = Trainer::new(&model, &data, options(step)).run().unwrap();
            assert_eq!(crate::train::score(&model, &outcome.params, &data).unwrap(), test);
        }
    }
}
