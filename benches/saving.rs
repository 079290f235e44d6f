//! Measures the cost of saving a run once per second: 784-2048-2048-10, 5.8 M params and the same
//! number of momentum values, 47 MB per checkpoint.
//!
//! Runs with and without saving, of the same number of steps, alternate, and their times are
//! compared pair by pair: the speed of a shared machine varies from minute to minute, but much less
//! between consecutive runs. Checkpoints written after the last step are not included in the time.
//! They are written to the folder for temporary files, or the folder in `TMPDIR`.

use std::num::NonZero;
use std::time::{Duration, Instant};

use ndarray::Array2;
use phalanx::checkpoint::{CheckpointDir, ModelFile, Saver};
use phalanx::data::{Dataset, Targets};
use phalanx::model::{Activation, Loss, Mlp, MlpShape, Model};
use phalanx::train::{Event, Length, Metric, Options, SaveEvery, Trainer};

const THREADS: usize = 2;
const BATCH: usize = 1024;
const STEPS: u64 = 40;
const PAIRS: usize = 9;

/// Returns samples of MNIST's shape.
fn images() -> Dataset {
    let pixel = |(sample, k)| ((sample * 31 + k * 7) % 101) as f32 / 101.0;
    let features = Array2::from_shape_fn((8 * BATCH, 784), pixel);
    let labels = (0..8 * BATCH as u32).map(|sample| sample % 10).collect();
    Dataset::from_arrays(features, Targets::Classes { labels, count: 10 }, None)
        .expect("the arrays have matching lengths")
}

/// Returns the time of a run and the number of checkpoints.
fn run(model: &Mlp, data: &Dataset, every: SaveEvery) -> (Duration, usize) {
    let mut options =
        Options { threads: THREADS, batch_size: BATCH, length: Length::Steps(STEPS), ..Options::default() };
    options.rate = Some(0.01);
    options.optimizer.momentum = Some(0.9);
    let folder = tempfile::tempdir().expect("a temporary folder can be created");
    let file = ModelFile {
        shape: model.shape().clone(),
        params: model.initial_params(42),
        standardize: None,
        standardize_targets: None,
        classes: None,
        options: Default::default(),
        train: Some(data.fingerprint()),
        test: None,
        data: Default::default(),
    };
    let keep = NonZero::new(3).expect("3 is not 0");
    let dir = CheckpointDir::of_run(folder.path());
    let mut saver = Saver::start(dir, keep, Metric::TrainLoss, &file, || ()).expect("the folder is empty");
    let mut saves = 0;
    let trainer = Trainer::new(model, data, options).save_every(every).subscribe(&mut saver);
    let trainer = trainer.on_event(|event| saves += usize::from(matches!(event, Event::Snapshot(_))));
    let begun = Instant::now();
    trainer.run().expect("the run is complete");
    let elapsed = begun.elapsed();
    saver.finish(None).expect("the disk is not full");
    (elapsed, saves)
}

fn main() {
    // Cargo also runs benches as tests, which should not take minutes.
    let pairs = if std::env::args().any(|argument| argument == "--test") { 0 } else { PAIRS };
    let (activation, loss) = (Activation::Relu, Loss::CrossEntropy);
    let model = Mlp::new(MlpShape { inputs: 784, hidden: vec![2048, 2048], outputs: 10, activation, loss });
    let data = images();
    let mut ratios: Vec<f64> = Vec::new();
    println!("saving once a second: {STEPS} steps of {BATCH} samples on {THREADS} threads");
    for pair in 0..pairs {
        // The order alternates from pair to pair.
        let saving = || run(&model, &data, SaveEvery::Time(Duration::from_secs(1)));
        let plain = || run(&model, &data, SaveEvery::Never).0;
        let ((with, saves), without) = if pair % 2 == 0 {
            let without = plain();
            (saving(), without)
        } else {
            (saving(), plain())
        };
        let ratio = with.as_secs_f64() / without.as_secs_f64();
        let (with, without) = (with.as_secs_f64(), without.as_secs_f64());
        println!("  {without:6.2} s without, {with:6.2} s with {saves} saves: {ratio:.3} of the time");
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    if let Some(median) = ratios.get(ratios.len() / 2) {
        println!("median {median:.3}, from {:.3} to {:.3}", ratios[0], ratios[ratios.len() - 1]);
    }
}
