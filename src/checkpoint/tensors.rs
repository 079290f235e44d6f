//! Params from and to the tensors of a safetensors file.

use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::CheckpointError;
use crate::model::Tensor;

/// Reads the flat params of a model with these `tensors` from a safetensors file, whoever wrote it.
///
/// # Errors
///
/// If the file cannot be read, is no whole safetensors file, lacks a tensor or has one too many, or one of them has
/// another shape, another type than F32, or a value that is not finite.
pub fn read_tensors(path: &Path, tensors: &[Tensor]) -> Result<Vec<f32>, CheckpointError> {
    params_of(path, &parse(path, &read(path)?)?, tensors)
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    fs::read(path).map_err(|source| CheckpointError::Read { path: path.to_owned(), source })
}

pub(super) fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<SafeTensors<'a>, CheckpointError> {
    SafeTensors::deserialize(bytes)
        .map_err(|source| CheckpointError::Format { path: path.to_owned(), source })
}

pub(super) fn params_of(
    path: &Path,
    file: &SafeTensors<'_>,
    tensors: &[Tensor],
) -> Result<Vec<f32>, CheckpointError> {
    refuse_others(path, file, tensors)?;
    // Grows with what the file holds: its description is not to be believed before.
    let mut params = Vec::new();
    for tensor in tensors {
        let view = file.tensor(&tensor.name).map_err(|_| CheckpointError::TensorMissing {
            path: path.to_owned(),
            name: tensor.name.clone(),
            found: names(file),
        })?;
        check(path, tensor, &view)?;
        params.extend(values(path, &tensor.name, &view)?);
    }
    Ok(params)
}

/// A tensor that the model lacks would be dropped silently, and the model would not be the one of the file.
fn refuse_others(path: &Path, file: &SafeTensors<'_>, tensors: &[Tensor]) -> Result<(), CheckpointError> {
    let unknown = names(file).into_iter().find(|name| tensors.iter().all(|tensor| tensor.name != *name));
    unknown.map_or(Ok(()), |name| {
        let expected = tensors.iter().map(|tensor| tensor.name.clone()).collect();
        Err(CheckpointError::TensorUnknown { path: path.to_owned(), name, expected })
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

fn values(path: &Path, name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, CheckpointError> {
    let (values, _) = view.data().as_chunks::<4>();
    let values: Vec<f32> = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(index) => Err(CheckpointError::NotFinite {
            path: path.to_owned(),
            name: name.to_owned(),
            index,
            value: values[index],
        }),
    }
}

fn names(file: &SafeTensors<'_>) -> Vec<String> {
    let mut names: Vec<String> = file.names().into_iter().map(str::to_owned).collect();
    names.sort();
    names
}
