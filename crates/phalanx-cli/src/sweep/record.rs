//! What a run leaves behind.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::Run;

/// One run of a sweep, done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What was run.
    #[serde(flatten)]
    pub run: Run,
    /// Whether the loss was no number any more, or ended above that of the initial params.
    pub diverged: bool,
    /// Wall time in seconds.
    pub secs: f64,
    /// The score of the test samples, as long as it was a finite number.
    pub curve: Vec<CurvePoint>,
}

/// A score on the way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Steps done.
    pub step: u64,
    /// Mean loss of the test samples.
    pub loss: f64,
    /// Share of the test samples whose class is predicted right, if they have classes.
    pub accuracy: Option<f64>,
}

impl Record {
    /// The loss at the end; `None` if the run diverged.
    pub fn final_loss(&self) -> Option<f64> {
        self.curve.last().filter(|_| !self.diverged).map(|point| point.loss)
    }

    /// The lowest loss on the way.
    pub fn lowest_loss(&self) -> Option<f64> {
        self.curve.iter().map(|point| point.loss).min_by(f64::total_cmp)
    }

    /// Steps until the loss is at most `goal` for the first time, between two scores on a straight line of ln(step) over the loss;
    /// `None` if it never is.
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

/// Lines for other programs: one a run, with its end and the steps to the goal.
pub fn csv(records: &[Record], goal: Option<f64>) -> String {
    let mut text =
        "reduction,batch_size,rate,seed,diverged,steps,test_loss,test_accuracy,steps_to_goal,secs\n"
            .to_owned();
    for record in records {
        let Run { cell, seed } = record.run;
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
        writeln!(text, "{}", fields.join(",")).expect("a string takes what is written to it");
    }
    text
}

/// Sample counts at which a run is scored grow by this factor, from this share of the samples on.
const GROWTH: f64 = 1.12;
const FIRST_SHARE: f64 = 1.0 / 60.0;

/// Steps after which a run of `total` steps is scored.
pub(super) fn scored_steps(samples: usize, batch_size: usize, total: u64) -> Vec<u64> {
    let counts = std::iter::successors(Some(samples as f64 * FIRST_SHARE), |count| Some(count * GROWTH));
    let steps = counts.map(|count| ((count / batch_size as f64).round() as u64).max(1));
    let mut steps: Vec<u64> = steps.take_while(|step| *step < total).chain([total]).collect();
    steps.dedup();
    steps
}

#[cfg(test)]
mod tests {
    use super::super::Cell;
    use super::*;
    use phalanx::optim::Reduction;

    fn record(losses: &[f64]) -> Record {
        let cell = Cell { reduction: Reduction::Mean, batch_size: 4, rate: 0.1 };
        let point = |(index, &loss): (usize, &f64)| CurvePoint { step: 1 << index, loss, accuracy: None };
        let curve = losses.iter().enumerate().map(point).collect();
        Record { run: Run { cell, seed: 1 }, diverged: false, secs: 0.0, curve }
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
    fn a_record_is_read_back_as_it_was_written() {
        let record = record(&[2.0, 0.1]);
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }

    #[test]
    fn scores_grow_apart_and_end_with_the_last_step() {
        let steps = scored_steps(60_000, 16, 3750);
        assert_eq!((steps[0], *steps.last().unwrap()), (63, 3750));
        assert!(
            steps.windows(2).all(|pair| pair[0] < pair[1] && pair[1] as f64 <= 1.2 * pair[0] as f64 + 1.0)
        );
        assert_eq!(scored_steps(100, 25, 3), [1, 2, 3]);
    }

    #[test]
    fn a_line_of_the_csv_has_the_cell_the_seed_and_the_end_of_the_run() {
        let point = |step, loss| CurvePoint { step, loss, accuracy: None };
        let cell = Cell { reduction: Reduction::Mean, batch_size: 64, rate: 0.1 };
        let curve = vec![point(10, 1.0), point(20, 0.5)];
        let record = Record { run: Run { cell, seed: 42 }, diverged: false, secs: 0.1, curve };
        assert_eq!((record.steps_to(1.0), record.steps_to(0.4)), (Some(10.0), None));
        let lines = csv(std::slice::from_ref(&record), Some(1.0));
        assert!(lines.contains("mean,64,0.1,42,false,20,0.5"), "{lines}");
    }
}
