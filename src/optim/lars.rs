//! LARS.

/// g ← local·(g + λw), which then goes through sgd's momentum. λ is the coupled `l2`.
///
/// Source: You, Gitman, Ginsburg 2017 (arXiv:1708.03888), algorithm 1, which has Caffe's momentum form.
#[inline(always)]
pub(super) fn localise(local: f32, l2: f32, params: &[f32], grads: &mut [f32]) {
    assert_eq!(params.len(), grads.len());
    for (g, w) in grads.iter_mut().zip(params) {
        *g = local * (*g + l2 * *w);
    }
}

/// trust_coefficient·‖w‖/(‖g‖ + λ‖w‖) of a tensor, or 1 if either norm is 0. A NaN stays one.
///
/// Where it is 1 the update is sgd's and follows the scale of the gradients, which is otherwise divided out: a tensor
/// that starts as zeros takes its first step larger by m under a sum over m samples than under their mean.
pub(super) fn local_rate(trust_coefficient: f64, l2: f64, [params, grads]: [f64; 2]) -> f64 {
    let (params, grads) = (params.sqrt(), grads.sqrt());
    if params == 0.0 || grads == 0.0 { 1.0 } else { trust_coefficient * params / (grads + l2 * params) }
}

#[cfg(test)]
mod tests {
    use super::local_rate;

    #[test]
    fn the_local_rate_divides_the_scale_of_the_smallest_gradients_out_exactly() {
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
}
