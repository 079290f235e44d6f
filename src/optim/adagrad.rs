//! Adagrad.

/// s ← s + g², u = g/(√s + ε), with s starting from the initial accumulator.
///
/// Source: `torch.optim.Adagrad` without `lr_decay`; Duchi, Hazan, Singer 2011.
#[derive(Debug, Clone, Copy)]
pub(super) struct Adagrad {
    pub(super) eps: f32,
}

impl Adagrad {
    #[inline(always)]
    pub(super) fn turn(self, grads: &mut [f32], sum: &mut [f32]) {
        assert_eq!(grads.len(), sum.len());
        for (g, s) in grads.iter_mut().zip(sum) {
            *s += *g * *g;
            *g /= s.sqrt() + self.eps;
        }
    }
}
