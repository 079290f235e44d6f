//! Shows that no change of the code has changed a bit: 36 runs end with the params, the last loss
//! and the noise scale recorded in `tests/fixtures/bits.txt`, for machines with and without fused
//! multiply-add.
//!
//! A change that intentionally changes bits must record them again: `UPDATE_BITS=1 cargo test
//! --test train bits` rewrites the column of this machine, and `checks/bits`, which also runs this
//! test on an emulated processor without fused multiply-add, rewrites the other.

use std::fmt::Write as _;
use std::{fs, thread};

use super::by_shards::ByShards;
use phalanx::checkpoint::params_sha256;
use phalanx::collective::LocalWire;
use phalanx::data::{Dataset, LoadOptions, Source};
use phalanx::model::{Activation, Loss, Mlp, MlpShape, Model};
use phalanx::optim::{
    MomentumForm, OptimizerKind, OptimizerOptions, Reduction, ScheduleKind, ScheduleOptions,
};
use phalanx::train::{Event, Length, Options, Shards, Trainer};

const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/bits.txt");

/// The family of the instructions that the kernels use on this machine.
fn family() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    let fused = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    let fused = cfg!(target_arch = "aarch64");
    if fused { "fused" } else { "separate" }
}

/// The optimizers, each with a different reduction, so that the divisors of uneven shards affect
/// the bits.
fn options() -> [(&'static str, Options); 3] {
    let basis = Options {
        batch_size: 100,
        shards: Shards::Count(8),
        length: Length::Epochs(2),
        ..Options::default()
    };
    let momentum = OptimizerOptions {
        momentum: Some(0.9),
        momentum_form: Some(MomentumForm::Pytorch),
        l2: 1e-3,
        ..OptimizerOptions::default()
    };
    let adam = OptimizerOptions::new(OptimizerKind::Adam);
    let lamb = OptimizerOptions { weight_decay: 0.01, ..OptimizerOptions::new(OptimizerKind::Lamb) };
    [
        ("sgd", Options { optimizer: momentum, rate: Some(0.1), ..basis.clone() }),
        (
            "adam",
            Options {
                optimizer: adam,
                reduction: Reduction::MeanOfShardMeans,
                schedule: ScheduleOptions { kind: ScheduleKind::Cosine, ..ScheduleOptions::default() },
                ..basis.clone()
            },
        ),
        (
            "lamb-clip",
            Options { optimizer: lamb, reduction: Reduction::Sum, clip_grad_norm: Some(5.0), ..basis },
        ),
    ]
}

/// Returns the result of a run, as a line of the record.
fn ends_in(trainer: Trainer<'_>) -> String {
    let mut loss = 0.0;
    let outcome = trainer
        .on_event(|event| {
            if let Event::Step(step) = event {
                loss = step.loss;
            }
        })
        .run()
        .unwrap();
    let noise = outcome.noise_scale.and_then(|noise| noise.whole()).map_or(0.0, |noise| noise.value);
    format!("{} loss={loss:e} noise={noise:e}", params_sha256(&outcome.params))
}

/// Returns the result of the run with one thread, and checks that it is the same with three
/// threads, and on two processes with two threads and one.
fn same_for_all_splits<M: Model>(name: &str, model: &M, data: &Dataset, options: &Options) -> String {
    let trainer = |threads| Trainer::new(model, data, Options { threads, ..options.clone() });
    let one = ends_in(trainer(1));
    assert_eq!(ends_in(trainer(3)), one, "{name} with three threads");
    let trainer = &trainer;
    let processes = thread::scope(|scope| {
        let ends: Vec<_> = LocalWire::connect(2)
            .zip([2, 1])
            .map(|(mut wire, threads)| scope.spawn(move || ends_in(trainer(threads).across(&mut wire))))
            .collect();
        ends.into_iter().map(|end| end.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(processes, [one.clone(), one.clone()], "{name} on two processes");
    one
}

#[test]
fn runs_end_in_the_recorded_bits() {
    let train = "digits".parse::<Source>().unwrap().load(&LoadOptions::default()).unwrap().train;
    let shape = |hidden| MlpShape {
        inputs: 64,
        hidden,
        outputs: 10,
        activation: Activation::Gelu,
        loss: Loss::CrossEntropy,
    };
    let (mlp, softmax) = (Mlp::new(shape(vec![32, 20])), Mlp::new(shape(vec![])));
    let mut found = String::new();
    for (optimizer, options) in options() {
        for (noise, noise_scale) in [("plain", None), ("noise", Some(3))] {
            let options = Options { noise_scale, ..options.clone() };
            let name = format!("{} mlp {optimizer} {noise}", family());
            let end = same_for_all_splits(&name, &mlp, &train, &options);
            writeln!(found, "{name} {end}").unwrap();
            let name = format!("{} softmax {optimizer} {noise}", family());
            let end = same_for_all_splits(&name, &ByShards(&softmax), &train, &options);
            writeln!(found, "{name} {end}").unwrap();
        }
    }

    let recorded = fs::read_to_string(RECORD).unwrap_or_default();
    let (own, others): (Vec<_>, Vec<_>) =
        recorded.lines().partition(|line| line.split(' ').next() == Some(family()));
    if std::env::var_os("UPDATE_BITS").is_some() {
        let mut lines: Vec<&str> = others.into_iter().chain(found.lines()).collect();
        lines.sort_unstable();
        fs::write(RECORD, lines.join("\n") + "\n").unwrap();
        return;
    }
    let mut expected: Vec<&str> = own;
    let mut found: Vec<&str> = found.lines().collect();
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected, "see the docs of this file for how to record bits again in {RECORD}");
}
