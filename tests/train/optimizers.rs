//! Optimizers with every kind of state, shared by the tests of identical bits.

use phalanx::optim::{MomentumForm, OptimizerKind, OptimizerOptions};

/// Each kind with both penalties, then plain sgd, and those with a momentum option with momentum.
pub fn optimizers() -> Vec<OptimizerOptions> {
    let new = |kind| OptimizerOptions { l2: 1e-3, weight_decay: 1e-3, ..OptimizerOptions::new(kind) };
    let with_momentum = |kind| OptimizerOptions { momentum: Some(0.9), ..new(kind) };
    let mut all: Vec<_> = OptimizerKind::ALL.iter().map(|&kind| new(kind)).collect();
    all.extend([
        OptimizerOptions::new(OptimizerKind::Sgd),
        OptimizerOptions { nesterov: true, ..with_momentum(OptimizerKind::Sgd) },
        OptimizerOptions { momentum_form: Some(MomentumForm::Caffe), ..with_momentum(OptimizerKind::Sgd) },
        with_momentum(OptimizerKind::Rmsprop),
        with_momentum(OptimizerKind::Lars),
    ]);
    all
}
