//! Saving during a run: checkpoints are created on the run's thread and written by another thread.

use std::mem::take;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::checkpoint_dir::{CheckpointDir, remove};
use super::checkpoint_file::{Checkpoint, History, RunFacts, quality_of};
use super::error::CheckpointError;
use super::model_file::ModelFile;
use super::whole_file::make_folder;
use crate::train::{EpochEnd, Event, Metric, Outcome, Quality, Snapshot, Subscriber, SubscriberError};

/// A subscriber that creates a checkpoint from each snapshot of a run, and writes checkpoints in
/// order on a separate thread. It keeps the newest checkpoints and the best.
///
/// A checkpoint is durably on disk before an older one is removed.
///
/// # Cost
///
/// Time on one core for one pass of checksums and one copy to the system: 58 ms for
/// 784-2048-2048-10 with momentum (46 MB), on two cores shared with six other programs. A run on
/// all cores loses this time on one of them.
///
/// # Examples
///
/// ```
/// use std::num::NonZero;
///
/// use phalanx::checkpoint::{Checkpoint, CheckpointDir, ModelFile, Saver};
/// use phalanx::data::{LoadOptions, Source};
/// use phalanx::model::{Activation, Loss, Mlp, MlpShape, Model};
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
/// let file = ModelFile {
///     shape,
///     params: model.initial_params(42),
///     standardize: None,
///     standardize_targets: None,
///     classes: data.classes().cloned(),
///     options: Default::default(),
///     train: Some(data.fingerprint()),
///     test: None,
///     data: data.summary(),
/// };
/// let mut saver = Saver::start(dir.clone(), keep, metric, &file, || eprintln!("no checkpoint can be written"))?;
/// let outcome = trainer.subscribe(&mut saver).run()?;
/// saver.finish(Some(&outcome))?;
///
/// let (path, found): (_, Checkpoint) = dir.newest(|damaged| eprintln!("{damaged}"))?.expect("two were saved");
/// assert_eq!(path, dir.path_of(46));
/// let mut saver = Saver::resume(dir.clone(), keep, metric, &found, || eprintln!("no checkpoint can be written"))?;
/// let longer = Trainer::new(&model, &data, options(3)).resume((*found.snapshot).clone()).subscribe(&mut saver).run()?;
/// saver.finish(Some(&longer))?;
/// assert_eq!(longer.params, Trainer::new(&model, &data, options(3)).run()?.params);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Saver {
    writer: Writer,
    facts: Arc<RunFacts>,
    /// The times of all epochs before `last`.
    history: History,
    last: Option<EpochEnd>,
    started_at: Instant,
}

impl Saver {
    /// Starts saving a run to a folder, which is created with the first checkpoint. It keeps the
    /// newest `keep` checkpoints and, of those at the end of a complete epoch, the best by the
    /// metric. `model` is the model file at the start of the run.
    ///
    /// If a checkpoint cannot be written, or an old one cannot be removed, `on_failure` is called
    /// and no more checkpoints are written; [`finish`](Self::finish) returns the error.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Folder`], [`CheckpointError::Thread`].
    ///
    /// # Panics
    ///
    /// If the model file has no fingerprint of the training samples.
    pub fn start(
        dir: CheckpointDir,
        keep: NonZero<usize>,
        metric: Metric,
        model: &ModelFile,
        on_failure: impl FnOnce() + Send + 'static,
    ) -> Result<Self, CheckpointError> {
        let writer = Writer::start(dir, keep, 0, metric, on_failure)?;
        Ok(Self::new(writer, Arc::new(RunFacts::of_model(model)), History::default(), Instant::now()))
    }

    /// Starts saving a run that is resumed from a checkpoint. Later checkpoints in the folder,
    /// which are damaged or no longer part of the run, are removed once the first new one is
    /// written.
    ///
    /// # Errors
    ///
    /// Those of [`start`](Self::start).
    pub fn resume(
        dir: CheckpointDir,
        keep: NonZero<usize>,
        metric: Metric,
        from: &Checkpoint,
        on_failure: impl FnOnce() + Send + 'static,
    ) -> Result<Self, CheckpointError> {
        let writer = Writer::start(dir, keep, from.snapshot.position().step, metric, on_failure)?;
        Ok(Self::new(writer, Arc::clone(&from.facts), from.history.clone(), Instant::now()))
    }

    /// Creates a saver for a run with these facts; `before` is the history of a resumed run,
    /// `started_at` the start time of the program.
    #[doc(hidden)]
    pub fn new(writer: Writer, facts: Arc<RunFacts>, before: History, started_at: Instant) -> Self {
        Self { writer, facts, history: before, last: None, started_at }
    }

    /// Saves the final state of the run, and waits until all checkpoints are written.
    ///
    /// # Errors
    ///
    /// The first failure to write a checkpoint or to remove an old one.
    ///
    /// # Panics
    ///
    /// If the thread that writes checkpoints panicked.
    pub fn finish(self, outcome: Option<&Outcome>) -> Result<(), CheckpointError> {
        if let Some(snapshot) = outcome.and_then(Outcome::snapshot) {
            self.save(Arc::new(snapshot));
        }
        self.writer.finish()
    }

    fn save(&self, snapshot: Arc<Snapshot>) {
        let position = *snapshot.position();
        let is_at_position = |end: &&EpochEnd| end.is_whole && end.step == position.step;
        let quality = self.last.as_ref().filter(is_at_position).map(Quality::of);
        let mut history = self.history.clone();
        // An incomplete epoch will be continued, and then reported as a whole.
        self.last.iter().filter(|end| end.epoch < position.epoch).for_each(|end| history.add(end));
        history.wall_secs += self.started_at.elapsed().as_secs_f64();
        self.writer.save(Checkpoint { facts: Arc::clone(&self.facts), snapshot, quality, history });
    }
}

impl Subscriber for Saver {
    fn receive(&mut self, event: &Event<'_>) -> Result<(), SubscriberError> {
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

/// A thread that writes checkpoints in order and keeps the newest and the best.
#[derive(Debug)]
pub struct Writer {
    sender: Sender<Checkpoint>,
    thread: JoinHandle<Result<(), CheckpointError>>,
}

impl Writer {
    /// Starts writing to a folder, which is created with the first checkpoint. It keeps the newest
    /// `keep` checkpoints, and of those with a [`Quality`] the best by the metric. Checkpoints
    /// after the step `from`, at which the run is resumed, are damaged or no longer part of the
    /// run, and are removed once the first new one is written.
    ///
    /// If a checkpoint cannot be written, or an old one cannot be removed, `on_failure` is called
    /// and no more checkpoints are written; [`finish`](Self::finish) returns the error.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Folder`], [`CheckpointError::Thread`].
    pub fn start(
        dir: CheckpointDir,
        keep: NonZero<usize>,
        from: u64,
        metric: Metric,
        on_failure: impl FnOnce() + Send + 'static,
    ) -> Result<Self, CheckpointError> {
        let mut stored = StoredCheckpoints::of(dir, keep, from, metric)?;
        let (sender, receiver) = channel();
        let work = move || stored.write_all(&receiver).inspect_err(|_| on_failure());
        let thread = thread::Builder::new().name("checkpoints".to_owned()).spawn(work);
        Ok(Self { sender, thread: thread.map_err(|source| CheckpointError::Thread { source })? })
    }

    /// Queues a checkpoint, without waiting.
    pub fn save(&self, checkpoint: Checkpoint) {
        // After a failure the receiver is gone; `finish` returns the error.
        let _ = self.sender.send(checkpoint);
    }

    /// Waits until all checkpoints are written.
    ///
    /// # Errors
    ///
    /// The first failure to write a checkpoint or to remove an old one.
    ///
    /// # Panics
    ///
    /// If the thread panicked.
    pub fn finish(self) -> Result<(), CheckpointError> {
        drop(self.sender);
        self.thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// The checkpoints in the folder.
struct StoredCheckpoints {
    dir: CheckpointDir,
    keep: NonZero<usize>,
    /// The metric that determines the best.
    metric: Metric,
    /// Steps and qualities, by ascending step.
    stored: Vec<(u64, Option<Quality>)>,
    /// Steps of the checkpoints to remove.
    obsolete: Vec<u64>,
}

impl StoredCheckpoints {
    fn of(
        dir: CheckpointDir,
        keep: NonZero<usize>,
        from: u64,
        metric: Metric,
    ) -> Result<Self, CheckpointError> {
        let (steps, obsolete): (Vec<u64>, _) = dir.steps()?.into_iter().partition(|step| *step <= from);
        // A damaged checkpoint has no quality and cannot be the best.
        let stored = steps.into_iter().map(|step| (step, quality_of(&dir.path_of(step)).ok().flatten()));
        Ok(Self { stored: stored.collect(), dir, keep, metric, obsolete })
    }

    fn write_all(&mut self, receiver: &Receiver<Checkpoint>) -> Result<(), CheckpointError> {
        receiver.iter().try_for_each(|checkpoint| self.write(checkpoint))
    }

    fn write(&mut self, checkpoint: Checkpoint) -> Result<(), CheckpointError> {
        let (step, quality) = (checkpoint.snapshot.position().step, checkpoint.quality);
        let path = self.dir.path_of(step);
        make_folder(self.dir.path())
            .map_err(|source| CheckpointError::Write { path: path.clone(), source })?;
        checkpoint.save(&path)?;
        // Free its buffers.
        drop(checkpoint);
        let obsolete = take(&mut self.obsolete).into_iter().filter(|other| *other != step);
        obsolete.into_iter().try_for_each(|other| self.remove(other))?;
        // The last step may have been saved during the run, and is saved again at its end.
        self.stored.retain(|(other, _)| *other < step);
        self.stored.push((step, quality));
        self.remove_superseded()
    }

    fn remove_superseded(&mut self) -> Result<(), CheckpointError> {
        let best = self.best();
        let older = self.stored.len().saturating_sub(self.keep.get());
        let is_kept = |index: usize, step: u64| index >= older || Some(step) == best;
        let superseded = self.stored.iter().enumerate().filter(|(index, (step, _))| !is_kept(*index, *step));
        superseded.map(|(_, (step, _))| *step).try_for_each(|step| self.remove(step))?;
        let mut index = 0..;
        self.stored.retain(|(step, _)| index.next().is_some_and(|index| is_kept(index, *step)));
        Ok(())
    }

    /// Returns the step of the best checkpoint, the earlier one if two are equally good.
    fn best(&self) -> Option<u64> {
        let measured = self.stored.iter().filter_map(|(step, quality)| Some((*step, (*quality)?)));
        measured
            .reduce(|best, next| {
                let gain = next.1.gain_over(&best.1, self.metric);
                if gain.is_some_and(|gain| gain > 0.0) { next } else { best }
            })
            .map(|(step, _)| step)
    }

    fn remove(&self, step: u64) -> Result<(), CheckpointError> {
        remove(&self.dir.path_of(step))
    }
}
