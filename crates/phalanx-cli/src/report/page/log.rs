//! The log of a run, read back.

use serde::Deserialize;

/// What `metrics.jsonl` holds, see [`Metrics`](phalanx::log::Metrics).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunLog {
    /// Steps that were logged.
    pub steps: Vec<LoggedStep>,
    /// Epochs that ended. The last may be a part of one: see [`LoggedEpoch::is_partial`].
    pub epochs: Vec<LoggedEpoch>,
    /// Steps after which the run was resumed.
    pub resumed: Vec<u64>,
}

/// The line of a step.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct LoggedStep {
    /// Steps done.
    pub step: u64,
    /// Mean loss of its samples; `None` if it was no number.
    pub train_loss: Option<f64>,
    /// Learning rate.
    pub lr: f64,
    /// Global norm of the gradient, if it was computed.
    pub grad_norm: Option<f64>,
    /// Gradient noise scale, if it was measured and is known.
    pub noise_scale: Option<f64>,
}

/// The line of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct LoggedEpoch {
    /// Steps done.
    pub step: u64,
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// Whether it is the part of an epoch that the run ended with. Older versions logged it as a whole one.
    #[serde(skip)]
    pub is_partial: bool,
    /// Mean loss of its samples, each before its update; `None` if it was no number.
    pub train_loss: Option<f64>,
    /// Loss of the test samples.
    pub test_loss: Option<f64>,
    /// Accuracy on them.
    pub test_accuracy: Option<f64>,
    /// Samples per second.
    pub samples_per_sec: f64,
    /// Seconds of the epoch.
    pub epoch_secs: f64,
    /// Of these, seconds that rank 0 computed; `None` in logs of older versions.
    pub compute_secs: Option<f64>,
    /// That it waited.
    pub wait_secs: Option<f64>,
    /// That it reduced and updated.
    pub reduce_update_secs: Option<f64>,
}

#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line {
    Step(LoggedStep),
    Epoch(LoggedEpoch),
    PartialEpoch(LoggedEpoch),
    Resume {
        step: u64,
    },
    /// What a newer version may log.
    #[serde(other)]
    Other,
}

impl RunLog {
    /// Reads the lines; a last one without an end was being written and is left out. Of a wrong one its number and fault are
    /// returned.
    pub(super) fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut log = Self::default();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        for (index, line) in whole.enumerate() {
            let line = serde_json::from_str(line).map_err(|error| (index + 1, fault(&error)))?;
            match line {
                Line::Step(step) => log.steps.push(step),
                Line::Epoch(epoch) => log.epochs.push(epoch),
                Line::PartialEpoch(epoch) => log.epochs.push(LoggedEpoch { is_partial: true, ..epoch }),
                Line::Resume { step } => log.resumed.push(step),
                Line::Other => {}
            }
        }
        Ok(log)
    }

    /// Whether the last epoch is the part of one that the run ended with.
    pub(super) fn ends_within_an_epoch(&self) -> bool {
        self.epochs.last().is_some_and(|epoch| epoch.is_partial)
    }

    /// The epochs without the part of one that the run may have ended with.
    pub fn whole_epochs(&self) -> impl Iterator<Item = &LoggedEpoch> {
        self.epochs.iter().filter(|epoch| !epoch.is_partial)
    }

    /// Steps done when the last line was written.
    pub fn last_step(&self) -> Option<u64> {
        let step = self.steps.last().map(|step| step.step);
        step.max(self.epochs.last().map(|epoch| epoch.step))
    }
}

/// What is wrong with a text, without the place in it that serde says, which counts from its own beginning.
pub(super) fn fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: &str = r#"{"event":"step","step":10,"epoch":1,"train_loss":null,"lr":0.1}"#;
    const EPOCH: &str = r#"{"event":"epoch","step":12,"epoch":1,"train_loss":0.5,"test_loss":null,"test_accuracy":null,"samples_per_sec":9.0,"epoch_secs":0.1}"#;

    #[test]
    fn lines_are_told_apart_and_unknown_events_are_passed_over() {
        let resume = r#"{"event":"resume","step":12,"epoch":2}"#;
        let text = format!("{STEP}\n{EPOCH}\n{resume}\n{{\"event\":\"song\",\"step\":3}}\n");
        let log = RunLog::parse(&text).unwrap();
        assert_eq!((log.steps.len(), log.epochs.len(), log.resumed.as_slice()), (1, 1, &[12][..]));
        assert_eq!(
            (log.steps[0].train_loss, log.epochs[0].compute_secs, log.last_step()),
            (None, None, Some(12))
        );
    }

    #[test]
    fn a_line_that_is_being_written_is_none_and_a_damaged_one_is_named() {
        assert_eq!(RunLog::parse(&format!("{STEP}\n{{\"ev")).unwrap().steps.len(), 1);
        let (line, fault) = RunLog::parse(&format!("{STEP}\n{{\"ev\n{STEP}\n")).unwrap_err();
        assert_eq!(line, 2);
        assert!(!fault.contains("line"), "{fault}");
        let (line, fault) = RunLog::parse("{\"event\":\"step\",\"step\":1}\n").unwrap_err();
        assert!(line == 1 && fault.contains("missing field"), "{fault}");
    }
}
