//! Settings for another batch size: approximations, said for the mean of gradients.

use super::super::{EpsForm, OptimizerKind, OptimizerOptions, Recipe, name::names};
use super::ConventionError;
use serde::{Deserialize, Serialize};

/// How settings found with one batch size are carried over to another, κ = m′/m. None gives the same trajectory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchRule {
    /// η → κη: Goyal et al. 2017 (arXiv:1706.02677), to be used with a warm-up.
    Linear,
    /// η → √κ η: Krizhevsky 2014 (arXiv:1404.5997), Hoffer et al. 2017 (arXiv:1705.08741).
    Sqrt,
    /// η → √κ η, β → 1 − κ(1 − β), ε → ε/√κ: Malladi et al. 2022 (arXiv:2205.10287), for adam, adamw and rmsprop.
    Adam,
}

names!(BatchRule, "batch rule", [
    Linear => "linear",
    Sqrt => "sqrt",
    Adam => "adam",
]);

impl BatchRule {
    /// A recipe of the mean for batches `growth` times as large.
    pub(super) fn applied(self, recipe: &Recipe, growth: f64) -> Result<Recipe, ConventionError> {
        Ok(match self {
            Self::Linear => Recipe { rate: recipe.rate * growth, ..*recipe },
            Self::Sqrt => Recipe { rate: recipe.rate * growth.sqrt(), ..*recipe },
            Self::Adam => Recipe {
                rate: recipe.rate * growth.sqrt(),
                options: adam(&recipe.options.check()?.options(), growth)?,
                ..*recipe
            },
        })
    }
}

fn adam(options: &OptimizerOptions, growth: f64) -> Result<OptimizerOptions, ConventionError> {
    use OptimizerKind::{Adam, Adamw, Rmsprop};
    if !matches!(options.kind, Adam | Adamw | Rmsprop) {
        return Err(ConventionError::NotAdam { rule: BatchRule::Adam, kind: options.kind });
    }
    let grown = |option, beta: Option<f64>| beta.map(|beta| decay(option, beta, growth)).transpose();
    let eps_divisor = if options.eps_form == Some(EpsForm::Inside) { growth } else { growth.sqrt() };
    Ok(OptimizerOptions {
        beta1: grown("beta1", options.beta1)?,
        beta2: grown("beta2", options.beta2)?,
        eps: options.eps.map(|eps| eps / eps_divisor),
        ..*options
    })
}

fn decay(option: &'static str, old: f64, growth: f64) -> Result<f64, ConventionError> {
    let new = 1.0 - growth * (1.0 - old);
    if (0.0..1.0).contains(&new) {
        Ok(new)
    } else {
        Err(ConventionError::BetaOutOfRange { option, old, new, growth, limit: (1.0 - old).recip() })
    }
}
