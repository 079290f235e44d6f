//! The distributions of initial params.

use std::fmt;
use std::str::FromStr;

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::activation::Activation;

/// The distribution from which the weight (O, I) or the bias (O) of a layer is drawn.
///
/// | name | distribution | known as |
/// |---|---|---|
/// | `auto` | U(±√(3g/I)), g = 2 before relu and gelu, else 1 | He, Zhang, Ren and Sun 2015 (arXiv:1502.01852, eq. 10), with the gain of the activation |
/// | `pytorch` | U(±1/√I) | PyTorch's `nn.Linear`, weight and bias; Torch 7 and BigDL |
/// | `glorot` | U(±√(6/(I + O))) | Glorot and Bengio 2010; Keras, CNTK, the Theano tutorial with tanh |
/// | `glorot-normal` | N(0, 2/(I + O)) | the same; Keras cuts it off at 2 deviations |
/// | `he`, `he-normal` | U(±√(6/I)), N(0, 2/I) | `kaiming_uniform_` and `kaiming_normal_` of PyTorch with relu |
/// | `lecun`, `lecun-normal` | U(±√(3/I)), N(0, 1/I) | LeCun 1998; Nielsen's default weights are the second |
/// | `darknet` | U(±√(2/I)) | Darknet's connected layers |
/// | `uniform:a` | U(±a) | MXNet with a = 0.07 |
/// | `normal:s` | N(0, s²), s = 1 if omitted | Nielsen's first network, weight and bias |
/// | `theano-tutorial` | as glorot, but 0 in the last layer | the perceptron of the Theano tutorial |
/// | `zero` | 0 | the Theano tutorial's logistic regression |
///
/// U(±a) is the uniform distribution from −a to a, N(0, v) the normal one of variance v, and
/// nothing is cut off.
///
/// # Examples
///
/// ```
/// use phalanx::model::Init;
///
/// assert_eq!("normal:0.5".parse(), Ok(Init::Normal(0.5)));
/// assert_eq!(Init::GlorotNormal.to_string(), "glorot-normal");
/// assert!("normal:-1".parse::<Init>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Init {
    /// U(±√(3g/I)).
    #[default]
    Auto,
    /// U(±1/√I).
    Pytorch,
    /// U(±√(6/(I + O))).
    Glorot,
    /// N(0, 2/(I + O)).
    GlorotNormal,
    /// U(±√(6/I)).
    He,
    /// N(0, 2/I).
    HeNormal,
    /// U(±√(3/I)).
    Lecun,
    /// N(0, 1/I).
    LecunNormal,
    /// U(±√(2/I)).
    Darknet,
    /// U(±a).
    Uniform(f32),
    /// N(0, s²).
    Normal(f32),
    /// U(±√(6/(I + O))), and 0 in the last layer.
    TheanoTutorial,
    /// 0.
    Zero,
}

const NAMED: [(&str, Init); 11] = [
    ("auto", Init::Auto),
    ("pytorch", Init::Pytorch),
    ("glorot", Init::Glorot),
    ("glorot-normal", Init::GlorotNormal),
    ("he", Init::He),
    ("he-normal", Init::HeNormal),
    ("lecun", Init::Lecun),
    ("lecun-normal", Init::LecunNormal),
    ("darknet", Init::Darknet),
    ("theano-tutorial", Init::TheanoTutorial),
    ("zero", Init::Zero),
];

impl fmt::Display for Init {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform(bound) => f.pad(&format!("uniform:{bound}")),
            Self::Normal(deviation) => f.pad(&format!("normal:{deviation}")),
            named => f.pad(NAMED.iter().find(|(_, init)| init == named).expect("it is named").0),
        }
    }
}

impl FromStr for Init {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = NAMED.iter().find(|(name, _)| *name == text).map(|(_, init)| *init);
        let (name, number) = text.split_once(':').unwrap_or((text, "1"));
        let number = number.parse::<f32>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        match (named, name, number) {
            (Some(init), ..) => Ok(init),
            (None, "uniform", Some(bound)) if name != text => Ok(Self::Uniform(bound)),
            (None, "normal", Some(deviation)) => Ok(Self::Normal(deviation)),
            _ => Err(format!(
                "unknown distribution '{text}', expected {}, normal, or uniform:A or normal:S with numbers of at least 0",
                NAMED.map(|(name, _)| name).join(", ")
            )),
        }
    }
}

impl TryFrom<String> for Init {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Init> for String {
    fn from(init: Init) -> Self {
        init.to_string()
    }
}

/// The ChaCha stream of initial params. With the same seed, sample orders use the streams 0, 1, 2,
/// ..., one per epoch, and the split of a test part uses the last stream.
const STREAM: u64 = u64::MAX - 1;

/// Draws initial params with a seed; ChaCha8 guarantees the same values on all machines and in all
/// versions of the crate.
pub(super) struct Draw(ChaCha8Rng);

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(STREAM);
        Self(generator)
    }

    /// Fills the weight or the bias of a layer with I inputs and O outputs, before this activation
    /// if it is not the last layer. Draws nothing for zeros.
    pub(super) fn fill(
        &mut self,
        params: &mut [f32],
        init: Init,
        (ins, outs): (usize, usize),
        activation: Option<Activation>,
    ) {
        let (ins, both) = (ins as f32, (ins + outs) as f32);
        match init {
            Init::Auto => {
                let gain = activation.map_or(1.0, Activation::gain);
                self.uniform(params, (3.0 * gain / ins).sqrt());
            }
            Init::Pytorch => self.uniform(params, ins.sqrt().recip()),
            Init::Glorot => self.uniform(params, (6.0 / both).sqrt()),
            Init::GlorotNormal => self.normal(params, (2.0 / both).sqrt()),
            Init::He => self.uniform(params, (6.0 / ins).sqrt()),
            Init::HeNormal => self.normal(params, (2.0 / ins).sqrt()),
            Init::Lecun => self.uniform(params, (3.0 / ins).sqrt()),
            Init::LecunNormal => self.normal(params, ins.sqrt().recip()),
            Init::Darknet => self.uniform(params, (2.0 / ins).sqrt()),
            Init::Uniform(bound) => self.uniform(params, bound),
            Init::Normal(deviation) => self.normal(params, deviation),
            Init::TheanoTutorial if activation.is_some() => self.uniform(params, (6.0 / both).sqrt()),
            Init::TheanoTutorial | Init::Zero => params.fill(0.0),
        }
    }

    /// Fills `params` with 2·bound·(u − ½), where u is one of the 2²⁴ multiples of 2⁻²⁴ in [0, 1).
    fn uniform(&mut self, params: &mut [f32], bound: f32) {
        for param in params {
            let unit = (self.0.next_u32() >> 8) as f32 * 2.0_f32.powi(-24);
            *param = (unit - 0.5) * (2.0 * bound);
        }
    }

    fn normal(&mut self, params: &mut [f32], deviation: f32) {
        for param in params {
            let unit: f64 = StandardNormal.sample(&mut self.0);
            *param = unit as f32 * deviation;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_distribution_has_its_bound_or_deviation_and_its_name_is_parsed() {
        let (ins, outs): (usize, usize) = (300, 100);
        let uniform = |bound: f64| (bound / 3.0_f64.sqrt(), bound);
        let normal = |deviation: f64| (deviation, 6.0 * deviation);
        // The deviation, and the largest magnitude.
        let expected = [
            ("auto", uniform((6.0 / 300.0_f64).sqrt())),
            ("pytorch", uniform(1.0 / 300.0_f64.sqrt())),
            ("glorot", uniform((6.0 / 400.0_f64).sqrt())),
            ("glorot-normal", normal((2.0 / 400.0_f64).sqrt())),
            ("he", uniform((6.0 / 300.0_f64).sqrt())),
            ("he-normal", normal((2.0 / 300.0_f64).sqrt())),
            ("lecun", uniform(0.1)),
            ("lecun-normal", normal(1.0 / 300.0_f64.sqrt())),
            ("darknet", uniform((2.0 / 300.0_f64).sqrt())),
            ("uniform:0.07", uniform(0.07)),
            ("normal:0.01", normal(0.01)),
            ("normal:1", normal(1.0)),
            ("theano-tutorial", uniform((6.0 / 400.0_f64).sqrt())),
            ("zero", (0.0, 0.0)),
        ];
        for (name, (deviation, most)) in expected {
            let init: Init = name.parse().unwrap();
            assert_eq!(init.to_string(), name);
            let mut params = vec![f32::NAN; ins * outs];
            Draw::new(1).fill(&mut params, init, (ins, outs), Some(Activation::Relu));
            let mean = params.iter().map(|x| f64::from(*x)).sum::<f64>() / params.len() as f64;
            let square = params.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / params.len() as f64;
            // 30,000 values: the mean is within 4 standard errors, the deviation within 2 %.
            assert!(mean.abs() <= 4.0 * deviation / 173.0, "{name}: mean {mean}");
            assert!((square.sqrt() - deviation).abs() <= 0.02 * deviation, "{name}: {square}");
            assert!(params.iter().all(|x| f64::from(x.abs()) <= most * (1.0 + 1e-6)), "{name}");
        }
        assert_eq!("normal".parse(), Ok(Init::Normal(1.0)));
        for wrong in ["uniform", "normal:", "normal:-1", "normal:inf", "he:2", "xavier"] {
            assert!(wrong.parse::<Init>().unwrap_err().contains("glorot-normal"), "{wrong}");
        }
    }
}
