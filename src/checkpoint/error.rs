//! What can be wrong with a model file.

use std::io;
use std::path::{Path, PathBuf};

use safetensors::SafeTensorError;
use thiserror::Error;

use crate::model::MlpShape;

/// An error of reading or writing a file.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the fields are the values that each variant's text names")]
pub enum CheckpointError {
    /// The system refuses to read.
    #[error("cannot read {}: {source}; give a model.safetensors, a checkpoint or a run directory", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A run directory without a model, as the run is not over.
    #[error("{} has no model, as its run is under way or was cut short; {}", run.display(), way_on(run, newest.as_deref()))]
    NotOver { run: PathBuf, newest: Option<PathBuf> },
    /// The system refuses to write; what was there before still is.
    #[error("cannot write {}: {source}; what was there before is untouched; {}", path.display(), remedy(source))]
    Write { path: PathBuf, source: io::Error },
    /// The file is written, but the system does not confirm that its name is on disk.
    #[error("{} is written, but may be gone after a power cut: {source}; check the disk, or write elsewhere", path.display())]
    NotSynced { path: PathBuf, source: io::Error },
    /// The file is damaged, cut short or something else.
    #[error("{} is not a whole safetensors file: {source}; give a model.safetensors, a checkpoint or a run directory", path.display())]
    Format { path: PathBuf, source: SafeTensorError },
    /// A header of more than a model needs, which would take many times its size to read.
    #[error("the header of {} has more than 8 MiB or 16,000 tensors; give a model.safetensors, a checkpoint or a run directory", path.display())]
    Header { path: PathBuf },
    /// A tensor of the model is missing.
    #[error("{} has no tensor '{name}'; it has {}; name tensors layers.0.weight, layers.0.bias ..., or choose --hidden to match", path.display(), list(found))]
    TensorMissing { path: PathBuf, name: String, found: Vec<String> },
    /// A tensor of the file is not of the model.
    #[error("{} has a tensor '{name}' that the model lacks; the model has {}; choose --hidden to match, or leave it out", path.display(), list(expected))]
    TensorUnknown { path: PathBuf, name: String, expected: Vec<String> },
    /// A tensor has another shape than that of the model.
    #[error("tensor '{name}' in {} has shape {found:?}, but the model needs {expected:?}; choose --hidden and data to match", path.display())]
    TensorShape { path: PathBuf, name: String, found: Vec<usize>, expected: Vec<usize> },
    /// A tensor has elements of another type.
    #[error("tensor '{name}' in {} is {found}, but params are F32; convert it, in PyTorch with .float()", path.display())]
    TensorType { path: PathBuf, name: String, found: String },
    /// A param is NaN or infinite; `index` is its place in the tensor, row-major.
    #[error("tensor '{name}' in {} holds {value} at element {index}; params must be finite; use a file from before training broke", path.display())]
    NotFinite { path: PathBuf, name: String, index: usize, value: f32 },
    /// The file has tensors, but not what this program needs to use them.
    #[error("{} does not say how its model is built, so it cannot be run; train from it with --init", path.display())]
    NoDescription { path: PathBuf },
    /// The described standardization of targets does not fit the model.
    #[error(
        "{} describes standardized targets that do not fit its model, of {} outputs with loss {}; expected mse, and for each output a finite mean and a deviation above 0",
        path.display(), shape.outputs, shape.loss
    )]
    Targets { path: PathBuf, shape: MlpShape },
    /// The described model cannot be built.
    #[error("{} describes a model with a layer of width 0, or too many params to count: {shape:?}", path.display())]
    Shape { path: PathBuf, shape: MlpShape },
    /// The description of the model cannot be understood.
    #[error("the description of the model in {} cannot be read: {source}; the file is damaged, copy it again", path.display())]
    Description { path: PathBuf, source: serde_json::Error },
    /// The description is of a version of the format that this program does not read.
    #[error("{} is of format version {found}, but this program reads versions 1 to {newest}; use the version of phalanx that wrote it", path.display())]
    Version { path: PathBuf, found: u32, newest: u32 },
    /// The file is no checkpoint.
    #[error("{} is no checkpoint, so a run cannot go on from it; give a run directory or a file in its folder checkpoints, or start from its params with --init", path.display())]
    NoCheckpoint { path: PathBuf },
    /// A tensor of a checkpoint is not the one that was written.
    #[error("tensor '{name}' in {} is damaged: it is not the one that was written; go on from the checkpoint before", path.display())]
    Damaged { path: PathBuf, name: String },
    /// There are checkpoints, but none can be used.
    #[error("none of the {count} checkpoints in {} can be used: {newest}; or train anew, or from another run's params with --init", path.display())]
    AllDamaged { path: PathBuf, count: usize, newest: Box<CheckpointError> },
    /// The folder of checkpoints cannot be looked at.
    #[error("cannot read the folder {}: {source}; give a run directory that can be read", path.display())]
    Folder { path: PathBuf, source: io::Error },
    /// An old checkpoint cannot be removed.
    #[error("cannot remove {}: {source}; the newer checkpoint is written, see to the folder", path.display())]
    Remove { path: PathBuf, source: io::Error },
    /// The model is larger than an ONNX file can be.
    #[error(
        "a model of {params} params does not fit into the 2 GiB of an ONNX file; other programs can read its model.safetensors"
    )]
    OnnxSize { params: usize },
    /// The thread that writes could not be started.
    #[error("the thread that writes checkpoints could not be started: {source}; lower the number of threads")]
    Thread { source: io::Error },
    /// The params or the description are not those that were written.
    #[error("{} was changed after it was written: its checksum does not match; copy it again, or train from its params with --init", path.display())]
    Changed { path: PathBuf },
}

/// Returns the advice about a run without a model.
fn way_on(run: &Path, newest: Option<&Path>) -> String {
    let resume = format!("go on with phalanx train --resume {}", run.display());
    match newest {
        Some(newest) => format!("{resume}, or give its newest checkpoint, {}", newest.display()),
        None => resume,
    }
}

/// Advice for a file that the system refuses to write.
///
/// # Examples
///
/// ```
/// let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
/// assert_eq!(phalanx::internals::remedy(&full), "make room, or write elsewhere");
/// ```
pub fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room, or write elsewhere",
        io::ErrorKind::FileTooLarge => "raise the limit on file sizes (ulimit -f), or write elsewhere",
        io::ErrorKind::PermissionDenied => "change the permissions, or write elsewhere",
        io::ErrorKind::NotFound => "make the folder first, or write elsewhere",
        _ => "check the disk, or write elsewhere",
    }
}

fn list(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        [first, .., last] if names.len() > 6 => format!("{} tensors, {first} to {last}", names.len()),
        _ => names.join(", "),
    }
}
