//! What a run ends with.

use super::worker::Finished;
use super::{Divergence, NoiseScale, PhaseTimes, Position, Snapshot};

/// What a run ends with.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use phalanx::data::{Dataset, Targets};
/// use phalanx::model::{Samples, from_fn};
/// use phalanx::optim::{OptimizerKind, OptimizerOptions};
/// use phalanx::train::{EpochSums, Length, Options, Outcome, Position, Snapshot, StateVector, StopReason, Trainer};
///
/// let data = Dataset::from_arrays(array![[1.0], [2.0], [3.0], [6.0]], Targets::None, None)?;
/// let mean = from_fn(vec![0.0], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
///     grads[0] = samples.inputs.iter().map(|x| 2.0 * (params[0] - x)).sum();
///     samples.inputs.iter().map(|x| f64::from((params[0] - x).powi(2))).sum()
/// });
/// let optimizer = OptimizerOptions { kind: OptimizerKind::Adam, ..OptimizerOptions::default() };
/// let run = |steps| Options { optimizer: optimizer.clone(), batch_size: 2, length: Length::Steps(steps), ..Options::default() };
///
/// let outcome: Outcome = Trainer::new(&mean, &data, run(3)).run()?;
/// assert_eq!(outcome.reason, StopReason::Completed);
/// let names: Vec<&str> = outcome.state.iter().map(|StateVector { name, .. }| *name).collect();
/// assert_eq!(names, ["exp_avg", "exp_avg_sq"]);
/// // It stands after the first of the two batches of its second epoch.
/// let Position { step, epoch, batch, sums: EpochSums { samples, .. }, .. } = outcome.position;
/// assert_eq!((step, epoch, batch, samples), (3, 1, 1, 2));
///
/// // What goes on from there comes to the bits of a run that was not cut short.
/// let snapshot: Snapshot = outcome.snapshot().expect("the run did not diverge");
/// let longer = Trainer::new(&mean, &data, run(8)).resume(snapshot).run()?;
/// assert_eq!(longer.params, Trainer::new(&mean, &data, run(8)).run()?.params);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The params.
    pub params: Vec<f32>,
    /// The optimizer's state, one vector of the len of the params for each of its names.
    pub state: Vec<StateVector>,
    /// Steps done.
    pub steps: u64,
    /// Where it stands; of no use if it diverged, as the params then are those before the last step.
    pub position: Position,
    /// Why it ended.
    pub reason: StopReason,
    /// What it diverged by, if it did.
    pub divergence: Option<Divergence>,
    /// Where each rank spent its time, in rank order, since the run began or was resumed; scoring is in none of the phases.
    pub phases: Vec<PhaseTimes>,
    /// The params of the best epoch, [`Position::best`], if they were to be [kept](super::Options::keep_best) and an epoch was done.
    pub best_params: Option<Vec<f32>>,
    /// The gradient noise scale, if it was measured.
    pub noise_scale: Option<NoiseScale>,
}

impl Outcome {
    /// The params that the run was for: the best, if they were [kept](super::Options::keep_best), else those it ended with.
    pub fn chosen_params(&self) -> &[f32] {
        self.best_params.as_ref().unwrap_or(&self.params)
    }

    /// What a longer run could go on from; `None` if this one diverged.
    ///
    /// # Cost
    ///
    /// A copy of params and state.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let state = self.state.iter().map(|vector| (vector.name.to_owned(), vector.values.clone()));
        let best = self.best_params.clone().unwrap_or_default();
        (self.reason != StopReason::Diverged)
            .then(|| Snapshot::new(self.position, self.params.clone(), state.collect()).with_best(best))
    }
}

/// One vector of an optimizer's state.
#[derive(Clone, Debug, PartialEq)]
pub struct StateVector {
    /// Its name, as PyTorch calls it.
    pub name: &'static str,
    /// One value a param.
    pub values: Vec<f32>,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// All its steps were done.
    Completed,
    /// So many epochs as [`Options::early_stop`](super::Options::early_stop) says were no better than the best before them.
    StoppedEarly,
    /// The stop flag was set; the step in hand was finished first.
    Interrupted,
    /// The loss, the gradient or what the update made of the params was no finite number; the params are those before that step.
    Diverged,
}

/// Puts the ranks' parts of the optimizer's state together; they lie in the order of the ranks.
pub(super) fn outcome(finished: &[Finished], params: Vec<f32>, keep_best: bool) -> Outcome {
    let Finished { reason, position, .. } = finished[0];
    let names: Vec<&str> = finished[0].optimizer.state().map(|(name, _)| name).collect();
    let state = names.into_iter().enumerate().map(|(index, name)| {
        let parts = finished.iter().filter_map(|rank| rank.optimizer.state().nth(index));
        StateVector { name, values: parts.flat_map(|(_, values)| values).copied().collect() }
    });
    let best: Vec<f32> = finished.iter().flat_map(|rank| &rank.best).copied().collect();
    let best_params = (keep_best && position.best.is_some()).then_some(best);
    let phases = finished.iter().map(|rank| rank.phases).collect();
    let noise_scale = (position.noise_scale.measurements() > 0).then_some(position.noise_scale);
    let (state, steps) = (state.collect(), position.step);
    let divergence = None;
    Outcome { params, state, steps, position, reason, divergence, phases, best_params, noise_scale }
}
