//! Optimizers, learning rates and the conventions in which hyper-parameters are written.
//!
//! Everything here works on flat `[f32]`, without shapes or threads; a step allocates nothing,
//! except in [`Optimizer::update`] with lars and lamb.
//!
//! Terms used in this module:
//!
//! - **params**, **grads**: all parameters of a model in one flat array, and their gradients. A
//!   *tensor* is a contiguous range of params whose norm LARS and LAMB need.
//! - **block**: a fixed piece of a tensor of at most 1024 params. Blocks depend only on the
//!   tensors. A **segment** is a contiguous range of whole blocks, owned by one rank, which has one
//!   [`Optimizer`] for it.
//! - **direction** `u`: the result of a rule for a gradient; params move by −rate·`u`.
//! - **rate**: the learning rate η of a step, from a schedule ([`ScheduleOptions`]), in `f64`, cast
//!   to `f32` once per step.
//! - **reduction**: the rule by which per-sample gradients become the gradient of a step
//!   ([`Reduction`]). Gradients under a *sum* are larger than under a *mean* by the batch size, and
//!   rates, penalties and ε change accordingly.
//! - **l2** (λ, coupled): added to the gradient, g + λw. **weight decay** (decoupled): old params
//!   scaled by 1 − ηλ.
//!
//! # Bit-identical results for any segmentation
//!
//! Every rule is elementwise except for norms. A norm is the square root of a sum over blocks, in
//! index order, of each block's sum of squares, which one rank computes in one fixed order. So
//! params and state have the same bits regardless of how the blocks are distributed over ranks.
//! Optimizers never fuse a product with a sum, so their results do not depend on the instruction
//! set; those of the model's kernels do.
//!
//! # Exact translation between sum and mean
//!
//! Every formula is written such that scaling all gradients by a power of two, with the options
//! scaled as their convention requires, gives the same bits of params (as long as nothing
//! underflows or overflows): there is no hidden ε and no additional bound.
//! `tests/train/translations.rs` lists every such case.
//!
//! | file | contents |
//! |---|---|
//! | `options` | optimizer kinds, their options, the table of defaults and ranges; checked options |
//! | `optimizer`, `rules`, `state` | a segment's optimizer and its two phases; the arithmetic; its buffers |
//! | `blocks` | blocks and their sums of squares; clipping by the global norm |
//! | `reduction` | the gradient of a step |
//! | `schedule` | learning-rate schedules, warm-up, and rates for other batch sizes |
//! | `framework` | the meaning of hyper-parameters in other frameworks |
//! | [`convention`] | translation of settings between conventions, with the exactness of each number |
//! | `reference` | a slow `f64` version of every rule, as the definition that tests compare with |

pub(crate) mod blocks;
pub mod convention;
mod error;
mod framework;
pub(crate) mod optimizer;
pub(crate) mod options;
pub(crate) mod reduction;
#[doc(hidden)]
pub mod reference;
mod rules;
pub(crate) mod schedule;
mod state;

pub(crate) use blocks::{Blocks, clip_factor, scale_grads, sum_of_squares};
pub use error::OptimError;
pub use framework::Framework;
pub use optimizer::Optimizer;
pub(crate) use optimizer::Update;
pub(crate) use options::Hyper;
pub use options::{EpsForm, L2Form, MomentumForm, OptimizerKind, OptimizerOptions};
pub use reduction::Reduction;
pub(crate) use reduction::divide_grads;
pub(crate) use schedule::{BatchCut, Schedule};
pub use schedule::{ScaleRate, ScheduleKind, ScheduleOptions, WarmupForm};

#[cfg(test)]
mod tests {
    use super::convention::{BatchRule, Convention};
    use super::{
        EpsForm, Framework, L2Form, MomentumForm, OptimError, OptimizerKind, Reduction, ScaleRate,
        ScheduleKind, WarmupForm,
    };
    use serde::{Serialize, de::DeserializeOwned};
    use std::{
        fmt::{Debug, Display},
        str::FromStr,
    };

    fn has_one_name<T>(all: &[T])
    where
        T: Copy + Debug + PartialEq + Display + FromStr<Err = OptimError> + Serialize + DeserializeOwned,
    {
        for &choice in all {
            assert_eq!(choice.to_string().parse::<T>().unwrap(), choice);
            assert_eq!(serde_json::to_string(&choice).unwrap(), format!("\"{choice}\""));
            assert_eq!(serde_json::from_str::<T>(&format!("\"{choice}\"")).unwrap(), choice);
        }
    }

    #[test]
    fn every_choice_has_the_same_name_in_text_and_in_files() {
        has_one_name(OptimizerKind::ALL);
        has_one_name(MomentumForm::ALL);
        has_one_name(EpsForm::ALL);
        has_one_name(Framework::ALL);
        has_one_name(L2Form::ALL);
        has_one_name(Reduction::ALL);
        has_one_name(ScheduleKind::ALL);
        has_one_name(WarmupForm::ALL);
        has_one_name(ScaleRate::ALL);
        has_one_name(Convention::ALL);
        has_one_name(BatchRule::ALL);
    }

    #[test]
    fn the_error_for_an_unknown_name_lists_the_known_names() {
        let error = "mean-of-means".parse::<Reduction>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown reduction \"mean-of-means\"; choose one of mean, sum, mean-of-shard-means, sum-of-shard-means, \
             mean-of-shard-sums"
        );
    }
}
