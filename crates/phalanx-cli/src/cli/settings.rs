//! What flags come to: the library's options, with every default filled in.

use std::num::NonZero;
use std::time::Duration;

use crate::numbers::grouped;
use anyhow::anyhow;
use phalanx::data::{Dataset, LoadOptions, TargetKind, Targets};
use phalanx::log::available_bytes;
use phalanx::model::{Activation, Loss, Mlp, MlpShape};
use phalanx::optim::{OptimizerKind, OptimizerOptions, Reduction, ScaleRate, ScheduleKind, ScheduleOptions};
use phalanx::train::{Length, NoiseInterval, Options, SaveEvery, Shards, TrainError};

use super::auto::Auto;
use super::failure::Failure;
use super::flags::TrainFlags;
use super::hidden::Hidden;
use super::input::TrainingData;
use super::job;

/// Fills in the defaults that do not depend on other flags or on the data, so that a file made of the flags says
/// what was done.
pub(super) fn complete(mut flags: TrainFlags) -> TrainFlags {
    let default = Options::default();
    let kind = *flags.optimizer.get_or_insert_default();
    flags.data.get_or_insert_with(|| "digits".to_owned());
    flags.standardize.get_or_insert(false);
    flags.hidden.get_or_insert(Hidden(vec![128]));
    flags.activation.get_or_insert(Activation::Relu);
    flags.loss.get_or_insert(Auto::Auto);
    flags.threads.get_or_insert(Auto::Auto);
    flags.batch_size.get_or_insert(default.batch_size);
    flags.shards.get_or_insert(Auto::Auto);
    flags.reduction.get_or_insert_default();
    if flags.max_steps.is_none() {
        flags.epochs.get_or_insert(10);
    }
    flags.drop_last.get_or_insert(false);
    flags.no_shuffle.get_or_insert(false);
    flags.seed.get_or_insert(default.seed);
    flags.lr.get_or_insert(kind.default_rate());
    flags.l2.get_or_insert(0.0);
    flags.weight_decay.get_or_insert(OptimizerOptions::new(kind).weight_decay);
    flags.lr_schedule.get_or_insert_default();
    flags.warmup_steps.get_or_insert(0);
    flags.warmup_form.get_or_insert_default();
    flags.scale_lr.get_or_insert_default();
    flags.log_every.get_or_insert(LOG_EVERY);
    flags.restore_best.get_or_insert(false);
    flags.noise_scale.get_or_insert(Auto::Given(0));
    flags.save_every.get_or_insert(SAVE_EVERY);
    flags.keep.get_or_insert(KEEP);
    flags
}

/// Writes into the flags whether targets are standardized, which the data decides: the flags are recorded.
pub(super) fn record_targets(flags: &mut TrainFlags, data: &TrainingData) {
    if loss(flags, &data.train) == Loss::Mse {
        flags.standardize_targets.get_or_insert(data.standardize_targets.is_some());
    }
}

/// Fills in what was done by a version whose options are recorded without saying so.
pub(super) fn as_recorded(flags: &mut TrainFlags) {
    // Before there was the flag, targets were left as they are.
    flags.standardize_targets.get_or_insert(false);
}

/// So little is lost when a run is killed, and next to no time is spent on it.
pub(super) const SAVE_EVERY: SaveEvery = SaveEvery::Time(Duration::from_secs(60));

/// Steps from one line of the log to the next: often enough for a curve.
const LOG_EVERY: u64 = 10;

/// Steps from one line of the log to the next.
pub(super) fn log_every(flags: &TrainFlags) -> u64 {
    flags.log_every.unwrap_or(LOG_EVERY)
}

/// The newest might be damaged.
const KEEP: usize = 3;

/// How many checkpoints are kept.
pub(super) fn keep(flags: &TrainFlags) -> Result<NonZero<usize>, Failure> {
    NonZero::new(flags.keep.unwrap_or(KEEP)).ok_or_else(|| {
        Failure::usage("0 checkpoints cannot be kept; give --keep 1 or more, or --save-every never")
    })
}

/// The options of the trainer.
pub(super) fn options(flags: &TrainFlags) -> Result<Options, Failure> {
    let default = Options::default();
    Ok(Options {
        threads: threads(flags.threads)?,
        batch_size: flags.batch_size.unwrap_or(default.batch_size),
        shards: match flags.shards {
            Some(Auto::Given(count)) => Shards::Count(count),
            _ => Shards::Auto,
        },
        reduction: flags.reduction.unwrap_or(Reduction::Mean),
        length: match flags.max_steps {
            Some(steps) => Length::Steps(steps),
            None => flags.epochs.map_or(default.length, Length::Epochs),
        },
        optimizer: optimizer(flags),
        rate: flags.lr,
        schedule: ScheduleOptions {
            kind: flags.lr_schedule.unwrap_or(ScheduleKind::Constant),
            warmup_steps: flags.warmup_steps.unwrap_or(0),
            warmup_form: flags.warmup_form.unwrap_or_default(),
            warmup_start: flags.warmup_start,
            gamma: flags.lr_gamma,
            decay_epochs: flags.lr_decay_epochs,
        },
        scale_rate: flags.scale_lr.unwrap_or(ScaleRate::None),
        base_batch_size: flags.base_batch_size,
        clip_grad_norm: flags.clip_grad_norm,
        drop_last: flags.drop_last.unwrap_or(false),
        shuffle: !flags.no_shuffle.unwrap_or(false),
        metric: flags.metric,
        min_gain: flags.min_gain.unwrap_or(0.0),
        on_divergence: flags.on_divergence.unwrap_or_default(),
        early_stop: flags.early_stop,
        keep_best: flags.restore_best.unwrap_or(false),
        grad_norm_every: if flags.tensorboard == Some(true) { log_every(flags) } else { 0 },
        noise_scale: match flags.noise_scale {
            None | Some(Auto::Given(0)) => None,
            Some(Auto::Auto) => Some(NoiseInterval::Auto),
            Some(Auto::Given(steps)) => Some(NoiseInterval::Steps(steps)),
        },
        seed: flags.seed.unwrap_or(default.seed),
        timeout: timeout(flags)?,
    })
}

/// The optimizer, its own defaults left to it.
pub(super) fn optimizer(flags: &TrainFlags) -> OptimizerOptions {
    let kind = flags.optimizer.unwrap_or(OptimizerKind::Sgd);
    let default = OptimizerOptions::new(kind);
    OptimizerOptions {
        kind,
        momentum: flags.momentum,
        momentum_form: flags.momentum_form,
        nesterov: flags.nesterov.unwrap_or(false),
        beta1: flags.beta1,
        beta2: flags.beta2,
        eps: flags.eps,
        eps_form: flags.eps_form,
        initial_accumulator: flags.initial_accumulator,
        trust_coefficient: flags.trust_coefficient,
        l2: flags.l2.unwrap_or(default.l2),
        l2_form: flags.l2_form.unwrap_or_default(),
        no_bias_decay: flags.no_bias_decay.unwrap_or(false),
        weight_decay: flags.weight_decay.unwrap_or(default.weight_decay),
    }
}

/// All cores with `auto`, shared by the processes of a job on this host; one where the system does not tell how many there are.
pub(super) fn threads(flag: Option<Auto<usize>>) -> Result<usize, Failure> {
    match flag {
        Some(Auto::Given(threads)) if threads > MOST_THREADS => Err(Failure::usage(format!(
            "{threads} threads are more than a process can be sure to start; give at most {MOST_THREADS}, \
             one for each core being best"
        ))),
        Some(Auto::Given(threads)) => Ok(threads),
        _ => {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            Ok((cores / job::local_processes()).max(1))
        }
    }
}

/// Far beyond the cores of any machine, and well below the tens of thousands where Linux runs out of memory maps and
/// ends the process.
const MOST_THREADS: usize = 4096;

/// How long ranks, and processes, wait for one another.
pub(super) fn timeout(flags: &TrainFlags) -> Result<Option<Duration>, Failure> {
    let Some(secs) = flags.timeout else { return Ok(None) };
    match Duration::try_from_secs_f64(secs) {
        Ok(timeout) if !timeout.is_zero() => Ok(Some(timeout)),
        _ => Err(Failure::usage(format!(
            "a timeout of {secs:?} seconds cannot be waited for; give more than 0, and at most 1.8e19"
        ))),
    }
}

/// How the data is to be read.
pub(super) fn load_options(flags: &TrainFlags) -> LoadOptions {
    LoadOptions {
        label_column: flags.label_column.clone(),
        weight_column: flags.weight_column.clone(),
        header: flags.header.unwrap_or_default(),
        target: match flags.loss {
            Some(Auto::Given(Loss::CrossEntropy)) => TargetKind::Classes,
            Some(Auto::Given(Loss::Mse)) => TargetKind::Values,
            _ => TargetKind::Auto,
        },
        ..LoadOptions::default()
    }
}

/// Returns the loss that flags and data ask for.
pub(super) fn loss(flags: &TrainFlags, data: &Dataset) -> Loss {
    match (flags.loss, data.targets()) {
        (Some(Auto::Given(loss)), _) => loss,
        (_, Targets::Values { .. }) => Loss::Mse,
        _ => Loss::CrossEntropy,
    }
}

/// Builds the model that flags and data ask for, if there is memory to train it.
pub(super) fn model(flags: &TrainFlags, data: &TrainingData, options: &Options) -> Result<Mlp, Failure> {
    let model = Mlp::new(shape(flags, &data.train, options)?);
    Ok(match &data.standardize_targets {
        Some(s) => model.standardize_targets(s.mean(), s.std()),
        None => model,
    })
}

fn shape(flags: &TrainFlags, data: &Dataset, options: &Options) -> Result<MlpShape, Failure> {
    let loss = loss(flags, data);
    let outputs = match data.targets() {
        Targets::Classes { .. } if loss == Loss::Bce => 1,
        Targets::Classes { count, .. } => *count,
        Targets::Values { outputs, .. } => *outputs,
        Targets::None => return Err(phalanx::model::DataMismatch::NoTargets.into()),
    };
    let shape = MlpShape {
        inputs: data.features(),
        hidden: flags.hidden.as_ref().map_or_else(|| vec![128], |hidden| hidden.0.clone()),
        outputs,
        activation: flags.activation.unwrap_or(Activation::Relu),
        loss,
    };
    match shape.params_len() {
        Some(params) => check_memory(params, options).map(|()| shape),
        None => Err(Failure::usage(format!(
            "a model with {} hidden layers of up to {} outputs has more params than can be addressed; lower --hidden",
            shape.hidden.len(),
            shape.hidden.iter().max().unwrap_or(&0)
        ))),
    }
}

/// Refuses a model that cannot be trained in the memory there is: an allocation that fails ends the process without a
/// word. What is counted is the least that training holds: params and their reduced gradient, the optimizer's state, and
/// a gradient for each rank that has a shard.
fn check_memory(params: usize, options: &Options) -> Result<(), Failure> {
    let vectors = 2
        + usize::from(options.keep_best)
        + options.optimizer.check().map_err(TrainError::from)?.state_len_per_param()
        + options.threads.min(options.shards.count(options.batch_size));
    let needed = (params as u64).saturating_mul(4 * vectors as u64);
    match available_bytes() {
        Some(available) if needed > available => Err(anyhow!(
            "a model of {} params takes at least {} to train, but {} of memory are free; lower --hidden or --threads",
            grouped(params as u64),
            gigabytes(needed),
            gigabytes(available)
        )
        .into()),
        _ => Ok(()),
    }
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}
