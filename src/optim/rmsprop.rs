//! RMSprop.

use super::{EpsForm, adagrad::root};

/// s ← αs + (1−α)g², u = g/(√s + ε), or g/√(s + ε); with momentum b ← μb + u, and u = b.
///
/// Source: `torch.optim.RMSprop`, not centred, ε outside of the root; TensorFlow and `keras.optimizers.RMSprop` have it
/// inside; Hinton, lecture 6e.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rmsprop {
    alpha: f32,
    rest: f32,
    eps: f32,
    form: EpsForm,
    mu: f32,
}

impl Rmsprop {
    pub(super) fn new(alpha: f64, (eps, form): (f64, EpsForm), momentum: f64) -> Self {
        Self { alpha: alpha as f32, rest: (1.0 - alpha) as f32, eps: eps as f32, form, mu: momentum as f32 }
    }

    /// Updates both buffers, of which `momentum` is empty without momentum, and leaves the direction in `grads`.
    #[inline(always)]
    pub(super) fn turn(self, grads: &mut [f32], square_avg: &mut [f32], momentum: &mut [f32]) {
        assert_eq!(grads.len(), square_avg.len());
        for (g, s) in grads.iter_mut().zip(square_avg) {
            *s = self.alpha * *s + self.rest * (*g * *g);
            *g /= root(*s, self.eps, self.form);
        }
        if !momentum.is_empty() {
            self.gather(grads, momentum);
        }
    }

    #[inline(always)]
    fn gather(self, directions: &mut [f32], momentum: &mut [f32]) {
        assert_eq!(directions.len(), momentum.len());
        for (u, b) in directions.iter_mut().zip(momentum) {
            *b = self.mu * *b + *u;
            *u = *b;
        }
    }
}
