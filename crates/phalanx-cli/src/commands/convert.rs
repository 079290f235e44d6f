//! `phalanx convert`.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::Args;
use phalanx::model::Loss;
use phalanx::optim::convention::{
    BatchRule, Convention, Destination, Exactness, NumberChange, Recipe, Settings, Translation,
};
use phalanx::optim::{L2Form, MomentumForm, OptimizerKind, OptimizerOptions, Reduction, ScheduleKind};
use phalanx::train::Shards;
use serde_json::json;

use super::paper;
use crate::args::flags::TrainFlags;
use crate::args::layers;
use crate::args::values::{Auto, choices};
use crate::numbers::significant;
use crate::run::data::{TrainingData, training_data};
use crate::run::tables::short;
use crate::run::{like, settings};
use crate::terminal::failure::{Failure, usage};
use crate::terminal::output;
use crate::text::{TextTable, shell_word};

/// Translate a training configuration into another convention
///
/// Takes the flags of train, also from variables and a file, in one convention (such as sum, mean,
/// or the C of scikit-learn), and prints them in another convention or for another batch size. For
/// each flag, it prints the factor and whether the translation is exact; it then prints the
/// conditions for exactness and the command to run. Nothing is trained. If there is no exact
/// translation, and no --rule selects an approximation, an error gives the reason.
#[derive(Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{CONVENTIONS}\n\n{EXIT_CODES}\n\n{EXAMPLES}"))]
pub struct ConvertFlags {
    /// Convention of the given flags [default: that of --reduction and --l2-form]
    #[arg(long, value_name = "CONVENTION", help_heading = "Conversion", value_parser = choices!(Convention), hide_possible_values = true)]
    from: Option<Convention>,
    /// Convention to translate to [default: the same]
    #[arg(long, value_name = "CONVENTION", help_heading = "Conversion", value_parser = choices!(Convention), hide_possible_values = true)]
    to: Option<Convention>,
    /// Number of training samples, for conventions that sum over all of them and for the last batch
    /// [default: counted if DATA is given]
    #[arg(long, value_name = "N", help_heading = "Conversion")]
    data_size: Option<usize>,
    /// Number of shards to translate to
    #[arg(long, value_name = "N", help_heading = "Conversion")]
    to_shards: Option<usize>,
    /// Batch size to translate to, by --rule
    #[arg(long, value_name = "N", help_heading = "Conversion")]
    to_batch_size: Option<usize>,
    /// Rule for another batch size, k times as large, an approximation: linear (rate * k), sqrt
    /// (rate * root of k) or adam (as sqrt, and scales the betas and eps)
    #[arg(long, value_name = "RULE", help_heading = "Conversion", value_parser = choices!(BatchRule), hide_possible_values = true)]
    rule: Option<BatchRule>,
    /// Form of momentum to translate to
    #[arg(long, value_name = "FORM", help_heading = "Conversion", value_parser = choices!(MomentumForm), hide_possible_values = true)]
    to_momentum_form: Option<MomentumForm>,
    /// Print the command for what a paper states, such as
    /// --paper=loss-reduction=sum,momentum=caffe, and what remains uncertain; without answers,
    /// print the questions
    ///
    /// What the paper does not state is that of --like, or usual in its --year. Give the numbers of
    /// the paper as --lr, --l2 and so on, and --shards for its processes.
    #[arg(long, value_name = "ANSWERS", num_args = 0..=1, require_equals = true, default_missing_value = "", help_heading = "Conversion",
        value_parser = paper::answers, conflicts_with_all = ["from", "to", "to_shards", "to_batch_size", "rule", "to_momentum_form", "json"])]
    paper: Option<paper::Answers>,
    /// Year of the paper
    #[arg(long, value_name = "YEAR", help_heading = "Conversion", requires = "paper", value_parser = clap::value_parser!(u16).range(1950..=2100))]
    year: Option<u16>,
    /// Print the translation as JSON
    #[arg(long, help_heading = "Conversion")]
    json: bool,
    #[command(flatten)]
    train: TrainFlags,
}

const CONVENTIONS: &str =
    "Conventions, and the meaning of --l2 in each (m samples in a batch, N in the data):
  mean, sum, mean-of-shard-means, sum-of-shard-means, mean-of-shard-sums
                   lambda w is added to that gradient
  scikit-learn     alpha of MLPClassifier: (sum of gradients + alpha w)/m
  objective-mean   lambda of (1/N) sum of losses + (lambda/2) |w|^2; steps use the mean of the batch
  objective-sum    Lambda of sum of losses + (Lambda/2) |w|^2; steps use the sum of the batch
  c                C of C * sum of losses + (1/2) |w|^2; steps use the sum of the batch";

const EXIT_CODES: &str = "Exit codes: 0 done, 1 these options have no such translation, 2 a flag is missing, wrong or contradicted.";

const EXAMPLES: &str = "Examples:
  phalanx convert --to sum --lr 0.1 --momentum 0.9 --l2 1e-4 -b 64
  phalanx convert --from sum --to mean --optimizer adam --eps 1e-6 -b 128 --data-size 60000
  phalanx convert --from c --to mean --l2 1.0 --data-size 1437 -b 64 --lr 0.001
  phalanx convert --to-batch-size 1024 --rule linear --lr 0.1 -b 64
  phalanx convert --like pytorch-ddp --shards 8 --to mean --lr 0.1 -b 256
  phalanx convert --config runs/1/config.toml --to sum
  phalanx convert --paper=loss-reduction=mean,last-batch=drop --year 2014 --lr 0.01 --momentum 0.9 -b 256";

/// Flags in the short help.
pub const COMMON: &str = "from to data_size to_shards to_batch_size rule to_momentum_form paper year json data like batch_size shards reduction \
                          clip_grad_norm optimizer lr momentum momentum_form eps l2 l2_form weight_decay config help";

/// Prints the translation, or returns an error with the reason if there is no exact one.
pub fn run(flags: ConvertFlags) -> Result<ExitCode, Failure> {
    if flags.train.print_config {
        return Err(usage!(
            "--print-config is for phalanx train; convert prints the translated flags anyway",
        ));
    }
    if flags.train.log_format.is_some() {
        return Err(usage!(
            "--log-format is for phalanx train; to print the translation as JSON, give --json",
        ));
    }
    let given = layers::given(flags.train.clone())?;
    refuse_resume(&given.flags)?;
    if let Some(answers) = &flags.paper {
        // An answer after a space would be taken for the data.
        if let Some(data) = given.flags.data.as_deref().filter(|data| paper::answers(data).is_ok()) {
            return Err(usage!("give the answers after an equals sign, as in --paper={data}"));
        }
        let text = if answers.is_empty() && flags.year.is_none() && given.flags == TrainFlags::default() {
            paper::questions()
        } else {
            let data_size = data_size(&flags, &given.flags)?.0;
            paper::report(answers, flags.year, data_size, given.flags)?
        };
        output::results(|out| write!(out, "{text}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let train = like::resolve_layers(given)?.flags;
    // The momentum of a batch; its other units depend on the batch size.
    let train = TrainFlags { momentum: settings::momentum(&train)?, momentum_unit: None, ..train };
    let from = from(&flags, &train)?;
    let settings = settings_of(&flags, &train, from)?;
    let target = Destination {
        convention: flags.to.unwrap_or(from),
        batch_size: flags.to_batch_size,
        rule: flags.rule,
        shards: flags.to_shards,
        momentum_form: flags.to_momentum_form,
    };
    need_shards(&train, from, &target)?;
    let mut translation = settings.translated(&target)?;
    tidy(&mut translation);
    let arguments = command(&train, &settings, &translation)?;
    let text = if flags.json {
        json_text(&settings, &translation, &arguments)
    } else {
        report(&settings, &translation, &arguments)
    };
    output::results(|out| write!(out, "{text}"))?;
    Ok(ExitCode::SUCCESS)
}

/// Returns an error for flags about a resumed run: the state in its checkpoint is in the convention
/// of the run.
fn refuse_resume(train: &TrainFlags) -> Result<(), Failure> {
    let given = [("resume", train.resume.is_some()), ("allow-changed", train.allow_changed.is_some())];
    match given.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(usage!(
            "--{name} is for a resumed run, which keeps its convention; to translate its options, give \
             --config RUN/config.toml"
        )),
        None => Ok(()),
    }
}

/// Returns the convention of the flags, which `--reduction` and `--l2-form` must not contradict.
fn from(flags: &ConvertFlags, train: &TrainFlags) -> Result<Convention, Failure> {
    let batch_sum = train.l2_form == Some(L2Form::BatchSum);
    let stated = match (train.reduction, batch_sum) {
        (None, false) => return Ok(flags.from.unwrap_or_default()),
        (None | Some(Reduction::Mean), true) => Convention::ScikitLearn,
        (Some(reduction), true) => {
            return Err(usage!(
                "--l2-form batch-sum is for the reduction mean, but --reduction is {reduction}; drop one of them"
            ));
        }
        (Some(reduction), false) => reduction.into(),
    };
    match flags.from {
        Some(from) if from.reduction() != stated.reduction() || (batch_sum && from != stated) => Err(usage!(
            "--from {from} contradicts the convention {stated} of --reduction, --l2-form or --like; drop one of them"
        )),
        from => Ok(from.unwrap_or(stated)),
    }
}

fn settings_of(flags: &ConvertFlags, train: &TrainFlags, from: Convention) -> Result<Settings, Failure> {
    if train.scale_lr.is_some_and(|rule| rule != phalanx::optim::ScaleRate::None) {
        return Err(usage!(
            "--scale-lr already translates the rate; give the rate for this batch size, and --to-batch-size with \
             --rule for another one",
        ));
    }
    if train.weight_column.is_some() {
        return Err(anyhow!(
            "weighted samples have no exact translation: the mean divides by the weight of each batch, which differs from \
             batch to batch; choose a reduction and tune its rate on the data"
        )
        .into());
    }
    let mut options = settings::options(train)?;
    let (data_size, data) = data_size(flags, train)?;
    if options.optimizer.l2_form == L2Form::DataSum {
        let Some(samples) = data_size else {
            return Err(usage!(
                "--l2-form data-sum divides --l2 by the number of training samples; give --data-size"
            ));
        };
        options.optimizer.l2 /= samples as f64;
        options.optimizer.l2_form = L2Form::Gradient;
    }
    let schedule = options.schedule;
    let recipe = Recipe {
        options: options.optimizer,
        rate: options.rate.unwrap_or_else(|| options.optimizer.kind.default_rate()),
        max_norm: options.clip_grad_norm,
    };
    Ok(Settings {
        shards: shards(train, options.batch_size),
        data_size,
        drop_last: options.drop_last,
        zero_start: train.init.is_none(),
        standardized_targets: standardizes_targets(train, data.as_ref()),
        rate_changes: schedule.kind != ScheduleKind::Constant || schedule.warmup_steps > 0,
        ..Settings::new(from, recipe, options.batch_size)
    })
}

/// Returns the number of training samples, if it is known, and the data if it is loaded for that.
fn data_size(
    flags: &ConvertFlags,
    train: &TrainFlags,
) -> Result<(Option<usize>, Option<TrainingData>), Failure> {
    let data = match flags.data_size {
        None if train.data.is_some() => Some(training_data(train, None)?),
        _ => None,
    };
    Ok((flags.data_size.or(data.as_ref().map(|data| data.train.len())), data))
}

/// Returns whether targets are standardized; if the data is not loaded, whether they would be if
/// they are values.
fn standardizes_targets(train: &TrainFlags, data: Option<&TrainingData>) -> bool {
    match (data, train.standardize_targets, train.loss) {
        (Some(data), ..) => data.standardize_targets.is_some(),
        (None, Some(standardizes), _) => standardizes,
        (None, None, Some(Auto::Given(loss))) => loss == Loss::MSE,
        // The default data is the digits, whose targets are classes.
        (None, None, _) => train.data.is_some(),
    }
}

fn shards(train: &TrainFlags, batch_size: usize) -> usize {
    match train.shards {
        Some(Auto::Given(count)) => count,
        _ => Shards::Auto.count(batch_size),
    }
}

/// Returns an error for conventions that depend on the number of shards, unless it is given.
fn need_shards(train: &TrainFlags, from: Convention, target: &Destination) -> Result<(), Failure> {
    let counts =
        |convention: &Convention| !matches!(convention.reduction(), Reduction::Mean | Reduction::Sum);
    match [from, target.convention].iter().find(|convention| counts(convention)) {
        Some(convention) if train.shards.is_none() => Err(usage!(
            "{convention} depends on the number of shards; pass --shards, the number before the translation (--to-shards is the one after it)"
        )),
        _ => Ok(()),
    }
}

/// Rounds numbers that are not exact in every bit to 15 significant digits, to remove the rounding
/// errors of divisions, so that a translation back gives the original.
fn tidy(translation: &mut Translation) {
    let tidied = |value: f64| significant(value, 15);
    let recipe = &mut translation.settings.recipe;
    for change in &mut translation.changes {
        if change.exactness == Exactness::SameBits {
            continue;
        }
        change.new = tidied(change.new);
        match change.option {
            "lr" => recipe.rate = change.new,
            "beta1" => recipe.options.beta1 = Some(change.new),
            "beta2" => recipe.options.beta2 = Some(change.new),
            "eps" => recipe.options.eps = Some(change.new),
            "initial-accumulator" => recipe.options.initial_accumulator = Some(change.new),
            "l2" => recipe.options.l2 = change.new,
            "weight-decay" => recipe.options.weight_decay = change.new,
            "clip-grad-norm" => recipe.max_norm = Some(change.new),
            _ => {}
        }
    }
}

/// Returns the arguments of `phalanx` for training with the translated settings: those that were
/// given, and those that differ from the defaults.
fn command(
    train: &TrainFlags,
    settings: &Settings,
    translation: &Translation,
) -> Result<Vec<String>, Failure> {
    let (reduction, recipe) = translation.settings.runnable()?;
    let new = recipe.options;
    let default = OptimizerOptions::new(new.kind).check().expect("defaults are in range");
    let unless = |new: Option<f64>, default: Option<f64>| new.filter(|_| new != default);
    let batch_size = translation.settings.batch_size;
    let shards_given = train.shards.is_some()
        || translation.settings.shards != settings.shards
        || !matches!(reduction, Reduction::Mean | Reduction::Sum);
    let flags = TrainFlags {
        config: None,
        optimizer: train.optimizer.filter(|kind| *kind != OptimizerKind::Sgd),
        lr: Some(recipe.rate),
        reduction: Some(reduction),
        batch_size: Some(batch_size),
        shards: shards_given.then_some(Auto::Given(translation.settings.shards)),
        momentum_form: new.momentum_form.filter(|form| *form != MomentumForm::Pytorch),
        beta1: unless(new.beta1, default.beta1),
        beta2: unless(new.beta2, default.beta2),
        eps: unless(new.eps, default.eps),
        initial_accumulator: unless(new.initial_accumulator, default.initial_accumulator),
        l2: unless(Some(new.l2), Some(0.0)),
        l2_form: (new.l2_form == L2Form::BatchSum && new.l2 != 0.0).then_some(new.l2_form),
        weight_decay: unless(Some(new.weight_decay), Some(default.weight_decay)),
        clip_grad_norm: recipe.max_norm,
        ..train.clone()
    };
    let arguments = flags.arguments().into_iter().map(|argument| argument.to_string_lossy().into_owned());
    Ok(["train".to_owned()].into_iter().chain(arguments).collect())
}

fn report(settings: &Settings, translation: &Translation, arguments: &[String]) -> String {
    let to = &translation.settings;
    let mut grid = TextTable::of_texts(", old, new, change, on full batches");
    let mut row = |name: &str, old: &dyn std::fmt::Display, new: &dyn std::fmt::Display, why: String| {
        grid.cells(vec![name.to_owned(), old.to_string(), new.to_string(), why, String::new()]);
    };
    row("convention", &settings.convention, &to.convention, gradient(translation.factor));
    if settings.batch_size != to.batch_size {
        let growth = to.batch_size as f64 / settings.batch_size as f64;
        row("batch-size", &settings.batch_size, &to.batch_size, format!("times {}", short(growth)));
    }
    if settings.shards != to.shards {
        row("shards", &settings.shards, &to.shards, String::new());
    }
    let forms = [
        settings.recipe.options.momentum_form.unwrap_or_default(),
        to.recipe.options.momentum_form.unwrap_or_default(),
    ];
    if to.recipe.options.momentum_form.is_some() && forms[0] != forms[1] {
        row("momentum-form", &forms[0], &forms[1], "the same at a constant rate".to_owned());
    }
    translation.changes.iter().for_each(|change| grid.cells(cells(change)));
    let mut text = grid.to_string();
    if !translation.conditions.is_empty() {
        text.push('\n');
    }
    for condition in &translation.conditions {
        let _ = writeln!(text, "- {condition}");
    }
    let _ = writeln!(text, "\nphalanx {}", quoted(arguments));
    text
}

fn gradient(factor: f64) -> String {
    match factor {
        1.0 => "the gradient is unchanged".to_owned(),
        _ if factor < 1.0 => format!("the gradient is divided by {}", short(factor.recip())),
        _ => format!("the gradient is multiplied by {}", short(factor)),
    }
}

fn cells(change: &NumberChange) -> Vec<String> {
    let name = if change.old_name == change.new_name || change.option != "l2" {
        change.option.to_owned()
    } else {
        format!("l2: {} to {}", change.old_name, change.new_name)
    };
    vec![
        name,
        format!("{:?}", change.old),
        format!("{:?}", change.new),
        change.why.clone(),
        change.exactness.to_string(),
    ]
}

/// Joins arguments, quoted for a shell.
fn quoted(arguments: &[String]) -> String {
    arguments.iter().map(|argument| shell_word(argument)).collect::<Vec<_>>().join(" ")
}

fn json_text(settings: &Settings, translation: &Translation, arguments: &[String]) -> String {
    let remarks: Vec<_> = translation
        .conditions
        .iter()
        .map(|condition| json!({ "text": condition.to_string(), "values": condition }))
        .collect();
    let to = &translation.settings;
    let value = json!({
        "from": settings.convention,
        "to": to.convention,
        "gradient_factor": translation.factor,
        "same_bits": translation.same_bits(),
        "batch_size": to.batch_size,
        "changes": translation.changes,
        "remarks": remarks,
        "arguments": arguments,
        "command": format!("phalanx {}", quoted(arguments)),
    });
    serde_json::to_string_pretty(&value).expect("translations are plain data") + "\n"
}
