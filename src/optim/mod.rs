//! Optimizers, learning rates and the conventions they are said in.
//!
//! Everything here works on flat `[f32]` and knows neither shapes nor threads; nothing allocates in a step.
//!
//! The words of this room:
//!
//! - **params**, **grads**: all parameters of a model one after the other, and their gradients. A *tensor* is a run of
//!   params whose norm LARS and LAMB ask for.
//! - **block**: a fixed piece of a tensor of at most [`BLOCK_LEN`] params ([`Blocks`]). Blocks depend on the tensors
//!   alone. A **segment** is a run of whole blocks, owned by one rank, which has one [`Optimizer`] for it.
//! - **direction** `u`: what a rule makes of a gradient; params move by −rate·`u`.
//! - **rate**: the learning rate η of a step, from a [`Schedule`], in `f64`, cast to `f32` once per step.
//! - **reduction**: how per-sample gradients become the gradient of a step ([`Reduction`]). Under a *sum* gradients are
//!   larger than under a *mean* by the batch size, and rates, penalties and ε change with them.
//! - **l2** (λ, coupled): added to the gradient, g + λw. **weight decay** (decoupled): old params scaled by 1 − ηλ.
//!
//! # The same bits for any cut
//!
//! Every rule is elementwise, save for norms. A norm is the root of a sum over blocks, in index order, of each block's
//! [`sum_of_squares`], which one rank computes in one fixed order. So params and state have the same bits however the
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
//! | `kind`, `options`, `hyper` | which rule; unchecked options; checked options |
//! | `optimizer`, `phases`, `state` | a segment's optimizer; its two phases; its buffers |
//! | `sgd`, `adagrad`, `rmsprop`, `adam`, `lars`, `lamb`, `apply` | the arithmetic |
//! | `blocks`, `clip`, `spared` | blocks and their sums of squares; clipping by the global norm; biases without penalty |
//! | `reduction`, `recipe` | gradients of a step; settings that follow their scale |
//! | [`convention`] | settings carried from one convention to another, with what is exact about it |
//! | `framework` | what other frameworks mean by their hyper-parameters |
//! | `scale`, `schedule`, `warmup` | rates for other batch sizes; rates over steps; the first of them |
//! | `reference` | every rule written slowly in `f64`, as the definition that tests compare with |

mod adagrad;
mod adam;
mod apply;
mod blocks;
mod clip;
pub mod convention;
mod error;
mod framework;
mod hyper;
mod kind;
mod lamb;
mod lars;
mod name;
mod optimizer;
mod options;
mod phases;
mod recipe;
mod reduction;
pub mod reference;
mod rmsprop;
mod scale;
mod schedule;
mod sgd;
mod spared;
mod state;
mod warmup;

pub use blocks::{BLOCK_LEN, Blocks};
pub use clip::{clip_factor, norm_of_squares, scale_grads, sum_of_squares};
pub use error::OptimError;
pub use framework::Framework;
pub use hyper::Hyper;
pub use kind::{EpsForm, L2Form, MomentumForm, OptimizerKind};
pub use optimizer::{Optimizer, Update};
pub use options::OptimizerOptions;
pub use recipe::Recipe;
pub use reduction::{Reduction, divide_grads};
pub use scale::{BatchCut, ScaleRate};
pub use schedule::{Schedule, ScheduleKind, ScheduleOptions};
pub use warmup::WarmupForm;
