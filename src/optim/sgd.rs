//! Stochastic gradient descent and the four kinds of momentum.

use super::{
    MomentumForm,
    hyper::{Momentum, Rule},
};

/// g ← g + λw, the coupled penalty of every rule but lars, on grads that are already clipped.
#[inline(always)]
pub(super) fn add_l2(l2: f32, params: &[f32], grads: &mut [f32]) {
    assert_eq!(params.len(), grads.len());
    for (g, w) in grads.iter_mut().zip(params) {
        *g += l2 * *w;
    }
}

/// Turns gradients into directions by momentum, with coefficients cast once per step.
///
/// | | state | direction u | factor of u |
/// |---|---|---|---|
/// | none | | g | η |
/// | pytorch | v ← μv + g | v | η |
/// | pytorch, Nesterov | v ← μv + g | g + μv | η |
/// | caffe | v ← μv + ηg | v | 1 |
/// | caffe, Nesterov | v ← μv + ηg | (1+μ)v − μ·(v before) | 1 |
///
/// v starts from 0, so that the first step has v = g as in PyTorch. Source: `torch.optim.SGD`; Caffe's `SGDSolver` and
/// `NesterovSolver`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Velocity {
    None,
    Pytorch { mu: f32 },
    PytorchNesterov { mu: f32 },
    Caffe { mu: f32, rate: f32 },
    CaffeNesterov { mu: f32, ahead: f32, rate: f32 },
}

impl Velocity {
    pub(super) fn new(rule: &Rule, rate: f64) -> Self {
        let (Rule::Sgd(Some(momentum)) | Rule::Lars { momentum: Some(momentum), .. }) = rule else {
            return Self::None;
        };
        let Momentum { factor, form, nesterov } = *momentum;
        let (mu, ahead, rate) = (factor as f32, (1.0 + factor) as f32, rate as f32);
        match (form, nesterov) {
            (MomentumForm::Pytorch, false) => Self::Pytorch { mu },
            (MomentumForm::Pytorch, true) => Self::PytorchNesterov { mu },
            (MomentumForm::Caffe, false) => Self::Caffe { mu, rate },
            (MomentumForm::Caffe, true) => Self::CaffeNesterov { mu, ahead, rate },
        }
    }

    /// What multiplies the direction: η, or 1 where v has η inside.
    pub(super) fn step_rate(self, rate: f64) -> f64 {
        match self {
            Self::None | Self::Pytorch { .. } | Self::PytorchNesterov { .. } => rate,
            Self::Caffe { .. } | Self::CaffeNesterov { .. } => 1.0,
        }
    }

    /// Updates `velocity` (empty without momentum) and leaves the direction in `grads`.
    #[inline(always)]
    pub(super) fn turn(self, grads: &mut [f32], velocity: &mut [f32]) {
        match self {
            Self::None => {}
            Self::Pytorch { mu } => each(grads, velocity, |g, v| {
                *v = mu * *v + *g;
                *g = *v;
            }),
            Self::PytorchNesterov { mu } => each(grads, velocity, |g, v| {
                *v = mu * *v + *g;
                *g += mu * *v;
            }),
            Self::Caffe { mu, rate } => each(grads, velocity, |g, v| {
                *v = mu * *v + rate * *g;
                *g = *v;
            }),
            Self::CaffeNesterov { mu, ahead, rate } => each(grads, velocity, |g, v| {
                let before = *v;
                *v = mu * before + rate * *g;
                *g = ahead * *v - mu * before;
            }),
        }
    }
}

#[inline(always)]
fn each(grads: &mut [f32], velocity: &mut [f32], turn: impl Fn(&mut f32, &mut f32)) {
    assert_eq!(grads.len(), velocity.len());
    for (g, v) in grads.iter_mut().zip(velocity) {
        turn(g, v);
    }
}
