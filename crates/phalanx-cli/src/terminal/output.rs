//! The two output streams of the program: results on stdout, everything else on stderr; and checks
//! of output files.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use anyhow::anyhow;
use serde_json::Value;

use super::failure::{Failure, usage};
use super::launcher;
use crate::text::TextTable;

/// True if each line on stderr, and the whole of stdout, is a JSON object.
static JSON: AtomicBool = AtomicBool::new(false);
/// True if only errors are printed on stderr.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Sets what is written to both streams from now on. Of several processes, all but the first write
/// errors only.
pub fn configure(is_json: bool, is_quiet: bool) {
    JSON.store(is_json, Ordering::Relaxed);
    QUIET.store(is_quiet || launcher::is_follower(), Ordering::Relaxed);
}

/// Writes results to stdout. A closed pipe (`| head`) is not an error.
pub fn results(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(anyhow!("cannot write the results to stdout: {error}").into())
        }
        _ => Ok(()),
    }
}

/// Returns text for stdout in bold, if colours are enabled.
pub fn bold(text: &str) -> String {
    match AutoStream::choice(&io::stdout()) {
        ColorChoice::Never => text.to_owned(),
        _ => painted(Style::new().bold(), text),
    }
}

/// Prints a message on stderr. A failure to write it is ignored.
pub fn info(text: impl Display) {
    message("info", Style::new(), &text.to_string());
}

/// Prints a warning.
pub fn warn(text: impl Display) {
    message("warning", AnsiColor::Yellow.on_default().bold(), &text.to_string());
}

/// Prints an error.
pub fn error(text: impl Display) {
    message("error", AnsiColor::Red.on_default().bold(), &launcher::marked(text));
}

/// Prints a failure in one line and returns its exit code. The texts of errors include their
/// causes.
pub fn fail(failure: &Failure) -> ExitCode {
    error(failure);
    ExitCode::from(failure.code())
}

/// Sets the use of colour.
pub fn set_color(choice: clap::ColorChoice) {
    let choice = match choice {
        clap::ColorChoice::Auto => ColorChoice::Auto,
        clap::ColorChoice::Always => ColorChoice::Always,
        clap::ColorChoice::Never => ColorChoice::Never,
    };
    choice.write_global();
}

/// Returns whether results are printed as one JSON object.
pub fn is_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// Prints the plan of a run.
pub fn plan(plan: &TextTable) {
    if is_json() {
        let fields = plan.rows().map(|(name, value)| (name.replace(' ', "_"), value));
        let fields: Vec<_> = fields.collect();
        event("start", fields.iter().map(|(name, value)| (name.as_str(), *value)));
    } else {
        write_line(plan);
    }
}

fn message(level: &str, style: Style, text: &str) {
    if QUIET.load(Ordering::Relaxed) && level != "error" {
        return;
    }
    if is_json() {
        event("message", [("level", level), ("text", text)].into_iter());
    } else if level == "info" {
        write_line(text);
    } else {
        write_line(format!("{} {text}", painted(style, &format!("{level}:"))));
    }
}

/// Writes a JSON object of texts, its kind first.
fn event<'a>(kind: &'a str, fields: impl Iterator<Item = (&'a str, &'a str)>) {
    let fields = [("event", kind)].into_iter().chain(fields);
    let fields = fields.map(|(name, value)| format!("{}:{}", Value::from(name), Value::from(value)));
    write_line(format!("{{{}}}", fields.collect::<Vec<_>>().join(",")));
}

/// Writes a line to stderr, without its colours if they are disabled. The line is written in one
/// call, because other processes may write there too.
fn write_line(text: impl Display) {
    let text = text.to_string();
    let mut line = AutoStream::new(Vec::new(), AutoStream::choice(&io::stderr()));
    let _ = writeln!(line, "{}", text.trim_end_matches('\n'));
    let _ = io::stderr().write_all(&line.into_inner());
}

fn painted(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Checks that a file can be written, before minutes of measuring and not after.
pub fn check_folder(path: &Path) -> Result<(), Failure> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let name = path.display();
    if path.as_os_str().is_empty() {
        return Err(usage!("the name of the output file is empty; give a file, or - for stdout"));
    }
    if !folder.is_dir() {
        return Err(
            anyhow!("cannot write {name}: there is no folder {}; create it first", folder.display()).into()
        );
    }
    if path.is_dir() {
        return Err(anyhow!("cannot write {name}: it is a folder; give a file").into());
    }
    Ok(())
}

/// Returns whether both names refer to the same existing file.
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
