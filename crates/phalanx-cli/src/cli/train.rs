//! `phalanx train`.

mod prepared;
mod recorders;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use crate::numbers::short_number;
use crate::page::RunRecord;
use phalanx::log::Results;
use phalanx::model::Mlp;
use phalanx::optim::Framework;
use phalanx::train::{Blame, Divergence, OnDivergence, Outcome, StopReason, Trainer};

use self::prepared::Prepared;
pub(super) use self::prepared::initial_params;
use self::recorders::Recorders;
use super::failure::Failure;
use super::flags::TrainFlags;
use super::job::{self, Job};
use super::layers::{self, Layers};
use super::resume::{Beginning, Resumed};
use super::signals::Signals;
use super::{output, report, resume, settings, summary};

/// Trains, reports and saves: alone, or as one process of a job.
pub(super) fn run(flags: TrainFlags, begun: Instant) -> Result<ExitCode, Failure> {
    output::speak(&flags);
    let given = layers::given(flags)?;
    output::speak(&given.flags);
    let framework = given.flags.like;
    let given = given.resolve_like()?;
    let mut job = Job::join(settings::timeout(&given.flags)?)?;
    let ended = begin(given, framework, (begun, &mut job));
    job.end(ended)
}

/// Begins a run, or goes on with one; or there is nothing to do.
fn begin(
    given: Layers,
    framework: Option<Framework>,
    (begun, job): (Instant, &mut Job),
) -> Result<ExitCode, Failure> {
    let beginning = resume::beginning(&given.flags)?;
    let is_asked = given.flags.print_config;
    job.agree(&if is_asked { "the options are printed".to_owned() } else { beginning.to_string() })?;
    let (layers, resumed) = match beginning {
        Beginning::New => (given.complete(), None),
        Beginning::Resumed(resumed) => (resumed.flags(given)?.complete(), Some(*resumed)),
        Beginning::Complete(run) => {
            output::tell(format!("the run in {} is complete, nothing is left to do", run.display()));
            return Ok(ExitCode::SUCCESS);
        }
    };
    if layers.flags.print_config {
        if job.is_first() {
            output::results(|out| write!(out, "{}", layers.annotated()))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    train(layers.flags, framework, resumed, (begun, job))
}

fn train(
    flags: TrainFlags,
    framework: Option<Framework>,
    resumed: Option<Resumed>,
    (begun, job): (Instant, &mut Job),
) -> Result<ExitCode, Failure> {
    let mut run = Prepared::new(flags, framework, resumed)?;
    run.step_back_from_the_end()?;
    let trainer = run.trainer()?;
    let plan = trainer.plan()?;
    run.tell_of_rate(&plan)?;

    let signals = Signals::listen()?;
    tell_of_cores(job.processes(), plan.threads());
    // All have read what there is to go on from before the first writes over it.
    job.barrier()?;
    if !job.is_first() {
        return follow(trainer.stop_on(&signals.stop), job);
    }
    let mut recorders = Recorders::open(&run, &plan, &signals, begun)?;
    run.warn_of_scales()?;
    let is_quiet = run.flags.quiet == Some(true);
    if !is_quiet {
        output::start(&run.table(&plan, job.processes(), recorders.path()));
    }
    let trainer = recorders.attend(trainer.stop_on(&signals.stop));
    let ended = match job.wire() {
        Some(wire) => trainer.across(wire).run(),
        None => trainer.run(),
    };
    let (dir, epochs) = recorders.finish(&ended)?;
    let outcome = ended?;

    let results = Results::new(&plan, &run.history(), &epochs, &outcome, begun.elapsed().as_secs_f64());
    let results = Results { processes: job.processes(), ..results };
    run.model_file(&outcome).save(&dir.model_path())?;
    dir.write_results(&results)?;
    let record = RunRecord::read(dir.path())?;
    report::draw_loss(&record)?;
    if !is_quiet {
        let text = summary::text(&results, &plan, &record);
        let printed = output::results(|out| write!(out, "{text}"));
        // After SIGHUP the terminal may be gone; what the exit code says of the run, that it is saved, is true all the same.
        if outcome.reason != StopReason::Interrupted {
            printed?;
        }
    }
    if let Some(warning) = run.learned_nothing(&outcome, &results)? {
        output::warn(warning);
    }
    if let Some(divergence) = &outcome.divergence {
        return Ok(diverged(&outcome, dir.path(), &advice(&run, divergence, plan.on_divergence())?));
    }
    Ok(match outcome.reason {
        StopReason::Interrupted => signals.exit_code(job.processes() > 1),
        _ => ExitCode::SUCCESS,
    })
}

/// Warns of threads that have no cores of their own: a launcher binds processes to few of them without being asked.
fn tell_of_cores(processes: usize, threads: usize) {
    let cores = std::thread::available_parallelism().map_or(threads, usize::from);
    let online = job::online_cores().unwrap_or(cores);
    if processes > 1 && threads > cores && cores < online {
        output::warn(format!(
            "the {threads} threads of this process are bound to {cores} of {online} cores; start with mpirun --bind-to none, or --map-by \
             slot:PE={threads}"
        ));
    } else if processes > 1 && threads * job::local_processes() > online {
        output::warn(format!(
            "{} processes of {threads} threads share the {online} cores of this host; give fewer threads (-t)",
            job::local_processes()
        ));
    }
}

/// Trains as one of the processes that say and save nothing.
fn follow(trainer: Trainer<'_, Mlp>, job: &mut Job) -> Result<ExitCode, Failure> {
    let wire = job.wire().expect("a process that is not the first has others");
    trainer.across(wire).run()?;
    Ok(ExitCode::SUCCESS)
}

/// Says that the run diverged, and what to do about it.
fn diverged(outcome: &Outcome, path: &Path, advice: &str) -> ExitCode {
    let divergence = outcome.divergence.as_ref().expect("a run that diverged says by what");
    let saved = match outcome.position.best.filter(|_| outcome.best_params.is_some()) {
        Some(best) => format!("those of the best epoch, {},", best.epoch + 1),
        None => "the params before it".to_owned(),
    };
    let path = path.display();
    output::error(format!("training diverged in {divergence}; {saved} are saved in {path}; {advice}"));
    ExitCode::from(3)
}

/// Returns what to do about it: what scales the data comes first, as it is what usually helps.
fn advice(run: &Prepared, divergence: &Divergence, on: OnDivergence) -> Result<String, Failure> {
    let is_of_update = matches!(divergence.blame, Blame::Update { .. });
    let rate = run.flags.lr.expect("every flag is filled in");
    let lower = format!("lower --lr ({rate:?}), to {} for example", short_number(rate / 10.0));
    let remedies = run.remedies()?;
    if !remedies.is_empty() {
        return Ok(format!("{}; if it still diverges, {lower}", remedies.join(", and ")));
    }
    Ok(match (on, divergence.step) {
        (OnDivergence::Skip, _) if !is_of_update => {
            format!("every step of the epoch was skipped; {lower}, set --clip-grad-norm, or look at the data")
        }
        (_, 1) => format!("nothing was learned yet: look at the data and at --init, or {lower}"),
        _ if is_of_update => format!("{lower}, or set --clip-grad-norm"),
        _ => format!("{lower}, set --clip-grad-norm, or skip such steps with --on-divergence skip"),
    })
}
