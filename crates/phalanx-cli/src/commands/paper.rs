//! `phalanx convert --paper`: from the statements of a paper to a command.

use std::collections::BTreeMap;

use phalanx::optim::{Framework, L2Form, MomentumForm, OptimizerKind, Reduction, ScheduleKind};

use crate::args::flags::TrainFlags;
use crate::args::values::Auto;
use crate::numbers::significant;
use crate::run::tables::short;
use crate::run::{like, settings};
use crate::terminal::failure::{Failure, usage};
use crate::text::{TextTable, shell_word};

/// The questions, each with its possible answers.
const QUESTIONS: [(&str, &str, &[&str]); 6] = [
    (LOSS, "How are the losses of the samples in a batch reduced?", &["mean", "sum"]),
    (ALL_REDUCE, "How are the gradients of the processes reduced?", &["none", "mean", "sum"]),
    (
        L2,
        "Where is the L2 penalty, or weight decay?",
        &["gradient", "loss", "decoupled", "data-sum", "batch-sum"],
    ),
    (MOMENTUM, "Is the rate outside the momentum (pytorch) or inside (caffe)?", &["pytorch", "caffe"]),
    (CLIP, "Are gradients clipped before or after the reduction?", &["none", "after", "before"]),
    (LAST_BATCH, "What happens to a short last batch?", &["short", "drop", "fill"]),
];

const LOSS: &str = "loss-reduction";
const ALL_REDUCE: &str = "all-reduce";
const L2: &str = "l2";
const MOMENTUM: &str = "momentum";
const CLIP: &str = "clip";
const LAST_BATCH: &str = "last-batch";

/// The answers that a paper gives, by question.
pub type Answers = BTreeMap<&'static str, &'static str>;

/// Parses answers such as `loss-reduction=sum,momentum=caffe`.
pub fn answers(text: &str) -> Result<Answers, String> {
    let mut answers = Answers::new();
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        let (name, answer) = pair.split_once('=').unwrap_or((pair, ""));
        let Some((question, _, possible)) = QUESTIONS.iter().find(|(question, ..)| *question == name) else {
            let names = QUESTIONS.map(|(question, ..)| question).join(", ");
            return Err(format!("unknown question '{name}', expected one of {names}"));
        };
        let Some(answer) = possible.iter().find(|possible| **possible == answer) else {
            return Err(format!("{name} is '{answer}', expected one of {}", possible.join(", ")));
        };
        if answers.insert(question, answer).is_some() {
            return Err(format!("{name} is answered twice"));
        }
    }
    Ok(answers)
}

/// Returns the questions with their possible answers.
pub fn questions() -> String {
    let mut grid = TextTable::of_texts("question, , answers");
    for (name, question, possible) in QUESTIONS {
        grid.cells(vec![name.to_owned(), question.to_owned(), possible.join(", ")]);
    }
    format!(
        "{grid}\nphalanx convert --paper=loss-reduction=ANSWER,momentum=ANSWER --year YEAR --lr RATE -b SIZE\n\n\
         - on-line training is -b 1; -b is the batch over all processes\n\
         - a paper's weight decay is usually --l2; sums of squared errors are --loss squared, or half-squared with a half\n"
    )
}

/// Returns the answer of a framework, with the given optimizer.
fn of_framework(framework: Framework, question: &str, kind: OptimizerKind) -> Option<&'static str> {
    let (loss, all_reduce) = match framework.reduction() {
        Reduction::Mean => ("mean", "none"),
        Reduction::Sum => ("sum", "none"),
        Reduction::MeanOfShardMeans => ("mean", "mean"),
        Reduction::SumOfShardMeans => ("mean", "sum"),
        Reduction::MeanOfShardSums => ("sum", "mean"),
    };
    Some(match (question, framework.l2_form()) {
        (LOSS, _) => loss,
        (ALL_REDUCE, _) => all_reduce,
        (L2, _) if kind == OptimizerKind::Adamw => "decoupled",
        (L2, L2Form::BatchSum) => "batch-sum",
        (L2, L2Form::DataSum) => "data-sum",
        (L2, L2Form::Gradient) if framework.penalises_in_objective() => "loss",
        (L2, L2Form::Gradient) => "gradient",
        (MOMENTUM, _) if framework.has_momentum() => framework.momentum_form().name(),
        (LAST_BATCH, _) if matches!(framework, Framework::Darknet | Framework::TheanoTutorial) => "drop",
        _ => return None,
    })
}

/// Returns the usual answer in a year, with the reason.
fn of_year(year: u16, question: &str, kind: OptimizerKind) -> Option<(&'static str, &'static str)> {
    Some(match question {
        LOSS if year < 2005 => ("sum", "sums were usual before 2005"),
        LOSS => ("mean", "the mean is the default of Caffe, Keras and PyTorch"),
        MOMENTUM if year < 2017 => ("caffe", "as in Rumelhart 1986, Sutskever 2013 and Caffe"),
        MOMENTUM => ("pytorch", "PyTorch is of 2017"),
        L2 if year >= 2019 && matches!(kind, OptimizerKind::Adam | OptimizerKind::Adamw) => {
            ("decoupled", "AdamW is of 2019")
        }
        L2 if kind != OptimizerKind::Adamw => ("gradient", "weight decay is usually added to the gradient"),
        _ => return None,
    })
}

/// An answer with its origin; not certain if neither the paper nor the framework gives it.
struct Fact {
    answer: &'static str,
    origin: String,
    is_certain: bool,
}

/// Returns the text of the command and of what is not certain.
pub fn report(
    answers: &Answers,
    year: Option<u16>,
    data_size: Option<usize>,
    train: TrainFlags,
) -> Result<String, Failure> {
    let framework = train.like;
    for (flag, is_given, question) in [
        ("reduction", train.reduction.is_some(), "loss-reduction and all-reduce"),
        ("l2-form", train.l2_form.is_some(), L2),
        ("momentum-form", train.momentum_form.is_some(), MOMENTUM),
        ("drop-last", train.drop_last.is_some(), LAST_BATCH),
    ] {
        if is_given {
            return Err(usage!("--{flag} has an answer of --paper in its place; answer {question} instead"));
        }
    }
    let default_kind = framework.map_or(OptimizerKind::default(), Framework::default_optimizer);
    let kind = train.optimizer.unwrap_or(default_kind);
    let has_momentum = train.momentum.is_some_and(|momentum| momentum != 0.0);
    let penalises = train.l2.is_some_and(|l2| l2 != 0.0);
    let decays = train.weight_decay.is_some_and(|decay| decay != 0.0);
    for (question, is_needed, flag) in [
        (CLIP, train.clip_grad_norm.is_none(), "clip-grad-norm"),
        (MOMENTUM, train.momentum.is_none() && framework.is_none(), "momentum"),
    ] {
        if let (Some(answer), true) = (answers.get(question).filter(|answer| **answer != "none"), is_needed) {
            return Err(usage!("{question}={answer} needs a number; give --{flag}"));
        }
    }
    let is_used = |question: &str| match question {
        L2 => penalises,
        MOMENTUM => has_momentum,
        _ => true,
    };
    let mut facts = BTreeMap::new();
    for (question, _, possible) in QUESTIONS {
        let implied =
            framework.and_then(|framework| Some((framework, of_framework(framework, question, kind)?)));
        let fact = |answer, origin, is_certain| Fact { answer, origin, is_certain };
        let fact = match (
            answers.get(question),
            implied,
            year.filter(|_| is_used(question)).and_then(|year| of_year(year, question, kind)),
        ) {
            (Some(answer), Some((framework, implied)), _) if *answer != implied => {
                return Err(usage!(
                    "{question}={answer} contradicts --like {framework}, which implies {implied}; drop one of them"
                ));
            }
            (Some(answer), ..) => fact(answer, "--paper".to_owned(), true),
            (None, Some((framework, implied)), _) => fact(implied, format!("--like {framework}"), true),
            (None, None, Some((usual, why))) => fact(usual, format!("--year: {why}"), false),
            (None, None, None) => match question {
                ALL_REDUCE if train.shards.is_some() => fact("mean", "assumed, as in DDP".to_owned(), false),
                ALL_REDUCE => fact("none", "assumed, as --shards is not given".to_owned(), false),
                L2 if kind == OptimizerKind::Adamw => fact("decoupled", "adamw".to_owned(), true),
                L2 if !penalises && decays => fact("decoupled", "--weight-decay".to_owned(), true),
                L2 if !penalises => fact("none", "--l2 is not given".to_owned(), true),
                MOMENTUM if !has_momentum => fact("none", "--momentum is not given".to_owned(), true),
                CLIP if train.clip_grad_norm.is_some() => fact("after", "assumed".to_owned(), false),
                CLIP => fact("none", "--clip-grad-norm is not given".to_owned(), true),
                _ => fact(possible[0], "assumed".to_owned(), false),
            },
        };
        facts.insert(question, fact);
    }
    let (flags, notes) = apply(&facts, data_size, train)?;
    let mut grid = TextTable::of_texts("question, answer, from");
    for (question, ..) in QUESTIONS {
        let Fact { answer, origin, .. } = &facts[question];
        grid.cells(vec![question.to_owned(), (*answer).to_owned(), origin.clone()]);
    }
    let command = flags.arguments().into_iter().map(|argument| shell_word(&argument.to_string_lossy()));
    let command: Vec<String> = command.collect();
    let notes: String = notes.iter().map(|note| format!("- {note}\n")).collect();
    let gap = if notes.is_empty() { "" } else { "\n" };
    Ok(format!("{grid}\nphalanx train {}\n{gap}{notes}", command.join(" ")))
}

/// Sets the flags to the answers, and returns them with notes on what is not certain or not exact.
fn apply(
    facts: &BTreeMap<&str, Fact>,
    data_size: Option<usize>,
    mut train: TrainFlags,
) -> Result<(TrainFlags, Vec<String>), Failure> {
    let answer = |question: &str| facts[question].answer;
    let framework = train.like;
    let reduction = match (answer(LOSS), answer(ALL_REDUCE)) {
        ("mean", "none") => Reduction::Mean,
        ("mean", "mean") => Reduction::MeanOfShardMeans,
        ("mean", _) => Reduction::SumOfShardMeans,
        (_, "mean") => Reduction::MeanOfShardSums,
        _ => Reduction::Sum,
    };
    if answer(ALL_REDUCE) != "none" && !matches!(train.shards, Some(Auto::Given(_))) {
        return Err(usage!("all-reduce={} needs the number of processes; give --shards", answer(ALL_REDUCE)));
    }
    if answer(CLIP) == "none" && train.clip_grad_norm.is_some() {
        return Err(usage!("clip=none contradicts --clip-grad-norm; drop one of them"));
    }
    train.reduction = Some(reduction);
    let unsure = |question: &str| !facts[question].is_certain;
    train.drop_last = match answer(LAST_BATCH) {
        "drop" => Some(true),
        "short" if !unsure(LAST_BATCH) => Some(false),
        _ => None,
    };
    let mut train = like::resolve(train)?;
    let has_momentum = train.momentum.is_some_and(|momentum| momentum > 0.0);
    let kind = train.optimizer.unwrap_or_default();
    if has_momentum && matches!(kind, OptimizerKind::Sgd | OptimizerKind::Lars) {
        train.momentum_form = answer(MOMENTUM).parse().ok();
    }
    let batch = settings::batch_size(&train);
    let mut l2 = train.l2.unwrap_or(0.0);
    if framework.is_none() && l2 != 0.0 {
        let is_mean = reduction == Reduction::Mean;
        let is_sum = reduction == Reduction::Sum;
        match (answer(L2), data_size) {
            ("decoupled", _) if train.weight_decay.is_some() => {
                return Err(usage!("l2=decoupled makes --l2 a weight decay; drop --weight-decay or --l2"));
            }
            ("decoupled", _) => (train.l2, train.weight_decay, l2) = (None, Some(l2), 0.0),
            ("batch-sum", _) if is_mean => train.l2_form = Some(L2Form::BatchSum),
            ("data-sum", _) if is_mean => train.l2_form = Some(L2Form::DataSum),
            ("batch-sum", _) if is_sum => {}
            ("data-sum", Some(samples)) if is_sum => {
                train.l2 = Some(significant(l2 * batch as f64 / samples as f64, 15));
            }
            ("data-sum", None) if is_sum => {
                return Err(usage!("l2=data-sum needs the number of training samples; give --data-size"));
            }
            ("batch-sum" | "data-sum", _) => {
                return Err(usage!("l2={} is for one process; give all-reduce=none", answer(L2)));
            }
            _ => {}
        }
    }

    let mut notes = Vec::new();
    let is_mean = answer(LOSS) == "mean";
    let shards = match train.shards {
        Some(Auto::Given(shards)) if answer(ALL_REDUCE) != "none" => shards,
        _ => 1,
    };
    let of_process = short(batch as f64 / shards as f64);
    if shards > 1 {
        notes.push(format!(
            "-b {batch} is the batch of all {shards} processes; if it is that of one, give -b {}",
            batch * shards
        ));
    }
    if unsure(LOSS) {
        let (other, change) = if is_mean { ("sum", "large") } else { ("mean", "small") };
        notes.push(if kind.is_scale_free() {
            format!("{LOSS}={other}: gradients are {of_process} times as {change}, which matters to eps, L2 and clipping only")
        } else {
            format!("{LOSS}={other}: updates are {of_process} times as {change}")
        });
    }
    if unsure(ALL_REDUCE) {
        let (other, change) = match answer(ALL_REDUCE) {
            "none" if !is_mean => ("mean", "small"),
            _ => ("sum", "large"),
        };
        let processes = match train.shards {
            Some(Auto::Given(shards)) => shards.to_string(),
            _ => "P".to_owned(),
        };
        notes.push(format!(
            "{ALL_REDUCE}={other} over {processes} processes: gradients are {processes} times as {change}"
        ));
    }
    if unsure(L2) && l2 != 0.0 {
        // The gradient is c times the mean.
        let c = reduction.per_mean(batch, shards);
        let of_data = match data_size {
            Some(samples) => short(samples as f64 / c).to_string(),
            None if c == 1.0 => "N".to_owned(),
            None => format!("N/{c}"),
        };
        notes.push(if c == 1.0 {
            format!("{L2}=batch-sum: it is {batch} times as weak; {L2}=data-sum: {of_data} times as weak")
        } else {
            format!(
                "{L2} of the mean loss: it is {c} times as strong; {L2}=data-sum: {of_data} times as weak"
            )
        });
    }
    if framework.is_none() && l2 != 0.0 {
        notes.push(format!("{L2} as lambda |w|^2, without the half: it is 2 times as strong"));
    }
    if let Some(decay) = train.weight_decay.filter(|decay| *decay != 0.0 && framework.is_none()) {
        let rate = train.lr.unwrap_or(kind.default_rate());
        notes.push(format!(
            "{L2} as w -= lambda w, without the rate: give --weight-decay {:?}",
            short(decay / rate)
        ));
    }
    if framework.is_none() && train.no_bias_decay.is_none() && (l2 != 0.0 || train.weight_decay.is_some()) {
        notes.push(format!("{L2} not on biases: give --no-bias-decay"));
    }
    let changes = train.lr_schedule.is_some_and(|kind| kind != ScheduleKind::Constant)
        || train.warmup_steps.is_some_and(|steps| steps > 0);
    if unsure(MOMENTUM) && train.momentum_form.is_some() {
        let other =
            MomentumForm::ALL.iter().find(|form| form.name() != answer(MOMENTUM)).expect("there are two");
        let times = if *other == MomentumForm::Caffe { "k times" } else { "1/k times" };
        notes.push(if changes {
            format!(
                "{MOMENTUM}={other}: after the rate is divided by k, past gradients count {times} as much"
            )
        } else {
            format!("{MOMENTUM}={other}: the same, as the rate is constant")
        });
    }
    if answer(CLIP) == "before" {
        notes.push("clip=before is not possible: Phalanx clips after the reduction".to_owned());
    } else if unsure(CLIP) {
        notes.push(
            "clip=before: each process, or each sample, is clipped; Phalanx clips after the reduction"
                .to_owned(),
        );
    }
    let rest = data_size.map(|samples| samples % batch);
    match (answer(LAST_BATCH), rest) {
        (_, Some(0)) | ("drop", _) => {}
        ("fill", _) => notes.push(
            "last-batch=fill is not possible: give last-batch=drop, or a batch size that divides the number of samples".to_owned(),
        ),
        _ if train.drop_last == Some(true) => {
            notes.push("last-batch: --like drops a short one, because Phalanx cannot train on it as exactly".to_owned());
        }
        _ if !unsure(LAST_BATCH) => {}
        (_, Some(rest)) if is_mean => notes.push(format!(
            "{LAST_BATCH}=drop or fill: here, each of the last {rest} samples of an epoch weighs {:?} times as much as others",
            short(batch as f64 / rest as f64)
        )),
        (_, Some(rest)) => notes.push(format!("{LAST_BATCH}=drop: the last {rest} samples of each epoch are not used")),
        (_, None) => notes.push(format!(
            "{LAST_BATCH}=drop or fill: differs unless the batch size divides the number of samples (--data-size)"
        )),
    }
    Ok((TrainFlags { config: None, ..train }, notes))
}
