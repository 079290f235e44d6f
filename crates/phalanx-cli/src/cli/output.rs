//! The two streams of the program: results to stdout, everything else to stderr.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::text::TextTable;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use serde_json::Value;

use super::failure::Failure;
use super::flags::TrainFlags;
use super::job;
use super::log_format::LogFormat;

/// Whether stderr has a JSON object a line, and stdout one alone. A program has one voice.
static JSON: AtomicBool = AtomicBool::new(false);
/// Whether nothing but errors is said.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Speaks from now on as these flags ask for.
pub(super) fn speak(flags: &TrainFlags) {
    JSON.store(flags.log_format == Some(LogFormat::Json), Ordering::Relaxed);
    QUIET.store(flags.quiet == Some(true) || job::is_follower(), Ordering::Relaxed);
}

/// Writes results to stdout. A reader that has gone away (`| head`) wants no more of them, which is no failure.
pub(super) fn results(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(anyhow::anyhow!("cannot write the results to stdout: {error}").into())
        }
        _ => Ok(()),
    }
}

/// Text for stdout that stands out where colours are wanted.
pub(super) fn bold(text: &str) -> String {
    match AutoStream::choice(&io::stdout()) {
        ColorChoice::Never => text.to_owned(),
        _ => painted(Style::new().bold(), text),
    }
}

/// Says something on stderr. If nobody can hear it, that is no reason to stop.
pub(super) fn tell(text: impl Display) {
    message(Level::Info, &text.to_string());
}

/// Says that something is not as one may think.
pub(super) fn warn(text: impl Display) {
    message(Level::Warning, &text.to_string());
}

/// Says that something went wrong.
pub(super) fn error(text: impl Display) {
    message(Level::Error, &job::signed(text));
}

/// Paints from now on as `--color` asks for.
pub(super) fn color(choice: clap::ColorChoice) {
    let choice = match choice {
        clap::ColorChoice::Auto => ColorChoice::Auto,
        clap::ColorChoice::Always => ColorChoice::Always,
        clap::ColorChoice::Never => ColorChoice::Never,
    };
    choice.write_global();
}

/// Whether results are to be one JSON object.
pub(super) fn is_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// Says what will be done.
pub(super) fn start(plan: &TextTable) {
    if is_json() {
        let fields = plan.rows().map(|(name, value)| (name.replace(' ', "_"), value));
        let fields: Vec<_> = fields.collect();
        event("start", fields.iter().map(|(name, value)| (name.as_str(), *value)));
    } else {
        say(plan);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Info,
    Warning,
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    fn style(self) -> Style {
        match self {
            Self::Info => Style::new(),
            Self::Warning => AnsiColor::Yellow.on_default().bold(),
            Self::Error => AnsiColor::Red.on_default().bold(),
        }
    }
}

fn message(level: Level, text: &str) {
    if QUIET.load(Ordering::Relaxed) && level != Level::Error {
        return;
    }
    if is_json() {
        event("message", [("level", level.name()), ("text", text)].into_iter());
    } else if level == Level::Info {
        say(text);
    } else {
        say(format!("{} {text}", painted(level.style(), &format!("{}:", level.name()))));
    }
}

/// Says an object of texts, its kind first.
fn event<'a>(kind: &'a str, fields: impl Iterator<Item = (&'a str, &'a str)>) {
    let fields = [("event", kind)].into_iter().chain(fields);
    let fields = fields.map(|(name, value)| format!("{}:{}", Value::from(name), Value::from(value)));
    say(format!("{{{}}}", fields.collect::<Vec<_>>().join(",")));
}

/// Writes a line to stderr, without its colours where they are not wanted: in one go, as other processes may write there too.
fn say(text: impl Display) {
    let text = text.to_string();
    let mut line = AutoStream::new(Vec::new(), AutoStream::choice(&io::stderr()));
    let _ = writeln!(line, "{}", text.trim_end_matches('\n'));
    let _ = io::stderr().write_all(&line.into_inner());
}

fn painted(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}
