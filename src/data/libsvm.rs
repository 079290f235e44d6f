//! The libsvm text format: `label index:value ...`, with ascending indices from 1; `#` begins a
//! comment.
//!
//! Source: C.-C. Chang and C.-J. Lin, LIBSVM: a library for support vector machines, 2011; svmlight
//! for the comments.

use std::io::{BufRead, BufReader, Read};

use super::dataset::Dataset;
use super::error::{DataError, LibsvmFault, Location, Remark};
use super::features::{Features, MAX_FEATURES, Sparse, StoredFeatures};
use super::labels::{LabelReader, TargetKind, is_rounded};
use super::options::LoadOptions;
use super::stream::{Input, Stream, check_is_text};
use super::text::excerpt;

/// The maximum number of bytes of a line. At a hundred bytes for each of the features that a sample
/// may have, a line would be too long to hold in memory.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// Reads an input into sparse rows. The number of features is the largest index, or that of the
/// model.
pub(super) fn load(input: &Input, options: &LoadOptions) -> Result<Dataset, DataError> {
    check_is_text(input)?;
    let mut rows = RowReader {
        file: input.name(),
        line: 0,
        sparse: Sparse::default(),
        labels: LabelReader::new(&input.name(), options.target, options.classes.as_ref()),
        label_is_optional: options.target == TargetKind::None,
        widest: 0,
        rounded: None,
    };
    rows.reserve(input)?;
    let mut reader = BufReader::with_capacity(1 << 16, Stream::open(input)?);
    let mut line = Vec::new();
    loop {
        let read = reader.by_ref().take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut line);
        rows.line += 1;
        match read.map_err(|cause| reader.get_ref().error(cause))? as u64 {
            0 => break,
            bytes if bytes > MAX_LINE_BYTES => {
                let most = MAX_LINE_BYTES as usize;
                return Err(DataError::LongRow { file: rows.file, line: rows.line, most });
            }
            _ => {}
        }
        rows.read_line(&line)?;
        line.clear();
    }
    rows.finish(options.features)
}

struct RowReader<'a> {
    file: String,
    /// The current line, from 1.
    line: u64,
    sparse: Sparse,
    labels: LabelReader<'a>,
    label_is_optional: bool,
    /// The largest index so far, counted from 1.
    widest: u64,
    /// The first whole number that is not exact in f32, and its index.
    rounded: Option<(String, String)>,
}

impl RowReader<'_> {
    /// Reserves memory. Every pair has a colon, and every row a line, of which the last may lack
    /// its line feed. No more is reserved than a file of eight bytes per pair and sixteen bytes per
    /// row needs; otherwise a comment of colons or a file of empty lines would take many times its
    /// size.
    fn reserve(&mut self, input: &Input) -> Result<(), DataError> {
        let file_bytes = Stream::open(input)?.file_bytes() as usize;
        let pairs = Stream::count(input, b':')?.unwrap_or_default().min(file_bytes / 8 + 1);
        let rows = Stream::count(input, b'\n')?.unwrap_or_default().min(file_bytes / 16) + 1;
        self.sparse.columns.reserve_exact(pairs);
        self.sparse.values.reserve_exact(pairs);
        self.sparse.ends.reserve_exact(rows);
        self.labels.reserve(rows);
        Ok(())
    }

    fn read_line(&mut self, line: &[u8]) -> Result<(), DataError> {
        let Ok(text) = std::str::from_utf8(line) else {
            return Err(DataError::NotUtf8 { file: self.file.clone(), place: Location::Line(self.line) });
        };
        let text = text.split('#').next().unwrap_or_default().trim_start_matches('\u{feff}');
        let mut words = text.split_ascii_whitespace().peekable();
        let Some(&first) = words.peek() else { return Ok(()) };
        if !first.contains(':') {
            self.read_label(first)?;
            words.next();
        } else if !self.label_is_optional {
            return Err(self.fault(LibsvmFault::NoLabel { text: excerpt(first) }));
        }
        let mut previous = 0;
        for word in words {
            previous = self.read_pair(word, previous)?;
        }
        self.sparse.ends.push(self.sparse.values.len());
        Ok(())
    }

    fn read_label(&mut self, text: &str) -> Result<(), DataError> {
        if text.contains(',') {
            return Err(self.fault(LibsvmFault::MultiLabel { text: excerpt(text) }));
        }
        let line = self.line;
        self.labels.push(text, || Location::Line(line))
    }

    /// Reads one pair, whose index must be above `previous`, and returns its index.
    fn read_pair(&mut self, word: &str, previous: u64) -> Result<u64, DataError> {
        let text = || excerpt(word);
        let (index, value) = match word.split_once(':') {
            Some(("qid", _)) => return Err(self.fault(LibsvmFault::QueryId { text: text() })),
            Some((index, value)) if !index.is_empty() && !value.is_empty() => (index, value),
            _ => return Err(self.fault(LibsvmFault::NoPair { text: text() })),
        };
        let Some(found) = index.parse().ok().filter(|found: &u64| *found <= MAX_FEATURES) else {
            return Err(self.fault(LibsvmFault::BadIndex { text: excerpt(index) }));
        };
        if found == 0 {
            return Err(self.fault(LibsvmFault::IndexZero));
        }
        if found == previous {
            return Err(self.fault(LibsvmFault::Twice { index: found }));
        }
        if found < previous {
            return Err(self.fault(LibsvmFault::NotAscending { previous, found }));
        }
        let text = value;
        let value = self.read_value(found, text)?;
        if value.abs() >= 16_777_216.0 && self.rounded.is_none() && text.parse().is_ok_and(is_rounded) {
            self.rounded = Some((index.to_string(), excerpt(text)));
        }
        if value != 0.0 {
            self.sparse.columns.push((found - 1) as u32);
            self.sparse.values.push(value);
        }
        self.widest = self.widest.max(found);
        Ok(found)
    }

    fn read_value(&self, index: u64, text: &str) -> Result<f32, DataError> {
        let file = || self.file.clone();
        let place = || Location::Index { line: self.line, index };
        match text.parse::<f32>() {
            Ok(value) if value.is_finite() => Ok(value),
            Ok(_) if text.bytes().any(|byte| byte.is_ascii_digit()) => {
                Err(DataError::OutOfRange { file: file(), place: place(), text: excerpt(text) })
            }
            Ok(value) => Err(DataError::NotFinite { file: file(), place: place(), value: f64::from(value) }),
            Err(_) => Err(DataError::NotNumber {
                file: file(),
                place: place(),
                text: excerpt(text),
                may_be_name: false,
            }),
        }
    }

    fn fault(&self, fault: LibsvmFault) -> DataError {
        DataError::Libsvm { file: self.file.clone(), line: self.line, fault }
    }

    fn finish(self, expected: Option<usize>) -> Result<Dataset, DataError> {
        if self.sparse.ends.is_empty() {
            return Err(DataError::Empty { file: self.file, expected: "line of \"label index:value ...\"" });
        }
        let found = self.widest as usize;
        let columns = match expected {
            Some(expected) if found <= expected => expected,
            Some(expected) => return Err(DataError::FeatureCount { file: self.file, found, expected }),
            None => found,
        };
        if columns == 0 {
            return Err(DataError::Empty { file: self.file, expected: "index:value pair" });
        }
        let labels = self.labels.finish()?;
        let mut data = Dataset::from_file(
            &self.file,
            Features::flat(StoredFeatures::Sparse(self.sparse), columns),
            labels,
        )?;
        if let Some((index, text)) = self.rounded {
            data.add_remark(Remark::Rounded { file: self.file, what: format!("index {index}"), text });
        }
        Ok(data)
    }
}
