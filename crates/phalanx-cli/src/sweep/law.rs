//! The laws of best rates, and of the steps to a goal, as functions of the batch size.

use serde::{Deserialize, Serialize};

/// The best rate of plain SGD, η_μ(B) = η_max/(1 + B_noise/B) under mean, and therefore η_Σ(B) =
/// η_max/(B + B_noise) under sum.
///
/// Far below B_noise the rate of the sum does not depend on the batch; far above, that of the mean.
///
/// Source: McCandlish, Kaplan, Amodei 2018, arXiv:1812.06162, equation 2.6.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RateLaw {
    /// η_max, under mean.
    pub max_rate: f64,
    /// B_noise, in samples.
    pub noise_scale: f64,
    /// Standard error of B_noise, as a factor up and down; `None` if there were only two batch
    /// sizes.
    pub noise_scale_factor: Option<f64>,
}

/// Steps and samples to a goal, S(B) = S_min·(1 + B_crit/B) and E(B) = B·S(B) = E_min·(1 +
/// B/B_crit), E_min = B_crit·S_min.
///
/// Source: McCandlish, Kaplan, Amodei 2018, arXiv:1812.06162, equation 2.11.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TradeOff {
    /// S_min: steps with the largest batches.
    pub min_steps: f64,
    /// E_min: samples with the smallest batches.
    pub min_samples: f64,
    /// B_crit, at which both are twice their minimum.
    pub critical_batch: f64,
    /// Standard error of B_crit, as a factor up and down; `None` if there were only two batch
    /// sizes.
    pub critical_batch_factor: Option<f64>,
}

impl RateLaw {
    /// Fits pairs of a batch size and the best rate under mean; `None` if they do not show the
    /// transition between the two regimes.
    pub fn fit(rates: &[(f64, f64)]) -> Option<Self> {
        let fit = BendFit::fit(rates, -1.0)?;
        Some(Self { max_rate: fit.limit, noise_scale: fit.bend, noise_scale_factor: fit.factor })
    }

    /// η_μ(B).
    pub fn rate_under_mean(&self, batch_size: f64) -> f64 {
        self.max_rate / (1.0 + self.noise_scale / batch_size)
    }

    /// η_Σ(B).
    pub fn rate_under_sum(&self, batch_size: f64) -> f64 {
        self.max_rate / (batch_size + self.noise_scale)
    }
}

impl TradeOff {
    /// Fits pairs of a batch size and the steps to the goal; `None` if they do not show the
    /// transition between the two regimes.
    pub fn fit(steps: &[(f64, f64)]) -> Option<Self> {
        let BendFit { limit, bend, factor } = BendFit::fit(steps, 1.0)?;
        let (min_steps, min_samples) = (limit, limit * bend);
        Some(Self { min_steps, min_samples, critical_batch: bend, critical_batch_factor: factor })
    }

    /// S(B).
    pub fn steps(&self, batch_size: f64) -> f64 {
        self.min_steps * (1.0 + self.critical_batch / batch_size)
    }
}

/// A fit of y(x) = limit·(1 + bend/x)^power with a power of 1 or −1, by least squares of ln y, so
/// that relative errors count the same everywhere.
struct BendFit {
    limit: f64,
    bend: f64,
    /// exp of the standard error of ln bend.
    factor: Option<f64>,
}

/// Bends are searched up to this factor beyond the range of x; the data does not show a bend at the
/// end of the search range.
const BEYOND: f64 = 20.0;
/// Number of values of ln bend tried, and of subsequent halvings of the gap between two.
const TRIED: usize = 400;
const REFINED: usize = 40;

impl BendFit {
    fn fit(points: &[(f64, f64)], power: f64) -> Option<Self> {
        if points.len() < 2 {
            return None;
        }
        let x = |fold: fn(f64, f64) -> f64| points.iter().map(|point| point.0).reduce(fold);
        let (low, high) = ((x(f64::min)? / BEYOND).ln(), (x(f64::max)? * BEYOND).ln());
        let gap = (high - low) / TRIED as f64;
        let at = |index: usize| low + gap * index as f64;
        let error = |ln_bend: f64| residuals(points, power, ln_bend).1;
        let best = (0..=TRIED).min_by(|a, b| error(at(*a)).total_cmp(&error(at(*b))))?;
        if best == 0 || best == TRIED {
            return None;
        }
        let (mut ln_bend, mut step) = (at(best), gap / 2.0);
        for _ in 0..REFINED {
            let tried = [ln_bend - step, ln_bend, ln_bend + step];
            ln_bend = tried.into_iter().min_by(|a, b| error(*a).total_cmp(&error(*b)))?;
            step /= 2.0;
        }
        let (ln_limit, squares) = residuals(points, power, ln_bend);
        let factor = standard_error(points, ln_bend, squares).map(f64::exp);
        Some(Self { limit: ln_limit.exp(), bend: ln_bend.exp(), factor })
    }
}

/// Returns the ln limit that fits best, and the sum of the squared residuals.
fn residuals(points: &[(f64, f64)], power: f64, ln_bend: f64) -> (f64, f64) {
    let left = |&(x, y): &(f64, f64)| y.ln() - power * (1.0 + ln_bend.exp() / x).ln();
    let mean = points.iter().map(left).sum::<f64>() / points.len() as f64;
    (mean, points.iter().map(|point| (left(point) - mean).powi(2)).sum())
}

/// Returns the standard error of ln bend, from the linearised model: σ² = squares/(n − 2) over the
/// spread of ∂ln y/∂ln bend = 1/(1 + x/bend).
fn standard_error(points: &[(f64, f64)], ln_bend: f64, squares: f64) -> Option<f64> {
    let slopes: Vec<f64> = points.iter().map(|point| 1.0 / (1.0 + point.0 / ln_bend.exp())).collect();
    let mean = slopes.iter().sum::<f64>() / slopes.len() as f64;
    let spread: f64 = slopes.iter().map(|slope| (slope - mean).powi(2)).sum();
    let free = points.len().checked_sub(2).filter(|free| *free > 0)?;
    Some((squares / free as f64 / spread).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes() -> impl Iterator<Item = f64> {
        (2..=12).map(|power| f64::from(1 << power))
    }

    #[test]
    fn a_fit_of_rates_that_follow_the_law_recovers_its_constants() {
        let law = RateLaw { max_rate: 0.7, noise_scale: 90.0, noise_scale_factor: None };
        let found = RateLaw::fit(&sizes().map(|b| (b, law.rate_under_mean(b))).collect::<Vec<_>>()).unwrap();
        assert!((found.max_rate / 0.7 - 1.0).abs() < 1e-6 && (found.noise_scale / 90.0 - 1.0).abs() < 1e-6);
        assert!((found.noise_scale_factor.unwrap() - 1.0).abs() < 1e-6);
        assert_eq!(found.rate_under_sum(64.0), found.rate_under_mean(64.0) / 64.0);
    }

    #[test]
    fn a_fit_of_steps_that_follow_the_law_recovers_its_constants() {
        let law = TradeOff {
            min_steps: 50.0,
            min_samples: 6000.0,
            critical_batch: 120.0,
            critical_batch_factor: None,
        };
        let found = TradeOff::fit(&sizes().map(|b| (b, law.steps(b))).collect::<Vec<_>>()).unwrap();
        assert!(
            (found.min_steps / 50.0 - 1.0).abs() < 1e-6 && (found.min_samples / 6000.0 - 1.0).abs() < 1e-6
        );
    }

    #[test]
    fn the_standard_error_covers_the_effect_of_noise_in_the_rates() {
        let law = RateLaw { max_rate: 0.7, noise_scale: 90.0, noise_scale_factor: None };
        // Factors e^±0.3 in an order that matches neither regime.
        let noisy = sizes().zip([1.0, -1.0, -1.0, 1.0].into_iter().cycle());
        let noisy: Vec<_> =
            noisy.map(|(b, sign)| (b, law.rate_under_mean(b) * f64::exp(0.3 * sign))).collect();
        let found = RateLaw::fit(&noisy).unwrap();
        let (off, error) = ((found.noise_scale / 90.0).ln().abs(), found.noise_scale_factor.unwrap().ln());
        assert!(off < 2.0 * error && error > 0.1 && error < 0.6, "off by {off}, error {error}");
    }

    #[test]
    fn one_regime_alone_shows_no_bend() {
        assert_eq!(RateLaw::fit(&[(4.0, 0.1), (8.0, 0.2), (16.0, 0.4)]), None);
        assert_eq!(RateLaw::fit(&[(4.0, 0.1), (8.0, 0.1), (16.0, 0.1)]), None);
        assert_eq!(RateLaw::fit(&[(4.0, 0.1)]), None);
    }

    #[test]
    fn a_batch_of_the_noise_scale_takes_half_the_maximum_rate_and_twice_the_minimum_steps() {
        let sizes = [8.0, 32.0, 128.0, 512.0];
        let law = RateLaw::fit(&sizes.map(|b| (b, 0.5 / (1.0 + 64.0 / b)))).unwrap();
        assert!((law.noise_scale - 64.0).abs() < 1e-3);
        assert!((law.rate_under_mean(64.0) - 0.25).abs() < 1e-6);
        let trade_off = TradeOff::fit(&sizes.map(|b| (b, 100.0 * (1.0 + 64.0 / b)))).unwrap();
        assert!((trade_off.critical_batch - 64.0).abs() < 1e-3);
        assert!((trade_off.steps(64.0) - 200.0).abs() < 1e-3);
    }
}
