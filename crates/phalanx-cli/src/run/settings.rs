//! Conversion of flags to options of the library, with all defaults.

use std::num::NonZero;
use std::time::Duration;

use anyhow::anyhow;
use phalanx::data::{Dataset, Targets};
use phalanx::internals::available_bytes;
use phalanx::model::{Init, Loss, Mlp, MlpShape};
use phalanx::optim::OptimizerOptions;
use phalanx::train::{Length, Options, Shards, TrainError};

use super::data::{TrainingData, is_mse_of_values, loss};
use crate::args::flags::TrainFlags;
use crate::args::values::{Auto, MomentumUnit};
use crate::numbers::grouped;
use crate::terminal::cpus::Cpus;
use crate::terminal::failure::{Failure, usage};
use crate::terminal::launcher;

/// Returns the flags with the defaults of `train`, so that a file made from them records what was
/// done.
pub fn complete(flags: &TrainFlags) -> TrainFlags {
    flags.over(TrainFlags::recorded_defaults(flags.optimizer.unwrap_or_default()))
}

/// Sets the flag that states whether targets are standardized, which depends on the data, so that
/// it is recorded.
pub fn record_targets(flags: &mut TrainFlags, data: &TrainingData) {
    if loss(flags, &data.train).is_ok_and(|loss| is_mse_of_values(loss, &data.train)) {
        flags.standardize_targets.get_or_insert(data.standardize_targets.is_some());
    }
}

/// Sets the flags that older versions did not record to what they did.
pub fn as_recorded(flags: &mut TrainFlags) {
    // Versions without this flag did not standardize targets.
    flags.standardize_targets.get_or_insert(false);
}

/// Returns the number of checkpoints to keep.
pub fn keep(flags: &TrainFlags) -> Result<NonZero<usize>, Failure> {
    flags
        .keep
        .and_then(NonZero::new)
        .ok_or_else(|| usage!("--keep is 0, but at least 1 checkpoint must be kept; give --keep 1"))
}

/// Returns the options of the trainer.
pub fn options(flags: &TrainFlags) -> Result<Options, Failure> {
    let mut options = Options {
        threads: threads(flags.threads)?,
        length: match (flags.max_steps, flags.epochs) {
            (Some(steps), _) => Length::Steps(steps),
            (None, epochs) => epochs.map_or(Options::default().length, Length::Epochs),
        },
        shards: match flags.shards {
            Some(Auto::Given(count)) => Shards::Count(count),
            _ => Shards::Auto,
        },
        optimizer: optimizer(flags)?,
        rate: flags.lr,
        base_batch_size: flags.base_batch_size,
        clip_grad_norm: flags.clip_grad_norm,
        metric: flags.metric,
        early_stop: flags.early_stop,
        grad_norm_every: flags.log_every.filter(|_| flags.tensorboard == Some(true)).unwrap_or(0),
        noise_scale: match flags.noise_scale {
            None | Some(Auto::Given(0)) => None,
            Some(Auto::Auto) => Some(Options::NOISE_INTERVAL),
            Some(Auto::Given(steps)) => Some(steps),
        },
        timeout: timeout(flags)?,
        ..Options::default()
    };
    set(&mut options.batch_size, flags.batch_size);
    set(&mut options.reduction, flags.reduction);
    set(&mut options.scale_rate, flags.scale_lr);
    set(&mut options.drop_last, flags.drop_last);
    set(&mut options.shuffle, flags.no_shuffle.map(|no_shuffle| !no_shuffle));
    set(&mut options.min_gain, flags.min_gain);
    set(&mut options.on_divergence, flags.on_divergence);
    set(&mut options.keep_best, flags.restore_best);
    set(&mut options.seed, flags.seed);
    let schedule = &mut options.schedule;
    set(&mut schedule.kind, flags.lr_schedule);
    set(&mut schedule.warmup_steps, flags.warmup_steps);
    set(&mut schedule.warmup_form, flags.warmup_form);
    (schedule.warmup_start, schedule.gamma) = (flags.warmup_start, flags.lr_gamma);
    schedule.decay_epochs = flags.lr_decay_epochs;
    Ok(options)
}

/// Returns the optimizer, with only the given options set.
fn optimizer(flags: &TrainFlags) -> Result<OptimizerOptions, Failure> {
    let mut options = OptimizerOptions {
        momentum: momentum(flags)?,
        momentum_form: flags.momentum_form,
        beta1: flags.beta1,
        beta2: flags.beta2,
        eps: flags.eps,
        eps_form: flags.eps_form,
        initial_accumulator: flags.initial_accumulator,
        trust_coefficient: flags.trust_coefficient,
        ..OptimizerOptions::new(flags.optimizer.unwrap_or_default())
    };
    set(&mut options.nesterov, flags.nesterov);
    set(&mut options.l2, flags.l2);
    set(&mut options.l2_form, flags.l2_form);
    set(&mut options.no_bias_decay, flags.no_bias_decay);
    set(&mut options.weight_decay, flags.weight_decay);
    Ok(options)
}

/// Returns the batch size, given or by default.
pub fn batch_size(flags: &TrainFlags) -> usize {
    flags.batch_size.unwrap_or(Options::default().batch_size)
}

/// Returns the momentum of a batch.
pub fn momentum(flags: &TrainFlags) -> Result<Option<f64>, Failure> {
    let batch = batch_size(flags) as f64;
    match (flags.momentum_unit, flags.momentum) {
        (None | Some(MomentumUnit::PerBatch), momentum) => Ok(momentum),
        (Some(MomentumUnit::PerSample), Some(momentum)) => Ok(Some(momentum.powf(batch))),
        // exp(-infinity) = 0
        (Some(MomentumUnit::TimeConstant), Some(samples)) if samples >= 0.0 => {
            Ok(Some((-batch / samples).exp()))
        }
        (Some(MomentumUnit::TimeConstant), Some(samples)) => {
            Err(usage!("--momentum {samples:?} is a time constant in samples, expected at least 0"))
        }
        (Some(unit), None) => Err(usage!("--momentum-unit {} needs --momentum; give both", unit.name())),
    }
}

/// Sets an option to the value of a flag, if the flag is given.
fn set<T>(option: &mut T, flag: Option<T>) {
    if let Some(value) = flag {
        *option = value;
    }
}

/// Returns the number of threads; for `auto` that of all cores, divided by the processes of the job
/// on this host, or 1 if the system does not report its cores.
pub fn threads(flag: Option<Auto<usize>>) -> Result<usize, Failure> {
    match flag {
        Some(Auto::Given(threads)) if threads > MOST_THREADS => Err(usage!(
            "{threads} threads are more than a process can reliably start; pass at most {MOST_THREADS}, ideally \
             one per core"
        )),
        Some(Auto::Given(threads)) => Ok(threads),
        _ => Ok((Cpus::available().cores / launcher::local_processes()).max(1)),
    }
}

/// The maximum number of threads: far more than the cores of any machine, and well below the tens
/// of thousands at which Linux runs out of memory maps and kills the process.
const MOST_THREADS: usize = 4096;

/// Returns the time that ranks and processes wait for each other.
pub fn timeout(flags: &TrainFlags) -> Result<Option<Duration>, Failure> {
    let Some(secs) = flags.timeout else { return Ok(None) };
    match Duration::try_from_secs_f64(secs) {
        Ok(timeout) if !timeout.is_zero() => Ok(Some(timeout)),
        _ => {
            Err(usage!("a timeout of {secs:?} seconds is out of range; give more than 0 and at most 1.8e19"))
        }
    }
}

/// Builds the model for the flags and the data, if there is enough memory to train it.
pub fn model(flags: &TrainFlags, data: &TrainingData, options: &Options) -> Result<Mlp, Failure> {
    let model = Mlp::new(shape(flags, &data.train, options)?);
    let (weights, bias) = init(flags)?;
    let model = model.initialize(weights, bias);
    Ok(match &data.standardize_targets {
        Some(s) => model.standardize_targets(s.mean(), s.std()),
        None => model,
    })
}

/// Returns the distributions of the initial weights and biases.
pub fn init(flags: &TrainFlags) -> Result<(Init, Init), Failure> {
    let given = [("init-weights", flags.init_weights), ("init-bias", flags.init_bias)];
    if let (Some(file), Some((name, _))) = (&flags.init, given.iter().find(|(_, init)| init.is_some())) {
        return Err(usage!("--{name} has no effect with --init {}; drop one of them", file.display()));
    }
    let weights = flags.init_weights.unwrap_or_default();
    let like_weights = if weights == Init::Pytorch { weights } else { Init::Zero };
    Ok((weights, flags.init_bias.unwrap_or(like_weights)))
}

fn shape(flags: &TrainFlags, data: &Dataset, options: &Options) -> Result<MlpShape, Failure> {
    let loss = loss(flags, data)?;
    let outputs = match data.targets() {
        Targets::Classes { .. } if loss == Loss::Bce => 1,
        Targets::Classes { count, .. } => *count,
        Targets::Values { outputs, .. } => *outputs,
        Targets::None => return Err(phalanx::model::DataMismatch::NoTargets.into()),
    };
    let TrainFlags { hidden: Some(hidden), activation: Some(activation), .. } = complete(flags) else {
        unreachable!("both flags have defaults")
    };
    let shape = MlpShape { inputs: data.features(), hidden: hidden.0, outputs, activation, loss };
    match shape.params_len() {
        Some(params) => check_memory(params, options).map(|()| shape),
        None => Err(usage!(
            "a model with {} hidden layers of up to {} outputs has more params than can be addressed; give a smaller --hidden",
            shape.hidden.len(),
            shape.hidden.iter().max().unwrap_or(&0)
        )),
    }
}

/// Returns an error for a model that cannot be trained in the available memory: a failed allocation
/// would end the process without a message. The estimate is the minimum that training needs: the
/// params and their reduced gradient, the best params if they are kept, the optimizer's state, and
/// a gradient for each rank that has a shard.
fn check_memory(params: usize, options: &Options) -> Result<(), Failure> {
    let vectors = 2
        + usize::from(options.keep_best)
        + options.optimizer.hyper().map_err(TrainError::from)?.state_len_per_param()
        + options.threads.min(options.shards.count(options.batch_size));
    let needed = (params as u64).saturating_mul(4 * vectors as u64);
    match available_bytes() {
        Some(available) if needed > available => Err(anyhow!(
            "a model of {} params needs at least {} of memory to train, but {} are free; free some, or give a smaller --hidden or fewer --threads",
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
