//! Tests that every optimizer computes the updates of PyTorch (2.15, in f64) or, if `torch.optim`
//! lacks it, of the formulas in its source: 20 steps on two tensors of 3 and 4 params, with a rate
//! that changes during the run.
//!
//! `fixtures/optim_pytorch.json` was written by:
//!
//! ```python
//! import json, torch
//! torch.set_default_dtype(torch.float64)
//! STEPS = 20
//! def start():
//!     flat = [((5 * i) % 9 - 4) / 4 + 1 / 8 for i in range(7)]
//!     return [torch.tensor(flat[:3]), torch.tensor(flat[3:])]
//! def grads(t):
//!     flat = [((7 * t + 11 * i) % 13 - 6) / 8 for i in range(7)]
//!     return [torch.tensor(flat[:3]), torch.tensor(flat[3:])]
//! def run(make, rate, decay=0.0):
//!     params = [torch.nn.Parameter(p) for p in start()]
//!     opt = make(params)
//!     for t in range(STEPS):
//!         eta = rate if t < 10 else rate / 4
//!         for group in opt.param_groups: group['lr'] = eta
//!         for p, g in zip(params, grads(t)): p.grad = g
//!         before = [p.detach().clone() for p in params]
//!         opt.step()
//!         for p, w in zip(params, before): p.data -= eta * decay * w
//!     return [x for p in params for x in p.tolist()]
//! class Formula(torch.optim.Optimizer):
//!     'Caffe momentum, LARS and LAMB, by the formulas of their papers.'
//!     def __init__(self, params, direction): super().__init__(params, {'lr': 0.0}); self.direction = direction
//!     @torch.no_grad()
//!     def step(self):
//!         for p in self.param_groups[0]['params']:
//!             p -= self.direction(self.state[p], p, p.grad, self.param_groups[0]['lr'])
//! def caffe(mu, l2=0.0, nesterov=False, local=lambda w, g: 1.0):
//!     def direction(s, w, g, eta):
//!         old = s.get('v', torch.zeros_like(w))
//!         s['v'] = mu * old + eta * local(w, g) * (g + l2 * w)
//!         return (1 + mu) * s['v'] - mu * old if nesterov else s['v']
//!     return lambda params: Formula(params, direction)
//! def lars(trust, l2): return lambda w, g: trust * w.norm() / (g.norm() + l2 * w.norm())
//! def lars_pytorch(mu, trust, l2):
//!     def direction(s, w, g, eta):
//!         s['v'] = mu * s.get('v', torch.zeros_like(w)) + lars(trust, l2)(w, g) * (g + l2 * w)
//!         return eta * s['v']
//!     return lambda params: Formula(params, direction)
//! def lamb(b1, b2, eps, decay):
//!     def direction(s, w, g, eta):
//!         s['t'] = s.get('t', 0) + 1
//!         s['m'] = b1 * s.get('m', torch.zeros_like(w)) + (1 - b1) * g
//!         s['v'] = b2 * s.get('v', torch.zeros_like(w)) + (1 - b2) * g * g
//!         u = (s['m'] / (1 - b1 ** s['t'])) / ((s['v'] / (1 - b2 ** s['t'])).sqrt() + eps) + decay * w
//!         return eta * w.norm() / u.norm() * u
//!     return lambda params: Formula(params, direction)
//! O = torch.optim
//! def sgd(**k): return lambda p: O.SGD(p, lr=0.1, **k)
//! C = [
//!  ({'kind': 'sgd'}, 0.1, sgd()),
//!  ({'kind': 'sgd', 'l2': 0.05}, 0.1, sgd(weight_decay=0.05)),
//!  ({'kind': 'sgd', 'weight-decay': 0.2}, 0.1, sgd(), 0.2),
//!  ({'kind': 'sgd', 'momentum': 0.9}, 0.1, sgd(momentum=0.9)),
//!  ({'kind': 'sgd', 'momentum': 0.9, 'momentum-form': 'pytorch', 'nesterov': True, 'l2': 0.05}, 0.1, sgd(momentum=0.9, nesterov=True, weight_decay=0.05)),
//!  ({'kind': 'sgd', 'momentum': 0.9, 'momentum-form': 'caffe', 'l2': 0.05}, 0.1, caffe(0.9, 0.05)),
//!  ({'kind': 'sgd', 'momentum': 0.9, 'momentum-form': 'caffe', 'nesterov': True}, 0.1, caffe(0.9, nesterov=True)),
//!  ({'kind': 'adagrad'}, 0.01, lambda p: O.Adagrad(p)),
//!  ({'kind': 'adagrad', 'eps': 0.01, 'initial-accumulator': 0.5, 'l2': 0.05, 'weight-decay': 0.1}, 0.1, lambda p: O.Adagrad(p, eps=0.01, initial_accumulator_value=0.5, weight_decay=0.05), 0.1),
//!  ({'kind': 'rmsprop'}, 0.001, lambda p: O.RMSprop(p)),
//!  ({'kind': 'rmsprop', 'momentum': 0.9, 'beta2': 0.9, 'eps': 0.01, 'l2': 0.05, 'weight-decay': 0.1}, 0.01, lambda p: O.RMSprop(p, alpha=0.9, eps=0.01, momentum=0.9, weight_decay=0.05), 0.1),
//!  ({'kind': 'adam'}, 0.001, lambda p: O.Adam(p)),
//!  ({'kind': 'adam', 'beta1': 0.8, 'beta2': 0.95, 'eps': 0.01, 'l2': 0.05}, 0.01, lambda p: O.Adam(p, betas=(0.8, 0.95), eps=0.01, weight_decay=0.05)),
//!  ({'kind': 'adamw', 'weight-decay': 0.01}, 0.001, lambda p: O.AdamW(p)),
//!  ({'kind': 'adamw', 'weight-decay': 0.3}, 0.05, lambda p: O.AdamW(p, weight_decay=0.3)),
//!  ({'kind': 'lars', 'l2': 0.05}, 0.1, caffe(0.0, 0.05, local=lars(0.001, 0.05))),
//!  ({'kind': 'lars', 'momentum': 0.9, 'trust-coefficient': 0.02, 'l2': 0.05}, 1.0, lars_pytorch(0.9, 0.02, 0.05)),
//!  ({'kind': 'lars', 'momentum': 0.9, 'momentum-form': 'caffe', 'trust-coefficient': 0.02, 'l2': 0.05, 'weight-decay': 0.1}, 1.0, caffe(0.9, 0.05, local=lars(0.02, 0.05)), 0.1),
//!  ({'kind': 'lamb'}, 0.001, lamb(0.9, 0.999, 1e-6, 0.0)),
//!  ({'kind': 'lamb', 'beta1': 0.8, 'beta2': 0.95, 'eps': 0.01, 'weight-decay': 0.3}, 0.05, lamb(0.8, 0.95, 0.01, 0.3)),
//! ]
//! rows = [json.dumps({'options': c[0], 'rate': c[1], 'params': run(c[2], c[1], *c[3:])}) for c in C]
//! print('[\n  ' + ',\n  '.join(rows) + '\n]')
//! ```

use phalanx::internals::Blocks;
use phalanx::optim::{Optimizer, OptimizerKind, OptimizerOptions, reference::TensorOptimizer};
use serde::Deserialize;

/// A run of `STEPS` steps and its final params.
#[derive(Deserialize)]
struct Case {
    options: OptimizerOptions,
    rate: f64,
    params: Vec<f64>,
}

const TENSOR_LENS: [usize; 2] = [3, 4];
const STEPS: u64 = 20;

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../fixtures/optim_pytorch.json")).unwrap()
}

fn initial_params() -> Vec<f32> {
    (0..7).map(|i| ((5 * i) % 9 - 4) as f32 / 4.0 + 1.0 / 8.0).collect()
}

fn grads_at(step: u64) -> Vec<f32> {
    (0..7).map(|i| ((7 * step + 11 * i) % 13) as f32 / 8.0 - 0.75).collect()
}

fn rate_at(case: &Case, step: u64) -> f64 {
    if step < 10 { case.rate } else { case.rate / 4.0 }
}

fn train(case: &Case) -> Vec<f32> {
    let hyper = case.options.hyper().unwrap();
    let blocks = Blocks::new(&TENSOR_LENS);
    let mut optimizer = Optimizer::for_segment(&hyper, &blocks, 0..blocks.len());
    let mut squares = vec![[0.0; 2]; blocks.len()];
    let mut params = initial_params();
    for step in 0..STEPS {
        let mut grads = grads_at(step);
        optimizer.prepare(&params, &mut grads, &mut squares);
        optimizer.finish(rate_at(case, step), &mut params, &mut grads, &squares);
    }
    params
}

/// Runs the same steps by the crate's slow definition, in f64.
fn train_by_reference(case: &Case) -> Vec<f64> {
    let hyper = case.options.hyper().unwrap();
    let mut params: Vec<f64> = initial_params().into_iter().map(f64::from).collect();
    let mut optimizers = TENSOR_LENS.map(|len| TensorOptimizer::new(&hyper, len));
    for step in 0..STEPS {
        let grads: Vec<f64> = grads_at(step).into_iter().map(f64::from).collect();
        let (first, second) = params.split_at_mut(TENSOR_LENS[0]);
        optimizers[0].step(rate_at(case, step), first, &grads[..TENSOR_LENS[0]]);
        optimizers[1].step(rate_at(case, step), second, &grads[TENSOR_LENS[0]..]);
    }
    params
}

fn worst_relative_error(found: impl IntoIterator<Item = f64>, expected: &[f64]) -> f64 {
    found.into_iter().zip(expected).map(|(a, b)| (a - b).abs() / b.abs()).fold(0.0, f64::max)
}

#[test]
fn every_optimizer_computes_the_updates_of_pytorch() {
    for case in cases() {
        let error = worst_relative_error(train(&case).into_iter().map(f64::from), &case.params);
        assert!(error < 1e-5, "relative error {error:e} with {:?}", case.options);
    }
}

#[test]
fn the_slow_definitions_compute_the_updates_of_pytorch() {
    for case in cases() {
        let error = worst_relative_error(train_by_reference(&case), &case.params);
        assert!(error < 1e-12, "relative error {error:e} with {:?}", case.options);
    }
}

#[test]
fn every_kind_is_compared_and_all_cases_end_with_different_params() {
    let cases = cases();
    for kind in OptimizerKind::ALL {
        assert!(cases.iter().any(|case| case.options.kind == *kind), "{kind}");
    }
    for (i, case) in cases.iter().enumerate() {
        for other in &cases[..i] {
            let error = worst_relative_error(case.params.iter().copied(), &other.params);
            assert!(error > 1e-5, "{:?} ends with the same params as {:?}", case.options, other.options);
        }
    }
}
