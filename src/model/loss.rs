//! Loss functions, each beside its derivative.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::activation::sigmoid;
use super::{Misfit, Real, Samples, Score, TargetShape, Targets};
use crate::vectorized::vectorized;

/// What is made small. ℓ is the loss of one sample, z its K outputs, t its target; p = softmax(z), σ the logistic
/// function.
///
/// | name | targets | ℓ | ∂ℓ/∂z_k |
/// |---|---|---|---|
/// | `cross-entropy` | a class c of K | −ln p_c | p_k − \[k = c\] |
/// | `bce` | values in \[0, 1\], or a class of 2 with K = 1 | (1/K) Σ_k −t_k ln σ(z_k) − (1 − t_k) ln(1 − σ(z_k)) | (σ(z_k) − t_k)/K |
/// | `mse` | values | (1/K) Σ_k (z_k − t_k)², without ½ | 2 (z_k − t_k)/K |
///
/// The mean over samples is PyTorch's `CrossEntropyLoss`, `BCEWithLogitsLoss` and `MSELoss`. With K > 1 the sum over
/// samples is 1/K of what PyTorch's `reduction='sum'` gives for the last two, because that sums over outputs too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Softmax and negative log-likelihood.
    CrossEntropy,
    /// Binary cross-entropy of logits.
    Bce,
    /// Squared error.
    Mse,
}

impl Loss {
    /// Every loss.
    pub const ALL: [Self; 3] = [Self::CrossEntropy, Self::Bce, Self::Mse];

    /// Its name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::CrossEntropy => "cross-entropy",
            Self::Bce => "bce",
            Self::Mse => "mse",
        }
    }

    /// Says whether a model of so many outputs can be held against such targets.
    pub(super) fn check(self, outputs: usize, targets: TargetShape) -> Result<(), Misfit> {
        match (self, targets) {
            (_, TargetShape::None) => Err(Misfit::NoTargets),
            (Self::CrossEntropy, TargetShape::Values { .. }) => {
                Err(Misfit::NeedsClasses { loss: self.name() })
            }
            (Self::Mse, TargetShape::Classes(_)) => Err(Misfit::NeedsValues { loss: self.name() }),
            (Self::Bce, TargetShape::Classes(_)) if outputs > 1 => {
                Err(Misfit::NeedsValues { loss: self.name() })
            }
            (_, TargetShape::Classes(found)) => {
                let expected = if self == Self::Bce { 2 } else { outputs };
                if found > expected { Err(Misfit::Classes { found, expected }) } else { Ok(()) }
            }
            (_, TargetShape::Values { outputs: found, .. }) if found != outputs => {
                Err(Misfit::Values { found, expected: outputs })
            }
            (Self::Bce, TargetShape::Values { least, most, .. }) if least < 0.0 || most > 1.0 => {
                Err(Misfit::NotProbabilities { least, most })
            }
            (_, TargetShape::Values { .. }) => Ok(()),
        }
    }

    /// Adds up the weighted losses of `outputs` (B, K), and replaces each output by w_i ∂ℓ_i/∂z, divided by `divisor`
    /// if there is one.
    ///
    /// A sample of weight 0 counts for nothing, whatever its outputs are.
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
        target: impl Fn(usize) -> Target<'a, R>,
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

    fn backward_row<R: Real>(self, row: &mut [R], target: Target<'_, R>) {
        match (self, target) {
            (Self::Bce, target) => {
                let share = R::ONE / R::from_f64(row.len() as f64);
                for (k, z) in row.iter_mut().enumerate() {
                    *z = (sigmoid(*z) - target.value(k)) * share;
                }
            }
            (Self::Mse, target) => {
                let share = R::from_f64(2.0) / R::from_f64(row.len() as f64);
                for (k, z) in row.iter_mut().enumerate() {
                    *z = (*z - target.value(k)) * share;
                }
            }
            (Self::CrossEntropy, _) => unreachable!("cross-entropy takes many rows at a time"),
        }
    }

    /// The loss of one sample.
    fn loss<R: Real>(self, row: &[R], target: Target<'_, R>) -> R {
        let outputs = R::from_f64(row.len() as f64);
        match (self, target) {
            (Self::CrossEntropy, Target::Class(class)) => {
                let largest = largest(row);
                row.iter().map(|z| (*z - largest).exp()).sum::<R>().ln() + (largest - row[class])
            }
            // ln(1 + e⁻ᶻ) without overflow: max(z, 0) − zt + ln(1 + e^−|z|).
            (Self::Bce, target) => {
                let terms = row.iter().enumerate().map(|(k, z)| {
                    let above = if *z < R::ZERO { R::ZERO } else { *z };
                    above - *z * target.value(k) + (-z.abs()).exp().ln_1p()
                });
                terms.sum::<R>() / outputs
            }
            (Self::Mse, target) => {
                let squares =
                    row.iter().enumerate().map(|(k, z)| (*z - target.value(k)) * (*z - target.value(k)));
                squares.sum::<R>() / outputs
            }
            (Self::CrossEntropy, Target::Values(_)) => panic!("cross-entropy needs classes, not values"),
        }
    }

    /// Scores `outputs` (B, K): loss, and with class targets how many are right.
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
            if let (Some(correct), Target::Class(class)) = (&mut score.correct, target)
                && self.class(row) == class
            {
                *correct += weight;
            }
        }
        score
    }

    /// The class that outputs speak for: the first of the largest, or with one output whether it is above 0.
    pub fn class<R: Real>(self, outputs: &[R]) -> usize {
        if outputs.len() == 1 {
            return usize::from(outputs[0] > R::ZERO);
        }
        (1..outputs.len()).fold(0, |best, k| if outputs[k] > outputs[best] { k } else { best })
    }

    /// Turns the outputs of one sample into what a user asks for: probabilities, or with `mse` the values as they are.
    pub fn predict<R: Real>(self, outputs: &mut [R]) {
        match self {
            Self::CrossEntropy => softmax(outputs),
            Self::Bce => outputs.iter_mut().for_each(|z| *z = sigmoid(*z)),
            Self::Mse => {}
        }
    }
}

/// The target of one sample.
#[derive(Clone, Copy)]
enum Target<'a, R> {
    Class(usize),
    Values(&'a [R]),
}

impl<R: Real> Target<'_, R> {
    /// Target of output k; class 1 of 2 is the value 1.
    fn value(&self, k: usize) -> R {
        match self {
            Self::Class(class) => R::from_f64(*class as f64),
            Self::Values(values) => values[k],
        }
    }
}

impl<'a, R: Real> Targets<'a, R> {
    fn of(&self, index: usize) -> Target<'a, R> {
        match *self {
            Self::Classes(labels) => Target::Class(labels[index] as usize),
            Self::Values(values) => {
                let columns = values.ncols();
                let values = values.to_slice().expect("target values lie row-major");
                Target::Values(&values[index * columns..][..columns])
            }
            Self::None => panic!("samples without targets have no loss"),
        }
    }

    fn are_classes(&self) -> bool {
        matches!(self, Self::Classes(_))
    }
}

/// Samples whose losses are computed together.
const SAMPLES: usize = 64;

/// ℓ = ln Σ exp(zⱼ − max z) − (z_c − max z) and ∂ℓ/∂zₖ = pₖ − [k = c] of each row, in three passes over all rows, so that the
/// second, which takes longest, is one loop.
#[inline(always)]
fn cross_entropy_backward<'a, R: Real>(
    outputs: &mut [R],
    target: impl Fn(usize) -> Target<'a, R>,
    losses: &mut [R],
) {
    let class = |index| match target(index) {
        Target::Class(class) => class,
        Target::Values(_) => panic!("cross-entropy needs classes, not values"),
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

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Loss {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|loss| loss.name() == text);
        found.ok_or_else(|| format!("unknown loss '{text}', expected cross-entropy, bce or mse"))
    }
}
