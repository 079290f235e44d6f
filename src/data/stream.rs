//! The bytes of an input, plain or gzip, which a reader can read repeatedly from the beginning;
//! declared lengths are checked before they are trusted.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::error::DataError;

/// The first bytes of a gzip file (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The maximum number of bytes of a stream: they are held in memory, and a stream may be endless.
pub(super) const MAX_HELD_BYTES: u64 = 1 << 30;

/// The number of bytes that are read from a stream at a time.
const BLOCK_BYTES: usize = 1 << 16;

/// A file, or a stream whose bytes can be read only once.
///
/// Tables are read more than once: to count the memory they need, and to find the line of an error.
/// A pipe yields its bytes only once, so they are read as needed and held in memory until reading
/// ends.
#[derive(Debug)]
pub(super) enum Input {
    File(PathBuf),
    Stream { name: String, held: RefCell<StreamBuffer> },
}

/// The bytes that have been read from a stream so far.
pub(super) struct StreamBuffer {
    bytes: Vec<u8>,
    /// The rest of the stream; `None` after its end.
    rest: Option<Box<dyn Read>>,
}

impl fmt::Debug for StreamBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamBuffer({} bytes)", self.bytes.len())
    }
}

impl StreamBuffer {
    /// Reads from the stream until `len` bytes are held; returns false if the stream ends earlier.
    fn fill(&mut self, len: u64) -> io::Result<bool> {
        while (self.bytes.len() as u64) < len {
            let Some(rest) = &mut self.rest else { return Ok(false) };
            if self.bytes.len() as u64 >= MAX_HELD_BYTES {
                return Err(io::Error::other(StreamTooLong));
            }
            let start = self.bytes.len();
            self.bytes.try_reserve(BLOCK_BYTES).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
            self.bytes.resize(start + BLOCK_BYTES, 0);
            let read = rest.read(&mut self.bytes[start..]);
            self.bytes.truncate(start + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => self.rest = None,
                Err(cause) if cause.kind() != io::ErrorKind::Interrupted => return Err(cause),
                _ => {}
            }
        }
        Ok(true)
    }
}

/// The error of a stream that is too long, wrapped in an `io::Error`.
#[derive(Debug, thiserror::Error)]
#[error("the stream is too long")]
pub(super) struct StreamTooLong;

/// Reads a stream from its beginning, part of which may already be held.
pub(super) struct StreamReader<'a> {
    held: &'a RefCell<StreamBuffer>,
    at: usize,
}

impl<'a> StreamReader<'a> {
    pub fn new(held: &'a RefCell<StreamBuffer>) -> Self {
        Self { held, at: 0 }
    }
}

impl Read for StreamReader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut held = self.held.borrow_mut();
        held.fill(self.at as u64 + 1)?;
        let count = held.bytes.len().saturating_sub(self.at).min(bytes.len());
        bytes[..count].copy_from_slice(&held.bytes[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

impl Input {
    /// Opens the file at a path. A pipe or a device at that path is treated as a stream.
    pub fn of(path: &Path) -> Result<Input, DataError> {
        let name = path.display().to_string();
        match path.metadata() {
            Ok(found) if !found.is_file() && !found.is_dir() => {
                let file = File::open(path).map_err(|cause| DataError::Io { file: name.clone(), cause })?;
                Ok(Input::stream(name, file))
            }
            // Missing files and folders are reported when the file is opened.
            _ => Ok(Input::File(path.to_path_buf())),
        }
    }

    /// Returns standard input as an input.
    pub fn stdin() -> Input {
        Input::stream("stdin".to_string(), io::stdin())
    }

    fn stream(name: String, reader: impl Read + 'static) -> Input {
        Input::Stream {
            name,
            held: RefCell::new(StreamBuffer { bytes: Vec::new(), rest: Some(Box::new(reader)) }),
        }
    }

    /// Returns the name of the input, for messages.
    pub fn name(&self) -> String {
        match self {
            Input::File(path) => path.display().to_string(),
            Input::Stream { name, .. } => name.clone(),
        }
    }

    /// Returns whether the input is compressed with gzip, judging by its first bytes or its
    /// extension.
    pub fn is_gzip(&self) -> io::Result<bool> {
        match self {
            Input::File(path) if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz")) => {
                Ok(true)
            }
            _ => Ok(self.beginning(GZIP_MAGIC.len() as u64)? == GZIP_MAGIC),
        }
    }

    /// Returns the first `count` bytes, or fewer if the input is shorter.
    pub fn beginning(&self, count: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self {
            Input::File(path) => File::open(path)?.take(count).read_to_end(&mut bytes)?,
            Input::Stream { held, .. } => StreamReader::new(held).take(count).read_to_end(&mut bytes)?,
        };
        Ok(bytes)
    }
}

/// The size of an input in bytes, before decompression.
pub(super) enum Size<'a> {
    Known(u64),
    Held(&'a RefCell<StreamBuffer>),
}

impl Size<'_> {
    /// Returns the size of a file, or the number of bytes read so far from a stream.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Known(bytes) => *bytes,
            Self::Held(held) => held.borrow().bytes.len() as u64,
        }
    }

    /// Returns whether the input ends after `len` bytes; a stream is read up to there.
    pub fn is(&self, len: u64) -> io::Result<bool> {
        match self {
            Self::Known(bytes) => Ok(*bytes == len),
            Self::Held(held) => {
                let is_longer = held.borrow_mut().fill(len.saturating_add(1))?;
                Ok(!is_longer && self.bytes() == len)
            }
        }
    }

    /// Returns whether the total size is known.
    pub fn is_known(&self) -> bool {
        match self {
            Self::Known(_) => true,
            Self::Held(held) => held.borrow().rest.is_none(),
        }
    }
}

/// Deflate cannot compress more than 1032 bytes into one (a 258-byte match in two bits).
const DEFLATE_LIMIT: u64 = 1032;

/// A file that decompresses to this many bytes or more is rejected if they exceed `BOMB_RATIO`
/// times its size. MNIST's images decompress to 5 times their size; content must be almost constant
/// to reach a quarter of deflate's limit.
const BOMB_BYTES: u64 = 64 << 20;

const BOMB_RATIO: u64 = 256;

/// The step by which a buffer for decompressed bytes grows. Growth by doubling could take three
/// times the size of the content while the buffer moves; growth by a step takes at most twice the
/// size plus one step.
const STEP: u64 = 8 << 20;

/// The raw bytes of the input, not decompressed.
type ByteReader<'a> = Box<dyn BufRead + 'a>;

enum Inner<'a> {
    Plain(ByteReader<'a>),
    Gzip(Box<MultiGzDecoder<ByteReader<'a>>>),
}

/// An input that is read from front to back, and decompressed if necessary.
pub(super) struct Stream<'a> {
    /// The name of the input, for messages.
    pub file: String,
    /// The size of the input in bytes, before decompression.
    size: Size<'a>,
    /// The number of decompressed bytes returned so far.
    pub read_bytes: u64,
    inner: Inner<'a>,
}

impl<'a> Stream<'a> {
    pub fn open(input: &'a Input) -> Result<Stream<'a>, DataError> {
        let (raw, size): (ByteReader<'a>, Size<'a>) = match input {
            Input::File(path) => open_file(path)?,
            Input::Stream { held, .. } => {
                (Box::new(BufReader::new(StreamReader::new(held))), Size::Held(held))
            }
        };
        let inner = match input.is_gzip().map_err(|cause| fault(&input.name(), cause))? {
            true => Inner::Gzip(Box::new(MultiGzDecoder::new(raw))),
            false => Inner::Plain(raw),
        };
        Ok(Stream { file: input.name(), size, read_bytes: 0, inner })
    }

    /// Returns the size of a file in bytes, before decompression, or the number of bytes read so
    /// far from a stream.
    pub fn file_bytes(&self) -> u64 {
        self.size.bytes()
    }

    /// Counts the occurrences of a byte in an uncompressed input. Returns `None` for a compressed
    /// input, which would have to be decompressed twice, and for a stream that has not ended, as it
    /// may be endless.
    ///
    /// With the count, memory can be reserved once: vectors that grow by doubling take three times
    /// the size of their content while they move.
    pub fn count(input: &Input, wanted: u8) -> Result<Option<usize>, DataError> {
        let mut stream = Stream::open(input)?;
        if matches!(stream.inner, Inner::Gzip(_)) || !stream.size.is_known() {
            return Ok(None);
        }
        let (mut block, mut count) = ([0; 1 << 14], 0);
        loop {
            match stream.read(&mut block).map_err(|cause| stream.error(cause))? {
                0 => return Ok(Some(count)),
                more => count += block[..more].iter().filter(|&&byte| byte == wanted).count(),
            }
        }
    }

    /// Converts an error of reading from this stream.
    pub fn error(&self, cause: io::Error) -> DataError {
        let file = self.file.clone();
        if cause.get_ref().is_some_and(|inner| inner.is::<GzipBomb>()) {
            return DataError::GzipBomb {
                file,
                compressed: self.file_bytes(),
                decompressed: self.read_bytes,
            };
        }
        let damaged = [io::ErrorKind::InvalidInput, io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof];
        match &self.inner {
            Inner::Gzip(_) if damaged.contains(&cause.kind()) => {
                DataError::Gzip { file, decompressed: self.read_bytes, cause: cause.to_string() }
            }
            _ => fault(&file, cause),
        }
    }

    /// Fills `bytes`, part of a header that declares a file of at least `promised` bytes.
    pub fn read_header(&mut self, bytes: &mut [u8], promised: u64) -> Result<(), DataError> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read(&mut bytes[filled..]).map_err(|cause| self.error(cause))? {
                0 => return Err(self.length(self.read_bytes, promised, false)),
                more => filled += more,
            }
        }
        Ok(())
    }

    /// Rejects a header that declares `rest` more bytes if the file cannot hold them.
    pub fn check_promise(&self, rest: u64) -> Result<(), DataError> {
        let promised = self.read_bytes.saturating_add(rest);
        match &self.inner {
            Inner::Plain(_) if !self.size.is(promised).map_err(|cause| self.error(cause))? => {
                let found = self.file_bytes();
                Err(self.length(found, promised, found > promised))
            }
            Inner::Gzip(_) if self.size.is_known() && promised / DEFLATE_LIMIT > self.file_bytes() => {
                Err(DataError::PackedLength {
                    file: self.file.clone(),
                    compressed: self.file_bytes(),
                    possible: self.file_bytes().saturating_mul(DEFLATE_LIMIT),
                    expected: promised,
                })
            }
            _ => Ok(()),
        }
    }

    /// Reads exactly `rest` bytes, which must be the rest of the file.
    pub fn read_rest(&mut self, rest: u64) -> Result<Vec<u8>, DataError> {
        self.check_promise(rest)?;
        let promised = self.read_bytes + rest;
        let step = if matches!(self.inner, Inner::Plain(_)) { rest } else { STEP };
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < rest {
            let more = step.min(rest - bytes.len() as u64);
            bytes.reserve_exact(more as usize);
            let got = self.by_ref().take(more).read_to_end(&mut bytes);
            if (got.map_err(|cause| self.error(cause))? as u64) < more {
                return Err(self.length(self.read_bytes, promised, false));
            }
        }
        self.expect_end(promised)?;
        Ok(bytes)
    }

    /// Rejects bytes past the end that the header declares.
    pub fn expect_end(&mut self, promised: u64) -> Result<(), DataError> {
        match self.read(&mut [0]).map_err(|cause| self.error(cause))? {
            0 => Ok(()),
            _ => Err(self.length(self.read_bytes, promised, true)),
        }
    }

    fn length(&self, found: u64, expected: u64, more: bool) -> DataError {
        DataError::Length { file: self.file.clone(), found, expected, more }
    }
}

/// Converts an error of the operating system about a file, or an error found in a stream.
fn fault(file: &str, cause: io::Error) -> DataError {
    let file = file.to_owned();
    match cause.kind() {
        io::ErrorKind::NotFound => DataError::Missing { path: file },
        _ if cause.get_ref().is_some_and(|inner| inner.is::<StreamTooLong>()) => {
            DataError::LongStream { file, most: MAX_HELD_BYTES }
        }
        _ => DataError::Io { file, cause },
    }
}

/// Opens a file; returns its reader and its size in bytes.
fn open_file<'a>(path: &Path) -> Result<(ByteReader<'a>, Size<'a>), DataError> {
    let fault = |cause: io::Error| fault(&path.display().to_string(), cause);
    let opened = File::open(path).map_err(fault)?;
    let metadata = opened.metadata().map_err(fault)?;
    if metadata.is_dir() {
        return Err(fault(io::ErrorKind::IsADirectory.into()));
    }
    Ok((Box::new(BufReader::with_capacity(1 << 16, opened)), Size::Known(metadata.len())))
}

impl Read for Stream<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.inner {
            Inner::Plain(reader) => reader.read(bytes)?,
            Inner::Gzip(decoder) => decoder.read(bytes)?,
        };
        self.read_bytes += count as u64;
        let limit = self.file_bytes().saturating_mul(BOMB_RATIO).max(BOMB_BYTES);
        match &self.inner {
            Inner::Gzip(_) if self.read_bytes > limit => Err(io::Error::other(GzipBomb)),
            _ => Ok(count),
        }
    }
}

/// Rejects an input that is not text, or whose beginning shows that it is neither a table nor
/// libsvm lines.
pub(super) fn check_is_text(input: &Input) -> Result<(), DataError> {
    const TO_CSV: &str = "save it as CSV";
    const UNPACK: &str = "decompress it first, or compress it with gzip";
    let kinds: [(&[u8], &str, &str); 19] = [
        (b"\xff\xfe", "UTF-16 text", "save it as UTF-8"),
        (b"\xfe\xff", "UTF-16 text", "save it as UTF-8"),
        (b"PK\x03\x04", "a zip archive (such as .xlsx)", "unpack it, or save the sheet as CSV"),
        (b"\xd0\xcf\x11\xe0", "an Office document (such as .xls)", "save the sheet as CSV"),
        (b"\x28\xb5\x2f\xfd", "compressed with zstd", UNPACK),
        (b"BZh", "compressed with bzip2", UNPACK),
        (b"\xfd7zXZ", "compressed with xz", UNPACK),
        (b"\x93NUMPY", "a numpy array", "name it X.npy, or pass --input-format npy"),
        (b"PAR1", "a Parquet file", TO_CSV),
        (b"ARROW1", "an Arrow file", TO_CSV),
        (b"\x89HDF", "an HDF5 file", "save it as CSV or npy"),
        (b"SQLite format 3", "an SQLite database", TO_CSV),
        (b"%PDF", "a PDF document", TO_CSV),
        (b"\x89PNG", "a PNG image", "save the pixels of all images as npy"),
        (b"<!DOCTYPE", "a web page", "download the file itself"),
        (b"<html", "a web page", "download the file itself"),
        (b"@relation", "an ARFF file", TO_CSV),
        (b"@RELATION", "an ARFF file", TO_CSV),
        (b"sep=", "a table with an Excel line, sep=, before its column names", "remove that line"),
    ];
    let file = || input.name();
    let beginning = input.beginning(16).map_err(|cause| fault(&file(), cause))?;
    let expected = "text, plain or compressed with gzip";
    if let Some((_, found, remedy)) = kinds.iter().find(|(magic, ..)| beginning.starts_with(magic)) {
        return Err(DataError::Foreign { file: file(), found, expected, remedy });
    }
    match beginning.contains(&0) && !input.is_gzip().map_err(|cause| fault(&file(), cause))? {
        true => Err(DataError::Foreign {
            file: file(),
            found: "binary data, or UTF-16 text",
            expected,
            remedy: "save it as UTF-8 text",
        }),
        false => Ok(()),
    }
}

/// The error of a gzip bomb, wrapped in an `io::Error`, the only error type that users of a reader
/// pass on.
#[derive(Debug, thiserror::Error)]
#[error("gzip bomb")]
struct GzipBomb;
