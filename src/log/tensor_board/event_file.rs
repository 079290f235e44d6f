//! Event files: the newest in the folder of a run has all of it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use super::super::ReportError;
use super::message::{Event, START, SessionLog, Summary, Value};
use super::record::{record, records};
use crate::checkpoint::write_whole_with;
use crate::train::Position;

/// How names begin: TensorBoard takes files with `tfevents` in theirs, in the order of names. The second comes after.
const PREFIX: &str = "events.out.tfevents.";

/// How the names of those written here end.
const SUFFIX: &str = ".phalanx";

/// How tags of steps begin; all others are of the end of an epoch.
pub(super) const OF_STEP: &str = "step/";

/// An event file that grows by whole records.
pub(super) struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Begins one in the folder of a new run.
    pub(super) fn create(folder: &Path) -> Result<Self, ReportError> {
        let path = folder.join(name(None));
        let file = File::create_new(&path).and_then(|mut file| file.write_all(&beginning()).map(|()| file));
        file.map(|file| Self { path: path.clone(), file })
            .map_err(|source| ReportError::Write { path, source })
    }

    /// Goes on with the newest one of the folder `before`, in one of `folder` that begins with the records of the run as it stood. A
    /// run without one gets one that begins here.
    ///
    /// Of those in `folder` the newest becomes empty, and those before it, which have been so, are removed: a TensorBoard that reads in
    /// Python is lost if the file goes away that it stands in.
    pub(super) fn resume(folder: &Path, position: &Position, before: &Path) -> Result<Self, ReportError> {
        let (old, there) = (newest(before)?, all(folder)?);
        let bytes = old.as_ref().map_or(Ok(Vec::new()), |path| {
            fs::read(path).map_err(|source| ReportError::Read { path: path.clone(), source })
        })?;
        let path = folder.join(name(there.last()));
        write_whole_with(&path, |file| {
            file.write_all(&beginning())?;
            let kept = records(&bytes).filter(|data| is_before(data, position));
            let kept: Vec<u8> = kept.flat_map(record).collect();
            file.write_all(&kept)?;
            file.write_all(&framed(&start(position.step as i64 + 1)))
        })?;
        if let Some((stood_in, left)) = there.split_last() {
            let emptied = fs::write(stood_in, "");
            emptied.map_err(|source| ReportError::Write { path: stood_in.clone(), source })?;
            left.iter().try_for_each(|path| {
                fs::remove_file(path).map_err(|source| ReportError::Write { path: path.clone(), source })
            })?;
        }
        match OpenOptions::new().append(true).open(&path) {
            Ok(file) => Ok(Self { path, file }),
            Err(source) => Err(ReportError::Write { path, source }),
        }
    }

    /// Writes values of a step, as one record.
    pub(super) fn write(&mut self, step: u64, value: Vec<Value>) -> Result<(), ReportError> {
        let event = Event { step: step as i64, summary: Some(Summary { value }), ..now() };
        let written = self.file.write_all(&framed(&event));
        written.map_err(|source| ReportError::Write { path: self.path.clone(), source })
    }
}

/// What a file begins with: its format, and the word that a TensorBoard which has read others before this one is to forget them.
fn beginning() -> Vec<u8> {
    let version = Event { file_version: Some("brain.Event:2".to_owned()), ..now() };
    [framed(&version), framed(&start(0))].concat()
}

/// The mark of where a session begins: what came before it at this step or later is void.
fn start(step: i64) -> Event {
    Event { step, session_log: Some(SessionLog { status: START }), ..now() }
}

fn now() -> Event {
    let wall_time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    Event { wall_time, ..Event::default() }
}

fn framed(event: &Event) -> Vec<u8> {
    record(&event.encode_to_vec())
}

/// Whether a record belongs to the run as it stood. The end of an epoch that was cut short does not: its whole one comes.
fn is_before(data: &[u8], position: &Position) -> bool {
    let Ok(event) = Event::decode(data) else { return false };
    let (step, here) = (event.step, position.step as i64);
    match (event.summary, event.session_log) {
        (Some(Summary { value }), _) => {
            let ends_epoch = !value.iter().any(|value| value.tag.starts_with(OF_STEP));
            step < here || step == here && (position.batch == 0 || !ends_epoch)
        }
        // That of the beginning is there.
        (None, Some(_)) => (1..=here + 1).contains(&step),
        (None, None) => false,
    }
}

/// A name for now that comes after the last of those there.
fn name(last: Option<&PathBuf>) -> String {
    let last = last.and_then(|path| second(path.file_name()?.to_str()?));
    let second = (now().wall_time as u64).max(last.map_or(0, |last| last + 1));
    format!("{PREFIX}{second:010}{SUFFIX}")
}

/// The second in a name that is written here.
fn second(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()
}

fn newest(folder: &Path) -> Result<Option<PathBuf>, ReportError> {
    Ok(all(folder)?.pop())
}

/// Those in a folder, the oldest first.
fn all(folder: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        let names: Vec<_> = names.collect::<io::Result<_>>()?;
        let mut names: Vec<_> =
            names.into_iter().flatten().filter_map(|name| Some((second(&name)?, name))).collect();
        names.sort_unstable();
        Ok(names.into_iter().map(|(_, name)| folder.join(name)).collect())
    };
    list().map_err(|source| ReportError::Read { path: folder.to_owned(), source })
}
