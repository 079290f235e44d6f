//! Progress: a bar on a terminal, plain lines elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle as BarStyle};

use super::grouped;
use crate::model::Score;
use crate::train::{EpochEnd, Event, Plan, StepEnd, Subscriber, SubscriberError};

/// How progress is shown, on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressStyle {
    /// A bar if stderr is a terminal, with a line above it for each epoch.
    Bar,
    /// A line for each epoch.
    Lines,
    /// Nothing.
    Hidden,
}

impl ProgressStyle {
    /// A bar on a terminal, lines elsewhere.
    pub fn automatic() -> Self {
        if io::stderr().is_terminal() { Self::Bar } else { Self::Lines }
    }
}

/// Time between two looks of the bar: the eye follows no faster, and drawing costs.
const REDRAW: Duration = Duration::from_millis(100);

/// The line of the bar. What matters most comes first: a narrow terminal cuts off the end.
const TEMPLATE: &str = "{prefix} {bar:12} {eta:>3} left  {wide_msg}";

/// Shows how far a run is: a subscriber of it.
pub struct Progress {
    style: ProgressStyle,
    bar: ProgressBar,
    epochs: u64,
    steps: u64,
    /// Samples since the bar was drawn, and when that was.
    samples: usize,
    drawn: Instant,
}

impl Progress {
    /// Begins at the first step of a plan.
    pub fn new(style: ProgressStyle, plan: &Plan) -> Self {
        let target = match style {
            ProgressStyle::Bar => ProgressDrawTarget::stderr(),
            ProgressStyle::Lines | ProgressStyle::Hidden => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(plan.total_steps()), target);
        bar.set_style(
            BarStyle::with_template(TEMPLATE).expect("the template is a constant").progress_chars("━╸─"),
        );
        let epochs = plan.total_steps().div_ceil(plan.steps_per_epoch());
        Self { style, bar, epochs, steps: plan.total_steps(), samples: 0, drawn: Instant::now() }
    }

    /// Shows a step, if the last look is long enough ago.
    fn step(&mut self, end: &StepEnd) {
        self.samples += end.samples;
        let elapsed = self.drawn.elapsed();
        if self.style != ProgressStyle::Bar || elapsed < REDRAW {
            return;
        }
        let speed = grouped((self.samples as f64 / elapsed.as_secs_f64()) as u64);
        self.bar.set_prefix(format!("epoch {}/{}", end.epoch + 1, self.epochs));
        let (loss, step, steps) = (end.loss, grouped(end.step), grouped(self.steps));
        self.bar.set_message(format!(
            "loss {loss:.4}  lr {}  {speed} samples/s  step {step}/{steps}",
            rate(end.rate)
        ));
        self.bar.set_position(end.step);
        (self.samples, self.drawn) = (0, Instant::now());
    }

    /// Shows an epoch.
    fn epoch(&mut self, end: &EpochEnd) {
        let line = self.line(end);
        match self.style {
            ProgressStyle::Bar => self.bar.println(line),
            // A reader that has gone away is no reason to stop training.
            ProgressStyle::Lines => writeln!(io::stderr().lock(), "{line}").unwrap_or_default(),
            ProgressStyle::Hidden => {}
        }
    }

    fn line(&self, end: &EpochEnd) -> String {
        let width = self.epochs.to_string().len();
        let mut line = format!("epoch {:>width$}/{}  loss {:.4}", end.epoch + 1, self.epochs, end.train_loss);
        if let Some(test) = &end.test {
            line += &format!("  test loss {:.4}", test.mean_loss());
        }
        if let Some(accuracy) = end.test.as_ref().and_then(Score::accuracy) {
            line += &format!("  accuracy {accuracy:.4}");
        }
        // The bar shows the speed itself, and the line above it fits a narrow terminal without.
        if self.style == ProgressStyle::Lines {
            line += &format!("  {} samples/s", grouped(end.samples_per_sec() as u64));
        }
        line
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Subscriber for Progress {
    fn hear(&mut self, event: &Event<'_>) -> Result<(), SubscriberError> {
        match event {
            Event::Step(end) => self.step(end),
            Event::Epoch(end) => self.epoch(end),
            _ => {}
        }
        Ok(())
    }
}

/// A learning rate with four digits that count.
fn rate(value: f64) -> String {
    if value == 0.0 || (1e-3..1e4).contains(&value) { format!("{value:.4}") } else { format!("{value:.3e}") }
}
