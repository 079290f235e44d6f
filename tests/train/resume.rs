//! Shows that a resumed run has the bits of the uninterrupted one: from every step, with every
//! number of threads before and after, for every kind of optimizer state (rows D5 and D6); and that
//! the snapshot itself is the same for any number of threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::optimizers::optimizers;
use super::tally::{Tally, count, is_full};
use ndarray::Array2;
use phalanx::checkpoint::Checkpoint;
use phalanx::data::{Dataset, LoadOptions, Source, Targets};
use phalanx::internals::RunFacts;
use phalanx::model::{Activation, Loss, Mlp, MlpShape, Samples, from_fn};
use phalanx::optim::{OptimizerKind, OptimizerOptions, ScheduleKind, ScheduleOptions};
use phalanx::train::{
    Event, Length, NoiseScale, Options, Position, SaveEvery, Snapshot, TrainError, Trainer,
};

const THREADS: [usize; 3] = [1, 2, 4];

/// 16 steps an epoch, the last of them short: 3 epochs and the beginning of a fourth.
const STEPS: u64 = 50;

struct Bench {
    model: Mlp,
    train: Dataset,
    test: Dataset,
}

/// All that must be the same from a given step on.
#[derive(Debug, PartialEq)]
struct Bits {
    params: Vec<u32>,
    state: Vec<Vec<u32>>,
    /// Loss and norm of each step.
    steps: Vec<(u64, u64, Option<u64>)>,
    /// Epoch, samples, train loss and test loss of each epoch.
    epochs: Vec<(u64, u64, u64, u64)>,
    noise_scale: Option<NoiseScale>,
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

impl Bench {
    fn new() -> Self {
        let digits = "digits".parse::<Source>().unwrap().load(&LoadOptions::default()).unwrap();
        let (hidden, activation, loss) = (vec![12], Activation::Tanh, Loss::CrossEntropy);
        let model = Mlp::new(MlpShape { inputs: 64, hidden, outputs: 10, activation, loss });
        Self { model, train: digits.train, test: digits.test.unwrap() }
    }

    fn trainer(&self, options: &Options, threads: usize) -> Trainer<'_> {
        Trainer::new(&self.model, &self.train, Options { threads, ..options.clone() }).test(&self.test)
    }

    fn finish(&self, options: &Options, threads: usize, from: Option<Snapshot>) -> Bits {
        let (mut steps, mut epochs) = (Vec::new(), Vec::new());
        let mut trainer = self.trainer(options, threads);
        if let Some(snapshot) = from {
            trainer = trainer.resume(snapshot);
        }
        let outcome = trainer
            .on_event(|event| match event {
                Event::Step(end) => {
                    steps.push((end.step, end.loss.to_bits(), end.grad_norm.map(f64::to_bits)))
                }
                Event::Epoch(end) => epochs.push((
                    end.epoch,
                    end.samples,
                    end.train_loss.to_bits(),
                    end.test.unwrap().loss_sum.to_bits(),
                )),
                _ => {}
            })
            .run();
        let outcome = outcome.unwrap();
        let state = outcome.state.iter().map(|(_, values)| bits(values)).collect();
        let noise_scale = outcome.noise_scale;
        Bits { params: bits(&outcome.params), state, steps, epochs, noise_scale }
    }

    /// Takes a snapshot after a step, and stops.
    fn snapshot(&self, options: &Options, threads: usize, step: u64) -> Snapshot {
        let stop = AtomicBool::new(false);
        let mut taken = None;
        let trainer = self.trainer(options, threads).save_every(SaveEvery::Steps(step)).stop_on(&stop);
        let outcome = trainer
            .on_event(|event| {
                if let Event::Snapshot(snapshot) = event {
                    stop.store(true, Ordering::Relaxed);
                    taken.get_or_insert(snapshot.clone());
                }
            })
            .run();
        outcome.unwrap();
        taken.map(Arc::unwrap_or_clone).unwrap()
    }
}

/// Returns the content of a snapshot, except for its times.
fn content(snapshot: &Snapshot) -> (Position, Vec<u32>, Vec<Vec<u32>>) {
    let mut position = *snapshot.position();
    position.sums.elapsed = Duration::ZERO;
    position.sums.phases = Default::default();
    let params = snapshot.params().flat_map(bits).collect();
    let state = (0..snapshot.state_names().len()).map(|index| snapshot.state(index).flat_map(bits).collect());
    (position, params, state.collect())
}

/// A rate that differs in every step, and a clipped gradient for every second optimizer.
fn options(index: usize, optimizer: OptimizerOptions) -> Options {
    let kind = ScheduleKind::Cosine;
    let schedule = ScheduleOptions { kind, warmup_steps: 20, ..ScheduleOptions::default() };
    let clip_grad_norm = (index % 2 == 1).then_some(0.5);
    let length = Length::Steps(STEPS);
    let noise_scale = Some(3);
    Options { optimizer, schedule, clip_grad_norm, noise_scale, batch_size: 90, length, ..Options::default() }
}

impl Bench {
    /// Counts the resumed runs that have the bits of the whole one, saved after `step` by
    /// `saved_by` threads and resumed by each of `resumed_by`.
    fn check_resumed(&self, tally: &mut Tally, run: &Run, step: u64, saved_by: usize, resumed_by: &[usize]) {
        let mut snapshot = self.snapshot(&run.options, saved_by, step);
        if is_full() || step.is_multiple_of(4) {
            snapshot = through_a_file(self, snapshot);
        }
        assert_eq!(snapshot.position().step, step);
        for &threads in resumed_by {
            let rest = self.finish(&run.options, threads, Some(snapshot.clone()));
            // The current epoch is reported as a whole, including its first steps.
            let same = rest.params == run.whole.params
                && rest.state == run.whole.state
                && rest.steps == run.whole.steps[step as usize..]
                && rest.epochs == run.whole.epochs[step as usize / 16..]
                && rest.noise_scale == run.whole.noise_scale;
            let optimizer = run.options.optimizer;
            tally.case(same, || {
                format!("step {step}, saved by {saved_by} threads, resumed by {threads}, {optimizer:?}")
            });
        }
    }

    /// The uninterrupted runs.
    fn runs(&self) -> Vec<Run> {
        let run = |(index, optimizer)| {
            let options = options(index, optimizer);
            let whole = self.finish(&options, 1, None);
            assert_eq!((whole.steps.len(), whole.epochs.len()), (50, 4));
            Run { options, whole }
        };
        optimizers().into_iter().enumerate().map(run).collect()
    }
}

/// An uninterrupted run.
struct Run {
    options: Options,
    whole: Bits,
}

/// Returns a snapshot after saving it as a checkpoint and reading it back.
fn through_a_file(bench: &Bench, snapshot: Snapshot) -> Snapshot {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let facts = RunFacts {
        shape: bench.model.shape().clone(),
        standardize: None,
        standardize_targets: None,
        classes: None,
        options: Default::default(),
        train: bench.train.fingerprint(),
        test: None,
        data: Default::default(),
    };
    let history = Default::default();
    Checkpoint { facts: Arc::new(facts), snapshot: Arc::new(snapshot), quality: None, history }
        .save(&path)
        .unwrap();
    Arc::unwrap_or_clone(Checkpoint::load(&path).unwrap().snapshot)
}

#[test]
fn a_run_resumed_from_any_of_48_steps_ends_in_the_same_bits() {
    let bench = Bench::new();
    let mut tally =
        Tally::new("D5", "steps, optimizers and thread counts from which a resumed run has the same bits");
    for (index, run) in bench.runs().iter().enumerate() {
        for step in 1..=48 {
            // In the short form each step with one thread count, and each thread count with every
            // third step.
            let turn = (step as usize + index) % 3;
            let chosen = if is_full() { &THREADS[..] } else { &THREADS[turn..=turn] };
            chosen
                .iter()
                .for_each(|&threads| bench.check_resumed(&mut tally, run, step, threads, &[threads]));
        }
    }
    tally.end();
}

#[test]
fn a_run_resumed_with_another_number_of_threads_ends_in_the_same_bits() {
    let bench = Bench::new();
    let mut tally = Tally::new(
        "D6",
        "steps and optimizers from which a run resumed with other threads has the same bits",
    );
    for run in bench.runs() {
        let every = count(12, 1) as usize;
        for step in (1..=48).step_by(every) {
            for threads in THREADS {
                let others = [1, 2, 3, 4, 7].into_iter().filter(|&other| other != threads);
                let others: Vec<_> = others.collect();
                bench.check_resumed(&mut tally, &run, step, threads, &others);
            }
        }
    }
    tally.end();
}

#[test]
fn a_snapshot_is_the_same_for_any_number_of_threads() {
    let bench = Bench::new();
    for (index, optimizer) in optimizers().into_iter().enumerate() {
        let options = options(index, optimizer);
        for step in [5, 16, 37] {
            let [one, two, four] = THREADS.map(|threads| content(&bench.snapshot(&options, threads, step)));
            assert!(one == two && one == four, "{step}, {optimizer:?}");
        }
    }
}

#[test]
fn saving_as_often_as_possible_changes_no_bit() {
    let bench = Bench::new();
    let options = options(1, OptimizerOptions::new(OptimizerKind::Adam));
    let whole = bench.finish(&options, 2, None);
    for every in [SaveEvery::Time(Duration::ZERO), SaveEvery::Steps(1), SaveEvery::Epochs(1)] {
        let mut held = Vec::new();
        let mut taken = 0;
        let outcome = bench
            .trainer(&options, 2)
            .save_every(every)
            .on_event(|event| {
                if let Event::Snapshot(snapshot) = event {
                    taken += 1;
                    // Every second snapshot is held, so that buffers run out.
                    held.extend((taken % 2 == 0).then(|| Arc::clone(snapshot)));
                }
            })
            .run();
        assert_eq!(bits(&outcome.unwrap().params), whole.params);
        assert!(taken >= 2, "{every}: {taken}");
        // A buffer that is still held is never written again.
        for snapshot in held {
            let rest = bench.finish(&options, 1, Some(Snapshot::clone(&snapshot)));
            assert_eq!((rest.params, rest.state), (whole.params.clone(), whole.state.clone()), "{every}");
        }
    }
}

#[test]
fn epochs_are_saved_after_they_were_reported() {
    let bench = Bench::new();
    let options = Options { length: Length::Epochs(4), ..options(0, optimizers()[0]) };
    let mut events = Vec::new();
    let outcome = bench
        .trainer(&options, 2)
        .save_every(SaveEvery::Epochs(2))
        .on_event(|event| match event {
            Event::Epoch(end) => events.push(format!("epoch {}", end.epoch)),
            Event::Snapshot(snapshot) => {
                let Position { step, epoch, batch, .. } = *snapshot.position();
                events.push(format!("{step} = {epoch} * 16 + {batch}"));
            }
            _ => {}
        })
        .run();
    // The last is not emitted as an event: it is in the outcome.
    assert_eq!(events, ["epoch 0", "epoch 1", "32 = 2 * 16 + 0", "epoch 2", "epoch 3"]);
    assert_eq!(outcome.unwrap().snapshot().unwrap().position().epoch, 4);
}

#[test]
fn steps_that_change_nothing_are_not_counted_by_the_optimizer_after_a_resume() {
    let weights: Vec<f32> = (0..12).map(|sample| if sample < 4 { 0.0 } else { 1.0 }).collect();
    let features = Array2::from_shape_fn((12, 1), |(sample, _)| sample as f32);
    let data = Dataset::from_arrays(features, Targets::None, Some(weights)).unwrap();
    let model = from_fn(vec![0.0], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
        grads[0] = samples.inputs.iter().map(|x| params[0] - x).sum();
        0.0
    });
    let optimizer = OptimizerOptions::new(OptimizerKind::Adam);
    let run = |steps, from: Option<Snapshot>| {
        let length = Length::Steps(steps);
        let options = Options { optimizer, length, batch_size: 4, shuffle: false, ..Options::default() };
        let trainer = Trainer::new(&model, &data, options);
        let trainer = if let Some(from) = from { trainer.resume(from) } else { trainer };
        trainer.run().unwrap()
    };
    let (whole, part) = (run(9, None), run(5, None));
    assert_eq!((part.position.step, part.position.updates), (5, 3));
    assert_eq!(run(9, part.snapshot()).params, whole.params);
}

#[test]
fn a_snapshot_of_another_run_is_rejected() {
    let bench = Bench::new();
    let options = options(0, OptimizerOptions::new(OptimizerKind::Adam));
    let snapshot = bench.snapshot(&options, 2, 20);
    let error = |options: &Options, snapshot: &Snapshot| {
        bench.trainer(options, 2).resume(snapshot.clone()).run().unwrap_err()
    };
    let other = Options { optimizer: optimizers()[1], ..options.clone() };
    assert!(matches!(error(&other, &snapshot), TrainError::ResumedState { .. }));
    let other = Options { batch_size: 91, ..options.clone() };
    let found = error(&other, &snapshot);
    assert!(matches!(found, TrainError::ResumedPosition { .. }), "{found}");
    let other =
        Options { length: Length::Steps(20), schedule: ScheduleOptions::default(), ..options.clone() };
    assert!(matches!(error(&other, &snapshot), TrainError::NothingLeft { step: 20, total: 20 }));
    let short = Snapshot::new(
        *snapshot.position(),
        vec![0.0; 3],
        vec![("exp_avg".into(), vec![]), ("exp_avg_sq".into(), vec![])],
    );
    assert!(matches!(error(&options, &short), TrainError::ResumedParams { .. }));
    let lost = Position { epoch: u64::MAX, ..*snapshot.position() };
    assert!(matches!(
        error(
            &Options { optimizer: optimizers()[0], ..options.clone() },
            &Snapshot::new(lost, vec![0.0; 910], vec![])
        ),
        TrainError::ResumedPosition { .. }
    ));
    let never = bench.trainer(&options, 1).save_every(SaveEvery::Steps(0)).run();
    assert!(matches!(never, Err(TrainError::ZeroSaveEvery)));
}

/// The run pretends to have taken longer before the save than any test could wait.
#[test]
fn a_resumed_epoch_includes_its_time_before_the_save() {
    let data = Dataset::from_arrays(Array2::zeros((10, 1)), Targets::None, None).unwrap();
    let model = from_fn(vec![1.0], |params: &[f32], _: &Samples<'_>, grads: &mut [f32]| {
        grads[0] = params[0];
        0.0
    });
    let trainer = |steps| {
        Trainer::new(
            &model,
            &data,
            Options { batch_size: 2, length: Length::Steps(steps), ..Options::default() },
        )
    };
    let saved = trainer(3).run().unwrap().snapshot().unwrap();
    let hour = Duration::from_secs(3600);
    let mut position = *saved.position();
    position.sums.elapsed = hour;
    position.sums.phases.wait = hour;
    let snapshot = Snapshot::new(position, vec![1.0], vec![]);
    let mut epochs = Vec::new();
    let resumed = trainer(10).resume(snapshot).on_event(|event| {
        if let Event::Epoch(end) = event {
            epochs.push((end.samples, end.elapsed >= hour, end.phases.wait >= hour));
        }
    });
    resumed.run().unwrap();
    assert_eq!(epochs, [(10, true, true), (10, false, false)]);
}
