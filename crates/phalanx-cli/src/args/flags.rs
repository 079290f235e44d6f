//! The flags of `train`, with their help texts and defaults. Each is also a variable of the environment and a key of a TOML file.

use std::any::TypeId;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use clap::{Arg, ArgAction, Args};
use phalanx::data::{Column, HeaderRow, InputFormat};
use phalanx::model::{Activation, Loss};
use phalanx::optim::{
    EpsForm, Framework, L2Form, MomentumForm, OptimizerKind, OptimizerOptions, Reduction, ScaleRate,
    ScheduleKind, WarmupForm,
};
use phalanx::train::{Length, Metric, OnDivergence, Options, SaveEvery};
use serde::Serialize;
use toml::{Table, Value};

use super::values::{
    Auto, FilePath, Hidden, LogFormat, auto, choices, header_row, log_format, loss, optimizer, toml_value,
    whole,
};

/// The data that is trained on if none is named.
pub const DEFAULT_DATA: &str = "digits";

/// Train a model, and save it with its results in a run directory
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize)]
#[command(mut_args(adapted))]
#[serde(rename_all = "kebab-case")]
pub struct TrainFlags {
    /// What to train on: digits (built in), a folder with MNIST's files (plain or .gz), FILE.csv, X.npy,Y.npy, or
    /// FILE.libsvm [default: {}]
    pub data: Option<String>,

    /// Data to test on after each epoch; a folder with test files of its own needs none
    #[arg(long, value_name = "DATA", conflicts_with = "test_split", help_heading = "Data")]
    pub test: Option<String>,
    /// Share of the training samples to set aside for testing, chosen by the seed [default: {}]
    #[arg(long, value_name = "F", help_heading = "Data")]
    pub test_split: Option<f64>,
    /// Column of the label in a CSV: a name, its position from 0, or -1 for the last; a number is a position if there is one
    /// [default: -1]
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true, help_heading = "Data")]
    pub label_column: Option<Column>,
    /// Column of the sample weights in a CSV
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true, help_heading = "Data")]
    pub weight_column: Option<Column>,
    /// Whether line 1 of a CSV names its columns: present, absent, or auto, which refuses a line that may be names or a sample
    /// [default: {}]
    #[arg(long, value_name = "WHICH", value_parser = header_row(), help_heading = "Data")]
    pub header: Option<HeaderRow>,
    /// What the data and the --test data hold, where their names do not say it: csv, npy or libsvm
    #[arg(long, value_name = "FORMAT", value_parser = choices!(InputFormat), help_heading = "Data")]
    pub input_format: Option<InputFormat>,
    /// Shift and scale each feature to mean 0 and deviation 1 over the training samples; kept with the model
    #[arg(long, help_heading = "Data")]
    pub standardize: Option<bool>,
    /// Train on targets shifted and scaled to mean 0 and deviation 1 over the training samples, while losses and predictions stay in the
    /// units of the data; for mse only [default: true, but false with --like and with --init of a model trained without]
    #[arg(long, help_heading = "Data")]
    pub standardize_targets: Option<bool>,

    /// Widths of the hidden layers, such as 128 or 300,100; none for linear, softmax or logistic regression
    /// [default: {}]
    #[arg(long, value_name = "WIDTHS", help_heading = "Model")]
    pub hidden: Option<Hidden>,
    /// relu, tanh, sigmoid or gelu [default: {}]
    #[arg(long, value_parser = choices!(Activation), help_heading = "Model")]
    pub activation: Option<Activation>,
    /// cross-entropy, bce or mse; auto is cross-entropy for class labels, mse for values [default: {}]
    #[arg(long, value_parser = loss(), help_heading = "Model")]
    pub loss: Option<Auto<Loss>>,
    /// Start from the params in this file, of PyTorch for example (layers.0.weight ...)
    #[arg(long, value_name = "FILE.safetensors", help_heading = "Model")]
    pub init: Option<FilePath>,

    /// Read the numbers as another framework means them: pytorch, pytorch-ddp, horovod-average, horovod-sum, mindspore,
    /// caffe, keras, tensorflow1-estimator or scikit-learn; sets reduction, forms and optimizer constants, those given come
    /// first, and --shards are the processes of the distributed ones
    #[arg(long, value_name = "FRAMEWORK", value_parser = choices!(Framework), help_heading = "Step")]
    pub like: Option<Framework>,
    /// Worker threads; they change the speed, never the result [default: {}, all cores]
    #[arg(short, long, value_name = "N|auto", value_parser = auto::<usize>, help_heading = "Step")]
    pub threads: Option<Auto<usize>>,
    /// Samples in one step, over all threads [default: {}]
    #[arg(short, long, value_name = "N", value_parser = whole::<usize>, help_heading = "Step")]
    pub batch_size: Option<usize>,
    /// Parts that a batch is cut into; part of the mathematics, unlike threads [default: {}]
    #[arg(long, value_name = "N|auto", value_parser = auto::<usize>, help_heading = "Step")]
    pub shards: Option<Auto<usize>>,
    /// How gradients of samples become that of a step: mean, sum, mean-of-shard-means, sum-of-shard-means or
    /// mean-of-shard-sums [default: {}]
    #[arg(long, value_parser = choices!(Reduction), help_heading = "Step")]
    pub reduction: Option<Reduction>,
    /// Scale the reduced gradient down to this global norm if it is longer
    #[arg(long, value_name = "NORM", help_heading = "Step")]
    pub clip_grad_norm: Option<f64>,
    /// Passes over the training samples [default: {}]
    #[arg(long, value_name = "N", conflicts_with = "max_steps", value_parser = whole::<u64>, help_heading = "Step")]
    pub epochs: Option<u64>,
    /// Steps to do, instead of epochs
    #[arg(long, value_name = "N", value_parser = whole::<u64>, help_heading = "Step")]
    pub max_steps: Option<u64>,
    /// End the run once so many epochs have been no better than the best before them [default: never]
    #[arg(long, value_name = "EPOCHS", value_parser = whole::<u64>, help_heading = "Step")]
    pub early_stop: Option<u64>,
    /// What tells the best epoch, for --early-stop, --restore-best and --keep: test-accuracy, test-loss or train-loss [default: the
    /// first of them that there is]
    #[arg(long, value_parser = choices!(Metric), help_heading = "Step")]
    pub metric: Option<Metric>,
    /// How much better than the best before it an epoch must be to be the best [default: {}, any bit]
    #[arg(long, value_name = "GAIN", help_heading = "Step")]
    pub min_gain: Option<f64>,
    /// Save the params of the best whole epoch as the model, not those of the last step
    #[arg(long, help_heading = "Step")]
    pub restore_best: Option<bool>,
    /// What to do with a step whose loss or gradient is no finite number: stop (with exit code 3, the params before it saved), or skip
    /// it and go on [default: {}]
    #[arg(long, value_name = "WHAT", value_parser = choices!(OnDivergence), help_heading = "Step")]
    pub on_divergence: Option<OnDivergence>,
    /// Leave out the short last batch of each epoch
    #[arg(long, help_heading = "Step")]
    pub drop_last: Option<bool>,
    /// Take the samples as they are stored, in each epoch
    #[arg(long, help_heading = "Step")]
    pub no_shuffle: Option<bool>,
    /// Seed of initial params, sample order and test split [default: {}]
    #[arg(long, value_parser = whole::<u64>, help_heading = "Step")]
    pub seed: Option<u64>,
    /// Give up when a thread, or a process of an MPI job, waits longer than this for another [default: no limit]
    #[arg(long, value_name = "SECS", help_heading = "Step")]
    pub timeout: Option<f64>,

    /// sgd, adagrad, rmsprop, adam, adamw, lars or lamb [default: {}]
    #[arg(long, value_parser = optimizer(), help_heading = "Optimizer")]
    pub optimizer: Option<OptimizerKind>,
    /// Learning rate [default: {sgd} for sgd and lars, {adagrad} for adagrad, {adam} for the rest]
    #[arg(long, value_name = "RATE", help_heading = "Optimizer")]
    pub lr: Option<f64>,
    /// Momentum of sgd, rmsprop and lars [default: {rmsprop}]
    #[arg(long, help_heading = "Optimizer")]
    pub momentum: Option<f64>,
    /// pytorch (v = mv + g; w -= lr v) or caffe (v = mv + lr g; w -= v) [default: {}]
    #[arg(long, value_name = "FORM", value_parser = choices!(MomentumForm), help_heading = "Optimizer")]
    pub momentum_form: Option<MomentumForm>,
    /// Nesterov's momentum, for sgd and lars
    #[arg(long, help_heading = "Optimizer")]
    pub nesterov: Option<bool>,
    /// Decay of the averaged gradient, for adam, adamw and lamb [default: {adam}]
    #[arg(long, help_heading = "Optimizer")]
    pub beta1: Option<f64>,
    /// Decay of the averaged square, for rmsprop (its alpha), adam, adamw and lamb [default: {rmsprop} for rmsprop, else
    /// {adam}]
    #[arg(long, help_heading = "Optimizer")]
    pub beta2: Option<f64>,
    /// Added to the root of the averaged square [default: {adagrad} for adagrad, {lamb} for lamb, else {adam}]
    #[arg(long, help_heading = "Optimizer")]
    pub eps: Option<f64>,
    /// Where eps stands: outside of the root, inside of it (adagrad, rmsprop), or uncorrected, that is added before the bias
    /// correction (adam, adamw) [default: {adam}]
    #[arg(long, value_name = "FORM", value_parser = choices!(EpsForm), help_heading = "Optimizer")]
    pub eps_form: Option<EpsForm>,
    /// What adagrad's sum of squares starts from [default: {adagrad}]
    #[arg(long, value_name = "A", help_heading = "Optimizer")]
    pub initial_accumulator: Option<f64>,
    /// Trust coefficient of lars [default: {lars}]
    #[arg(long, value_name = "C", help_heading = "Optimizer")]
    pub trust_coefficient: Option<f64>,
    /// L2 penalty, added to the gradient after reduction and clipping [default: {}]
    #[arg(long, value_name = "LAMBDA", help_heading = "Optimizer")]
    pub l2: Option<f64>,
    /// What the L2 penalty is added to: gradient, or batch-sum, the sum over the batch before the mean divides it, as
    /// scikit-learn's alpha [default: {}]
    #[arg(long, value_name = "FORM", value_parser = choices!(L2Form), help_heading = "Optimizer")]
    pub l2_form: Option<L2Form>,
    /// Spare the biases both penalties
    #[arg(long, help_heading = "Optimizer")]
    pub no_bias_decay: Option<bool>,
    /// Decoupled weight decay, w -= lr lambda w [default: {adamw} for adamw, else {}]
    #[arg(long, value_name = "LAMBDA", help_heading = "Optimizer")]
    pub weight_decay: Option<f64>,

    /// constant, linear (to 0), cosine (to 0) or step [default: {}]
    #[arg(long, value_name = "SCHEDULE", value_parser = choices!(ScheduleKind), help_heading = "Learning rate")]
    pub lr_schedule: Option<ScheduleKind>,
    /// Factor of the step schedule [default: 0.1]
    #[arg(long, value_name = "F", help_heading = "Learning rate")]
    pub lr_gamma: Option<f64>,
    /// Epochs between two drops of the step schedule [default: a third of the run]
    #[arg(long, value_name = "N", value_parser = whole::<u64>, help_heading = "Learning rate")]
    pub lr_decay_epochs: Option<u64>,
    /// Steps that first have only a share of the rate [default: {}]
    #[arg(long, value_name = "N", value_parser = whole::<u64>, help_heading = "Learning rate")]
    pub warmup_steps: Option<u64>,
    /// linear (the share rises to 1 in the last of these steps) or constant (then jumps to 1) [default: {}]
    #[arg(long, value_name = "FORM", value_parser = choices!(WarmupForm), help_heading = "Learning rate")]
    pub warmup_form: Option<WarmupForm>,
    /// Share that the warm-up starts from, such as the base batch size over the batch size [default: 0 for linear]
    #[arg(long, value_name = "F", help_heading = "Learning rate")]
    pub warmup_start: Option<f64>,
    /// Carry the rate over from --base-batch-size to the batch size: none, linear or sqrt [default: {}]
    #[arg(long, value_name = "RULE", value_parser = choices!(ScaleRate), help_heading = "Learning rate")]
    pub scale_lr: Option<ScaleRate>,
    /// The batch size that --lr was found with
    #[arg(long, value_name = "N", value_parser = whole::<usize>, help_heading = "Learning rate")]
    pub base_batch_size: Option<usize>,

    /// Where to save; must not exist [default: runs/1, runs/2 ..., or that of the resumed run]
    #[arg(short, long, value_name = "DIR", help_heading = "Output")]
    pub output_dir: Option<FilePath>,
    /// Save a checkpoint so often: 500 or 500steps, 2epochs, 90s, 10min, 1h, or never; one more at the end, also after
    /// Ctrl-C. It is written while the steps go on; if two are still being written, the next is taken when one is done
    /// [default: {}]
    #[arg(long, value_name = "HOW-OFTEN", help_heading = "Output")]
    pub save_every: Option<SaveEvery>,
    /// Keep so many of the newest checkpoints, and the best of those taken at the end of an epoch: by test accuracy, else
    /// by test loss, else by training loss [default: {}]
    #[arg(long, value_name = "N", value_parser = whole::<usize>, help_heading = "Output")]
    pub keep: Option<usize>,
    /// Go on with a run to the bits it would have come to, with any number of threads: its directory, one of its
    /// checkpoints, or auto, the newest in runs that is neither complete nor diverged (with -o, the one there, or a
    /// new one). Options are those of the run
    #[arg(long, value_name = "RUN|CHECKPOINT|auto", help_heading = "Output")]
    pub resume: Option<FilePath>,
    /// Options that may differ from those of the resumed run, such as epochs or lr,l2; those that change no result
    /// (threads, save-every ...) always may
    #[arg(long, value_name = "FLAGS", value_delimiter = ',', help_heading = "Output")]
    pub allow_changed: Option<Vec<String>>,
    /// Log every so many steps in metrics.jsonl and metrics.csv; 0 for epochs only [default: {}]
    #[arg(long, value_name = "N", value_parser = whole::<u64>, help_heading = "Output")]
    pub log_every: Option<u64>,
    /// Write an event file for TensorBoard, too: what is logged, with the gradient norm of each logged step, and histograms
    /// of the params after each epoch; it changes no result
    #[arg(long, help_heading = "Output")]
    pub tensorboard: Option<bool>,
    /// Measure the gradient noise scale, which says what batch size pays, every so many steps [default: {}, never; without
    /// a number: auto, every 10]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "auto", value_name = "N|auto", value_parser = auto::<u64>, help_heading = "Output")]
    pub noise_scale: Option<Auto<u64>>,
    /// Print errors only
    #[arg(long, help_heading = "Output")]
    pub quiet: Option<bool>,
    /// text, or json: a JSON object a line on stderr (start, epoch, step, message), and the results as one on stdout
    /// [default: {}]
    #[arg(long, value_name = "FORMAT", value_parser = log_format(), help_heading = "Output")]
    pub log_format: Option<LogFormat>,
    /// Show no progress while training
    #[arg(long, help_heading = "Output")]
    pub no_progress: Option<bool>,
    /// Read flags from this TOML file; those given here, or as variables, come first
    #[arg(long, value_name = "FILE.toml", help_heading = "Output")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Print the flags that would be used as such a file, each with where it comes from, and do nothing else
    #[arg(long, help_heading = "Output")]
    #[serde(skip)]
    pub print_config: bool,
    /// Print help
    #[arg(short, long, action = ArgAction::Help, help_heading = "Output")]
    #[serde(skip)]
    pub help: Option<bool>,
}

impl TrainFlags {
    /// Returns the defaults of a run with this optimizer: those that a run records, and those that `--help` shows.
    pub fn defaults(kind: OptimizerKind) -> Self {
        let options = Options::default();
        let optimizer = OptimizerOptions::new(kind).check().expect("defaults are in range");
        Self {
            test_split: Some(0.0),
            header: Some(HeaderRow::default()),
            min_gain: Some(options.min_gain),
            on_divergence: Some(options.on_divergence),
            momentum: optimizer.momentum,
            momentum_form: Some(MomentumForm::default()),
            beta1: optimizer.beta1,
            beta2: optimizer.beta2,
            eps: optimizer.eps,
            eps_form: optimizer.eps_form,
            initial_accumulator: optimizer.initial_accumulator,
            trust_coefficient: optimizer.trust_coefficient,
            l2_form: Some(optimizer.l2_form),
            log_format: Some(LogFormat::default()),
            ..Self::recorded_defaults(kind)
        }
    }

    /// Returns the defaults that neither other flags nor the data decide, so that a file made of the flags records what was done.
    pub fn recorded_defaults(kind: OptimizerKind) -> Self {
        let options = Options::default();
        Self {
            data: Some(DEFAULT_DATA.to_owned()),
            standardize: Some(false),
            hidden: Some(Hidden(vec![128])),
            activation: Some(Activation::Relu),
            loss: Some(Auto::Auto),
            threads: Some(Auto::Auto),
            batch_size: Some(options.batch_size),
            shards: Some(Auto::Auto),
            reduction: Some(options.reduction),
            epochs: match options.length {
                Length::Epochs(epochs) => Some(epochs),
                Length::Steps(_) => None,
            },
            drop_last: Some(options.drop_last),
            no_shuffle: Some(!options.shuffle),
            seed: Some(options.seed),
            optimizer: Some(kind),
            lr: Some(kind.default_rate()),
            l2: Some(options.optimizer.l2),
            weight_decay: Some(OptimizerOptions::new(kind).weight_decay),
            lr_schedule: Some(options.schedule.kind),
            warmup_steps: Some(options.schedule.warmup_steps),
            warmup_form: Some(options.schedule.warmup_form),
            scale_lr: Some(options.scale_rate),
            // Often enough for a curve.
            log_every: Some(10),
            restore_best: Some(options.keep_best),
            noise_scale: Some(Auto::Given(0)),
            // So little is lost when a run is killed, and next to no time is spent on it.
            save_every: Some(SaveEvery::Time(Duration::from_secs(60))),
            // The newest might be damaged.
            keep: Some(3),
            ..Self::default()
        }
    }

    /// Returns the flags that are given, each with its value in a TOML file.
    pub fn to_table(&self) -> Table {
        Table::try_from(self).expect("flags are plain data")
    }
}

/// Defaults as values of TOML, by the optimizer that they belong to.
static DEFAULTS: LazyLock<Vec<(OptimizerKind, Table)>> = LazyLock::new(|| {
    let of = |kind: &OptimizerKind| (*kind, TrainFlags::defaults(*kind).to_table());
    OptimizerKind::ALL.iter().map(of).collect()
});

/// Adds what is common to all flags: a boolean one may stand alone, for true; choices are explained by the help text and not listed again;
/// `{}` in a help text becomes the default, and `{adam}` the default for that optimizer.
fn adapted(flag: Arg) -> Arg {
    let flag = match flag.get_action() {
        ArgAction::Set if is::<bool>(&flag) => {
            flag.num_args(0..=1).require_equals(true).default_missing_value("true").value_name("BOOL")
        }
        _ => flag,
    };
    let flag = if flag.get_action().takes_values() { flag.hide_possible_values(true) } else { flag };
    let Some(help) = flag.get_help().map(ToString::to_string).filter(|help| help.contains('{')) else {
        return flag;
    };
    let key = key_of(&flag);
    let default = |defaults: &Table| defaults.get(&key).map(short).unwrap_or_default();
    let of_any = help.replace("{}", &default(&DEFAULTS[0].1));
    let named = |help: String, (kind, defaults): &(OptimizerKind, Table)| {
        help.replace(&format!("{{{kind}}}"), &default(defaults))
    };
    flag.help(DEFAULTS.iter().fold(of_any, named))
}

/// A default as help texts show it.
fn short(value: &Value) -> String {
    match value {
        Value::Float(0.0) => "0".to_owned(),
        Value::String(text) => text.clone(),
        other => toml_value(other),
    }
}

/// Returns whether the values of a flag have this type.
pub fn is<T: 'static>(flag: &Arg) -> bool {
    flag.get_value_parser().type_id() == TypeId::of::<T>()
}

/// Returns the name of a flag as a key of a file.
pub fn key_of(flag: &Arg) -> String {
    flag.get_id().as_str().replace('_', "-")
}
