//! Measures how the speed of training grows with the threads.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::among::Among;
use super::error::check_takes;
use super::scaling_report::ScalingReport;
use super::{BenchError, Machine, ProductRate, Warning};
use phalanx::checkpoint::params_sha256;
use phalanx::collective::{ProcessCommunicator, Wire, gather_parts};
use phalanx::data::Dataset;
use phalanx::model::Model;
use phalanx::train::{Event, Options, Outcome, PhaseTimes, Plan, StopReason, Trainer};

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

/// Measures training runs that differ in the number of threads alone, and of [processes](Self::across).
pub struct ScalingBench<'a, M> {
    model: &'a M,
    train: &'a Dataset,
    options: Options,
    scaling: ScalingOptions,
    initial: Option<Vec<f32>>,
    flops_per_sample: Option<u64>,
    wire: Option<&'a mut dyn Wire>,
}

/// So many processes, with what each of them does.
struct Layout {
    processes: usize,
    plan: Plan,
}

/// One training run that was measured.
#[derive(Clone, Debug)]
pub struct Take {
    /// 0-based number of the take.
    pub index: usize,
    /// Processes that shared the run.
    pub processes: usize,
    /// Threads of each of them.
    pub threads: usize,
    /// Samples trained on, over all epochs.
    pub samples: u64,
    /// Wall time of the epochs.
    pub elapsed: Duration,
    /// Where each rank of this process spent it.
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
        Self { model, train, options, scaling, initial: None, flops_per_sample: None, wire: None }
    }

    /// Starts each run from these params instead of the model's own.
    pub fn initial_params(self, params: Vec<f32>) -> Self {
        Self { initial: Some(params), ..self }
    }

    /// Compares with the machine's limit: the gradient of a sample takes so many floating-point operations.
    pub fn flops_per_sample(self, flops: u64) -> Self {
        Self { flops_per_sample: Some(flops), ..self }
    }

    /// Measures each thread count on 1, 2, 4 ... and all of the processes of a job. Process 0 calls [`run`](Self::run), the others, with
    /// the same data, model and options, [`follow`](Self::follow).
    pub fn across(self, wire: &'a mut dyn Wire) -> Self {
        Self { wire: Some(wire), ..self }
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
    pub fn run(mut self, on_take: impl FnMut(&Take)) -> Result<ScalingReport, BenchError> {
        let layouts = self.layouts()?;
        let machine = Machine::now();
        let most = layouts.iter().map(|layout| layout.plan.threads()).max().unwrap_or(1);
        let mut warnings = Warning::of_machine(&machine, most);
        warnings.extend(layouts.iter().filter_map(Layout::idle_ranks));
        let limit = ProductRate::measure(LIMIT_SIDE, machine.cores)?;
        let takes = self.measure(&layouts, on_take)?;
        let limit = limit.or_better(ProductRate::measure(LIMIT_SIDE, machine.cores)?);
        let runs: Vec<_> = layouts
            .iter()
            .map(|layout| (&layout.plan, takes.iter().filter(|take| layout.is_of(take)).collect()))
            .collect();
        let mut report =
            ScalingReport::new(self.scaling.growth, machine, limit, self.flops_per_sample, &runs);
        warnings.extend(
            report
                .points
                .iter()
                .filter_map(|point| Warning::of_takes(point.world_size(), &point.samples_per_sec)),
        );
        report.warnings = warnings;
        Ok(report)
    }

    /// Takes part as one of the processes that are not the first, and has nothing to report.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn follow(mut self) -> Result<(), BenchError> {
        let layouts = self.layouts()?;
        self.measure(&layouts, |_| ()).map(drop)
    }

    /// All takes in which this process has a part.
    fn measure(
        &mut self,
        layouts: &[Layout],
        mut on_take: impl FnMut(&Take),
    ) -> Result<Vec<Take>, BenchError> {
        let mut takes = Vec::with_capacity(layouts.len() * self.scaling.takes);
        for index in 0..self.scaling.takes {
            for layout in layouts {
                let (take, diverged) = self.take(index, layout)?.unzip();
                if let Some(step) = self.anywhere(diverged.flatten())? {
                    return Err(BenchError::Diverged { threads: layout.plan.threads(), step });
                }
                if let Some(take) = take {
                    on_take(&take);
                    takes.push(take);
                }
            }
        }
        Ok(takes)
    }

    /// The step in which the run diverged, if it did, in any process; waits for all.
    fn anywhere(&mut self, diverged: Option<u64>) -> Result<Option<u64>, BenchError> {
        let Some(wire) = &mut self.wire else { return Ok(diverged) };
        // Others may be at it for as long as a run takes, or the products.
        wire.set_timeout(None);
        let mut steps = vec![diverged.unwrap_or(0); wire.processes()];
        gather_parts(&mut **wire, &mut steps, |process| process..process + 1)?;
        Ok(steps.into_iter().max().filter(|step| *step > 0))
    }

    /// What each count of processes and threads comes to, by their ranks: all that can be wrong is said before the first take.
    fn layouts(&mut self) -> Result<Vec<Layout>, BenchError> {
        self.scaling.threads.sort_unstable();
        self.scaling.threads.dedup();
        check_takes(self.scaling.takes)?;
        let smallest = *self.scaling.threads.first().ok_or(BenchError::NoThreads)?;
        if smallest == 0 {
            return Err(BenchError::ZeroThreads);
        }
        let all = self.wire.as_ref().map_or(1, |wire| wire.processes());
        let doubling = std::iter::successors(Some(1), |count| Some(2 * count));
        let mut layouts = Vec::new();
        for processes in doubling.take_while(|count| *count < all).chain([all]) {
            for &threads in &self.scaling.threads {
                let batch_size = self.batch_size(processes * threads, smallest)?;
                let options = self.with(threads, batch_size);
                layouts.push(Layout { processes, plan: Plan::new(&options, self.model, self.train, None)? });
            }
        }
        layouts.sort_by_key(|layout| (layout.world_size(), layout.processes));
        Ok(layouts)
    }

    fn batch_size(&self, ranks: usize, smallest: usize) -> Result<usize, BenchError> {
        let (batch_size, samples) = (self.options.batch_size, self.train.len());
        if self.scaling.growth == Growth::Strong {
            return Ok(batch_size);
        }
        let product = batch_size.saturating_mul(ranks);
        if !product.is_multiple_of(smallest) {
            return Err(BenchError::UnevenBatch { batch_size, smallest, threads: ranks });
        }
        let batch_size = product / smallest;
        if batch_size > samples {
            return Err(BenchError::BatchBeyondData { threads: ranks, batch_size, samples });
        }
        Ok(batch_size)
    }

    fn with(&self, threads: usize, batch_size: usize) -> Options {
        Options { threads, batch_size, ..self.options.clone() }
    }

    /// Trains once, if this process has a part in it; also the step in which the run diverged, if it did.
    fn take(&mut self, index: usize, layout: &Layout) -> Result<Option<(Take, Option<u64>)>, BenchError> {
        let (plan, processes) = (&layout.plan, layout.processes);
        let (threads, options) = (plan.threads(), self.with(plan.threads(), plan.batch_size()));
        let mut trainer = Trainer::new(self.model, self.train, options);
        if let Some(initial) = &self.initial {
            trainer = trainer.initial_params(initial.clone());
        }
        if let Some(wire) = &mut self.wire {
            // Together, so that nobody is waited for in the run, whose timeout is its own.
            wire.set_timeout(None);
            ProcessCommunicator::new(&mut **wire).barrier()?;
            if wire.process() >= processes {
                return Ok(None);
            }
            trainer = trainer.across(Among { wire: &mut **wire, processes });
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
        let params_sha256 = params_sha256(&params);
        let take = Take { index, processes, threads, samples, elapsed, phases, params_sha256 };
        Ok(Some((take, (reason == StopReason::Diverged).then_some(steps))))
    }
}

impl Layout {
    fn world_size(&self) -> usize {
        self.processes * self.plan.threads()
    }

    fn is_of(&self, take: &Take) -> bool {
        (take.processes, take.threads) == (self.processes, self.plan.threads())
    }

    fn idle_ranks(&self) -> Option<Warning> {
        let (threads, shards) = (self.world_size(), self.plan.shards());
        (threads > shards).then_some(Warning::IdleThreads { threads, shards })
    }
}
