//! Runs that end before their last step: invalid options, a loss or gradient that is NaN or
//! infinite, a model or a subscriber that fails, a rank that is late, and a stop request. No rank
//! is left behind, and the params are those after the last complete step.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use ndarray::{Array2, array};
use phalanx::collective::CollectiveError;
use phalanx::data::{Dataset, Targets};
use phalanx::model::{Activation, Loss, Mlp, MlpShape, Samples, from_fn};
use phalanx::optim::Reduction;
use phalanx::train::{
    Event, Length, Options, Plan, Shards, StopReason, Subscriber, SubscriberError, TrainError, Trainer,
};

#[test]
fn a_non_finite_loss_ends_the_run_with_the_params_before_it() {
    let model = from_fn(vec![1.0], |params: &[f32], _: &Samples<'_>, grads: &mut [f32]| {
        grads[0] = 1.0;
        f64::from((params[0] - 0.6).ln())
    });
    let data = Dataset::from_arrays(Array2::zeros((4, 1)), Targets::None, None).unwrap();
    for threads in [1, 3] {
        let reduction = Reduction::Sum;
        let options = Options { batch_size: 4, reduction, rate: Some(0.25), threads, ..Options::default() };
        let outcome = Trainer::new(&model, &data, options).run().unwrap();
        assert_eq!((outcome.params[0], outcome.steps, outcome.reason), (0.5, 2, StopReason::Diverged));
    }
}

#[test]
fn a_non_finite_gradient_ends_the_run_with_the_params_before_it() {
    // Only the second shard of the third step has one, and only rank 1 sees it.
    let data = Dataset::from_arrays(array![[0.0], [1.0]], Targets::None, None).unwrap();
    let model = from_fn(vec![1.0, 1.0], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
        let breaks = params[0] < 0.6 && samples.inputs[[0, 0]] == 1.0;
        grads.copy_from_slice(&[0.125, if breaks { f32::NEG_INFINITY } else { 0.0 }]);
        1.0
    });
    for clip_grad_norm in [None, Some(1e3)] {
        for threads in [1, 2, 3] {
            let options = Options {
                shards: Shards::Count(2),
                reduction: Reduction::Sum,
                shuffle: false,
                rate: Some(1.0),
                threads,
                clip_grad_norm,
                ..Options::default()
            };
            let outcome = Trainer::new(&model, &data, options).run().unwrap();
            assert_eq!((outcome.params, outcome.steps), (vec![0.5, 1.0], 2));
            assert_eq!(outcome.reason, StopReason::Diverged);
        }
    }
}

#[test]
fn a_rate_that_makes_params_infinite_is_a_failure() {
    let data = Dataset::from_arrays(Array2::zeros((1, 1)), Targets::None, None).unwrap();
    let model = from_fn(vec![1.0], |_: &[f32], _: &Samples<'_>, grads: &mut [f32]| {
        grads[0] = 1e30;
        1.0
    });
    let options = Options { rate: Some(1e30), length: Length::Steps(1), ..Options::default() };
    assert_eq!(Trainer::new(&model, &data, options).run().unwrap().reason, StopReason::Diverged);
}

#[test]
fn unusable_data_is_rejected_before_the_first_step() {
    let shape = |loss| MlpShape { inputs: 1, hidden: vec![], outputs: 1, activation: Activation::Relu, loss };
    let data = |values: Vec<f32>, weights| {
        let features = Array2::zeros((values.len(), 1));
        Dataset::from_arrays(features, Targets::Values { values, outputs: 1 }, weights).unwrap()
    };
    let refused = |loss, data: &Dataset| {
        Plan::new(&Options::default(), &Mlp::new(shape(loss)), data, None).unwrap_err().to_string()
    };
    assert!(refused(Loss::Bce, &data(vec![0.5, 2.5], None)).contains("from 0.5 to 2.5"));
    assert!(refused(Loss::Bce, &data(vec![-0.5, 1.0], None)).contains("from -0.5 to 1"));
    assert!(refused(Loss::MSE, &data(vec![1.0, 2.0], Some(vec![0.0, 0.0]))).contains("weights of all 2"));
    assert!(refused(Loss::MSE, &data(vec![1.0, 2.0], Some(vec![3e38, 3e38]))).contains("the sum is"));
    assert!(
        refused(Loss::MSE, &data(vec![1.0, 2.0], Some(vec![1e-40, 1.0])))
            .contains("smallest positive sample weight is 1e-40")
    );
    assert!(
        Plan::new(&Options::default(), &Mlp::new(shape(Loss::Bce)), &data(vec![0.0, 1.0], None), None)
            .is_ok()
    );
}

#[test]
fn a_model_that_panics_ends_all_ranks_with_its_message() {
    let data = Dataset::from_arrays(Array2::zeros((64, 1)), Targets::None, None).unwrap();
    for threads in [1, 2, 5] {
        let model = from_fn(vec![1.0], |params: &[f32], _: &Samples<'_>, grads: &mut [f32]| {
            grads[0] = 1.0;
            assert!(params[0] > -1.0, "the model failed");
            0.0
        });
        let options = Options { threads, reduction: Reduction::Sum, rate: Some(0.25), ..Options::default() };
        let error = Trainer::new(&model, &data, options).run().unwrap_err();
        assert!(matches!(error, TrainError::Panicked { .. }), "{error:?}");
        assert!(error.to_string().contains("the model failed"), "{error}");
    }
}

#[test]
fn a_subscriber_that_panics_ends_the_run() {
    let data = Dataset::from_arrays(Array2::zeros((64, 1)), Targets::None, None).unwrap();
    let model = from_fn(vec![1.0], |_: &[f32], _: &Samples<'_>, grads: &mut [f32]| {
        grads[0] = 0.0;
        0.0
    });
    let options = Options { threads: 3, length: Length::Epochs(u64::MAX), ..Options::default() };
    let run = || Trainer::new(&model, &data, options).on_event(|_| panic!("planted")).run();
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
}

/// Receives `n` steps, and then fails.
struct FailsAfter(u64);

impl Subscriber for FailsAfter {
    fn receive(&mut self, event: &Event<'_>) -> Result<(), SubscriberError> {
        match event {
            Event::Step(end) if end.step > self.0 => Err(format!("failed after {}", self.0).into()),
            _ => Ok(()),
        }
    }
}

#[test]
fn a_subscriber_that_fails_ends_the_run_and_nothing_is_lost() {
    let data = Dataset::from_arrays(Array2::zeros((64, 1)), Targets::None, None).unwrap();
    let model = from_fn(vec![0.0], |_: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
        grads[0] = -(samples.inputs.nrows() as f32);
        0.0
    });
    let options =
        Options { threads: 3, length: Length::Epochs(1 << 40), rate: Some(1.0), ..Options::default() };
    let (mut steps, mut epochs) = (0, 0);
    let trainer = Trainer::new(&model, &data, options).subscribe(FailsAfter(5)).subscribe(FailsAfter(7));
    let ended = trainer
        .on_event(|event| match event {
            Event::Step(_) => steps += 1,
            Event::Epoch(_) => epochs += 1,
            _ => {}
        })
        .run();
    let Err(TrainError::Subscriber { source, outcome }) = ended else { panic!("{ended:?}") };
    assert_eq!(source.to_string(), "failed after 5", "the error of the first that failed");
    assert_eq!(outcome.reason, StopReason::Interrupted);
    assert_eq!((outcome.steps, outcome.steps), (steps, epochs), "the other subscribers received all steps");
    assert_eq!(outcome.params, [steps as f32]);
}

#[test]
fn a_rank_that_keeps_the_others_waiting_is_named_after_the_timeout() {
    let data = Dataset::from_arrays(array![[0.0], [1.0]], Targets::None, None).unwrap();
    let timeout = Duration::from_millis(20);
    // Sample 1 is in the second shard, that of rank 1, which computes for longer than the others
    // wait.
    let model = from_fn(vec![1.0], |_: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
        let begun = Instant::now();
        while samples.inputs[[0, 0]] == 1.0 && begun.elapsed() < 20 * timeout {
            std::thread::yield_now();
        }
        grads[0] = 0.0;
        0.0
    });
    let options = Options {
        threads: 2,
        shards: Shards::Count(2),
        shuffle: false,
        timeout: Some(timeout),
        ..Options::default()
    };
    let error = Trainer::new(&model, &data, options).run().unwrap_err();
    let TrainError::Collective(CollectiveError::TimedOut { missing, .. }) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(missing, &[1], "{error}");
}

#[test]
fn a_stopped_run_ends_after_its_step() {
    let data = Dataset::from_arrays(Array2::zeros((64, 1)), Targets::None, None).unwrap();
    let model = from_fn(vec![1.0], |_: &[f32], _: &Samples<'_>, grads: &mut [f32]| {
        grads[0] = 0.0;
        0.0
    });
    let stop = AtomicBool::new(true);
    let options = Options { threads: 2, ..Options::default() };
    let outcome = Trainer::new(&model, &data, options).stop_on(&stop).run().unwrap();
    assert_eq!((outcome.steps, outcome.reason), (1, StopReason::Interrupted));
}
