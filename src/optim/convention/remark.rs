//! Conditions under which a translation is exact.

use super::BatchRule;
use serde::Serialize;
use std::fmt;

/// What to know about a translation beside its numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "about")]
pub enum Remark {
    /// It is exact for batches of one size, and the size of the data is not known.
    ConstantBatch {
        /// That size, in samples.
        batch_size: usize,
    },
    /// The last batch of an epoch is short, and c is another one there.
    ShortBatch {
        /// Its samples, r.
        samples: usize,
        /// Those of a full batch, m.
        batch_size: usize,
        /// c(r)/c(m): how much its gradient weighs, compared with what it weighed before.
        times: f64,
    },
    /// The last batch of an epoch is short, and its shards are uneven: there is no c.
    UnevenShortBatch {
        /// Its samples.
        samples: usize,
        /// Its shards.
        shards: usize,
    },
    /// The penalty of a short last batch weighs otherwise than before, compared with its gradient.
    ShortBatchPenalty {
        /// Its samples.
        samples: usize,
        /// How much.
        times: f64,
    },
    /// A switch during a run asks for more: a buffer that follows the scale of gradients.
    State {
        /// The buffer.
        name: &'static str,
        /// What to multiply it by.
        times: f64,
    },
    /// Caffe's momentum has the rate inside: v of the one form is η times that of the other.
    FormState {
        /// What to multiply v by on a switch during a run.
        times: f64,
    },
    /// Lars treats a tensor whose params or gradients are all 0 as sgd does.
    LarsZeroNorm,
    /// PyTorch's clipping adds a constant to the norm, which ought to be translated too.
    ClipEps {
        /// What 1e-6 becomes.
        eps: f64,
    },
    /// A rule for other batch sizes is none for the same trajectory.
    Approximation {
        /// The rule.
        rule: BatchRule,
        /// New batch size over old.
        growth: f64,
    },
    /// A C is about the minimum, and says nothing of a rate.
    RateOfC,
    /// The loss, on both sides, is that of standardized targets.
    StandardizedTargets,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConstantBatch { batch_size } => write!(
                f,
                "exact if every batch has {batch_size} samples: give --data-size to hear about the last batch of an epoch, \
                 or train with --drop-last"
            ),
            Self::ShortBatch { samples, batch_size, times } => write!(
                f,
                "not exact in the last batch of an epoch, of {samples} samples instead of {batch_size}: its update is {} \
                 times what it was; leave it out with --drop-last on both sides, or choose a batch size that divides \
                 the data",
                short(*times)
            ),
            Self::UnevenShortBatch { samples, shards } => write!(
                f,
                "not exact in the last batch of an epoch, whose {samples} samples make {shards} uneven shards; leave it \
                 out with --drop-last on both sides"
            ),
            Self::ShortBatchPenalty { samples, times } => write!(
                f,
                "in the last batch of an epoch, of {samples} samples, L2 weighs {} times what it did beside the gradient",
                short(*times)
            ),
            Self::State { name, times } => write!(
                f,
                "when switching during a run, multiply {name} by {times:?} (Optimizer::rescale_state); a new run needs nothing"
            ),
            Self::FormState { times } => write!(
                f,
                "when switching during a run, multiply momentum_buffer by {times:?}, and keep the rate constant; with a \
                 changing rate the two forms are not the same"
            ),
            Self::LarsZeroNorm => f.write_str(
                "exact as long as no tensor has a norm of 0 (in the params of --init, and later): lars updates such a tensor as \
                 sgd would, at the rate of neither convention",
            ),
            Self::ClipEps { eps } => write!(
                f,
                "there is no constant in the clipping here; PyTorch's clip_grad_norm_ adds 1e-6 to the norm, which is {eps:?} \
                 in the new convention"
            ),
            Self::Approximation { rule, growth } => write!(
                f,
                "the {rule} rule is an approximation: batches {} times as large take other steps, so this is another \
                 trajectory; L2, weight decay, momentum and clipping are left as they are under the mean{}",
                short(*growth),
                if *rule == BatchRule::Linear { ", and a warm-up is part of the rule (Goyal et al. 2017)" } else { "" }
            ),
            Self::RateOfC => f.write_str(
                "C Σ loss + ½‖w‖² is divided by C, which does not move its minimum: the rate is one for Σ loss + ‖w‖²/(2C), \
                 and a rate for the former is 1/C of it",
            ),
            Self::StandardizedTargets => f.write_str(
                "the loss, if it is mse, is that of standardized targets on both sides; rates and penalties found with targets as they are need \
                 --standardize-targets=false",
            ),
        }
    }
}

/// Four digits that count.
fn short(value: f64) -> f64 {
    format!("{value:.3e}").parse().expect("a number was written")
}
