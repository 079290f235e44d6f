//! The log of a run: its columns and lines, the two files they are written to, and the reader.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Error as _};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::error::{LineFault, LogError};
use crate::checkpoint::write_whole_with;
use crate::model::Score;
use crate::train::{EpochEnd, Event, NoiseScale, Position, StepEnd, Subscriber, SubscriberError};

/// Declares [`Measure`] from the single table of its keys.
macro_rules! measures {
    ($($(#[$doc:meta])* $measure:ident = $key:literal,)*) => {
        /// A measured value of a line: a key of `metrics.jsonl`, a column of `metrics.csv` and part
        /// of a tag for TensorBoard.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Measure {
            $($(#[$doc])* $measure,)*
        }

        impl Measure {
            /// All measures, in the order of the columns of `metrics.csv`.
            pub const ALL: &[Self] = &[$(Self::$measure,)*];

            /// Returns the name of the key, the column and the tag.
            pub fn key(self) -> &'static str {
                match self {
                    $(Self::$measure => $key,)*
                }
            }
        }
    };
}

measures! {
    /// Mean loss of the samples of the step or epoch, each before its update.
    TrainLoss = "train_loss",
    /// Learning rate of the step.
    Lr = "lr",
    /// Global norm of the gradient before clipping.
    GradNorm = "grad_norm",
    /// Gradient noise scale as last measured, in samples.
    NoiseScale = "noise_scale",
    /// Its standard error.
    NoiseScaleError = "noise_scale_error",
    /// Mean loss of the test samples.
    TestLoss = "test_loss",
    /// Fraction of the test samples whose class is predicted correctly.
    TestAccuracy = "test_accuracy",
    /// Speed of the epoch, without evaluation.
    SamplesPerSec = "samples_per_sec",
    /// Seconds of the epoch, without evaluation.
    EpochSecs = "epoch_secs",
    /// Of these, seconds in which rank 0 computed.
    ComputeSecs = "compute_secs",
    /// Seconds in which it waited.
    WaitSecs = "wait_secs",
    /// Seconds in which it reduced and updated.
    ReduceUpdateSecs = "reduce_update_secs",
}

/// The event that a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogEvent {
    /// The end of a step.
    Step,
    /// The end of a step whose loss, gradient or update was NaN or infinite, and whose params were
    /// kept.
    Diverged,
    /// The end of an epoch.
    Epoch,
    /// The end of a partial epoch at the end of a run. Older versions logged it as an epoch.
    PartialEpoch,
    /// The point where a run was resumed.
    Resume,
    /// An event of a newer version.
    #[serde(other)]
    Other,
}

/// A line of the log, for all its files. Serialized as one JSON object.
///
/// # Examples
///
/// ```
/// use phalanx::internals::{LogEvent, LogLine, Measure};
///
/// let values = vec![(Measure::TrainLoss, Some(0.5)), (Measure::Lr, None)];
/// let line = LogLine { event: LogEvent::Step, step: 3, epoch: 1, values };
/// assert_eq!(serde_json::to_string(&line)?, r#"{"event":"step","step":3,"epoch":1,"train_loss":0.5,"lr":null}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LogLine {
    /// The event.
    pub event: LogEvent,
    /// The number of completed steps, including those that diverged.
    pub step: u64,
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// The measured values, in the order of the keys; `None` for a value that applies but is
    /// unknown.
    pub values: Vec<(Measure, Option<f64>)>,
}

impl LogLine {
    /// Returns the line of a step; `noise` is the last measured noise scale, if it is measured.
    pub fn of_step(end: &StepEnd, noise: Option<NoiseScale>) -> Self {
        let mut values = vec![(Measure::TrainLoss, Some(end.loss)), (Measure::Lr, Some(end.rate))];
        values.extend(end.grad_norm.map(|norm| (Measure::GradNorm, Some(norm))));
        values.extend(noise.into_iter().flat_map(noise_values));
        let event = if end.diverged { LogEvent::Diverged } else { LogEvent::Step };
        Self { event, step: end.step, epoch: end.epoch + 1, values }
    }

    /// Returns the line of an epoch.
    pub fn of_epoch(end: &EpochEnd, noise: Option<NoiseScale>) -> Self {
        let test = end.test.as_ref();
        let mut values = vec![
            (Measure::TrainLoss, Some(end.train_loss)),
            (Measure::TestLoss, test.map(Score::mean_loss)),
            (Measure::TestAccuracy, test.and_then(Score::accuracy)),
        ];
        values.extend(noise.into_iter().flat_map(noise_values));
        values.extend([
            (Measure::SamplesPerSec, Some(end.samples_per_sec())),
            (Measure::EpochSecs, Some(end.elapsed.as_secs_f64())),
            (Measure::ComputeSecs, Some(end.phases.compute.as_secs_f64())),
            (Measure::WaitSecs, Some(end.phases.wait.as_secs_f64())),
            (Measure::ReduceUpdateSecs, Some(end.phases.reduce_update.as_secs_f64())),
        ]);
        let event = if end.is_whole { LogEvent::Epoch } else { LogEvent::PartialEpoch };
        Self { event, step: end.step, epoch: end.epoch + 1, values }
    }

    /// Returns a value of the line, or `None` if the line does not have it.
    pub fn value(&self, measure: Measure) -> Option<f64> {
        self.values.iter().find(|(found, _)| *found == measure)?.1
    }

    /// Reads a line of `metrics.jsonl`; returns `None` for a step that diverged, and for an event
    /// that the reader does not know.
    fn parse(text: &str) -> serde_json::Result<Option<Self>> {
        let line: Map<String, Value> = serde_json::from_str(text)?;
        let field = |key| line.get(key).ok_or_else(|| serde_json::Error::missing_field(key));
        let event = LogEvent::deserialize(field("event")?)?;
        let required: &[Measure] = match event {
            LogEvent::Step => &[Measure::Lr],
            LogEvent::Epoch | LogEvent::PartialEpoch => &[Measure::SamplesPerSec, Measure::EpochSecs],
            LogEvent::Resume => &[],
            LogEvent::Diverged | LogEvent::Other => return Ok(None),
        };
        let (step, epoch) = (u64::deserialize(field("step")?)?, u64::deserialize(field("epoch")?)?);
        required.iter().try_for_each(|measure| f64::deserialize(field(measure.key())?).map(drop))?;
        let given = Measure::ALL.iter().filter_map(|measure| Some((*measure, line.get(measure.key())?)));
        let values = given.map(|(measure, value)| Ok((measure, Option::deserialize(value)?)));
        Ok(Some(Self { event, step, epoch, values: values.collect::<serde_json::Result<_>>()? }))
    }
}

fn noise_values(noise: NoiseScale) -> [(Measure, Option<f64>); 2] {
    let estimate = noise.recent();
    [
        (Measure::NoiseScale, estimate.map(|estimate| estimate.value)),
        (Measure::NoiseScaleError, estimate.map(|estimate| estimate.error)),
    ]
}

impl Serialize for LogLine {
    /// Serializes the line as one object. JSON has neither NaN nor infinity, so they become null,
    /// like unknown values.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3 + self.values.len()))?;
        map.serialize_entry("event", &self.event)?;
        map.serialize_entry("step", &self.step)?;
        map.serialize_entry("epoch", &self.epoch)?;
        self.values.iter().try_for_each(|(measure, value)| map.serialize_entry(measure.key(), value))?;
        map.end()
    }
}

/// Creates the lines of a run from its events.
pub(super) struct Lines {
    /// The number of steps between two lines; 0 for no lines of steps.
    every: u64,
    /// The noise scale at the position at which the run starts or resumes.
    initial: NoiseScale,
    /// The last measured noise scale; `None` if it is not measured.
    noise: Option<NoiseScale>,
}

impl Lines {
    /// Starts at a position, which may be the start of the run.
    pub(super) fn new(every: u64, from: &Position) -> Self {
        Self { every, initial: from.noise_scale, noise: None }
    }

    /// Returns the line of an event, if it is logged.
    pub(super) fn of(&mut self, event: &Event<'_>) -> Option<LogLine> {
        match event {
            Event::Start(plan) => self.noise = plan.noise_interval().map(|_| self.initial),
            Event::Step(end) => {
                self.noise = end.noise_scale.or(self.noise);
                let is_logged = end.diverged || (self.every != 0 && end.step.is_multiple_of(self.every));
                return is_logged.then(|| LogLine::of_step(end, self.noise));
            }
            Event::Epoch(end) => return Some(LogLine::of_epoch(end, self.noise)),
            _ => {}
        }
        None
    }
}

/// A subscriber that writes `metrics.jsonl` and `metrics.csv`: a line every `n` steps and one for
/// each epoch.
///
/// `metrics.jsonl` has a JSON object per line. `metrics.csv` is the same as a table, with a header
/// and a row for each of these lines; its columns are the keys, in this order, and a field is empty
/// if its key is missing or null.
///
/// | key | in lines of | meaning |
/// |---|---|---|
/// | `event` | all | `step`; `diverged` instead of `step` if its loss, gradient or update was NaN or infinite and the params were kept; `epoch`; `partial_epoch` instead of `epoch` for a partial epoch at the end of a run; `resume` where a run was resumed: later lines were removed |
/// | `step`, `epoch` | all | number of completed steps, including those that diverged; epoch counted from 1 |
/// | `train_loss` | both | mean loss of the samples of the step or epoch, before their update; null if NaN or infinite |
/// | `lr` | step | learning rate of the step |
/// | `grad_norm` | step | global norm before clipping, if it was computed |
/// | `noise_scale`, `noise_scale_error` | both | last measured gradient noise scale, in samples, and its standard error; omitted if it is not measured, null while it is unknown |
/// | `test_loss`, `test_accuracy` | epoch | on the test samples; null without test samples and in the epoch in which the run diverged, the accuracy also without classes |
/// | `samples_per_sec`, `epoch_secs` | epoch | speed and time, without evaluation |
/// | `compute_secs`, `wait_secs`, `reduce_update_secs` | epoch | time of rank 0 by phase |
///
/// # Cost
///
/// Each line is written to the system with a single call as soon as its event arrives, so a reader
/// that follows the files sees no partial lines, and a killed program leaves none. This takes 5 µs
/// of processor time per line, 1.7 µs more than a buffer of one second and one file (Zen 4): with a
/// line every 10 steps, that is 1 % of a run on the digits, whose steps are the shortest at 50 µs.
pub struct Metrics {
    lines: Lines,
    json: LogFile,
    csv: LogFile,
    unreadable: Option<u64>,
}

impl Metrics {
    /// Starts both files; `json` exists and is empty.
    pub(super) fn new(json: LogFile, csv: PathBuf, every: u64) -> Result<Self, LogError> {
        let file = File::create_new(&csv).map_err(|source| LogError::Write { path: csv.clone(), source })?;
        let mut csv = LogFile { path: csv, file };
        csv.write(|file| file.write_all(header().as_bytes()))?;
        Ok(Self { lines: Lines::new(every, &Position::default()), json, csv, unreadable: None })
    }

    /// Resumes the log of a run: removes the lines after `position`, rewrites the table from the
    /// remaining lines, so that a run of an older version gets one, and adds a line that marks the
    /// point.
    pub(super) fn resume(
        mut json: LogFile,
        csv: PathBuf,
        every: u64,
        position: &Position,
    ) -> Result<Self, LogError> {
        let mut unreadable = None;
        json.write(|file| cut(file, position).map(|line| unreadable = line))?;
        let csv = open_table(csv, &json.path)?;
        let mut metrics = Self { lines: Lines::new(every, position), json, csv, unreadable };
        let (event, step, epoch) = (LogEvent::Resume, position.step, position.epoch + 1);
        metrics.write(&LogLine { event, step, epoch, values: Vec::new() })?;
        Ok(metrics)
    }

    /// Returns the number, counted from 1, of the first unreadable line of a resumed
    /// `metrics.jsonl`. The line is kept, but has no row in `metrics.csv`.
    pub fn unreadable(&self) -> Option<u64> {
        self.unreadable
    }

    fn write(&mut self, line: &LogLine) -> Result<(), LogError> {
        let text = serde_json::to_string(line).expect("a line is plain data") + "\n";
        self.json.write(|file| file.write_all(text.as_bytes()))?;
        self.csv.write(|file| file.write_all(row(&serde_json::from_str(&text)?).as_bytes()))
    }
}

impl Subscriber for Metrics {
    fn receive(&mut self, event: &Event<'_>) -> Result<(), SubscriberError> {
        match self.lines.of(event) {
            Some(line) => Ok(self.write(&line)?),
            None => Ok(()),
        }
    }
}

/// An open file with its path, which is included in errors.
pub(super) struct LogFile {
    pub(super) path: PathBuf,
    pub(super) file: File,
}

impl LogFile {
    fn write(&mut self, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), LogError> {
        write(&mut self.file).map_err(|source| LogError::Write { path: self.path.clone(), source })
    }
}

/// The keys that determine whether a line is kept when a run is resumed.
#[derive(serde::Deserialize)]
struct LineHead {
    event: LogEvent,
    step: u64,
    epoch: u64,
}

impl LineHead {
    /// Returns whether the line belongs to the run up to a position. The line of a partial epoch
    /// does not, because the line of the whole epoch will follow. Older versions logged it as an
    /// epoch.
    fn is_before(&self, position: &Position) -> bool {
        let ends_an_epoch = matches!(self.event, LogEvent::Epoch | LogEvent::PartialEpoch);
        self.step <= position.step && (!ends_an_epoch || self.epoch <= position.epoch)
    }
}

/// Keeps only the lines before a position, and leaves the file positioned at its end. Damaged lines
/// before the last good one are kept, and the number of the first of them is returned; later ones,
/// and an unterminated last line, are removed.
fn cut(file: &mut File, position: &Position) -> io::Result<Option<u64>> {
    file.rewind()?;
    let (mut kept, mut seen, mut number, mut damaged, mut unreadable) = (0, 0, 0, None, None);
    let (mut lines, mut line) = (BufReader::new(&*file), Vec::new());
    loop {
        line.clear();
        seen += lines.read_until(b'\n', &mut line)? as u64;
        if !line.ends_with(b"\n") {
            break;
        }
        number += 1;
        match serde_json::from_slice::<LineHead>(&line) {
            Ok(head) if head.is_before(position) => (kept, unreadable) = (seen, damaged),
            Ok(_) => break,
            Err(_) => damaged = damaged.or(Some(number)),
        }
    }
    file.set_len(kept)?;
    file.seek(SeekFrom::End(0))?;
    Ok(unreadable)
}

/// Writes the table of the lines of `json` and opens it for appending.
fn open_table(path: PathBuf, json: &Path) -> Result<LogFile, LogError> {
    let log = File::open(json).map_err(|source| LogError::Read { path: json.to_owned(), source })?;
    write_whole_with(&path, |file| {
        let mut rows = BufWriter::new(file);
        rows.write_all(header().as_bytes())?;
        for line in BufReader::new(log).split(b'\n') {
            // A damaged line has no row; `unreadable` reports it.
            if let Ok(line) = serde_json::from_slice(&line?) {
                rows.write_all(row(&line).as_bytes())?;
            }
        }
        rows.flush()
    })?;
    match OpenOptions::new().append(true).open(&path) {
        Ok(file) => Ok(LogFile { path, file }),
        Err(source) => Err(LogError::Write { path, source }),
    }
}

/// Returns the names of the columns of `metrics.csv`.
fn columns() -> impl Iterator<Item = &'static str> {
    ["event", "step", "epoch"].into_iter().chain(Measure::ALL.iter().map(|measure| measure.key()))
}

/// Returns the first line of `metrics.csv`.
fn header() -> String {
    columns().collect::<Vec<_>>().join(",") + "\n"
}

/// Returns a line of `metrics.csv`: the value of each column, with the digits of the JSON line.
fn row(line: &Map<String, Value>) -> String {
    let field = |column| match line.get(column) {
        None | Some(Value::Null) => Cow::Borrowed(""),
        Some(Value::String(text)) => csv_field(text),
        Some(value) => Cow::Owned(csv_field(&value.to_string()).into_owned()),
    };
    columns().map(field).collect::<Vec<_>>().join(",") + "\n"
}

/// Returns a text as a field of a CSV file, quoted if necessary (RFC 4180).
pub fn csv_field(text: &str) -> Cow<'_, str> {
    match text.contains([',', '"', '\n', '\r']) {
        true => Cow::Owned(format!("\"{}\"", text.replace('"', "\"\""))),
        false => Cow::Borrowed(text),
    }
}

/// The log of a run, read back from `metrics.jsonl`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunLog {
    /// The logged steps, without those that diverged.
    pub steps: Vec<LogLine>,
    /// The completed epochs. The last may be a [partial](LogEvent::PartialEpoch) one.
    pub epochs: Vec<LogLine>,
    /// The steps after which the run was resumed.
    pub resumed: Vec<u64>,
}

impl RunLog {
    /// Parses the lines. An unterminated last line is still being written and is ignored.
    ///
    /// # Errors
    ///
    /// [`LineFault`] of the first damaged line.
    pub fn parse(text: &str) -> Result<Self, LineFault> {
        let mut log = Self::default();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        for (index, text) in whole.enumerate() {
            let line = LogLine::parse(text).map_err(|error| LineFault::new(index + 1, &error))?;
            match line {
                Some(line) if line.event == LogEvent::Step => log.steps.push(line),
                Some(line) if line.event == LogEvent::Resume => log.resumed.push(line.step),
                Some(line) => log.epochs.push(line),
                None => {}
            }
        }
        Ok(log)
    }

    /// Returns whether the run ended with a partial epoch.
    pub fn ends_within_an_epoch(&self) -> bool {
        self.epochs.last().is_some_and(|epoch| epoch.event == LogEvent::PartialEpoch)
    }

    /// Returns the complete epochs.
    pub fn whole_epochs(&self) -> impl Iterator<Item = &LogLine> {
        self.epochs.iter().filter(|epoch| epoch.event == LogEvent::Epoch)
    }

    /// Returns the number of completed steps in the last line.
    pub fn last_step(&self) -> Option<u64> {
        let step = self.steps.last().map(|line| line.step);
        step.max(self.epochs.last().map(|line| line.step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::PhaseTimes;

    fn step(loss: f64) -> LogLine {
        let end = StepEnd {
            step: 30,
            epoch: 1,
            samples: 64,
            weight: 64.0,
            loss,
            rate: 1e-7,
            grad_norm: Some(0.1 + 0.2),
            noise_scale: None,
            diverged: false,
        };
        LogLine::of_step(&end, Some(NoiseScale::default()))
    }

    fn epoch() -> LogLine {
        let end = EpochEnd {
            epoch: 1,
            step: 46,
            samples: 1437,
            train_loss: 0.25,
            test: None,
            is_whole: true,
            elapsed: std::time::Duration::from_millis(125),
            phases: PhaseTimes::default(),
        };
        LogLine::of_epoch(&end, Some(NoiseScale::default()))
    }

    fn row(line: &impl Serialize) -> String {
        super::row(&serde_json::from_str(&serde_json::to_string(line).unwrap()).unwrap())
    }

    #[test]
    fn the_table_has_columns_for_event_step_epoch_and_each_measure() {
        let header = "event,step,epoch,train_loss,lr,grad_norm,noise_scale,noise_scale_error,test_loss,test_accuracy,\
                      samples_per_sec,epoch_secs,compute_secs,wait_secs,reduce_update_secs\n";
        assert_eq!(super::header(), header);
    }

    #[test]
    fn a_row_has_the_digits_of_the_line_and_empty_fields_for_null() {
        assert_eq!(row(&step(0.5)), "step,30,2,0.5,1e-7,0.30000000000000004,,,,,,,,,\n");
        assert_eq!(row(&step(f64::NAN)), "step,30,2,,1e-7,0.30000000000000004,,,,,,,,,\n");
        assert_eq!(row(&epoch()), "epoch,46,2,0.25,,,,,,,11496.0,0.125,0.0,0.0,0.0\n");
    }

    #[test]
    fn a_field_with_special_characters_is_quoted() {
        for (text, field) in [
            ("", ""),
            (" 1e-7 # é", " 1e-7 # é"),
            ("a,b", "\"a,b\""),
            ("a\r", "\"a\r\""),
            ("a\nb", "\"a\nb\""),
            ("\"a\" b", "\"\"\"a\"\" b\""),
        ] {
            assert_eq!(csv_field(text), field);
        }
        let line = serde_json::json!({ "event": "a \"song\"", "step": [1, 2] });
        assert_eq!(row(&line), "\"a \"\"song\"\"\",\"[1,2]\",,,,,,,,,,,,,\n");
    }

    #[test]
    fn lines_are_read_back_as_they_were_written() {
        for line in [step(0.5), epoch()] {
            let read = LogLine::parse(&serde_json::to_string(&line).unwrap()).unwrap().unwrap();
            assert_eq!((read.event, read.step, read.epoch), (line.event, line.step, line.epoch));
            let same = |measure: &Measure| read.value(*measure) == line.value(*measure);
            assert!(Measure::ALL.iter().all(same), "{read:?} {line:?}");
        }
    }

    const STEP: &str = r#"{"event":"step","step":10,"epoch":1,"train_loss":null,"lr":0.1}"#;
    const EPOCH: &str = r#"{"event":"epoch","step":12,"epoch":1,"train_loss":0.5,"test_loss":null,"test_accuracy":null,"samples_per_sec":9.0,"epoch_secs":0.1}"#;

    #[test]
    fn lines_are_sorted_by_event_and_unknown_events_are_ignored() {
        let resume = r#"{"event":"resume","step":12,"epoch":2}"#;
        let text = format!("{STEP}\n{EPOCH}\n{resume}\n{{\"event\":\"song\",\"step\":3}}\n");
        let log = RunLog::parse(&text).unwrap();
        assert_eq!((log.steps.len(), log.epochs.len(), log.resumed.as_slice()), (1, 1, &[12][..]));
        assert_eq!(log.steps[0].value(Measure::TrainLoss), None);
        assert_eq!((log.epochs[0].value(Measure::ComputeSecs), log.last_step()), (None, Some(12)));
    }

    #[test]
    fn an_unterminated_line_is_ignored_and_a_damaged_line_is_reported() {
        assert_eq!(RunLog::parse(&format!("{STEP}\n{{\"ev")).unwrap().steps.len(), 1);
        let LineFault { line, fault } = RunLog::parse(&format!("{STEP}\n{{\"ev\n{STEP}\n")).unwrap_err();
        assert_eq!(line, 2);
        assert!(!fault.contains("line"), "{fault}");
        let LineFault { line, fault } =
            RunLog::parse("{\"event\":\"step\",\"step\":1,\"epoch\":1}\n").unwrap_err();
        assert!(line == 1 && fault == "missing field `lr`", "{fault}");
    }
}
