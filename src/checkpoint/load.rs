//! Reading safetensors files of any origin: as a model, as params, or for a summary of the
//! contents.

use std::path::{Path, PathBuf};

use super::checkpoint_dir::CheckpointDir;
use super::checkpoint_file::{self, Checkpoint};
use super::error::CheckpointError;
use super::model_file::{self, ModelFile, params_sha256};
use super::safetensors::{collected, description, params_of, parse, read, refuse_unknown};
use crate::model::{Model, Tensor};
use crate::train::Position;

impl ModelFile {
    /// Reads `path`, or `model.safetensors` in it if it is a folder. From a checkpoint, the model
    /// that it contains is read.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is damaged, has no description, has a newer format version, or
    /// its tensors do not match the description; [`CheckpointError::NotOver`] for a run directory
    /// without a model, [`CheckpointError::Folder`] if its checkpoints cannot be listed.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let path = file_of(path)?;
        let bytes = read(&path)?;
        let model = described(&path, &bytes)?.map(|(model, _)| model);
        model.ok_or(CheckpointError::NoDescription { path })
    }
}

/// Returns the model that a file describes, and the position of the run if it is a checkpoint, or
/// `None` if it has no description.
fn described(path: &Path, bytes: &[u8]) -> Result<Option<(ModelFile, Option<Position>)>, CheckpointError> {
    let file = parse(path, bytes)?;
    if description(path, bytes, checkpoint_file::KEY)?.is_some() {
        let checkpoint = Checkpoint::of_bytes(path, bytes)?;
        return Ok(Some((checkpoint.model(), Some(*checkpoint.snapshot.position()))));
    }
    let text = description(path, bytes, model_file::KEY)?;
    let model = text.map(|text| ModelFile::of_description(path.to_owned(), &file, &text)).transpose()?;
    Ok(model.map(|model| (model, None)))
}

/// Returns the path of the model if `path` is a run directory, in which it is written when the run
/// ends, or else `path`.
fn file_of(path: &Path) -> Result<PathBuf, CheckpointError> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let model = path.join("model.safetensors");
    if !model.exists() && path.join("config.toml").exists() {
        let checkpoints = CheckpointDir::of_run(path);
        let newest = checkpoints.steps()?.last().map(|&step| checkpoints.path_of(step));
        return Err(CheckpointError::NotOver { run: path.to_owned(), newest });
    }
    Ok(model)
}

/// Reads the flat params of a model with these `tensors` from a safetensors file of any origin, or
/// from `model.safetensors` in `path` if it is a folder. A checkpoint is read and verified as a
/// whole, and only its params are returned.
///
/// # Errors
///
/// If the file cannot be read or is not a valid safetensors file, if a tensor is missing or
/// unexpected, if a tensor has the wrong shape, a type other than F32, or a NaN or infinite value,
/// or if a checkpoint is damaged, was changed, or has a newer format version;
/// [`CheckpointError::NotOver`] for a run directory without a model, [`CheckpointError::Folder`] if
/// its checkpoints cannot be listed.
pub fn read_tensors(path: &Path, tensors: &[Tensor]) -> Result<Vec<f32>, CheckpointError> {
    let path = &file_of(path)?;
    let bytes = read(path)?;
    let file = parse(path, &bytes)?;
    if description(path, &bytes, checkpoint_file::KEY)?.is_none() {
        return params_of(path, &file, tensors);
    }
    let found = Checkpoint::of_bytes(path, &bytes)?.model().model().tensors();
    refuse_unknown(path, found.iter().map(|tensor| tensor.name.as_str()), tensors)?;
    collected(path, &file, tensors)
}

/// The result of [`summarize`].
#[derive(Clone, Debug)]
pub struct FileSummary {
    /// The file that was read.
    pub path: PathBuf,
    /// Its size.
    pub len_bytes: u64,
    /// Its tensors: those of a described model in the order of its params, then others by name.
    pub tensors: Vec<TensorSummary>,
    /// The complete model, if the file describes one.
    pub model: Option<ModelFile>,
    /// The position of the run, if the file is a checkpoint.
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

/// Returns a summary of a file, or of `model.safetensors` of a run directory.
///
/// # Errors
///
/// If the file cannot be read, is not a valid safetensors file, describes a model that does not
/// match its tensors, is damaged, or has a newer format version; [`CheckpointError::NotOver`] for a
/// run directory without a model, [`CheckpointError::Folder`] if its checkpoints cannot be listed.
///
/// # Examples
///
/// ```
/// use phalanx::checkpoint::{ModelFile, read_tensors};
/// use phalanx::internals::{FileSummary, TensorSummary, summarize, write_whole};
/// use phalanx::model::{Activation, Loss, Mlp, MlpShape, Model};
///
/// let (hidden, activation, loss) = (vec![], Activation::Relu, Loss::MSE);
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
    let path = file_of(path)?;
    let bytes = read(&path)?;
    let tensors = parse(&path, &bytes)?.tensors().into_iter().map(|(name, view)| TensorSummary {
        name,
        shape: view.shape().to_vec(),
        element: format!("{:?}", view.dtype()),
    });
    let mut tensors: Vec<TensorSummary> = tensors.collect();
    let (model, position) = described(&path, &bytes)?.unzip();
    let position = position.flatten();
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
