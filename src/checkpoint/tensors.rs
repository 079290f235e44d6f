//! Params from and to the tensors of a safetensors file.

use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Checkpoint, CheckpointError, checkpoint_file, tensor_file};
use crate::model::{Model, Tensor};

/// Reads the flat params of a model with these `tensors` from a safetensors file, whoever wrote it. Of a checkpoint only the
/// params are read.
///
/// # Errors
///
/// If the file cannot be read, is no whole safetensors file, lacks a tensor or has one too many, or one of them has
/// another shape, another type than F32, or a value that is not finite.
pub fn read_tensors(path: &Path, tensors: &[Tensor]) -> Result<Vec<f32>, CheckpointError> {
    let bytes = read(path)?;
    let file = parse(path, &bytes)?;
    if description(path, &bytes, checkpoint_file::KEY)?.is_none() {
        return params_of(path, &file, tensors);
    }
    let found = Checkpoint::of_bytes(path, &bytes)?.model().model().tensors();
    refuse_unknown(path, found.iter().map(|tensor| tensor.name.as_str()), tensors)?;
    collected(path, &file, tensors)
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    fs::read(path).map_err(|source| CheckpointError::Read { path: path.to_owned(), source })
}

pub(super) fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<SafeTensors<'a>, CheckpointError> {
    let header =
        bytes.split_first_chunk().and_then(|(len, rest)| rest.get(..u64::from_le_bytes(*len) as usize));
    if header.is_some_and(|header| !tensor_file::is_readable(header)) {
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

fn collected(path: &Path, file: &SafeTensors<'_>, tensors: &[Tensor]) -> Result<Vec<f32>, CheckpointError> {
    let view = |tensor: &Tensor| {
        let view = file.tensor(&tensor.name).map_err(|_| CheckpointError::TensorMissing {
            path: path.to_owned(),
            name: tensor.name.clone(),
            found: names(file),
        })?;
        check(path, tensor, &view).map(|()| view)
    };
    // A description is not to be believed before the file holds all that it says.
    let views = tensors.iter().map(view).collect::<Result<Vec<_>, _>>()?;
    let mut params = Vec::with_capacity(views.iter().map(|view| view.data().len() / 4).sum());
    for (tensor, view) in tensors.iter().zip(&views) {
        append(path, &tensor.name, view, &mut params)?;
    }
    Ok(params)
}

/// A tensor that the model lacks would be dropped silently, and the model would not be the one of the file.
pub(super) fn refuse_others(
    path: &Path,
    file: &SafeTensors<'_>,
    tensors: &[Tensor],
) -> Result<(), CheckpointError> {
    refuse_unknown(path, names(file).iter().map(String::as_str), tensors)
}

fn refuse_unknown<'a>(
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

/// Appends the numbers of a tensor, which must be finite, without a copy on the way.
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

/// Takes a description out of the header of a file that was parsed before, if it is there.
pub(super) fn description(path: &Path, bytes: &[u8], key: &str) -> Result<Option<String>, CheckpointError> {
    let (_, header) = SafeTensors::read_metadata(bytes)
        .map_err(|source| CheckpointError::Format { path: path.to_owned(), source })?;
    Ok(header.metadata().as_ref().and_then(|metadata| metadata.get(key)).cloned())
}

/// Understands a description, the version first: a newer one may have other fields.
pub(super) fn understood<T: DeserializeOwned>(
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
