//! What the results of a resumed run take over from before.

use serde::{Deserialize, Serialize};

use crate::train::{EpochEnd, PhaseTimes};

/// Times of the epochs that are done, for the results of the whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Seconds of each whole epoch. A tensor of its own in the file: there may be millions.
    #[serde(skip)]
    pub epoch_secs: Vec<f64>,
    /// Samples per second of the fastest of them; 0 without any.
    pub samples_per_sec: f64,
    /// Where rank 0 spent its time in them.
    pub phases: PhaseTimes,
    /// Seconds that the program ran, until the checkpoint was taken.
    pub wall_secs: f64,
}

impl History {
    /// Counts a whole epoch, or the times of the part of one that a run ended with: of that, neither the seconds are an epoch's nor the
    /// speed the best.
    pub fn add(&mut self, end: &EpochEnd) {
        self.phases += end.phases;
        if end.is_whole {
            self.epoch_secs.push(end.elapsed.as_secs_f64());
            let speed = Some(end.samples_per_sec()).filter(|speed| speed.is_finite());
            self.samples_per_sec = self.samples_per_sec.max(speed.unwrap_or(0.0));
        }
    }
}
