//! Tests that each form of ε, the penalty divided by the weight of a batch and the exclusion of
//! biases agree with the slow definition, tensor by tensor, and do not depend on how the params are
//! split into segments.

use phalanx::internals::Blocks;
use phalanx::optim::{EpsForm, Optimizer, OptimizerKind, OptimizerOptions, reference::TensorOptimizer};

/// A weight, a bias of several blocks, a weight, a bias.
const TENSOR_LENS: [usize; 4] = [1500, 1100, 40, 7];
const BIASES: [bool; 4] = [false, true, false, true];

fn wave(i: usize, step: usize) -> f32 {
    ((i * 7919 + step * 104_729) % 1009) as f32 / 1009.0 - 0.4
}

fn forms(kind: OptimizerKind) -> &'static [EpsForm] {
    match kind {
        OptimizerKind::Adagrad | OptimizerKind::Rmsprop => &[EpsForm::Outside, EpsForm::Inside],
        OptimizerKind::Adam | OptimizerKind::Adamw => &[EpsForm::Outside, EpsForm::Uncorrected],
        _ => &[],
    }
}

/// Returns all combinations: every form of ε that the rule has, with an ε large enough to matter.
fn variants(kind: OptimizerKind) -> Vec<OptimizerOptions> {
    let base =
        OptimizerOptions { l2: 0.3, weight_decay: 0.2, no_bias_decay: true, ..OptimizerOptions::new(kind) };
    let with = |form: &EpsForm| OptimizerOptions { eps_form: Some(*form), eps: Some(0.05), ..base };
    if forms(kind).is_empty() { vec![base] } else { forms(kind).iter().map(with).collect() }
}

/// Runs ten steps on `world_size` segments, with the penalty divided by 3, 2, 3, 2 ...
fn fast(options: OptimizerOptions, world_size: usize) -> Vec<f32> {
    let blocks = Blocks::new(&TENSOR_LENS).with_biases(BIASES.to_vec());
    let hyper = options.hyper().unwrap();
    let cuts = blocks.cut(world_size);
    let mut optimizers: Vec<_> =
        cuts.windows(2).map(|cut| Optimizer::for_segment(&hyper, &blocks, cut[0]..cut[1])).collect();
    let mut params: Vec<f32> = (0..blocks.params_len()).map(|i| wave(i, 0)).collect();
    for step in 1..=10 {
        let mut grads: Vec<f32> = (0..params.len()).map(|i| wave(i, step)).collect();
        let mut squares = vec![[0.0; 2]; blocks.len()];
        for (optimizer, cut) in optimizers.iter_mut().zip(cuts.windows(2)) {
            let (blocks_of, range) = (cut[0]..cut[1], blocks.params_range(cut[0]..cut[1]));
            optimizer.divide_l2((2 + step % 2) as f64);
            optimizer.prepare(&params[range.clone()], &mut grads[range], &mut squares[blocks_of]);
        }
        for (optimizer, cut) in optimizers.iter_mut().zip(cuts.windows(2)) {
            let range = blocks.params_range(cut[0]..cut[1]);
            optimizer.finish(0.02, &mut params[range.clone()], &mut grads[range], &squares);
        }
    }
    params
}

/// Runs the same steps by the slow definition. It has a single λ, and its state must persist from
/// step to step, so the changing penalty is added to the gradient here.
fn slow(options: OptimizerOptions) -> Vec<f64> {
    let mut params = Vec::new();
    let mut start = 0;
    for (len, is_bias) in TENSOR_LENS.into_iter().zip(BIASES) {
        let decay = if is_bias { 0.0 } else { options.weight_decay };
        let own = OptimizerOptions { l2: 0.0, weight_decay: decay, ..options };
        let mut optimizer = TensorOptimizer::new(&own.hyper().unwrap(), len);
        let mut tensor: Vec<f64> = (start..start + len).map(|i| f64::from(wave(i, 0))).collect();
        for step in 1..=10 {
            let l2 = if is_bias { 0.0 } else { options.l2 / (2 + step % 2) as f64 };
            let grads: Vec<f64> =
                tensor.iter().enumerate().map(|(i, w)| f64::from(wave(start + i, step)) + l2 * w).collect();
            optimizer.step(0.02, &mut tensor, &grads);
        }
        params.extend(tensor);
        start += len;
    }
    params
}

#[test]
fn every_form_agrees_with_the_slow_definition() {
    for &kind in OptimizerKind::ALL {
        // Lars also uses λ in its norms; the next test covers its exclusion of biases.
        for options in variants(kind).into_iter().filter(|_| kind != OptimizerKind::Lars) {
            let (found, expected) = (fast(options, 1), slow(options));
            let difference =
                found.iter().zip(&expected).map(|(f, e)| (f64::from(*f) - e).abs()).fold(0.0, f64::max);
            assert!(difference < 2e-6, "{options:?}: {difference:e}");
        }
    }
}

#[test]
fn excluded_biases_are_updated_without_penalties_and_weights_with_them() {
    for &kind in OptimizerKind::ALL {
        for excluded in variants(kind) {
            let all = OptimizerOptions { no_bias_decay: false, ..excluded };
            let none = OptimizerOptions { l2: 0.0, weight_decay: 0.0, ..all };
            let [excluded, all, none] = [excluded, all, none].map(|options| fast(options, 1));
            assert!(all[1500..2600] != none[1500..2600] && all[..1500] != none[..1500]);
            assert!(excluded[..1500] == all[..1500] && excluded[2600..2640] == all[2600..2640], "{kind}");
            assert!(excluded[1500..2600] == none[1500..2600] && excluded[2640..] == none[2640..], "{kind}");
        }
    }
}

#[test]
fn the_bits_do_not_depend_on_segments_or_pieces() {
    for &kind in OptimizerKind::ALL {
        for options in variants(kind) {
            let whole = fast(options, 1);
            assert!((2..=5).all(|world_size| fast(options, world_size) == whole), "{kind}");
            let hyper = options.hyper().unwrap();
            if hyper.needs_tensor_norms() {
                continue;
            }
            let blocks = Blocks::new(&TENSOR_LENS).with_biases(BIASES.to_vec());
            let mut optimizer = Optimizer::for_segment(&hyper, &blocks, 0..blocks.len());
            let mut params: Vec<f32> = (0..blocks.params_len()).map(|i| wave(i, 0)).collect();
            for step in 1..=10 {
                optimizer.divide_l2((2 + step % 2) as f64);
                let mut update = optimizer.begin(0.02);
                for start in (0..params.len()).step_by(777) {
                    let range = start..params.len().min(start + 777);
                    let mut grads: Vec<f32> = range.clone().map(|i| wave(i, step)).collect();
                    update.piece(range.clone(), &mut params[range], &mut grads);
                }
                update.end();
            }
            assert!(params == whole, "{kind}");
        }
    }
}
