//! The table before training: what will be done, with everything that was left to the program filled in.

use std::path::Path;

use crate::numbers::{grouped, significant};
use crate::text::TextTable;
use phalanx::data::{Dataset, Standardize, Targets};
use phalanx::model::MlpShape;
use phalanx::optim::{EpsForm, Framework, L2Form, Reduction, WarmupForm};
use phalanx::train::{Options, Plan, SaveEvery};

use super::flags::TrainFlags;
use super::input::data_name;
use super::resume::Resumed;
use super::settings::SAVE_EVERY;

/// Lays the table out.
pub(super) fn table(
    flags: &TrainFlags,
    options: &Options,
    train: &Dataset,
    shape: &MlpShape,
    (plan, processes): (&Plan, usize),
) -> TextTable {
    let mut table = TextTable::default();
    table.row("data", data(flags, plan));
    about_data(&mut table, train);
    table.row("model", model(shape, plan));
    table.row("steps", steps(plan));
    table.row("shards", shards(plan));
    table.row("threads", threads(plan, processes));
    table.row("reduction", plan.reduction());
    table.row("optimizer", optimizer(plan));
    table.row("rate", rate(options, plan, train.weights().is_some()));
    if plan.early_stop().is_some() || plan.keep_best() {
        table.row("best epoch", best_epoch(plan));
    }
    if let Some(interval) = plan.noise_interval() {
        table.row("noise scale", noise_scale(interval));
    }
    table
}

/// The lines that say what samples were taken for.
pub(super) fn about_data(table: &mut TextTable, train: &Dataset) {
    table.row("features", features(train));
    for (name, text) in train.summary().rows(train.classes()) {
        table.row(name, text);
    }
}

/// What becomes of the targets of mse.
pub(super) fn targets(standardize: Option<&Standardize>, framework: Option<Framework>) -> String {
    match (standardize, framework) {
        (Some(standardize), _) => {
            format!("{}; losses are in their units, squared", standardized_by(standardize))
        }
        (None, Some(framework)) => {
            format!("not standardized, as {framework} does not (--standardize-targets does)")
        }
        (None, None) => "not standardized (--standardize-targets does)".to_owned(),
    }
}

/// "standardized by mean 12.5 and deviation 3.25".
pub(super) fn standardized_by(standardize: &Standardize) -> String {
    match (standardize.mean(), standardize.std()) {
        ([mean], [std]) => format!("standardized by mean {mean:?} and deviation {std:?}"),
        (means, _) => format!("standardized, each of the {} by its mean and deviation", means.len()),
    }
}

/// The lines that say where the run is saved, and where it goes on from.
pub(super) fn output(table: &mut TextTable, flags: &TrainFlags, path: &Path, resumed: Option<&Resumed>) {
    if let Some(resumed) = resumed {
        table.row("resumed", resumed);
    }
    table.row("output", path.display());
    let (every, keep) = (flags.save_every.unwrap_or(SAVE_EVERY), flags.keep.unwrap_or_default());
    let often = if every == SaveEvery::Never { "at the end".to_owned() } else { format!("every {every}") };
    table.row("checkpoints", format!("{often}; the newest {keep} and the best are kept"));
}

/// "by test-accuracy, more than 0.001 better; stops after 3 epochs without one; its params are saved".
fn best_epoch(plan: &Plan) -> String {
    let mut text = format!("by {}", plan.metric());
    if plan.min_gain() > 0.0 {
        text += &format!(", more than {:?} better", plan.min_gain());
    }
    match plan.early_stop() {
        Some(1) => text += "; the run stops after an epoch without one",
        Some(epochs) => text += &format!("; the run stops after {} epochs without one", grouped(epochs)),
        None => {}
    }
    text + if plan.keep_best() { "; its params are saved" } else { "; the params of the last are saved" }
}

fn noise_scale(interval: u64) -> String {
    match interval {
        1 => "measured every step".to_owned(),
        steps => format!("measured every {} steps", grouped(steps)),
    }
}

fn data(flags: &TrainFlags, plan: &Plan) -> String {
    let name = data_name(flags);
    let test = match plan.test_samples() {
        0 => "none to test on (see --test-split)".to_owned(),
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

/// A model's layers and loss, such as 64 -> 128 relu -> 10, cross-entropy.
pub(super) fn layers(shape: &MlpShape) -> String {
    let hidden: String =
        shape.hidden.iter().map(|width| format!(" -> {width} {}", shape.activation)).collect();
    format!("{}{hidden} -> {}, {}", shape.inputs, shape.outputs, shape.loss)
}

fn threads(plan: &Plan, processes: usize) -> String {
    let (threads, shards) = (plan.threads(), plan.shards());
    if processes > 1 {
        return format!("{threads} here, in the first of {processes} processes");
    }
    let cores = std::thread::available_parallelism().map_or(threads, usize::from);
    if threads > shards {
        return format!(
            "{threads}, of which {} have no shard to compute (--shards gives them some, and other bits)",
            threads - shards
        );
    }
    if threads > cores { format!("{threads}, on {cores} cores") } else { threads.to_string() }
}

fn shards(plan: &Plan) -> String {
    let (batch, shards) = (plan.max_batch_samples(), plan.shards());
    let (least, most) = (batch / shards, batch.div_ceil(shards));
    let samples = if least == most { count(most) } else { format!("{} to {}", count(least), count(most)) };
    format!("{} of {samples} samples a step", count(shards))
}

fn steps(plan: &Plan) -> String {
    let (total, each, batch) = (plan.total_steps(), plan.steps_per_epoch(), plan.max_batch_samples());
    let short = plan
        .short_batch()
        .filter(|samples| *samples != batch)
        .map_or_else(String::new, |samples| format!(", its last of {}", count(samples)));
    format!("{} of {} samples; {} an epoch{short}", grouped(total), count(batch), grouped(each))
}

fn optimizer(plan: &Plan) -> String {
    let options = plan.hyper().options();
    let mut text = options.kind.to_string();
    let mut say = |name: &str, value: Option<f64>| {
        if let Some(value) = value.filter(|value| *value != 0.0) {
            text += &format!(", {name} {value:?}");
        }
    };
    say("momentum", options.momentum);
    say("beta1", options.beta1);
    say("beta2", options.beta2);
    say("eps", options.eps);
    if let Some(form) = options.eps_form.filter(|form| *form != EpsForm::Outside) {
        text += &format!(" {form}");
    }
    let mut say = |name: &str, value: Option<f64>| {
        if let Some(value) = value.filter(|value| *value != 0.0) {
            text += &format!(", {name} {value:?}");
        }
    };
    say("initial accumulator", options.initial_accumulator);
    say("trust coefficient", options.trust_coefficient);
    say("l2", Some(options.l2));
    say("weight decay", Some(options.weight_decay));
    say("clipped to norm", plan.clip_grad_norm());
    if let Some(form) = options.momentum_form {
        text += &format!(", {form} form");
    }
    if options.nesterov {
        text += ", nesterov";
    }
    if options.l2 != 0.0 && options.l2_form == L2Form::BatchSum {
        text += ", l2 over the weight of the batch";
    }
    if options.no_bias_decay { text + ", biases not decayed" } else { text }
}

/// The rate in both conventions, so that nobody has to guess which one a number is in.
fn rate(options: &Options, plan: &Plan, weighted: bool) -> String {
    let (kind, reduction, rate) = (plan.hyper().kind(), plan.reduction(), plan.rate());
    let both = if kind.is_scale_free() {
        format!("{:?} under any reduction, {kind} being free of the gradient's scale", short(rate))
    } else {
        let (batch, shards) = (plan.max_batch_samples(), plan.shards());
        let (mean, sum) =
            (reduction.rate_under_mean(rate, batch, shards), reduction.rate_under_sum(rate, batch, shards));
        let both = format!("{:?} under mean, {:?} under sum", short(mean), short(sum));
        let is_either = matches!(reduction, Reduction::Mean | Reduction::Sum);
        let both = if weighted { format!("{both}, if weights are 1 on average") } else { both };
        if is_either { both } else { format!("{:?}, as {both}", short(rate)) }
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

/// What else another reduction asks for: a rate alone makes the same run only where nothing else has the scale of gradients.
fn translated_too(plan: &Plan) -> String {
    let options = plan.hyper().options();
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
        format!(" with {} translated too (phalanx convert)", names.join(", "))
    }
}

fn count(number: usize) -> String {
    grouped(number as u64)
}

/// Six significant digits, without what a division adds behind them.
pub(super) fn short(value: f64) -> f64 {
    significant(value, 6)
}
