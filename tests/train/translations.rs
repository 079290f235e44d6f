//! Shows that each exact translation between summed and mean gradients gives the same bits of
//! params over many steps, and that the usual mistakes do not.

use crate::noisy_quadratic::{Run, TENSOR_LENS, distance};
use phalanx::optim::convention::Recipe;
use phalanx::optim::{MomentumForm, OptimizerKind, OptimizerOptions, Reduction};

const M: f64 = 64.0;
const STEPS: u64 = 60;

fn of(kind: OptimizerKind) -> OptimizerOptions {
    OptimizerOptions { kind, ..OptimizerOptions::default() }
}

fn recipe(options: OptimizerOptions, rate: f64) -> Recipe {
    Recipe { options, rate, max_norm: None }
}

fn momentum(form: MomentumForm, nesterov: bool) -> OptimizerOptions {
    OptimizerOptions { momentum: Some(0.9), momentum_form: Some(form), nesterov, ..of(OptimizerKind::Sgd) }
}

const FORMS: [(MomentumForm, bool); 4] = [
    (MomentumForm::Pytorch, false),
    (MomentumForm::Pytorch, true),
    (MomentumForm::Caffe, false),
    (MomentumForm::Caffe, true),
];

fn under_mean(recipe: &Recipe) -> Run {
    Run::new(recipe).steps(STEPS, recipe.rate, M)
}

fn under_sum(recipe: &Recipe) -> Run {
    Run::new(recipe).steps(STEPS, recipe.rate, 1.0)
}

/// Asserts that a mean recipe and a manually written sum recipe follow the same trajectory, and
/// that the library translates one into the other.
fn same_bits(mean: Recipe, sum: Recipe) {
    let (a, b) = (under_mean(&mean), under_sum(&sum));
    assert!(a.params.iter().all(|w| w.is_finite()));
    assert_eq!(a.bits(), b.bits(), "{mean:?}\n{sum:?}");
    let translated = mean.translated(M).unwrap();
    assert_eq!(translated.options.check(), sum.options.check());
    assert_eq!((translated.rate, translated.max_norm), (sum.rate, sum.max_norm));
    for (power, (name, buffer)) in a.optimizer.hyper().state_powers().iter().zip(a.optimizer.state()) {
        let scaled: Vec<f32> = buffer.iter().map(|x| x * M.powi(*power) as f32).collect();
        assert_eq!(scaled, b.state(name), "{name} of {mean:?}");
    }
}

/// Asserts that a sum recipe is not equivalent to a mean recipe, by at least the given relative
/// distance.
fn differ(mean: &Recipe, sum: &Recipe, by: f64) {
    let distance = distance(&under_mean(mean), &under_sum(sum));
    assert!(distance > by, "only {distance:e} apart: {mean:?}\n{sum:?}");
}

#[test]
fn sgd_divides_its_rate() {
    same_bits(recipe(of(OptimizerKind::Sgd), 0.1), recipe(of(OptimizerKind::Sgd), 0.1 / M));
}

#[test]
fn coupled_l2_is_multiplied_and_decays_too_little_if_unchanged() {
    for (form, nesterov) in FORMS {
        let mean = OptimizerOptions { l2: 0.03, ..momentum(form, nesterov) };
        let sum = OptimizerOptions { l2: 0.03 * M, ..mean };
        same_bits(recipe(mean, 0.05), recipe(sum, 0.05 / M));
        differ(&recipe(mean, 0.05), &recipe(mean, 0.05 / M), 0.01);
    }
}

#[test]
fn l2_in_the_objective_is_given_per_sample_or_per_data_set() {
    let (samples, lambda_mean) = (1024.0, 0.03);
    let lambda_whole = samples * lambda_mean;
    let mean = OptimizerOptions { l2: lambda_mean, ..of(OptimizerKind::Sgd) };
    let sum = OptimizerOptions { l2: M * lambda_whole / samples, ..mean };
    same_bits(recipe(mean, 0.1), recipe(sum, 0.1 / M));
}

#[test]
fn decoupled_decay_is_multiplied_for_sgd_and_kept_for_adamw() {
    let sgd = OptimizerOptions { weight_decay: 0.03, ..of(OptimizerKind::Sgd) };
    let scaled = OptimizerOptions { weight_decay: 0.03 * M, ..sgd };
    same_bits(recipe(sgd, 0.1), recipe(scaled, 0.1 / M));
    differ(&recipe(sgd, 0.1), &recipe(sgd, 0.1 / M), 0.01);

    let adamw = OptimizerOptions { weight_decay: 0.3, eps: Some(1e-3), ..of(OptimizerKind::Adamw) };
    let kept = OptimizerOptions { eps: Some(1e-3 * M), ..adamw };
    let scaled = OptimizerOptions { weight_decay: 0.3 * M, ..kept };
    same_bits(recipe(adamw, 0.01), recipe(kept, 0.01));
    differ(&recipe(adamw, 0.01), &recipe(scaled, 0.01), 0.01);
}

#[test]
fn momentum_of_both_forms_with_and_without_nesterov_divides_its_rate() {
    for (form, nesterov) in FORMS {
        let options = momentum(form, nesterov);
        same_bits(recipe(options, 0.05), recipe(options, 0.05 / M));
    }
}

#[test]
fn a_switch_during_a_run_multiplies_the_velocity_of_pytorch_and_keeps_that_of_caffe() {
    for (form, nesterov) in FORMS {
        let options = momentum(form, nesterov);
        let (mean, sum) = (recipe(options, 0.05), recipe(options, 0.05 / M));
        let whole = under_mean(&mean);

        let before = Run::new(&mean).steps(STEPS / 2, mean.rate, M);
        let mut after = before.switched_to(&sum);
        after.optimizer.rescale_state(M).unwrap();
        assert_eq!(after.steps(STEPS / 2, sum.rate, 1.0).bits(), whole.bits(), "{options:?}");

        let before = Run::new(&sum).steps(STEPS / 2, sum.rate, 1.0);
        let mut after = before.switched_to(&mean);
        after.optimizer.rescale_state(1.0 / M).unwrap();
        assert_eq!(after.steps(STEPS / 2, mean.rate, M).bits(), whole.bits(), "{options:?}");

        let kept = before.switched_to(&mean).steps(STEPS / 2, mean.rate, M);
        match form {
            MomentumForm::Pytorch => assert!(distance(&whole, &kept) > 0.01, "{options:?}"),
            MomentumForm::Caffe => assert_eq!(kept.bits(), whole.bits(), "{options:?}"),
        }
    }
}

#[test]
fn a_switch_during_a_run_works_for_every_optimizer() {
    for &kind in OptimizerKind::ALL {
        let options = OptimizerOptions { l2: 0.03, ..of(kind) };
        let mean = Recipe { options, rate: 0.02, max_norm: Some(8.0) };
        let sum = mean.translated(M).unwrap();
        let mut after = Run::new(&mean).steps(STEPS / 2, mean.rate, M).switched_to(&sum);
        after.optimizer.rescale_state(M).unwrap();
        let after = after.steps(STEPS / 2, sum.rate, 1.0);
        assert_eq!(after.bits(), under_mean(&mean).bits(), "{kind}");
    }
}

#[test]
fn caffe_momentum_corrected_at_a_rate_change_is_pytorch_momentum() {
    // Rates that are powers of two, so that the point at which the rate is multiplied does not
    // affect the bits.
    let (first, second) = (0.0625, 0.015_625);
    let pytorch = recipe(momentum(MomentumForm::Pytorch, false), first);
    let caffe = recipe(momentum(MomentumForm::Caffe, false), first);
    let half = |recipe: &Recipe| Run::new(recipe).steps(STEPS / 2, first, M);
    let expected = half(&pytorch).steps(STEPS / 2, second, M);

    let mut corrected = half(&caffe);
    corrected.optimizer.scale_momentum((second / first) as f32).unwrap();
    assert_eq!(corrected.steps(STEPS / 2, second, M).bits(), expected.bits());

    let uncorrected = half(&caffe).steps(3, second, M);
    assert!(distance(&half(&pytorch).steps(3, second, M), &uncorrected) > 0.01);
}

#[test]
fn a_rate_change_is_translated_in_both_forms() {
    for (form, nesterov) in FORMS {
        let recipe = recipe(momentum(form, nesterov), 0.05);
        let train = |scale: f64, divisor: f64| {
            let mut run = Run::new(&recipe).steps(STEPS / 2, 0.05 / scale, divisor);
            if form == MomentumForm::Caffe {
                run.optimizer.scale_momentum((0.007_f64 / 0.05) as f32).unwrap();
            }
            run.steps(STEPS / 2, 0.007 / scale, divisor)
        };
        assert_eq!(train(1.0, M).bits(), train(M, 1.0).bits());
    }
}

#[test]
fn adagrad_keeps_its_rate_and_scales_eps_by_c_and_its_initial_accumulator_by_c_squared() {
    let mean = OptimizerOptions {
        eps: Some(1e-2),
        initial_accumulator: Some(0.3),
        l2: 0.03,
        ..of(OptimizerKind::Adagrad)
    };
    let start_kept = OptimizerOptions { eps: Some(1e-2 * M), l2: 0.03 * M, ..mean };
    let sum = OptimizerOptions { initial_accumulator: Some(0.3 * M * M), ..start_kept };
    same_bits(recipe(mean, 0.1), recipe(sum, 0.1));
    differ(&recipe(mean, 0.1), &recipe(start_kept, 0.1), 1e-3);
    differ(&recipe(mean, 0.1), &recipe(OptimizerOptions { eps: mean.eps, ..sum }, 0.1), 1e-4);
    same_bits(
        recipe(of(OptimizerKind::Adagrad), 0.1),
        recipe(OptimizerOptions { eps: Some(1e-10 * M), ..of(OptimizerKind::Adagrad) }, 0.1),
    );
}

#[test]
fn rmsprop_adam_and_lamb_keep_their_rate_and_multiply_eps_and_l2() {
    for kind in [OptimizerKind::Rmsprop, OptimizerKind::Adam, OptimizerKind::Adamw, OptimizerKind::Lamb] {
        let mean = OptimizerOptions { eps: Some(1e-3), l2: 0.03, weight_decay: 0.1, ..of(kind) };
        let sum = OptimizerOptions { eps: Some(1e-3 * M), l2: 0.03 * M, ..mean };
        same_bits(recipe(mean, 0.01), recipe(sum, 0.01));
        differ(&recipe(mean, 0.01), &recipe(sum, 0.01 / M), 0.1);
        differ(&recipe(mean, 0.01), &recipe(OptimizerOptions { l2: mean.l2, ..sum }, 0.01), 1e-3);
        differ(&recipe(mean, 0.01), &recipe(OptimizerOptions { eps: mean.eps, ..sum }, 0.01), 1e-5);
    }
    let mean = OptimizerOptions { momentum: Some(0.9), ..of(OptimizerKind::Rmsprop) };
    same_bits(recipe(mean, 0.001), recipe(OptimizerOptions { eps: Some(1e-8 * M), ..mean }, 0.001));
}

#[test]
fn lars_keeps_its_rate_and_trust_and_multiplies_l2() {
    for (form, nesterov) in FORMS {
        let mean = OptimizerOptions {
            kind: OptimizerKind::Lars,
            trust_coefficient: Some(0.02),
            l2: 0.3,
            ..momentum(form, nesterov)
        };
        let sum = OptimizerOptions { l2: 0.3 * M, ..mean };
        same_bits(recipe(mean, 0.3), recipe(sum, 0.3));
        differ(&recipe(mean, 0.3), &recipe(mean, 0.3), 1e-3);
        differ(&recipe(mean, 0.3), &recipe(sum, 0.3 / M), 0.1);
    }
}

#[test]
fn lars_depends_on_the_scale_of_gradients_if_a_tensor_has_norm_zero() {
    let options = of(OptimizerKind::Lars);
    let first_step = |divisor: f64| {
        let mut run = Run::new(&recipe(options, 0.5));
        run.params[TENSOR_LENS[0]..].fill(0.0);
        run.steps(1, 0.5, divisor).params
    };
    let (mean, sum) = (first_step(M), first_step(1.0));
    assert_eq!(mean[..TENSOR_LENS[0]], sum[..TENSOR_LENS[0]]);
    for (mean, sum) in mean[TENSOR_LENS[0]..].iter().zip(&sum[TENSOR_LENS[0]..]) {
        assert_eq!(64.0 * mean, *sum);
    }
}

#[test]
fn the_bound_of_clipping_is_multiplied() {
    for &kind in OptimizerKind::ALL {
        let options = OptimizerOptions { l2: 0.03, ..of(kind) };
        let mean = Recipe { options, rate: 0.01, max_norm: Some(5.0) };
        let sum = mean.translated(M).unwrap();
        assert_eq!(sum.max_norm, Some(5.0 * M));
        same_bits(mean, sum);
    }
    let mean = Recipe { options: of(OptimizerKind::Sgd), rate: 0.1, max_norm: Some(5.0) };
    let unclipped = Recipe { max_norm: None, ..mean };
    assert!(distance(&under_mean(&mean), &under_mean(&unclipped)) > 0.1);
    differ(&mean, &Recipe { rate: 0.1 / M, ..mean }, 0.1);
}

#[test]
fn every_reduction_is_translated_for_equal_shards() {
    let (batch_size, shards) = (64, 4);
    for &kind in OptimizerKind::ALL {
        let options = OptimizerOptions { l2: 0.03, weight_decay: 0.1, ..of(kind) };
        let mean = Recipe { options, rate: 0.01, max_norm: Some(20.0) };
        let expected = under_mean(&mean).bits();
        for reduction in Reduction::ALL {
            let c = reduction.per_mean(batch_size, shards);
            let recipe = mean.translated(c).unwrap();
            let run = Run::new(&recipe).steps(STEPS, recipe.rate, M / c);
            assert_eq!(run.bits(), expected, "{kind} under {reduction}");
        }
    }
}

#[test]
fn other_batch_sizes_translate_up_to_rounding() {
    for &kind in OptimizerKind::ALL {
        let options = OptimizerOptions { l2: 0.03, ..of(kind) };
        let mean = Recipe { options, rate: 0.01, max_norm: Some(5.0) };
        let sum = mean.translated(100.0).unwrap();
        let a = Run::new(&mean).steps(STEPS, mean.rate, 100.0);
        let b = Run::new(&sum).steps(STEPS, sum.rate, 1.0);
        assert!(distance(&a, &b) < 1e-5, "{kind}: {:e}", distance(&a, &b));
    }
}

/// Every fifth step is short: r = 16 samples while the others have m = 64.
fn batch_at(step: u64) -> f64 {
    if step % 5 == 4 { 16.0 } else { 64.0 }
}

#[test]
fn short_batches_agree_without_momentum_if_the_rate_is_scaled_to_the_batch() {
    let sgd = recipe(of(OptimizerKind::Sgd), 0.1);
    let (mut sum, mut mean, mut careless) = (Run::new(&sgd), Run::new(&sgd), Run::new(&sgd));
    for step in 0..STEPS {
        let batch = batch_at(step);
        sum.step(0.1 / M, 1.0);
        mean.step(0.1 * batch / M, batch);
        careless.step(0.1, batch);
    }
    assert_eq!(sum.bits(), mean.bits());
    assert!(distance(&sum, &careless) > 0.1);
}

#[test]
fn short_batches_agree_with_caffe_momentum_but_not_with_that_of_pytorch() {
    let train = |form: MomentumForm, by_mean: bool| {
        let mut run = Run::new(&recipe(momentum(form, false), 0.1));
        for step in 0..STEPS {
            let batch = if by_mean { batch_at(step) } else { 1.0 };
            run.step(0.1 / M * batch, batch);
        }
        run
    };
    let sum = train(MomentumForm::Caffe, false);
    assert_eq!(sum.bits(), train(MomentumForm::Caffe, true).bits());
    assert!(distance(&sum, &train(MomentumForm::Pytorch, false)) < 1e-4);
    assert!(distance(&sum, &train(MomentumForm::Pytorch, true)) > 0.01);
}

#[test]
fn the_usual_mistakes_are_not_translations() {
    let adam = of(OptimizerKind::Adam);
    let coarse = OptimizerOptions { eps: Some(1e-1), ..adam };
    let sgd = OptimizerOptions { l2: 0.1, ..of(OptimizerKind::Sgd) };
    for (mistake, mean, sum) in [
        ("dividing the rate of adam", recipe(adam, 0.01), recipe(adam, 0.01 / M)),
        ("leaving l2 alone", recipe(sgd, 0.1), recipe(sgd, 0.1 / M)),
        ("leaving eps alone", recipe(coarse, 0.01), recipe(coarse, 0.01)),
        (
            "leaving the rate of sgd alone",
            recipe(of(OptimizerKind::Sgd), 0.001),
            recipe(of(OptimizerKind::Sgd), 0.001),
        ),
    ] {
        let distance = distance(&under_mean(&mean), &under_sum(&sum));
        assert!(distance > 0.01, "{mistake} changes only {distance:e}");
    }
}
