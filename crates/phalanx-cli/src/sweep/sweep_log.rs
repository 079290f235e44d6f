//! The record of a run of a sweep.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::SweepRun;

/// The record of a run of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepRecord {
    /// The run.
    #[serde(flatten)]
    pub run: SweepRun,
    /// True if the loss became NaN or infinite, or ended above that of the initial params.
    pub diverged: bool,
    /// Wall time in seconds.
    pub secs: f64,
    /// The scores on the test samples, up to the first one that is NaN or infinite.
    pub curve: Vec<CurvePoint>,
}

/// A score during the run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Number of completed steps.
    pub step: u64,
    /// Mean loss of the test samples.
    pub loss: f64,
    /// Accuracy on the test samples, if they have classes.
    pub accuracy: Option<f64>,
}

impl SweepRecord {
    /// Returns the loss at the end; `None` if the run diverged.
    pub fn final_loss(&self) -> Option<f64> {
        self.curve.last().filter(|_| !self.diverged).map(|point| point.loss)
    }

    /// Returns the lowest loss of the curve.
    pub fn lowest_loss(&self) -> Option<f64> {
        self.curve.iter().map(|point| point.loss).min_by(f64::total_cmp)
    }

    /// Returns the steps until the loss is at most `goal` for the first time, with ln(step)
    /// interpolated linearly over the loss between two scores; `None` if it never is.
    pub fn steps_to(&self, goal: f64) -> Option<f64> {
        let index = self.curve.iter().position(|point| point.loss <= goal)?;
        let after = &self.curve[index];
        let Some(before) = index.checked_sub(1).map(|index| &self.curve[index]) else {
            return Some(after.step as f64);
        };
        let part = (before.loss - goal) / (before.loss - after.loss);
        let (from, to) = ((before.step as f64).ln(), (after.step as f64).ln());
        Some((from + part * (to - from)).exp())
    }
}

/// Returns records as CSV for other programs: one line per run, with its final scores and the steps
/// to the goal.
pub fn csv(records: &[SweepRecord], goal: Option<f64>) -> String {
    let mut text =
        "reduction,batch_size,rate,seed,diverged,steps,test_loss,test_accuracy,steps_to_goal,secs\n"
            .to_owned();
    for record in records {
        let SweepRun { cell, seed } = record.run;
        let last = record.curve.last();
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        let fields = [
            cell.reduction.to_string(),
            cell.batch_size.to_string(),
            cell.rate.to_string(),
            seed.to_string(),
            record.diverged.to_string(),
            last.map_or(0, |point| point.step).to_string(),
            number(record.final_loss()),
            number(last.and_then(|point| point.accuracy)),
            number(goal.and_then(|goal| record.steps_to(goal))),
            record.secs.to_string(),
        ];
        writeln!(text, "{}", fields.join(",")).expect("writing to a string cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use phalanx::optim::Reduction;

    use super::super::Cell;
    use super::*;

    fn record(losses: &[f64]) -> SweepRecord {
        let cell = Cell { reduction: Reduction::Mean, batch_size: 4, rate: 0.1 };
        let point = |(index, &loss): (usize, &f64)| CurvePoint { step: 1 << index, loss, accuracy: None };
        let curve = losses.iter().enumerate().map(point).collect();
        SweepRecord { run: SweepRun { cell, seed: 1 }, diverged: false, secs: 0.0, curve }
    }

    #[test]
    fn steps_to_a_goal_lie_between_the_scores_around_it() {
        let record = record(&[2.0, 1.0, 0.5]);
        assert_eq!(record.steps_to(1.0), Some(2.0));
        assert!((record.steps_to(1.5).unwrap() - 2_f64.sqrt()).abs() < 1e-12);
        assert_eq!(record.steps_to(3.0), Some(1.0));
        assert_eq!(record.steps_to(0.4), None);
    }

    #[test]
    fn a_record_is_read_back_unchanged() {
        let record = record(&[2.0, 0.1]);
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<SweepRecord>(&text).unwrap(), record);
    }

    #[test]
    fn a_line_of_the_csv_has_the_cell_the_seed_and_the_final_scores() {
        let point = |step, loss| CurvePoint { step, loss, accuracy: None };
        let cell = Cell { reduction: Reduction::Mean, batch_size: 64, rate: 0.1 };
        let curve = vec![point(10, 1.0), point(20, 0.5)];
        let record = SweepRecord { run: SweepRun { cell, seed: 42 }, diverged: false, secs: 0.1, curve };
        assert_eq!((record.steps_to(1.0), record.steps_to(0.4)), (Some(10.0), None));
        let lines = csv(std::slice::from_ref(&record), Some(1.0));
        assert!(lines.contains("mean,64,0.1,42,false,20,0.5"), "{lines}");
    }
}
