//! Hyper-parameters carried from one convention to another, with what is exact about it and what is not.
//!
//! A **convention** says what the gradient of a step is and how the L2 penalty is written ([`Convention`]). **Settings** are
//! a [`Recipe`](super::Recipe) as said in a convention, with the batch it was found with ([`Settings`]). A **translation**
//! is the same trajectory in another convention: the new numbers, each with what it was multiplied by ([`Change`]), and
//! under which conditions they are exact ([`Remark`]); or a refusal with its reason ([`ConventionError`]).
//!
//! With c the gradient of the new convention over that of the old, on a batch of m samples:
//!
//! | | is multiplied by |
//! |---|---|
//! | rate and decoupled decay of sgd | 1/c, c |
//! | rate, β, trust coefficient, decoupled decay of every other rule | 1 |
//! | λ added to the gradient, clipping bound, ε | c |
//! | ε inside of the root, adagrad's initial accumulator | c² |
//!
//! and L2 is written as ([`Convention::write_l2`]): λ itself; α = mλ_μ of scikit-learn's perceptrons; Λ = Nλ_Σ/m of an
//! objective Σℓ + (Λ/2)‖w‖² over N samples; C = 1/Λ of C·Σℓ + ½‖w‖².
//!
//! Sum and mean differ by more than a constant in one place: a short last batch, in which a sample weighs m/r under the mean
//! and 1 under the sum. Shard means of uneven shards are no multiple of the mean at all, and are refused.
//!
//! # Examples
//! ```
//! use phalanx::optim::convention::{Convention, Settings, Target};
//! use phalanx::optim::{OptimizerOptions, Recipe};
//!
//! let options = OptimizerOptions { momentum: Some(0.9), l2: 0.5, ..OptimizerOptions::default() };
//! let recipe = Recipe { options, rate: 0.25, max_norm: None };
//! let mean = Settings { data_size: Some(640), ..Settings::new(Convention::Mean, recipe, 64) };
//! let sum = mean.translated(&Target::of(Convention::Sum))?;
//! assert_eq!((sum.settings.recipe.rate, sum.settings.recipe.options.l2), (0.25 / 64.0, 32.0));
//! assert!(sum.same_bits());
//! let back = sum.settings.translated(&Target::of(Convention::Mean))?.settings.recipe;
//! assert_eq!((back.rate, back.options.l2), (0.25, 0.5));
//! # Ok::<(), phalanx::optim::convention::ConventionError>(())
//! ```

mod agreement;
mod batch_rule;
mod change;
mod error;
mod kind;
mod remark;
mod settings;
mod translation;

pub use batch_rule::BatchRule;
pub use change::{Change, Exactness};
pub use error::ConventionError;
pub use kind::{Convention, foreign};
pub use remark::Remark;
pub use settings::{Settings, Target};
pub use translation::Translation;
