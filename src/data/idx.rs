//! IDX, the format of MNIST: two zero bytes, an element type, a number of extents, the extents (big endian), the elements.
//!
//! Source: Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits, "File formats".

use std::path::Path;

use super::DataError;
use super::input::Input;
use super::stream::Stream;

const UNSIGNED_BYTE: u8 = 0x08;

/// The content of an IDX file of bytes.
#[derive(Debug)]
pub(super) struct Idx {
    /// Samples first.
    pub extents: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl Idx {
    /// Reads a file with a number of extents in `dimensions`.
    pub fn read(path: &Path, dimensions: std::ops::RangeInclusive<u8>) -> Result<Idx, DataError> {
        let input = Input::of(path)?;
        let mut stream = Stream::open(&input)?;
        let mut magic = [0; 4];
        stream.read_header(&mut magic, 8)?;
        check_magic(&stream.file, magic, dimensions)?;
        let mut raw = vec![0; 4 * usize::from(magic[3])];
        let header_bytes = 4 + raw.len() as u64;
        stream.read_header(&mut raw, header_bytes)?;
        let extents: Vec<u64> = raw.chunks_exact(4).map(big_endian).collect();
        let product = extents.iter().try_fold(1u64, |product, &extent| product.checked_mul(extent));
        let bytes = stream.read_rest(product.unwrap_or(u64::MAX))?;
        if bytes.is_empty() {
            return Err(DataError::Empty { file: stream.file, expected: "sample of at least one byte" });
        }
        Ok(Idx { extents: extents.into_iter().map(|extent| extent as usize).collect(), bytes })
    }
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn check_magic(
    file: &str,
    magic: [u8; 4],
    dimensions: std::ops::RangeInclusive<u8>,
) -> Result<(), DataError> {
    let fault = |byte, part, found, expected| {
        Err(DataError::Header { file: file.to_string(), byte, part, found, expected })
    };
    if magic[..2] != [0, 0] {
        let found = format!("0x{:02x}{:02x}{:02x}{:02x}", magic[0], magic[1], magic[2], magic[3]);
        let expected = format!(
            "0x000008{:02x}, an IDX file of bytes; decompress it if it is packed",
            dimensions.start()
        );
        return fault(0, "magic number", found, expected);
    }
    if magic[2] != UNSIGNED_BYTE {
        let found = format!("0x{:02x}", magic[2]);
        return fault(
            2,
            "element type",
            found,
            "0x08 (unsigned byte); convert the file, or save it as npy".to_string(),
        );
    }
    if !dimensions.contains(&magic[3]) {
        let range = match dimensions.start() == dimensions.end() {
            true => dimensions.start().to_string(),
            false => format!("{} to {}", dimensions.start(), dimensions.end()),
        };
        let expected = format!("{range}; images and labels may be exchanged");
        return fault(3, "number of dimensions", magic[3].to_string(), expected);
    }
    Ok(())
}
