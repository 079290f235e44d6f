//! Starts the ranks of a run and hears what they tell.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::agreement::Agreement;
use super::kept::{Kept, last_whole};
use super::memory::check_memory;
use super::outcome::outcome;
use super::processes::Processes;
use super::ranks::Ranks;
use super::run::{Broken, Run};
use super::slot::Slot;
use super::start::{self, Start};
use super::subscriber::{Audience, Ear};
use super::threads::train_on;
use super::{Event, Options, Outcome, Plan, SaveEvery, Snapshot, Subscriber, TrainError};
use crate::collective::{Shared, Wire, World};
use crate::data::Dataset;
use crate::model::Model;

/// Trains a model on data.
///
/// # Examples
///
/// The mean of four numbers by a model of one's own, on two threads:
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
pub struct Trainer<'a, M> {
    model: &'a M,
    train: &'a Dataset,
    test: Option<&'a Dataset>,
    score_at: Vec<u64>,
    options: Options,
    initial: Option<Vec<f32>>,
    resumed: Option<Snapshot>,
    save_every: SaveEvery,
    stop: Option<&'a AtomicBool>,
    wire: Option<Box<dyn Wire + 'a>>,
    audience: Audience<'a>,
    #[cfg(test)]
    pub(super) fault: Option<super::fault::Fault>,
}

impl<'a, M: Model> Trainer<'a, M> {
    /// Prepares a run; nothing is checked before [`run`](Self::run).
    pub fn new(model: &'a M, train: &'a Dataset, options: Options) -> Self {
        Self {
            model,
            train,
            test: None,
            score_at: Vec::new(),
            options,
            initial: None,
            resumed: None,
            save_every: SaveEvery::Never,
            stop: None,
            wire: None,
            audience: Audience::default(),
            #[cfg(test)]
            fault: None,
        }
    }

    /// Scores these samples after each epoch.
    pub fn test(self, test: &'a Dataset) -> Self {
        Self { test: Some(test), ..self }
    }

    /// Scores the test samples after these steps as well, counted from 1, each told as an [`Event::Score`]. The order plays no
    /// part; without test samples there is nothing to tell.
    pub fn score_at(self, mut steps: Vec<u64>) -> Self {
        steps.sort_unstable();
        Self { score_at: steps, ..self }
    }

    /// Starts from these params instead of the model's own.
    pub fn initial_params(self, params: Vec<f32>) -> Self {
        Self { initial: Some(params), ..self }
    }

    /// Goes on from where a run with the same data, model and options was saved, to the bits that it would have come to:
    /// with any number of threads, and from the middle of an epoch.
    ///
    /// Nobody checks that data and options are the same, only that the snapshot fits them. A longer run is one way to change
    /// them; a schedule that depends on its length changes with it.
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

    /// Hands out an [`Event::Snapshot`] so often; never by default.
    ///
    /// # Cost
    ///
    /// Each rank copies the segment of params and state that it owns; no step waits for more. If two snapshots are still held by
    /// the subscribers, no third is taken: it stays due until one of them is dropped.
    pub fn save_every(self, every: SaveEvery) -> Self {
        Self { save_every: every, ..self }
    }

    /// Has a subscriber hear what happens. There may be several, who are told in the order in which they came.
    ///
    /// # Examples
    ///
    /// The log that the program writes, in a program of your own:
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
        self.audience.add(subscriber);
        self
    }

    /// Has a function hear what happens: a [subscriber](Self::subscribe) that cannot fail.
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
    pub fn on_event(self, hear: impl FnMut(&Event<'_>) + 'a) -> Self {
        self.subscribe(Ear(hear))
    }

    /// Ends the run after the step during which this flag was set.
    pub fn stop_on(self, stop: &'a AtomicBool) -> Self {
        Self { stop: Some(stop), ..self }
    }

    /// Shares the run with other processes: each makes a trainer of the same data, model and options, and all call
    /// [`run`](Self::run). The threads may differ: a rank is one of any process.
    ///
    /// Params, losses and state have the bits of one process alone, whatever the processes and their threads; each process ends with the
    /// whole [`Outcome`]. All subscribers hear of the same steps and epochs, but process 0 alone hands out an [`Event::Snapshot`]. A
    /// [stop flag](Self::stop_on) of any process, and a subscriber that fails, stop all. A process that fails otherwise leaves the others
    /// waiting: they end with [`TrainError::Processes`], at the latest after [`Options::timeout`].
    ///
    /// # Cost
    ///
    /// Each process sends `(n−1)/n` of the params, for every subtree that its shards are made of, and of the updated params as much again:
    /// `2(n−1)/n` of them if every process has 2^k shards that begin at a multiple of 2^k. A step takes four latencies of the wire
    /// more, one besides for each norm, or look at the whole gradient, that comes before its update. Each process holds all samples and
    /// params; the optimizer's state is dealt out.
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

    /// Plants a fault.
    #[cfg(test)]
    pub(super) fn fault(self, fault: super::fault::Fault) -> Self {
        Self { fault: Some(fault), ..self }
    }

    /// What the options come to; a run that is resumed is checked against it.
    ///
    /// # Errors
    ///
    /// If the options, the data, the model and the snapshot to go on from do not fit each other, or nothing is left to do.
    pub fn plan(&self) -> Result<Plan, TrainError> {
        if matches!(self.save_every, SaveEvery::Steps(0) | SaveEvery::Epochs(0)) {
            return Err(TrainError::ZeroSaveEvery);
        }
        let plan = Plan::new(&self.options, self.model, self.train, self.test)?;
        self.resumed.as_ref().map_or(Ok(()), |snapshot| start::check(&plan, snapshot))?;
        Ok(plan)
    }

    /// Trains, and tells the subscribers on the calling thread what happens.
    ///
    /// # Errors
    ///
    /// If the options, the data and the model do not fit each other, a thread cannot be started, a rank panics (in
    /// the model, say) or waits longer than the timeout for another, or a subscriber cannot go on. All threads have ended then.
    pub fn run(mut self) -> Result<Outcome, TrainError> {
        let plan = self.plan()?;
        check_memory(&plan, self.train.features())?;
        let (initial, start) = match (self.resumed, self.initial) {
            (Some(snapshot), _) => Start::of(&snapshot),
            (None, Some(initial)) => (initial, Start::default()),
            (None, None) => (self.model.initial_params(plan.seed()), Start::default()),
        };
        if initial.len() != plan.params_len() {
            return Err(TrainError::InitialParams { found: initial.len(), expected: plan.params_len() });
        }
        let processes = match self.wire.as_deref_mut() {
            Some(wire) if wire.processes() > 1 => {
                let processes = Processes::meet(wire, plan.threads(), self.options.timeout)?;
                let whole = (self.model, self.train, self.test);
                let agreement = Agreement::new(whole, (&self.options, &self.score_at), (&start, &initial));
                agreement.check(&processes)?;
                Some(processes)
            }
            _ => None,
        };
        let plan = match &processes {
            Some(processes) => plan.at(processes.place().clone()),
            None => plan,
        };
        let world = match self.options.timeout {
            Some(timeout) => World::with_timeout(plan.threads(), timeout)?,
            None => World::new(plan.threads())?,
        };
        let params = Shared::within(&world, initial, plan.param_cuts())?;
        let samples = self.train.len();
        let order = Shared::new(&world, (0..samples as u32).collect(), rank_0_owns(samples, plan.threads()))?;
        let (model, train, test, never) = (self.model, self.train, self.test, AtomicBool::new(false));
        let (slots, save_every, score_at) = (Slot::two(plan.threads()), self.save_every, self.score_at);
        let (stop, quit) = (self.stop.unwrap_or(&never), AtomicBool::new(false));
        let (kept, broken) = (Kept::new(plan.threads()), Broken::default());
        let whereabouts: Vec<_> = (0..plan.threads()).map(|_| Arc::default()).collect();
        #[cfg(test)]
        let whereabouts = super::fault::among(whereabouts, self.fault);
        let run = Run {
            plan,
            model,
            train,
            test,
            score_at,
            params,
            order,
            start,
            save_every,
            slots,
            kept,
            broken,
            whereabouts,
            stop,
            quit,
        };
        self.audience.tell(&Event::Start(&run.plan), &run.quit);
        let ranks = world.communicators();
        let ranks = ranks.map(|comm| Ranks::new(comm, processes.as_ref(), &run.plan)).collect();
        let finished = match train_on(&run, ranks, &mut self.audience) {
            Ok(finished) => finished,
            Err(TrainError::Panicked { rank, step, phase, message, .. }) => {
                let params = last_whole(run, step - 1);
                return Err(TrainError::Panicked { rank, step, phase, message, params });
            }
            Err(error) => return Err(error),
        };
        let mut outcome = outcome(&finished, run.params.into_inner(), run.plan.keep_best());
        if let Some(processes) = &processes {
            processes.complete(&mut outcome, &run.plan)?;
        }
        let divergence = finished[0].divergence((&run.plan, run.model, run.train), &outcome.params);
        let outcome = Outcome { divergence, ..outcome };
        match self.audience.into_failure() {
            Some(source) => Err(TrainError::Subscriber { source, outcome: Box::new(outcome) }),
            None => Ok(outcome),
        }
    }
}

/// Boundaries that leave all of `len` values to rank 0.
fn rank_0_owns(len: usize, ranks: usize) -> Vec<usize> {
    let mut cuts = vec![len; ranks + 1];
    cuts[0] = 0;
    cuts
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
    fn scores_come_after_the_steps_asked_for_and_are_those_of_the_params_then() {
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
                scores.extend(if let Event::Score(score) = event { Some(*score) } else { None })
            })
            .run()
            .unwrap();
        assert_eq!(scores.iter().map(|score| score.step).collect::<Vec<_>>(), [2, 5]);
        for score in scores {
            let outcome = Trainer::new(&model, &data, options(score.step)).run().unwrap();
            assert_eq!(crate::train::score(&model, &outcome.params, &data).unwrap(), score.test);
        }
    }
}
