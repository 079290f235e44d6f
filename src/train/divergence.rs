//! What made a step diverge.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Plan;
use super::shards::part;
use super::step::{gathered_for, samples_of};
use crate::data::{Dataset, sample_order};
use crate::model::Model;
use crate::simd::vectorized;

/// What to do with a step whose loss or gradient is no finite number.
///
/// # Examples
///
/// A model whose loss overflows on one of the samples:
///
/// ```
/// use ndarray::array;
/// use phalanx::data::{Dataset, Targets};
/// use phalanx::model::{Samples, from_fn};
/// use phalanx::train::{Blame, OnDivergence, Options, StopReason, Trainer};
///
/// let data = Dataset::from_arrays(array![[1.0], [2.0], [1e30], [6.0]], Targets::None, None)?;
/// let mean = from_fn(vec![0.0], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
///     grads[0] = samples.inputs.iter().map(|x| 2.0 * (params[0] - x)).sum();
///     samples.inputs.iter().map(|x| f64::from((params[0] - x).powi(2))).sum()
/// });
/// let options = Options { batch_size: 1, ..Options::default() };
/// let stopped = Trainer::new(&mean, &data, options.clone()).run()?;
/// assert_eq!(stopped.reason, StopReason::Diverged);
/// assert_eq!(stopped.divergence.unwrap().blame, Blame::Loss { shard: 0 });
///
/// let skipping = Options { on_divergence: OnDivergence::Skip, ..options };
/// let outcome = Trainer::new(&mean, &data, skipping).run()?;
/// assert_eq!((outcome.reason, outcome.position.skipped), (StopReason::Completed, 10));
/// assert!((1.0..6.0).contains(&outcome.params[0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDivergence {
    /// The run ends, with the params before the step.
    #[default]
    Stop,
    /// The step changes nothing, and the run goes on with the next; its loss does not count. The run ends all the same if no step of a
    /// whole epoch is left, or if an update has made params infinite, as the optimizer's state has changed then.
    Skip,
}

/// Which step diverged, and what of it.
///
/// # Examples
///
/// ```
/// use phalanx::train::{Blame, Divergence};
///
/// let divergence = Divergence { step: 17, blame: Blame::Loss { shard: 3 } };
/// assert_eq!(divergence.to_string(), "step 17: the loss of shard 3 is no finite number");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The step, counted from 1.
    pub step: u64,
    /// What of it.
    pub blame: Blame,
}

/// The first that was no finite number: shards in their order, their loss before their gradient, tensors in the order of the params.
/// Shards are those of the step, counted from 0, whichever rank had them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The loss of a shard.
    Loss {
        /// The shard.
        shard: usize,
    },
    /// The gradient of a tensor, in a shard.
    Gradient {
        /// The tensor.
        tensor: String,
        /// The shard.
        shard: usize,
    },
    /// The gradient of the whole step, though that of each shard is finite.
    Sum,
    /// A tensor of the params after the update, though the gradient was finite. The params before it are kept.
    Update {
        /// The tensor.
        tensor: String,
    },
}

impl OnDivergence {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Stop, Self::Skip];

    /// The name, as in flags and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Skip => "skip",
        }
    }
}

impl fmt::Display for OnDivergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for OnDivergence {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|choice| choice.name() == text);
        named.ok_or_else(|| format!("unknown choice '{text}'; choose stop or skip"))
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}: ", self.step)?;
        match &self.blame {
            Blame::Loss { shard } => write!(f, "the loss of shard {shard} is no finite number"),
            Blame::Gradient { tensor, shard } => {
                write!(f, "the gradient of {tensor} is no finite number in shard {shard}")
            }
            Blame::Sum => f.write_str("the gradient is no finite number, though that of each shard is"),
            Blame::Update { tensor } => write!(f, "its update made {tensor} infinite, or no number"),
        }
    }
}

/// Whether no value is NaN or infinite: what all ranks look for in the params after each update.
///
/// # Cost
///
/// A few instructions for 16 values, without an early end. Of a step of 128 samples or more it takes 0.3 to 0.7 %, of one of 32 samples
/// with 102,000 params 2.4 % (a Xeon with AVX-512, 135 GB/s out of the first cache; `cargo bench --bench divergence`).
///
/// # Examples
///
/// ```
/// use phalanx::train::all_finite;
///
/// assert!(all_finite(&[0.0, -1.0, f32::MAX]));
/// assert!(!all_finite(&[0.0, f32::NEG_INFINITY]) && !all_finite(&[f32::NAN]));
/// ```
pub fn all_finite(values: &[f32]) -> bool {
    let magnitude = |value: &f32| (value.to_bits() & 0x7fff_ffff) as i32;
    let largest = vectorized(
        #[inline(always)]
        || values.iter().fold(0, |largest, value| largest.max(magnitude(value))),
    );
    largest < f32::INFINITY.to_bits() as i32
}

/// Finds the first shard of a batch whose loss or gradient is no finite number, by computing them again one by one.
pub(super) fn blame<M: Model>(
    (plan, model, data): (&Plan, &M, &Dataset),
    params: &[f32],
    epoch: u64,
    batch: Range<usize>,
) -> Blame {
    let mut order: Vec<u32> = (0..data.len() as u32).collect();
    if plan.shuffle() {
        sample_order(plan.seed(), epoch, &mut order);
    }
    let (samples, shards) = (&order[batch.clone()], plan.shards_of(batch.len()));
    let mut gathered = gathered_for(data, plan.max_shard_samples());
    let mut workspace = model.workspace(plan.max_shard_samples());
    let mut grads = vec![0.0; params.len()];
    for shard in 0..shards {
        data.gather(&samples[part(samples.len(), shards, shard)], &mut gathered);
        gathered.clear_weightless();
        let samples = samples_of(&gathered);
        if samples.total_weight() == 0.0 {
            continue;
        }
        grads.fill(0.0);
        let loss = model.gradient(params, &samples, &mut grads, &mut workspace);
        if !loss.is_finite() {
            return Blame::Loss { shard };
        }
        if let Some(tensor) = broken_tensor(model, &grads) {
            return Blame::Gradient { tensor, shard };
        }
    }
    Blame::Sum
}

/// The first tensor of which a value is no finite number.
pub(super) fn broken_tensor<M: Model>(model: &M, values: &[f32]) -> Option<String> {
    let first = || values.iter().position(|value| !value.is_finite()).expect("one of them is not finite");
    (!all_finite(values)).then(|| tensor_of(model, first()))
}

/// The tensor that a param belongs to.
pub(super) fn tensor_of<M: Model>(model: &M, param: usize) -> String {
    let mut end = 0;
    let tensor = model.tensors().into_iter().find(|tensor| {
        end += tensor.len();
        param < end
    });
    tensor.expect("a param belongs to a tensor").name
}
