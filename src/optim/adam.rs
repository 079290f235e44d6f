//! Adam and AdamW.

use super::{EpsForm, hyper::Moments};

/// m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², u = m/(√v/√(1−β₂ᵗ) + ε), applied with η/(1−β₁ᵗ); t counts from 1. Where ε
/// comes before the correction it is divided by √(1−β₂ᵗ) too.
///
/// Source: `torch.optim.Adam` and `AdamW`; Kingma, Ba 2014 (arXiv:1412.6980), algorithm 1; Loshchilov, Hutter 2017
/// (arXiv:1711.05101).
#[derive(Debug, Clone, Copy)]
pub(super) struct Adam {
    averages: Averages,
    /// 1/√(1−β₂ᵗ): one product in place of a division for each param.
    root: f32,
    eps: f32,
}

impl Adam {
    pub(super) fn new(moments: &Moments, step: u64) -> Self {
        let root = correction(moments.beta2, step).sqrt().recip();
        let eps = if moments.form == EpsForm::Uncorrected { moments.eps * root } else { moments.eps };
        Self { averages: Averages::new(moments), root: root as f32, eps: eps as f32 }
    }

    /// η/(1−β₁ᵗ).
    pub(super) fn step_rate(moments: &Moments, step: u64, rate: f64) -> f64 {
        rate / correction(moments.beta1, step)
    }

    /// Updates both averages and leaves the direction in `grads`.
    #[inline(always)]
    pub(super) fn turn(self, grads: &mut [f32], exp_avg: &mut [f32], exp_avg_sq: &mut [f32]) {
        assert!(grads.len() == exp_avg.len() && grads.len() == exp_avg_sq.len());
        for ((g, m), v) in grads.iter_mut().zip(exp_avg).zip(exp_avg_sq) {
            self.averages.advance(*g, m, v);
            *g = *m / (v.sqrt() * self.root + self.eps);
        }
    }
}

/// 1 − βᵗ, by a power that is the same on every machine.
pub(super) fn correction(beta: f64, step: u64) -> f64 {
    1.0 - libm::pow(beta, step as f64)
}

/// The two decaying averages, of gradients and of their squares.
#[derive(Debug, Clone, Copy)]
pub(super) struct Averages {
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
}

impl Averages {
    pub(super) fn new(moments: &Moments) -> Self {
        let Moments { beta1, beta2, .. } = *moments;
        Self {
            beta1: beta1 as f32,
            rest1: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            rest2: (1.0 - beta2) as f32,
        }
    }

    #[inline(always)]
    pub(super) fn advance(self, g: f32, m: &mut f32, v: &mut f32) {
        *m = self.beta1 * *m + self.rest1 * g;
        *v = self.beta2 * *v + self.rest2 * (g * g);
    }
}
