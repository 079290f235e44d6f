//! The events of a run, the subscribers that receive them, and the channel from rank 0 to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::error::{SubscriberError, TrainError};
use super::noise_scale::NoiseScale;
use super::phase::PhaseTimes;
use super::plan::Plan;
use super::position::Quality;
use super::snapshot::Snapshot;
use crate::model::Score;

/// An event of a run; events are sent in the order in which they happen.
///
/// # Examples
///
/// ```
/// use phalanx::data::{LoadOptions, Source};
/// use phalanx::model::{Activation, Loss, Mlp, MlpShape};
/// use phalanx::train::{EpochEnd, Event, Length, Options, PhaseTimes, StepEnd, Trainer};
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
///         Event::Score { step, test } => assert!(*step == 5 && test.accuracy() > Some(0.1)),
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
    /// Everything is validated, and the first step begins.
    Start(&'a Plan),
    /// A step is done.
    Step(StepEnd),
    /// The test samples were scored between epochs, see
    /// [`Trainer::score_at`](super::Trainer::score_at).
    Score {
        /// The number of steps done.
        step: u64,
        /// The score on the test samples.
        test: Score,
    },
    /// An epoch is done and scored.
    Epoch(EpochEnd),
    /// The params at the end of an epoch, or of the partial epoch at the end of a run, after its
    /// [`Epoch`](Self::Epoch), for subscribers that [want](super::Subscriber::wants_params) them.
    Params {
        /// 0-based epoch.
        epoch: u64,
        /// The number of steps done since the run began.
        step: u64,
        /// The flat params.
        params: &'a [f32],
    },
    /// The run must be [saved](super::Trainer::save_every); the steps continue in the meantime. At
    /// the end of an epoch this follows the epoch's event.
    Snapshot(Arc<Snapshot>),
}

/// The result of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepEnd {
    /// The number of steps done, including this one.
    pub step: u64,
    /// The 0-based epoch of the step.
    pub epoch: u64,
    /// The number of samples of its batch.
    pub samples: usize,
    /// Σ w_i over its batch. 0 means that nothing was changed.
    pub weight: f64,
    /// The mean loss of its samples before the update, for every reduction; NaN if their weight is
    /// 0.
    pub loss: f64,
    /// The learning rate of the step.
    pub rate: f64,
    /// The global norm of the reduced gradient before clipping, if gradients are clipped or the
    /// norm is [requested](super::Options::grad_norm_every).
    pub grad_norm: Option<f64>,
    /// The gradient noise scale up to this step, if the step measured it.
    pub noise_scale: Option<NoiseScale>,
    /// True if the loss, the gradient or the update was NaN or infinite, so that the params were
    /// kept.
    pub diverged: bool,
}

/// The result of one epoch, or of the partial epoch at the end of a run. An epoch that was resumed
/// in the middle is reported as a whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpochEnd {
    /// 0-based epoch.
    pub epoch: u64,
    /// The number of steps done since the run began.
    pub step: u64,
    /// The number of samples processed in this epoch.
    pub samples: u64,
    /// The mean loss of a sample over the steps of this epoch, each before its update; NaN if their
    /// weight is 0.
    pub train_loss: f64,
    /// The score on the test samples; `None` without test samples, or if the run diverged in this
    /// epoch.
    pub test: Option<Score>,
    /// False for a partial epoch at the end of a run that was stopped, reached its number of steps,
    /// or diverged. A partial epoch is never the [best](super::Position::best) epoch.
    pub is_whole: bool,
    /// Wall time of the epoch: sample order, gathering, computing and updates, without the scoring
    /// of test samples.
    pub elapsed: Duration,
    /// The phases in which the first rank of this process spent this time.
    pub phases: PhaseTimes,
}

impl EpochEnd {
    /// Returns the samples per second of this epoch.
    pub fn samples_per_sec(&self) -> f64 {
        self.samples as f64 / self.elapsed.as_secs_f64()
    }
}

impl Quality {
    /// Returns the measurements at the end of an epoch.
    pub fn of(end: &EpochEnd) -> Self {
        let finite = |value: f64| value.is_finite().then_some(value);
        Self {
            test_accuracy: end.test.as_ref().and_then(Score::accuracy).and_then(finite),
            test_loss: end.test.as_ref().map(Score::mean_loss).and_then(finite),
            train_loss: finite(end.train_loss),
        }
    }
}

/// A receiver of a run's events, in the order in which they happened: on the thread that called
/// [`Trainer::run`](super::Trainer::run), while the ranks continue.
///
/// The logs and files of a run are subscribers: [`log::Metrics`](crate::log::Metrics),
/// [`checkpoint::Saver`](crate::checkpoint::Saver).
///
/// # Examples
///
/// ```
/// use phalanx::train::{Event, Subscriber, SubscriberError};
///
/// /// Ends the run once this file exists.
/// struct StopFile(std::path::PathBuf);
///
/// impl Subscriber for StopFile {
///     fn receive(&mut self, event: &Event<'_>) -> Result<(), SubscriberError> {
///         match event {
///             Event::Epoch(end) if self.0.exists() => Err(format!("stopped in epoch {}", end.epoch).into()),
///             _ => Ok(()),
///         }
///     }
/// }
/// ```
pub trait Subscriber {
    /// Receives an event.
    ///
    /// # Errors
    ///
    /// The reason why the subscriber cannot continue, such as a full disk: it receives no further
    /// events, and the run ends after the next step at the latest, with
    /// [`TrainError::Subscriber`](super::TrainError::Subscriber).
    fn receive(&mut self, event: &Event<'_>) -> Result<(), SubscriberError>;

    /// Returns whether this subscriber needs [`Event::Params`]; false by default. If one subscriber
    /// does, all of them receive it.
    ///
    /// # Cost
    ///
    /// Rank 0 copies the params at the end of each epoch, into one of two buffers; it waits if the
    /// subscribers have not yet received those of two epochs ago.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::train::{Event, Subscriber, SubscriberError};
    ///
    /// /// The global norm of the params after each epoch.
    /// struct Norms(Vec<f64>);
    ///
    /// impl Subscriber for Norms {
    ///     fn receive(&mut self, event: &Event<'_>) -> Result<(), SubscriberError> {
    ///         if let Event::Params { params, .. } = event {
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
    /// norms.receive(&Event::Params { epoch: 0, step: 23, params: &[3.0, -4.0] })?;
    /// assert_eq!(norms.0, [5.0]);
    /// # Ok::<(), SubscriberError>(())
    /// ```
    fn wants_params(&self) -> bool {
        false
    }
}

/// Lets a caller keep its subscriber and lend it to the run.
impl<S: Subscriber + ?Sized> Subscriber for &mut S {
    fn receive(&mut self, event: &Event<'_>) -> Result<(), SubscriberError> {
        (**self).receive(event)
    }

    fn wants_params(&self) -> bool {
        (**self).wants_params()
    }
}

/// A function as a subscriber that cannot fail.
pub(super) struct Callback<F>(pub(super) F);

impl<F: FnMut(&Event<'_>)> Subscriber for Callback<F> {
    fn receive(&mut self, event: &Event<'_>) -> Result<(), SubscriberError> {
        (self.0)(event);
        Ok(())
    }
}

/// All subscribers of a run.
#[derive(Default)]
pub(super) struct Subscribers<'a> {
    subscribers: Vec<Box<dyn Subscriber + 'a>>,
    /// The error of the first subscriber that failed.
    failure: Option<SubscriberError>,
}

/// The maximum number of messages by which rank 0 may be ahead of the subscribers.
const MESSAGES: usize = 4096;

/// The maximum number of copies of the params by which it may be ahead: one can be made while
/// another is being read.
const COPIES: usize = 2;

/// The time that the thread of the subscribers sleeps once they have received all messages.
/// Otherwise rank 0 would wake it in every step, on a core that another rank computes on: steps of
/// 100 µs took 5 % longer.
const REST: Duration = Duration::from_millis(1);

/// A message from rank 0: an event, or the params of one.
enum Message {
    Event(Event<'static>),
    Params { epoch: u64, step: u64, params: Vec<f32> },
}

/// Rank 0's end of the channel to the subscribers.
pub(super) struct EventSender {
    messages: Sender<Message>,
    /// Buffers for params, if a subscriber needs them; they are returned once they have been read.
    buffers: Option<Receiver<Vec<f32>>>,
}

/// The subscribers' end of the channel.
pub(super) struct EventReceiver {
    messages: Receiver<Message>,
    buffers: Sender<Vec<f32>>,
}

impl EventSender {
    pub(super) fn send(&self, event: Event<'static>) -> Result<(), TrainError> {
        self.messages.send(Message::Event(event)).map_err(|_| TrainError::SubscribersGone)
    }

    /// Sends the params after an epoch, if a subscriber needs them. Waits until the subscribers
    /// have read those of two epochs ago, so that at most two copies exist.
    pub(super) fn send_params(&self, epoch: u64, step: u64, params: &[f32]) -> Result<(), TrainError> {
        let Some(buffers) = &self.buffers else { return Ok(()) };
        let mut copy = buffers.recv().map_err(|_| TrainError::SubscribersGone)?;
        copy.clear();
        copy.extend_from_slice(params);
        let message = Message::Params { epoch, step, params: copy };
        self.messages.send(message).map_err(|_| TrainError::SubscribersGone)
    }
}

impl<'a> Subscribers<'a> {
    pub(super) fn add(&mut self, subscriber: impl Subscriber + 'a) {
        self.subscribers.push(Box::new(subscriber));
    }

    /// Returns both ends of a channel to the subscribers.
    pub(super) fn channel(&self) -> (EventSender, EventReceiver) {
        let (sender, receiver) = bounded(MESSAGES);
        let (returned, buffers) = bounded(COPIES);
        (0..COPIES).try_for_each(|_| returned.send(Vec::new())).expect("the channel has room for all");
        let wants_params = self.subscribers.iter().any(|subscriber| subscriber.wants_params());
        let sender = EventSender { messages: sender, buffers: wants_params.then_some(buffers) };
        (sender, EventReceiver { messages: receiver, buffers: returned })
    }

    /// Passes an event to all subscribers, in the order in which they were added. Sets `quit` once
    /// one fails.
    pub(super) fn notify(&mut self, event: &Event<'_>, quit: &AtomicBool) {
        let Self { subscribers, failure } = self;
        subscribers.retain_mut(|subscriber| match subscriber.receive(event) {
            Ok(()) => true,
            Err(error) => {
                quit.store(true, Ordering::Relaxed);
                failure.get_or_insert(error);
                false
            }
        });
    }

    /// Delivers all events until rank 0 has ended.
    pub(super) fn deliver(&mut self, from: EventReceiver, quit: &AtomicBool) {
        let EventReceiver { messages, buffers } = from;
        let mut pass_on = |message| match message {
            Message::Event(event) => self.notify(&event, quit),
            Message::Params { epoch, step, params } => {
                self.notify(&Event::Params { epoch, step, params: &params }, quit);
                // Has no receiver if rank 0 has ended.
                let _ = buffers.send(params);
            }
        };
        while let Ok(message) = messages.recv() {
            pass_on(message);
            messages.try_iter().for_each(&mut pass_on);
            thread::sleep(REST);
        }
    }

    /// Returns the error of the first subscriber that failed.
    pub(super) fn into_failure(self) -> Option<SubscriberError> {
        self.failure
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use crate::data::{Dataset, Targets};
    use crate::model::{Samples, from_fn};
    use crate::train::{Event, Length, Options, Subscriber, SubscriberError, Trainer};

    /// Records the step and the params of each epoch.
    struct Notes(Vec<(u64, Vec<f32>)>);

    impl Subscriber for Notes {
        fn receive(&mut self, event: &Event<'_>) -> Result<(), SubscriberError> {
            if let Event::Params { step, params, .. } = event {
                self.0.push((*step, params.to_vec()));
            }
            Ok(())
        }

        fn wants_params(&self) -> bool {
            true
        }
    }

    #[test]
    fn the_params_at_the_end_of_each_whole_or_partial_epoch_are_sent() {
        let samples = array![[1.0], [2.0], [3.0], [6.0]];
        let data = Dataset::from_arrays(samples, Targets::None, None).unwrap();
        let model = from_fn(vec![0.0; 3], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
            grads.iter_mut().zip(params).for_each(|(grad, param)| {
                *grad = samples.inputs.iter().map(|x| param - x).sum();
            });
            0.0
        });
        let trainer = |steps, threads| {
            let length = Length::Steps(steps);
            Trainer::new(&model, &data, Options { batch_size: 2, threads, length, ..Options::default() })
        };
        for threads in 1..=3 {
            let mut notes = Notes(Vec::new());
            trainer(41, threads).subscribe(&mut notes).run().unwrap();
            let steps: Vec<u64> = notes.0.iter().map(|(step, _)| *step).collect();
            assert_eq!(steps, (2..=40).step_by(2).chain([41]).collect::<Vec<_>>());
            for (step, params) in notes.0 {
                assert_eq!(params, trainer(step, 1).run().unwrap().params, "step {step}, {threads} threads");
            }
        }
    }
}
