//! Tests that params and optimizer state have the same bits regardless of how the blocks are split
//! into segments, in one phase or two, and across saving and loading; and that the fast versions
//! agree with the slow definitions on random data.

use phalanx::internals::Blocks;
use phalanx::optim::{
    MomentumForm, OptimError, Optimizer, OptimizerKind, OptimizerOptions, reference::TensorOptimizer,
};
use proptest::prelude::*;
use std::ops::Range;

/// Returns one configuration for every branch of the arithmetic.
fn configurations() -> Vec<OptimizerOptions> {
    let of = |kind| OptimizerOptions { kind, l2: 0.01, weight_decay: 0.02, ..OptimizerOptions::default() };
    let momentum = |kind, form, nesterov| OptimizerOptions {
        momentum: Some(0.9),
        momentum_form: Some(form),
        nesterov,
        ..of(kind)
    };
    let mut all: Vec<_> = OptimizerKind::ALL.iter().map(|&kind| of(kind)).collect();
    all.push(OptimizerOptions { initial_accumulator: Some(0.1), ..of(OptimizerKind::Adagrad) });
    all.push(OptimizerOptions { momentum: Some(0.9), ..of(OptimizerKind::Rmsprop) });
    for kind in [OptimizerKind::Sgd, OptimizerKind::Lars] {
        for &form in MomentumForm::ALL {
            all.push(momentum(kind, form, false));
            all.push(momentum(kind, form, true));
        }
    }
    all
}

/// A group of optimizers, one per segment, that exchange block sums as ranks do.
struct Group {
    blocks: Blocks,
    optimizers: Vec<(Range<usize>, Optimizer)>,
}

impl Group {
    fn new(options: &OptimizerOptions, tensor_lens: &[usize], cut: &[usize]) -> Self {
        let blocks = Blocks::new(tensor_lens);
        let hyper = options.hyper().unwrap();
        let own =
            |pair: &[usize]| (pair[0]..pair[1], Optimizer::for_segment(&hyper, &blocks, pair[0]..pair[1]));
        Self { optimizers: cut.windows(2).map(own).collect(), blocks }
    }

    fn step(&mut self, rate: f64, params: &mut [f32], grads: &[f32]) {
        let mut grads = grads.to_vec();
        let mut squares = vec![[f64::NAN; 2]; self.blocks.len()];
        for (segment, optimizer) in &mut self.optimizers {
            let range = self.blocks.params_range(segment.clone());
            let own = &mut squares[segment.clone()];
            optimizer.prepare(&params[range.clone()], &mut grads[range], own);
        }
        for (segment, optimizer) in &mut self.optimizers {
            let range = self.blocks.params_range(segment.clone());
            optimizer.finish(rate, &mut params[range.clone()], &mut grads[range], &squares);
        }
    }

    /// Returns the bits of the params and of all state buffers, concatenated over the segments.
    fn bits(&self, params: &[f32]) -> Vec<Vec<u32>> {
        let names = self.optimizers[0].1.hyper().state_names();
        let whole = |name: &&str| -> Vec<f32> {
            let of = |optimizer: &Optimizer| optimizer.state().find(|(n, _)| n == name).unwrap().1.to_vec();
            self.optimizers.iter().flat_map(|(_, optimizer)| of(optimizer)).collect()
        };
        let buffers = names.iter().map(whole).chain([params.to_vec()]);
        buffers.map(|buffer| buffer.iter().map(|x| x.to_bits()).collect()).collect()
    }
}

fn wave(len: usize, seed: u64) -> Vec<f32> {
    let x = |i: usize| {
        (i as u64 + 1)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .wrapping_add(seed.wrapping_mul(0xD1B5_4A32_D192_ED03))
    };
    (0..len).map(|i| (x(i) >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
}

/// Returns a wave whose values are at least 1/16 away from 0.
///
/// The penalty λw of these tests is below 1/64, so it cannot cancel any of these gradients. A
/// canceled gradient has no significant digits left in f32, and the rules that divide by its size
/// turn this into a difference in the params: in about one of twenty runs of a test on plain waves.
fn clear_wave(len: usize, seed: u64) -> Vec<f32> {
    wave(len, seed).into_iter().map(|x| (0.0625 + 0.9375 * x.abs()).copysign(x)).collect()
}

fn train(options: &OptimizerOptions, tensor_lens: &[usize], cut: &[usize], seed: u64) -> Vec<Vec<u32>> {
    let mut group = Group::new(options, tensor_lens, cut);
    let len = group.blocks.params_len();
    let mut params = wave(len, seed);
    for step in 0..4 {
        group.step(0.1 / (step + 1) as f64, &mut params, &wave(len, seed + 1 + step));
    }
    group.bits(&params)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn params_and_state_have_the_same_bits_for_any_segmentation(
        tensor_lens in prop::collection::vec(0_usize..3000, 1..5),
        mut inner in prop::collection::vec(0_usize..20, 0..6),
        seed in 0_u64..1000,
    ) {
        let blocks = Blocks::new(&tensor_lens).len();
        inner.iter_mut().for_each(|boundary| *boundary = (*boundary).min(blocks));
        inner.sort_unstable();
        let cut: Vec<usize> = [0].into_iter().chain(inner).chain([blocks]).collect();
        for options in configurations() {
            let whole = train(&options, &tensor_lens, &[0, blocks], seed);
            prop_assert_eq!(train(&options, &tensor_lens, &cut, seed), whole, "{:?}", options);
        }
    }

    #[test]
    fn one_phase_and_two_phases_give_the_same_bits(
        tensor_lens in prop::collection::vec(0_usize..3000, 1..4),
        seed in 0_u64..1000,
    ) {
        for options in configurations() {
            let hyper = options.hyper().unwrap();
            let blocks = Blocks::new(&tensor_lens);
            let len = blocks.params_len();
            let mut fused = Optimizer::for_segment(&hyper, &blocks, 0..blocks.len());
            let mut phased = fused.clone();
            let mut squares = vec![[0.0; 2]; blocks.len()];
            let (mut a, mut b) = (wave(len, seed), wave(len, seed));
            for step in 0..4 {
                let (mut g, mut h) = (wave(len, seed + 1 + step), wave(len, seed + 1 + step));
                fused.update(0.1, &mut a, &mut g);
                phased.prepare(&b, &mut h, &mut squares);
                phased.finish(0.1, &mut b, &mut h, &squares);
            }
            prop_assert_eq!(&a, &b, "{:?}", options);
            prop_assert!(fused.state().eq(phased.state()));
            prop_assert_eq!((fused.steps(), phased.steps()), (4, 4));
        }
    }

    #[test]
    fn fast_versions_agree_with_the_slow_definitions(
        tensor_lens in prop::collection::vec(1_usize..3000, 1..4),
        seed in 0_u64..1000,
    ) {
        for options in configurations() {
            let mut group = Group::new(&options, &tensor_lens, &[0, Blocks::new(&tensor_lens).len()]);
            let len = group.blocks.params_len();
            let mut params = wave(len, seed);
            let mut expected: Vec<f64> = params.iter().map(|&w| f64::from(w)).collect();
            let hyper = options.hyper().unwrap();
            let mut slow: Vec<_> = tensor_lens.iter().map(|&len| TensorOptimizer::new(&hyper, len)).collect();
            for step in 0..4 {
                let grads = clear_wave(len, seed + 1 + step);
                group.step(0.01, &mut params, &grads);
                let mut from = 0;
                for (slow, &len) in slow.iter_mut().zip(&tensor_lens) {
                    let grads: Vec<f64> = grads[from..from + len].iter().map(|&g| f64::from(g)).collect();
                    slow.step(0.01, &mut expected[from..from + len], &grads);
                    from += len;
                }
            }
            for (w, expected) in params.iter().zip(&expected) {
                prop_assert!((f64::from(*w) - expected).abs() < 2e-6, "{w} instead of {expected} with {options:?}");
            }
        }
    }
}

#[test]
fn balanced_segments_give_the_same_bits_for_every_world_size() {
    let tensor_lens = [5000, 1, 2048, 10];
    let blocks = Blocks::new(&tensor_lens);
    for options in configurations() {
        let whole = train(&options, &tensor_lens, &blocks.cut(1), 7);
        for world_size in [2, 3, 4, 5, 8, 16] {
            assert_eq!(train(&options, &tensor_lens, &blocks.cut(world_size), 7), whole, "{options:?}");
        }
    }
}

#[test]
fn a_run_resumed_from_its_state_is_bit_identical_to_an_uninterrupted_one() {
    let tensor_lens = [1500, 7];
    let cut = [0, 1, 3];
    for options in configurations() {
        let mut whole = Group::new(&options, &tensor_lens, &cut);
        let mut params = wave(1507, 3);
        (0..5).for_each(|step| whole.step(0.1, &mut params, &wave(1507, 10 + step)));
        let mut resumed = Group::new(&options, &tensor_lens, &cut);
        for ((_, to), (_, from)) in resumed.optimizers.iter_mut().zip(&whole.optimizers) {
            from.state().for_each(|(name, values)| to.load_state(name, values).unwrap());
            to.set_steps(from.steps());
        }
        let mut copy = params.clone();
        for step in 5..9 {
            whole.step(0.1, &mut params, &wave(1507, 10 + step));
            resumed.step(0.1, &mut copy, &wave(1507, 10 + step));
        }
        assert_eq!(resumed.bits(&copy), whole.bits(&params), "{options:?}");
    }
}

#[test]
fn mismatched_state_is_refused_and_changes_nothing() {
    let hyper = OptimizerOptions::new(OptimizerKind::Adam).hyper().unwrap();
    let mut optimizer = Optimizer::for_segment(&hyper, &Blocks::new(&[3]), 0..1);
    assert_eq!(
        optimizer.load_state("momentum_buffer", &[1.0; 3]).unwrap_err().to_string(),
        "adam as configured has no state \"momentum_buffer\"; its state buffers: exp_avg, exp_avg_sq; use the optimizer \
         options the state was saved with"
    );
    assert_eq!(
        optimizer.load_state("exp_avg", &[1.0; 2]),
        Err(OptimError::StateLen { name: "exp_avg", found: 2, expected: 3 })
    );
    assert!(optimizer.scale_momentum(2.0).is_err());
    assert!(optimizer.rescale_state(1e30).is_err());
    assert!(optimizer.state().all(|(_, buffer)| buffer == [0.0; 3]));
}

#[test]
fn non_finite_gradients_reach_the_params() {
    for options in configurations() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut group = Group::new(&options, &[4], &[0, 1]);
            let mut params = [1.0, 2.0, 3.0, 4.0];
            group.step(0.1, &mut params, &[0.5, bad, 0.5, 0.5]);
            assert!(!params[1].is_finite(), "{bad} was lost with {options:?}");
        }
    }
}

#[test]
fn a_rate_of_zero_changes_no_params() {
    for options in configurations() {
        let mut group = Group::new(&options, &[4], &[0, 1]);
        let mut params = [1.0, 2.0, 3.0, 4.0];
        group.step(0.0, &mut params, &[0.5; 4]);
        assert_eq!(params, [1.0, 2.0, 3.0, 4.0], "{options:?}");
    }
}

#[test]
#[should_panic(expected = "lars needs tensor norms between its two phases")]
fn lars_cannot_update_one_of_several_segments_in_one_phase() {
    let hyper = OptimizerOptions::new(OptimizerKind::Lars).hyper().unwrap();
    Optimizer::for_segment(&hyper, &Blocks::new(&[1, 1]), 0..1).update(0.1, &mut [1.0], &mut [1.0]);
}

#[test]
#[should_panic(expected = "grads have 1 values, but the optimizer has 2")]
fn grads_of_the_wrong_length_panic() {
    let hyper = OptimizerOptions::default().hyper().unwrap();
    Optimizer::for_segment(&hyper, &Blocks::new(&[2]), 0..1).update(0.1, &mut [1.0; 2], &mut [1.0]);
}

#[test]
#[should_panic(expected = "rate -1.0 is negative")]
fn a_negative_rate_panics() {
    let hyper = OptimizerOptions::default().hyper().unwrap();
    Optimizer::for_segment(&hyper, &Blocks::new(&[1]), 0..1).update(-1.0, &mut [1.0], &mut [1.0]);
}
