//! `phalanx train`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use phalanx::checkpoint::Saver;
use phalanx::internals::Writer;
use phalanx::internals::write_whole;
use phalanx::log::{LogError, Metrics, Results, RunDir, TensorBoard};
use phalanx::model::Model;
use phalanx::optim::Framework;
use phalanx::train::{
    Divergence, EpochEnd, Event, OnDivergence, Outcome, Plan, StopReason, TrainError, Trainer,
};

use super::prepared::{PreparedRun, recorded};
use super::resume::{self, Beginning, ResumedRun};
use super::{like, settings, tables};
use crate::args::flags::TrainFlags;
use crate::args::layers::{self, Layers};
use crate::args::values::LogFormat;
use crate::numbers::short_number;
use crate::page::{RunRecord, loss_figure};
use crate::progress::{Progress, ProgressStyle};
use crate::terminal::cpus::Cpus;
use crate::terminal::failure::Failure;
use crate::terminal::launcher;
use crate::terminal::output::{self, warn};
use crate::terminal::process_group::ProcessGroup;
use crate::terminal::signals::Signals;

/// Trains, reports and saves, alone or as one process of a group.
pub fn run(flags: TrainFlags, begun: Instant) -> Result<ExitCode, Failure> {
    configure_output(&flags);
    let given = layers::given(flags)?;
    configure_output(&given.flags);
    let framework = given.flags.like;
    let given = like::resolve_layers(given)?;
    let mut group = ProcessGroup::join(settings::timeout(&given.flags)?)?;
    let ended = begin(given, framework, begun, &mut group);
    group.end(ended)
}

fn configure_output(flags: &TrainFlags) {
    output::configure(flags.log_format == Some(LogFormat::Json), flags.quiet == Some(true));
}

/// Starts a run, or resumes one unless it is complete.
fn begin(
    given: Layers,
    framework: Option<Framework>,
    begun: Instant,
    group: &mut ProcessGroup,
) -> Result<ExitCode, Failure> {
    let beginning = resume::beginning(&given.flags)?;
    let only_prints = given.flags.print_config;
    group.agree(&if only_prints { "print the options".to_owned() } else { beginning.to_string() })?;
    let (layers, resumed) = match beginning {
        Beginning::New => (given.complete(), None),
        Beginning::Resumed(resumed) => {
            let given = like::without_init(given, framework);
            (resumed.flags(given)?.complete(), Some(*resumed))
        }
        Beginning::Complete(run) => {
            output::info(format!("the run in {} is complete: nothing to do", run.display()));
            return Ok(ExitCode::SUCCESS);
        }
    };
    if layers.flags.print_config {
        if group.is_first() {
            output::results(|out| write!(out, "{}", layers.annotated()))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    train(layers.flags, framework, resumed, begun, group)
}

fn train(
    flags: TrainFlags,
    framework: Option<Framework>,
    resumed: Option<ResumedRun>,
    begun: Instant,
    group: &mut ProcessGroup,
) -> Result<ExitCode, Failure> {
    let mut run = PreparedRun::new(flags, framework, resumed)?;
    run.step_back_from_the_end()?;
    let trainer = run.trainer()?;
    let plan = trainer.plan()?;
    run.warn_of_rate(&plan)?;

    let signals = Signals::register()?;
    warn_of_cores(group.processes(), plan.threads());
    // All processes have read the checkpoint before the first one overwrites files.
    group.barrier()?;
    if !group.is_first() {
        return follow(trainer.stop_on(&signals.stop), group);
    }
    let mut recorders = Recorders::open(&run, &plan, &signals, begun)?;
    run.warn_of_scales()?;
    let is_quiet = run.flags.quiet == Some(true);
    if !is_quiet {
        output::plan(&run.table(&plan, group.processes(), recorders.path()));
    }
    let trainer = recorders.attend(trainer.stop_on(&signals.stop));
    let ended = match group.wire() {
        Some(wire) => trainer.across(wire).run(),
        None => trainer.run(),
    };
    let (dir, epochs) = recorders.finish(&ended)?;
    let outcome = ended?;

    let results = Results::new(&plan, run.checkpoint(), &epochs, &outcome, begun.elapsed().as_secs_f64());
    let results = Results { processes: group.processes(), ..results };
    run.model_file(&outcome).save(&dir.model_path())?;
    dir.write_results(&results)?;
    let record = RunRecord::read(dir.path())?;
    write_whole(&record.path.join("loss.svg"), loss_figure(&record).svg().as_bytes())?;
    if !is_quiet {
        let text = tables::results_text(&results, &plan, &record);
        let printed = output::results(|out| write!(out, "{text}"));
        // After SIGHUP the terminal may be gone; the run is saved nevertheless, as the exit code
        // reports.
        if outcome.reason != StopReason::Interrupted {
            printed?;
        }
    }
    if let Some(warning) = run.learned_nothing(&outcome, &results)? {
        warn(warning);
    }
    if let Some(divergence) = &outcome.divergence {
        return Ok(diverged(&outcome, dir.path(), &advice(&run, divergence, plan.on_divergence())?));
    }
    Ok(match outcome.reason {
        StopReason::Interrupted => signals.exit_code(group.processes() > 1),
        _ => ExitCode::SUCCESS,
    })
}

/// Warns if there are more threads than cores: by default, launchers bind a process to few cores.
fn warn_of_cores(processes: usize, threads: usize) {
    let Cpus { threads: cores, online, .. } = Cpus::available();
    if processes > 1 && threads > cores && cores < online {
        warn(format!(
            "the {threads} threads of this process are bound to {cores} of {online} cores; start with mpirun --bind-to none, or --map-by \
             slot:PE={threads}"
        ));
    } else if processes > 1 && threads * launcher::local_processes() > online {
        warn(format!(
            "{} processes of {threads} threads share the {online} cores of this host; give fewer threads (-t)",
            launcher::local_processes()
        ));
    }
}

/// Trains as a process other than the first, without reporting or saving anything.
fn follow(trainer: Trainer<'_>, group: &mut ProcessGroup) -> Result<ExitCode, Failure> {
    let wire = group.wire().expect("a process other than the first is in a group");
    trainer.across(wire).run()?;
    Ok(ExitCode::SUCCESS)
}

/// Reports that the run diverged, with remedies.
fn diverged(outcome: &Outcome, path: &Path, advice: &str) -> ExitCode {
    let divergence = outcome.divergence.as_ref().expect("a diverged run has a cause");
    let saved = match outcome.position.best.filter(|_| outcome.best_params.is_some()) {
        Some(best) => format!("the params of the best epoch, {},", best.epoch + 1),
        None => "the params before it".to_owned(),
    };
    let path = path.display();
    output::error(format!("training diverged in {divergence}; {saved} are saved in {path}; {advice}"));
    ExitCode::from(3)
}

/// Returns remedies for divergence. Scaling the data comes first, because it usually helps.
fn advice(run: &PreparedRun, divergence: &Divergence, on: OnDivergence) -> Result<String, Failure> {
    let is_of_update = matches!(divergence, Divergence::Update { .. });
    let rate = run.flags.lr.expect("every flag is filled in");
    let lower = format!("lower --lr ({rate:?}), to {} for example", short_number(rate / 10.0));
    let clip = match run.flags.clip_grad_norm {
        Some(norm) => format!("lower --clip-grad-norm ({norm:?})"),
        None => "set --clip-grad-norm".to_owned(),
    };
    let remedies = run.remedies()?;
    if !remedies.is_empty() {
        return Ok(format!("{}; if it still diverges, {lower}", remedies.join(", and ")));
    }
    Ok(match (on, divergence.step()) {
        (OnDivergence::Skip, _) if !is_of_update => {
            format!("every step of the epoch was skipped; {lower}, {clip}, or check the data")
        }
        (_, 1) => format!("this was the first step: check the data, and --init if it is given, or {lower}"),
        _ if is_of_update => format!("{lower}, or {clip}"),
        _ => format!("{lower}, {clip}, or skip such steps with --on-divergence skip"),
    })
}

/// The subscribers of a run, which show progress and write logs and checkpoints to its directory.
pub struct Recorders {
    progress: Progress,
    metrics: Metrics,
    board: Option<TensorBoard>,
    saver: Saver,
    epochs: Vec<EpochEnd>,
    /// True once the run has made a step, so that its directory is kept.
    has_begun: bool,
    dir: RunDir,
}

impl Recorders {
    /// Opens the run directory and the files that are written during the run.
    pub fn open(run: &PreparedRun, plan: &Plan, signals: &Signals, begun: Instant) -> Result<Self, Failure> {
        let mut dir = run_dir(run)?;
        // The log first: it locks the directory against other runs.
        let metrics = metrics(run, &mut dir)?;
        // Then the options, with which a killed run can start again.
        dir.write_config(&recorded(&run.flags).to_toml())?;
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
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Adds all of them to the subscribers of a run.
    pub fn attend<'a>(&'a mut self, trainer: Trainer<'a>) -> Trainer<'a> {
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
        // The last: everything up to a checkpoint is in the logs before the checkpoint is written.
        trainer.subscribe(saver)
    }

    /// Stops the subscribers and saves the outcome. Returns the run directory and the epochs.
    pub fn finish(mut self, ended: &Result<Outcome, TrainError>) -> Result<(RunDir, Vec<EpochEnd>), Failure> {
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

fn run_dir(run: &PreparedRun) -> Result<RunDir, Failure> {
    Ok(match (&run.resumed, &run.flags.output_dir) {
        (Some(ResumedRun { run, in_place: true, .. }), _) => RunDir::reopen(run),
        (_, Some(path)) => RunDir::create(path)?,
        (_, None) => RunDir::create_next(Path::new("runs"))?,
    })
}

fn metrics(run: &PreparedRun, dir: &mut RunDir) -> Result<Metrics, Failure> {
    let every = log_every(run);
    Ok(match &run.resumed {
        Some(resumed) => {
            let metrics = dir.resume_metrics(every, &resumed.position(), &resumed.run)?;
            if let Some(line) = metrics.unreadable() {
                let path = dir.path().join("metrics.jsonl");
                warn(format!(
                    "{}, line {line}: not a valid log line; it is kept, but has no row in metrics.csv",
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

fn log_every(run: &PreparedRun) -> u64 {
    run.flags.log_every.expect("the flag has a default")
}

/// Opens the event file of `--tensorboard`.
fn tensor_board(run: &PreparedRun, dir: &RunDir) -> Result<Option<TensorBoard>, Failure> {
    if run.flags.tensorboard != Some(true) {
        return Ok(None);
    }
    let (every, tensors) = (log_every(run), run.model.tensors());
    Ok(Some(match &run.resumed {
        Some(resumed) => dir.resume_tensor_board(every, tensors, &resumed.position(), &resumed.run)?,
        None => dir.tensor_board(every, tensors)?,
    }))
}

/// Starts the thread that writes checkpoints; if it fails, the run ends after the next step at the
/// latest.
fn saver(
    run: &PreparedRun,
    plan: &Plan,
    dir: &RunDir,
    signals: &Signals,
    begun: Instant,
) -> Result<Saver, Failure> {
    let from = run.resumed.as_ref().map_or(0, ResumedRun::last_step);
    let stop = Arc::clone(&signals.stop);
    let on_failure = move || stop.store(true, Ordering::Relaxed);
    let keep = settings::keep(&run.flags)?;
    let writer = Writer::start(dir.checkpoints(), keep, from, plan.metric(), on_failure)?;
    let history = run.checkpoint().map(|from| from.history.clone()).unwrap_or_default();
    Ok(Saver::new(writer, Arc::clone(&run.facts), history, begun))
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
