//! The lines after training: what came of it, and what to do next.

use crate::advice::{noise_advice, with_error};
use crate::numbers::{grouped, measured};
use crate::page::RunRecord;
use crate::text::{TextTable, shell_word};
use crate::text_curve::{Charset, TextCurve, stdout_columns};
use phalanx::log::{Results, Stopped};
use phalanx::model::Loss;
use phalanx::train::Plan;

use super::flags::TrainFlags;
use super::output;

/// The curve and the table, or one JSON object; `run` is what is in the run's directory now.
pub(super) fn text(results: &Results, plan: &Plan, run: &RunRecord) -> String {
    if output::is_json() {
        let mut whole = serde_json::to_value(results).expect("results are plain data");
        whole["output_dir"] = run.path.display().to_string().into();
        whole["next"] = run.next().first().map(|(command, _)| command.as_str()).into();
        return format!("{whole}\n");
    }
    let table = table(results, plan, run);
    match TextCurve::of(&run.log) {
        Some(curve) => format!("{}\n{table}", curve.draw(stdout_columns(), Charset::of_locale())),
        None => table.to_string(),
    }
}

/// Lays the results out.
fn table(results: &Results, plan: &Plan, run: &RunRecord) -> TextTable {
    let mut table = TextTable::default();
    if results.stopped != Stopped::Completed {
        let (done, all) = (grouped(results.steps), grouped(plan.total_steps()));
        let within =
            partial_epoch(results).map_or_else(String::new, |epoch| format!(", within epoch {epoch}"));
        table.row("stopped", format!("after {done} of {all} steps{within}"));
    }
    if results.stopped_early {
        let (done, epochs) = (grouped(results.steps), results.epochs);
        table
            .row("stopped", format!("early, after {epochs} epochs ({done} steps): no better since the best"));
    }
    if let Some(epoch) = results.best_epoch.filter(|_| results.of_best_epoch || results.stopped_early) {
        let saved =
            if results.of_best_epoch { "whose params are saved" } else { "the params of the last are saved" };
        let cut_short = partial_epoch(results).is_some();
        let whole = if cut_short { "; the last was cut short and does not count" } else { "" };
        table.row("best epoch", format!("{epoch}, {saved}{whole}"));
    }
    if let Some(accuracy) = results.test_accuracy {
        let share = output::bold(&format!("{accuracy:.4}"));
        table.row("test accuracy", share + &right(accuracy, results.test_samples));
    }
    if let Some(loss) = results.test_loss {
        table.row("test loss", measured(loss));
    }
    if let Some(loss) = results.train_loss {
        let part = partial_epoch(results).filter(|_| !results.of_best_epoch);
        let over =
            part.map_or_else(String::new, |epoch| format!(" over the part of epoch {epoch} that was done"));
        table.row("train loss", measured(loss) + &over);
    }
    if plan.noise_interval().is_some() {
        table.row("noise scale", noise_scale(results));
        table.row(
            "",
            noise_advice(results.noise_scale().or(results.noise_scale_of_run()), plan.max_batch_samples()),
        );
    }
    if results.skipped_steps > 0 {
        let skipped = grouped(results.skipped_steps);
        table.row("skipped", format!("{skipped} steps, whose loss or gradient was no finite number"));
    }
    if results.weightless_steps > 0 {
        let weightless = grouped(results.weightless_steps);
        table.row("weightless", format!("{weightless} steps, whose samples all weigh 0, changed nothing"));
    }
    table.row("time", time(results));
    table.row("params", format!("{}, sha256 {}", grouped(results.params as u64), results.params_sha256));
    table.row("saved in", run.name());
    table.row("plot", run.path.join("loss.svg").display());
    table.row("page", format!("phalanx report {}", shell_word(&run.name())));
    run.next().into_iter().take(1).for_each(|(command, _)| table.row("next", command));
    table
}

/// The epoch, counted from 1, of which the run ended with a part.
fn partial_epoch(results: &Results) -> Option<u64> {
    results.partial_epoch_secs.map(|_| results.epochs + 1)
}

/// States that a model is no better than one that ignores the features, and what may help.
pub(super) fn learned_nothing(flags: &TrainFlags, (found, constant): (f64, f64), loss: Loss) -> String {
    let ignorant = if loss == Loss::Mse { "the mean of the targets" } else { "the class frequencies" };
    let rate = flags.lr.map_or_else(String::new, |rate| format!(" (now {rate:?})"));
    let scale = if flags.standardize == Some(true) {
        ""
    } else {
        ", bring the features to one scale with --standardize"
    };
    format!(
        "the training loss of the saved model is {}, no lower than that of always predicting {ignorant}, {}; lower --lr{rate}{scale}, or \
         train for longer if the loss was still falling",
        measured(found),
        measured(constant)
    )
}

/// " (350 of 360)". Of weighted samples accuracy is a share of the weight, and only by chance one of the samples.
pub(super) fn right(accuracy: f64, samples: usize) -> String {
    let right = (accuracy * samples as f64).round();
    if right / samples as f64 == accuracy {
        format!(" ({} of {})", grouped(right as u64), grouped(samples as u64))
    } else {
        String::new()
    }
}

/// "1230 ± 90 samples at the end, 640 ± 20 over the whole run".
fn noise_scale(results: &Results) -> String {
    let end = results.noise_scale().map(|estimate| format!("{} samples at the end", with_error(&estimate)));
    let whole =
        results.noise_scale_of_run().map(|estimate| format!("{} over the whole run", with_error(&estimate)));
    let known: Vec<_> = end.into_iter().chain(whole).collect();
    if known.is_empty() { "not known yet".to_owned() } else { known.join(", ") }
}

fn time(results: &Results) -> String {
    let secs = results.training_secs();
    let phases = results.phase_secs;
    let total = (phases.compute + phases.wait + phases.reduce_update).max(f64::MIN_POSITIVE);
    let share = |secs: f64| 100.0 * secs / total;
    format!(
        "{secs:.2} s, at best {} samples/s; computing {:.0} %, waiting {:.0} %, reducing and updating {:.0} %",
        grouped(results.samples_per_sec as u64),
        share(phases.compute),
        share(phases.wait),
        share(phases.reduce_update),
    )
}

#[cfg(test)]
mod tests {
    use super::right;

    #[test]
    fn only_a_share_of_the_samples_is_shown_as_one() {
        assert_eq!(right(350.0 / 360.0, 360), " (350 of 360)");
        assert_eq!(right(9_750.0 / 10_000.0, 10_000), " (9750 of 10,000)");
        assert_eq!(right(0.97, 360), "");
    }
}
