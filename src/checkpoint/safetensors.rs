//! Safetensors files: written piece by piece, without an extra copy of the tensors, and read with
//! full validation.

use std::borrow::Cow;
use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorInfo, TensorView};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::CheckpointError;
use crate::model::Tensor;

/// A tensor to be written.
pub(super) struct TensorEntry<'a> {
    pub(super) tensor: Tensor,
    dtype: Dtype,
    pieces: Vec<Cow<'a, [u8]>>,
}

impl<'a> TensorEntry<'a> {
    /// Creates a tensor of numbers stored in several slices.
    pub(super) fn of_f32(tensor: Tensor, pieces: Vec<&'a [f32]>) -> Self {
        Self { tensor, dtype: Dtype::F32, pieces: pieces.into_iter().map(f32_bytes).collect() }
    }

    /// Creates a one-dimensional tensor.
    pub(super) fn of_f64(name: &str, values: &[f64]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let tensor = Tensor::new(name, &[values.len()]);
        Self { tensor, dtype: Dtype::F64, pieces: vec![Cow::Owned(bytes)] }
    }

    /// Returns the CRC32C of its bytes.
    pub(super) fn crc32c(&self) -> u32 {
        self.pieces.iter().fold(0, |crc, piece| crc32c::crc32c_append(crc, piece))
    }

    fn len_bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.len()).sum()
    }
}

/// Writes a file with these tensors, in this order, and one entry of metadata.
pub(super) fn write(
    out: &mut impl Write,
    entries: &[TensorEntry<'_>],
    key: &str,
    text: String,
) -> io::Result<()> {
    let mut end = 0;
    let infos = entries.iter().map(|entry| {
        let start = end;
        end += entry.len_bytes();
        let (name, shape) = (entry.tensor.name.clone(), entry.tensor.shape.clone());
        (name, TensorInfo { dtype: entry.dtype, shape, data_offsets: (start, end) })
    });
    let metadata = Metadata::new(Some([(key.to_owned(), text)].into_iter().collect()), infos.collect())
        .expect("the length of a tensor's slices matches its shape");
    let mut header = serde_json::to_vec(&metadata)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    if !is_readable(&header) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many tensors for one file"));
    }
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    entries.iter().flat_map(|entry| &entry.pieces).try_for_each(|piece| out.write_all(piece))
}

/// The limits on the bytes of a header and on the quotes in it: a tensor has ten quotes, an entry
/// of the metadata four, the name of a class two.
const MAX_HEADER: usize = 8 << 20;

const MAX_QUOTES: usize = 160_000;

/// Returns whether a header is within the limits for reading and writing. An entry takes many times
/// more bytes in memory than in the file, so the number of entries is limited before parsing.
fn is_readable(header: &[u8]) -> bool {
    header.len() <= MAX_HEADER && header.iter().filter(|&&byte| byte == b'"').count() <= MAX_QUOTES
}

/// Returns the parts of consecutive slices that are in a range.
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

/// Returns the numbers in the file's byte order, little-endian; without a copy on little-endian
/// machines.
pub(super) fn f32_bytes(values: &[f32]) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        Cow::Borrowed(bytemuck::cast_slice(values))
    } else {
        Cow::Owned(values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    fs::read(path).map_err(|source| CheckpointError::Read { path: path.to_owned(), source })
}

pub(super) fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<SafeTensors<'a>, CheckpointError> {
    let header =
        bytes.split_first_chunk().and_then(|(len, rest)| rest.get(..u64::from_le_bytes(*len) as usize));
    if header.is_some_and(|header| !is_readable(header)) {
        return Err(CheckpointError::Header { path: path.to_owned() });
    }
    SafeTensors::deserialize(bytes)
        .map_err(|source| CheckpointError::Format { path: path.to_owned(), source })
}

pub(super) fn params_of(
    path: &Path,
    file: &SafeTensors<'_>,
    tensors: &[Tensor],
) -> Result<Vec<f32>, CheckpointError> {
    refuse_others(path, file, tensors)?;
    collected(path, file, tensors)
}

pub(super) fn collected(
    path: &Path,
    file: &SafeTensors<'_>,
    tensors: &[Tensor],
) -> Result<Vec<f32>, CheckpointError> {
    // Do not trust the description before all tensors have been found in the file.
    let views = views(path, file, tensors)?;
    let mut params = Vec::with_capacity(views.iter().map(|view| view.data().len() / 4).sum());
    for (tensor, view) in tensors.iter().zip(&views) {
        append(path, &tensor.name, view, &mut params)?;
    }
    Ok(params)
}

/// Returns the tensors of the file, which must exist with these shapes, in F32.
pub(super) fn views<'f>(
    path: &Path,
    file: &SafeTensors<'f>,
    tensors: &[Tensor],
) -> Result<Vec<TensorView<'f>>, CheckpointError> {
    let view = |tensor: &Tensor| {
        let view = file.tensor(&tensor.name).map_err(|_| CheckpointError::TensorMissing {
            path: path.to_owned(),
            name: tensor.name.clone(),
            found: names(file),
        })?;
        check(path, tensor, &view).map(|()| view)
    };
    tensors.iter().map(view).collect()
}

/// Refuses a file with a tensor that the model does not have, since ignoring it would give a
/// different model from that in the file.
pub(super) fn refuse_others(
    path: &Path,
    file: &SafeTensors<'_>,
    tensors: &[Tensor],
) -> Result<(), CheckpointError> {
    refuse_unknown(path, names(file).iter().map(String::as_str), tensors)
}

pub(super) fn refuse_unknown<'a>(
    path: &Path,
    mut found: impl Iterator<Item = &'a str>,
    tensors: &[Tensor],
) -> Result<(), CheckpointError> {
    let unknown = found.find(|name| tensors.iter().all(|tensor| tensor.name != *name));
    unknown.map_or(Ok(()), |name| {
        let expected = tensors.iter().map(|tensor| tensor.name.clone()).collect();
        Err(CheckpointError::TensorUnknown { path: path.to_owned(), name: name.to_owned(), expected })
    })
}

fn check(path: &Path, tensor: &Tensor, view: &TensorView<'_>) -> Result<(), CheckpointError> {
    if view.dtype() != Dtype::F32 {
        let found = format!("{:?}", view.dtype());
        return Err(CheckpointError::TensorType { path: path.to_owned(), name: tensor.name.clone(), found });
    }
    if view.shape() != tensor.shape {
        return Err(CheckpointError::TensorShape {
            path: path.to_owned(),
            name: tensor.name.clone(),
            found: view.shape().to_vec(),
            expected: tensor.shape.clone(),
        });
    }
    Ok(())
}

/// Appends the numbers of a tensor, which must be finite, without an intermediate copy.
pub(super) fn append(
    path: &Path,
    name: &str,
    view: &TensorView<'_>,
    params: &mut Vec<f32>,
) -> Result<(), CheckpointError> {
    let start = params.len();
    params.extend(view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
    match params[start..].iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(CheckpointError::NotFinite {
            path: path.to_owned(),
            name: name.to_owned(),
            index,
            value: params[start + index],
        }),
    }
}

/// Returns the description in the header of an already parsed file, if it has one.
pub(super) fn description(path: &Path, bytes: &[u8], key: &str) -> Result<Option<String>, CheckpointError> {
    let (_, header) = SafeTensors::read_metadata(bytes)
        .map_err(|source| CheckpointError::Format { path: path.to_owned(), source })?;
    Ok(header.metadata().as_ref().and_then(|metadata| metadata.get(key)).cloned())
}

/// Parses a description, the version first, because newer versions may have other fields.
pub(super) fn parse_description<T: DeserializeOwned>(
    path: &Path,
    text: &str,
    newest: u32,
) -> Result<T, CheckpointError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let unclear = |source| CheckpointError::Description { path: path.to_owned(), source };
    match serde_json::from_str(text).map_err(unclear)? {
        Versioned { version } if (1..=newest).contains(&version) => {
            serde_json::from_str(text).map_err(unclear)
        }
        Versioned { version: found } => {
            Err(CheckpointError::Version { path: path.to_owned(), found, newest })
        }
    }
}

fn names(file: &SafeTensors<'_>) -> Vec<String> {
    let mut names: Vec<String> = file.names().into_iter().map(str::to_owned).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_safetensors_crate_reads_tensors_written_in_slices() {
        let pieces: [&[f32]; 4] = [&[1.0, 2.0], &[], &[3.0], &[4.0, 5.0, 6.0]];
        let flat = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        for (start, end) in (0..=6).flat_map(|start| (start..=6).map(move |end| (start, end))) {
            let tensor = Tensor::new("a", &[end - start]);
            let entries = [
                TensorEntry::of_f64("b", &[0.5; 3]),
                TensorEntry::of_f32(tensor, cut(pieces.into_iter(), &(start..end))),
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

    /// Test vectors of RFC 3720, B.4: 32 bytes of zeros, of ones, and ascending.
    #[test]
    fn the_checksum_matches_the_standard() {
        let ascending: Vec<u8> = (0..32).collect();
        for (bytes, expected) in
            [(vec![0; 32], 0x8a91_36aa), (vec![0xff; 32], 0x62a8_ab43), (ascending, 0x46dd_794e)]
        {
            assert_eq!(crc32c::crc32c(&bytes), expected);
        }
    }
}
