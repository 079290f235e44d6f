//! Measures how the speed of training grows with the threads.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::error::check_takes;
use super::scaling_report::ScalingReport;
use super::{BenchError, Machine, ProductRate, Warning};
use crate::checkpoint::params_sha256;
use crate::data::Dataset;
use crate::model::Model;
use crate::train::{Event, Options, Outcome, PhaseTimes, Plan, StopReason, Trainer};

/// Rows and columns of the products that are the limit: 12 MiB of matrices, beyond what a thin product profits from.
const LIMIT_SIDE: usize = 1024;

/// What happens to the batch size as threads are added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Growth {
    /// It stays: strong scaling.
    #[default]
    Strong,
    /// It grows with the threads: weak scaling. The batch size given is that of the smallest count.
    Weak,
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Strong => "strong",
            Self::Weak => "weak",
        })
    }
}

impl Serialize for Growth {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What to measure, unchecked; [`ScalingBench::run`] checks it.
#[derive(Clone, Debug)]
pub struct ScalingOptions {
    /// Thread counts, in any order; each is measured once a take.
    pub threads: Vec<usize>,
    /// Training runs of each count.
    pub takes: usize,
    /// What happens to the batch size.
    pub growth: Growth,
}

/// Measures training runs that differ in their thread count alone.
///
/// # Examples
///
/// ```
/// use phalanx::bench::{Growth, ScalingBench, ScalingOptions};
/// use phalanx::data::LoadOptions;
/// use phalanx::model::{Activation, Loss, Mlp, MlpShape};
/// use phalanx::train::{Length, Options};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let digits = "digits".parse::<phalanx::data::Source>()?.load(&LoadOptions::default())?.train;
/// let (activation, loss) = (Activation::Relu, Loss::CrossEntropy);
/// let mlp = Mlp::new(MlpShape { inputs: 64, hidden: vec![16], outputs: 10, activation, loss });
/// let options = Options { length: Length::Steps(5), ..Options::default() };
/// let scaling = ScalingOptions { threads: vec![1, 2], takes: 1, growth: Growth::Strong };
/// let report = ScalingBench::new(&mlp, &digits, options, scaling)
///     .flops_per_sample(mlp.flops_per_sample())
///     .run(|_| {})?;
/// assert_eq!(report.points.len(), 2);
/// assert!(report.same_params);
/// # Ok(())
/// # }
/// ```
pub struct ScalingBench<'a, M> {
    model: &'a M,
    train: &'a Dataset,
    options: Options,
    scaling: ScalingOptions,
    initial: Option<Vec<f32>>,
    flops_per_sample: Option<u64>,
}

/// One training run that was measured.
#[derive(Clone, Debug)]
pub struct Take {
    /// 0-based number of the take.
    pub index: usize,
    /// Threads of the run.
    pub threads: usize,
    /// Samples trained on, over all epochs.
    pub samples: u64,
    /// Wall time of the epochs.
    pub elapsed: Duration,
    /// Where each rank spent it.
    pub phases: Vec<PhaseTimes>,
    /// Fingerprint of the params that came of it.
    pub params_sha256: String,
}

impl Take {
    /// Samples per second.
    pub fn samples_per_sec(&self) -> f64 {
        self.samples as f64 / self.elapsed.as_secs_f64()
    }
}

impl<'a, M: Model> ScalingBench<'a, M> {
    /// Prepares a measurement; nothing is checked before [`run`](Self::run). The thread count of `options` is not used.
    pub fn new(model: &'a M, train: &'a Dataset, options: Options, scaling: ScalingOptions) -> Self {
        Self { model, train, options, scaling, initial: None, flops_per_sample: None }
    }

    /// Starts each run from these params instead of the model's own.
    pub fn initial_params(self, params: Vec<f32>) -> Self {
        Self { initial: Some(params), ..self }
    }

    /// Compares with the machine's limit: the gradient of a sample takes so many floating-point operations.
    pub fn flops_per_sample(self, flops: u64) -> Self {
        Self { flops_per_sample: Some(flops), ..self }
    }

    /// Measures the limit, before and after, and in between each thread count in turn, take by take; tells `on_take` after each run.
    ///
    /// # Errors
    ///
    /// If a thread count, the takes or the batch size make no sense, the options do not fit data and model, a run
    /// diverges or threads cannot be started.
    ///
    /// # Cost
    ///
    /// Takes times thread counts training runs.
    pub fn run(mut self, mut on_take: impl FnMut(&Take)) -> Result<ScalingReport, BenchError> {
        self.scaling.threads.sort_unstable();
        self.scaling.threads.dedup();
        let plans = self.plans()?;
        let machine = Machine::now();
        let mut warnings = Warning::of_machine(&machine, plans.last().map_or(1, Plan::threads));
        warnings.extend(plans.iter().filter_map(idle_threads));
        let limit = ProductRate::measure(LIMIT_SIDE, machine.cores)?;
        let mut takes = Vec::with_capacity(plans.len() * self.scaling.takes);
        for index in 0..self.scaling.takes {
            for plan in &plans {
                let take = self.take(index, plan)?;
                on_take(&take);
                takes.push(take);
            }
        }
        let limit = limit.or_better(ProductRate::measure(LIMIT_SIDE, machine.cores)?);
        let of = |plan: &Plan| takes.iter().filter(|take| take.threads == plan.threads()).collect();
        let runs: Vec<(&Plan, Vec<&Take>)> = plans.iter().map(|plan| (plan, of(plan))).collect();
        let mut report =
            ScalingReport::new(self.scaling.growth, machine, limit, self.flops_per_sample, &runs);
        warnings.extend(
            report.points.iter().filter_map(|point| Warning::of_takes(point.threads, &point.samples_per_sec)),
        );
        report.warnings = warnings;
        Ok(report)
    }

    /// What each thread count comes to: all that can be wrong is said before the first take.
    fn plans(&self) -> Result<Vec<Plan>, BenchError> {
        check_takes(self.scaling.takes)?;
        let smallest = *self.scaling.threads.first().ok_or(BenchError::NoThreads)?;
        if smallest == 0 {
            return Err(BenchError::ZeroThreads);
        }
        let plan = |threads: &usize| {
            let batch_size = self.batch_size(*threads, smallest)?;
            Ok(Plan::new(&self.with(*threads, batch_size), self.model, self.train, None)?)
        };
        self.scaling.threads.iter().map(plan).collect()
    }

    fn batch_size(&self, threads: usize, smallest: usize) -> Result<usize, BenchError> {
        let (batch_size, samples) = (self.options.batch_size, self.train.len());
        if self.scaling.growth == Growth::Strong {
            return Ok(batch_size);
        }
        let product = batch_size.saturating_mul(threads);
        if !product.is_multiple_of(smallest) {
            return Err(BenchError::UnevenBatch { batch_size, smallest, threads });
        }
        let batch_size = product / smallest;
        if batch_size > samples {
            return Err(BenchError::BatchBeyondData { threads, batch_size, samples });
        }
        Ok(batch_size)
    }

    fn with(&self, threads: usize, batch_size: usize) -> Options {
        Options { threads, batch_size, ..self.options.clone() }
    }

    /// Trains once.
    fn take(&self, index: usize, plan: &Plan) -> Result<Take, BenchError> {
        let threads = plan.threads();
        let mut trainer = Trainer::new(self.model, self.train, self.with(threads, plan.batch_size()));
        if let Some(initial) = &self.initial {
            trainer = trainer.initial_params(initial.clone());
        }
        let (mut samples, mut elapsed) = (0, Duration::ZERO);
        let Outcome { params, phases, reason, steps, .. } = trainer
            .on_event(|event| {
                if let Event::Epoch(epoch) = event {
                    samples += epoch.samples;
                    elapsed += epoch.elapsed;
                }
            })
            .run()?;
        if reason == StopReason::Diverged {
            return Err(BenchError::Diverged { threads, step: steps });
        }
        Ok(Take { index, threads, samples, elapsed, phases, params_sha256: params_sha256(&params) })
    }
}

fn idle_threads(plan: &Plan) -> Option<Warning> {
    let (threads, shards) = (plan.threads(), plan.shards());
    (threads > shards).then_some(Warning::IdleThreads { threads, shards })
}
