//! Progress of something that is counted, such as the runs of a sweep.

use std::io::{self, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle as BarStyle};

use super::progress::bar_chars;
use super::{ProgressStyle, grouped};

/// Shows how many of a number of things are done: a bar on a terminal, elsewhere a line each tenth; no JSON.
pub struct CountProgress {
    style: ProgressStyle,
    bar: ProgressBar,
    what: &'static str,
    told: u64,
}

impl CountProgress {
    /// Begins with `done` of `total` things, `what` in the plural.
    pub fn new(style: ProgressStyle, what: &'static str, done: u64, total: u64) -> Self {
        let target = match style {
            ProgressStyle::Bar => ProgressDrawTarget::stderr(),
            ProgressStyle::Lines | ProgressStyle::Json | ProgressStyle::Hidden => {
                ProgressDrawTarget::hidden()
            }
        };
        let bar = ProgressBar::with_draw_target(Some(total), target).with_position(done);
        // What was done before says nothing of how long the rest takes.
        bar.reset_eta();
        let template = format!("{{pos}}/{{len}} {what} {{bar:20}} {{eta:>3}} left  {{wide_msg}}");
        bar.set_style(
            BarStyle::with_template(&template).expect("the template is fixed").progress_chars(bar_chars()),
        );
        Self { style, bar, what, told: tenth(done, total) }
    }

    /// Counts one more, of which `message` says something.
    pub fn one(&mut self, message: String) {
        self.bar.inc(1);
        let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let tenth = tenth(done, total);
        if self.style == ProgressStyle::Lines && tenth > self.told {
            self.told = tenth;
            let (done, total) = (grouped(done), grouped(total));
            writeln!(io::stderr().lock(), "{done}/{total} {}  {message}", self.what).unwrap_or_default();
        }
        self.bar.set_message(message);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn tenth(done: u64, total: u64) -> u64 {
    10 * done / total.max(1)
}
