//! TfEvent files: the newest in the folder of a run has all of it.
//!
//! A file is a series of records, in the format called TFRecord:
//!
//! | bytes | content, numbers little-endian |
//! |---|---|
//! | 8 | length of the data |
//! | 4 | masked CRC32C of these 8 bytes |
//! | length | the data |
//! | 4 | masked CRC32C of the data |
//!
//! A checksum is masked because the data may hold checksums of their own: rotated by 15 bits to the
//! right, plus `0xa282ead8`. The data of each record is a [`TfEvent`] as a protocol buffer.
//!
//! Sources: "TFRecords format details" in TensorFlow's guide to TFRecord, and
//! `tensorboard/compat/tensorflow_stub/pywrap_tensorflow.py`; `event.proto`, `summary.proto` and
//! `histogram.proto` in `tensorboard/compat/proto` of TensorBoard 2.21, whose names, but for the
//! prefix, and field numbers the messages have.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use super::super::LogError;
use crate::checkpoint::write_whole_with;
use crate::train::Position;

/// The beginning of names: TensorBoard reads files with `tfevents` in theirs, in the order of
/// names. The second follows.
const PREFIX: &str = "events.out.tfevents.";

/// The end of the names of the files written here.
const SUFFIX: &str = ".phalanx";

/// The beginning of the tags of steps; all others are of the end of an epoch.
const OF_STEP: &str = "step/";

/// An event file that grows by whole records.
pub(super) struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Begins a file in the folder of a new run.
    pub(super) fn create(folder: &Path) -> Result<Self, LogError> {
        let path = folder.join(name(None));
        let file = File::create_new(&path).and_then(|mut file| file.write_all(&beginning()).map(|()| file));
        file.map(|file| Self { path: path.clone(), file }).map_err(|source| LogError::Write { path, source })
    }

    /// Resumes the newest file of the folder `before` in a new file of `folder`, which begins with
    /// the records up to `position`. A run without a file gets one that begins here.
    ///
    /// Of the files in `folder` the newest is emptied, and the older ones, which are empty already,
    /// are removed: a TensorBoard that reads in Python fails if the file that it is reading
    /// disappears.
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
            file.write_all(&framed(&start(position.step as i64 + 1)))
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
    pub(super) fn write(&mut self, step: u64, value: Vec<TfValue>) -> Result<(), LogError> {
        let event = TfEvent { step: step as i64, summary: Some(TfSummary { value }), ..now() };
        let written = self.file.write_all(&framed(&event));
        written.map_err(|source| LogError::Write { path: self.path.clone(), source })
    }
}

/// The first records of a file: its format, and the mark by which a TensorBoard drops what it has
/// read in earlier files.
fn beginning() -> Vec<u8> {
    let version = TfEvent { file_version: Some("brain.Event:2".to_owned()), ..now() };
    [framed(&version), framed(&start(0))].concat()
}

/// The mark of the beginning of a session: earlier records of this step or a later one are void.
fn start(step: i64) -> TfEvent {
    TfEvent { step, session_log: Some(TfSessionLog { status: START }), ..now() }
}

fn now() -> TfEvent {
    let wall_time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    TfEvent { wall_time, ..TfEvent::default() }
}

fn framed(event: &TfEvent) -> Vec<u8> {
    record(&event.encode_to_vec())
}

/// Returns whether a record belongs to the run as it was at a position. The end of an epoch that
/// was cut short does not: that of the whole one follows.
fn is_before(data: &[u8], position: &Position) -> bool {
    let Ok(event) = TfEvent::decode(data) else { return false };
    let (step, here) = (event.step, position.step as i64);
    match (event.summary, event.session_log) {
        (Some(TfSummary { value }), _) => {
            let ends_epoch = !value.iter().any(|value| value.tag.starts_with(OF_STEP));
            step < here || step == here && (position.batch == 0 || !ends_epoch)
        }
        // The one at the beginning of the file is written anew.
        (None, Some(_)) => (1..=here + 1).contains(&step),
        (None, None) => false,
    }
}

/// A name for the present second that sorts after the last one.
fn name(last: Option<&PathBuf>) -> String {
    let last = last.and_then(|path| second(path.file_name()?.to_str()?));
    let second = (now().wall_time as u64).max(last.map_or(0, |last| last + 1));
    format!("{PREFIX}{second:010}{SUFFIX}")
}

/// The second in the name of a file written here.
fn second(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()
}

fn newest(folder: &Path) -> Result<Option<PathBuf>, LogError> {
    Ok(all(folder)?.pop())
}

/// The event files in a folder, the oldest first.
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

/// The value of `TfSessionLog.status` for a beginning.
const START: i32 = 1;

/// Something that happened at a step. Of its last three fields it has one.
#[derive(Clone, PartialEq, Message)]
struct TfEvent {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    #[prost(int64, tag = "2")]
    pub step: i64,
    /// In the first record of a file.
    #[prost(string, optional, tag = "3")]
    pub file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    pub summary: Option<TfSummary>,
    #[prost(message, optional, tag = "7")]
    pub session_log: Option<TfSessionLog>,
}

#[derive(Clone, PartialEq, Message)]
struct TfSessionLog {
    #[prost(int32, tag = "1")]
    pub status: i32,
}

#[derive(Clone, PartialEq, Message)]
struct TfSummary {
    #[prost(message, repeated, tag = "1")]
    pub value: Vec<TfValue>,
}

/// `TfSummary.TfValue`: a number or a histogram. Either is one of a choice, and so written if it is
/// 0.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TfValue {
    #[prost(string, tag = "1")]
    pub tag: String,
    #[prost(float, optional, tag = "2")]
    pub simple_value: Option<f32>,
    #[prost(message, optional, tag = "5")]
    pub histo: Option<TfHistogram>,
}

/// Of `bucket_limit` each is the upper end of a bucket and the lower of the next, to which it
/// belongs.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TfHistogram {
    #[prost(double, tag = "1")]
    pub min: f64,
    #[prost(double, tag = "2")]
    pub max: f64,
    #[prost(double, tag = "3")]
    pub num: f64,
    #[prost(double, tag = "4")]
    pub sum: f64,
    #[prost(double, tag = "5")]
    pub sum_squares: f64,
    #[prost(double, repeated, tag = "6")]
    pub bucket_limit: Vec<f64>,
    #[prost(double, repeated, tag = "7")]
    pub bucket: Vec<f64>,
}

/// The record of some data.
fn record(data: &[u8]) -> Vec<u8> {
    let len = (data.len() as u64).to_le_bytes();
    [&len[..], &masked_crc(&len), data, &masked_crc(data)].concat()
}

/// The data of each record, up to the first that is damaged or not whole.
fn records(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (data, rest) = first(bytes)?;
        bytes = rest;
        Some(data)
    })
}

/// The data of the first record, and what comes after it.
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
    fn records_are_read_back_up_to_the_first_that_is_damaged() {
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
