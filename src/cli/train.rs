//! `phalanx train`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Instant;

use phalanx::checkpoint::{ModelFile, read_tensors};
use phalanx::model::{Mlp, Model};
use phalanx::report::{Metrics, Progress, ProgressStyle, ReportError, Results, RunDir};
use phalanx::train::{EpochEnd, Event, Outcome, Plan, StopReason, Trainer};
use serde_json::Value;

use super::failure::Failure;
use super::flags::TrainFlags;
use super::input::{TrainingData, data_name, training_data};
use super::signals::Signals;
use super::{config, output, preview, settings, summary};

/// Trains, reports and saves.
pub(super) fn run(flags: TrainFlags, begun: Instant) -> Result<ExitCode, Failure> {
    let flags = settings::complete(config::merge(flags)?);
    let options = settings::options(&flags)?;
    let data = training_data(&flags)?;
    let model = Mlp::new(settings::shape(&flags, &data.train, &options)?);
    let initial = flags.init.as_deref().map(|path| initial_params(path.as_ref(), &model)).transpose()?;
    let plan = Plan::new(&options, &model, &data.train, data.test.as_ref())?;

    let signals = Signals::listen()?;
    let mut dir = run_dir(&flags)?;
    dir.write_config(&config::text(&recorded(&flags)))?;
    if flags.quiet != Some(true) {
        let mut table = preview::table(&flags, &options, &data.train, model.shape(), &plan);
        preview::output(&mut table, dir.path());
        output::tell(table);
    }
    let mut listener = Listener::new(&flags, &dir, &plan, &signals)?;
    let mut trainer = Trainer::new(&model, &data.train, options).stop_on(&signals.stop);
    if let Some(test) = &data.test {
        trainer = trainer.test(test);
    }
    if let Some(initial) = initial {
        trainer = trainer.initial_params(initial);
    }
    let outcome = trainer.run(|event| listener.hear(event));
    if listener.heard {
        dir.keep();
    }
    let epochs = listener.finish()?;
    let outcome = outcome?;

    let results = Results::new(&plan, &epochs, &outcome, begun.elapsed().as_secs_f64());
    save(&dir, &flags, &model, data, &outcome, &results)?;
    if flags.quiet != Some(true) {
        let table = summary::table(&results, &plan, dir.path(), data_name(&flags));
        output::results(|out| write!(out, "{table}"))?;
    }
    Ok(exit_code(&outcome, &signals, dir.path()))
}

/// Reads `--init`: a file, or a run directory.
pub(super) fn initial_params(path: &Path, model: &Mlp) -> Result<Vec<f32>, Failure> {
    let path = if path.is_dir() { path.join("model.safetensors") } else { path.to_owned() };
    Ok(read_tensors(&path, &model.tensors())?)
}

fn run_dir(flags: &TrainFlags) -> Result<RunDir, Failure> {
    Ok(match &flags.output_dir {
        Some(path) => RunDir::create(path.as_ref())?,
        None => RunDir::create_next(Path::new("runs"))?,
    })
}

/// The flags without those that are about this one run and not about what it computes.
fn recorded(flags: &TrainFlags) -> TrainFlags {
    TrainFlags { output_dir: None, quiet: None, no_progress: None, ..flags.clone() }
}

/// Hands the trainer's events to the log and the display.
struct Listener<'a> {
    metrics: Metrics,
    progress: Progress,
    epochs: Vec<EpochEnd>,
    signals: &'a Signals,
    failed: Option<ReportError>,
    /// Whether a step was done.
    heard: bool,
}

impl<'a> Listener<'a> {
    fn new(flags: &TrainFlags, dir: &RunDir, plan: &Plan, signals: &'a Signals) -> Result<Self, Failure> {
        let hidden = flags.quiet == Some(true) || flags.no_progress == Some(true);
        let style = if hidden { ProgressStyle::Hidden } else { ProgressStyle::automatic() };
        let metrics = dir.metrics(flags.log_every.unwrap_or(10))?;
        Ok(Self {
            metrics,
            progress: Progress::new(style, plan),
            epochs: Vec::new(),
            signals,
            failed: None,
            heard: false,
        })
    }

    fn hear(&mut self, event: Event<'_>) {
        let written = match event {
            Event::Start(_) | Event::Snapshot(_) => Ok(()),
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
        };
        // A log that cannot be written ends the run, after the step in hand; the first reason is kept.
        if let (Err(error), None) = (written, &self.failed) {
            self.failed = Some(error);
            self.signals.stop.store(true, Ordering::Relaxed);
        }
    }

    fn finish(self) -> Result<Vec<EpochEnd>, Failure> {
        self.progress.finish();
        self.failed.map_or(Ok(self.epochs), |error| Err(error.into()))
    }
}

fn save(
    dir: &RunDir,
    flags: &TrainFlags,
    model: &Mlp,
    data: TrainingData,
    outcome: &Outcome,
    results: &Results,
) -> Result<(), Failure> {
    let file = ModelFile {
        shape: model.shape().clone(),
        params: outcome.params.clone(),
        standardize: data.standardize,
        classes: data.train.classes().cloned(),
        options: options_by_name(&recorded(flags)),
    };
    file.save(&dir.model_path())?;
    Ok(dir.write_results(results)?)
}

fn options_by_name(flags: &TrainFlags) -> BTreeMap<String, Value> {
    match serde_json::to_value(flags) {
        Ok(Value::Object(options)) => options.into_iter().collect(),
        other => unreachable!("flags are named values, not {other:?}"),
    }
}

fn exit_code(outcome: &Outcome, signals: &Signals, path: &Path) -> ExitCode {
    match outcome.reason {
        StopReason::Completed => ExitCode::SUCCESS,
        StopReason::Interrupted => signals.exit_code(),
        StopReason::Diverged => {
            let (step, path) = (outcome.steps, path.display());
            output::tell(format!(
                "error: the loss of step {step} is no finite number, training diverged; the params before it are saved \
                 in {path}; lower --lr, or set --clip-grad-norm"
            ));
            ExitCode::from(3)
        }
    }
}
