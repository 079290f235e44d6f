//! The flags of `train`, each of which is also a key of a TOML file.

use std::path::PathBuf;

use clap::{ArgAction, Args, Command};
use phalanx::data::{Column, HeaderRow, InputFormat};
use phalanx::model::{Activation, Loss};
use phalanx::optim::{
    EpsForm, Framework, L2Form, MomentumForm, OptimizerKind, Reduction, ScaleRate, ScheduleKind, WarmupForm,
};
use phalanx::train::{Metric, OnDivergence, SaveEvery};
use serde::{Deserialize, Serialize};

use super::auto::Auto;
use super::file_path::FilePath;
use super::hidden::Hidden;
use super::log_format::LogFormat;
use super::whole::whole;

/// Train a model, and save it with its results in a run directory
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct TrainFlags {
    /// What to train on: digits (built in), a folder with MNIST's files (plain or .gz), FILE.csv, X.npy,Y.npy, or
    /// FILE.libsvm [default: digits]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<String>,

    /// Data to test on after each epoch; a folder with test files of its own needs none
    #[arg(long, value_name = "DATA", conflicts_with = "test_split", help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) test: Option<String>,
    /// Share of the training samples to set aside for testing, chosen by the seed [default: 0]
    #[arg(long, value_name = "F", help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) test_split: Option<f64>,
    /// Column of the label in a CSV: a name, its position from 0, or -1 for the last; a number is a position if there is one
    /// [default: -1]
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true, help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) label_column: Option<Column>,
    /// Column of the sample weights in a CSV
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true, help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) weight_column: Option<Column>,
    /// Whether line 1 of a CSV names its columns: present, absent, or auto, which refuses a line that may be names or a sample
    /// [default: auto]
    #[arg(long, value_name = "WHICH", help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) header: Option<HeaderRow>,
    /// What the data and the --test data hold, where their names do not say it: csv, npy or libsvm
    #[arg(long, value_name = "FORMAT", help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input_format: Option<InputFormat>,
    /// Shift and scale each feature to mean 0 and deviation 1 over the training samples; kept with the model
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true, help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) standardize: Option<bool>,
    /// Train on targets shifted and scaled to mean 0 and deviation 1 over the training samples, while losses and predictions stay in the
    /// units of the data; for mse only [default: true, but false with --like and with --init of a model trained without]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true, help_heading = "Data")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) standardize_targets: Option<bool>,

    /// Widths of the hidden layers, such as 128 or 300,100; none for linear, softmax or logistic regression
    /// [default: 128]
    #[arg(long, value_name = "WIDTHS", help_heading = "Model")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hidden: Option<Hidden>,
    /// relu, tanh, sigmoid or gelu [default: relu]
    #[arg(long, help_heading = "Model")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) activation: Option<Activation>,
    /// cross-entropy, bce or mse; auto is cross-entropy for class labels, mse for values [default: auto]
    #[arg(long, help_heading = "Model")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) loss: Option<Auto<Loss>>,
    /// Start from the params in this file, of PyTorch for example (layers.0.weight ...)
    #[arg(long, value_name = "FILE.safetensors", help_heading = "Model")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) init: Option<FilePath>,

    /// Read the numbers as another framework means them: pytorch, pytorch-ddp, horovod-average, horovod-sum, mindspore,
    /// caffe, keras, tensorflow1-estimator or scikit-learn; sets reduction, forms and optimizer constants, those given come
    /// first, and --shards are the processes of the distributed ones
    #[arg(long, value_name = "FRAMEWORK", help_heading = "Step")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) like: Option<Framework>,
    /// Worker threads; they change the speed, never the result [default: auto, all cores]
    #[arg(short, long, value_name = "N|auto", help_heading = "Step")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) threads: Option<Auto<usize>>,
    /// Samples in one step, over all threads [default: 64]
    #[arg(short, long, value_name = "N", value_parser = whole::<usize>, help_heading = "Step")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) batch_size: Option<usize>,
    /// Parts that a batch is cut into; part of the mathematics, unlike threads [default: auto]
    #[arg(long, value_name = "N|auto", help_heading = "Step")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shards: Option<Auto<usize>>,
    /// How gradients of samples become that of a step: mean, sum, mean-of-shard-means, sum-of-shard-means or
    /// mean-of-shard-sums [default: mean]
    #[arg(long, help_heading = "Step")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reduction: Option<Reduction>,
    /// Scale the reduced gradient down to this global norm if it is longer
    #[arg(long, value_name = "NORM", help_heading = "Step")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) clip_grad_norm: Option<f64>,
    /// Passes over the training samples [default: 10]
    #[arg(long, value_name = "N", conflicts_with = "max_steps", value_parser = whole::<u64>, help_heading = "Step")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) epochs: Option<u64>,
    /// Steps to do, instead of epochs
    #[arg(long, value_name = "N", value_parser = whole::<u64>, help_heading = "Step")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_steps: Option<u64>,
    /// End the run once so many epochs have been no better than the best before them [default: never]
    #[arg(long, value_name = "EPOCHS", value_parser = whole::<u64>, help_heading = "Step")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) early_stop: Option<u64>,
    /// What tells the best epoch, for --early-stop, --restore-best and --keep: test-accuracy, test-loss or train-loss [default: the
    /// first of them that there is]
    #[arg(long, help_heading = "Step")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metric: Option<Metric>,
    /// How much better than the best before it an epoch must be to be the best [default: 0, any bit]
    #[arg(long, value_name = "GAIN", help_heading = "Step")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) min_gain: Option<f64>,
    /// Save the params of the best whole epoch as the model, not those of the last step
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true, help_heading = "Step")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) restore_best: Option<bool>,
    /// What to do with a step whose loss or gradient is no finite number: stop (with exit code 3, the params before it saved), or skip
    /// it and go on [default: stop]
    #[arg(long, value_name = "WHAT", help_heading = "Step")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) on_divergence: Option<OnDivergence>,
    /// Leave out the short last batch of each epoch
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true, help_heading = "Step")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) drop_last: Option<bool>,
    /// Take the samples as they are stored, in each epoch
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true, help_heading = "Step")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) no_shuffle: Option<bool>,
    /// Seed of initial params, sample order and test split [default: 42]
    #[arg(long, value_parser = whole::<u64>, help_heading = "Step")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seed: Option<u64>,
    /// Give up when a thread, or a process of an MPI job, waits longer than this for another [default: no limit]
    #[arg(long, value_name = "SECS", help_heading = "Step")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timeout: Option<f64>,

    /// sgd, adagrad, rmsprop, adam, adamw, lars or lamb [default: sgd]
    #[arg(long, value_parser = optimizer, help_heading = "Optimizer")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) optimizer: Option<OptimizerKind>,
    /// Learning rate [default: 0.1 for sgd and lars, 0.01 for adagrad, 0.001 for the rest]
    #[arg(long, value_name = "RATE", help_heading = "Optimizer")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lr: Option<f64>,
    /// Momentum of sgd, rmsprop and lars [default: 0]
    #[arg(long, help_heading = "Optimizer")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) momentum: Option<f64>,
    /// pytorch (v = mv + g; w -= lr v) or caffe (v = mv + lr g; w -= v) [default: pytorch]
    #[arg(long, value_name = "FORM", help_heading = "Optimizer")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) momentum_form: Option<MomentumForm>,
    /// Nesterov's momentum, for sgd and lars
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true, help_heading = "Optimizer")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nesterov: Option<bool>,
    /// Decay of the averaged gradient, for adam, adamw and lamb [default: 0.9]
    #[arg(long, help_heading = "Optimizer")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) beta1: Option<f64>,
    /// Decay of the averaged square, for rmsprop (its alpha), adam, adamw and lamb [default: 0.99 for rmsprop, else
    /// 0.999]
    #[arg(long, help_heading = "Optimizer")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) beta2: Option<f64>,
    /// Added to the root of the averaged square [default: 1e-10 for adagrad, 1e-6 for lamb, else 1e-8]
    #[arg(long, help_heading = "Optimizer")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) eps: Option<f64>,
    /// Where eps stands: outside of the root, inside of it (adagrad, rmsprop), or uncorrected, that is added before the bias
    /// correction (adam, adamw) [default: outside]
    #[arg(long, value_name = "FORM", help_heading = "Optimizer")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) eps_form: Option<EpsForm>,
    /// What adagrad's sum of squares starts from [default: 0]
    #[arg(long, value_name = "A", help_heading = "Optimizer")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) initial_accumulator: Option<f64>,
    /// Trust coefficient of lars [default: 0.001]
    #[arg(long, value_name = "C", help_heading = "Optimizer")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trust_coefficient: Option<f64>,
    /// L2 penalty, added to the gradient after reduction and clipping [default: 0]
    #[arg(long, value_name = "LAMBDA", help_heading = "Optimizer")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) l2: Option<f64>,
    /// What the L2 penalty is added to: gradient, or batch-sum, the sum over the batch before the mean divides it, as
    /// scikit-learn's alpha [default: gradient]
    #[arg(long, value_name = "FORM", help_heading = "Optimizer")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) l2_form: Option<L2Form>,
    /// Spare the biases both penalties
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true, help_heading = "Optimizer")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) no_bias_decay: Option<bool>,
    /// Decoupled weight decay, w -= lr lambda w [default: 0.01 for adamw, else 0]
    #[arg(long, value_name = "LAMBDA", help_heading = "Optimizer")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) weight_decay: Option<f64>,

    /// constant, linear (to 0), cosine (to 0) or step [default: constant]
    #[arg(long, value_name = "SCHEDULE", help_heading = "Learning rate")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lr_schedule: Option<ScheduleKind>,
    /// Factor of the step schedule [default: 0.1]
    #[arg(long, value_name = "F", help_heading = "Learning rate")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lr_gamma: Option<f64>,
    /// Epochs between two drops of the step schedule [default: a third of the run]
    #[arg(long, value_name = "N", value_parser = whole::<u64>, help_heading = "Learning rate")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lr_decay_epochs: Option<u64>,
    /// Steps that first have only a share of the rate [default: 0]
    #[arg(long, value_name = "N", value_parser = whole::<u64>, help_heading = "Learning rate")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) warmup_steps: Option<u64>,
    /// linear (the share rises to 1 in the last of these steps) or constant (then jumps to 1) [default: linear]
    #[arg(long, value_name = "FORM", help_heading = "Learning rate")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) warmup_form: Option<WarmupForm>,
    /// Share that the warm-up starts from, such as the base batch size over the batch size [default: 0 for linear]
    #[arg(long, value_name = "F", help_heading = "Learning rate")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) warmup_start: Option<f64>,
    /// Carry the rate over from --base-batch-size to the batch size: none, linear or sqrt [default: none]
    #[arg(long, value_name = "RULE", help_heading = "Learning rate")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scale_lr: Option<ScaleRate>,
    /// The batch size that --lr was found with
    #[arg(long, value_name = "N", value_parser = whole::<usize>, help_heading = "Learning rate")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) base_batch_size: Option<usize>,

    /// Where to save; must not exist [default: runs/1, runs/2 ..., or that of the resumed run]
    #[arg(short, long, value_name = "DIR", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output_dir: Option<FilePath>,
    /// Save a checkpoint so often: 500 or 500steps, 2epochs, 90s, 10min, 1h, or never; one more at the end, also after
    /// Ctrl-C. It is written while the steps go on; if two are still being written, the next is taken when one is done
    /// [default: 1min]
    #[arg(long, value_name = "HOW-OFTEN", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) save_every: Option<SaveEvery>,
    /// Keep so many of the newest checkpoints, and the best of those taken at the end of an epoch: by test accuracy, else
    /// by test loss, else by training loss [default: 3]
    #[arg(long, value_name = "N", value_parser = whole::<usize>, help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) keep: Option<usize>,
    /// Go on with a run to the bits it would have come to, with any number of threads: its directory, one of its
    /// checkpoints, or auto, the newest in runs that is neither complete nor diverged (with -o, the one there, or a
    /// new one). Options are those of the run
    #[arg(long, value_name = "RUN|CHECKPOINT|auto", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resume: Option<FilePath>,
    /// Options that may differ from those of the resumed run, such as epochs or lr,l2; those that change no result
    /// (threads, save-every ...) always may
    #[arg(long, value_name = "FLAGS", value_delimiter = ',', help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) allow_changed: Option<Vec<String>>,
    /// Log every so many steps in metrics.jsonl and metrics.csv; 0 for epochs only [default: 10]
    #[arg(long, value_name = "N", value_parser = whole::<u64>, help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) log_every: Option<u64>,
    /// Write an event file for TensorBoard, too: what is logged, with the gradient norm of each logged step, and histograms
    /// of the params after each epoch; it changes no result
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true, help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tensorboard: Option<bool>,
    /// Measure the gradient noise scale, which says what batch size pays, every so many steps [default: 0, never; without
    /// a number: auto, every 10]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "auto", value_name = "N|auto", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) noise_scale: Option<Auto<u64>>,
    /// Print errors only
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true, help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) quiet: Option<bool>,
    /// text, or json: a JSON object a line on stderr (start, epoch, step, message), and the results as one on stdout
    /// [default: text]
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) log_format: Option<LogFormat>,
    /// Show no progress while training
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true, help_heading = "Output")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) no_progress: Option<bool>,
    /// Read flags from this TOML file; those given here, or as variables, come first
    #[arg(long, value_name = "FILE.toml", help_heading = "Output")]
    #[serde(skip)]
    pub(super) config: Option<PathBuf>,
    /// Print the flags that would be used as such a file, each with where it comes from, and do nothing else
    #[arg(long, help_heading = "Output")]
    #[serde(skip)]
    pub(super) print_config: bool,
    /// Print help
    #[arg(short, long, action = ArgAction::Help, help_heading = "Output")]
    #[serde(skip)]
    pub(super) help: Option<bool>,
}

/// The names of the flags that are keys of a file, in the order of `--help`.
pub(super) fn names() -> Vec<String> {
    let command = TrainFlags::augment_args(Command::new("train"));
    let names = command.get_arguments().map(|flag| flag.get_id().as_str().replace('_', "-"));
    names.filter(|name| !NO_KEYS.contains(&name.as_str())).collect()
}

/// Flags that ask for something else than a run, or for another file.
const NO_KEYS: [&str; 3] = ["config", "print-config", "help"];

/// Reads the name of an optimizer; the error for some others explains how they relate to the conventions.
fn optimizer(name: &str) -> Result<OptimizerKind, String> {
    let parsed: Result<OptimizerKind, _> = name.parse();
    parsed.map_err(|error| match foreign(name) {
        Some(text) => format!("{error} (of {name}: {text})"),
        None => error.to_string(),
    })
}

/// Returns the facts about sum and mean for optimizers that Phalanx does not have, by their usual name.
fn foreign(optimizer: &str) -> Option<&'static str> {
    match optimizer {
        "adadelta" => Some(
            "there is no exact translation between sum and mean with its one eps, which stands beside squares of gradients \
             and beside squares of updates, and would have to grow in one place alone",
        ),
        "lion" | "sign-sgd" | "signsgd" => Some(
            "between sum and mean nothing changes for it, since it takes the signs of gradients; only an L2 that is added \
             to the gradient grows with it",
        ),
        _ => None,
    }
}
