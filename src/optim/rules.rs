//! The update rules: each formula above its code, with coefficients cast once per step.
//!
//! Each rule updates its state and writes the direction `u` to the grads; [`Apply`] then updates
//! the params. g is the reduced and clipped gradient plus λw, η the rate, t the step, counted from
//! 1.

use super::options::{EpsForm, Hyper, Moments, Momentum, MomentumForm, Rule};

/// The update w ← w·keep − rate·u, with keep = 1 − ηλ for a decoupled decay of λ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Apply {
    keep: f32,
    pub(super) rate: f32,
}

impl Apply {
    /// Casts η and 1 − ηλ, both computed in `f64`. `step_rate` is the factor of u: η, or the rule's
    /// variant of it.
    ///
    /// For lamb, decay is part of the direction, so it is not applied here.
    pub(super) fn new(hyper: &Hyper, rate: f64, step_rate: f64) -> Self {
        let decays_here = !matches!(hyper.rule, Rule::Lamb(_));
        let keep = if decays_here { 1.0 - rate * hyper.options.weight_decay } else { 1.0 };
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

/// Computes g ← g + λw, the coupled penalty of every rule except lars, on grads that are already
/// clipped.
#[inline(always)]
pub(super) fn add_l2(l2: f32, params: &[f32], grads: &mut [f32]) {
    assert_eq!(params.len(), grads.len());
    for (g, w) in grads.iter_mut().zip(params) {
        *g += l2 * *w;
    }
}

/// The five forms of the direction of sgd, and of the momentum of lars.
///
/// | | state | direction u | factor of u |
/// |---|---|---|---|
/// | none | | g | η |
/// | pytorch | v ← μv + g | v | η |
/// | pytorch, Nesterov | v ← μv + g | g + μv | η |
/// | caffe | v ← μv + ηg | v | 1 |
/// | caffe, Nesterov | v ← μv + ηg | (1+μ)v − μ·(v before) | 1 |
///
/// v starts from 0, so the first step has v = g as in PyTorch. Source: `torch.optim.SGD`; Caffe's
/// `SGDSolver` and
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

    /// Returns the factor of the direction: η, or 1 if v already includes η.
    pub(super) fn step_rate(self, rate: f64) -> f64 {
        match self {
            Self::None | Self::Pytorch { .. } | Self::PytorchNesterov { .. } => rate,
            Self::Caffe { .. } | Self::CaffeNesterov { .. } => 1.0,
        }
    }

    /// Updates `velocity` (empty without momentum) and writes the direction to `grads`.
    #[inline(always)]
    pub(super) fn run(self, grads: &mut [f32], velocity: &mut [f32]) {
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
fn each(grads: &mut [f32], velocity: &mut [f32], update: impl Fn(&mut f32, &mut f32)) {
    assert_eq!(grads.len(), velocity.len());
    for (g, v) in grads.iter_mut().zip(velocity) {
        update(g, v);
    }
}

/// Computes g ← local·(g + λw) of LARS, to which sgd's momentum is then applied. λ is the coupled
/// `l2`.
///
/// Source: You, Gitman, Ginsburg 2017 (arXiv:1708.03888), algorithm 1, which uses Caffe's form of
/// momentum.
#[inline(always)]
pub(super) fn localise(local: f32, l2: f32, params: &[f32], grads: &mut [f32]) {
    assert_eq!(params.len(), grads.len());
    for (g, w) in grads.iter_mut().zip(params) {
        *g = local * (*g + l2 * *w);
    }
}

/// Returns trust_coefficient·‖w‖/(‖g‖ + λ‖w‖) of a tensor, or 1 if either norm is 0. NaN
/// propagates.
///
/// If it is 1, the update is that of sgd and depends on the scale of the gradients, which otherwise
/// cancels: the first step of a tensor of zeros is m times larger under a sum over m samples than
/// under their mean.
pub(super) fn local_rate(trust_coefficient: f64, l2: f64, [params, grads]: [f64; 2]) -> f64 {
    let (params, grads) = (params.sqrt(), grads.sqrt());
    if params == 0.0 || grads == 0.0 { 1.0 } else { trust_coefficient * params / (grads + l2 * params) }
}

/// Adagrad: s ← s + g², u = g/(√s + ε), or g/√(s + ε), with s starting from the initial
/// accumulator.
///
/// Source: `torch.optim.Adagrad` without `lr_decay`; Duchi, Hazan, Singer 2011;
/// `keras.optimizers.Adagrad`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Adagrad {
    eps: f32,
    form: EpsForm,
}

impl Adagrad {
    pub(super) fn new(eps: f64, form: EpsForm) -> Self {
        Self { eps: eps as f32, form }
    }

    #[inline(always)]
    pub(super) fn run(self, grads: &mut [f32], sum: &mut [f32]) {
        assert_eq!(grads.len(), sum.len());
        for (g, s) in grads.iter_mut().zip(sum) {
            *s += *g * *g;
            *g /= root(*s, self.eps, self.form);
        }
    }
}

/// Returns √s + ε, or √(s + ε).
#[inline(always)]
fn root(square: f32, eps: f32, form: EpsForm) -> f32 {
    if form == EpsForm::Inside { (square + eps).sqrt() } else { square.sqrt() + eps }
}

/// RMSprop: s ← αs + (1−α)g², u = g/(√s + ε), or g/√(s + ε); with momentum b ← μb + u, and u = b.
///
/// Source: `torch.optim.RMSprop`, not centred, with ε outside the square root (inside in TensorFlow
/// and `keras.optimizers.RMSprop`); Hinton, lecture 6e.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rmsprop {
    alpha: f32,
    rest: f32,
    eps: f32,
    form: EpsForm,
    mu: f32,
}

impl Rmsprop {
    pub(super) fn new(alpha: f64, eps: f64, form: EpsForm, momentum: f64) -> Self {
        Self { alpha: alpha as f32, rest: (1.0 - alpha) as f32, eps: eps as f32, form, mu: momentum as f32 }
    }

    /// Updates both buffers (`momentum` is empty without momentum) and writes the direction to
    /// `grads`.
    #[inline(always)]
    pub(super) fn run(self, grads: &mut [f32], square_avg: &mut [f32], momentum: &mut [f32]) {
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

/// Adam and AdamW: m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², u = m/(√v/√(1−β₂ᵗ) + ε), applied with
/// η/(1−β₁ᵗ); t counts from 1. With ε before the correction, ε is also divided by √(1−β₂ᵗ).
///
/// Source: `torch.optim.Adam` and `AdamW`; Kingma, Ba 2014 (arXiv:1412.6980), algorithm 1;
/// Loshchilov, Hutter 2017 (arXiv:1711.05101).
#[derive(Debug, Clone, Copy)]
pub(super) struct Adam {
    averages: Averages,
    /// 1/√(1−β₂ᵗ): one product instead of a division per param.
    root: f32,
    eps: f32,
}

impl Adam {
    pub(super) fn new(moments: &Moments, step: u64) -> Self {
        let root = correction(moments.beta2, step).sqrt().recip();
        let eps = if moments.form == EpsForm::Uncorrected { moments.eps * root } else { moments.eps };
        Self { averages: Averages::new(moments), root: root as f32, eps: eps as f32 }
    }

    /// Returns η/(1−β₁ᵗ).
    pub(super) fn step_rate(moments: &Moments, step: u64, rate: f64) -> f64 {
        rate / correction(moments.beta1, step)
    }

    /// Updates both averages and writes the direction to `grads`.
    #[inline(always)]
    pub(super) fn run(self, grads: &mut [f32], exp_avg: &mut [f32], exp_avg_sq: &mut [f32]) {
        assert!(grads.len() == exp_avg.len() && grads.len() == exp_avg_sq.len());
        for ((g, m), v) in grads.iter_mut().zip(exp_avg).zip(exp_avg_sq) {
            self.averages.advance(*g, m, v);
            *g = *m / (v.sqrt() * self.root + self.eps);
        }
    }
}

/// Returns 1 − βᵗ, by a power function that is the same on every machine.
fn correction(beta: f64, step: u64) -> f64 {
    1.0 - libm::pow(beta, step as f64)
}

/// The two decaying averages, of gradients and of their squares.
#[derive(Debug, Clone, Copy)]
struct Averages {
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
}

impl Averages {
    fn new(moments: &Moments) -> Self {
        let Moments { beta1, beta2, .. } = *moments;
        Self {
            beta1: beta1 as f32,
            rest1: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            rest2: (1.0 - beta2) as f32,
        }
    }

    #[inline(always)]
    fn advance(self, g: f32, m: &mut f32, v: &mut f32) {
        *m = self.beta1 * *m + self.rest1 * g;
        *v = self.beta2 * *v + self.rest2 * (g * g);
    }
}

/// LAMB: m and v as Adam's, u = m̂/(√v̂ + ε) + λw with m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ), applied with
/// η·‖w‖/‖u‖ per tensor.
///
/// Source: You et al. 2019 (arXiv:1904.00962), algorithm 2, with φ the identity and the bias
/// corrections of its first version.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lamb {
    averages: Averages,
    /// 1/(1−β₁ᵗ).
    first: f32,
    /// 1/√(1−β₂ᵗ).
    root: f32,
    eps: f32,
    decay: f32,
}

impl Lamb {
    pub(super) fn new(moments: &Moments, weight_decay: f64, step: u64) -> Self {
        Self {
            averages: Averages::new(moments),
            first: correction(moments.beta1, step).recip() as f32,
            root: correction(moments.beta2, step).sqrt().recip() as f32,
            eps: moments.eps as f32,
            decay: weight_decay as f32,
        }
    }

    pub(super) fn without_decay(self) -> Self {
        Self { decay: 0.0, ..self }
    }

    /// Updates both averages and writes the direction to `grads`.
    #[inline(always)]
    pub(super) fn run(self, params: &[f32], grads: &mut [f32], averages: [&mut [f32]; 2]) {
        let [exp_avg, exp_avg_sq] = averages;
        assert!(params.len() == grads.len());
        assert!(grads.len() == exp_avg.len() && grads.len() == exp_avg_sq.len());
        for (((g, w), m), v) in grads.iter_mut().zip(params).zip(exp_avg).zip(exp_avg_sq) {
            self.averages.advance(*g, m, v);
            *g = (*m * self.first) / (v.sqrt() * self.root + self.eps) + self.decay * *w;
        }
    }
}

/// Returns ‖w‖/‖u‖ of a tensor, or 1 if either is 0. NaN propagates.
pub(super) fn trust_ratio([params, direction]: [f64; 2]) -> f64 {
    let (params, direction) = (params.sqrt(), direction.sqrt());
    if params == 0.0 || direction == 0.0 { 1.0 } else { params / direction }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_rate_cancels_the_scale_of_the_smallest_gradients_exactly() {
        for norm in [1e-12_f64, 1e-6, 1.0, 1e6] {
            let mean = local_rate(0.001, 0.1 * norm, [4.0, norm * norm]);
            let sum = local_rate(0.001, 64.0 * 0.1 * norm, [4.0, 4096.0 * (norm * norm)]);
            assert_eq!(mean, 64.0 * sum);
        }
    }

    #[test]
    fn the_local_rate_is_one_without_params_or_grads() {
        assert_eq!(local_rate(0.001, 0.1, [0.0, 4.0]), 1.0);
        assert_eq!(local_rate(0.001, 0.1, [4.0, 0.0]), 1.0);
        assert!(local_rate(0.001, 0.1, [4.0, f64::NAN]).is_nan());
    }

    #[test]
    fn the_trust_ratio_is_one_without_params_or_direction() {
        assert_eq!(trust_ratio([0.0, 4.0]), 1.0);
        assert_eq!(trust_ratio([4.0, 0.0]), 1.0);
        assert_eq!(trust_ratio([4.0, 16.0]), 0.5);
        assert!(trust_ratio([f64::NAN, 4.0]).is_nan());
    }
}
