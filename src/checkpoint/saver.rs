//! Has a run saved while it goes on.

use std::sync::Arc;
use std::time::Instant;

use super::{Checkpoint, CheckpointError, History, RunFacts, Writer};
use crate::train::{EpochEnd, Event, Outcome, Quality, Snapshot, Subscriber, SubscriberError};

/// Makes a checkpoint of each snapshot that a run hands out, and gives it to the [`Writer`]: a subscriber of the run.
#[derive(Debug)]
pub struct Saver {
    writer: Writer,
    facts: Arc<RunFacts>,
    /// Of the epochs before the last one that was told.
    history: History,
    last: Option<EpochEnd>,
    begun: Instant,
}

impl Saver {
    /// Prepares for a run with these facts; `before` is the history of one that is gone on with, `begun` when the program was started.
    pub fn new(writer: Writer, facts: Arc<RunFacts>, before: History, begun: Instant) -> Self {
        Self { writer, facts, history: before, last: None, begun }
    }

    /// Saves what the run ended with, and waits until all is written.
    ///
    /// # Errors
    ///
    /// What the first failure of the [`Writer`] was.
    pub fn finish(self, outcome: Option<&Outcome>) -> Result<(), CheckpointError> {
        if let Some(snapshot) = outcome.and_then(Outcome::snapshot) {
            self.save(Arc::new(snapshot));
        }
        self.writer.finish()
    }

    fn save(&self, snapshot: Arc<Snapshot>) {
        let position = *snapshot.position();
        let quality = self.last.as_ref().filter(|end| end.step == position.step).map(Quality::of);
        let mut history = self.history.clone();
        // An epoch that was cut short is taken up again, and told whole.
        self.last.iter().filter(|end| end.epoch < position.epoch).for_each(|end| history.add(end));
        history.wall_secs += self.begun.elapsed().as_secs_f64();
        self.writer.save(Checkpoint { facts: Arc::clone(&self.facts), snapshot, quality, history });
    }
}

impl Subscriber for Saver {
    fn hear(&mut self, event: &Event<'_>) -> Result<(), SubscriberError> {
        match event {
            Event::Epoch(end) => {
                if let Some(before) = self.last.replace(*end) {
                    self.history.add(&before);
                }
            }
            Event::Snapshot(snapshot) => self.save(Arc::clone(snapshot)),
            _ => {}
        }
        Ok(())
    }
}
