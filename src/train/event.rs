//! What a run tells while it goes on.

use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{NoiseScale, Plan, Snapshot};
use crate::model::Score;

/// Something that happened in a run, in the order in which it did.
///
/// # Examples
///
/// ```
/// use phalanx::data::{LoadOptions, Source};
/// use phalanx::model::{Activation, Loss, Mlp, MlpShape};
/// use phalanx::train::{EpochEnd, Event, Length, Options, PhaseTimes, StepEnd, StepScore, Trainer};
///
/// let digits: Source = "digits".parse()?;
/// let data = digits.load(&LoadOptions::default())?;
/// let (hidden, activation, loss) = (vec![16], Activation::Relu, Loss::CrossEntropy);
/// let model = Mlp::new(MlpShape { inputs: 64, hidden, outputs: 10, activation, loss });
/// let options = Options { length: Length::Epochs(2), threads: 2, ..Options::default() };
/// let test = data.test.expect("the digits have test samples");
/// let trainer = Trainer::new(&model, &data.train, options).test(&test).score_at(vec![5]);
/// let mut losses = Vec::new();
/// trainer
///     .on_event(|event| match event {
///         Event::Start(plan) => assert_eq!(plan.total_steps(), 46),
///         Event::Step(StepEnd { step, loss, grad_norm, .. }) => {
///             assert!(*step >= 1 && loss.is_finite() && grad_norm.is_none());
///         }
///         Event::Score(StepScore { step, test }) => assert!(*step == 5 && test.accuracy() > Some(0.1)),
///         Event::Epoch(end) => {
///             let EpochEnd { train_loss, phases: PhaseTimes { compute, .. }, elapsed, .. } = end;
///             assert!(compute < elapsed && end.samples_per_sec() > 0.0);
///             losses.push(*train_loss);
///         }
///         _ => {}
///     })
///     .run()?;
/// assert!(losses[1] < losses[0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// All is checked, the first step begins.
    Start(&'a Plan),
    /// A step was done.
    Step(StepEnd),
    /// The test samples were scored in between, see [`Trainer::score_at`](super::Trainer::score_at).
    Score(StepScore),
    /// An epoch was done and scored.
    Epoch(EpochEnd),
    /// The params as an epoch leaves them, after its [`Epoch`](Self::Epoch), for subscribers that
    /// [want](super::Subscriber::wants_params) them.
    Params(EpochParams<'a>),
    /// The run is to be [saved](super::Trainer::save_every); the steps go on meanwhile. At the end of an epoch it comes after
    /// that.
    Snapshot(Arc<Snapshot>),
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepEnd {
    /// Steps done, this one included.
    pub step: u64,
    /// 0-based epoch it belongs to.
    pub epoch: u64,
    /// Samples of its batch.
    pub samples: usize,
    /// Σ w_i over its batch. 0 means that nothing was changed.
    pub weight: f64,
    /// Mean loss of its samples before the update, whatever the reduction; NaN if their weight is 0.
    pub loss: f64,
    /// Learning rate it was made with.
    pub rate: f64,
    /// Global norm of the reduced gradient before clipping, if there is any, or it is [asked
    /// for](super::Options::grad_norm_every).
    pub grad_norm: Option<f64>,
    /// The gradient noise scale up to this step, if it was measured in it.
    pub noise_scale: Option<NoiseScale>,
    /// Whether the loss or the gradient was no finite number, so that nothing was changed.
    pub diverged: bool,
}

/// A score that was asked for after a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepScore {
    /// Steps done.
    pub step: u64,
    /// Score on the test samples.
    pub test: Score,
}

/// One epoch, or the part of one that a run ends with. One that was resumed in the middle is told whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpochEnd {
    /// 0-based epoch.
    pub epoch: u64,
    /// Steps done since the run began.
    pub step: u64,
    /// Samples taken in this epoch.
    pub samples: u64,
    /// Mean loss of a sample over the steps of this epoch, each before its update; NaN if their weight is 0.
    pub train_loss: f64,
    /// Score on the test samples, if there are any.
    pub test: Option<Score>,
    /// False for the part of an epoch that a run ends with: it was stopped, its steps were done, or it diverged. Such a part is never
    /// the [best](super::Best) epoch.
    pub is_whole: bool,
    /// Wall time of the epoch: sample order, gathering, computing and updates, without the scoring of test samples.
    pub elapsed: Duration,
    /// Where rank 0 spent it.
    pub phases: PhaseTimes,
}

impl EpochEnd {
    /// Samples per second of this epoch.
    pub fn samples_per_sec(&self) -> f64 {
        self.samples as f64 / self.elapsed.as_secs_f64()
    }
}

/// The params after an epoch, or after the part of one that a run ends with.
///
/// # Examples
///
/// ```
/// use phalanx::train::{EpochParams, Event, Subscriber, SubscriberError};
///
/// /// The global norm of the params after each epoch.
/// struct Norms(Vec<f64>);
///
/// impl Subscriber for Norms {
///     fn hear(&mut self, event: &Event<'_>) -> Result<(), SubscriberError> {
///         if let Event::Params(EpochParams { params, .. }) = event {
///             let squares = params.iter().map(|param| f64::from(*param) * f64::from(*param));
///             self.0.push(squares.sum::<f64>().sqrt());
///         }
///         Ok(())
///     }
///
///     fn wants_params(&self) -> bool {
///         true
///     }
/// }
///
/// let mut norms = Norms(Vec::new());
/// norms.hear(&Event::Params(EpochParams { epoch: 0, step: 23, params: &[3.0, -4.0] }))?;
/// assert_eq!(norms.0, [5.0]);
/// # Ok::<(), SubscriberError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpochParams<'a> {
    /// 0-based epoch.
    pub epoch: u64,
    /// Steps done since the run began.
    pub step: u64,
    /// The flat params.
    pub params: &'a [f32],
}

/// Where a rank spent its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PhaseTimes {
    /// Gathering, forward, loss, backward; without the gradients of the params if the model reduces by segment.
    pub compute: Duration,
    /// Waiting for other ranks.
    pub wait: Duration,
    /// Combining shards, dividing, clipping, updating. If the model
    /// [reduces by segment](crate::model::Model::reduces_by_segment), also the gradients of the params, which are computed,
    /// combined and used in one pass and cannot be told apart.
    pub reduce_update: Duration,
}

impl AddAssign for PhaseTimes {
    fn add_assign(&mut self, other: Self) {
        self.compute += other.compute;
        self.wait += other.wait;
        self.reduce_update += other.reduce_update;
    }
}

/// What ranks send to the thread that runs the trainer.
pub(super) enum Message {
    Step(StepEnd),
    Score(StepScore),
    Epoch(EpochEnd),
    Params { epoch: u64, step: u64, params: Vec<f32> },
    Snapshot(Snapshot),
}
