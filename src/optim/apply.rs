//! The last act of every rule: params move along the direction.

use super::hyper::{Hyper, Rule};

/// w ← w·keep − rate·u, with keep = 1 − ηλ for a decoupled decay of λ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Apply {
    keep: f32,
    pub(super) rate: f32,
}

impl Apply {
    /// Casts η and 1 − ηλ, both computed in `f64`. `step_rate` is what multiplies u: η, or a rule's own variation of it.
    ///
    /// Lamb decays inside of its direction, so that nothing is decayed here.
    pub(super) fn new(hyper: &Hyper, rate: f64, step_rate: f64) -> Self {
        let decays_here = !matches!(hyper.rule, Rule::Lamb(_));
        let keep = if decays_here { 1.0 - rate * hyper.weight_decay } else { 1.0 };
        Self { keep: keep as f32, rate: step_rate as f32 }
    }

    pub(super) fn without_decay(self) -> Self {
        Self { keep: 1.0, ..self }
    }

    #[inline(always)]
    pub(super) fn run(self, params: &mut [f32], direction: &[f32]) {
        assert_eq!(params.len(), direction.len());
        for (w, u) in params.iter_mut().zip(direction) {
            *w = *w * self.keep - self.rate * *u;
        }
    }
}
