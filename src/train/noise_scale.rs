//! The gradient noise scale and its estimate. Only arithmetic; `contribution.rs` measures the parts
//! of a batch.

use serde::{Deserialize, Serialize};

/// Estimates the gradient noise scale of a run, B_simple = tr(Σ)/|G|².
///
/// G is the gradient of the loss of all samples, Σ the covariance of the gradients of single
/// samples. A batch of B samples gives G with a noise of tr(Σ)/B, so B_simple is the batch size at
/// which the noise is as large as the gradient. A step with the best learning rate makes 1/(1 +
/// B_simple/B) of the progress of a step with the exact gradient: batches far below B_simple waste
/// steps, and those far above it waste samples.
///
/// Each measuring step gives one [`NoiseMeasurement`]. A single one carries almost no information,
/// because |G|² is the small difference of large numbers if batches are small. B_simple is the
/// ratio of two **separate** averages of many measurements, because a mean of ratios would be
/// biased. Two such averages are kept:
///
/// - [`recent`](Self::recent): measurement i of t has weight i(i + 1)(i + 2), which is about the
///   last quarter of the run. The noise scale grows by orders of magnitude while a model learns,
///   and the window grows with the run: it reacts quickly at the start and is precise later.
/// - [`whole`](Self::whole): all measurements count equally, from the first step on.
///
/// In both averages a batch is weighted by its pairs of parts, because a short last batch carries
/// less information. The weights of an average sum to 1, so no bias correction is needed.
///
/// Samples are drawn without replacement, so over an epoch of N samples the estimate of |G|² tends
/// to |G|² − tr(Σ)/N, which is negligible as long as B_simple is far below N.
///
/// Source: McCandlish, Kaplan, Amodei 2018, arXiv:1812.06162, appendix A.
///
/// # Examples
///
/// ```
/// use phalanx::internals::BatchParts;
/// use phalanx::train::NoiseScale;
///
/// let mut scale = NoiseScale::default();
/// // Each step has the gradients of two samples, in one dimension: G = 1 and Σ = 3.8.
/// for noise in [-3.0, -1.0, 1.0, 3.0, -1.0, 1.0, -2.0, 2.0, -2.0, 2.0].repeat(20).windows(2) {
///     let [a, b] = [1.0 + noise[0], 1.0 + noise[1]];
///     let mut parts = BatchParts::default();
///     parts.add(a * a, 1.0, 1.0);
///     parts.add(b * b, 1.0, 1.0);
///     let whole: f64 = a + b;
///     scale.add(parts.measure(whole * whole).unwrap());
/// }
/// assert_eq!(scale.measurements(), 199);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NoiseScale {
    last: NoiseMeasurement,
    recent: NoiseAverage,
    whole: NoiseAverage,
    measurements: u64,
}

/// Sums over the gradients of the parts of one batch. A part is a shard, or a single sample.
///
/// Part k has samples i ∈ k of weights w_i. It contributes |s_k|², where s_k = Σ w_i g_i is its
/// gradient sum, w_k = Σ w_i and q_k = Σ w_i². Dividing gradients by a number divides the weights
/// by it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BatchParts {
    /// Σ |s_k|².
    squares: f64,
    /// W = Σ w_k.
    weight: f64,
    /// Σ w_k².
    weight_squares: f64,
    /// Q = Σ q_k.
    sample_squares: f64,
}

/// Estimates of the gradient and its noise from one step, both unbiased.
///
/// # Examples
///
/// ```
/// use phalanx::internals::{BatchParts, NoiseMeasurement};
///
/// // Two samples whose gradients are 1 and 3.
/// let mut parts = BatchParts::default();
/// parts.add(1.0, 1.0, 1.0);
/// parts.add(9.0, 1.0, 1.0);
/// let NoiseMeasurement { gradient_square, noise_trace, .. } = parts.measure(16.0).expect("there are two parts");
/// assert_eq!((gradient_square, noise_trace), (3.0, 2.0)); // 1·3, and (1 − 3)²/2
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NoiseMeasurement {
    /// An estimate of |G|², which may be negative.
    pub gradient_square: f64,
    /// An estimate of tr(Σ).
    pub noise_trace: f64,
    /// W² − Σ w_k²: its weight among other measurements.
    pub pairs: f64,
}

/// A noise scale, in samples.
///
/// # Examples
///
/// ```
/// use phalanx::train::{NoiseEstimate, NoiseScale};
///
/// let in_words = |NoiseEstimate { value, error }| format!("{value:.0} ± {error:.0} samples");
/// assert_eq!(in_words(NoiseEstimate { value: 70.2, error: 4.1 }), "70 ± 4 samples");
/// assert_eq!(NoiseScale::default().whole(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseEstimate {
    /// B_simple.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
}

/// Weighted sums over measurements; [`NoiseScale`] keeps two of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct NoiseAverage {
    /// Σ a.
    weight: f64,
    /// Σ a².
    weight_squares: f64,
    /// Σ a·|𝒢|².
    gradient: f64,
    /// Σ a·𝒮.
    noise: f64,
    /// Σ a·|𝒢|⁴.
    gradient_gradient: f64,
    /// Σ a·|𝒢|²·𝒮.
    gradient_noise: f64,
    /// Σ a·𝒮².
    noise_noise: f64,
}

/// With fewer measurements than this, or a smaller effective number of unevenly weighted ones,
/// their spread is unknown.
const FEWEST: f64 = 8.0;
/// |G|² must exceed 0 by this many of its standard errors before anything is divided by it.
const CLEAR_OF_ZERO: f64 = 2.0;

impl BatchParts {
    /// Returns the four sums, for other processes.
    pub(super) fn sums(&self) -> [f64; 4] {
        let Self { squares, weight, weight_squares, sample_squares } = *self;
        [squares, weight, weight_squares, sample_squares]
    }

    pub(super) fn of_sums([squares, weight, weight_squares, sample_squares]: [f64; 4]) -> Self {
        Self { squares, weight, weight_squares, sample_squares }
    }

    /// Adds a part of |s_k|², w_k and q_k.
    pub fn add(&mut self, square: f64, weight: f64, sample_squares: f64) {
        self.squares += square;
        self.weight += weight;
        self.weight_squares += weight * weight;
        self.sample_squares += sample_squares;
    }

    /// Adds the parts that follow.
    pub(super) fn append(&mut self, other: &Self) {
        self.squares += other.squares;
        self.weight += other.weight;
        self.weight_squares += other.weight_squares;
        self.sample_squares += other.sample_squares;
    }

    /// Returns the same sums for gradients that are divided.
    pub(super) fn divided(self, divisor: f64) -> Self {
        let square = divisor * divisor;
        Self {
            squares: self.squares / square,
            weight: self.weight / divisor,
            weight_squares: self.weight_squares / square,
            sample_squares: self.sample_squares / square,
        }
    }

    /// Estimates gradient and noise, given |s|², s = Σ s_k.
    ///
    /// If the g_i are independent draws with E g = G and covariance Σ, then E|s_k|² = w_k²|G|² +
    /// q_k tr(Σ) and E|s|² = W²|G|² + Q tr(Σ). The difference |s|² − Σ|s_k|² does not contain Σ,
    /// and the rest of Σ|s_k|² does not contain G:
    ///
    /// |𝒢|² = (|s|² − Σ|s_k|²) / (W² − Σ w_k²),  𝒮 = (Σ|s_k|² − |𝒢|² Σ w_k²) / Q,
    ///
    /// unbiased for all sizes and weights of the parts. With sample weights this holds if they are
    /// independent of a sample's gradient; the noise of a batch is then that of W²/Q samples.
    ///
    /// Returns `None` if fewer than two parts have a positive weight.
    pub fn measure(&self, whole_square: f64) -> Option<NoiseMeasurement> {
        let pairs = self.weight * self.weight - self.weight_squares;
        let gradient_square = (whole_square - self.squares) / pairs;
        let noise_trace = (self.squares - gradient_square * self.weight_squares) / self.sample_squares;
        let measured = pairs > 0.0 && gradient_square.is_finite() && noise_trace.is_finite();
        measured.then_some(NoiseMeasurement { gradient_square, noise_trace, pairs })
    }
}

impl NoiseScale {
    /// Adds the measurement of one more step.
    pub fn add(&mut self, measurement: NoiseMeasurement) {
        self.measurements += 1;
        let t = self.measurements as f64;
        // Compared with i(i + 1)(i + 2) for i = t, the earlier measurements have (t − 1)/(t + 2) of
        // the weight that they had at t − 1.
        self.recent.fade((t - 1.0) / (t + 2.0));
        self.recent.add(&measurement);
        self.whole.add(&measurement);
        self.last = measurement;
    }

    /// Adds the measurement of a step, if it made one.
    pub(super) fn extend(&mut self, measurement: Option<NoiseMeasurement>) {
        measurement.into_iter().for_each(|measurement| self.add(measurement));
    }

    /// Returns the number of measurements.
    pub fn measurements(&self) -> u64 {
        self.measurements
    }

    /// Returns the last measurement; all zeros before the first.
    pub fn last(&self) -> NoiseMeasurement {
        self.last
    }

    /// Returns the noise scale over about the last quarter of the run.
    ///
    /// Its error is that of the ratio of two means R = 𝒮̄/𝒢̄ (the delta method): with d_i = 𝒮_i −
    /// R·𝒢_i, whose mean is 0,
    ///
    /// error² = s²/(n·𝒢̄²),  s² = Σ a_i d_i²/(1 − 1/n),  n = 1/Σ a_i²
    ///
    /// for weights a_i that sum to 1, with n as their effective number. The spread s² is that of
    /// the measurements, which includes any change of the noise scale in the meantime.
    ///
    /// Returns `None` while it is unknown: with an effective number below 8, or a |G|² that is less
    /// than two of its own standard errors above 0. To get an estimate earlier, measure more often,
    /// or with larger batches.
    pub fn recent(&self) -> Option<NoiseEstimate> {
        self.recent.estimate()
    }

    /// Returns the same over the whole run, Σ 𝒮/Σ |𝒢|². The first steps, whose gradients are the
    /// largest, dominate it.
    pub fn whole(&self) -> Option<NoiseEstimate> {
        self.whole.estimate()
    }
}

impl NoiseAverage {
    fn fade(&mut self, factor: f64) {
        self.weight_squares *= factor * factor;
        for sum in [
            &mut self.weight,
            &mut self.gradient,
            &mut self.noise,
            &mut self.gradient_gradient,
            &mut self.gradient_noise,
            &mut self.noise_noise,
        ] {
            *sum *= factor;
        }
    }

    fn add(&mut self, measurement: &NoiseMeasurement) {
        let NoiseMeasurement { gradient_square: gradient, noise_trace: noise, pairs } = *measurement;
        self.weight += pairs;
        self.weight_squares += pairs * pairs;
        self.gradient += pairs * gradient;
        self.noise += pairs * noise;
        self.gradient_gradient += pairs * gradient * gradient;
        self.gradient_noise += pairs * gradient * noise;
        self.noise_noise += pairs * noise * noise;
    }

    fn estimate(&self) -> Option<NoiseEstimate> {
        let mean = |sum: f64| sum / self.weight;
        let share = self.weight_squares / (self.weight * self.weight);
        if self.weight == 0.0 || share > 1.0 / FEWEST {
            return None;
        }
        let error = |variance: f64| (variance.max(0.0) * share / (1.0 - share)).sqrt();
        let gradient = mean(self.gradient);
        let gradient_error = error(mean(self.gradient_gradient) - gradient * gradient);
        let value = self.noise / self.gradient;
        let residual = mean(self.noise_noise) - 2.0 * value * mean(self.gradient_noise)
            + value * value * mean(self.gradient_gradient);
        let known = gradient > CLEAR_OF_ZERO * gradient_error;
        known.then(|| NoiseEstimate { value, error: error(residual) / gradient })
    }
}
