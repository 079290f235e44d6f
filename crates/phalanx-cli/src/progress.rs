//! Progress of a run and of countable work: a bar on a terminal, plain lines elsewhere.

use std::env;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle as BarStyle};
use terminal_size::{Width, terminal_size_of};

use phalanx::internals::LogLine;
use phalanx::model::Score;
use phalanx::train::{EpochEnd, Event, NoiseScale, Plan, StepEnd, Subscriber, SubscriberError};

use crate::numbers::{grouped, measured};
use crate::text_curve::Charset;

/// The style of progress output, on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressStyle {
    /// A bar if stderr is a terminal, with a line above it for each epoch.
    Bar,
    /// A line for each epoch, and every half minute within an epoch.
    Lines,
    /// The same as JSON objects, with the keys of [`Metrics`](phalanx::log::Metrics).
    Json,
    /// Nothing.
    Hidden,
}

impl ProgressStyle {
    /// Returns a bar for a terminal that can redraw a line, and lines otherwise.
    pub fn automatic() -> Self {
        let redraws = io::stderr().is_terminal() && env::var("TERM").is_ok_and(|term| term != "dumb");
        if redraws { Self::Bar } else { Self::Lines }
    }

    /// Returns a bar of this length; it is hidden unless bars are shown.
    fn bar(self, length: u64, template: &str) -> ProgressBar {
        let target =
            if self == Self::Bar { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        // The completed part, its tip, and the remaining part.
        let chars = match Charset::of_locale() {
            Charset::Unicode => "━╸─",
            Charset::Ascii => "=>-",
        };
        let style = BarStyle::with_template(template).expect("the template is fixed").progress_chars(chars);
        ProgressBar::with_draw_target(Some(length), target).with_style(style)
    }
}

/// The time between two updates of the bar: faster updates would not be visible, and drawing takes
/// time.
const REDRAW: Duration = Duration::from_millis(100);

/// The time after which a line is printed without a bar, so that readers of a log see that the run
/// is alive.
const SILENCE: Duration = Duration::from_secs(30);

/// The format of the bar. The most important parts come first: a narrow terminal cuts off the end.
const TEMPLATE: &str = "{prefix} {bar:12} {eta:>3} left  {wide_msg}";

/// A subscriber that shows the progress of a run.
pub struct Progress {
    style: ProgressStyle,
    bar: ProgressBar,
    epochs: u64,
    steps: u64,
    since: RecentWork,
    /// The last measured noise scale.
    noise: Option<NoiseScale>,
}

/// The work since the last update.
struct RecentWork {
    time: Instant,
    samples: usize,
    steps: u64,
}

impl RecentWork {
    fn now() -> Self {
        Self { time: Instant::now(), samples: 0, steps: 0 }
    }

    fn samples_per_sec(&self, elapsed: Duration) -> String {
        grouped((self.samples as f64 / elapsed.as_secs_f64()) as u64)
    }
}

impl Progress {
    /// Returns the progress at the first step of a plan.
    pub fn new(style: ProgressStyle, plan: &Plan) -> Self {
        Self::of(style, plan.total_steps(), plan.steps_per_epoch())
    }

    fn of(style: ProgressStyle, steps: u64, steps_per_epoch: u64) -> Self {
        let bar = style.bar(steps, TEMPLATE);
        let epochs = steps.div_ceil(steps_per_epoch);
        Self { style, bar, epochs, steps, since: RecentWork::now(), noise: None }
    }

    /// Shows a step, if the last update was long enough ago.
    fn step(&mut self, end: &StepEnd) {
        self.noise = end.noise_scale.or(self.noise);
        if self.bar.position() == 0 && end.step > 1 {
            // The run is resumed here: the steps before it must not affect the estimate of the
            // remaining time.
            self.bar.set_position(end.step);
            self.bar.reset_eta();
        }
        self.since.samples += end.samples;
        self.since.steps += 1;
        let elapsed = self.since.time.elapsed();
        match self.style {
            ProgressStyle::Bar if elapsed >= REDRAW => self.redraw(end, elapsed),
            ProgressStyle::Lines if elapsed >= SILENCE => print(self.step_line(end, elapsed)),
            ProgressStyle::Json if elapsed >= SILENCE => print(json(&LogLine::of_step(end, self.noise))),
            _ => return,
        }
        self.since = RecentWork::now();
    }

    fn redraw(&self, end: &StepEnd, elapsed: Duration) {
        let speed = self.since.samples_per_sec(elapsed);
        self.bar.set_prefix(format!("epoch {}/{}", end.epoch + 1, self.epochs));
        let (loss, rate) = (measured(end.loss), measured(end.rate));
        let (step, steps) = (grouped(end.step), grouped(self.steps));
        self.bar.set_message(format!("loss {loss}  lr {rate}  {speed} samples/s  step {step}/{steps}"));
        self.bar.set_position(end.step);
    }

    /// Returns the line for a step within an epoch.
    fn step_line(&self, end: &StepEnd, elapsed: Duration) -> String {
        let speed = self.since.samples_per_sec(elapsed);
        let left = self.steps.saturating_sub(end.step) as f64 / self.since.steps as f64;
        let left = HumanDuration(elapsed.mul_f64(left));
        let (epoch, epochs, step, steps) =
            (end.epoch + 1, self.epochs, grouped(end.step), grouped(self.steps));
        let loss = measured(end.loss);
        format!("epoch {epoch}/{epochs}  step {step}/{steps}  loss {loss}  {speed} samples/s  {left} left")
    }

    /// Shows an epoch.
    fn epoch(&mut self, end: &EpochEnd) {
        match self.style {
            ProgressStyle::Bar => self.bar.println(self.fitting(end)),
            ProgressStyle::Lines => print(self.line(end)),
            ProgressStyle::Json => print(json(&LogLine::of_epoch(end, self.noise))),
            ProgressStyle::Hidden => {}
        }
        if self.style != ProgressStyle::Bar {
            self.since = RecentWork::now();
        }
    }

    /// Returns the line, without the test loss if it does not fit the terminal and there is an
    /// accuracy, which is more informative.
    fn fitting(&self, end: &EpochEnd) -> String {
        let line = self.line(end);
        let columns = terminal_size_of(io::stderr()).map_or(usize::MAX, |(Width(width), _)| width.into());
        match end.test.filter(|test| line.len() > columns && test.accuracy().is_some()) {
            Some(test) => line.replace(&test_loss(&test), ""),
            None => line,
        }
    }

    fn line(&self, end: &EpochEnd) -> String {
        let width = self.epochs.to_string().len();
        let loss = measured(end.train_loss);
        let mut line = format!("epoch {:>width$}/{}  loss {loss}", end.epoch + 1, self.epochs);
        if let Some(test) = &end.test {
            line += &test_loss(test);
        }
        if let Some(accuracy) = end.test.as_ref().and_then(Score::accuracy) {
            line += &format!("  accuracy {accuracy:.4}");
        }
        if !end.is_whole {
            line += "  part of an epoch";
        }
        // The bar shows the speed; without it, the line above the bar fits a narrow terminal.
        if self.style == ProgressStyle::Lines {
            line += &format!("  {} samples/s", grouped(end.samples_per_sec() as u64));
        }
        line
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Subscriber for Progress {
    fn receive(&mut self, event: &Event<'_>) -> Result<(), SubscriberError> {
        match event {
            Event::Step(end) => self.step(end),
            Event::Epoch(end) => self.epoch(end),
            _ => {}
        }
        Ok(())
    }
}

fn test_loss(test: &Score) -> String {
    format!("  test loss {}", measured(test.mean_loss()))
}

/// Writes a line to stderr; training continues even if nobody reads it any more.
fn print(line: impl Display) {
    writeln!(io::stderr().lock(), "{line}").unwrap_or_default();
}

fn json(line: &LogLine) -> String {
    serde_json::to_string(line).expect("a line is plain data")
}

/// Progress as a count: a bar on a terminal, elsewhere a line for each tenth; no JSON.
pub struct CountProgress {
    style: ProgressStyle,
    bar: ProgressBar,
    what: &'static str,
    tenth: u64,
}

impl CountProgress {
    /// Returns the progress after `done` of `total` items, which `what` names in the plural.
    pub fn new(style: ProgressStyle, what: &'static str, done: u64, total: u64) -> Self {
        let template = format!("{{pos}}/{{len}} {what} {{bar:20}} {{eta:>3}} left  {{wide_msg}}");
        let bar = style.bar(total, &template).with_position(done);
        // Items done earlier must not affect the estimate of the remaining time.
        bar.reset_eta();
        Self { style, bar, what, tenth: tenth(done, total) }
    }

    /// Counts one more item, described by `message`.
    pub fn one(&mut self, message: String) {
        self.bar.inc(1);
        let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let tenth = tenth(done, total);
        if self.style == ProgressStyle::Lines && tenth > self.tenth {
            self.tenth = tenth;
            let (done, total) = (grouped(done), grouped(total));
            print(format!("{done}/{total} {}  {message}", self.what));
        }
        self.bar.set_message(message);
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn tenth(done: u64, total: u64) -> u64 {
    10 * done / total.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_within_a_long_epoch_has_the_speed_and_the_remaining_time() {
        let mut progress = Progress::of(ProgressStyle::Lines, 23_000, 2300);
        let step = |step: u64| StepEnd {
            step,
            epoch: 1,
            samples: 64,
            weight: 64.0,
            loss: 0.25,
            rate: 0.1,
            grad_norm: None,
            noise_scale: None,
            diverged: false,
        };
        (3000..3100).for_each(|number| progress.step(&step(number)));
        let line = progress.step_line(&step(3099), Duration::from_secs(32));
        let left = "2 hours left"; // 19,901 steps at 100 in 32 s
        assert_eq!(line, format!("epoch 2/10  step 3099/23,000  loss 0.2500  200 samples/s  {left}"));
    }
}
