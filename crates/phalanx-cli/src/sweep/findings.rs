//! All that a sweep says, as data.

use serde::{Deserialize, Serialize};

use super::answer::answer;
use super::best::{best_rates, common_goal, same_group, steps_to};
use super::{BestRate, Cell, RateLaw, Record, Run, Sweep, SweepError, TradeOff};
use phalanx::model::Model;
use phalanx::optim::{OptimizerKind, Reduction};

/// What came of a sweep.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Findings {
    /// The loss of the test samples that the steps are counted to; `None` if no loss is reached by every batch size.
    pub goal: Option<f64>,
    /// Whether the goal was chosen, and not given.
    pub goal_is_chosen: bool,
    /// Every cell that was run, over its seeds.
    pub settings: Vec<Setting>,
    /// The best rate of each reduction and batch size that reaches the goal.
    pub best: Vec<BestRate>,
    /// The law of the best rates of the first reduction, if they show both regimes and the optimizer is plain sgd.
    pub rate_law: Option<RateLaw>,
    /// The law of the steps to the goal of the first reduction.
    pub trade_off: Option<TradeOff>,
    /// The gradient noise scale of the best runs.
    pub noise: Option<MeasuredNoise>,
    /// What all this says, in sentences.
    pub answer: Vec<String>,
}

/// A cell over its seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// The cell.
    #[serde(flatten)]
    pub cell: Cell,
    /// Its rate as the mean says it.
    pub rate_under_mean: f64,
    /// Its rate as the sum says it.
    pub rate_under_sum: f64,
    /// Seeds with which the run diverged.
    pub diverged: usize,
    /// Mean loss of the test samples at the end; `None` if a run diverged.
    pub test_loss: Option<f64>,
    /// Steps to the goal, if all seeds reach it.
    pub steps_to_goal: Option<f64>,
}

/// The gradient noise scale over the best run of each batch size, from its first step to the goal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasuredNoise {
    /// The geometric mean over batch sizes and seeds, in samples.
    pub value: f64,
    /// The least and the greatest of them.
    pub range: (f64, f64),
    /// Batch size, noise scale and its standard error, for each run where it is known.
    pub of_runs: Vec<(usize, f64, f64)>,
}

impl Findings {
    /// Finds the goal, the best rates and their laws, and measures the noise scale of the best runs.
    ///
    /// # Errors
    ///
    /// If a run that measures noise fails.
    ///
    /// # Cost
    ///
    /// A run to the goal for each batch size and seed.
    pub fn new<M: Model>(sweep: &Sweep<'_, M>, records: &[Record]) -> Result<Self, SweepError> {
        let cells = cells(sweep, records);
        let given = sweep.options().goal;
        let goal = given.or_else(|| common_goal(&cells));
        let best = goal.map_or_else(Vec::new, |goal| best_rates(sweep, &cells, goal));
        let first = sweep.options().reductions[0];
        let settings = cells.iter().map(|(cell, records)| setting(sweep, *cell, records, goal)).collect();
        let mut findings = Self {
            goal,
            goal_is_chosen: given.is_none(),
            settings,
            rate_law: rate_law(sweep, &best, first),
            trade_off: TradeOff::fit(&points(&best, first, |best| best.steps)),
            noise: noise(sweep, &best, first)?,
            best,
            answer: Vec::new(),
        };
        findings.answer = answer(&findings, first);
        Ok(findings)
    }

    /// The best rates of a reduction, from the smallest batch on.
    pub fn best_of(&self, reduction: Reduction) -> impl Iterator<Item = &BestRate> {
        self.best.iter().filter(move |best| best.cell.reduction == reduction)
    }
}

/// The records of each cell, in the order of the sweep; cells of which a run is missing are left out.
fn cells<'a, M>(sweep: &Sweep<'_, M>, records: &'a [Record]) -> Vec<(Cell, Vec<&'a Record>)> {
    let of = |run: &Run| records.iter().find(|record| record.run == *run);
    let runs = sweep.runs().chunk_by(|a, b| a.cell == b.cell);
    let mut cells: Vec<(Cell, Vec<&Record>)> = runs
        .filter_map(|runs| Some((runs[0].cell, runs.iter().map(of).collect::<Option<Vec<_>>>()?)))
        .collect();
    // Stable: batch sizes and rates keep their order.
    cells.sort_by_key(|(cell, _)| sweep.options().reductions.iter().position(|r| *r == cell.reduction));
    debug_assert!(
        cells.windows(2).all(|pair| !same_group(&pair[0].0, &pair[1].0) || pair[0].0.rate < pair[1].0.rate)
    );
    cells
}

fn setting<M>(sweep: &Sweep<'_, M>, cell: Cell, records: &[&Record], goal: Option<f64>) -> Setting {
    let losses: Option<Vec<f64>> = records.iter().map(|record| record.final_loss()).collect();
    let (rate_under_mean, rate_under_sum) = sweep.rates(&cell, cell.rate);
    Setting {
        cell,
        rate_under_mean,
        rate_under_sum,
        diverged: records.iter().filter(|record| record.diverged).count(),
        test_loss: losses.map(|losses| losses.iter().sum::<f64>() / losses.len() as f64),
        steps_to_goal: goal.and_then(|goal| steps_to(records, goal)),
    }
}

/// Batch sizes and a value of their best rates; without those whose best rate may lie beyond the ones tried.
fn points(best: &[BestRate], reduction: Reduction, value: impl Fn(&BestRate) -> f64) -> Vec<(f64, f64)> {
    let inside = best.iter().filter(|best| best.cell.reduction == reduction && !best.at_end);
    inside.map(|best| (best.cell.batch_size as f64, value(best))).collect()
}

/// The law is one of plain sgd; momentum multiplies its rate, and other rules have other laws.
fn rate_law<M>(sweep: &Sweep<'_, M>, best: &[BestRate], reduction: Reduction) -> Option<RateLaw> {
    let plain = sweep.base().optimizer.kind == OptimizerKind::Sgd;
    plain.then(|| RateLaw::fit(&points(best, reduction, |best| best.rate_under_mean))).flatten()
}

fn noise<M: Model>(
    sweep: &Sweep<'_, M>,
    best: &[BestRate],
    reduction: Reduction,
) -> Result<Option<MeasuredNoise>, SweepError> {
    let mut of_runs = Vec::new();
    for best in best.iter().filter(|best| best.cell.reduction == reduction) {
        for &seed in &sweep.options().seeds {
            let estimate = sweep.noise(&Run { cell: best.cell, seed }, best.steps.ceil() as u64)?;
            of_runs.extend(estimate.map(|found| (best.cell.batch_size, found.value, found.error)));
        }
    }
    if of_runs.is_empty() {
        return Ok(None);
    }
    let values = || of_runs.iter().map(|(_, value, _)| *value);
    let value = (values().map(f64::ln).sum::<f64>() / of_runs.len() as f64).exp();
    let range = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    Ok(Some(MeasuredNoise { value, range, of_runs }))
}
