//! What hears a run of the program: the display, the logs and the checkpoints, in the directory of the run.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::progress::{Progress, ProgressStyle};
use phalanx::checkpoint::{Saver, Writer};
use phalanx::log::{LogError, Metrics, RunDir, TensorBoard};
use phalanx::model::{Mlp, Model};
use phalanx::train::{EpochEnd, Event, Outcome, Plan, TrainError, Trainer};

use super::super::failure::Failure;
use super::super::flags::TrainFlags;
use super::super::output::warn;
use super::super::resume::Resumed;
use super::super::signals::Signals;
use super::super::{config, output, settings};
use super::prepared::{Prepared, recorded};

/// All of them.
pub(super) struct Recorders {
    progress: Progress,
    metrics: Metrics,
    board: Option<TensorBoard>,
    saver: Saver,
    epochs: Vec<EpochEnd>,
    /// Whether there is something to keep.
    has_begun: bool,
    dir: RunDir,
}

impl Recorders {
    /// Opens the directory of the run, and in it all that is written while the run goes on.
    pub(super) fn open(
        run: &Prepared,
        plan: &Plan,
        signals: &Signals,
        begun: Instant,
    ) -> Result<Self, Failure> {
        let mut dir = run_dir(run)?;
        // The log first: it keeps other runs out.
        let metrics = metrics(run, &mut dir)?;
        // And then the options, with which a run that is killed can begin again.
        dir.write_config(&config::text(&recorded(&run.flags)))?;
        let board = tensor_board(run, &dir)?;
        Ok(Self {
            progress: Progress::new(progress_style(&run.flags), plan),
            metrics,
            board,
            saver: saver(run, plan, &dir, signals, begun)?,
            epochs: Vec::new(),
            has_begun: false,
            dir,
        })
    }

    /// The directory of the run.
    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Has them all hear a run.
    pub(super) fn attend<'a>(&'a mut self, trainer: Trainer<'a, Mlp>) -> Trainer<'a, Mlp> {
        let Self { progress, metrics, board, saver, epochs, has_begun, .. } = self;
        let trainer = trainer.on_event(|event| match event {
            Event::Step(_) => *has_begun = true,
            Event::Epoch(end) => epochs.push(*end),
            _ => {}
        });
        let trainer = trainer.subscribe(progress).subscribe(metrics);
        let trainer = match board {
            Some(board) => trainer.subscribe(board),
            None => trainer,
        };
        // The last: what a checkpoint goes on from is in the logs before it is written.
        trainer.subscribe(saver)
    }

    /// Ends them: what the run came to is saved. Returns its directory and its epochs.
    pub(super) fn finish(
        mut self,
        ended: &Result<Outcome, TrainError>,
    ) -> Result<(RunDir, Vec<EpochEnd>), Failure> {
        self.progress.finish();
        if self.has_begun {
            self.dir.keep();
        }
        self.saver.finish(match ended {
            Ok(outcome) => Some(outcome),
            Err(TrainError::Subscriber { outcome, .. }) => Some(outcome),
            Err(_) => None,
        })?;
        Ok((self.dir, self.epochs))
    }
}

fn run_dir(run: &Prepared) -> Result<RunDir, Failure> {
    Ok(match (&run.resumed, &run.flags.output_dir) {
        (Some(Resumed { run, in_place: true, .. }), _) => RunDir::reopen(run),
        (_, Some(path)) => RunDir::create(path)?,
        (_, None) => RunDir::create_next(Path::new("runs"))?,
    })
}

fn metrics(run: &Prepared, dir: &mut RunDir) -> Result<Metrics, Failure> {
    let every = settings::log_every(&run.flags);
    Ok(match &run.resumed {
        Some(resumed) => {
            let metrics = dir.resume_metrics(every, &resumed.position(), &resumed.run)?;
            if let Some(line) = metrics.unreadable() {
                let path = dir.path().join("metrics.jsonl");
                warn(format!(
                    "{}, line {line}: not a line of a log; it stays, without a row in metrics.csv",
                    path.display()
                ));
            }
            metrics
        }
        None => dir.metrics(every).inspect_err(|error| {
            if matches!(error, LogError::InUse { .. }) {
                dir.keep();
            }
        })?,
    })
}

/// The event file of `--tensorboard`.
fn tensor_board(run: &Prepared, dir: &RunDir) -> Result<Option<TensorBoard>, Failure> {
    if run.flags.tensorboard != Some(true) {
        return Ok(None);
    }
    let (every, tensors) = (settings::log_every(&run.flags), run.model.tensors());
    Ok(Some(match &run.resumed {
        Some(resumed) => dir.resume_tensor_board(every, tensors, &resumed.position(), &resumed.run)?,
        None => dir.tensor_board(every, tensors)?,
    }))
}

/// With the thread that writes checkpoints; if it cannot, the run ends after the step in hand.
fn saver(
    run: &Prepared,
    plan: &Plan,
    dir: &RunDir,
    signals: &Signals,
    begun: Instant,
) -> Result<Saver, Failure> {
    let from = run.resumed.as_ref().map_or(0, Resumed::last_step);
    let stop = Arc::clone(&signals.stop);
    let on_failure = move || stop.store(true, Ordering::Relaxed);
    let keep = settings::keep(&run.flags)?;
    let writer = Writer::start(dir.checkpoints(), keep, from, plan.metric(), on_failure)?;
    Ok(Saver::new(writer, Arc::clone(&run.facts), run.history(), begun))
}

fn progress_style(flags: &TrainFlags) -> ProgressStyle {
    match flags {
        TrainFlags { quiet: Some(true), .. } | TrainFlags { no_progress: Some(true), .. } => {
            ProgressStyle::Hidden
        }
        _ if output::is_json() => ProgressStyle::Json,
        _ => ProgressStyle::automatic(),
    }
}
