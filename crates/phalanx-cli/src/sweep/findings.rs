//! The findings of a sweep: the goal, the best rates, the laws fitted to them, the noise scale, and
//! the answer in sentences.

use phalanx::model::Model;
use phalanx::optim::{OptimizerKind, Reduction};
use serde::{Deserialize, Serialize};

use super::{Cell, RateLaw, Sweep, SweepError, SweepRecord, SweepRun, TradeOff};
use crate::numbers::{short_number, significant};

/// The findings of a sweep.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Findings {
    /// The test loss up to which steps are counted; `None` if no loss is reached with every batch
    /// size.
    pub goal: Option<f64>,
    /// True if the goal was chosen automatically, not given.
    pub goal_is_chosen: bool,
    /// Every cell that was run, aggregated over its seeds.
    pub settings: Vec<Setting>,
    /// The best rate of each reduction and batch size that reaches the goal.
    pub best: Vec<BestRate>,
    /// The law of the best rates of the first reduction, if they show both regimes and the
    /// optimizer is sgd.
    pub rate_law: Option<RateLaw>,
    /// The law of the steps to the goal under the first reduction.
    pub trade_off: Option<TradeOff>,
    /// The gradient noise scale of the best runs.
    pub noise: Option<MeasuredNoise>,
    /// The answer in sentences.
    pub answer: Vec<String>,
}

/// The rate of a batch size and a reduction that takes the fewest steps to the goal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestRate {
    /// The best of the cells that were run.
    pub cell: Cell,
    /// Steps to the goal, interpolated between rates.
    pub steps: f64,
    /// Samples to the goal: steps times batch size.
    pub samples: f64,
    /// The interpolated rate under mean.
    pub rate_under_mean: f64,
    /// The interpolated rate under sum.
    pub rate_under_sum: f64,
    /// True if the best rate is the lowest or the highest one tried, so that the optimum may lie
    /// outside the range.
    pub at_end: bool,
}

/// A cell, aggregated over its seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// The cell.
    #[serde(flatten)]
    pub cell: Cell,
    /// The rate under mean.
    pub rate_under_mean: f64,
    /// The rate under sum.
    pub rate_under_sum: f64,
    /// Number of seeds with which the run diverged.
    pub diverged: usize,
    /// Mean of the final test losses; `None` if a run diverged.
    pub test_loss: Option<f64>,
    /// Steps to the goal, if it is reached with all seeds.
    pub steps_to_goal: Option<f64>,
}

/// The gradient noise scale over the best run of each batch size, from its first step to the goal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasuredNoise {
    /// The geometric mean over batch sizes and seeds, in samples.
    pub value: f64,
    /// The minimum and the maximum over them.
    pub range: (f64, f64),
    /// Batch size, noise scale and its standard error, for each run with an estimate.
    pub of_runs: Vec<(usize, f64, f64)>,
}

impl Findings {
    /// Determines the goal, the best rates and their laws, and measures the noise scale of the best
    /// runs.
    ///
    /// # Errors
    ///
    /// If a run that measures noise fails.
    ///
    /// # Cost
    ///
    /// A run to the goal for each batch size and seed.
    pub fn new<M: Model>(sweep: &Sweep<'_, M>, records: &[SweepRecord]) -> Result<Self, SweepError> {
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

    /// Returns the best rates of a reduction, by ascending batch size.
    pub fn best_of(&self, reduction: Reduction) -> impl Iterator<Item = &BestRate> {
        self.best.iter().filter(move |best| best.cell.reduction == reduction)
    }
}

/// Returns the records of each cell, in the order of the sweep; cells with missing runs are
/// omitted.
fn cells<'a, M>(sweep: &Sweep<'_, M>, records: &'a [SweepRecord]) -> Vec<(Cell, Vec<&'a SweepRecord>)> {
    let of = |run: &SweepRun| records.iter().find(|record| record.run == *run);
    let runs = sweep.runs().chunk_by(|a, b| a.cell == b.cell);
    let mut cells: Vec<(Cell, Vec<&SweepRecord>)> = runs
        .filter_map(|runs| Some((runs[0].cell, runs.iter().map(of).collect::<Option<Vec<_>>>()?)))
        .collect();
    // Stable: batch sizes and rates keep their order.
    cells.sort_by_key(|(cell, _)| sweep.options().reductions.iter().position(|r| *r == cell.reduction));
    debug_assert!(
        cells.windows(2).all(|pair| !same_group(&pair[0].0, &pair[1].0) || pair[0].0.rate < pair[1].0.rate)
    );
    cells
}

fn setting<M>(sweep: &Sweep<'_, M>, cell: Cell, records: &[&SweepRecord], goal: Option<f64>) -> Setting {
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

/// Returns batch sizes and a value of their best rates, without those whose best rate may lie
/// outside the range tried.
fn points(best: &[BestRate], reduction: Reduction, value: impl Fn(&BestRate) -> f64) -> Vec<(f64, f64)> {
    let inside = best.iter().filter(|best| best.cell.reduction == reduction && !best.at_end);
    inside.map(|best| (best.cell.batch_size as f64, value(best))).collect()
}

/// Fits the rate law, which holds for sgd: its momentum only multiplies the rate. Other optimizers
/// follow other laws.
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
            let estimate = sweep.noise(&SweepRun { cell: best.cell, seed }, best.steps.ceil() as u64)?;
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

/// The chosen goal divided by the lowest common loss. Near that loss curves are flat, so that
/// chance decides which rate reaches it first.
const ABOVE_LOWEST: f64 = 1.2;

/// Returns a loss that some rate of every batch size and reduction reaches with every seed, if one
/// exists: 1.2 times the lowest.
fn common_goal(cells: &[(Cell, Vec<&SweepRecord>)]) -> Option<f64> {
    let reached = |records: &[&SweepRecord]| {
        let lowest: Option<Vec<f64>> = records.iter().map(|record| record.lowest_loss()).collect();
        lowest?.into_iter().max_by(f64::total_cmp)
    };
    let mut groups = cells.chunk_by(|a, b| same_group(&a.0, &b.0));
    groups.try_fold(0.0, |goal: f64, cells| {
        let lowest = cells.iter().filter_map(|(_, records)| reached(records)).min_by(f64::total_cmp)?;
        Some(goal.max(ABOVE_LOWEST * lowest))
    })
}

/// Returns the best rate of each batch size and reduction, if some rate reaches the goal with every
/// seed.
fn best_rates<M>(sweep: &Sweep<'_, M>, cells: &[(Cell, Vec<&SweepRecord>)], goal: f64) -> Vec<BestRate> {
    cells.chunk_by(|a, b| same_group(&a.0, &b.0)).filter_map(|cells| best(sweep, cells, goal)).collect()
}

fn same_group(a: &Cell, b: &Cell) -> bool {
    a.batch_size == b.batch_size && a.reduction == b.reduction
}

fn best<M>(sweep: &Sweep<'_, M>, cells: &[(Cell, Vec<&SweepRecord>)], goal: f64) -> Option<BestRate> {
    let steps: Vec<f64> =
        cells.iter().map(|(_, records)| steps_to(records, goal).unwrap_or(f64::INFINITY)).collect();
    let index = (0..cells.len()).min_by(|a, b| steps[*a].total_cmp(&steps[*b]))?;
    let cell = cells[index].0;
    if steps[index].is_infinite() {
        return None;
    }
    let at_end = index == 0 || index + 1 == cells.len();
    let (ln_rate, ln_steps) = lowest(cells, &steps, index);
    let (rate_under_mean, rate_under_sum) = sweep.rates(&cell, ln_rate.exp());
    let steps = ln_steps.exp();
    let samples = steps * cell.batch_size as f64;
    Some(BestRate { cell, steps, samples, rate_under_mean, rate_under_sum, at_end })
}

/// Returns the geometric mean over seeds of the steps to the goal, if all seeds reach it.
fn steps_to(records: &[&SweepRecord], goal: f64) -> Option<f64> {
    let logs: Option<Vec<f64>> = records.iter().map(|record| record.steps_to(goal).map(f64::ln)).collect();
    let logs = logs.filter(|logs| !logs.is_empty())?;
    Some((logs.iter().sum::<f64>() / logs.len() as f64).exp())
}

/// Rates whose steps are within this factor of the fewest steps determine the best rate.
const NEAR: f64 = 2.0;

/// Returns ln rate and ln steps at the lowest point of the parabola fitted to the rates around the
/// best one; if there are too few rates, or the parabola has no lowest point among them, those of
/// the best one itself. A single rate may be the best by chance, so its neighbours improve the
/// estimate.
fn lowest(cells: &[(Cell, Vec<&SweepRecord>)], steps: &[f64], best: usize) -> (f64, f64) {
    let near = |k: &usize| steps[*k] <= NEAR * steps[best];
    let start = (0..best).rev().take_while(near).last().unwrap_or(best);
    let end = (best..cells.len()).take_while(near).last().unwrap_or(best);
    let points: Vec<(f64, f64)> = (start..=end).map(|k| (cells[k].0.rate.ln(), steps[k].ln())).collect();
    let (first, last) = (points[0].0, points[points.len() - 1].0);
    let vertex = lowest_of_parabola(&points).filter(|(x, _)| (first..=last).contains(x));
    vertex.unwrap_or((cells[best].0.rate.ln(), steps[best].ln()))
}

/// Returns the lowest point of the parabola fitted to at least three points by least squares, if it
/// opens upwards.
fn lowest_of_parabola(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let n = points.len() as f64;
    let middle = points.iter().map(|point| point.0).sum::<f64>() / n;
    let mean =
        |value: &dyn Fn(f64, f64) -> f64| points.iter().map(|(x, y)| value(x - middle, *y)).sum::<f64>() / n;
    // The normal equations of y = a + bx + cx² with Σx = 0, solved for c, then b and a.
    let [x2, x3, x4] = [2, 3, 4].map(|power| mean(&|x, _| x.powi(power)));
    let [y, xy, x2y] = [0, 1, 2].map(|power| mean(&|x, y| x.powi(power) * y));
    let spread = x4 - x3 * x3 / x2 - x2 * x2;
    let c = (x2y - x3 * xy / x2 - x2 * y) / spread;
    let fits = points.len() >= 3 && spread > 1e-12 * x4 && c.is_finite() && c > 0.0;
    fits.then(|| {
        let b = (xy - c * x3) / x2;
        let x = -b / (2.0 * c);
        (middle + x, y - c * x2 + b * x + c * x * x)
    })
}

/// Formats a value with two digits; more would not be significant.
fn rough(value: f64) -> String {
    short_number(significant(value, 2))
}

/// Returns the answer to "should gradients be divided by the batch size?", as far as the sweep
/// determines it, for one reduction.
fn answer(findings: &Findings, reduction: Reduction) -> Vec<String> {
    let best: Vec<&BestRate> = findings.best_of(reduction).filter(|best| !best.at_end).collect();
    let Some(goal) = findings.goal else {
        return vec![
            "There is no test loss that every batch size reaches; train longer, or set a --goal.".to_owned(),
        ];
    };
    if findings.best_of(reduction).next().is_none() {
        return vec![format!(
            "No learning rate reaches a test loss of {} with every seed; choose a higher --goal, or train longer.",
            short_number(goal)
        )];
    }
    let sentences =
        [about_rates(&best), about_law(findings), about_noise(findings), about_trade_off(findings, goal)];
    sentences.into_iter().flatten().collect()
}

/// Describes the best rates at both ends, and by how much the rate changes in each convention.
fn about_rates(best: &[&BestRate]) -> Option<String> {
    let span = |from: &BestRate, to: &BestRate| {
        let (mean, sum) =
            (to.rate_under_mean / from.rate_under_mean, to.rate_under_sum / from.rate_under_sum);
        let [from, to] = [from, to].map(|best| best.cell.batch_size);
        format!(
            "from {from} to {to} samples the best rate changes by a factor of {mean:.2} under mean and {sum:.2} under sum"
        )
    };
    let measured = match best {
        [a, b, .., c, d] => format!("{}; {}", span(a, b), span(c, d)),
        [a, .., b] => span(a, b),
        _ => {
            return Some(format!(
                "{} of the batch sizes has its best rate inside the range tried, but two are needed to determine how the best rate \
                 depends on the batch size; add --batch-size or --lr values.",
                if best.is_empty() { "None" } else { "Only one" }
            ));
        }
    };
    Some(format!("Measured: {measured}."))
}

fn about_law(findings: &Findings) -> Option<String> {
    let law = findings.rate_law?;
    let (max, noise, sum) =
        (rough(law.max_rate), rough(law.noise_scale), rough(law.max_rate / law.noise_scale));
    Some(format!(
        "By the law fitted to these rates, the best rate depends on the batch size in both conventions: well below {noise} samples, one rate under sum works for \
         every batch size (about {sum}; under mean it grows with the batch size); well above {noise}, one rate under mean does \
         (about {max}; under sum it falls with the batch size)."
    ))
}

fn about_noise(findings: &Findings) -> Option<String> {
    let noise = findings.noise.as_ref()?;
    let (low, high) = noise.range;
    let [value, low, high] = [noise.value, low, high].map(rough);
    let compared = findings.rate_law.map_or_else(String::new, |law| {
        let factor = (noise.value / law.noise_scale).max(law.noise_scale / noise.value);
        format!(
            ", which differs by a factor of {factor:.1} from the {} fitted to the best rates",
            rough(law.noise_scale)
        )
    });
    Some(format!(
        "The gradient noise scale of these runs, measured until they reach the goal, is {value} samples ({low} to {high}){compared}; \
         train with --noise-scale to compare a batch size with it without a sweep."
    ))
}

fn about_trade_off(findings: &Findings, goal: f64) -> Option<String> {
    let law = findings.trade_off?;
    let goal = short_number(goal);
    let [steps, samples, batch] = [law.min_steps, law.min_samples, law.critical_batch].map(rough);
    Some(format!(
        "By the law fitted to the steps, a test loss of {goal} takes at least {steps} steps, however large the batches, and at least {samples} \
         samples, however small they are; with batches of {batch} samples it takes twice as many of both."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_point_of_a_parabola_is_found() {
        let parabola = |x: f64| 2.0 * (x - 0.3).powi(2) + 5.0;
        for xs in [&[-1.0, 0.5, 1.0][..], &[-1.0, 0.0, 0.5, 1.0, 3.0]] {
            let (x, y) =
                lowest_of_parabola(&xs.iter().map(|x| (*x, parabola(*x))).collect::<Vec<_>>()).unwrap();
            assert!((x - 0.3).abs() < 1e-9 && (y - 5.0).abs() < 1e-9, "{x} {y}");
        }
    }

    #[test]
    fn two_points_and_parabolas_that_open_downwards_have_no_lowest_point() {
        assert_eq!(lowest_of_parabola(&[(0.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(lowest_of_parabola(&[(0.0, 1.0), (1.0, 2.0), (2.0, 1.0)]), None);
    }
}
