//! How good the params are at the end of an epoch.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::EpochEnd;
use crate::model::Score;

/// What params are judged by.
///
/// # Examples
///
/// Ends a run once two epochs bring no gain of more than 0.01 in the test loss, with the params of the best:
///
/// ```
/// use phalanx::data::{LoadOptions, Source};
/// use phalanx::model::{Activation, Loss, Mlp, MlpShape};
/// use phalanx::train::{Length, Metric, Options, StopReason, Trainer};
///
/// let digits: Source = "digits".parse()?;
/// let data = digits.load(&LoadOptions::default())?;
/// let (hidden, activation, loss) = (vec![16], Activation::Relu, Loss::CrossEntropy);
/// let model = Mlp::new(MlpShape { inputs: 64, hidden, outputs: 10, activation, loss });
/// let options = Options {
///     metric: Some(Metric::TestLoss),
///     min_gain: 0.01,
///     early_stop: Some(2),
///     keep_best: true,
///     length: Length::Epochs(100),
///     ..Options::default()
/// };
/// let test = data.test.expect("the digits have test samples");
/// let outcome = Trainer::new(&model, &data.train, options).test(&test).run()?;
/// assert_eq!(outcome.reason, StopReason::StoppedEarly);
/// let best = outcome.position.best.expect("more than one epoch was done");
/// assert_eq!(best.epoch + 1 + 2, outcome.position.epoch);
/// assert_ne!(outcome.chosen_params(), outcome.params);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Share of the test samples whose class is predicted right: the more, the better.
    TestAccuracy,
    /// Mean loss of a test sample: the less, the better.
    TestLoss,
    /// Mean loss of a training sample over the epoch, each before its update: the less, the better.
    TrainLoss,
}

impl Metric {
    /// All of them. Where none is asked for, a run takes the first that its data allow.
    pub const ALL: [Self; 3] = [Self::TestAccuracy, Self::TestLoss, Self::TrainLoss];

    /// The name, as in flags and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::TestAccuracy => "test-accuracy",
            Self::TestLoss => "test-loss",
            Self::TrainLoss => "train-loss",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|metric| metric.name() == text);
        let names = || Self::ALL.map(Self::name).join(", ");
        named.ok_or_else(|| format!("unknown metric '{text}'; choose one of {}", names()))
    }
}

/// What was measured at the end of an epoch on the params as they were then; what is no finite number counts as not measured.
///
/// # Examples
///
/// ```
/// use phalanx::train::{Best, Metric, Quality};
///
/// let quality = |accuracy, loss| Quality { test_accuracy: Some(accuracy), test_loss: Some(loss), train_loss: None };
/// let best = Best { epoch: 2, step: 69, quality: quality(0.75, 0.5) };
/// let now = quality(0.5, 0.25);
/// assert_eq!(now.gain_over(&best.quality, Metric::TestAccuracy), Some(-0.25));
/// assert_eq!(now.gain_over(&best.quality, Metric::TestLoss), Some(0.25));
/// assert_eq!(now.gain_over(&best.quality, Metric::TrainLoss), None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Share of the test samples whose class is predicted right.
    pub test_accuracy: Option<f64>,
    /// Mean loss of a test sample.
    pub test_loss: Option<f64>,
    /// Mean loss of a training sample over the epoch.
    pub train_loss: Option<f64>,
}

impl Quality {
    /// What the end of an epoch says.
    pub fn of(end: &EpochEnd) -> Self {
        let finite = |value: f64| value.is_finite().then_some(value);
        Self {
            test_accuracy: end.test.as_ref().and_then(Score::accuracy).and_then(finite),
            test_loss: end.test.as_ref().map(Score::mean_loss).and_then(finite),
            train_loss: finite(end.train_loss),
        }
    }

    /// What was measured of a metric.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::TestAccuracy => self.test_accuracy,
            Metric::TestLoss => self.test_loss,
            Metric::TrainLoss => self.train_loss,
        }
    }

    /// How much better it is than another by a metric, below 0 if it is worse. What was measured is infinitely better than what was not;
    /// `None` if this was not.
    pub fn gain_over(&self, other: &Self, metric: Metric) -> Option<f64> {
        let own = self.value(metric)?;
        let Some(other) = other.value(metric) else { return Some(f64::INFINITY) };
        Some(if metric == Metric::TestAccuracy { own - other } else { other - own })
    }
}

/// The best epoch of a run so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// 0-based epoch.
    pub epoch: u64,
    /// Steps done at its end.
    pub step: u64,
    /// How good the params were then.
    pub quality: Quality,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_accuracy_is_a_gain_and_so_is_less_loss() {
        let of = |test_accuracy, test_loss| Quality { test_accuracy, test_loss, train_loss: None };
        let (a, b, none) = (of(Some(0.75), Some(2.0)), of(Some(0.5), Some(1.0)), Quality::default());
        assert_eq!(Metric::ALL.map(|metric| a.gain_over(&b, metric)), [Some(0.25), Some(-1.0), None]);
        assert_eq!(a.gain_over(&a, Metric::TestLoss), Some(0.0));
        assert_eq!(a.gain_over(&none, Metric::TestLoss), Some(f64::INFINITY));
        assert_eq!(none.gain_over(&a, Metric::TestLoss), None);
    }

    #[test]
    fn every_metric_is_read_from_what_it_prints() {
        assert_eq!(Metric::ALL.map(|metric| metric.to_string().parse()), Metric::ALL.map(Ok));
        assert!("accuracy".parse::<Metric>().is_err());
    }
}
