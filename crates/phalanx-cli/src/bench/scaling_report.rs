//! What came of measuring training.

use std::time::Duration;

use serde::Serialize;

use super::{Growth, Machine, ProductRate, Spread, Take, Warning};
use phalanx::train::{PhaseTimes, Plan};

/// How training scales.
#[derive(Clone, Debug, Serialize)]
pub struct ScalingReport {
    /// What happened to the batch size.
    pub growth: Growth,
    /// The machine before the first take.
    pub machine: Machine,
    /// Its speed in matrix products, measured before the first take.
    pub limit: ProductRate,
    /// Floating-point operations of the gradient of one sample; null if they are not known.
    pub flops_per_sample: Option<u64>,
    /// One for each count of processes and threads, by their product.
    pub points: Vec<ScalingPoint>,
    /// Whether all runs with the same batch size gave the same bits of params. Anything else is a fault of Phalanx.
    pub same_params: bool,
    /// Why the figures may not be trusted.
    pub warnings: Vec<Warning>,
}

/// How fast training is on so many threads.
#[derive(Clone, Debug, Serialize)]
pub struct ScalingPoint {
    /// Processes.
    pub processes: usize,
    /// Threads of each of them.
    pub threads: usize,
    /// Samples of a batch.
    pub batch_size: usize,
    /// Shards of a batch.
    pub shards: usize,
    /// Steps of a run.
    pub steps: u64,
    /// Samples per second over the takes.
    pub samples_per_sec: Spread,
    /// The same, take by take.
    pub takes_samples_per_sec: Vec<f64>,
    /// Median samples per second over those of the smallest count.
    pub speed_up: f64,
    /// The speed-up over the quotient of the ranks.
    pub efficiency: f64,
    /// 10⁹ floating-point operations a second, from the median; null if those of a sample are not known.
    pub gflop_per_sec: Option<f64>,
    /// The same over that of the limit, which is the limit of all cores, however many threads there are.
    pub share_of_limit: Option<f64>,
    /// Where each rank of the first process spent its time over all takes, in rank order.
    pub ranks: Vec<PhaseShares>,
    /// Fingerprint of the params of the first take.
    pub params_sha256: String,
}

/// Where time was spent: shares of its sum, from 0 to 1.
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
    /// Divides by the sum; of no time at all, nothing was spent anywhere.
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

    /// The mean over ranks.
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
    pub(super) fn new(
        growth: Growth,
        machine: Machine,
        limit: ProductRate,
        flops_per_sample: Option<u64>,
        runs: &[(&Plan, Vec<&Take>)],
    ) -> Self {
        let mut points: Vec<_> = runs.iter().map(|(plan, takes)| ScalingPoint::new(plan, takes)).collect();
        let (speed, ranks) = (points[0].samples_per_sec.median, points[0].world_size());
        for point in &mut points {
            point.compare(speed, ranks);
            if let Some(flops) = flops_per_sample {
                point.put_beside(&limit, flops);
            }
        }
        let params = runs.iter().flat_map(|(plan, takes)| {
            takes.iter().map(|take| (plan.batch_size(), take.params_sha256.as_str()))
        });
        let same_params = same_params(&params.collect::<Vec<_>>());
        Self { growth, machine, limit, flops_per_sample, points, same_params, warnings: Vec::new() }
    }

    /// The fingerprint of the params of every run, if they all had the same batch size and gave the same bits.
    pub fn params_sha256(&self) -> Option<&str> {
        let first = self.points.first()?;
        let all = self.points.iter().all(|point| point.params_sha256 == first.params_sha256);
        (all && self.same_params).then_some(&first.params_sha256)
    }
}

impl ScalingPoint {
    fn new(plan: &Plan, takes: &[&Take]) -> Self {
        let speeds: Vec<f64> = takes.iter().map(|take| take.samples_per_sec()).collect();
        Self {
            processes: takes[0].processes,
            threads: plan.threads(),
            batch_size: plan.batch_size(),
            shards: plan.shards(),
            steps: plan.total_steps(),
            samples_per_sec: Spread::of(&speeds),
            takes_samples_per_sec: speeds,
            speed_up: 1.0,
            efficiency: 1.0,
            gflop_per_sec: None,
            share_of_limit: None,
            ranks: shares(takes),
            params_sha256: takes[0].params_sha256.clone(),
        }
    }

    /// Number of ranks: the threads of all processes.
    pub fn world_size(&self) -> usize {
        self.processes * self.threads
    }

    /// Sets what is relative to the smallest count.
    fn compare(&mut self, speed: f64, ranks: usize) {
        self.speed_up = self.samples_per_sec.median / speed;
        self.efficiency = self.speed_up * ranks as f64 / self.world_size() as f64;
    }

    /// Sets what is relative to the limit.
    fn put_beside(&mut self, limit: &ProductRate, flops_per_sample: u64) {
        let rate = self.samples_per_sec.median * flops_per_sample as f64 / 1e9;
        self.gflop_per_sec = Some(rate);
        self.share_of_limit = Some(rate / limit.gflop_per_sec);
    }
}

/// Adds up the phases of each rank over the takes.
fn shares(takes: &[&Take]) -> Vec<PhaseShares> {
    let mut sums = vec![PhaseTimes::default(); takes[0].phases.len()];
    for take in takes {
        sums.iter_mut().zip(&take.phases).for_each(|(sum, phases)| *sum += *phases);
    }
    sums.iter().map(PhaseShares::of).collect()
}

/// Whether runs of the same batch size, each with the fingerprint of its params, gave the same params.
fn same_params(runs: &[(usize, &str)]) -> bool {
    let agree = |(one, hash): &(usize, &str), (other, found): &(usize, &str)| one != other || hash == found;
    runs.iter().all(|one| runs.iter().all(|other| agree(one, other)))
}

#[cfg(test)]
mod tests {
    use super::super::{BenchError, ScalingBench, ScalingOptions};
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
    fn shares_of_phases_add_up_to_one_and_of_no_time_to_none() {
        let secs = Duration::from_secs;
        let times = PhaseTimes { compute: secs(5), wait: secs(2), reduce_update: secs(1) };
        let shares = PhaseShares::of(&times);
        assert_eq!((shares.compute, shares.wait, shares.reduce_update), (0.625, 0.25, 0.125));
        assert_eq!(PhaseShares::of(&PhaseTimes::default()), PhaseShares::default());
        assert_eq!(PhaseShares::mean(&[shares, PhaseShares::default()]).compute, 0.3125);
    }

    #[test]
    fn every_take_counts_its_samples_and_without_thread_counts_there_is_no_take() {
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
