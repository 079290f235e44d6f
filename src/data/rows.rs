//! The rows of a table of comma-separated values, one at a time, none of them without bound.
//!
//! A row takes some 8 bytes a field beside its text, and a name some 24 more, so that a file of commas alone would take 16 times its
//! size. The parser is that of csv; its reader would take rows of any size.

use std::io::{BufRead, BufReader, Read};

use csv_core::{ReadRecordResult, Reader};

use super::DataError;
use super::input::Input;
use super::stream::Stream;

/// Most columns of a table.
const MAX_COLUMNS: usize = 1 << 18;
/// Most bytes in the fields of a row.
const MAX_ROW_BYTES: usize = 4 << 20;

/// The rows of an input; [`next`](Self::next) goes to the first.
pub(super) struct Rows<'a> {
    pub(super) file: String,
    input: &'a Input,
    stream: BufReader<Stream<'a>>,
    parser: Reader,
    /// The fields of the row at hand, one after the other.
    text: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    /// How many of them there are.
    count: usize,
    /// Bytes of the input before the row at hand, and before the next.
    start: u64,
    next: u64,
    /// Line feeds before the row at hand ended, and before the one before did.
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

    /// Goes to the next row; false at the end.
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
            let followed = quotes.follow(text.unwrap_or(&bytes[..read]));
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

    /// What a wrong quote in the row at hand says: in the first, that other characters than commas separate fields.
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
            QuoteFault::Behind(_) => "text behind a closing quote",
            QuoteFault::Inside => "a quote within a field without quotes",
            QuoteFault::Open => "a quote that is not closed",
        };
        DataError::Quote { file, line, what }
    }

    /// Number of fields of the row at hand.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The fields of the row at hand.
    pub(super) fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends[..self.count].iter().map(move |&end| {
            let field = &self.text[start..end];
            start = end;
            field
        })
    }

    /// The line, from 1, where the row at hand starts. Counted by reading the input again, as only an error asks for it; 0 if the file
    /// has changed so that it cannot be told.
    pub(super) fn line(&self) -> u64 {
        Stream::open(self.input).ok().and_then(|stream| line_of(stream, self.start)).unwrap_or(0)
    }

    /// Whether blank lines stand before the row at hand, if no field has a line feed in it.
    pub(super) fn follows_a_blank_line(&self) -> bool {
        self.line_feeds[0] > self.line_feeds[1] + 1
    }

    pub(super) fn file_bytes(&self) -> u64 {
        self.stream.get_ref().file_bytes()
    }
}

/// How a text file may begin.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where in a row the bytes stand, for quotes: the parser takes any, and with them rows that follow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    FieldStart,
    /// In a field without quotes.
    Plain,
    /// Between the quotes of a field.
    Within,
    /// Behind a quote in a quoted field, which ends it unless another follows.
    Behind,
}

/// A quote that is not one of a quoted field.
#[derive(Clone, Copy)]
enum QuoteFault {
    /// This byte stands behind a quote that closes a field.
    Behind(u8),
    /// It stands in a field without quotes.
    Inside,
    /// The input ends before it is closed.
    Open,
}

impl Quotes {
    /// Follows bytes; refuses a quote that neither opens nor closes a field, nor is doubled.
    fn follow(&mut self, bytes: &[u8]) -> Result<(), QuoteFault> {
        if matches!(*self, Self::FieldStart | Self::Plain) && !bytes.contains(&b'"') {
            // What is all there is in most tables.
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

/// Makes room for twice as much, up to `most`; false if that is there.
fn grow<T: Copy + Default>(room: &mut Vec<T>, most: usize) -> bool {
    let (found, wanted) = (room.len(), (2 * room.len()).min(most));
    room.resize(wanted, T::default());
    wanted > found
}

/// The line of the first byte from `start` on that is not part of a line's end.
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
