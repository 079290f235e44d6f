//! Why there is no translation.

use super::super::{MomentumForm, OptimError, OptimizerKind, Reduction};
use super::{BatchRule, Convention};

/// What has no exact translation, or was not said well enough to have one.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConventionError {
    /// Shards of different sizes, between a reduction that divides each shard and one that does not.
    #[error(
        "{from} and {to} are no multiples of each other on batches of {batch_size} samples in {shards} shards: of {most} \
         and of {least} samples, which weigh differently in a mean of their own; choose a number of shards that divides \
         the batch, or train with --reduction {from}"
    )]
    UnevenShards {
        /// The reduction of the old convention.
        from: Reduction,
        /// That of the new one.
        to: Reduction,
        /// Samples of a batch.
        batch_size: usize,
        /// Its shards.
        shards: usize,
        /// Samples of the smallest shard.
        least: usize,
        /// Samples of the largest shard.
        most: usize,
    },
    /// Caffe's momentum keeps the rate of its step with each gradient, PyTorch's does not.
    #[error(
        "momentum of the {from} form is that of the {to} form at a constant rate only: once the rate changes, old gradients \
         keep their own rate in caffe's and take the new one in pytorch's; keep --momentum-form {from}, or correct v by \
         the quotient of the rates at each change (Goyal et al. 2017, remark 2)"
    )]
    ChangingRate {
        /// The old form.
        from: MomentumForm,
        /// The new one.
        to: MomentumForm,
    },
    /// Lars updates a tensor of norm 0 as sgd does, and there is one.
    #[error(
        "lars has no exact translation while a tensor is all 0, as biases are at the start: it then takes sgd's step, which \
         follows the scale of the gradients, and all others do not; start from params without such a tensor (--init), or \
         choose lamb"
    )]
    ZeroNorm,
    /// Another form of momentum is asked for, and there is none.
    #[error("there is no momentum whose form could change; set a momentum above 0 with sgd or lars")]
    NoMomentum,
    /// A rule for other batch sizes that is not for this optimizer.
    #[error(
        "the {rule} rule is derived for adam, adamw and rmsprop, and {kind} is neither; choose linear or sqrt"
    )]
    NotAdam {
        /// The rule.
        rule: BatchRule,
        /// The optimizer.
        kind: OptimizerKind,
    },
    /// Adam's rule leaves the range of a β.
    #[error(
        "{option} of {old:?} becomes {new:.4} on batches {growth:.4} times as large, which is no decay; the adam rule ends at \
         {limit:.1} times the batch, so choose a batch size below that"
    )]
    BetaOutOfRange {
        /// The β, as an option.
        option: &'static str,
        /// Its value.
        old: f64,
        /// What the rule makes of it.
        new: f64,
        /// New batch size over old.
        growth: f64,
        /// The growth at which it is 0.
        limit: f64,
    },
    /// A larger or smaller batch makes another trajectory, so that a rule has to be chosen.
    #[error(
        "another batch size has no exact translation; choose the approximation: --rule linear, sqrt or adam"
    )]
    NeedsRule,
    /// A rule for another batch size, and the batch stays.
    #[error("the {rule} rule does nothing at the same batch size; give --to-batch-size, or drop --rule")]
    UnusedRule {
        /// The rule.
        rule: BatchRule,
    },
    /// L2 is written for the whole data, whose size is not known.
    #[error(
        "the convention {convention} writes L2 for all samples of the data; say how many with --data-size"
    )]
    NeedsDataSize {
        /// The convention.
        convention: Convention,
    },
    /// No penalty at all cannot be said as a C.
    #[error("without an L2 penalty C is infinite; set --l2 above 0, or choose the convention objective-sum")]
    NoPenalty,
    /// A C of 0 leaves nothing of the losses.
    #[error("a C of 0 leaves nothing of the losses to learn from; set --l2, which is C here, above 0")]
    ZeroC,
    /// A count of 0.
    #[error("{what} is 0; give at least 1")]
    Zero {
        /// What is counted.
        what: &'static str,
    },
    /// Fewer samples than a batch has.
    #[error(
        "a batch of {batch_size} samples cannot be filled from data of {data_size}; say the batch size that is meant"
    )]
    SmallData {
        /// Samples of a batch.
        batch_size: usize,
        /// Samples of the data.
        data_size: usize,
    },
    /// The optimizer's own options are wrong, before or after.
    #[error(transparent)]
    Optim(#[from] OptimError),
}

impl ConventionError {
    /// Whether the question is at fault, rather than that there is no answer.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        use ConventionError::{
            NeedsDataSize, NeedsRule, NoMomentum, Optim, SmallData, UnusedRule, Zero, ZeroC,
        };
        matches!(
            self,
            NeedsDataSize { .. }
                | NeedsRule
                | UnusedRule { .. }
                | NoMomentum
                | SmallData { .. }
                | Zero { .. }
                | ZeroC
                | Optim(_)
        )
    }
}
