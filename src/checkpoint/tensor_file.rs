//! Safetensors written piece by piece, so that what is saved is not copied once more.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Write};
use std::ops::Range;

use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use crate::model::Tensor;

/// A tensor to be written.
pub(super) struct Entry<'a> {
    pub(super) tensor: Tensor,
    dtype: Dtype,
    pieces: Vec<Cow<'a, [u8]>>,
}

impl<'a> Entry<'a> {
    /// Of numbers that lie in pieces.
    pub(super) fn of_f32(tensor: Tensor, pieces: Vec<&'a [f32]>) -> Self {
        Self { tensor, dtype: Dtype::F32, pieces: pieces.into_iter().map(f32_bytes).collect() }
    }

    /// A vector of numbers.
    pub(super) fn of_f64(name: &str, values: &[f64]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let tensor = Tensor::new(name, &[values.len()]);
        Self { tensor, dtype: Dtype::F64, pieces: vec![Cow::Owned(bytes)] }
    }

    /// CRC32C of its bytes.
    pub(super) fn crc32c(&self) -> u32 {
        self.pieces.iter().fold(0, |crc, piece| crc32c::crc32c_append(crc, piece))
    }

    fn len_bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.len()).sum()
    }
}

/// Writes a whole file of these tensors, in this order, with one entry in its metadata.
pub(super) fn write(out: &mut impl Write, entries: &[Entry<'_>], key: &str, text: String) -> io::Result<()> {
    let mut end = 0;
    let infos = entries.iter().map(|entry| {
        let start = end;
        end += entry.len_bytes();
        let (name, shape) = (entry.tensor.name.clone(), entry.tensor.shape.clone());
        (name, TensorInfo { dtype: entry.dtype, shape, data_offsets: (start, end) })
    });
    let metadata = Metadata::new(Some(HashMap::from([(key.to_owned(), text)])), infos.collect())
        .expect("the pieces of a tensor are as long as its shape says");
    let mut header = serde_json::to_vec(&metadata)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    if !is_readable(&header) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "there are too many tensors for one file"));
    }
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    entries.iter().flat_map(|entry| &entry.pieces).try_for_each(|piece| out.write_all(piece))
}

/// Most bytes of a header, and most quotes in it: a tensor has ten, an entry of the metadata four, the name of a class two.
const MAX_HEADER: usize = 8 << 20;
const MAX_QUOTES: usize = 160_000;

/// Whether a header is one that this room reads and writes. In memory an entry takes many times its bytes in the file, so their number is
/// bounded before they are parsed.
pub(super) fn is_readable(header: &[u8]) -> bool {
    header.len() <= MAX_HEADER && header.iter().filter(|&&byte| byte == b'"').count() <= MAX_QUOTES
}

/// What of a range lies in each of the pieces that follow one another.
pub(super) fn cut<'a>(pieces: impl Iterator<Item = &'a [f32]>, range: &Range<usize>) -> Vec<&'a [f32]> {
    let mut start = 0;
    let within = pieces.map(|piece| {
        let own = start..start + piece.len();
        start = own.end;
        let (from, to) = (range.start.clamp(own.start, own.end), range.end.clamp(own.start, own.end));
        &piece[from - own.start..to - own.start]
    });
    within.filter(|piece| !piece.is_empty()).collect()
}

/// The numbers as a file has them, little-endian: where memory has them the same way, without a copy.
fn f32_bytes(values: &[f32]) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        Cow::Borrowed(bytemuck::cast_slice(values))
    } else {
        Cow::Owned(values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;

    #[test]
    fn the_crate_reads_back_what_was_written_in_pieces() {
        let pieces: [&[f32]; 4] = [&[1.0, 2.0], &[], &[3.0], &[4.0, 5.0, 6.0]];
        let flat = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        for (start, end) in (0..=6).flat_map(|start| (start..=6).map(move |end| (start, end))) {
            let tensor = Tensor::new("a", &[end - start]);
            let entries = [
                Entry::of_f64("b", &[0.5; 3]),
                Entry::of_f32(tensor, cut(pieces.into_iter(), &(start..end))),
            ];
            let mut bytes = Vec::new();
            write(&mut bytes, &entries, "key", "text".to_owned()).unwrap();
            let file = SafeTensors::deserialize(&bytes).unwrap();
            let expected: Vec<u8> = flat[start..end].iter().flat_map(|x: &f32| x.to_le_bytes()).collect();
            assert_eq!(file.tensor("a").unwrap().data(), expected);
            assert_eq!(entries[1].crc32c(), crc32c::crc32c(&expected));
            assert_eq!(file.tensor("b").unwrap().data(), [0.5_f64.to_le_bytes(); 3].concat());
        }
    }

    /// RFC 3720, B.4: 32 bytes of zeros, of ones, and ascending.
    #[test]
    fn the_checksum_is_that_of_the_standard() {
        let ascending: Vec<u8> = (0..32).collect();
        for (bytes, expected) in
            [(vec![0; 32], 0x8a91_36aa), (vec![0xff; 32], 0x62a8_ab43), (ascending, 0x46dd_794e)]
        {
            assert_eq!(crc32c::crc32c(&bytes), expected);
        }
    }
}
