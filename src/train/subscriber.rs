//! Who hears what a run tells.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::event::Message;
use super::{EpochParams, Event};

/// Hears what a run tells: on the thread that called [`Trainer::run`](super::Trainer::run), while the ranks go on, in the order in which
/// it happened.
///
/// The logs and files of a run are such subscribers: [`log::Metrics`](crate::log::Metrics), [`checkpoint::Saver`](crate::checkpoint::Saver).
///
/// # Examples
///
/// ```
/// use phalanx::train::{Event, Subscriber, SubscriberError};
///
/// /// Ends the run once somebody puts a file there.
/// struct StopFile(std::path::PathBuf);
///
/// impl Subscriber for StopFile {
///     fn hear(&mut self, event: &Event<'_>) -> Result<(), SubscriberError> {
///         match event {
///             Event::Epoch(end) if self.0.exists() => Err(format!("stopped in epoch {}", end.epoch).into()),
///             _ => Ok(()),
///         }
///     }
/// }
/// ```
pub trait Subscriber {
    /// Hears an event.
    ///
    /// # Errors
    ///
    /// What keeps it from its work, such as a disk that is full: it hears nothing more, and the run ends after the step in hand, with
    /// [`TrainError::Subscriber`](super::TrainError::Subscriber).
    fn hear(&mut self, event: &Event<'_>) -> Result<(), SubscriberError>;

    /// Whether [`Event::Params`] are to be told, which they are not by default: to all subscribers, if one wants them.
    ///
    /// # Cost
    ///
    /// Rank 0 copies the params at the end of each epoch, into one of two buffers; it waits if the subscribers have not yet heard of
    /// those of two epochs before.
    fn wants_params(&self) -> bool {
        false
    }
}

/// Why a subscriber cannot go on.
pub type SubscriberError = Box<dyn Error + Send + Sync>;

/// Who keeps a subscriber lends it to the run.
impl<S: Subscriber + ?Sized> Subscriber for &mut S {
    fn hear(&mut self, event: &Event<'_>) -> Result<(), SubscriberError> {
        (**self).hear(event)
    }

    fn wants_params(&self) -> bool {
        (**self).wants_params()
    }
}

/// A function that hears.
pub(super) struct Ear<F>(pub(super) F);

impl<F: FnMut(&Event<'_>)> Subscriber for Ear<F> {
    fn hear(&mut self, event: &Event<'_>) -> Result<(), SubscriberError> {
        (self.0)(event);
        Ok(())
    }
}

/// All subscribers of a run.
#[derive(Default)]
pub(super) struct Audience<'a> {
    subscribers: Vec<Box<dyn Subscriber + 'a>>,
    /// Why the first that failed did.
    failed: Option<SubscriberError>,
}

impl<'a> Audience<'a> {
    pub(super) fn add(&mut self, subscriber: impl Subscriber + 'a) {
        self.subscribers.push(Box::new(subscriber));
    }

    pub(super) fn wants_params(&self) -> bool {
        self.subscribers.iter().any(|subscriber| subscriber.wants_params())
    }

    /// Tells all, in the order in which they subscribed. `quit` is raised once one fails.
    pub(super) fn tell(&mut self, event: &Event<'_>, quit: &AtomicBool) {
        let Self { subscribers, failed } = self;
        subscribers.retain_mut(|subscriber| match subscriber.hear(event) {
            Ok(()) => true,
            Err(error) => {
                quit.store(true, Ordering::Relaxed);
                failed.get_or_insert(error);
                false
            }
        });
    }

    /// Returns the buffer of the message, if it has one.
    pub(super) fn tell_of(&mut self, message: Message, quit: &AtomicBool) -> Option<Vec<f32>> {
        let event = match message {
            Message::Step(step) => Event::Step(step),
            Message::Score(score) => Event::Score(score),
            Message::Epoch(epoch) => Event::Epoch(epoch),
            Message::Params { epoch, step, params } => {
                self.tell(&Event::Params(EpochParams { epoch, step, params: &params }), quit);
                return Some(params);
            }
            Message::Snapshot(snapshot) => Event::Snapshot(Arc::new(snapshot)),
        };
        self.tell(&event, quit);
        None
    }

    /// Why the first that failed did.
    pub(super) fn into_failure(self) -> Option<SubscriberError> {
        self.failed
    }
}
