//! Activation functions, each next to its derivative.

use serde::{Deserialize, Serialize};

use super::real::Real;
use crate::num::names;
use crate::simd::vectorized;

/// The function between two layers, applied to each element.
///
/// | name | a = f(z) | f′ |
/// |---|---|---|
/// | `relu` | max(z, 0); NaN stays NaN | 1 where a > 0, else 0 |
/// | `tanh` | tanh z | 1 − a² |
/// | `sigmoid` | 1/(1 + e⁻ᶻ) | a(1 − a) |
/// | `scaled-tanh` | 1.7159 tanh(2z/3) | (2/3)(1.7159 − a²/1.7159) |
/// | `gelu` | z Φ(z), Φ(z) = ½(1 + erf(z/√2)) | Φ(z) + z φ(z) |
///
/// `gelu` is the exact function (arXiv:1606.08415), PyTorch's default, not the tanh approximation.
/// `scaled-tanh` is that of LeCun, Bottou, Orr and Müller 1998, "Efficient BackProp", section 4.4:
/// f(±1) = ±1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// max(z, 0).
    Relu,
    /// Hyperbolic tangent.
    Tanh,
    /// Logistic function.
    Sigmoid,
    /// 1.7159 tanh(2z/3).
    ScaledTanh,
    /// Gaussian error linear unit, by erf.
    Gelu,
}

names!(Activation, "activation", [
    Relu => "relu",
    Tanh => "tanh",
    Sigmoid => "sigmoid",
    ScaledTanh => "scaled-tanh",
    Gelu => "gelu",
]);

/// The largest value of the scaled tanh, and the factor of its input.
const SCALED_TANH: [f64; 2] = [1.7159, 2.0 / 3.0];

impl Activation {
    /// Replaces each z by a = f(z).
    pub(super) fn forward<R: Real>(self, values: &mut [R]) {
        vectorized(
            #[inline(always)]
            || match self {
                Self::Relu => map(values, |z| Self::Relu.of(z)),
                Self::Tanh => map(values, |z| Self::Tanh.of(z)),
                Self::Sigmoid => map(values, |z| Self::Sigmoid.of(z)),
                Self::ScaledTanh => map(values, |z| Self::ScaledTanh.of(z)),
                Self::Gelu => map(values, |z| Self::Gelu.of(z)),
            },
        );
    }

    /// Returns a = f(z).
    #[inline(always)]
    pub(super) fn of<R: Real>(self, z: R) -> R {
        match self {
            Self::Relu if z < R::ZERO => R::ZERO,
            Self::Relu => z,
            Self::Tanh => z.tanh(),
            Self::Sigmoid => sigmoid(z),
            Self::ScaledTanh => {
                let [most, factor] = SCALED_TANH.map(R::from_f64);
                most * (factor * z).tanh()
            }
            Self::Gelu => z * gaussian_below(z),
        }
    }

    /// Returns f′ where f is `a`.
    ///
    /// # Panics
    ///
    /// For gelu, whose derivative is no function of its value.
    #[inline(always)]
    pub(super) fn slope<R: Real>(self, a: R) -> R {
        match self {
            Self::Relu if a > R::ZERO => R::ONE,
            Self::Relu => R::ZERO,
            Self::Tanh => R::ONE - a * a,
            Self::Sigmoid => a * (R::ONE - a),
            Self::ScaledTanh => {
                let [most, factor] = SCALED_TANH.map(R::from_f64);
                factor * (most - a * a / most)
            }
            Self::Gelu => panic!("the derivative of gelu is not a function of its value"),
        }
    }

    /// Multiplies each gradient ∂ℓ/∂a by f′, resulting in ∂ℓ/∂z. `kept` holds the values selected
    /// by [`keeps`](Self::keeps).
    pub(super) fn backward<R: Real>(self, kept: &[R], grads: &mut [R]) {
        assert_eq!(kept.len(), grads.len(), "one kept value for each gradient");
        vectorized(
            #[inline(always)]
            || match self {
                Self::Relu => zip(kept, grads, |a, grad| if a > R::ZERO { grad } else { R::ZERO }),
                Self::Tanh => zip(kept, grads, |a, grad| grad * Self::Tanh.slope(a)),
                Self::Sigmoid => zip(kept, grads, |a, grad| grad * Self::Sigmoid.slope(a)),
                Self::ScaledTanh => zip(kept, grads, |a, grad| grad * Self::ScaledTanh.slope(a)),
                Self::Gelu => {
                    zip(kept, grads, |z, grad| grad * (gaussian_below(z) + z * gaussian_density(z)));
                }
            },
        );
    }

    /// Returns the factor for the variance of the weights before the activation that preserves the
    /// magnitude of signals from layer to layer.
    pub(super) fn gain(self) -> f32 {
        match self {
            Self::Relu | Self::Gelu => 2.0,
            Self::Tanh | Self::Sigmoid | Self::ScaledTanh => 1.0,
        }
    }

    /// Returns the value that the backward pass needs: the output a, or the input z.
    pub(super) fn keeps(self) -> DerivativeInput {
        match self {
            Self::Gelu => DerivativeInput::Input,
            _ => DerivativeInput::Output,
        }
    }
}

/// The value from which the derivative of an activation is computed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum DerivativeInput {
    Input,
    Output,
}

/// 1/(1 + e⁻ˣ); 0 and 1 at the infinities.
#[inline(always)]
pub(super) fn sigmoid<R: Real>(x: R) -> R {
    R::ONE / (R::ONE + (-x).exp())
}

/// Φ(z) = ½(1 + erf(z/√2)), the standard normal cumulative distribution function.
fn gaussian_below<R: Real>(z: R) -> R {
    R::from_f64(0.5) * (R::ONE + (z * R::from_f64(std::f64::consts::FRAC_1_SQRT_2)).erf())
}

/// φ(z) = exp(−z²/2)/√(2π), the standard normal density.
fn gaussian_density<R: Real>(z: R) -> R {
    (-(z * z) * R::from_f64(0.5)).exp() * R::from_f64(0.398_942_280_401_432_7)
}

#[inline(always)]
fn map<R: Real>(values: &mut [R], f: impl Fn(R) -> R) {
    for value in values {
        *value = f(*value);
    }
}

#[inline(always)]
fn zip<R: Real>(kept: &[R], grads: &mut [R], f: impl Fn(R, R) -> R) {
    for (kept, grad) in kept.iter().zip(grads) {
        *grad = f(*kept, *grad);
    }
}
