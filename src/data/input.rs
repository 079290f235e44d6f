//! What a reader reads, from its beginning and as often as it likes.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::DataError;

/// How a gzip file begins (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Most bytes of a stream: they are held in memory, and a stream may have no end.
pub(super) const MAX_HELD_BYTES: u64 = 1 << 30;
/// Bytes that are taken from a stream at once.
const BLOCK_BYTES: usize = 1 << 16;

/// A file, or bytes that came from where they cannot be had twice.
///
/// Tables are read more than once: to count what room they need, and to find the line of a fault. A pipe gives its bytes once;
/// they are taken as they are needed, and held for as long as they are read.
#[derive(Debug)]
pub(super) enum Input {
    File(PathBuf),
    Stream { name: String, held: RefCell<Held> },
}

/// What was taken from a stream so far.
pub(super) struct Held {
    bytes: Vec<u8>,
    /// What else there may be; none after its end.
    rest: Option<Box<dyn Read>>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held({} bytes)", self.bytes.len())
    }
}

impl Held {
    /// Takes bytes from the stream until `len` are held; returns false if it ends before.
    fn fill(&mut self, len: u64) -> io::Result<bool> {
        while (self.bytes.len() as u64) < len {
            let Some(rest) = &mut self.rest else { return Ok(false) };
            if self.bytes.len() as u64 >= MAX_HELD_BYTES {
                return Err(io::Error::other(LongStream));
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

/// Carries the finding through `io::Error`.
#[derive(Debug, thiserror::Error)]
#[error("the stream is too long")]
pub(super) struct LongStream;

/// Reads a stream from its beginning, of which some is held already.
pub(super) struct HeldReader<'a> {
    held: &'a RefCell<Held>,
    at: usize,
}

impl<'a> HeldReader<'a> {
    pub fn new(held: &'a RefCell<Held>) -> Self {
        Self { held, at: 0 }
    }
}

impl Read for HeldReader<'_> {
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
    /// The file at a path. A pipe or a device that is named as a file is a stream.
    pub fn of(path: &Path) -> Result<Input, DataError> {
        let name = path.display().to_string();
        match path.metadata() {
            Ok(found) if !found.is_file() && !found.is_dir() => {
                let file = File::open(path).map_err(|cause| DataError::Io { file: name.clone(), cause })?;
                Ok(Input::stream(name, file))
            }
            // What is missing, or a folder, is told when it is opened.
            _ => Ok(Input::File(path.to_path_buf())),
        }
    }

    /// Standard input.
    pub fn stdin() -> Input {
        Input::stream("stdin".to_string(), io::stdin())
    }

    fn stream(name: String, reader: impl Read + 'static) -> Input {
        Input::Stream { name, held: RefCell::new(Held { bytes: Vec::new(), rest: Some(Box::new(reader)) }) }
    }

    /// What it is called in messages.
    pub fn name(&self) -> String {
        match self {
            Input::File(path) => path.display().to_string(),
            Input::Stream { name, .. } => name.clone(),
        }
    }

    /// Whether it is packed, by how it begins; a file whose ending says so should be.
    pub fn is_gzip(&self) -> io::Result<bool> {
        match self {
            Input::File(path) if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz")) => {
                Ok(true)
            }
            _ => Ok(self.beginning(GZIP_MAGIC.len() as u64)? == GZIP_MAGIC),
        }
    }

    /// The first bytes, fewer if there are no more.
    pub fn beginning(&self, count: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self {
            Input::File(path) => File::open(path)?.take(count).read_to_end(&mut bytes)?,
            Input::Stream { held, .. } => HeldReader::new(held).take(count).read_to_end(&mut bytes)?,
        };
        Ok(bytes)
    }
}

/// How many bytes an input has as it lies there.
pub(super) enum Size<'a> {
    Known(u64),
    Held(&'a RefCell<Held>),
}

impl Size<'_> {
    /// All of a file; of a stream what was taken from it so far.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Known(bytes) => *bytes,
            Self::Held(held) => held.borrow().bytes.len() as u64,
        }
    }

    /// Whether the input ends after `len` bytes; a stream is read that far.
    pub fn is(&self, len: u64) -> io::Result<bool> {
        match self {
            Self::Known(bytes) => Ok(*bytes == len),
            Self::Held(held) => {
                let is_longer = held.borrow_mut().fill(len.saturating_add(1))?;
                Ok(!is_longer && self.bytes() == len)
            }
        }
    }

    /// Whether all of the input is known to be there.
    pub fn is_known(&self) -> bool {
        match self {
            Self::Known(_) => true,
            Self::Held(held) => held.borrow().rest.is_none(),
        }
    }
}
