//! What is in a safetensors file, whoever wrote it.

use std::path::{Path, PathBuf};

use super::tensors::{description, parse, read};
use super::{Checkpoint, CheckpointError, ModelFile, checkpoint_file, model_file, params_sha256};
use crate::model::Model;
use crate::train::Position;

/// What [`summarize`] finds.
#[derive(Clone, Debug)]
pub struct FileSummary {
    /// The file that was read.
    pub path: PathBuf,
    /// Its size.
    pub len_bytes: u64,
    /// Its tensors: those of a described model in the order of its params, then others by name.
    pub tensors: Vec<TensorSummary>,
    /// The whole model, if the file describes one.
    pub model: Option<ModelFile>,
    /// Where the run stands, if the file is a checkpoint.
    pub position: Option<Position>,
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
///
/// # Examples
///
/// ```
/// use phalanx::checkpoint::{FileSummary, ModelFile, TensorSummary, read_tensors, summarize, write_whole};
/// use phalanx::model::{Activation, Loss, Mlp, MlpShape, Model};
///
/// let (hidden, activation, loss) = (vec![], Activation::Relu, Loss::Mse);
/// let shape = MlpShape { inputs: 3, hidden, outputs: 1, activation, loss };
/// let model = Mlp::new(shape.clone());
/// let params = model.initial_params(42);
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("model.safetensors");
/// let (standardize, standardize_targets, classes, options, train, test, data) = Default::default();
/// let params_of_file = params.clone();
/// let file = ModelFile { shape, params: params_of_file, standardize, standardize_targets, classes, options, train, test, data };
/// file.save(&path)?;
///
/// let FileSummary { tensors, model: described, .. } = summarize(&path)?;
/// let TensorSummary { name, shape, element } = &tensors[0];
/// assert_eq!((name.as_str(), shape.as_slice(), element.as_str()), ("layers.0.weight", &[1, 3][..], "F32"));
/// assert!(described.is_some());
/// assert_eq!(read_tensors(&path, &model.tensors())?, params);
///
/// write_whole(&path, b"something else")?;
/// assert!(summarize(&path).unwrap_err().to_string().contains("model.safetensors"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn summarize(path: &Path) -> Result<FileSummary, CheckpointError> {
    let path = if path.is_dir() { path.join("model.safetensors") } else { path.to_owned() };
    let bytes = read(&path)?;
    let tensors = parse(&path, &bytes)?.tensors().into_iter().map(|(name, view)| TensorSummary {
        name,
        shape: view.shape().to_vec(),
        element: format!("{:?}", view.dtype()),
    });
    let mut tensors: Vec<TensorSummary> = tensors.collect();
    let has = |key| Ok::<_, CheckpointError>(description(&path, &bytes, key)?.is_some());
    let (model, position) = if has(checkpoint_file::KEY)? {
        let checkpoint = Checkpoint::of_bytes(&path, &bytes)?;
        (Some(checkpoint.model()), Some(*checkpoint.snapshot.position()))
    } else if has(model_file::KEY)? {
        (Some(ModelFile::of_bytes(path.clone(), &bytes)?), None)
    } else {
        (None, None)
    };
    match &model {
        Some(model) => {
            let order: Vec<String> = model.model().tensors().into_iter().map(|tensor| tensor.name).collect();
            let place = |name: &str| order.iter().position(|own| own == name).unwrap_or(order.len());
            tensors.sort_by_cached_key(|tensor| (place(&tensor.name), tensor.name.clone()));
        }
        None => tensors.sort_by(|a, b| a.name.cmp(&b.name)),
    }
    let params_sha256 = model.as_ref().map(|model| params_sha256(&model.params));
    Ok(FileSummary { path, len_bytes: bytes.len() as u64, tensors, model, position, params_sha256 })
}
