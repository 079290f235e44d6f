//! TfEvent files: the newest file in the folder of a run contains the whole run.
//!
//! A file is a series of records in the TFRecord format:
//!
//! | bytes | content, numbers little-endian |
//! |---|---|
//! | 8 | length of the data |
//! | 4 | masked CRC32C of these 8 bytes |
//! | length | the data |
//! | 4 | masked CRC32C of the data |
//!
//! A checksum is masked, that is, rotated right by 15 bits plus `0xa282ead8`, because the data may
//! itself contain checksums. The data of each record is an `Event` as a protocol buffer.
//!
//! Sources: "TFRecords format details" in TensorFlow's guide to TFRecord, and
//! `tensorboard/compat/tensorflow_stub/pywrap_tensorflow.py`; `event.proto`, `summary.proto` and
//! `histogram.proto` in `tensorboard/compat/proto` of TensorBoard 2.21, whose names and field
//! numbers are used here.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::LogError;
use crate::checkpoint::write_whole_with;
use crate::protobuf::{Fields, MessageBuffer};
use crate::train::Position;

/// The prefix of file names, followed by the time in seconds: TensorBoard reads files with
/// `tfevents` in their names, in the order of names.
const PREFIX: &str = "events.out.tfevents.";

/// The suffix of the names of files written by Phalanx.
const SUFFIX: &str = ".phalanx";

/// The prefix of the tags of steps; all other tags belong to the end of an epoch.
const OF_STEP: &str = "step/";

/// An event file to which complete records are appended.
pub(super) struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Starts a file in the folder of a new run.
    pub(super) fn create(folder: &Path) -> Result<Self, LogError> {
        let path = folder.join(name(None));
        let file = File::create_new(&path).and_then(|mut file| file.write_all(&beginning()).map(|()| file));
        file.map(|file| Self { path: path.clone(), file }).map_err(|source| LogError::Write { path, source })
    }

    /// Continues the newest file of the folder `before` in a new file of `folder`, which starts
    /// with the records up to `position`. A run without a file gets one that starts at `position`.
    ///
    /// The newest of the files in `folder` is emptied, and the older ones, which are already empty,
    /// are removed: TensorBoard's Python loader fails if the file that it is reading disappears.
    pub(super) fn resume(folder: &Path, position: &Position, before: &Path) -> Result<Self, LogError> {
        let (old, there) = (newest(before)?, all(folder)?);
        let bytes = old.as_ref().map_or(Ok(Vec::new()), |path| {
            fs::read(path).map_err(|source| LogError::Read { path: path.clone(), source })
        })?;
        let path = folder.join(name(there.last()));
        write_whole_with(&path, |file| {
            file.write_all(&beginning())?;
            let kept = records(&bytes).filter(|data| is_before(data, position));
            let kept: Vec<u8> = kept.flat_map(record).collect();
            file.write_all(&kept)?;
            file.write_all(&framed(start(position.step as i64 + 1)))
        })?;
        if let Some((stood_in, left)) = there.split_last() {
            let emptied = fs::write(stood_in, "");
            emptied.map_err(|source| LogError::Write { path: stood_in.clone(), source })?;
            left.iter().try_for_each(|path| {
                fs::remove_file(path).map_err(|source| LogError::Write { path: path.clone(), source })
            })?;
        }
        match OpenOptions::new().append(true).open(&path) {
            Ok(file) => Ok(Self { path, file }),
            Err(source) => Err(LogError::Write { path, source }),
        }
    }

    /// Writes values of a step, as one record.
    pub(super) fn write(&mut self, step: u64, values: &[(String, Value)]) -> Result<(), LogError> {
        let values = values.iter().map(|(tag, value)| value.message(tag));
        let summary = MessageBuffer::default().messages(VALUE, values);
        let written = self.file.write_all(&framed(event(step as i64).message(SUMMARY, summary)));
        written.map_err(|source| LogError::Write { path: self.path.clone(), source })
    }
}

/// Returns the first records of a file: its format, and the mark that makes a running TensorBoard
/// discard the records of earlier files.
fn beginning() -> Vec<u8> {
    let version = event(0).bytes(FILE_VERSION, "brain.Event:2");
    [framed(version), framed(start(0))].concat()
}

/// Returns the mark of the start of a session: previous records of this step or later are obsolete.
fn start(step: i64) -> MessageBuffer {
    event(step).message(SESSION_LOG, MessageBuffer::default().int(STATUS, START))
}

fn framed(event: MessageBuffer) -> Vec<u8> {
    record(&event.into_bytes())
}

/// Returns whether a record belongs to the run up to a position. The end of a partial epoch does
/// not, because the end of the whole epoch will follow.
fn is_before(data: &[u8], position: &Position) -> bool {
    let Some(event) = Fields::read(data) else { return false };
    let (step, here) = (event.int(STEP), position.step as i64);
    match (event.bytes(SUMMARY).next(), event.bytes(SESSION_LOG).next()) {
        (Some(summary), _) => ends_epoch(summary)
            .is_some_and(|ends_epoch| step < here || step == here && (position.batch == 0 || !ends_epoch)),
        // The mark at the start of the file is written again.
        (None, Some(_)) => (1..=here + 1).contains(&step),
        (None, None) => false,
    }
}

/// Returns whether the values of a summary belong to the end of an epoch, or `None` if it is
/// damaged.
fn ends_epoch(summary: &[u8]) -> Option<bool> {
    for value in Fields::read(summary)?.bytes(VALUE) {
        if Fields::read(value)?.bytes(TAG).any(|tag| tag.starts_with(OF_STEP.as_bytes())) {
            return Some(false);
        }
    }
    Some(true)
}

/// Returns a name for the current second that sorts after the last name.
fn name(last: Option<&PathBuf>) -> String {
    let last = last.and_then(|path| second(path.file_name()?.to_str()?));
    let second = (seconds() as u64).max(last.map_or(0, |last| last + 1));
    format!("{PREFIX}{second:010}{SUFFIX}")
}

/// Returns the second in the name of a file written by Phalanx.
fn second(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()
}

fn newest(folder: &Path) -> Result<Option<PathBuf>, LogError> {
    Ok(all(folder)?.pop())
}

/// Returns the event files in a folder, the oldest first.
fn all(folder: &Path) -> Result<Vec<PathBuf>, LogError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        let names: Vec<_> = names.collect::<io::Result<_>>()?;
        let mut names: Vec<_> =
            names.into_iter().flatten().filter_map(|name| Some((second(&name)?, name))).collect();
        names.sort_unstable();
        Ok(names.into_iter().map(|(_, name)| folder.join(name)).collect())
    };
    list().map_err(|source| LogError::Read { path: folder.to_owned(), source })
}

/// Starts an event with the current time; the caller adds one more field.
fn event(step: i64) -> MessageBuffer {
    MessageBuffer::default().double(WALL_TIME, seconds()).int(STEP, step)
}

/// Returns the seconds since 1970.
fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Fields of `Event`; each event has one of the last three.
const WALL_TIME: u64 = 1;
const STEP: u64 = 2;
const FILE_VERSION: u64 = 3;
const SUMMARY: u64 = 5;
const SESSION_LOG: u64 = 7;

/// The field of `SessionLog`, and its value for a start.
const STATUS: u64 = 1;
const START: i64 = 1;

/// The field of `Summary`, a list of `Summary.Value`.
const VALUE: u64 = 1;

/// Fields of `Summary.Value`; each value has one of the last two.
const TAG: u64 = 1;
const SIMPLE_VALUE: u64 = 2;
const HISTO: u64 = 5;

/// The value of a tag.
pub(super) enum Value {
    Scalar(f32),
    Histogram(Histogram),
}

impl Value {
    fn message(&self, tag: &str) -> MessageBuffer {
        let message = MessageBuffer::default().bytes(TAG, tag);
        match self {
            Self::Scalar(value) => message.present_float(SIMPLE_VALUE, *value),
            Self::Histogram(histogram) => message.message(HISTO, histogram.message()),
        }
    }
}

/// The counts of values in buckets. Each `bucket_limit` is the upper limit of a bucket and the
/// lower limit of the next, to which it belongs.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Histogram {
    pub min: f64,
    pub max: f64,
    pub num: f64,
    pub sum: f64,
    pub sum_squares: f64,
    pub bucket_limit: Vec<f64>,
    pub bucket: Vec<f64>,
}

impl Histogram {
    /// Returns the `HistogramProto`, whose fields have the same order.
    fn message(&self) -> MessageBuffer {
        let Self { min, max, num, sum, sum_squares, bucket_limit, bucket } = self;
        let numbers = [*min, *max, *num, *sum, *sum_squares];
        let message = (1..)
            .zip(numbers)
            .fold(MessageBuffer::default(), |message, (field, number)| message.double(field, number));
        message.doubles(6, bucket_limit).doubles(7, bucket)
    }
}

/// Returns the record of some data.
fn record(data: &[u8]) -> Vec<u8> {
    let len = (data.len() as u64).to_le_bytes();
    [&len[..], &masked_crc(&len), data, &masked_crc(data)].concat()
}

/// Returns the data of each record, up to the first that is damaged or incomplete.
fn records(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (data, rest) = first(bytes)?;
        bytes = rest;
        Some(data)
    })
}

/// Returns the data of the first record, and the remaining bytes.
fn first(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<8>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    if *crc != masked_crc(len) {
        return None;
    }
    let (data, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*len)).ok()?)?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    (*crc == masked_crc(data)).then_some((data, rest))
}

fn masked_crc(data: &[u8]) -> [u8; 4] {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_back_up_to_the_first_damaged_one() {
        let [one, two, three] = [&b"one"[..], b"", b"three"].map(record);
        let whole = [one.clone(), two, three].concat();
        let read = |bytes: &[u8]| records(bytes).map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(read(&whole), [&b"one"[..], b"", b"three"]);
        for len in 0..whole.len() {
            assert_eq!(read(&whole[..len]), read(&whole)[..read(&whole[..len]).len()]);
            assert!(read(&whole[..len]).len() < 3, "cut to {len}");
        }
        for at in one.len()..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert!((1..3).contains(&read(&damaged).len()), "byte {at}");
        }
    }
}
