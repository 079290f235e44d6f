//! Tables of comma-separated values: one sample per line, plain or `.gz`.
//!
//! A row takes about 8 bytes per field in addition to its text, and a name about 24 more, so a file
//! that contains only commas would take more than 32 times its size; therefore the size of a row is
//! limited.
//! The parser is that of the csv crate, whose own reader accepts rows of any size.
//!
//! Source: RFC 4180, plus lines that end with a line feed only, blank lines, and spaces around
//! numbers.

use std::io::{BufRead, BufReader, Read};

use csv_core::{ReadRecordResult, Reader};

use super::dataset::Dataset;
use super::error::{DataError, Location, Remark};
use super::features::{Features, StoredFeatures};
use super::header::{decide_columns, is_label_name};
use super::labels::{Classes, LabelReader, Targets, is_rounded};
use super::options::{Columns, HeaderRow, LoadOptions};
use super::stream::{Input, Stream, check_is_text};
use super::text::{FieldKind, excerpt};

/// Reads a table.
pub(super) fn load(input: &Input, options: &LoadOptions) -> Result<Dataset, DataError> {
    check_is_text(input)?;
    let mut rows = Rows::open(input)?;
    if !rows.next()? {
        return Err(empty(rows));
    }
    let line = rows.line();
    let first: Option<Vec<String>> =
        rows.fields().map(|field| String::from_utf8(field.to_vec()).ok()).collect();
    let Some(first) = first else {
        return Err(DataError::NotUtf8 { file: rows.file, place: Location::Line(line) });
    };
    let (columns, remarks) = decide_columns(&rows.file, line, &first, options)?;
    let has_names = columns.names().is_some();
    if has_names && !rows.next()? {
        return Err(empty(rows));
    }
    let mut table = TableReader::new(input, &rows, columns, options)?;
    loop {
        table.read_row(&rows)?;
        if !rows.next()? {
            break;
        }
    }
    let mut data = table.finish(&rows.file)?;
    if options.columns.is_none() {
        if options.header == HeaderRow::Auto && !has_names && is_odd_class(&data, &first) {
            let why = "its label is a word that no other line has".to_string();
            return Err(DataError::HeaderUnknown { file: rows.file, line, why });
        }
        if let Some(remark) = counting_feature(&data, &rows.file) {
            data.add_remark(remark);
        }
    }
    remarks.into_iter().for_each(|remark| data.add_remark(remark));
    Ok(data)
}

/// Returns whether the first line, read as a sample, may be column names after all, such as
/// wavelengths: its label is a word that no other sample has, and it either suggests a label
/// column, or stands among numbers, or among classes of at least two samples on average.
fn is_odd_class(data: &Dataset, first: &[String]) -> bool {
    let (Targets::Classes { labels, count }, Some(columns)) = (data.targets(), data.columns()) else {
        return false;
    };
    let is_alone = labels.iter().filter(|&&label| label == labels[0]).count() == 1;
    let is_word = |column: usize| FieldKind::of(&first[column]) == FieldKind::Word;
    let names = data.classes().map(Classes::names).unwrap_or_default();
    let number = |name: &&String| FieldKind::of(name) == FieldKind::Number;
    let are_numbers = names.iter().filter(number).count() + 1 == names.len();
    let has_label_name = columns.label().is_some_and(|column| is_label_name(first[column].trim()));
    is_alone
        && columns.label().is_some_and(is_word)
        && (labels.len() > 2 * (count - 1) || are_numbers || has_label_name)
}

/// Returns a remark if a feature is 0, 1, 2, ... or 1, 2, 3, ... in the order of the samples.
fn counting_feature(data: &Dataset, file: &str) -> Option<Remark> {
    /// With fewer samples, consecutive numbers may be chance.
    const LEAST: usize = 5;
    let columns = data.columns().filter(|_| data.len() >= LEAST)?;
    let first = data.features_of(0);
    let mut counting: Vec<usize> =
        (0..data.features()).filter(|&feature| first[feature] == 0.0 || first[feature] == 1.0).collect();
    for sample in 1..data.len() {
        if counting.is_empty() {
            return None;
        }
        let features = data.features_of(sample);
        counting.retain(|&feature| features[feature] == first[feature] + sample as f32);
    }
    let feature = *counting.first()?;
    let column = columns.text(columns.features()[feature]);
    Some(Remark::Counts { file: file.to_string(), column, first: first[feature] as u64 })
}

fn empty(rows: Rows<'_>) -> DataError {
    DataError::Empty { file: rows.file, expected: "row with a sample" }
}

/// The use of a column.
#[derive(Clone, Copy)]
enum ColumnRole {
    /// The feature with this index.
    Feature(usize),
    Label,
    Weight,
    Ignored,
}

/// The part of a table that has been read so far.
struct TableReader<'a> {
    columns: Columns,
    numbers: Numbers,
    labels: LabelReader<'a>,
    /// The use of each column, in the order of the file.
    roles: Vec<ColumnRole>,
    /// The features of the current row, in order.
    row: Vec<f32>,
    weights: Option<Vec<f32>>,
    /// The last column, if it has no name and would otherwise be the label.
    empty: Option<usize>,
    /// The first whole number that is not exact in f32, and its column.
    rounded: Option<(usize, String)>,
    samples: usize,
}

impl<'a> TableReader<'a> {
    /// Reserves memory for what the file can contain: one row per line, with at least two bytes per
    /// field, since lines may be empty.
    fn new(
        input: &Input,
        rows: &Rows,
        columns: Columns,
        options: &'a LoadOptions,
    ) -> Result<Self, DataError> {
        let (file, file_bytes) = (&rows.file, rows.file_bytes());
        let most = file_bytes as usize / (2 * columns.count()) + 1;
        let rows = Stream::count(input, b'\n')?.map_or(0, |lines| most.min(lines + 1));
        let numbers = rows * columns.features().len();
        let mut roles = vec![ColumnRole::Ignored; columns.count()];
        columns
            .features()
            .iter()
            .enumerate()
            .for_each(|(feature, &column)| roles[column] = ColumnRole::Feature(feature));
        columns.label().into_iter().for_each(|column| roles[column] = ColumnRole::Label);
        columns.weight().into_iter().for_each(|column| roles[column] = ColumnRole::Weight);
        let is_default =
            options.label_column.is_none() && options.columns.is_none() && columns.label().is_some();
        let last = columns.count() - 1;
        let empty = Some(last)
            .filter(|last| is_default && columns.names().is_some() && columns.ignored().contains(last));
        let mut labels = LabelReader::new(file, options.target, options.classes.as_ref());
        labels.reserve(if columns.label().is_some() { rows } else { 0 });
        Ok(TableReader {
            labels,
            roles,
            row: vec![0.0; columns.features().len()],
            weights: columns.weight().map(|_| Vec::with_capacity(rows)),
            numbers: Numbers::Bytes(Vec::with_capacity(numbers)),
            rounded: None,
            empty,
            samples: 0,
            columns,
        })
    }

    fn read_row(&mut self, rows: &Rows) -> Result<(), DataError> {
        let (found, expected) = (rows.len(), self.columns.count());
        if found != expected {
            return Err(DataError::Ragged { file: rows.file.clone(), line: rows.line(), found, expected });
        }
        if expected == 1 && self.samples > 0 && rows.follows_a_blank_line() {
            // In other tables, an empty line is no row; in a table of one column, it is a row with
            // a missing number.
            let place = Location::Field { line: rows.line().saturating_sub(1), column: self.columns.text(0) };
            let (file, text) = (rows.file.clone(), String::new());
            return Err(DataError::NotNumber { file, place, text, may_be_name: false });
        }
        for (column, field) in rows.fields().enumerate() {
            match self.roles[column] {
                ColumnRole::Feature(feature) => {
                    let number = parse(field).ok_or_else(|| self.not_a_number(rows, column, field))?;
                    // Checked first because few numbers are this large.
                    if number.abs() >= 16_777_216.0 && self.rounded.is_none() {
                        self.rounded = rounded(field).map(|text| (column, text));
                    }
                    self.row[feature] = number;
                }
                ColumnRole::Label => self.read_label(rows, column, field)?,
                ColumnRole::Weight => {
                    let weight = self.read_weight(rows, column, field)?;
                    self.weights.get_or_insert_default().push(weight);
                }
                ColumnRole::Ignored if Some(column) == self.empty && !field.trim_ascii().is_empty() => {
                    let (file, line) = (rows.file.clone(), rows.line());
                    let text = excerpt(&String::from_utf8_lossy(field));
                    return Err(DataError::UnnamedLast { file, line, column, text });
                }
                ColumnRole::Ignored => {}
            }
        }
        self.row.iter().for_each(|&number| self.numbers.push(number));
        self.samples += 1;
        Ok(())
    }

    fn read_label(&mut self, rows: &Rows, column: usize, field: &[u8]) -> Result<(), DataError> {
        let columns = &self.columns;
        let location = || location(columns, rows, column);
        match std::str::from_utf8(field) {
            Ok(text) => self.labels.push(text, location),
            Err(_) => Err(DataError::NotUtf8 { file: rows.file.clone(), place: location() }),
        }
    }

    fn read_weight(&self, rows: &Rows, column: usize, field: &[u8]) -> Result<f32, DataError> {
        parse(field).filter(|weight| *weight >= 0.0).ok_or_else(|| DataError::Weight {
            file: rows.file.clone(),
            place: location(&self.columns, rows, column),
            text: excerpt(&String::from_utf8_lossy(field)),
        })
    }

    /// Returns the error for a field that is not a number.
    fn not_a_number(&self, rows: &Rows, column: usize, field: &[u8]) -> DataError {
        let (file, place) = (rows.file.clone(), location(&self.columns, rows, column));
        let text = String::from_utf8_lossy(field);
        let text = text.trim();
        match text.parse::<f64>() {
            Ok(_) if text.bytes().any(|byte| byte.is_ascii_digit()) => {
                DataError::OutOfRange { file, place, text: excerpt(text) }
            }
            Ok(value) => DataError::NotFinite { file, place, value },
            Err(_) => {
                let is_first = self.samples == 0 && self.columns.names().is_none();
                let may_be_name = is_first && FieldKind::of(text) == FieldKind::Word;
                DataError::NotNumber { file, place, text: excerpt(text), may_be_name }
            }
        }
    }

    fn finish(mut self, file: &str) -> Result<Dataset, DataError> {
        let labels = match self.columns.label() {
            Some(_) => self.labels.finish()?,
            None => LabelReader::none(),
        };
        let features = Features::flat(self.numbers.stored(), self.columns.features().len());
        let mut data = Dataset::from_file(file, features, labels)?.with_weights(self.weights);
        if let Some((column, text)) = self.rounded {
            let (file, what) = (file.to_string(), format!("column {}", self.columns.text(column)));
            data.add_remark(Remark::Rounded { file, what, text });
        }
        if self.columns.drop_long_names() {
            let (file, columns) = (file.to_string(), self.columns.count());
            data.add_remark(Remark::NamesNotKept { file, columns });
        }
        Ok(data.with_columns(self.columns))
    }
}

fn location(columns: &Columns, rows: &Rows, column: usize) -> Location {
    Location::Field { line: rows.line(), column: columns.text(column) }
}

/// Returns the text of a field whose number is rounded in f32.
fn rounded(field: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(field).ok()?.trim();
    let is_another = match text.parse::<i128>() {
        Ok(whole) => whole as f32 as i128 != whole,
        Err(_) => is_rounded(text.parse().ok()?),
    };
    is_another.then(|| excerpt(text))
}

/// Returns the finite `f32` nearest to the number in the field.
fn parse(field: &[u8]) -> Option<f32> {
    if let Some(small) = parse_digits(field) {
        return Some(small);
    }
    let number: f32 = std::str::from_utf8(field).ok()?.trim().parse().ok()?;
    Some(number).filter(|number| number.is_finite())
}

/// Parses up to three digits, the most common field in tables of pixels, without the general
/// parser.
fn parse_digits(field: &[u8]) -> Option<f32> {
    if field.is_empty() || field.len() > 3 || !field.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(f32::from(field.iter().fold(0u16, |number, digit| number * 10 + u16::from(digit - b'0'))))
}

/// The numbers of a table, stored as bytes as long as all of them are bytes, so that a table of
/// pixels takes as little memory as its images.
enum Numbers {
    Bytes(Vec<u8>),
    Floats(Vec<f32>),
}

impl Numbers {
    fn push(&mut self, number: f32) {
        let byte = number as u8;
        match self {
            Numbers::Floats(values) => values.push(number),
            // Compared bitwise, because -0 is not a byte.
            Numbers::Bytes(values) if f32::from(byte).to_bits() == number.to_bits() => values.push(byte),
            Numbers::Bytes(values) => {
                let mut floats = Vec::with_capacity(values.capacity());
                floats.extend(values.iter().map(|&byte| f32::from(byte)));
                floats.push(number);
                *self = Numbers::Floats(floats);
            }
        }
    }

    fn stored(self) -> StoredFeatures {
        match self {
            Numbers::Bytes(values) => StoredFeatures::U8 { values, zero: 0.0, divisor: 1.0 },
            Numbers::Floats(values) => StoredFeatures::F32(values),
        }
    }
}

/// The maximum number of columns of a table.
const MAX_COLUMNS: usize = 1 << 18;

/// The maximum number of bytes in the fields of a row.
const MAX_ROW_BYTES: usize = 4 << 20;

/// The rows of an input; the first call of [`next`](Self::next) reads the first row.
pub(super) struct Rows<'a> {
    pub(super) file: String,
    input: &'a Input,
    stream: BufReader<Stream<'a>>,
    parser: Reader,
    /// The concatenated fields of the current row.
    text: Vec<u8>,
    /// The end of each field.
    ends: Vec<usize>,
    /// The number of fields.
    count: usize,
    /// The byte offsets in the input where the current row and the next row begin.
    start: u64,
    next: u64,
    /// The number of line feeds before the ends of the current and the previous row.
    line_feeds: [u64; 2],
}

impl<'a> Rows<'a> {
    pub(super) fn open(input: &'a Input) -> Result<Self, DataError> {
        let stream = Stream::open(input)?;
        Ok(Rows {
            file: stream.file.clone(),
            input,
            stream: BufReader::new(stream),
            parser: Reader::new(),
            text: vec![0; 1 << 10],
            ends: vec![0; 1 << 5],
            count: 0,
            start: 0,
            next: 0,
            line_feeds: [0; 2],
        })
    }

    /// Reads the next row; returns false at the end.
    pub(super) fn next(&mut self) -> Result<bool, DataError> {
        self.start = self.next;
        let mut len = 0;
        let mut quotes = Quotes::FieldStart;
        self.count = 0;
        loop {
            let bytes = match self.stream.fill_buf() {
                Ok(bytes) => bytes,
                Err(cause) => return Err(self.stream.get_ref().error(cause)),
            };
            let (result, read, written, ended) =
                self.parser.read_record(bytes, &mut self.text[len..], &mut self.ends[self.count..]);
            let is_first = self.start == 0 && self.next == 0;
            let text = bytes[..read].strip_prefix(BYTE_ORDER_MARK).filter(|_| is_first);
            let followed = quotes.advance(text.unwrap_or(&bytes[..read]));
            self.stream.consume(read);
            if let Err(fault) = followed {
                return Err(self.quote_fault(fault, is_first));
            }
            self.next += read as u64;
            len += written;
            self.count += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if grow(&mut self.text, MAX_ROW_BYTES) => {}
                ReadRecordResult::OutputEndsFull if grow(&mut self.ends, MAX_COLUMNS) => {}
                ReadRecordResult::OutputFull => {
                    let (file, line) = (self.file.clone(), self.line());
                    return Err(DataError::LongRow { file, line, most: MAX_ROW_BYTES });
                }
                ReadRecordResult::OutputEndsFull => {
                    let (file, line) = (self.file.clone(), self.line());
                    return Err(DataError::WideRow { file, line, most: MAX_COLUMNS });
                }
                ReadRecordResult::Record if quotes == Quotes::Within => {
                    return Err(self.quote_fault(QuoteFault::Open, false));
                }
                ReadRecordResult::Record => {
                    self.line_feeds = [self.parser.line(), self.line_feeds[0]];
                    return Ok(true);
                }
                ReadRecordResult::End => return Ok(false),
            }
        }
    }

    /// Returns the error for a wrong quote in the current row; in the first row, it may show that
    /// fields are not separated by commas.
    fn quote_fault(&self, fault: QuoteFault, is_first: bool) -> DataError {
        let (file, line) = (self.file.clone(), self.line());
        let separators = match fault {
            QuoteFault::Behind(b';') => Some("semicolons"),
            QuoteFault::Behind(b'\t') => Some("tabs"),
            QuoteFault::Behind(b'|') => Some("vertical bars"),
            _ => None,
        };
        if let Some(found) = separators.filter(|_| is_first) {
            return DataError::Delimiter { file, line, found };
        }
        let what = match fault {
            QuoteFault::Behind(_) => "text after a closing quote",
            QuoteFault::Inside => "a quote within an unquoted field",
            QuoteFault::Open => "an unclosed quote",
        };
        DataError::Quote { file, line, what }
    }

    /// Returns the number of fields of the current row.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Returns the fields of the current row.
    pub(super) fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends[..self.count].iter().map(move |&end| {
            let field = &self.text[start..end];
            start = end;
            field
        })
    }

    /// Returns the line, from 1, where the current row starts; 0 if it cannot be determined because
    /// the file has changed. Counts by reading the input again, as only an error needs the line.
    pub(super) fn line(&self) -> u64 {
        Stream::open(self.input).ok().and_then(|stream| line_of(stream, self.start)).unwrap_or(0)
    }

    /// Returns whether blank lines precede the current row, assuming that no field contains a line
    /// feed.
    pub(super) fn follows_a_blank_line(&self) -> bool {
        self.line_feeds[0] > self.line_feeds[1] + 1
    }

    pub(super) fn file_bytes(&self) -> u64 {
        self.stream.get_ref().file_bytes()
    }
}

/// The byte order mark with which a text file may begin.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The position in a row with respect to quotes. They are checked here because the parser accepts
/// any quote, and would include the following rows in the field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    FieldStart,
    /// In an unquoted field.
    Plain,
    /// Inside a quoted field.
    Within,
    /// After a quote in a quoted field, which ends the field unless another quote follows.
    Behind,
}

/// A quote that is not part of a quoted field.
#[derive(Clone, Copy)]
enum QuoteFault {
    /// This byte follows the closing quote of a field.
    Behind(u8),
    /// The quote is in an unquoted field.
    Inside,
    /// The input ends before the quote is closed.
    Open,
}

impl Quotes {
    /// Advances over bytes; rejects a quote that neither opens nor closes a field and is not
    /// doubled.
    fn advance(&mut self, bytes: &[u8]) -> Result<(), QuoteFault> {
        if matches!(*self, Self::FieldStart | Self::Plain) && !bytes.contains(&b'"') {
            // Most tables have no quotes.
            if let Some(last) = bytes.last() {
                let is_end = matches!(last, b',' | b'\n' | b'\r');
                *self = if is_end { Self::FieldStart } else { Self::Plain };
            }
            return Ok(());
        }
        for &byte in bytes {
            *self = match (*self, byte) {
                (Self::Within, b'"') => Self::Behind,
                (Self::Within, _) => Self::Within,
                (Self::FieldStart | Self::Behind, b'"') => Self::Within,
                (_, b',' | b'\n' | b'\r') => Self::FieldStart,
                (Self::Behind, byte) => return Err(QuoteFault::Behind(byte)),
                (Self::Plain, b'"') => return Err(QuoteFault::Inside),
                (Self::FieldStart | Self::Plain, _) => Self::Plain,
            };
        }
        Ok(())
    }
}

/// Doubles the size of a buffer, up to `most`; returns false if it already has that size.
fn grow<T: Copy + Default>(room: &mut Vec<T>, most: usize) -> bool {
    let (found, wanted) = (room.len(), (2 * room.len()).min(most));
    room.resize(wanted, T::default());
    wanted > found
}

/// Returns the line of the first byte from `start` on that is not part of a line ending.
fn line_of(mut stream: Stream<'_>, start: u64) -> Option<u64> {
    let (mut line, mut at) = (1, 0);
    let mut block = [0; 1 << 14];
    loop {
        let count = stream.read(&mut block).ok().filter(|&count| count > 0)?;
        for &byte in &block[..count] {
            if at >= start && byte != b'\n' && byte != b'\r' {
                return Some(line);
            }
            line += u64::from(byte == b'\n');
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_path_for_digits_matches_the_general_parser() {
        for number in 0..2_000 {
            for text in [number.to_string(), format!("{number:03}")] {
                assert_eq!(parse(text.as_bytes()), text.parse().ok());
            }
        }
        for text in ["", "-", "1e39", "nan", "inf", "0x1", "1,5"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse(b" -1.5 "), Some(-1.5));
    }

    #[test]
    fn bytes_become_floats_at_the_first_number_that_is_not_a_byte() {
        for other in [0.5, -0.0, -1.0, 256.0] {
            let mut numbers = Numbers::Bytes(Vec::new());
            [0.0, 255.0, other, 7.0].iter().for_each(|&number| numbers.push(number));
            let Numbers::Floats(values) = numbers else { panic!("{other} is not a byte") };
            let bits: Vec<u32> = values.iter().map(|x| x.to_bits()).collect();
            assert_eq!(bits, [0.0, 255.0, other, 7.0f32].map(f32::to_bits));
        }
    }
}
