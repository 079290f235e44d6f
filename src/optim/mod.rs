//! Optimizers, learning rates and the conventions they are written in.
//!
//! Everything here works on flat `[f32]` and knows neither shapes nor threads; nothing allocates in a step.
//!
//! The words of this module:
//!
//! - **params**, **grads**: all parameters of a model one after the other, and their gradients. A *tensor* is a run of
//!   params whose norm LARS and LAMB need.
//! - **block**: a fixed piece of a tensor of at most 1024 params. Blocks depend on the tensors
//!   alone. A **segment** is a run of whole blocks, owned by one rank, which has one [`Optimizer`] for it.
//! - **direction** `u`: the result of a rule for a gradient; params move by −rate·`u`.
//! - **rate**: the learning rate η of a step, from a schedule ([`ScheduleOptions`]), in `f64`, cast to `f32` once per step.
//! - **reduction**: how per-sample gradients become the gradient of a step ([`Reduction`]). Under a *sum* gradients are
//!   larger than under a *mean* by the batch size, and rates, penalties and ε change with them.
//! - **l2** (λ, coupled): added to the gradient, g + λw. **weight decay** (decoupled): old params scaled by 1 − ηλ.
//!
//! # The same bits for any cut
//!
//! Every rule is elementwise, save for norms. A norm is the root of a sum over blocks, in index order, of each block's
//! sum of squares, which one rank computes in one fixed order. So params and state have the same bits however the
//! blocks are dealt to ranks. No product is fused with a sum, so that the instruction set does not matter either.
//!
//! # Sum and mean are exactly translatable
//!
//! Every formula is written such that scaling all gradients by a power of two, with the options scaled as their
//! convention asks, gives the same bits of params (as long as nothing underflows or overflows): no hidden ε, no bound
//! of our own. `tests/train/translations.rs` lists every such row.
//!
//! | file | holds |
//! |---|---|
//! | `options` | the choices, the options and the table of their defaults and ranges; checked options |
//! | `optimizer`, `rules`, `state` | a segment's optimizer and its two phases; the arithmetic; its buffers |
//! | `blocks` | blocks and their sums of squares; clipping by the global norm |
//! | `reduction` | the gradient of a step |
//! | `schedule` | rates over steps, the first of them, and rates for other batch sizes |
//! | `framework` | the meaning of hyper-parameters in other frameworks |
//! | [`convention`] | settings carried from one convention to another, with what is exact about it |
//! | `reference` | every rule written slowly in `f64`, as the definition that tests compare with |

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
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = "mean-of-means".parse::<Reduction>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown reduction \"mean-of-means\"; choose one of mean, sum, mean-of-shard-means, sum-of-shard-means, \
             mean-of-shard-sums"
        );
    }
}
