//! Who hears what a run tells.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Event;
use super::event::Message;

/// Hears what a run tells: on the thread that called [`Trainer::run`](super::Trainer::run), while the ranks go on, in the order in which
/// it happened.
///
/// The logs, displays and files of the program are such subscribers: [`report::Metrics`](crate::report::Metrics),
/// [`report::Progress`](crate::report::Progress), [`checkpoint::Saver`](crate::checkpoint::Saver).
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
}

/// Why a subscriber cannot go on.
pub type SubscriberError = Box<dyn Error + Send + Sync>;

/// Who keeps a subscriber lends it to the run.
impl<S: Subscriber + ?Sized> Subscriber for &mut S {
    fn hear(&mut self, event: &Event<'_>) -> Result<(), SubscriberError> {
        (**self).hear(event)
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

    pub(super) fn tell_of(&mut self, message: Message, quit: &AtomicBool) {
        let event = match message {
            Message::Step(step) => Event::Step(step),
            Message::Score(score) => Event::Score(score),
            Message::Epoch(epoch) => Event::Epoch(epoch),
            Message::Snapshot(snapshot) => Event::Snapshot(Arc::new(snapshot)),
        };
        self.tell(&event, quit);
    }

    /// Why the first that failed did.
    pub(super) fn into_failure(self) -> Option<SubscriberError> {
        self.failed
    }
}
