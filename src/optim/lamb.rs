//! LAMB.

use super::{
    adam::{Averages, correction},
    hyper::Moments,
};

/// m and v as Adam's, u = m̂/(√v̂ + ε) + λw with m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ), applied with η·‖w‖/‖u‖ per tensor.
///
/// Source: You et al. 2019 (arXiv:1904.00962), algorithm 2, with φ the identity and the bias corrections of its first
/// version.
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

    /// Updates both averages and leaves the direction in `grads`.
    #[inline(always)]
    pub(super) fn turn(self, params: &[f32], grads: &mut [f32], averages: [&mut [f32]; 2]) {
        let [exp_avg, exp_avg_sq] = averages;
        assert!(params.len() == grads.len());
        assert!(grads.len() == exp_avg.len() && grads.len() == exp_avg_sq.len());
        for (((g, w), m), v) in grads.iter_mut().zip(params).zip(exp_avg).zip(exp_avg_sq) {
            self.averages.advance(*g, m, v);
            *g = (*m * self.first) / (v.sqrt() * self.root + self.eps) + self.decay * *w;
        }
    }
}

/// ‖w‖/‖u‖ of a tensor, or 1 if either is 0. A NaN stays one.
pub(super) fn trust_ratio([params, direction]: [f64; 2]) -> f64 {
    let (params, direction) = (params.sqrt(), direction.sqrt());
    if params == 0.0 || direction == 0.0 { 1.0 } else { params / direction }
}

#[cfg(test)]
mod tests {
    use super::trust_ratio;

    #[test]
    fn the_trust_ratio_is_one_without_params_or_direction() {
        assert_eq!(trust_ratio([0.0, 4.0]), 1.0);
        assert_eq!(trust_ratio([4.0, 0.0]), 1.0);
        assert_eq!(trust_ratio([4.0, 16.0]), 0.5);
        assert!(trust_ratio([f64::NAN, 4.0]).is_nan());
    }
}
