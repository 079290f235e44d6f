//! What is in a safetensors file, whoever wrote it.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

use super::model_file::KEY;
use super::tensors::{parse, read};
use super::{CheckpointError, ModelFile, params_sha256};
use crate::model::Model;

/// What [`summarize`] finds.
#[derive(Clone, Debug)]
pub struct FileSummary {
    /// The file that was read.
    pub path: PathBuf,
    /// Its size.
    pub len_bytes: u64,
    /// Its tensors: those of a described model in the order of its params, others by name.
    pub tensors: Vec<TensorSummary>,
    /// The whole model, if the file describes one.
    pub model: Option<ModelFile>,
    /// [`params_sha256`] of that model.
    pub params_sha256: Option<String>,
}

/// One tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSummary {
    /// Its name.
    pub name: String,
    /// Its shape, outermost first.
    pub shape: Vec<usize>,
    /// Its element type, as safetensors names it.
    pub element: String,
}

/// Says what is in a file, or in `model.safetensors` of a run directory.
///
/// # Errors
///
/// If the file cannot be read or is no whole safetensors file, or describes a model that it does not hold.
pub fn summarize(path: &Path) -> Result<FileSummary, CheckpointError> {
    let path = if path.is_dir() { path.join("model.safetensors") } else { path.to_owned() };
    let bytes = read(&path)?;
    let tensors = parse(&path, &bytes)?.tensors().into_iter().map(|(name, view)| TensorSummary {
        name,
        shape: view.shape().to_vec(),
        element: format!("{:?}", view.dtype()),
    });
    let mut tensors: Vec<TensorSummary> = tensors.collect();
    let model = if describes_a_model(&bytes) { Some(ModelFile::load(&path)?) } else { None };
    match &model {
        Some(model) => {
            let order: Vec<String> = model.model().tensors().into_iter().map(|tensor| tensor.name).collect();
            tensors.sort_by_key(|tensor| order.iter().position(|name| *name == tensor.name));
        }
        None => tensors.sort_by(|a, b| a.name.cmp(&b.name)),
    }
    let params_sha256 = model.as_ref().map(|model| params_sha256(&model.params));
    Ok(FileSummary { path, len_bytes: bytes.len() as u64, tensors, model, params_sha256 })
}

fn describes_a_model(bytes: &[u8]) -> bool {
    let header = SafeTensors::read_metadata(bytes);
    header.is_ok_and(|(_, header)| {
        header.metadata().as_ref().is_some_and(|metadata| metadata.contains_key(KEY))
    })
}
