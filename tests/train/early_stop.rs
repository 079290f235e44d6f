//! Shows that a run ends at the epoch that its curve implies, with the params of its best epoch;
//! the same for any number of threads, and across resumes.

use phalanx::data::{Dataset, LoadOptions, Source, Targets};
use phalanx::internals::Quality;
use phalanx::model::{Activation, Loss, Mlp, MlpShape, Model, Samples, from_fn};
use phalanx::train::{Event, Length, Metric, Options, Outcome, StopReason, TrainError, Trainer};

const EPOCHS: u64 = 12;

struct Bench {
    model: Mlp,
    train: Dataset,
    test: Dataset,
}

impl Bench {
    /// Few training samples at a high learning rate: the test loss falls, and rises again.
    fn new() -> Self {
        let digits = "digits".parse::<Source>().unwrap().load(&LoadOptions::default()).unwrap();
        let (train, test) = digits.train.split(0.9, 1).unwrap();
        let (hidden, activation, loss) = (vec![16], Activation::Tanh, Loss::CrossEntropy);
        let model = Mlp::new(MlpShape { inputs: 64, hidden, outputs: 10, activation, loss });
        Self { model, train, test }
    }

    fn trainer(&self, options: Options) -> Trainer<'_> {
        Trainer::new(&self.model, &self.train, options).test(&self.test)
    }

    fn qualities(&self, options: Options) -> Vec<Quality> {
        let mut qualities = Vec::new();
        let trainer = self.trainer(options).on_event(|event| {
            if let Event::Epoch(end) = event {
                qualities.push(Quality::of(end));
            }
        });
        trainer.run().unwrap();
        qualities
    }
}

fn options(epochs: u64, threads: usize) -> Options {
    let (rate, length) = (Some(1.5), Length::Epochs(epochs));
    Options { rate, length, threads, batch_size: 16, ..Options::default() }
}

/// Returns the 0-based best epoch and the number of epochs done, computed from the curve.
fn expected(values: &[f64], min_gain: f64, patience: u64) -> (usize, u64) {
    let mut best = 0;
    for (epoch, value) in values.iter().enumerate() {
        if values[best] - value > min_gain {
            best = epoch;
        }
        if (epoch - best) as u64 >= patience {
            return (best, epoch as u64 + 1);
        }
    }
    (best, values.len() as u64)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn a_run_ends_where_its_curve_implies_with_the_params_of_its_best_epoch() {
    let bench = Bench::new();
    let qualities = bench.qualities(options(EPOCHS, 1));
    let mut early = 0;
    for metric in Metric::ALL {
        let sign = if metric == Metric::TestAccuracy { -1.0 } else { 1.0 };
        let values: Vec<f64> =
            qualities.iter().map(|quality| sign * quality.value(metric).unwrap()).collect();
        for (min_gain, patience) in [(0.0, 1), (0.0, 2), (0.0, 4), (0.02, 1), (0.1, 2), (10.0, 3)] {
            let (best, epochs) = expected(&values, min_gain, patience);
            for threads in [1, 3] {
                let early_stop = Some(patience);
                let judged = Options {
                    metric: Some(metric),
                    min_gain,
                    early_stop,
                    keep_best: true,
                    ..options(EPOCHS, threads)
                };
                let outcome = bench.trainer(judged).run().unwrap();
                let found = outcome.position.best.unwrap();
                assert_eq!(
                    (found.epoch, outcome.position.epoch),
                    (best as u64, epochs),
                    "{metric} {min_gain} {patience}"
                );
                assert_eq!(found.quality, qualities[best]);
                assert_eq!(outcome.reason == StopReason::StoppedEarly, epochs < EPOCHS);
                let until = bench.trainer(options(best as u64 + 1, 2)).run().unwrap();
                assert_eq!(found.step, until.steps);
                assert_eq!(
                    bits(outcome.chosen_params()),
                    bits(&until.params),
                    "{metric} {min_gain} {patience}"
                );
                early += u32::from(outcome.reason == StopReason::StoppedEarly);
            }
        }
    }
    assert!(early > 8, "only {early} of the runs stopped early");
}

/// A model of one param, whose loss is that param: a rate of ½ subtracts exactly ½ from it in each
/// epoch of one step.
fn losing_half() -> impl Model {
    from_fn(vec![8.0], |params: &[f32], _: &Samples<'_>, grads: &mut [f32]| {
        grads[0] = 1.0;
        f64::from(params[0])
    })
}

#[test]
fn an_epoch_must_exceed_the_best_by_more_than_the_minimum_gain() {
    let data = Dataset::from_arrays(ndarray::array![[0.0]], Targets::None, None).unwrap();
    let model = losing_half();
    for (rate, min_gain, (best, epochs)) in [
        // Losses 8, 8, 8: equal to the first.
        (1e-30, 0.0, (0, 3)),
        // Losses 8, 7.5, 7: each better than the first, 7.5 by exactly the minimum gain, and 7 by
        // more.
        (0.5, 0.5, (6, 7)),
        (0.5, 0.25, (6, 7)),
        // 7.5 and 7 are better by the minimum gain or less.
        (0.5, 1.0, (0, 3)),
    ] {
        let options = Options {
            min_gain,
            rate: Some(rate),
            early_stop: Some(2),
            length: Length::Epochs(7),
            metric: Some(Metric::TrainLoss),
            ..Options::default()
        };
        let outcome = Trainer::new(&model, &data, options).run().unwrap();
        let found = (outcome.position.best.unwrap().epoch, outcome.position.epoch);
        assert_eq!(found, (best, epochs), "rate {rate}, minimum gain {min_gain}");
    }
}

#[test]
fn the_best_params_and_the_end_are_the_same_from_any_step_of_resumption() {
    let bench = Bench::new();
    let judged = |threads| Options {
        metric: Some(Metric::TestLoss),
        early_stop: Some(2),
        keep_best: true,
        ..options(EPOCHS, threads)
    };
    let ends = |outcome: Outcome| {
        let best = outcome.position.best.unwrap();
        (bits(&outcome.params), bits(outcome.chosen_params()), best, outcome.position.step, outcome.reason)
    };
    let whole = ends(bench.trainer(judged(2)).run().unwrap());
    assert_eq!(whole.4, StopReason::StoppedEarly);
    assert!(whole.3 > 20, "the run has only {} steps", whole.3);
    for step in 1..whole.3 {
        let threads = |offset| [1, 2, 4][(step as usize + offset) % 3];
        let part = Options { length: Length::Steps(step), ..judged(threads(0)) };
        let snapshot = bench.trainer(part).run().unwrap().snapshot().unwrap();
        let rest = bench.trainer(judged(threads(1))).resume(snapshot).run().unwrap();
        assert_eq!(ends(rest), whole, "resumed after step {step}");
    }
}

#[test]
fn a_run_that_stopped_early_resumes_only_with_more_patience() {
    let bench = Bench::new();
    let judged = |patience| Options { early_stop: Some(patience), keep_best: true, ..options(EPOCHS, 2) };
    let stopped = bench.trainer(judged(1)).run().unwrap();
    assert_eq!(stopped.reason, StopReason::StoppedEarly);
    let snapshot = stopped.snapshot().unwrap();
    let again = bench.trainer(judged(1)).resume(snapshot.clone()).run();
    assert!(matches!(again, Err(TrainError::StoppedEarly { .. })), "{again:?}");
    let rest = bench.trainer(judged(3)).resume(snapshot).run().unwrap();
    let whole = bench.trainer(judged(3)).run().unwrap();
    assert_eq!((bits(&rest.params), rest.best_params), (bits(&whole.params), whole.best_params));
}

#[test]
fn a_run_that_did_not_keep_its_best_params_cannot_resume_with_them() {
    let bench = Bench::new();
    let snapshot = bench.trainer(options(1, 1)).run().unwrap().snapshot().unwrap();
    let resumed = bench.trainer(Options { keep_best: true, ..options(2, 1) }).resume(snapshot).run();
    assert!(matches!(resumed, Err(TrainError::ResumedBest)), "{resumed:?}");
}

#[test]
fn unusable_metrics_are_rejected_before_the_first_step() {
    let bench = Bench::new();
    let plan = |metric, min_gain, early_stop| {
        let options = Options { metric, min_gain, early_stop, ..options(1, 1) };
        Trainer::new(&bench.model, &bench.train, options).plan().map(drop)
    };
    for metric in [Metric::TestAccuracy, Metric::TestLoss] {
        let missing = plan(Some(metric), 0.0, None);
        assert!(matches!(missing, Err(TrainError::Metric { missing: "test samples", .. })), "{missing:?}");
    }
    assert!(plan(Some(Metric::TrainLoss), 0.0, Some(1)).is_ok());
    for min_gain in [-0.1, f64::NAN, f64::INFINITY] {
        assert!(matches!(plan(None, min_gain, None), Err(TrainError::MinGain { .. })), "{min_gain}");
    }
    assert!(matches!(plan(None, 0.0, Some(0)), Err(TrainError::ZeroEarlyStop)));

    let values = Dataset::from_arrays(ndarray::array![[1.0], [2.0]], Targets::None, None).unwrap();
    let model = from_fn(vec![0.0], |_: &[f32], _: &Samples<'_>, _: &mut [f32]| 0.0);
    let accuracy = Options { metric: Some(Metric::TestAccuracy), ..Options::default() };
    let refused = Trainer::new(&model, &values, accuracy).test(&values).plan();
    assert!(matches!(refused, Err(TrainError::Metric { missing: "test samples with classes", .. })));
}
