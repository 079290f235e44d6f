//! `phalanx train`.

mod prepared;
mod recorders;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use phalanx::optim::Framework;
use phalanx::report::Results;
use phalanx::report::page::RunRecord;
use phalanx::train::{Blame, Divergence, OnDivergence, Outcome, StopReason};

use self::prepared::Prepared;
pub(super) use self::prepared::initial_params;
use self::recorders::Recorders;
use super::failure::Failure;
use super::flags::TrainFlags;
use super::resume::{Beginning, Resumed};
use super::signals::Signals;
use super::{layers, output, report, resume, summary};

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
    let mut run = Prepared::new(flags, framework, resumed)?;
    run.step_back_from_the_end()?;
    let trainer = run.trainer()?;
    let plan = trainer.plan()?;
    run.tell_of_rate(&plan)?;

    let signals = Signals::listen()?;
    let mut recorders = Recorders::open(&run, &plan, &signals, begun)?;
    let is_quiet = run.flags.quiet == Some(true);
    if !is_quiet {
        output::start(&run.table(&plan, recorders.path()));
    }
    let ended = recorders.attend(trainer.stop_on(&signals.stop)).run();
    let (dir, epochs) = recorders.finish(&ended)?;
    let outcome = ended?;

    let results = Results::new(&plan, &run.history(), &epochs, &outcome, begun.elapsed().as_secs_f64());
    run.model_file(&outcome).save(&dir.model_path())?;
    dir.write_results(&results)?;
    let record = RunRecord::read(dir.path())?;
    report::draw_loss(&record)?;
    if !is_quiet {
        let text = summary::text(&results, &plan, &record);
        output::results(|out| write!(out, "{text}"))?;
    }
    Ok(exit_code(&outcome, &signals, (dir.path(), plan.on_divergence())))
}

fn exit_code(outcome: &Outcome, signals: &Signals, (path, on): (&Path, OnDivergence)) -> ExitCode {
    match outcome.reason {
        StopReason::Completed | StopReason::StoppedEarly => ExitCode::SUCCESS,
        StopReason::Interrupted => signals.exit_code(),
        StopReason::Diverged => {
            let divergence = outcome.divergence.as_ref().expect("a run that diverged says by what");
            let saved = match outcome.position.best.filter(|_| outcome.best_params.is_some()) {
                Some(best) => format!("those of the best epoch, {},", best.epoch + 1),
                None => "the params before it".to_owned(),
            };
            let path = path.display();
            output::error(format!(
                "training diverged in {divergence}; {saved} are saved in {path}; {}",
                advice(divergence, on)
            ));
            ExitCode::from(3)
        }
    }
}

/// What to do about it.
fn advice(divergence: &Divergence, on: OnDivergence) -> &'static str {
    let is_of_update = matches!(divergence.blame, Blame::Update { .. });
    match (on, divergence.step) {
        (OnDivergence::Skip, _) if !is_of_update => {
            "no step of the epoch was left, all being skipped; lower --lr, set --clip-grad-norm, or look at the data"
        }
        (_, 1) => "nothing was learned yet: look at the data (--standardize) and at --init, or lower --lr",
        _ if is_of_update => "lower --lr, or set --clip-grad-norm",
        _ => "lower --lr, set --clip-grad-norm, or leave such steps out with --on-divergence skip",
    }
}
