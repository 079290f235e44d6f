//! The best rate of each batch size.

use serde::{Deserialize, Serialize};

use super::{Cell, Record, Sweep};

/// The rate of a batch size and a reduction that takes the fewest steps to the goal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestRate {
    /// The best of the cells that were run.
    pub cell: Cell,
    /// Steps to the goal, interpolated between rates.
    pub steps: f64,
    /// Samples to the goal: steps times batch size.
    pub samples: f64,
    /// The interpolated rate as the mean says it.
    pub rate_under_mean: f64,
    /// The same as the sum says it.
    pub rate_under_sum: f64,
    /// Whether the best of the rates that were tried is the first or the last of them, so that the best there is may lie beyond.
    pub at_end: bool,
}

/// How far above the lowest common loss a chosen goal lies. Near that loss curves are flat, and which rate arrives first is chance.
const ABOVE_LOWEST: f64 = 1.2;

/// A loss that some rate of every batch size and reduction reaches with every seed, if there is one: 1.2 times the lowest.
pub(super) fn common_goal(cells: &[(Cell, Vec<&Record>)]) -> Option<f64> {
    let reached = |records: &[&Record]| {
        let lowest: Option<Vec<f64>> = records.iter().map(|record| record.lowest_loss()).collect();
        lowest?.into_iter().max_by(f64::total_cmp)
    };
    let mut groups = cells.chunk_by(|a, b| same_group(&a.0, &b.0));
    groups.try_fold(0.0, |goal: f64, cells| {
        let lowest = cells.iter().filter_map(|(_, records)| reached(records)).min_by(f64::total_cmp)?;
        Some(goal.max(ABOVE_LOWEST * lowest))
    })
}

/// The best rate of each batch size and reduction of which some rate reaches the goal with every seed.
pub(super) fn best_rates<M>(
    sweep: &Sweep<'_, M>,
    cells: &[(Cell, Vec<&Record>)],
    goal: f64,
) -> Vec<BestRate> {
    cells.chunk_by(|a, b| same_group(&a.0, &b.0)).filter_map(|cells| best(sweep, cells, goal)).collect()
}

pub(super) fn same_group(a: &Cell, b: &Cell) -> bool {
    a.batch_size == b.batch_size && a.reduction == b.reduction
}

fn best<M>(sweep: &Sweep<'_, M>, cells: &[(Cell, Vec<&Record>)], goal: f64) -> Option<BestRate> {
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

/// The geometric mean over seeds of the steps to the goal, if all reach it.
pub(super) fn steps_to(records: &[&Record], goal: f64) -> Option<f64> {
    let logs: Option<Vec<f64>> = records.iter().map(|record| record.steps_to(goal).map(f64::ln)).collect();
    let logs = logs.filter(|logs| !logs.is_empty())?;
    Some((logs.iter().sum::<f64>() / logs.len() as f64).exp())
}

/// Rates whose steps are within this factor of the fewest say where the best rate lies.
const NEAR: f64 = 2.0;

/// ln rate and ln steps at the lowest point of the parabola that fits the rates around the best one, or of that one itself if they
/// are too few, or the parabola has no lowest point among them. A single rate may be the best by chance; its neighbours know more.
fn lowest(cells: &[(Cell, Vec<&Record>)], steps: &[f64], best: usize) -> (f64, f64) {
    let near = |k: &usize| steps[*k] <= NEAR * steps[best];
    let start = (0..best).rev().take_while(near).last().unwrap_or(best);
    let end = (best..cells.len()).take_while(near).last().unwrap_or(best);
    let points: Vec<(f64, f64)> = (start..=end).map(|k| (cells[k].0.rate.ln(), steps[k].ln())).collect();
    let (first, last) = (points[0].0, points[points.len() - 1].0);
    let vertex = lowest_of_parabola(&points).filter(|(x, _)| (first..=last).contains(x));
    vertex.unwrap_or((cells[best].0.rate.ln(), steps[best].ln()))
}

/// Where the parabola that fits at least three points best, by least squares, is lowest, if it opens upwards.
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
