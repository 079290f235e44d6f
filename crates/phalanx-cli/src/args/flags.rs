//! The flags of `train`, with their help texts and defaults. Each is also an environment variable
//! and a key of a TOML file.

use std::any::TypeId;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use clap::builder::StyledStr;
use clap::{Arg, ArgAction, Args};
use phalanx::data::{Column, HeaderRow, InputFormat};
use phalanx::model::{Activation, Init, Loss};
use phalanx::optim::{
    EpsForm, Framework, L2Form, MomentumForm, OptimizerKind, OptimizerOptions, Reduction, ScaleRate,
    ScheduleKind, WarmupForm,
};
use phalanx::train::{Length, Metric, OnDivergence, Options, SaveEvery};
use serde::Serialize;
use toml::{Table, Value};

use super::values::{
    Auto, Factor, FilePath, Hidden, LogFormat, MomentumUnit, TargetForm, auto, choices, header_row,
    log_format, loss, number, optimizer, toml_value, whole,
};

/// The data to train on if none is given.
pub const DEFAULT_DATA: &str = "digits";

/// Train a model and save it with its results in a run directory
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize)]
#[command(mut_args(adapted))]
#[serde(rename_all = "kebab-case")]
pub struct TrainFlags {
    /// Training data: digits (built in), FILE.csv, X.npy,Y.npy, FILE.libsvm, or a folder with
    /// MNIST's files (plain or .gz) [default: {}]
    pub data: Option<String>,

    /// Data to test on after each epoch
    ///
    /// Not needed for a folder that has its own test files.
    #[arg(long, value_name = "DATA", conflicts_with = "test_split", help_heading = "Data")]
    pub test: Option<String>,
    /// Fraction of the training data to set aside for testing [default: {}]
    ///
    /// The samples are chosen by the seed. Test samples that the data already has are not used.
    #[arg(long, value_name = "F", help_heading = "Data", value_parser = number)]
    pub test_split: Option<f64>,
    /// Label column of a CSV: name, index, or -1 for the last [default: -1]
    ///
    /// Indices are counted from 0. A number is an index if there is such a column, and a name
    /// otherwise.
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true, help_heading = "Data")]
    pub label_column: Option<Column>,
    /// Column with the sample weights in a CSV
    #[arg(
        long,
        value_name = "COLUMN",
        allow_hyphen_values = true,
        help_heading = "Data",
        hide_short_help = true
    )]
    pub weight_column: Option<Column>,
    /// First line of a CSV: present (column names), absent (a sample), or auto, which reports an
    /// error if it could be either [default: {}]
    #[arg(long, value_name = "WHICH", value_parser = header_row(), help_heading = "Data", hide_short_help = true)]
    pub header: Option<HeaderRow>,
    /// Format of the training and test data if their names do not show it: csv, npy or libsvm
    #[arg(long, value_name = "FORMAT", value_parser = choices!(InputFormat), help_heading = "Data", hide_short_help = true)]
    pub input_format: Option<InputFormat>,
    /// Multiply the numbers of the file by this instead of the usual factor (1/255 for images),
    /// such as 1/256
    #[arg(long, value_name = "F", help_heading = "Data", hide_short_help = true)]
    pub scale: Option<Factor>,
    /// Scale each feature to mean 0 and deviation 1 [default: {}]
    ///
    /// Mean and deviation are those of the training samples; train saves them with the model.
    #[arg(long, help_heading = "Data")]
    pub standardize: Option<bool>,
    /// Train on targets with mean 0 and deviation 1 over the training samples, for mse only; losses
    /// and predictions stay in the units of the data [default: true, but false with --like and with
    /// --init from a model trained without]
    #[arg(long, help_heading = "Data", hide_short_help = true)]
    pub standardize_targets: Option<bool>,

    /// Widths of the hidden layers, such as 300,100 or none [default: {}]
    ///
    /// Without hidden layers, the model is a linear, softmax or logistic regression.
    #[arg(long, value_name = "WIDTHS", help_heading = "Model")]
    pub hidden: Option<Hidden>,
    /// Activation function: relu, tanh, sigmoid, scaled-tanh (1.7159 tanh(2z/3)) or gelu [default:
    /// {}]
    #[arg(long, value_parser = choices!(Activation), help_heading = "Model")]
    pub activation: Option<Activation>,
    /// Loss function: auto, cross-entropy, bce, bce-sum, mse, half-mse, squared or half-squared
    /// [default: {}]
    ///
    /// auto is cross-entropy for class labels and mse for values. bce and mse are means over the
    /// outputs, bce-sum and squared their sums; half-mse and half-squared are half of mse and
    /// squared.
    #[arg(long, value_parser = loss(), help_heading = "Model")]
    pub loss: Option<Auto<Loss>>,
    /// Activation function of the outputs, with a squared loss: relu, tanh, sigmoid or scaled-tanh
    /// [default: none]
    #[arg(long, value_name = "ACTIVATION", value_parser = choices!(Activation), help_heading = "Model", hide_short_help = true)]
    pub output_activation: Option<Activation>,
    /// Targets of a squared loss: values, or those of classes: one-hot (1 for the class, 0 for all
    /// others) or plus-minus (1 and -1) [default: values for mse; for the others, one-hot if the
    /// labels are classes]
    #[arg(long, value_name = "TARGETS", value_parser = choices!(TargetForm), help_heading = "Model", hide_short_help = true)]
    pub targets: Option<TargetForm>,
    /// Distribution of the initial weights: auto (He, with the gain of the activation), pytorch,
    /// glorot, glorot-normal, he, he-normal, lecun, lecun-normal, darknet, theano-tutorial,
    /// uniform:A, normal:S or zero [default: {}]
    ///
    /// glorot, he and lecun are uniform; normal is normal:1.
    #[arg(long, value_name = "DISTRIBUTION", help_heading = "Model", hide_short_help = true)]
    pub init_weights: Option<Init>,
    /// Distribution of the initial biases, of the same names [default: pytorch with --init-weights
    /// pytorch, else zero]
    #[arg(long, value_name = "DISTRIBUTION", help_heading = "Model", hide_short_help = true)]
    pub init_bias: Option<Init>,
    /// Start from the params in this file, for example from PyTorch (layers.0.weight,
    /// layers.1.weight ...; activations are not counted)
    #[arg(long, value_name = "FILE.safetensors", help_heading = "Model", hide_short_help = true)]
    pub init: Option<FilePath>,

    /// Interpret the options as another framework does, such as pytorch-ddp
    ///
    /// The frameworks are pytorch, pytorch-ddp, horovod-average, horovod-sum, mindspore, caffe,
    /// keras, tensorflow1-estimator, scikit-learn, cntk (rates per sample), mxnet (Gluon), darknet,
    /// nielsen (his book's programs), theano-tutorial (its perceptron) and bigdl. Every option that
    /// is not given has the default of that framework: reduction, forms, optimizer and its
    /// constants, and the initial params. The same applies to the learning rate, the batch size and
    /// the layers if the framework has defaults for them; --print-config shows the values. For
    /// distributed frameworks, --shards is the number of processes (bigdl: nodes times cores). The
    /// weight_decay of PyTorch's SGD is --l2.
    #[arg(long, value_name = "FRAMEWORK", value_parser = choices!(Framework), help_heading = "Training")]
    pub like: Option<Framework>,
    /// Number of worker threads [default: {}, all cores]
    ///
    /// They affect the speed, never the result.
    #[arg(short, long, value_name = "N|auto", value_parser = auto::<usize>, help_heading = "Training")]
    pub threads: Option<Auto<usize>>,
    /// Samples in one step, over all threads [default: {}]
    #[arg(short, long, value_name = "N", value_parser = whole::<usize>, help_heading = "Training")]
    pub batch_size: Option<usize>,
    /// Number of shards that each batch is split into [default: {}]
    ///
    /// auto depends on the batch size, never on the number of threads. Unlike threads, shards
    /// affect the result.
    #[arg(long, value_name = "N|auto", value_parser = auto::<usize>, help_heading = "Training")]
    pub shards: Option<Auto<usize>>,
    /// Reduction of the gradients, such as mean or sum [default: {}]
    ///
    /// It reduces the gradients of the samples to that of a step: mean, sum, mean-of-shard-means,
    /// sum-of-shard-means or mean-of-shard-sums.
    #[arg(long, value_parser = choices!(Reduction), help_heading = "Training")]
    pub reduction: Option<Reduction>,
    /// Clip the reduced gradient to this global norm
    #[arg(long, value_name = "NORM", help_heading = "Training", value_parser = number)]
    pub clip_grad_norm: Option<f64>,
    /// Passes over the training samples [default: {}]
    #[arg(long, value_name = "N", conflicts_with = "max_steps", value_parser = whole::<u64>, help_heading = "Training")]
    pub epochs: Option<u64>,
    /// Number of steps, instead of epochs
    #[arg(long, value_name = "N", value_parser = whole::<u64>, help_heading = "Training")]
    pub max_steps: Option<u64>,
    /// Stop after this many epochs without improvement [default: never]
    #[arg(long, value_name = "EPOCHS", value_parser = whole::<u64>, help_heading = "Early stopping")]
    pub early_stop: Option<u64>,
    /// Metric for --early-stop, --restore-best and --keep: test-accuracy, test-loss or train-loss
    /// [default: the first of these that is available]
    #[arg(long, value_parser = choices!(Metric), help_heading = "Early stopping", hide_short_help = true)]
    pub metric: Option<Metric>,
    /// An epoch becomes the best if its metric improves by more than this [default: {}, any
    /// improvement]
    #[arg(long, value_name = "GAIN", help_heading = "Early stopping", hide_short_help = true, value_parser = number)]
    pub min_gain: Option<f64>,
    /// Save the params of the best epoch, not the last [default: {}]
    ///
    /// An incomplete epoch is never the best.
    #[arg(long, help_heading = "Early stopping")]
    pub restore_best: Option<bool>,
    /// Action on a step with a NaN or infinite loss or gradient: stop (train exits with 3 and saves
    /// the params before that step), or skip the step and continue [default: {}]
    #[arg(long, value_name = "ACTION", value_parser = choices!(OnDivergence), help_heading = "Training", hide_short_help = true)]
    pub on_divergence: Option<OnDivergence>,
    /// Drop the short last batch of each epoch [default: {}]
    #[arg(long, help_heading = "Training", hide_short_help = true)]
    pub drop_last: Option<bool>,
    /// Use the samples in their stored order in each epoch [default: {}]
    #[arg(long, help_heading = "Training", hide_short_help = true)]
    pub no_shuffle: Option<bool>,
    /// Seed of initial params, sample order and test split [default: {}]
    #[arg(long, value_parser = whole::<u64>, help_heading = "Training")]
    pub seed: Option<u64>,
    /// Fail if a thread, or a process of an MPI job, waits longer than this for another [default:
    /// no limit]
    #[arg(long, value_name = "SECS", help_heading = "Training", hide_short_help = true, value_parser = number)]
    pub timeout: Option<f64>,

    /// One of sgd, adagrad, rmsprop, adam, adamw, lars, lamb [default: {}]
    #[arg(long, value_parser = optimizer(), help_heading = "Optimizer")]
    pub optimizer: Option<OptimizerKind>,
    /// Learning rate [default: {sgd} for sgd and lars, {adagrad} for adagrad, {adam} for the rest]
    #[arg(long, value_name = "RATE", help_heading = "Optimizer", value_parser = number)]
    pub lr: Option<f64>,
    /// Momentum, for sgd, rmsprop and lars [default: {rmsprop}]
    #[arg(long, help_heading = "Optimizer", value_parser = number)]
    pub momentum: Option<f64>,
    /// Form of momentum: pytorch (v = mv + g; w -= lr v) or caffe (v = mv + lr g; w -= v) [default:
    /// {}]
    #[arg(long, value_name = "FORM", value_parser = choices!(MomentumForm), help_heading = "Optimizer", hide_short_help = true)]
    pub momentum_form: Option<MomentumForm>,
    /// Unit of --momentum: per-batch, per-sample (the momentum of a full batch of m is the m-th
    /// power), or time-constant (in samples; the momentum is exp(-m/T)) [default: per-batch]
    #[arg(long, value_name = "UNIT", value_parser = choices!(MomentumUnit), help_heading = "Optimizer", hide_short_help = true)]
    pub momentum_unit: Option<MomentumUnit>,
    /// Use Nesterov momentum, for sgd and lars [default: false]
    #[arg(long, help_heading = "Optimizer", hide_short_help = true)]
    pub nesterov: Option<bool>,
    /// Decay rate of the averaged gradient, for adam, adamw and lamb [default: {adam}]
    #[arg(long, help_heading = "Optimizer", hide_short_help = true, value_parser = number)]
    pub beta1: Option<f64>,
    /// Decay rate of the averaged square, for rmsprop (its alpha), adam, adamw and lamb [default:
    /// {rmsprop} for rmsprop, else {adam}]
    #[arg(long, help_heading = "Optimizer", hide_short_help = true, value_parser = number)]
    pub beta2: Option<f64>,
    /// Constant added to the root of the averaged square [default: {adagrad} for adagrad, {lamb}
    /// for lamb, else {adam}]
    #[arg(long, help_heading = "Optimizer", hide_short_help = true, value_parser = number)]
    pub eps: Option<f64>,
    /// Position of eps: outside the root, inside the root (adagrad, rmsprop), or uncorrected, added
    /// before the bias correction (adam, adamw) [default: {adam}]
    #[arg(long, value_name = "FORM", value_parser = choices!(EpsForm), help_heading = "Optimizer", hide_short_help = true)]
    pub eps_form: Option<EpsForm>,
    /// Initial value of adagrad's sum of squares [default: {adagrad}]
    #[arg(long, value_name = "A", help_heading = "Optimizer", hide_short_help = true, value_parser = number)]
    pub initial_accumulator: Option<f64>,
    /// Trust coefficient of lars [default: {lars}]
    #[arg(long, value_name = "C", help_heading = "Optimizer", hide_short_help = true, value_parser = number)]
    pub trust_coefficient: Option<f64>,
    /// L2 penalty, added to the gradient [default: {}]
    ///
    /// It is added after reduction and clipping.
    #[arg(long, value_name = "LAMBDA", help_heading = "Optimizer", value_parser = number)]
    pub l2: Option<f64>,
    /// Form of the L2 penalty: gradient (added to the reduced gradient), batch-sum (added to the
    /// summed gradient before the division by the batch size, like scikit-learn's alpha) or
    /// data-sum (divided by the number of training samples, like Nielsen's lambda) [default: {}]
    #[arg(long, value_name = "FORM", value_parser = choices!(L2Form), help_heading = "Optimizer", hide_short_help = true)]
    pub l2_form: Option<L2Form>,
    /// Exclude biases from --l2 and --weight-decay [default: false]
    #[arg(long, help_heading = "Optimizer", hide_short_help = true)]
    pub no_bias_decay: Option<bool>,
    /// Decoupled weight decay [default: {adamw} for adamw, else {}]
    ///
    /// The update is w -= lr lambda w.
    #[arg(long, value_name = "LAMBDA", help_heading = "Optimizer", value_parser = number)]
    pub weight_decay: Option<f64>,

    /// Schedule: constant, linear, cosine or step [default: {}]
    ///
    /// linear and cosine decrease the rate to 0.
    #[arg(long, value_name = "SCHEDULE", value_parser = choices!(ScheduleKind), help_heading = "Learning rate")]
    pub lr_schedule: Option<ScheduleKind>,
    /// Factor of the step schedule [default: 0.1]
    #[arg(long, value_name = "F", help_heading = "Learning rate", hide_short_help = true, value_parser = number)]
    pub lr_gamma: Option<f64>,
    /// Epochs between two drops of the step schedule [default: a third of the run]
    #[arg(long, value_name = "N", value_parser = whole::<u64>, help_heading = "Learning rate", hide_short_help = true)]
    pub lr_decay_epochs: Option<u64>,
    /// Number of warm-up steps [default: {}]
    ///
    /// The first steps of the run use a fraction of the rate.
    #[arg(long, value_name = "N", value_parser = whole::<u64>, help_heading = "Learning rate")]
    pub warmup_steps: Option<u64>,
    /// Form of the warm-up: linear (the fraction rises to 1 in the last warm-up step) or constant
    /// (it then jumps to 1) [default: {}]
    #[arg(long, value_name = "FORM", value_parser = choices!(WarmupForm), help_heading = "Learning rate", hide_short_help = true)]
    pub warmup_form: Option<WarmupForm>,
    /// Fraction of the rate that the warm-up starts from, such as the base batch size over the
    /// batch size [default: 0 for linear]
    #[arg(long, value_name = "F", help_heading = "Learning rate", hide_short_help = true, value_parser = number)]
    pub warmup_start: Option<f64>,
    /// Scale the rate from --base-batch-size to the batch size: none, linear or sqrt [default: {}]
    #[arg(long, value_name = "RULE", value_parser = choices!(ScaleRate), help_heading = "Learning rate", hide_short_help = true)]
    pub scale_lr: Option<ScaleRate>,
    /// Batch size that --lr was tuned for
    #[arg(long, value_name = "N", value_parser = whole::<usize>, help_heading = "Learning rate", hide_short_help = true)]
    pub base_batch_size: Option<usize>,

    /// Run directory to create [default: runs/1, runs/2 ...]
    ///
    /// It must not exist, unless it is that of the run to resume. By default, a resumed run
    /// continues in its directory.
    #[arg(short, long, value_name = "DIR", help_heading = "Output")]
    pub output_dir: Option<FilePath>,
    /// Checkpoint interval, such as 500steps or 10min [default: {}]
    ///
    /// It can be 500 or 500steps, 2epochs, 90s, 10min, 1h, or never. One more checkpoint is saved
    /// at the end, also after Ctrl-C. Checkpoints are written while training continues; if two are
    /// still being written, the next is taken when one of them is done.
    #[arg(long, value_name = "INTERVAL", help_heading = "Output")]
    pub save_every: Option<SaveEvery>,
    /// Number of newest checkpoints to keep, in addition to the best by --metric of those taken at
    /// the end of an epoch [default: {}]
    #[arg(long, value_name = "N", value_parser = whole::<usize>, help_heading = "Output", hide_short_help = true)]
    pub keep: Option<usize>,
    /// Resume a run; the result is bit-identical to an uninterrupted one
    ///
    /// The number of threads may differ. Give the run directory, one of its checkpoints, or auto
    /// for the newest run in the folder runs that is neither complete nor diverged; with -o, auto
    /// resumes the run in that directory, or starts a new one. The options are those of the run.
    #[arg(long, value_name = "RUN|CHECKPOINT|auto", help_heading = "Output")]
    pub resume: Option<FilePath>,
    /// Options that may differ from those of the resumed run, such as epochs or lr,l2; those that
    /// do not affect the result (threads, save-every ...) always may
    #[arg(
        long,
        value_name = "FLAGS",
        value_delimiter = ',',
        help_heading = "Output",
        hide_short_help = true
    )]
    pub allow_changed: Option<Vec<String>>,
    /// Steps between two entries of metrics.jsonl and metrics.csv; 0 for epochs only [default: {}]
    #[arg(long, value_name = "N", value_parser = whole::<u64>, help_heading = "Output", hide_short_help = true)]
    pub log_every: Option<u64>,
    /// Also write an event file for TensorBoard [default: false]
    ///
    /// It contains what is logged, with the gradient norm of each logged step, and histograms of
    /// the params after each epoch. It does not affect the result.
    #[arg(long, help_heading = "Output")]
    pub tensorboard: Option<bool>,
    /// Steps between two measurements of the gradient noise scale, which shows the batch size that
    /// is worthwhile [default: {}, never; without a number: auto, every 10 steps]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "auto", value_name = "N|auto", value_parser = auto::<u64>, help_heading = "Output", hide_short_help = true)]
    pub noise_scale: Option<Auto<u64>>,
    /// Print errors only [default: false]
    #[arg(long, help_heading = "Output")]
    pub quiet: Option<bool>,
    /// Format of messages and results: text, or json, one JSON object per line on stderr (start,
    /// epoch, step, message) and the results as one object on stdout [default: {}]
    #[arg(long, value_name = "FORMAT", value_parser = log_format(), help_heading = "Output", hide_short_help = true)]
    pub log_format: Option<LogFormat>,
    /// Do not show progress while training [default: false]
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    pub no_progress: Option<bool>,
    /// TOML file to read flags from
    ///
    /// The command line and variables take precedence.
    #[arg(long, value_name = "FILE.toml", help_heading = "Output")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Print the effective flags as a --config file, each with its origin, and exit
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    #[serde(skip)]
    pub print_config: bool,
    /// Print help; --help describes all flags
    ///
    /// -h prints the most common flags only.
    #[arg(short, long, action = ArgAction::Help, help_heading = "Output")]
    #[serde(skip)]
    pub help: Option<bool>,
}

/// Hides a flag in the short help of another command, unless its identifier is one of `shown`,
/// which are separated by spaces.
pub fn shortened(flag: Arg, shown: &str) -> Arg {
    let is_shown = shown.split(' ').any(|id| flag.get_id() == id);
    flag.hide_short_help(!is_shown)
}

impl TrainFlags {
    /// Returns all defaults of a run with this optimizer: those that the run records, and in
    /// addition those that only `--help` shows.
    pub fn defaults(kind: OptimizerKind) -> Self {
        let options = Options::default();
        let optimizer = OptimizerOptions::new(kind).check().expect("defaults are in range");
        Self {
            test_split: Some(0.0),
            header: Some(HeaderRow::default()),
            init_weights: Some(Init::default()),
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

    /// Returns the defaults that depend neither on other flags nor on the data, so that a file made
    /// from the flags records what was done.
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
            // Frequent enough for a curve.
            log_every: Some(10),
            restore_best: Some(options.keep_best),
            noise_scale: Some(Auto::Given(0)),
            // A killed run loses at most a minute, and saving takes a negligible share of the time.
            save_every: Some(SaveEvery::Time(Duration::from_secs(60))),
            // More than one, in case the newest is damaged.
            keep: Some(3),
            ..Self::default()
        }
    }

    /// Returns the given flags, each with its TOML value.
    pub fn to_table(&self) -> Table {
        Table::try_from(self).expect("flags are plain data")
    }
}

/// The defaults as TOML values, for each optimizer.
static DEFAULTS: LazyLock<Vec<(OptimizerKind, Table)>> = LazyLock::new(|| {
    let of = |kind: &OptimizerKind| (*kind, TrainFlags::defaults(*kind).to_table());
    OptimizerKind::ALL.iter().map(of).collect()
});

/// Sets what all flags have in common: a boolean flag without a value means true; choices are
/// explained by the help text and not listed again; `{}` in a help text is replaced by the default,
/// and `{adam}` by the default for that optimizer.
fn adapted(flag: Arg) -> Arg {
    let flag = match flag.get_action() {
        ArgAction::Set if is::<bool>(&flag) => {
            flag.num_args(0..=1).require_equals(true).default_missing_value("true").value_name("BOOL")
        }
        _ => flag,
    };
    let flag = if flag.get_action().takes_values() { flag.hide_possible_values(true) } else { flag };
    let key = key_of(&flag);
    let default = |defaults: &Table| defaults.get(&key).map(short).unwrap_or_default();
    let named = |help: String, (kind, defaults): &(OptimizerKind, Table)| {
        help.replace(&format!("{{{kind}}}"), &default(defaults))
    };
    let filled = |help: String| DEFAULTS.iter().fold(help.replace("{}", &default(&DEFAULTS[0].1)), named);
    let text = |help: Option<&StyledStr>| help.map(|help| filled(help.to_string()));
    let (help, long_help) = (text(flag.get_help()), text(flag.get_long_help()));
    let flag = match help {
        Some(help) => flag.help(help),
        None => flag,
    };
    match long_help {
        Some(help) => flag.long_help(help),
        None => flag,
    }
}

/// Writes a default for a help text.
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

/// Returns the key of a flag in a file.
pub fn key_of(flag: &Arg) -> String {
    flag.get_id().as_str().replace('_', "-")
}
