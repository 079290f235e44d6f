//! Measures the speed of training for each number of threads and processes.

use std::fmt;
use std::time::Duration;

use phalanx::checkpoint::params_sha256;
use phalanx::collective::internals::gather_parts;
use phalanx::collective::{CollectiveError, Incoming, Outgoing, ProcessCommunicator, Wire};
use phalanx::data::Dataset;
use phalanx::model::Model;
use phalanx::train::{Event, Options, Outcome, PhaseTimes, Plan, Trainer};
use serde::Serialize;

use super::error::check_takes;
use super::{BenchError, Machine, ProductRate, Statistics, Warning};

/// Rows and columns of the matrices whose product is the limit: 4 MiB each, more than most
/// second-level caches hold, as in the training of wide layers.
const LIMIT_SIDE: usize = 1024;

/// Growth of the batch size with the number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Growth {
    /// Strong scaling: the batch size stays the same.
    Strong,
    /// Weak scaling: the batch size grows with the threads. The given batch size is that of the
    /// smallest count.
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

/// The options of a measurement, unchecked; [`ScalingBench::run`] checks them.
#[derive(Clone, Debug)]
pub struct ScalingOptions {
    /// Thread counts, in any order; each is measured once per take.
    pub threads: Vec<usize>,
    /// Number of training runs per count.
    pub takes: usize,
    /// Growth of the batch size with the number of threads.
    pub growth: Growth,
}

/// Measures training runs that differ only in the number of threads and of
/// [processes](Self::across).
pub struct ScalingBench<'a, M> {
    model: &'a M,
    train: &'a Dataset,
    options: Options,
    scaling: ScalingOptions,
    initial: Option<Vec<f32>>,
    flops_per_sample: Option<u64>,
    wire: Option<&'a mut dyn Wire>,
}

/// A number of processes, with the plan of each.
struct RunLayout {
    processes: usize,
    plan: Plan,
}

impl<'a, M: Model> ScalingBench<'a, M> {
    /// Prepares a measurement; nothing is checked before [`run`](Self::run). The thread count of
    /// `options` is ignored.
    pub fn new(model: &'a M, train: &'a Dataset, options: Options, scaling: ScalingOptions) -> Self {
        Self { model, train, options, scaling, initial: None, flops_per_sample: None, wire: None }
    }

    /// Starts each run from these params instead of the model's own.
    pub fn initial_params(self, params: Vec<f32>) -> Self {
        Self { initial: Some(params), ..self }
    }

    /// Compares the speed with the machine's limit; the gradient of a sample takes `flops`
    /// floating-point operations.
    pub fn flops_per_sample(self, flops: u64) -> Self {
        Self { flops_per_sample: Some(flops), ..self }
    }

    /// Measures each thread count on 1, 2, 4 ... and all of the processes of a job. Process 0 calls
    /// [`run`](Self::run), the others, with the same data, model and options,
    /// [`follow`](Self::follow).
    pub fn across(self, wire: &'a mut dyn Wire) -> Self {
        Self { wire: Some(wire), ..self }
    }

    /// Measures the limit, then in each take every thread count in turn, then the limit again;
    /// calls `on_take` after each run.
    ///
    /// # Errors
    ///
    /// If a thread count, the takes or the batch size are invalid, the options do not match data
    /// and model, a run fails or diverges, threads cannot be started, or processes cannot continue
    /// together.
    ///
    /// # Cost
    ///
    /// Takes times thread counts training runs.
    pub fn run(mut self, on_take: impl FnMut(&MeasuredRun)) -> Result<ScalingReport, BenchError> {
        let layouts = self.layouts()?;
        let machine = Machine::now();
        let most = layouts.iter().map(|layout| layout.plan.threads()).max().unwrap_or(1);
        let mut warnings = Warning::of_machine(&machine, most);
        warnings.extend(layouts.iter().filter_map(RunLayout::idle_ranks));
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

    /// Takes part as a process other than the first, without a report.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn follow(mut self) -> Result<(), BenchError> {
        let layouts = self.layouts()?;
        self.measure(&layouts, |_| ()).map(drop)
    }

    /// Runs all takes; returns those in which this process takes part.
    fn measure(
        &mut self,
        layouts: &[RunLayout],
        mut on_take: impl FnMut(&MeasuredRun),
    ) -> Result<Vec<MeasuredRun>, BenchError> {
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

    /// Returns the step in which the run diverged on any process, if it did; waits for all
    /// processes.
    fn anywhere(&mut self, diverged: Option<u64>) -> Result<Option<u64>, BenchError> {
        let Some(wire) = &mut self.wire else { return Ok(diverged) };
        // Other processes may take as long as a run, or as the matrix products.
        wire.set_timeout(None);
        let mut steps = vec![diverged.unwrap_or(0); wire.processes()];
        gather_parts(&mut **wire, &mut steps, |process| process..process + 1)?;
        Ok(steps.into_iter().max().filter(|step| *step > 0))
    }

    /// Plans the run of each count of processes and threads, sorted by the number of ranks, so that
    /// every error is found before the first take.
    fn layouts(&mut self) -> Result<Vec<RunLayout>, BenchError> {
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
                layouts
                    .push(RunLayout { processes, plan: Plan::new(&options, self.model, self.train, None)? });
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

    /// Trains once, if this process takes part; also returns the step in which the run diverged, if
    /// it did.
    fn take(
        &mut self,
        index: usize,
        layout: &RunLayout,
    ) -> Result<Option<(MeasuredRun, Option<u64>)>, BenchError> {
        let (plan, processes) = (&layout.plan, layout.processes);
        let (threads, options) = (plan.threads(), self.with(plan.threads(), plan.batch_size()));
        let mut trainer = Trainer::new(self.model, self.train, options);
        if let Some(initial) = &self.initial {
            trainer = trainer.initial_params(initial.clone());
        }
        if let Some(wire) = &mut self.wire {
            // Starts all processes together, so that none waits for another during the run, which
            // has its own timeout.
            wire.set_timeout(None);
            ProcessCommunicator::new(&mut **wire).barrier()?;
            if wire.process() >= processes {
                return Ok(None);
            }
            trainer = trainer.across(SubgroupWire { wire: &mut **wire, processes });
        }
        let (mut samples, mut elapsed) = (0, Duration::ZERO);
        let Outcome { params, phases, divergence, .. } = trainer
            .on_event(|event| {
                if let Event::Epoch(epoch) = event {
                    samples += epoch.samples;
                    elapsed += epoch.elapsed;
                }
            })
            .run()?;
        let params_sha256 = params_sha256(&params);
        let take = MeasuredRun { index, processes, threads, samples, elapsed, phases, params_sha256 };
        Ok(Some((take, divergence.map(|divergence| divergence.step()))))
    }
}

impl RunLayout {
    fn world_size(&self) -> usize {
        self.processes * self.plan.threads()
    }

    fn is_of(&self, take: &MeasuredRun) -> bool {
        (take.processes, take.threads) == (self.processes, self.plan.threads())
    }

    fn idle_ranks(&self) -> Option<Warning> {
        let (threads, shards) = (self.world_size(), self.plan.shards());
        (threads > shards).then_some(Warning::IdleThreads { threads, shards })
    }
}

/// A wire restricted to its first `processes`, which train while the others wait.
struct SubgroupWire<'w> {
    wire: &'w mut dyn Wire,
    processes: usize,
}

impl Wire for SubgroupWire<'_> {
    fn process(&self) -> usize {
        self.wire.process()
    }

    fn processes(&self) -> usize {
        self.processes
    }

    fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.wire.set_timeout(timeout);
    }

    fn exchange(
        &mut self,
        outgoing: &[Outgoing<'_>],
        incoming: &mut [Incoming<'_>],
    ) -> Result<(), CollectiveError> {
        self.wire.exchange(outgoing, incoming)
    }
}

/// One training run that was measured.
#[derive(Clone, Debug)]
pub struct MeasuredRun {
    /// 0-based number of the take.
    pub index: usize,
    /// Processes that shared the run.
    pub processes: usize,
    /// Threads per process.
    pub threads: usize,
    /// Samples trained on, over all epochs.
    pub samples: u64,
    /// Wall time of the epochs.
    pub elapsed: Duration,
    /// The time by phase for each rank of this process.
    pub phases: Vec<PhaseTimes>,
    /// Fingerprint of the final params.
    pub params_sha256: String,
}

impl MeasuredRun {
    /// Returns the samples per second.
    pub fn samples_per_sec(&self) -> f64 {
        self.samples as f64 / self.elapsed.as_secs_f64()
    }
}

/// The speed of training for each count.
#[derive(Clone, Debug, Serialize)]
pub struct ScalingReport {
    /// The batch size as threads were added.
    pub growth: Growth,
    /// The machine before the first take.
    pub machine: Machine,
    /// The speed of the machine in matrix products: the better of the measurements before and after
    /// the takes.
    pub limit: ProductRate,
    /// Floating-point operations of the gradient of one sample; null if unknown.
    pub flops_per_sample: Option<u64>,
    /// One point per count of processes and threads, sorted by their product.
    pub points: Vec<ScalingPoint>,
    /// True if all runs with the same batch size have bit-identical params. Anything else is a bug
    /// in Phalanx.
    pub same_params: bool,
    /// Reasons why the measurements may be unreliable.
    pub warnings: Vec<Warning>,
}

/// The speed of training on a number of threads.
#[derive(Clone, Debug, Serialize)]
pub struct ScalingPoint {
    /// Number of processes.
    pub processes: usize,
    /// Threads per process.
    pub threads: usize,
    /// Samples of a batch.
    pub batch_size: usize,
    /// Shards of a batch.
    pub shards: usize,
    /// Steps of a run.
    pub steps: u64,
    /// Samples per second over the takes.
    pub samples_per_sec: Statistics,
    /// Samples per second of each take.
    pub takes_samples_per_sec: Vec<f64>,
    /// Median samples per second, divided by that of the smallest count.
    pub speed_up: f64,
    /// The speed-up, divided by the ratio of the numbers of ranks.
    pub efficiency: f64,
    /// 10⁹ floating-point operations per second, from the median; null if those of a sample are
    /// unknown.
    pub gflop_per_sec: Option<f64>,
    /// `gflop_per_sec` divided by that of the limit, which is for all cores, independent of the
    /// number of threads.
    pub share_of_limit: Option<f64>,
    /// The time of each rank of the first process by phase, over all takes, in rank order.
    pub ranks: Vec<PhaseShares>,
    /// Fingerprint of the params of the first take.
    pub params_sha256: String,
}

/// Time by phase, as shares of the total from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PhaseShares {
    /// Gathering, forward, loss, backward.
    pub compute: f64,
    /// Waiting for other ranks.
    pub wait: f64,
    /// Combining shards, dividing, clipping, updating.
    pub reduce_update: f64,
}

impl PhaseShares {
    /// Divides the times by their sum; if it is 0, all shares are 0.
    pub fn of(times: &PhaseTimes) -> Self {
        let total = times.compute + times.wait + times.reduce_update;
        let share =
            |time: Duration| if total.is_zero() { 0.0 } else { time.as_secs_f64() / total.as_secs_f64() };
        Self {
            compute: share(times.compute),
            wait: share(times.wait),
            reduce_update: share(times.reduce_update),
        }
    }

    /// Returns the mean over ranks.
    pub fn mean(ranks: &[Self]) -> Self {
        let mean = |of: fn(&Self) -> f64| ranks.iter().map(of).sum::<f64>() / ranks.len().max(1) as f64;
        Self {
            compute: mean(|rank| rank.compute),
            wait: mean(|rank| rank.wait),
            reduce_update: mean(|rank| rank.reduce_update),
        }
    }
}

impl ScalingReport {
    fn new(
        growth: Growth,
        machine: Machine,
        limit: ProductRate,
        flops_per_sample: Option<u64>,
        runs: &[(&Plan, Vec<&MeasuredRun>)],
    ) -> Self {
        let mut points: Vec<ScalingPoint> = Vec::with_capacity(runs.len());
        for (plan, takes) in runs {
            let mut point = ScalingPoint::new(plan, takes, points.first());
            point.gflop_per_sec =
                flops_per_sample.map(|flops| point.samples_per_sec.median * flops as f64 / 1e9);
            point.share_of_limit = point.gflop_per_sec.map(|rate| rate / limit.gflop_per_sec);
            points.push(point);
        }
        let params = runs.iter().flat_map(|(plan, takes)| {
            takes.iter().map(|take| (plan.batch_size(), take.params_sha256.as_str()))
        });
        let same_params = same_params(&params.collect::<Vec<_>>());
        Self { growth, machine, limit, flops_per_sample, points, same_params, warnings: Vec::new() }
    }

    /// Returns the fingerprint of the params of every run, if all runs had the same batch size and
    /// are bit-identical.
    pub fn params_sha256(&self) -> Option<&str> {
        let first = self.points.first()?;
        let all = self.points.iter().all(|point| point.params_sha256 == first.params_sha256);
        (all && self.same_params).then_some(&first.params_sha256)
    }
}

impl ScalingPoint {
    /// Compares takes with `first`, the point of the smallest count, which is `None` if these are
    /// its takes.
    fn new(plan: &Plan, takes: &[&MeasuredRun], first: Option<&Self>) -> Self {
        let speeds: Vec<f64> = takes.iter().map(|take| take.samples_per_sec()).collect();
        let (processes, threads) = (takes[0].processes, plan.threads());
        let (speed, ranks) = (Statistics::of(&speeds), processes * threads);
        let base = first.map_or((speed.median, ranks), |f| (f.samples_per_sec.median, f.world_size()));
        let speed_up = speed.median / base.0;
        Self {
            processes,
            threads,
            batch_size: plan.batch_size(),
            shards: plan.shards(),
            steps: plan.total_steps(),
            samples_per_sec: speed,
            takes_samples_per_sec: speeds,
            speed_up,
            efficiency: speed_up * base.1 as f64 / ranks as f64,
            gflop_per_sec: None,
            share_of_limit: None,
            ranks: shares(takes),
            params_sha256: takes[0].params_sha256.clone(),
        }
    }

    /// Returns the number of ranks: the threads of all processes.
    pub fn world_size(&self) -> usize {
        self.processes * self.threads
    }
}

/// Adds up the phases of each rank over the takes.
fn shares(takes: &[&MeasuredRun]) -> Vec<PhaseShares> {
    let mut sums = vec![PhaseTimes::default(); takes[0].phases.len()];
    for take in takes {
        sums.iter_mut().zip(&take.phases).for_each(|(sum, phases)| *sum += *phases);
    }
    sums.iter().map(PhaseShares::of).collect()
}

/// Returns whether runs of the same batch size, each with the fingerprint of its params, gave the
/// same params.
fn same_params(runs: &[(usize, &str)]) -> bool {
    let agree = |(one, hash): &(usize, &str), (other, found): &(usize, &str)| one != other || hash == found;
    runs.iter().all(|one| runs.iter().all(|other| agree(one, other)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx::data::{LoadOptions, Source};
    use phalanx::model::{Activation, Loss, Mlp, MlpShape};
    use phalanx::train::{Length, Options};

    #[test]
    fn params_may_differ_between_batch_sizes_but_never_within_one() {
        assert!(same_params(&[(64, "a"), (64, "a"), (128, "b"), (128, "b")]));
        assert!(!same_params(&[(64, "a"), (128, "b"), (64, "b")]));
    }

    #[test]
    fn shares_of_phases_sum_to_one_or_are_zero_without_any_time() {
        let secs = Duration::from_secs;
        let times = PhaseTimes { compute: secs(5), wait: secs(2), reduce_update: secs(1) };
        let shares = PhaseShares::of(&times);
        assert_eq!((shares.compute, shares.wait, shares.reduce_update), (0.625, 0.25, 0.125));
        assert_eq!(PhaseShares::of(&PhaseTimes::default()), PhaseShares::default());
        assert_eq!(PhaseShares::mean(&[shares, PhaseShares::default()]).compute, 0.3125);
    }

    #[test]
    fn every_take_counts_its_samples_and_an_empty_list_of_thread_counts_is_rejected() {
        let digits = "digits".parse::<Source>().unwrap().load(&LoadOptions::default()).unwrap().train;
        let (hidden, activation, loss) = (vec![16], Activation::Relu, Loss::CrossEntropy);
        let mlp = Mlp::new(MlpShape { inputs: 64, hidden, outputs: 10, activation, loss });
        let options = Options { length: Length::Steps(5), ..Options::default() };
        let scaling = ScalingOptions { threads: vec![1, 64], takes: 1, growth: Growth::Strong };
        let none = ScalingOptions { threads: vec![], ..scaling.clone() };
        let refused = ScalingBench::new(&mlp, &digits, options.clone(), none).run(|_| panic!("measured"));
        assert!(matches!(refused, Err(BenchError::NoThreads)));

        let mut samples = 0;
        let bench = ScalingBench::new(&mlp, &digits, options, scaling);
        let report = bench.run(|take| samples += take.samples).unwrap();
        assert_eq!(samples, 2 * 5 * 64);
        let point = &report.points[0];
        let PhaseShares { compute, wait, reduce_update } = point.ranks[0];
        assert!(point.speed_up == 1.0 && (compute + wait + reduce_update - 1.0).abs() < 1e-6);
        let idle = |warning: &Warning| matches!(warning, Warning::IdleThreads { threads: 64, .. });
        assert!(report.warnings.iter().any(idle));
    }
}
