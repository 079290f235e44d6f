//! What the log of a run says, line by line.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::model::Score;
use crate::train::{EpochEnd, Event, NoiseScale, Position, StepEnd};

/// A line of the log, whichever file it goes to. Serialised as one JSON object.
///
/// # Examples
///
/// ```
/// use phalanx::log::Line;
///
/// let line = Line { event: "step", step: 3, epoch: 1, facts: vec![("train_loss", Some(0.5)), ("lr", None)] };
/// assert_eq!(serde_json::to_string(&line)?, r#"{"event":"step","step":3,"epoch":1,"train_loss":0.5,"lr":null}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// `step`, `epoch`, `partial_epoch`, `diverged` or `resume`.
    pub event: &'static str,
    /// Steps done.
    pub step: u64,
    /// Counted from 1.
    pub epoch: u64,
    /// What was measured, by name; nothing where it applies but is not there.
    pub facts: Vec<(&'static str, Option<f64>)>,
}

impl Line {
    /// The line of a step; `noise` is what the last measuring step said.
    pub fn of_step(end: &StepEnd, noise: Option<NoiseScale>) -> Self {
        let mut facts = vec![("train_loss", Some(end.loss)), ("lr", Some(end.rate))];
        facts.extend(end.grad_norm.map(|norm| ("grad_norm", Some(norm))));
        facts.extend(noise.into_iter().flat_map(of_noise));
        Self { event: "step", step: end.step, epoch: end.epoch + 1, facts }
    }

    /// The line of an epoch.
    pub fn of_epoch(end: &EpochEnd, noise: Option<NoiseScale>) -> Self {
        let test = end.test.as_ref();
        let mut facts = vec![
            ("train_loss", Some(end.train_loss)),
            ("test_loss", test.map(Score::mean_loss)),
            ("test_accuracy", test.and_then(Score::accuracy)),
        ];
        facts.extend(noise.into_iter().flat_map(of_noise));
        facts.extend([
            ("samples_per_sec", Some(end.samples_per_sec())),
            ("epoch_secs", Some(end.elapsed.as_secs_f64())),
            ("compute_secs", Some(end.phases.compute.as_secs_f64())),
            ("wait_secs", Some(end.phases.wait.as_secs_f64())),
            ("reduce_update_secs", Some(end.phases.reduce_update.as_secs_f64())),
        ]);
        let event = if end.is_whole { "epoch" } else { "partial_epoch" };
        Self { event, step: end.step, epoch: end.epoch + 1, facts }
    }

    /// The mark of where a run is gone on with.
    pub(super) fn of_resume(position: &Position) -> Self {
        Self { event: "resume", step: position.step, epoch: position.epoch + 1, facts: Vec::new() }
    }
}

fn of_noise(noise: NoiseScale) -> [(&'static str, Option<f64>); 2] {
    let estimate = noise.recent();
    [
        ("noise_scale", estimate.map(|estimate| estimate.value)),
        ("noise_scale_error", estimate.map(|estimate| estimate.error)),
    ]
}

impl Serialize for Line {
    /// As one object. JSON has no NaN and no infinity: they are null, as what is not there.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3 + self.facts.len()))?;
        map.serialize_entry("event", self.event)?;
        map.serialize_entry("step", &self.step)?;
        map.serialize_entry("epoch", &self.epoch)?;
        self.facts.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.end()
    }
}

/// Makes the lines of a run from what it tells.
pub(in super::super) struct Lines {
    /// A line every so many steps; 0 for none.
    every: u64,
    /// The noise scale where the run begins or goes on.
    begun: NoiseScale,
    /// What the last measuring step said; nothing if it is not measured.
    noise: Option<NoiseScale>,
}

impl Lines {
    /// From a position on, which may be the beginning.
    pub(in super::super) fn new(every: u64, from: &Position) -> Self {
        Self { every, begun: from.noise_scale, noise: None }
    }

    /// The line of an event, if there is to be one.
    pub(in super::super) fn of(&mut self, event: &Event<'_>) -> Option<Line> {
        match event {
            Event::Start(plan) => self.noise = plan.noise_interval().map(|_| self.begun),
            Event::Step(end) => {
                self.noise = end.noise_scale.or(self.noise);
                let logged = end.diverged || (self.every != 0 && end.step.is_multiple_of(self.every));
                return logged.then(|| {
                    let line = Line::of_step(end, self.noise);
                    if end.diverged { Line { event: "diverged", ..line } } else { line }
                });
            }
            Event::Epoch(end) => return Some(Line::of_epoch(end, self.noise)),
            _ => {}
        }
        None
    }
}
