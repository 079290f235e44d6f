//! `phalanx train`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use phalanx::checkpoint::{ModelFile, RunFacts, Saver, Writer, read_tensors};
use phalanx::data::Dataset;
use phalanx::model::{Mlp, Model};
use phalanx::optim::Framework;
use phalanx::report::page::RunRecord;
use phalanx::report::{Metrics, Progress, ProgressStyle, Results, RunDir, TensorBoard};
use phalanx::train::{EpochEnd, Event, Options, Outcome, Plan, StopReason, TrainError, Trainer};
use serde_json::Value;

use super::failure::Failure;
use super::flags::TrainFlags;
use super::input::{TrainingData, training_data};
use super::resume::{Beginning, Resumed};
use super::signals::Signals;
use super::{config, layers, like, output, preview, report, resume, settings, summary};

/// Trains, reports and saves.
pub(super) fn run(flags: TrainFlags, begun: Instant) -> Result<ExitCode, Failure> {
    output::speak(&flags);
    let given = layers::given(flags)?;
    output::speak(&given.flags);
    let framework = given.flags.like;
    let given = given.resolve_like()?;
    let (layers, resumed) = match resume::beginning(&given.flags)? {
        Beginning::New => (given.complete(), None),
        Beginning::Resumed(resumed) => (resumed.flags(given)?.complete(), Some(*resumed)),
        Beginning::Complete(run) => {
            output::tell(format!("the run in {} is complete, nothing is left to do", run.display()));
            return Ok(ExitCode::SUCCESS);
        }
    };
    if layers.flags.print_config {
        output::results(|out| write!(out, "{}", layers.annotated()))?;
        return Ok(ExitCode::SUCCESS);
    }
    train(layers.flags, framework, resumed, begun)
}

fn train(
    flags: TrainFlags,
    framework: Option<Framework>,
    resumed: Option<Resumed>,
    begun: Instant,
) -> Result<ExitCode, Failure> {
    let options = settings::options(&flags)?;
    settings::keep(&flags)?;
    let data = training_data(&flags)?;
    let model = Mlp::new(settings::shape(&flags, &data.train, &options)?);
    framework.map_or(Ok(()), |framework| like::check_loss(framework, model.shape().loss))?;
    let facts = Arc::new(facts(&flags, &model, &data));
    if let Some(resumed) = &resumed {
        resumed.check_data(&facts.train, facts.test.as_ref())?;
    }
    let trainer = trainer(&flags, &options, &model, &data, resumed.as_ref())?;
    let plan = trainer.plan()?;
    if let Some(resumed) = &resumed {
        let before = settings::options(resumed.recorded())?;
        resumed.tell_of_rate(&Plan::new(&before, &model, &data.train, data.test.as_ref())?, &plan);
    }

    let signals = Signals::listen()?;
    let mut dir = run_dir(&flags, resumed.as_ref())?;
    let mut metrics = metrics(&flags, &dir, resumed.as_ref())?;
    let mut board = tensor_board(&flags, &dir, &model, resumed.as_ref())?;
    dir.write_config(&config::text(&recorded(&flags)))?;
    if flags.quiet != Some(true) {
        let mut table = preview::table(&flags, &options, &data.train, model.shape(), &plan);
        if let Some(framework) = framework {
            table.row("like", like::meaning(framework, &flags));
        }
        preview::output(&mut table, &flags, dir.path(), resumed.as_ref());
        output::start(&table);
    }

    let before = resumed.as_ref().map(Resumed::history).unwrap_or_default();
    let writer = writer(&flags, &plan, &dir, resumed.as_ref(), &signals)?;
    let mut saver = Saver::new(writer, Arc::clone(&facts), before.clone(), begun);
    let mut progress = Progress::new(progress_style(&flags), &plan);
    let mut epochs: Vec<EpochEnd> = Vec::new();
    let mut has_begun = false;
    let trainer = trainer.stop_on(&signals.stop).on_event(|event| match event {
        Event::Step(_) => has_begun = true,
        Event::Epoch(end) => epochs.push(*end),
        _ => {}
    });
    // In this order: what a checkpoint goes on from is in the log before it is written.
    let mut trainer = trainer.subscribe(&mut progress).subscribe(&mut metrics);
    if let Some(board) = &mut board {
        trainer = trainer.subscribe(board);
    }
    let ended = trainer.subscribe(&mut saver).run();
    progress.finish();
    if has_begun {
        dir.keep();
    }
    saver.finish(match &ended {
        Ok(outcome) => Some(outcome),
        Err(TrainError::Subscriber { outcome, .. }) => Some(outcome),
        Err(_) => None,
    })?;
    let outcome = ended?;

    let results = Results::new(&plan, &before, &epochs, &outcome, begun.elapsed().as_secs_f64());
    save(&dir, &facts, &outcome, &results)?;
    let run = RunRecord::read(dir.path())?;
    report::draw_loss(&run)?;
    if flags.quiet != Some(true) {
        let text = summary::text(&results, &plan, &run);
        output::results(|out| write!(out, "{text}"))?;
    }
    Ok(exit_code(&outcome, &signals, dir.path()))
}

/// The trainer, at the beginning or where the run goes on.
fn trainer<'a>(
    flags: &TrainFlags,
    options: &Options,
    model: &'a Mlp,
    data: &'a TrainingData,
    resumed: Option<&Resumed>,
) -> Result<Trainer<'a, Mlp>, Failure> {
    let every = flags.save_every.unwrap_or(settings::SAVE_EVERY);
    let mut trainer = Trainer::new(model, &data.train, options.clone()).save_every(every);
    if let Some(test) = &data.test {
        trainer = trainer.test(test);
    }
    Ok(match (resumed.and_then(Resumed::snapshot), &flags.init) {
        (Some(snapshot), _) => trainer.resume(snapshot.clone()),
        (None, Some(path)) => trainer.initial_params(initial_params(path.as_ref(), model)?),
        (None, None) => trainer,
    })
}

/// The thread that writes checkpoints; if it cannot, the run ends after the step in hand.
fn writer(
    flags: &TrainFlags,
    plan: &Plan,
    dir: &RunDir,
    resumed: Option<&Resumed>,
    signals: &Signals,
) -> Result<Writer, Failure> {
    let from = resumed.map_or(0, |resumed| resumed.position().step);
    let stop = Arc::clone(&signals.stop);
    let on_failure = move || stop.store(true, Ordering::Relaxed);
    Ok(Writer::start(dir.checkpoints(), settings::keep(flags)?, from, plan.metric(), on_failure)?)
}

/// What is the same in all that the run saves.
fn facts(flags: &TrainFlags, model: &Mlp, data: &TrainingData) -> RunFacts {
    RunFacts {
        shape: model.shape().clone(),
        standardize: data.standardize.clone(),
        classes: data.train.classes().cloned(),
        options: options_by_name(&recorded(flags)),
        train: data.train.fingerprint(),
        test: data.test.as_ref().map(Dataset::fingerprint),
    }
}

/// Reads `--init`: a file, or a run directory.
pub(super) fn initial_params(path: &Path, model: &Mlp) -> Result<Vec<f32>, Failure> {
    let path = if path.is_dir() { path.join("model.safetensors") } else { path.to_owned() };
    Ok(read_tensors(&path, &model.tensors())?)
}

fn run_dir(flags: &TrainFlags, resumed: Option<&Resumed>) -> Result<RunDir, Failure> {
    Ok(match (resumed, &flags.output_dir) {
        (Some(Resumed { run, in_place: true, .. }), _) => RunDir::reopen(run),
        (_, Some(path)) => RunDir::create(path.as_ref())?,
        (_, None) => RunDir::create_next(Path::new("runs"))?,
    })
}

fn metrics(flags: &TrainFlags, dir: &RunDir, resumed: Option<&Resumed>) -> Result<Metrics, Failure> {
    let every = settings::log_every(flags);
    Ok(match resumed {
        Some(resumed) => dir.resume_metrics(every, &resumed.position(), &resumed.run)?,
        None => dir.metrics(every)?,
    })
}

/// The event file of `--tensorboard`; after the log, which keeps other runs out.
fn tensor_board(
    flags: &TrainFlags,
    dir: &RunDir,
    model: &Mlp,
    resumed: Option<&Resumed>,
) -> Result<Option<TensorBoard>, Failure> {
    if flags.tensorboard != Some(true) {
        return Ok(None);
    }
    let (every, tensors) = (settings::log_every(flags), model.tensors());
    Ok(Some(match resumed {
        Some(resumed) => dir.resume_tensor_board(every, tensors, &resumed.position(), &resumed.run)?,
        None => dir.tensor_board(every, tensors)?,
    }))
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

/// The flags without those that are about this one run and not about what it computes.
fn recorded(flags: &TrainFlags) -> TrainFlags {
    TrainFlags {
        output_dir: None,
        quiet: None,
        log_format: None,
        no_progress: None,
        resume: None,
        allow_changed: None,
        ..flags.clone()
    }
}

fn save(dir: &RunDir, facts: &RunFacts, outcome: &Outcome, results: &Results) -> Result<(), Failure> {
    let RunFacts { shape, standardize, classes, options, .. } = facts.clone();
    let file = ModelFile { shape, params: outcome.chosen_params().to_vec(), standardize, classes, options };
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
        StopReason::Completed | StopReason::StoppedEarly => ExitCode::SUCCESS,
        StopReason::Interrupted => signals.exit_code(),
        StopReason::Diverged => {
            let (step, path) = (outcome.steps, path.display());
            output::error(format!(
                "the loss of step {step} is no finite number, training diverged; the params before it are saved \
                 in {path}; lower --lr, or set --clip-grad-norm"
            ));
            ExitCode::from(3)
        }
    }
}
