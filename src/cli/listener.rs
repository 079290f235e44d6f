//! What happens with the trainer's events: the log, the display, the checkpoints.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use phalanx::checkpoint::{Checkpoint, History, Quality, RunFacts, Writer};
use phalanx::report::{Metrics, Progress, ReportError};
use phalanx::train::{EpochEnd, Event, Outcome, Snapshot};

use super::failure::Failure;
use super::signals::Signals;

/// Hands the trainer's events to the log, the display and the thread that writes checkpoints.
pub(super) struct Listener<'a> {
    metrics: Metrics,
    progress: Progress,
    saver: Saver,
    signals: &'a Signals,
    epochs: Vec<EpochEnd>,
    failed: Option<ReportError>,
    /// Whether a step was done.
    pub(super) heard: bool,
}

/// Makes checkpoints of snapshots.
pub(super) struct Saver {
    pub(super) writer: Writer,
    pub(super) facts: Arc<RunFacts>,
    /// Of the run before it was resumed.
    pub(super) before: History,
    /// When the program was started.
    pub(super) begun: Instant,
}

impl<'a> Listener<'a> {
    pub(super) fn new(metrics: Metrics, progress: Progress, saver: Saver, signals: &'a Signals) -> Self {
        Self { metrics, progress, saver, signals, epochs: Vec::new(), failed: None, heard: false }
    }

    pub(super) fn hear(&mut self, event: Event<'_>) {
        let written = match event {
            Event::Step(step) => {
                self.heard = true;
                self.progress.step(&step);
                self.metrics.step(&step)
            }
            Event::Epoch(epoch) => {
                self.progress.epoch(&epoch);
                self.epochs.push(epoch);
                self.metrics.epoch(&epoch)
            }
            Event::Snapshot(snapshot) => {
                self.saver.save(snapshot, &self.epochs);
                // Or else a program that is killed could leave a checkpoint beyond the end of its log.
                self.metrics.flush()
            }
            _ => Ok(()),
        };
        // A log that cannot be written ends the run, after the step in hand; the first reason is kept.
        if let (Err(error), None) = (written, &self.failed) {
            self.failed = Some(error);
            self.signals.stop.store(true, Ordering::Relaxed);
        }
    }

    /// Saves what the run ended with, and waits until it is written.
    pub(super) fn finish(self, outcome: Option<&Outcome>) -> Result<Vec<EpochEnd>, Failure> {
        self.progress.finish();
        if let Some(snapshot) = outcome.and_then(Outcome::snapshot) {
            self.saver.save(snapshot, &self.epochs);
        }
        self.saver.writer.finish()?;
        self.failed.map_or(Ok(self.epochs), |error| Err(error.into()))
    }
}

impl Saver {
    /// Hands a checkpoint to the writer.
    fn save(&self, snapshot: Snapshot, epochs: &[EpochEnd]) {
        let position = *snapshot.position();
        let quality = epochs.last().filter(|end| end.step == position.step).map(Quality::of);
        let mut history = self.before.clone();
        epochs.iter().filter(|end| end.epoch < position.epoch).for_each(|end| history.add(end));
        history.wall_secs += self.begun.elapsed().as_secs_f64();
        self.writer.save(Checkpoint { facts: Arc::clone(&self.facts), snapshot, quality, history });
    }
}
