//! The tables that `train` prints: the plan before training, with all values that the program has
//! chosen, and the results afterwards, with suggestions for what to do next.

use std::path::Path;

use phalanx::data::{Dataset, Standardize, Targets};
use phalanx::log::Results;
use phalanx::model::{Loss, MlpShape};
use phalanx::optim::{EpsForm, Framework, L2Form, Reduction, WarmupForm};
use phalanx::train::{Options, PhaseTimes, Plan, SaveEvery, Shards, StopReason};

use super::data::data_name;
use super::resume::ResumedRun;
use crate::advice::{noise_advice, with_error};
use crate::args::flags::TrainFlags;
use crate::numbers::{grouped, measured, significant};
use crate::page::RunRecord;
use crate::terminal::cpus::Cpus;
use crate::terminal::output;
use crate::text::{TextTable, shell_word};
use crate::text_curve::{Charset, TextCurve, stdout_columns};

/// Returns the table before training.
pub fn plan_table(
    flags: &TrainFlags,
    options: &Options,
    train: &Dataset,
    shape: &MlpShape,
    plan: &Plan,
    processes: usize,
) -> TextTable {
    let mut table = TextTable::default();
    table.row("data", data(flags, plan));
    about_data(&mut table, train);
    table.row("model", model(shape, plan));
    table.row("steps", steps(plan));
    table.row("shards", shards(plan, options.shards));
    table.row("threads", threads(plan, processes));
    table.row("reduction", plan.reduction());
    table.row("optimizer", optimizer(plan));
    table.row("rate", rate(options, plan, train.weights().is_some()));
    if plan.early_stop().is_some() || plan.keep_best() {
        table.row("best epoch", best_epoch(plan));
    }
    if let Some(interval) = plan.noise_interval() {
        table.row("noise scale", noise_interval(interval));
    }
    table
}

/// Adds the rows about the kind of samples.
pub fn about_data(table: &mut TextTable, train: &Dataset) {
    table.row("features", features(train));
    for (name, text) in train.summary().rows(train.classes()) {
        table.row(name, text);
    }
    if let Some(scaled) = train.standardization().and_then(one_scale) {
        table.row("then", scaled);
    }
}

/// Describes a scaling that is the same for all features, such as that of `--scale`.
pub fn one_scale(scaling: &Standardize) -> Option<String> {
    let (mean, std) = (scaling.mean().first()?, scaling.std().first()?);
    let is_one =
        scaling.mean().iter().all(|other| other == mean) && scaling.std().iter().all(|other| other == std);
    (is_one && scaling.std().len() > 1).then(|| format!("(feature - {mean}) / {std}"))
}

/// Describes the standardization of the targets, for mse.
pub fn targets(standardize: Option<&Standardize>, framework: Option<Framework>) -> String {
    match (standardize, framework) {
        (Some(standardize), _) => {
            format!("{}; losses are in their units, squared", standardized_by(standardize))
        }
        (None, Some(framework)) => {
            format!("not standardized, as in {framework} (change with --standardize-targets)")
        }
        (None, None) => "not standardized (change with --standardize-targets)".to_owned(),
    }
}

/// Returns a text such as "standardized by mean 12.5 and deviation 3.25".
pub fn standardized_by(standardize: &Standardize) -> String {
    match (standardize.mean(), standardize.std()) {
        ([mean], [std]) => format!("standardized by mean {mean:?} and deviation {std:?}"),
        (means, _) => format!("standardized, each of the {} by its mean and deviation", means.len()),
    }
}

/// Adds the rows about the output and about the resumed run.
pub fn output_rows(table: &mut TextTable, flags: &TrainFlags, path: &Path, resumed: Option<&ResumedRun>) {
    if let Some(resumed) = resumed {
        table.row("resumed", resumed);
    }
    table.row("output", path.display());
    let (every, keep) = flags.save_every.zip(flags.keep).expect("the flags have defaults");
    let often = if every == SaveEvery::Never { "at the end".to_owned() } else { format!("every {every}") };
    table.row("checkpoints", format!("{often}; the newest {keep} and the best are kept"));
}

/// Returns a text such as "by test-accuracy, more than 0.001 better; the run stops after 3 epochs
/// without improvement; the params of the best epoch are saved".
fn best_epoch(plan: &Plan) -> String {
    let mut text = format!("by {}", plan.metric());
    if plan.min_gain() > 0.0 {
        text += &format!(", more than {:?} better", plan.min_gain());
    }
    match plan.early_stop() {
        Some(1) => text += "; the run stops after an epoch without improvement",
        Some(epochs) => {
            text += &format!("; the run stops after {} epochs without improvement", grouped(epochs));
        }
        None => {}
    }
    text + if plan.keep_best() {
        "; the params of the best epoch are saved"
    } else {
        "; the params of the last epoch are saved"
    }
}

fn noise_interval(interval: u64) -> String {
    match interval {
        1 => "measured every step".to_owned(),
        steps => format!("measured every {} steps", grouped(steps)),
    }
}

fn data(flags: &TrainFlags, plan: &Plan) -> String {
    let name = data_name(flags);
    let test = match plan.test_samples() {
        0 => "no test samples (see --test-split)".to_owned(),
        samples => format!("{} test samples", count(samples)),
    };
    format!("{name}: {} training samples, {test}", count(plan.train_samples()))
}

fn features(train: &Dataset) -> String {
    let targets = match train.targets() {
        Targets::Classes { count, .. } => format!("{count} classes"),
        Targets::Values { outputs: 1, .. } => "1 value to predict".to_owned(),
        Targets::Values { outputs, .. } => format!("{outputs} values to predict"),
        Targets::None => "no targets".to_owned(),
    };
    let weights = if train.weights().is_some() { ", weighted" } else { "" };
    format!("{}, {}; {targets}{weights}", count(train.features()), train.describe())
}

fn model(shape: &MlpShape, plan: &Plan) -> String {
    format!("{}, {} params", layers(shape), count(plan.params_len()))
}

/// Returns a model's layers and loss, such as 64 -> 128 relu -> 10, cross-entropy.
pub fn layers(shape: &MlpShape) -> String {
    let hidden: String =
        shape.hidden.iter().map(|width| format!(" -> {width} {}", shape.activation)).collect();
    format!("{}{hidden} -> {}, {}", shape.inputs, shape.outputs, shape.loss)
}

fn threads(plan: &Plan, processes: usize) -> String {
    let (threads, shards) = (plan.threads(), plan.shards());
    if processes > 1 {
        return format!("{threads} here, in the first of {processes} processes");
    }
    let cpus = Cpus::available();
    if threads > shards {
        return format!(
            "{threads}, of which {} have no shard to compute (see --shards; a batch has at most one per sample)",
            threads - shards
        );
    }
    if threads > cpus.cores || cpus.threads < cpus.online {
        format!("{threads}, on {cpus}")
    } else {
        threads.to_string()
    }
}

fn shards(plan: &Plan, given: Shards) -> String {
    let (batch, shards) = (plan.max_batch_samples(), plan.shards());
    if let Shards::Count(given) = given
        && given > shards
    {
        return format!("{} per step, one per sample, instead of the {} given", count(shards), count(given));
    }
    let (least, most) = (batch / shards, batch.div_ceil(shards));
    let samples = if least == most { count(most) } else { format!("{} to {}", count(least), count(most)) };
    format!("{} per step, with {samples} samples each", count(shards))
}

fn steps(plan: &Plan) -> String {
    let (total, each, batch) = (plan.total_steps(), plan.steps_per_epoch(), plan.max_batch_samples());
    let short = plan
        .short_batch()
        .filter(|samples| *samples != batch)
        .map_or_else(String::new, |samples| format!(", the last with {}", count(samples)));
    format!("{}, with {} samples each; {} per epoch{short}", grouped(total), count(batch), grouped(each))
}

fn optimizer(plan: &Plan) -> String {
    let options = plan.optimizer();
    let mut text = options.kind.to_string();
    let numbers = [
        ("momentum", options.momentum),
        ("beta1", options.beta1),
        ("beta2", options.beta2),
        ("eps", options.eps),
        ("initial accumulator", options.initial_accumulator),
        ("trust coefficient", options.trust_coefficient),
        ("l2", Some(options.l2)),
        ("weight decay", Some(options.weight_decay)),
        ("clipped to norm", plan.clip_grad_norm()),
    ];
    for (name, value) in numbers {
        if let Some(value) = value.filter(|value| *value != 0.0) {
            text += &format!(", {name} {value:?}");
        }
        if let ("eps", Some(form)) = (name, options.eps_form.filter(|form| *form != EpsForm::Outside)) {
            text += &format!(" {form}");
        }
    }
    if let Some(form) = options.momentum_form {
        text += &format!(", {form} form");
    }
    if options.nesterov {
        text += ", nesterov";
    }
    if options.l2 != 0.0 {
        text += match options.l2_form {
            L2Form::Gradient => "",
            L2Form::BatchSum => ", l2 over the weight of the batch",
            L2Form::DataSum => ", l2 over the weight of all training samples",
        };
    }
    if options.no_bias_decay { text + ", biases not decayed" } else { text }
}

/// Returns the rate in both conventions, so that the convention of a number is never in doubt.
fn rate(options: &Options, plan: &Plan, weighted: bool) -> String {
    let (kind, reduction, rate) = (plan.optimizer().kind, plan.reduction(), plan.rate());
    let both = if kind.is_scale_free() {
        format!(
            "{:?} under any reduction, because {kind} does not depend on the gradient's scale",
            short(rate)
        )
    } else {
        let (batch, shards) = (plan.max_batch_samples(), plan.shards());
        let (mean, sum) =
            (reduction.rate_under_mean(rate, batch, shards), reduction.rate_under_sum(rate, batch, shards));
        let both = format!("{:?} under mean, {:?} under sum", short(mean), short(sum));
        let is_either = matches!(reduction, Reduction::Mean | Reduction::Sum);
        let both = if weighted { format!("{both}, if weights are 1 on average") } else { both };
        if is_either { both } else { format!("{:?}, equivalent to {both}", short(rate)) }
    };
    let both = both + &translated_too(plan);
    let schedule = options.schedule;
    let warmup = match schedule.warmup_steps {
        0 => String::new(),
        steps => {
            let at = if schedule.warmup_form == WarmupForm::Constant { "at" } else { "from" };
            let share =
                schedule.warmup_start.map(|start| format!(" {at} {start:?} of it")).unwrap_or_default();
            format!(", {} steps of {} warm-up{share}", grouped(steps), schedule.warmup_form)
        }
    };
    format!("{both}; {}{warmup}", schedule.kind)
}

/// Lists the other options that must be translated for another reduction: the rate alone is enough
/// only if nothing else depends on the scale of gradients.
fn translated_too(plan: &Plan) -> String {
    let options = plan.optimizer();
    let scaled = [
        ("l2", options.l2 != 0.0),
        ("clipping", plan.clip_grad_norm().is_some()),
        ("eps", options.eps.is_some_and(|eps| eps != 0.0)),
        ("initial accumulator", options.initial_accumulator.is_some_and(|start| start != 0.0)),
        ("weight decay", !options.kind.is_scale_free() && options.weight_decay != 0.0),
    ];
    let names: Vec<&str> = scaled.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| *name).collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(", with {} translated as well (see phalanx convert)", names.join(", "))
    }
}

fn count(number: usize) -> String {
    grouped(number as u64)
}

/// Rounds to six significant digits, to remove the rounding error of a division.
pub fn short(value: f64) -> f64 {
    significant(value, 6)
}

/// Returns the curve and the table, or one JSON object; `run` is the current content of the run
/// directory.
pub fn results_text(results: &Results, plan: &Plan, run: &RunRecord) -> String {
    if output::is_json() {
        let mut whole = serde_json::to_value(results).expect("results are plain data");
        whole["output_dir"] = run.path.display().to_string().into();
        whole["next"] = run.next().first().map(|(command, _)| command.as_str()).into();
        return format!("{whole}\n");
    }
    let table = results_table(results, plan, run);
    match TextCurve::of(&run.log) {
        Some(curve) => format!("{}\n{table}", curve.draw(stdout_columns(), Charset::of_locale())),
        None => table.to_string(),
    }
}

/// Returns the table after training.
fn results_table(results: &Results, plan: &Plan, run: &RunRecord) -> TextTable {
    let mut table = TextTable::default();
    if results.stopped != StopReason::Completed {
        let (done, all) = (grouped(results.steps), grouped(plan.total_steps()));
        let within =
            partial_epoch(results).map_or_else(String::new, |epoch| format!(", within epoch {epoch}"));
        table.row("stopped", format!("after {done} of {all} steps{within}"));
    }
    if results.stopped_early {
        let (done, epochs) = (grouped(results.steps), results.epochs);
        table.row(
            "stopped",
            format!("early, after {epochs} epochs ({done} steps): no improvement since the best epoch"),
        );
    }
    if let Some(epoch) = results.best_epoch.filter(|_| results.of_best_epoch || results.stopped_early) {
        let saved = if results.of_best_epoch {
            ", whose params are saved"
        } else {
            "; the params of the last epoch are saved"
        };
        let cut_short = partial_epoch(results).is_some();
        let whole = if cut_short { "; the last epoch is incomplete and does not count" } else { "" };
        table.row("best epoch", format!("{epoch}{saved}{whole}"));
    }
    if let Some(accuracy) = results.test_accuracy {
        let share = output::bold(&format!("{accuracy:.4}"));
        table.row("test accuracy", share + &right(accuracy, results.test_samples));
    }
    if let Some(loss) = results.test_loss {
        table.row("test loss", measured(loss));
    }
    if let Some(loss) = results.train_loss {
        let over = match partial_epoch(results) {
            _ if results.of_best_epoch => ", mean over the best epoch".to_owned(),
            Some(epoch) => format!(", mean over the completed part of epoch {epoch}"),
            None => ", mean over the last epoch".to_owned(),
        };
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
        table.row("skipped", format!("{skipped} steps with a NaN or infinite loss or gradient"));
    }
    if results.weightless_steps > 0 {
        let weightless = grouped(results.weightless_steps);
        table.row(
            "weightless",
            format!("{weightless} steps, whose samples all have weight 0, changed nothing"),
        );
    }
    table.row("time", time(results));
    table.row("params", format!("{}, sha256 {}", grouped(results.params as u64), results.params_sha256));
    table.row("saved in", run.name());
    table.row("plot", run.path.join("loss.svg").display());
    table.row("page", format!("phalanx report {}", shell_word(&run.name())));
    run.next().into_iter().take(1).for_each(|(command, _)| table.row("next", command));
    table
}

/// Returns the epoch, counted from 1, within which the run ended.
fn partial_epoch(results: &Results) -> Option<u64> {
    results.partial_epoch_secs.map(|_| results.epochs + 1)
}

/// Returns a warning that the model is no better than one that ignores the features, with possible
/// remedies.
pub fn learned_nothing(flags: &TrainFlags, found: f64, constant: f64, loss: Loss) -> String {
    let ignorant =
        if matches!(loss, Loss::Squared(_)) { "the mean of the targets" } else { "the class frequencies" };
    let rate = flags.lr.map_or_else(String::new, |rate| format!(" (now {rate:?})"));
    let scale = if flags.standardize == Some(true) {
        ""
    } else {
        ", bring the features to one scale with --standardize"
    };
    format!(
        "the training loss of the saved model is {}, no lower than that of always predicting {ignorant}, {}; try another --lr{rate}{scale}, or \
         train for longer if the loss was still falling",
        measured(found),
        measured(constant)
    )
}

/// Returns a text such as " (350 of 360)", or an empty one if the accuracy is not a fraction of the
/// samples: with weighted samples, it is a fraction of the weight.
pub fn right(accuracy: f64, samples: usize) -> String {
    let right = (accuracy * samples as f64).round();
    if right / samples as f64 == accuracy {
        format!(" ({} of {})", grouped(right as u64), grouped(samples as u64))
    } else {
        String::new()
    }
}

/// Returns a text such as "1230 ± 90 samples at the end, 640 ± 20 over the whole run".
fn noise_scale(results: &Results) -> String {
    let end = results.noise_scale().map(|estimate| format!("{} samples at the end", with_error(&estimate)));
    let whole =
        results.noise_scale_of_run().map(|estimate| format!("{} over the whole run", with_error(&estimate)));
    let known: Vec<_> = end.into_iter().chain(whole).collect();
    if known.is_empty() { "not known yet".to_owned() } else { known.join(", ") }
}

fn time(results: &Results) -> String {
    let secs = results.training_secs();
    let PhaseTimes { compute, wait, reduce_update } = results.phases;
    let [compute, wait, reduce_update] = [compute, wait, reduce_update].map(|time| time.as_secs_f64());
    let total = (compute + wait + reduce_update).max(f64::MIN_POSITIVE);
    let share = |secs: f64| 100.0 * secs / total;
    format!(
        "{secs:.2} s, peak {} samples/s; computing {:.0} %, waiting {:.0} %, reducing and updating {:.0} %",
        grouped(results.samples_per_sec as u64),
        share(compute),
        share(wait),
        share(reduce_update),
    )
}

#[cfg(test)]
mod tests {
    use super::right;

    #[test]
    fn only_an_accuracy_that_is_a_fraction_of_the_samples_is_shown_as_one() {
        assert_eq!(right(350.0 / 360.0, 360), " (350 of 360)");
        assert_eq!(right(9_750.0 / 10_000.0, 10_000), " (9750 of 10,000)");
        assert_eq!(right(0.97, 360), "");
    }
}
