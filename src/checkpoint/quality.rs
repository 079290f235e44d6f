//! How good the params of a checkpoint are.

use serde::{Deserialize, Serialize};

use crate::model::Score;
use crate::train::EpochEnd;

/// What was measured at the end of an epoch on the params that a checkpoint holds; what is no finite number counts as not
/// measured.
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

    /// Whether it is better: by the accuracy if both have one, else by the test loss, else by the training loss.
    pub fn is_better_than(&self, other: &Self) -> bool {
        if let (Some(own), Some(other)) = (self.test_accuracy, other.test_accuracy) {
            return own > other;
        }
        let lower = |own: Option<f64>, other: Option<f64>| Some(own? < other?);
        lower(self.test_loss, other.test_loss)
            .or_else(|| lower(self.train_loss, other.train_loss))
            .unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_have_decides_and_as_good_is_not_better() {
        let of = |test_accuracy, test_loss, train_loss| Quality { test_accuracy, test_loss, train_loss };
        let better = |a: Quality, b: Quality| (a.is_better_than(&b), b.is_better_than(&a));
        assert_eq!(better(of(Some(0.9), Some(2.0), None), of(Some(0.8), Some(1.0), None)), (true, false));
        assert_eq!(better(of(Some(0.9), Some(1.0), None), of(Some(0.9), Some(2.0), None)), (false, false));
        assert_eq!(
            better(of(None, Some(1.0), Some(9.0)), of(Some(0.9), Some(2.0), Some(1.0))),
            (true, false)
        );
        assert_eq!(better(of(None, None, Some(1.0)), of(None, Some(0.1), Some(2.0))), (true, false));
        assert_eq!(better(of(None, None, None), of(Some(1.0), None, None)), (false, false));
    }
}
