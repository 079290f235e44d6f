//! The conventions of a run, in words.

use serde::{Deserialize, Serialize};

use crate::optim::{L2Form, MomentumForm, OptimizerOptions, Reduction};
use crate::train::Plan;

/// The facts of a run without which its numbers cannot be used elsewhere, each as a text that a
/// paper can print.
///
/// η is the rate, g the gradient of a step, w a param, v the momentum buffer.
///
/// # Examples
///
/// ```
/// use phalanx::data::{LoadOptions, Source};
/// use phalanx::log::Conventions;
/// use phalanx::model::{Activation, Loss, Mlp, MlpShape};
/// use phalanx::train::{Options, Plan};
///
/// let digits: Source = "digits".parse()?;
/// let data = digits.load(&LoadOptions::default())?;
/// let (hidden, activation, loss) = (vec![16], Activation::Relu, Loss::CrossEntropy);
/// let model = Mlp::new(MlpShape { inputs: 64, hidden, outputs: 10, activation, loss });
/// let options = Options { batch_size: 100, rate: Some(0.5), ..Options::default() };
/// let conventions = Conventions::new(&Plan::new(&options, &model, &data.train, None)?);
/// assert_eq!(conventions.loss_reduction, "mean over the samples of a batch");
/// assert_eq!((conventions.rate_under_mean, conventions.rate_under_sum), (0.5, 0.005));
/// assert!(conventions.last_batch.starts_with("short, with 37 of 100 samples"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conventions {
    /// The reduction of the losses of the samples.
    pub loss_reduction: String,
    /// The operation that reduces the gradients of the shards.
    pub all_reduce: String,
    /// L2 penalty and weight decay: form, value, and the params that it applies to.
    pub l2: String,
    /// The form of momentum.
    pub momentum: String,
    /// The point of clipping, and its norm.
    pub clipping: String,
    /// The treatment of a short last batch.
    pub last_batch: String,
    /// The rate that makes the same updates under [`Reduction::Mean`], before the schedule, for
    /// weights of samples that are 1 on average.
    pub rate_under_mean: f64,
    /// The rate that makes the same updates under [`Reduction::Sum`].
    pub rate_under_sum: f64,
}

impl Conventions {
    /// Describes the conventions of a plan.
    pub fn new(plan: &Plan) -> Self {
        let (batch, shards, rate) = (plan.max_batch_samples(), plan.shards(), plan.rate());
        let (reduction, options) = (plan.reduction(), plan.optimizer());
        let samples = if plan.is_weighted() { "weighted samples" } else { "samples" };
        let divisor = if plan.is_weighted() { "the weight" } else { "the number" };
        let of_batch = format!("over the {samples} of a batch");
        let of_shard = format!("over the {samples} of each of {shards} shards");
        let (loss_reduction, all_reduce) = match reduction {
            Reduction::Mean => (
                format!("mean {of_batch}"),
                format!("sum over all shards ({shards}), divided by {divisor} of all samples in the batch"),
            ),
            Reduction::Sum => (format!("sum {of_batch}"), format!("sum over all shards ({shards})")),
            Reduction::MeanOfShardMeans => (format!("mean {of_shard}"), "mean over the shards".to_owned()),
            Reduction::SumOfShardMeans => (format!("mean {of_shard}"), "sum over the shards".to_owned()),
            Reduction::MeanOfShardSums => (format!("sum {of_shard}"), "mean over the shards".to_owned()),
        };
        let (rate_under_mean, rate_under_sum) = if options.kind.is_scale_free() {
            (rate, rate)
        } else {
            (reduction.rate_under_mean(rate, batch, shards), reduction.rate_under_sum(rate, batch, shards))
        };
        Self {
            loss_reduction,
            all_reduce,
            l2: l2(&options),
            momentum: momentum(&options),
            clipping: match plan.clip_grad_norm() {
                None => "none".to_owned(),
                Some(norm) => {
                    format!("to a global norm of {norm:?}, after the all-reduce, before L2 and momentum")
                }
            },
            last_batch: last_batch(plan),
            rate_under_mean,
            rate_under_sum,
        }
    }
}

fn l2(options: &OptimizerOptions) -> String {
    let coupled = match options.l2_form {
        L2Form::Gradient => "λw is added to the gradient after the all-reduce",
        L2Form::BatchSum => "λw is added to the sum over the batch, before its division",
        L2Form::DataSum => "(λ/N)w for N training samples is added to the gradient after the all-reduce",
    };
    let decoupled = "decoupled weight decay w ← w − ηλw";
    let terms: Vec<String> = [(coupled, options.l2), (decoupled, options.weight_decay)]
        .into_iter()
        .filter(|(_, value)| *value != 0.0)
        .map(|(form, value)| format!("{form}, λ = {value:?}"))
        .collect();
    match (terms.is_empty(), options.no_bias_decay) {
        (true, _) => "none".to_owned(),
        (false, true) => terms.join("; ") + "; not on biases",
        (false, false) => terms.join("; ") + "; on all params, biases too",
    }
}

fn momentum(options: &OptimizerOptions) -> String {
    let kind = options.kind;
    let form = match (options.momentum_form, options.momentum, options.beta1) {
        (Some(MomentumForm::Pytorch), ..) => "v ← μv + g, w ← w − ηv",
        (Some(MomentumForm::Caffe), ..) => "v ← μv + ηg, w ← w − v",
        (None, Some(momentum), _) if momentum > 0.0 => "v ← μv + the step of rmsprop, w ← w − ηv",
        (None, _, Some(beta1)) => return format!("none other than β₁ = {beta1:?} of {kind}"),
        _ => return "none".to_owned(),
    };
    let nesterov = if options.nesterov { ", Nesterov" } else { "" };
    format!("{form}, μ = {:?}{nesterov}", options.momentum.unwrap_or(0.0))
}

fn last_batch(plan: &Plan) -> String {
    let (full, rest) = (plan.max_batch_samples(), plan.train_samples() % plan.batch_size());
    if rest == 0 || rest == full {
        return format!("as long as the others, {full} samples");
    }
    if plan.total_steps() < plan.steps_per_epoch() {
        return format!("not reached; all batches have {full} samples");
    }
    if plan.short_batch().is_none() {
        return format!("dropped, {rest} of {full} samples");
    }
    let weight = |samples| plan.reduction().per_mean(samples, plan.shards_of(samples)) / samples as f64;
    let times = weight(rest) / weight(full);
    let weights = if (times - 1.0).abs() < 1e-9 {
        "as much as".to_owned()
    } else {
        format!("{times:.3} times as much as")
    };
    format!("short, with {rest} of {full} samples, each of which weighs {weights} one of a full batch")
}
