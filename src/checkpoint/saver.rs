//! Saving a run while it goes on: checkpoints are made on the run's thread and written by another one.

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

/// Makes a checkpoint of each snapshot that a run hands out, and writes them one after the other on a thread of its own: a subscriber of the
/// run. It keeps the newest checkpoints and the best.
///
/// A checkpoint is on disk for good before an older one is removed.
///
/// # Cost
///
/// The time of a core for one pass of checksums and one copy to the system: 58 ms for 784-2048-2048-10 with momentum (46 MB), on two
/// cores that six other programs computed on. A run on all cores loses that much of one.
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
    /// Of the epochs before the last one that was received.
    history: History,
    last: Option<EpochEnd>,
    begun: Instant,
}

impl Saver {
    /// Begins to save a run to a folder, which is made at the first checkpoint. It keeps the newest `keep` and, of those at the end of a
    /// whole epoch, the best by the metric. `model` is the model file at the start of the run.
    ///
    /// If a checkpoint cannot be written, `on_failure` is called and no other is written; [`finish`](Self::finish) returns the error.
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

    /// Does the same for a run that is resumed from a checkpoint. Later ones in the folder, which are damaged or of a course that is left,
    /// are removed once the first is written.
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

    /// Prepares for a run with these facts; `before` is the history of one that is resumed, `begun` when the program was started.
    #[doc(hidden)]
    pub fn new(writer: Writer, facts: Arc<RunFacts>, before: History, begun: Instant) -> Self {
        Self { writer, facts, history: before, last: None, begun }
    }

    /// Saves what the run ended with, and waits until all is written.
    ///
    /// # Errors
    ///
    /// The first failure to write one.
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
        // An epoch that was cut short is continued, and reported whole.
        self.last.iter().filter(|end| end.epoch < position.epoch).for_each(|end| history.add(end));
        history.wall_secs += self.begun.elapsed().as_secs_f64();
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

/// Writes checkpoints on a thread of its own, one after the other, and keeps the newest and the best.
#[derive(Debug)]
pub struct Writer {
    sender: Sender<Checkpoint>,
    thread: JoinHandle<Result<(), CheckpointError>>,
}

impl Writer {
    /// Begins to write to a folder, which is made at the first checkpoint. It keeps the newest `keep`, and of all
    /// with a [`Quality`] the best by the metric. Those after the step `from`, where the run goes on, are damaged or of a course that
    /// is left: they go once the first is written.
    ///
    /// If one cannot be written, `on_failure` is called and no other is; [`finish`](Self::finish) says why.
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
        let mut kept = StoredCheckpoints::of(dir, keep, from, metric)?;
        let (sender, receiver) = channel();
        let work = move || kept.write_all(&receiver).inspect_err(|_| on_failure());
        let thread = thread::Builder::new().name("checkpoints".to_owned()).spawn(work);
        Ok(Self { sender, thread: thread.map_err(|source| CheckpointError::Thread { source })? })
    }

    /// Queues a checkpoint, without waiting.
    pub fn save(&self, checkpoint: Checkpoint) {
        // Nobody receives it after a failure, which `finish` returns.
        let _ = self.sender.send(checkpoint);
    }

    /// Waits until all is written.
    ///
    /// # Errors
    ///
    /// The first failure.
    ///
    /// # Panics
    ///
    /// If the thread has.
    pub fn finish(self) -> Result<(), CheckpointError> {
        drop(self.sender);
        self.thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// The checkpoints that are there.
struct StoredCheckpoints {
    dir: CheckpointDir,
    keep: NonZero<usize>,
    /// The metric that determines the best.
    metric: Metric,
    /// By step, ascending.
    there: Vec<(u64, Option<Quality>)>,
    /// Steps of those to be removed.
    left: Vec<u64>,
}

impl StoredCheckpoints {
    fn of(
        dir: CheckpointDir,
        keep: NonZero<usize>,
        from: u64,
        metric: Metric,
    ) -> Result<Self, CheckpointError> {
        let (steps, left): (Vec<u64>, _) = dir.steps()?.into_iter().partition(|step| *step <= from);
        // One that is damaged is the best of nothing.
        let there = steps.into_iter().map(|step| (step, quality_of(&dir.path_of(step)).ok().flatten()));
        Ok(Self { there: there.collect(), dir, keep, metric, left })
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
        // Its buffers are free again.
        drop(checkpoint);
        let left = take(&mut self.left).into_iter().filter(|left| *left != step);
        left.into_iter().try_for_each(|left| self.remove(left))?;
        // The last step may have been saved while the run went on, and is once more at its end.
        self.there.retain(|(other, _)| *other < step);
        self.there.push((step, quality));
        self.thin_out()
    }

    fn thin_out(&mut self) -> Result<(), CheckpointError> {
        let best = self.best();
        let older = self.there.len().saturating_sub(self.keep.get());
        let is_kept = |index: usize, step: u64| index >= older || Some(step) == best;
        let gone = self.there.iter().enumerate().filter(|(index, (step, _))| !is_kept(*index, *step));
        gone.map(|(_, (step, _))| *step).try_for_each(|step| self.remove(step))?;
        let mut index = 0..;
        self.there.retain(|(step, _)| index.next().is_some_and(|index| is_kept(index, *step)));
        Ok(())
    }

    /// The step of the best, the earlier of two as good.
    fn best(&self) -> Option<u64> {
        let measured = self.there.iter().filter_map(|(step, quality)| Some((*step, (*quality)?)));
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
