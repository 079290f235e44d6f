//! Has a run saved while it goes on.

use std::sync::Arc;
use std::time::Instant;

use super::{Checkpoint, CheckpointError, History, RunFacts, Writer};
use crate::train::{EpochEnd, Event, Outcome, Quality, Snapshot, Subscriber, SubscriberError};

/// Makes a checkpoint of each snapshot that a run hands out, and gives it to the [`Writer`]: a subscriber of the run.
///
/// # Examples
///
/// ```
/// use std::num::NonZero;
/// use std::sync::Arc;
/// use std::time::Instant;
///
/// use phalanx::checkpoint::{Checkpoint, CheckpointDir, History, RunFacts, Saver, Writer};
/// use phalanx::data::{LoadOptions, Source};
/// use phalanx::model::{Activation, Loss, Mlp, MlpShape};
/// use phalanx::train::{Length, Options, SaveEvery, Trainer};
///
/// let digits: Source = "digits".parse()?;
/// let data = digits.load(&LoadOptions::default())?.train;
/// let (hidden, activation, loss) = (vec![16], Activation::Relu, Loss::CrossEntropy);
/// let shape = MlpShape { inputs: 64, hidden, outputs: 10, activation, loss };
/// let model = Mlp::new(shape.clone());
/// let options = |epochs| Options { length: Length::Epochs(epochs), ..Options::default() };
/// let trainer = Trainer::new(&model, &data, options(2)).save_every(SaveEvery::Epochs(1));
///
/// let run = tempfile::tempdir()?;
/// let dir = CheckpointDir::of_run(run.path());
/// let (keep, metric) = (NonZero::new(3).expect("3 is not 0"), trainer.plan()?.metric());
/// let writer = Writer::start(dir.clone(), keep, 0, metric, || eprintln!("no checkpoint can be written"))?;
/// let train = data.fingerprint();
/// let facts = RunFacts {
///     shape,
///     standardize: None,
///     standardize_targets: None,
///     classes: None,
///     options: Default::default(),
///     train,
///     test: None,
///     data: Default::default(),
/// };
/// let mut saver = Saver::new(writer, Arc::new(facts), History::default(), Instant::now());
/// let outcome = trainer.subscribe(&mut saver).run()?;
/// saver.finish(Some(&outcome))?;
///
/// let (path, found): (_, Checkpoint) = dir.newest(|damaged| eprintln!("{damaged}"))?.expect("two were saved");
/// assert_eq!(path, dir.path_of(46));
/// let longer = Trainer::new(&model, &data, options(3)).resume((*found.snapshot).clone()).run()?;
/// assert_eq!(longer.params, Trainer::new(&model, &data, options(3)).run()?.params);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
        let is_of_here = |end: &&EpochEnd| end.is_whole && end.step == position.step;
        let quality = self.last.as_ref().filter(is_of_here).map(Quality::of);
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
