//! The table before training: what will be done, with everything that was left to the program filled in.

use std::path::Path;

use phalanx::data::{Dataset, Targets};
use phalanx::model::MlpShape;
use phalanx::optim::Reduction;
use phalanx::report::{Table, grouped};
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
    plan: &Plan,
) -> Table {
    let mut table = Table::default();
    table.row("data", data(flags, plan));
    table.row("features", features(train));
    table.row("model", model(shape, plan));
    table.row("steps", steps(plan));
    table.row("shards", shards(plan));
    table.row("threads", threads(plan));
    table.row("reduction", plan.reduction());
    table.row("optimizer", optimizer(plan));
    table.row("rate", rate(options, plan, train.weights().is_some()));
    table
}

/// The lines that say where the run is saved, and where it goes on from.
pub(super) fn output(table: &mut Table, flags: &TrainFlags, path: &Path, resumed: Option<&Resumed>) {
    if let Some(resumed) = resumed {
        table.row("resumed", resumed);
    }
    table.row("output", path.display());
    let (every, keep) = (flags.save_every.unwrap_or(SAVE_EVERY), flags.keep.unwrap_or_default());
    let often = if every == SaveEvery::Never { "at the end".to_owned() } else { format!("every {every}") };
    table.row("checkpoints", format!("{often}; the newest {keep} and the best are kept"));
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
    let mut text = shape.inputs.to_string();
    for width in &shape.hidden {
        text += &format!(" -> {width} {}", shape.activation);
    }
    format!("{text} -> {}, {}, {} params", shape.outputs, shape.loss, count(plan.params_len()))
}

fn threads(plan: &Plan) -> String {
    let (threads, shards) = (plan.threads(), plan.shards());
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
    say("initial accumulator", options.initial_accumulator);
    say("trust coefficient", options.trust_coefficient);
    say("l2", Some(options.l2));
    say("weight decay", Some(options.weight_decay));
    say("clipped to norm", plan.clip_grad_norm());
    if let Some(form) = options.momentum_form {
        text += &format!(", {form} form");
    }
    if options.nesterov { text + ", nesterov" } else { text }
}

/// The rate in both conventions, so that nobody has to guess which one a number is in.
fn rate(options: &Options, plan: &Plan, weighted: bool) -> String {
    let (kind, reduction, rate) = (plan.hyper().kind(), plan.reduction(), plan.rate());
    let both = if kind.is_scale_free() {
        format!("{rate:?} under any reduction, {kind} being free of the gradient's scale")
    } else {
        let (batch, shards) = (plan.max_batch_samples(), plan.shards());
        let (mean, sum) =
            (reduction.rate_under_mean(rate, batch, shards), reduction.rate_under_sum(rate, batch, shards));
        let both = format!("{:?} under mean, {:?} under sum", short(mean), short(sum));
        let is_either = matches!(reduction, Reduction::Mean | Reduction::Sum);
        let both = if weighted { format!("{both}, if weights are 1 on average") } else { both };
        if is_either { both } else { format!("{rate:?}, as {both}") }
    };
    let schedule = options.schedule;
    let warmup = match schedule.warmup_steps {
        0 => String::new(),
        steps => format!(", {} steps of warm-up", grouped(steps)),
    };
    format!("{both}; {}{warmup}", schedule.kind)
}

fn count(number: usize) -> String {
    grouped(number as u64)
}

/// Six digits that count, without the noise of a division.
fn short(value: f64) -> f64 {
    format!("{value:.5e}").parse().expect("a number was written")
}
