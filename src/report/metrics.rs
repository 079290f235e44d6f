//! The log of a run: one JSON object a line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::ReportError;
use crate::model::Score;
use crate::train::{EpochEnd, Event, NoiseScale, Position, StepEnd, Subscriber, SubscriberError};

/// Writes `metrics.jsonl`, a subscriber of the run: a line every so many steps and one each epoch. The file is up to date after
/// each epoch, and in between as often as somebody may want to look.
///
/// | key | of | meaning |
/// |---|---|---|
/// | `event` | all | `step`, `epoch`, or `resume` where a run was gone on with; lines after that point were cut off |
/// | `step`, `epoch` | all | steps done; epoch counted from 1 |
/// | `train_loss` | both | mean loss of the step's, or of the epoch's samples, before their update; null if no number |
/// | `lr` | step | learning rate of the step |
/// | `grad_norm` | step | global norm before clipping, where it was computed |
/// | `noise_scale`, `noise_scale_error` | both | gradient noise scale as last measured, in samples, and its standard error; left out if it is not measured, null while it is not known |
/// | `test_loss`, `test_accuracy` | epoch | on the test samples, null without |
/// | `samples_per_sec`, `epoch_secs` | epoch | speed and time, evaluation left out |
/// | `compute_secs`, `wait_secs`, `reduce_update_secs` | epoch | where rank 0 spent that time |
pub struct Metrics {
    path: PathBuf,
    file: BufWriter<File>,
    /// A line every so many steps; 0 for none.
    every: u64,
    /// When the lines were last handed to the system.
    flushed: Instant,
    /// What the last measuring step said.
    noise: Option<NoiseScale>,
}

/// Time between two looks at the file of somebody who follows a run.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Line {
    Step {
        step: u64,
        epoch: u64,
        train_loss: Option<f64>,
        lr: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        grad_norm: Option<f64>,
        #[serde(flatten)]
        noise: Option<Noise>,
    },
    Epoch {
        step: u64,
        epoch: u64,
        train_loss: Option<f64>,
        test_loss: Option<f64>,
        test_accuracy: Option<f64>,
        #[serde(flatten)]
        noise: Option<Noise>,
        samples_per_sec: f64,
        epoch_secs: f64,
        compute_secs: f64,
        wait_secs: f64,
        reduce_update_secs: f64,
    },
    Resume {
        step: u64,
        epoch: u64,
    },
}

/// What of a line says whether it stays.
#[derive(Deserialize)]
struct Place {
    event: String,
    step: u64,
    epoch: u64,
}

impl Place {
    /// Whether it belongs to the run as it stood. The end of an epoch that was cut short does not: its whole one comes.
    fn is_before(&self, position: &Position) -> bool {
        self.step <= position.step && (self.event != "epoch" || self.epoch <= position.epoch)
    }
}

impl Line {
    /// `noise` is what the last measuring step said.
    pub(super) fn of_step(end: &StepEnd, noise: Option<NoiseScale>) -> Self {
        let StepEnd { step, epoch, loss, rate, grad_norm, .. } = *end;
        let (train_loss, noise) = (finite(loss), noise.map(Noise::from));
        Self::Step { step, epoch: epoch + 1, train_loss, lr: rate, grad_norm, noise }
    }

    pub(super) fn of_epoch(end: &EpochEnd, noise: Option<NoiseScale>) -> Self {
        Self::Epoch {
            step: end.step,
            epoch: end.epoch + 1,
            train_loss: finite(end.train_loss),
            test_loss: end.test.as_ref().map(Score::mean_loss).and_then(finite),
            test_accuracy: end.test.as_ref().and_then(Score::accuracy),
            noise: noise.map(Noise::from),
            samples_per_sec: end.samples_per_sec(),
            epoch_secs: end.elapsed.as_secs_f64(),
            compute_secs: end.phases.compute.as_secs_f64(),
            wait_secs: end.phases.wait.as_secs_f64(),
            reduce_update_secs: end.phases.reduce_update.as_secs_f64(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Noise {
    noise_scale: Option<f64>,
    noise_scale_error: Option<f64>,
}

impl From<NoiseScale> for Noise {
    fn from(noise: NoiseScale) -> Self {
        let estimate = noise.recent();
        Self {
            noise_scale: estimate.map(|estimate| estimate.value),
            noise_scale_error: estimate.map(|estimate| estimate.error),
        }
    }
}

impl Metrics {
    pub(super) fn new(path: PathBuf, file: File, every: u64) -> Self {
        Self { path, file: BufWriter::new(file), every, flushed: Instant::now(), noise: None }
    }

    /// Goes on with the log of a run: cuts off what came after it was saved, and marks the point.
    pub(super) fn resume(
        path: PathBuf,
        mut file: File,
        every: u64,
        position: &Position,
    ) -> Result<Self, ReportError> {
        match cut(&mut file, position) {
            Err(source) => Err(ReportError::Write { path, source }),
            Ok(()) => {
                let mut metrics = Self::new(path, file, every);
                metrics.write(&Line::Resume { step: position.step, epoch: position.epoch + 1 })?;
                metrics.flush()?;
                Ok(metrics)
            }
        }
    }

    /// Logs a step, if it is one of those to be logged.
    fn step(&mut self, end: &StepEnd) -> Result<(), ReportError> {
        self.noise = end.noise_scale.or(self.noise);
        if self.every == 0 || !end.step.is_multiple_of(self.every) {
            return Ok(());
        }
        self.write(&Line::of_step(end, self.noise))?;
        if self.flushed.elapsed() < LOOK { Ok(()) } else { self.flush() }
    }

    /// Logs an epoch, and hands all lines to the system.
    fn epoch(&mut self, end: &EpochEnd) -> Result<(), ReportError> {
        self.write(&Line::of_epoch(end, self.noise))?;
        self.flush()
    }

    /// Hands all lines to the system.
    fn flush(&mut self) -> Result<(), ReportError> {
        self.flushed = Instant::now();
        self.file.flush().map_err(|source| ReportError::Write { path: self.path.clone(), source })
    }

    fn write(&mut self, line: &Line) -> Result<(), ReportError> {
        let text = serde_json::to_string(line).expect("a line is plain data");
        writeln!(self.file, "{text}").map_err(|source| ReportError::Write { path: self.path.clone(), source })
    }
}

impl Subscriber for Metrics {
    fn hear(&mut self, event: &Event<'_>) -> Result<(), SubscriberError> {
        match event {
            Event::Step(end) => self.step(end)?,
            Event::Epoch(end) => self.epoch(end)?,
            // Or else a program that is killed could leave a checkpoint beyond the end of its log.
            Event::Snapshot(_) => self.flush()?,
            _ => {}
        }
        Ok(())
    }
}

/// Leaves the lines before a position, and the file at its end. A line that was not finished is none.
fn cut(file: &mut File, position: &Position) -> io::Result<()> {
    file.rewind()?;
    let (mut kept, mut lines, mut line) = (0, BufReader::new(&*file), Vec::new());
    loop {
        line.clear();
        let len = lines.read_until(b'\n', &mut line)?;
        let place = serde_json::from_slice::<Place>(&line).ok().filter(|_| line.ends_with(b"\n"));
        if !place.is_some_and(|place| place.is_before(position)) {
            break;
        }
        kept += len as u64;
    }
    file.set_len(kept)?;
    file.seek(SeekFrom::End(0)).map(drop)
}

/// JSON has no NaN and no infinity.
fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
