//! The settings that follow the scale of gradients, translated together.

use super::{EpsForm, Hyper, OptimError, OptimizerOptions, hyper::positive};

/// Everything about an optimizer that depends on whether gradients are sums or means.
///
/// # Examples
/// ```
/// use phalanx::optim::{OptimizerOptions, Recipe, Reduction};
///
/// let options = OptimizerOptions { momentum: Some(0.9), l2: 0.5, ..OptimizerOptions::default() };
/// let mean = Recipe { options, rate: 0.25, max_norm: Some(1.0) };
/// let sum = mean.translated(Reduction::Sum.per_mean(64, 4))?;
/// assert_eq!((sum.rate, sum.options.l2, sum.max_norm), (0.25 / 64.0, 32.0, Some(64.0)));
/// # Ok::<(), phalanx::optim::OptimError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// The optimizer.
    pub options: OptimizerOptions,
    /// The learning rate.
    pub rate: f64,
    /// The bound of the global norm of grads, if they are clipped.
    pub max_norm: Option<f64>,
}

impl Recipe {
    /// Says the same recipe for gradients that are `factor` times as large: m to come from a mean over m samples to their
    /// sum, 1/m back, c₂/c₁ between any two reductions with their [`per_mean`](super::Reduction::per_mean).
    ///
    /// | | is multiplied by |
    /// |---|---|
    /// | rate of sgd | 1/factor |
    /// | `l2`, ε, `max_norm`, weight decay of sgd | factor |
    /// | `initial_accumulator`, ε inside of the root | factor² |
    /// | momentum, β₁, β₂, trust coefficient; rate and weight decay of the scale-free rules | 1 |
    ///
    /// The two recipes make the same trajectory, in every bit if the factor is a power of two and nothing underflows or
    /// overflows, and to about 1e-6 otherwise. One exception: lars treats a tensor of norm 0 as sgd does, at the rate of
    /// neither convention. When switching during a run, also call
    /// [`Optimizer::rescale_state`](super::Optimizer::rescale_state).
    ///
    /// # Errors
    /// Those of [`OptimizerOptions::check`], before and after; [`OptimError::OutOfRange`] if the factor is not a positive
    /// normal `f32`.
    pub fn translated(&self, factor: f64) -> Result<Self, OptimError> {
        let factor = positive("the factor of the gradients", factor)?;
        let hyper = self.options.check()?;
        let options = translated_options(&hyper, factor);
        options.check()?;
        let rate_factor = if hyper.kind.is_scale_free() { 1.0 } else { factor };
        Ok(Self {
            options,
            rate: self.rate / rate_factor,
            max_norm: self.max_norm.map(|bound| bound * factor),
        })
    }
}

fn translated_options(hyper: &Hyper, factor: f64) -> OptimizerOptions {
    let options = hyper.options();
    let inside = options.eps_form == Some(EpsForm::Inside);
    let decay_factor = if hyper.kind.is_scale_free() { 1.0 } else { factor };
    OptimizerOptions {
        eps: options.eps.map(|eps| eps * if inside { factor * factor } else { factor }),
        initial_accumulator: options.initial_accumulator.map(|start| start * factor * factor),
        l2: options.l2 * factor,
        weight_decay: options.weight_decay * decay_factor,
        ..options
    }
}

#[cfg(test)]
mod tests {
    use super::super::OptimizerKind;
    use super::*;

    #[test]
    fn there_and_back_is_where_it_was() {
        for &kind in OptimizerKind::ALL {
            let options =
                OptimizerOptions { l2: 0.1, ..OptimizerOptions::new(kind) }.check().unwrap().options();
            let mean = Recipe { options, rate: kind.default_rate(), max_norm: Some(0.7) };
            assert_eq!(mean.translated(64.0).unwrap().translated(1.0 / 64.0).unwrap(), mean, "{kind}");
        }
    }

    #[test]
    fn a_factor_that_is_no_scale_is_refused() {
        let recipe = Recipe { options: OptimizerOptions::default(), rate: 0.1, max_norm: None };
        for factor in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(recipe.translated(factor).is_err(), "{factor}");
        }
    }

    #[test]
    fn a_translation_out_of_range_is_refused() {
        let options = OptimizerOptions {
            initial_accumulator: Some(1.0),
            ..OptimizerOptions::new(OptimizerKind::Adagrad)
        };
        let recipe = Recipe { options, rate: 0.1, max_norm: None };
        assert!(recipe.translated(1e15).is_ok());
        assert!(recipe.translated(1e25).is_err());
    }
}
