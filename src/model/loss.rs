//! Loss functions, each next to its derivative.

use serde::{Deserialize, Serialize};

use super::activation::{Activation, sigmoid};
use super::real::Real;
use super::samples::{BatchTargets, DataMismatch, Samples, Score, TargetShape};
use crate::num::{UnknownName, names};
use crate::simd::vectorized;

/// The loss function. ℓ is the loss of one sample, z its K outputs, t its target; p = softmax(z), σ
/// the logistic function.
///
/// | name | targets | ℓ | ∂ℓ/∂z_k |
/// |---|---|---|---|
/// | `cross-entropy` | a class c of K | −ln p_c | p_k − \[k = c\] |
/// | `bce` | values in \[0, 1\], or a class of 2 with K = 1 | (1/K) Σ_k −t_k ln σ(z_k) − (1 − t_k) ln(1 − σ(z_k)) | (σ(z_k) − t_k)/K |
/// | `bce-sum` | as for `bce`, or a class of K > 1 | Σ_k of the same | σ(z_k) − t_k |
/// | `mse`, `half-mse`, `squared`, `half-squared` | values, or a class of K | that of [`SquaredLoss`] | the same |
///
/// The mean over samples equals PyTorch's `CrossEntropyLoss`, `BCEWithLogitsLoss` and `MSELoss`.
/// For K > 1, the sum over samples of `bce` and `mse` is 1/K of PyTorch's result for
/// `reduction='sum'`, which also sums over outputs, as `bce-sum` and `squared` do.
///
/// # Examples
///
/// ```
/// use phalanx::model::{Activation, Loss, SquaredForm, SquaredLoss};
///
/// // ½ Σ (tanh(z) − t)² with targets −1 and +1, as in LeCun 1998.
/// let loss = Loss::Squared(SquaredLoss {
///     form: SquaredForm::HalfSquared,
///     output: Some(Activation::Tanh),
///     plus_minus: true,
/// });
/// assert_eq!(loss.to_string(), "half-squared-of-tanh-plus-minus");
/// assert_eq!(loss.to_string().parse(), Ok(loss));
/// assert_eq!("mse".parse(), Ok(Loss::MSE));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Loss {
    /// Softmax and negative log-likelihood.
    CrossEntropy,
    /// Binary cross-entropy of logits, the mean over outputs.
    Bce,
    /// Binary cross-entropy of logits, the sum over outputs.
    BceSum,
    /// Squared error.
    Squared(SquaredLoss),
}

/// The squared loss ℓ = c Σ_k (a_k − t_k)² of the activations a = f(z), with ∂ℓ/∂z_k = 2c (a_k −
/// t_k) f′(z_k). The target of class c is t_k = \[k = c\], or with `plus_minus` 1 for k = c and −1
/// otherwise.
///
/// | form | c | used by |
/// |---|---|---|
/// | `mse` | 1/K | PyTorch's `MSELoss`, Keras |
/// | `half-mse` | ½/K | MXNet's `L2Loss` |
/// | `squared` | 1 | `reduction='sum'` in PyTorch and TensorFlow |
/// | `half-squared` | ½ | Caffe's `EuclideanLoss`, scikit-learn's `MLPRegressor`, Nielsen 2015, LeCun 1998 |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SquaredLoss {
    /// c.
    pub form: SquaredForm,
    /// f, any but gelu; `None` for a = z.
    pub output: Option<Activation>,
    /// True if the targets of a class are 1 and −1 instead of 1 and 0.
    pub plus_minus: bool,
}

/// The factor c of a [`SquaredLoss`] with K outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SquaredForm {
    /// 1/K.
    Mse,
    /// ½/K.
    HalfMse,
    /// 1.
    Squared,
    /// ½.
    HalfSquared,
}

names!(SquaredForm, "form of the squared loss", [
    Mse => "mse",
    HalfMse => "half-mse",
    Squared => "squared",
    HalfSquared => "half-squared",
]);

impl SquaredLoss {
    /// Returns 1/c for K outputs.
    pub fn divisor(self, outputs: usize) -> f64 {
        match self.form {
            SquaredForm::Mse => outputs as f64,
            SquaredForm::HalfMse => 2.0 * outputs as f64,
            SquaredForm::Squared => 1.0,
            SquaredForm::HalfSquared => 2.0,
        }
    }

    /// Returns a_k.
    fn activated<R: Real>(self, z: R) -> R {
        self.output.map_or(z, |output| output.of(z))
    }

    /// Returns t_k.
    fn target<R: Real>(self, target: SampleTarget<'_, R>, k: usize) -> R {
        match target {
            SampleTarget::Class(class) if class == k => R::ONE,
            SampleTarget::Class(_) if self.plus_minus => -R::ONE,
            SampleTarget::Class(_) => R::ZERO,
            SampleTarget::Values(values) => values[k],
        }
    }
}

impl std::fmt::Display for Loss {
    /// Writes the name; that of a squared loss includes `-of-` and its output function, and
    /// `-plus-minus`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut name = self.name().to_owned();
        if let Self::Squared(loss) = self {
            name += &loss.output.map_or_else(String::new, |output| format!("-of-{output}"));
            name += if loss.plus_minus { PLUS_MINUS } else { "" };
        }
        f.pad(&name)
    }
}

const PLUS_MINUS: &str = "-plus-minus";

impl std::str::FromStr for Loss {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_suffix(PLUS_MINUS);
        let (name, output) = match rest.unwrap_or(text).split_once("-of-") {
            Some((name, output)) => (name, Some(output.parse()?)),
            None => (rest.unwrap_or(text), None),
        };
        match Self::ALL.iter().find(|loss| loss.name() == name) {
            Some(Self::Squared(loss)) if output != Some(Activation::Gelu) => {
                Ok(Self::Squared(SquaredLoss { output, plus_minus: rest.is_some(), ..*loss }))
            }
            Some(other) if name == text => Ok(*other),
            _ => Err(UnknownName::new("loss", text, &Self::NAMES)),
        }
    }
}

impl TryFrom<String> for Loss {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Loss> for String {
    fn from(loss: Loss) -> Self {
        loss.to_string()
    }
}

impl Loss {
    /// The mean squared error (1/K) Σ_k (z_k − t_k)².
    pub const MSE: Self = Self::of(SquaredForm::Mse);

    /// Every choice; squared losses without output function.
    pub const ALL: &'static [Self] = &[
        Self::CrossEntropy,
        Self::Bce,
        Self::BceSum,
        Self::MSE,
        Self::of(SquaredForm::HalfMse),
        Self::of(SquaredForm::Squared),
        Self::of(SquaredForm::HalfSquared),
    ];

    const NAMES: [&'static str; 7] =
        ["cross-entropy", "bce", "bce-sum", "mse", "half-mse", "squared", "half-squared"];

    const fn of(form: SquaredForm) -> Self {
        Self::Squared(SquaredLoss { form, output: None, plus_minus: false })
    }

    /// The kebab-case name, as in flags, without the output function and the targets of a squared
    /// loss.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CrossEntropy => "cross-entropy",
            Self::Bce => "bce",
            Self::BceSum => "bce-sum",
            Self::Squared(loss) => loss.form.name(),
        }
    }

    /// Checks that a model with `outputs` outputs can be scored on targets of this kind.
    pub(super) fn check(self, outputs: usize, targets: TargetShape) -> Result<(), DataMismatch> {
        match (self, targets) {
            (_, TargetShape::None) => Err(DataMismatch::NoTargets),
            (Self::CrossEntropy, TargetShape::Values { .. }) => {
                Err(DataMismatch::NeedsClasses { loss: self.name() })
            }
            (Self::Bce, TargetShape::Classes(_)) if outputs > 1 => {
                Err(DataMismatch::NeedsValues { loss: self.name() })
            }
            (_, TargetShape::Classes(found)) => {
                let expected = if self == Self::Bce { 2 } else { outputs };
                if found > expected { Err(DataMismatch::Classes { found, expected }) } else { Ok(()) }
            }
            (_, TargetShape::Values { outputs: found, .. }) if found != outputs => {
                Err(DataMismatch::Values { found, expected: outputs })
            }
            (Self::Bce | Self::BceSum, TargetShape::Values { least, most, .. })
                if least < 0.0 || most > 1.0 =>
            {
                Err(DataMismatch::NotProbabilities { least, most })
            }
            (_, TargetShape::Values { .. }) => Ok(()),
        }
    }

    /// Returns the sum of the weighted losses of `outputs` (B, K), and replaces each output by w_i
    /// ∂ℓ_i/∂z, divided by `divisor` if given.
    ///
    /// A sample of weight 0 is ignored, whatever its outputs are.
    pub(super) fn backward<R: Real>(
        self,
        outputs: &mut [R],
        samples: &Samples<'_, R>,
        divisor: Option<R>,
    ) -> f64 {
        let width = outputs.len() / samples.len();
        let mut loss_sum = 0.0;
        let mut losses = [R::ZERO; SAMPLES];
        for (block, outputs) in outputs.chunks_mut(SAMPLES * width).enumerate() {
            let first = block * SAMPLES;
            let losses = &mut losses[..outputs.len() / width];
            vectorized(
                #[inline(always)]
                || self.backward_rows(outputs, |row| samples.targets.of(first + row), losses),
            );
            for ((row, loss), index) in outputs.chunks_exact_mut(width).zip(losses).zip(first..) {
                let weight = samples.weight(index);
                if weight == R::ZERO {
                    row.fill(R::ZERO);
                    continue;
                }
                loss_sum += (*loss * weight).to_f64();
                let factor = divisor.map_or(weight, |divisor| weight / divisor);
                if factor != R::ONE {
                    row.iter_mut().for_each(|value| *value = *value * factor);
                }
            }
        }
        loss_sum
    }

    /// Replaces the outputs of some samples by ∂ℓ/∂z, and writes their losses.
    #[inline(always)]
    fn backward_rows<'a, R: Real>(
        self,
        outputs: &mut [R],
        target: impl Fn(usize) -> SampleTarget<'a, R>,
        losses: &mut [R],
    ) {
        let width = outputs.len() / losses.len();
        if self == Self::CrossEntropy {
            cross_entropy_backward(outputs, target, losses);
            return;
        }
        for (index, (row, loss)) in outputs.chunks_exact_mut(width).zip(losses).enumerate() {
            *loss = self.loss(row, target(index));
            self.backward_row(row, target(index));
        }
    }

    fn backward_row<R: Real>(self, row: &mut [R], target: SampleTarget<'_, R>) {
        match (self, target) {
            (Self::Bce | Self::BceSum, target) => {
                let (outputs, share) = (row.len(), R::ONE / self.bce_divisor(row.len()));
                for (k, z) in row.iter_mut().enumerate() {
                    *z = (sigmoid(*z) - target.probability(k, outputs)) * share;
                }
            }
            (Self::Squared(loss), target) => {
                let share = R::from_f64(2.0) / R::from_f64(loss.divisor(row.len()));
                for (k, z) in row.iter_mut().enumerate() {
                    let a = loss.activated(*z);
                    let slope = loss.output.map_or(R::ONE, |output| output.slope(a));
                    *z = (a - loss.target(target, k)) * share * slope;
                }
            }
            (Self::CrossEntropy, _) => unreachable!("cross-entropy is computed for many rows at a time"),
        }
    }

    /// Returns the loss of one sample.
    fn loss<R: Real>(self, row: &[R], target: SampleTarget<'_, R>) -> R {
        match (self, target) {
            (Self::CrossEntropy, SampleTarget::Class(class)) => {
                let largest = largest(row);
                row.iter().map(|z| (*z - largest).exp()).sum::<R>().ln() + (largest - row[class])
            }
            // ln(1 + e⁻ᶻ) without overflow: max(z, 0) − zt + ln(1 + e^−|z|).
            (Self::Bce | Self::BceSum, target) => {
                let terms = row.iter().enumerate().map(|(k, z)| {
                    let above = if *z < R::ZERO { R::ZERO } else { *z };
                    above - *z * target.probability(k, row.len()) + (-z.abs()).exp().ln_1p()
                });
                terms.sum::<R>() / self.bce_divisor(row.len())
            }
            (Self::Squared(loss), target) => {
                let squares = row.iter().enumerate().map(|(k, z)| {
                    let error = loss.activated(*z) - loss.target(target, k);
                    error * error
                });
                squares.sum::<R>() / R::from_f64(loss.divisor(row.len()))
            }
            (Self::CrossEntropy, SampleTarget::Values(_)) => {
                panic!("cross-entropy needs classes, not values")
            }
        }
    }

    /// Returns the divisor of the sum over outputs of binary cross-entropy.
    fn bce_divisor<R: Real>(self, outputs: usize) -> R {
        if self == Self::Bce { R::from_f64(outputs as f64) } else { R::ONE }
    }

    /// Scores `outputs` (B, K): the loss, and for class targets the number of correct predictions.
    pub(super) fn score<R: Real>(self, outputs: &[R], samples: &Samples<'_, R>) -> Score {
        let width = outputs.len() / samples.len();
        let mut score = Score { correct: samples.targets.are_classes().then_some(0.0), ..Score::default() };
        for (index, row) in outputs.chunks_exact(width).enumerate() {
            let weight = samples.weight(index).to_f64();
            if weight == 0.0 {
                continue;
            }
            let target = samples.targets.of(index);
            score.loss_sum += weight * self.loss(row, target).to_f64();
            score.weight += weight;
            if let (Some(correct), SampleTarget::Class(class)) = (&mut score.correct, target)
                && self.class(row) == class
            {
                *correct += weight;
            }
        }
        score
    }

    /// Returns the predicted class: the index of the first largest output, or, for a single output,
    /// whether it is above 0.
    pub fn class<R: Real>(self, outputs: &[R]) -> usize {
        if outputs.len() == 1 {
            return usize::from(outputs[0] > R::ZERO);
        }
        (1..outputs.len()).fold(0, |best, k| if outputs[k] > outputs[best] { k } else { best })
    }

    /// Converts the outputs of one sample to predictions: probabilities, or with a squared loss the
    /// activations.
    pub fn predict<R: Real>(self, outputs: &mut [R]) {
        match self {
            Self::CrossEntropy => softmax(outputs),
            Self::Bce | Self::BceSum => outputs.iter_mut().for_each(|z| *z = sigmoid(*z)),
            Self::Squared(loss) => outputs.iter_mut().for_each(|z| *z = loss.activated(*z)),
        }
    }
}

/// The target of one sample.
#[derive(Clone, Copy)]
enum SampleTarget<'a, R> {
    Class(usize),
    Values(&'a [R]),
}

impl<R: Real> SampleTarget<'_, R> {
    /// Returns the probability that output k of K should be; a single output is the probability of
    /// class 1 of 2.
    fn probability(self, k: usize, outputs: usize) -> R {
        match self {
            Self::Class(class) => R::from_f64(f64::from(u8::from(class == k.max(usize::from(outputs == 1))))),
            Self::Values(values) => values[k],
        }
    }
}

impl<'a, R: Real> BatchTargets<'a, R> {
    fn of(&self, index: usize) -> SampleTarget<'a, R> {
        match *self {
            Self::Classes(labels) => SampleTarget::Class(labels[index] as usize),
            Self::Values(values) => {
                let columns = values.ncols();
                let values = values.to_slice().expect("target values are row-major");
                SampleTarget::Values(&values[index * columns..][..columns])
            }
            Self::None => panic!("samples without targets have no loss"),
        }
    }

    fn are_classes(&self) -> bool {
        matches!(self, Self::Classes(_))
    }
}

/// The number of samples whose losses are computed together.
const SAMPLES: usize = 64;

/// ℓ = ln Σ exp(zⱼ − max z) − (z_c − max z) and ∂ℓ/∂zₖ = pₖ − [k = c] for each row, in three passes
/// over all rows, so that the second pass, which takes longest, is a single loop.
#[inline(always)]
fn cross_entropy_backward<'a, R: Real>(
    outputs: &mut [R],
    target: impl Fn(usize) -> SampleTarget<'a, R>,
    losses: &mut [R],
) {
    let class = |index| match target(index) {
        SampleTarget::Class(class) => class,
        SampleTarget::Values(_) => panic!("cross-entropy needs classes, not values"),
    };
    let width = outputs.len() / losses.len();
    for (index, (row, loss)) in outputs.chunks_exact_mut(width).zip(&mut *losses).enumerate() {
        let largest = largest(row);
        *loss = largest - row[class(index)];
        row.iter_mut().for_each(|z| *z = *z - largest);
    }
    outputs.iter_mut().for_each(|z| *z = z.exp());
    for (index, (row, loss)) in outputs.chunks_exact_mut(width).zip(losses).enumerate() {
        let sum: R = row.iter().copied().sum();
        *loss = sum.ln() + *loss;
        row.iter_mut().for_each(|value| *value = *value / sum);
        row[class(index)] = row[class(index)] - R::ONE;
    }
}

/// pₖ = exp(zₖ − max z) / Σ exp(zⱼ − max z), in place.
fn softmax<R: Real>(row: &mut [R]) {
    let largest = largest(row);
    row.iter_mut().for_each(|z| *z = (*z - largest).exp());
    let sum: R = row.iter().copied().sum();
    row.iter_mut().for_each(|value| *value = *value / sum);
}

#[inline(always)]
fn largest<R: Real>(row: &[R]) -> R {
    row[1..].iter().fold(row[0], |largest, z| if *z > largest { *z } else { largest })
}

/// The mean m_k and standard deviation s_k of each target k. With z_k an output of the model and
/// t_k its target:
///
/// | | |
/// |---|---|
/// | error, in deviations | e_k = z_k − (t_k − m_k)/s_k |
/// | gradient | ∂ℓ/∂z_k = 2 e_k/K, that of (1/K) Σ_k e_k² |
/// | loss, in squared units | (1/K) Σ_k s_k² e_k² |
/// | prediction | s_k z_k + m_k |
///
/// The loss is that of the predictions, up to rounding; it is computed from e_k because s_k z_k +
/// m_k − t_k would suffer from cancellation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TargetScale {
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl TargetScale {
    /// Creates the scale from one finite mean and one finite deviation above 0 per output.
    pub(super) fn new(mean: &[f32], std: &[f32], outputs: usize) -> Self {
        assert_eq!((mean.len(), std.len()), (outputs, outputs), "a mean and a deviation for each output");
        assert!(mean.iter().all(|mean| mean.is_finite()), "means are finite: {mean:?}");
        assert!(std.iter().all(|std| std.is_finite() && *std > 0.0), "deviations are above 0: {std:?}");
        Self { mean: mean.to_vec(), std: std.to_vec() }
    }

    /// Returns the sum of the weighted losses of `outputs` (B, K), and replaces each output by w_i
    /// ∂ℓ_i/∂z, divided by `divisor` if given. A sample of weight 0 is ignored, whatever its
    /// outputs are.
    pub(super) fn backward<R: Real>(
        &self,
        outputs: &mut [R],
        samples: &Samples<'_, R>,
        divisor: Option<R>,
    ) -> f64 {
        let width = self.mean.len();
        let share = R::from_f64(2.0) / R::from_f64(width as f64);
        let mut loss_sum = 0.0;
        for (index, row) in outputs.chunks_exact_mut(width).enumerate() {
            let weight = samples.weight(index);
            if weight == R::ZERO {
                row.fill(R::ZERO);
                continue;
            }
            self.errors(row, samples, index);
            loss_sum += weight.to_f64() * self.loss(row);
            let factor = divisor.map_or(weight, |divisor| weight / divisor);
            row.iter_mut().for_each(|value| *value = *value * share * factor);
        }
        loss_sum
    }

    /// Scores `outputs` (B, K), and replaces them by their errors.
    pub(super) fn score<R: Real>(&self, outputs: &mut [R], samples: &Samples<'_, R>) -> Score {
        let mut score = Score::default();
        for (index, row) in outputs.chunks_exact_mut(self.mean.len()).enumerate() {
            let weight = samples.weight(index).to_f64();
            if weight != 0.0 {
                self.errors(row, samples, index);
                score.loss_sum += weight * self.loss(row);
                score.weight += weight;
            }
        }
        score
    }

    /// Replaces the outputs of one sample by its predictions.
    pub(super) fn predict<R: Real>(&self, outputs: &mut [R]) {
        for ((z, mean), std) in outputs.iter_mut().zip(&self.mean).zip(&self.std) {
            *z = *z * real(*std) + real(*mean);
        }
    }

    /// Replaces the outputs of one sample by e.
    fn errors<R: Real>(&self, row: &mut [R], samples: &Samples<'_, R>, index: usize) {
        let BatchTargets::Values(values) = samples.targets else { panic!("mse needs values") };
        let values = values.to_slice().expect("target values are row-major");
        let targets = &values[index * row.len()..][..row.len()];
        for (((z, target), mean), std) in row.iter_mut().zip(targets).zip(&self.mean).zip(&self.std) {
            *z = *z - (*target - real(*mean)) / real(*std);
        }
    }

    /// Returns the loss of one sample with these errors. The squares are computed in the precision
    /// of the gradient, so that a loss overflows where that of unstandardized targets would; their
    /// scale is applied in f64.
    fn loss<R: Real>(&self, errors: &[R]) -> f64 {
        let scaled =
            errors.iter().zip(&self.std).map(|(e, std)| (*e * *e).to_f64() * f64::from(*std).powi(2));
        scaled.sum::<f64>() / self.std.len() as f64
    }
}

fn real<R: Real>(value: f32) -> R {
    R::from_f64(f64::from(value))
}
