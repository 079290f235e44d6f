//! Adagrad.

use super::EpsForm;

/// s ← s + g², u = g/(√s + ε), or g/√(s + ε), with s starting from the initial accumulator.
///
/// Source: `torch.optim.Adagrad` without `lr_decay`; Duchi, Hazan, Singer 2011; `keras.optimizers.Adagrad`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Adagrad {
    pub(super) eps: f32,
    pub(super) form: EpsForm,
}

impl Adagrad {
    #[inline(always)]
    pub(super) fn turn(self, grads: &mut [f32], sum: &mut [f32]) {
        assert_eq!(grads.len(), sum.len());
        for (g, s) in grads.iter_mut().zip(sum) {
            *s += *g * *g;
            *g /= root(*s, self.eps, self.form);
        }
    }
}

/// √s + ε, or √(s + ε).
#[inline(always)]
pub(super) fn root(square: f32, eps: f32, form: EpsForm) -> f32 {
    if form == EpsForm::Inside { (square + eps).sqrt() } else { square.sqrt() + eps }
}
