//! Errors of reading and writing model files and checkpoints.

use std::io;
use std::path::{Path, PathBuf};

use safetensors::SafeTensorError;
use thiserror::Error;

use crate::model::MlpShape;

/// An error of reading or writing a file.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the fields are the values that each variant's text names")]
pub enum CheckpointError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}; give a readable file or run directory", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A run directory without a model, because the run has not ended.
    #[error("{} has no model because its run is in progress or was killed; {}", run.display(), advice(run, newest.as_deref()))]
    NotOver { run: PathBuf, newest: Option<PathBuf> },
    /// The file cannot be written; an existing file is unchanged.
    #[error("cannot write {}: {source}; an existing file is unchanged; {}", path.display(), remedy(source))]
    Write { path: PathBuf, source: io::Error },
    /// The file is written, but the system does not confirm that its directory entry is on disk.
    #[error("{} is written, but may be lost after a power failure: {source}; check the disk, or write elsewhere", path.display())]
    NotSynced { path: PathBuf, source: io::Error },
    /// The file is damaged, truncated or of another format.
    #[error("{} is damaged, or not a safetensors file: {source}; copy it again, or give another file or run directory", path.display())]
    Format { path: PathBuf, source: SafeTensorError },
    /// A header larger than any model needs, which would take many times its size in memory to
    /// read.
    #[error("the header of {} has more than 8 MiB or 16,000 tensors; give another file or run directory", path.display())]
    Header { path: PathBuf },
    /// A tensor of the model is missing.
    #[error("{} has no tensor '{name}'; it has {}; use the model that the file is of (for --init, name tensors layers.0.weight, layers.0.bias ..., or choose --hidden to match)", path.display(), list(found))]
    TensorMissing { path: PathBuf, name: String, found: Vec<String> },
    /// The file has a tensor that the model does not have.
    #[error("{} has a tensor '{name}' that the model does not have; the model has {}; use the model that the file is of (for --init, choose --hidden to match, or remove the tensor)", path.display(), list(expected))]
    TensorUnknown { path: PathBuf, name: String, expected: Vec<String> },
    /// The shape of a tensor differs from that in the model.
    #[error("tensor '{name}' in {} has shape {found:?}, but the model needs {expected:?}; use the model that the file is of (for --init, choose --hidden and data to match)", path.display())]
    TensorShape { path: PathBuf, name: String, found: Vec<usize>, expected: Vec<usize> },
    /// The elements of a tensor are not F32.
    #[error("tensor '{name}' in {} is {found}, but must be F32; convert it, in PyTorch with .float()", path.display())]
    TensorType { path: PathBuf, name: String, found: String },
    /// A param is NaN or infinite; `index` is its index in the tensor, row-major.
    #[error("tensor '{name}' in {} has {value} at element {index}, but params must be finite; use a file from before training diverged", path.display())]
    NotFinite { path: PathBuf, name: String, index: usize, value: f32 },
    /// The file has tensors, but no description of their model.
    #[error("{} has no description of its model, so it cannot be evaluated; train from its params with --init", path.display())]
    NoDescription { path: PathBuf },
    /// The described standardization of targets does not match the model.
    #[error(
        "{} describes standardized targets that do not match its model of {} outputs with loss {}; expected mse, and for each output a finite mean and a standard deviation above 0",
        path.display(), shape.outputs, shape.loss
    )]
    Targets { path: PathBuf, shape: MlpShape },
    /// The described model cannot be built.
    #[error("{} describes a model with a layer of width 0, or too many params to count: {shape:?}", path.display())]
    Shape { path: PathBuf, shape: MlpShape },
    /// The description of the model cannot be parsed.
    #[error("the description of the model in {} cannot be read: {source}; the file is damaged: copy it again", path.display())]
    Description { path: PathBuf, source: serde_json::Error },
    /// The description has a format version that this program does not read.
    #[error("{} has format version {found}, but this program reads versions 1 to {newest}; use the version of phalanx that wrote it", path.display())]
    Version { path: PathBuf, found: u32, newest: u32 },
    /// The file is not a checkpoint.
    #[error("{} is not a checkpoint, so a run cannot be resumed from it; give a run directory or a file in its folder checkpoints, or start from its params with --init", path.display())]
    NoCheckpoint { path: PathBuf },
    /// The file is not a snapshot.
    #[error("{} is not a snapshot; give a file that Snapshot::save wrote, or read a checkpoint of a run with Checkpoint::load", path.display())]
    NoSnapshot { path: PathBuf },
    /// The tensors are not those of the snapshot's model. Nothing is written.
    #[error("{} is not written: the tensors have {found} elements, but the snapshot has {expected} params; pass the tensors of its model", path.display())]
    SnapshotTensors { path: PathBuf, found: usize, expected: usize },
    /// Two tensors have the same name. Nothing is written.
    #[error("{} is not written: two tensors of the model are named '{name}'; give each its own name", path.display())]
    SameName { path: PathBuf, name: String },
    /// A tensor of a checkpoint is missing, or its checksum, shape or type does not match.
    #[error("tensor '{name}' in {} is damaged: it differs from the tensor that was written; restore the file from a copy, or use an earlier checkpoint, if there is one", path.display())]
    Damaged { path: PathBuf, name: String },
    /// All checkpoints in the folder are damaged.
    #[error(
        "{}: {newest}; if none can be restored, start a new run, or train from another run's params with --init",
        match *.count {
            1 => format!("the only checkpoint in {} cannot be used", path.display()),
            count => format!("none of the {count} checkpoints in {} can be used; the newest", path.display()),
        }
    )]
    AllDamaged { path: PathBuf, count: usize, newest: Box<CheckpointError> },
    /// The folder of checkpoints cannot be read.
    #[error("cannot read the folder {}: {source}; give a readable run directory", path.display())]
    Folder { path: PathBuf, source: io::Error },
    /// An old checkpoint cannot be removed.
    #[error("cannot remove {}: {source}; the newer checkpoint is written; check the permissions of the folder", path.display())]
    Remove { path: PathBuf, source: io::Error },
    /// The model is too large for an ONNX file.
    #[error(
        "a model of {params} params does not fit into the 2 GiB of an ONNX file; other programs can read its model.safetensors"
    )]
    OnnxSize { params: usize },
    /// The thread that writes checkpoints could not be started.
    #[error("the thread that writes checkpoints could not be started: {source}; lower the number of threads")]
    Thread { source: io::Error },
    /// The params or the description do not match their checksum.
    #[error("{} was changed after it was written: its checksum does not match; copy it again", path.display())]
    Changed { path: PathBuf },
}

/// Returns the advice for a run without a model.
fn advice(run: &Path, newest: Option<&Path>) -> String {
    let resume = format!("wait for it to end, or resume it with phalanx train --resume {}", run.display());
    match newest {
        Some(newest) => format!("{resume}, or give its newest checkpoint, {}", newest.display()),
        None => resume,
    }
}

/// Returns the advice for a file that cannot be written.
///
/// # Examples
///
/// ```
/// let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
/// assert_eq!(phalanx::internals::remedy(&full), "free some space, or write elsewhere");
/// ```
pub fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space, or write elsewhere",
        io::ErrorKind::FileTooLarge => "raise the limit on file sizes (ulimit -f), or write elsewhere",
        io::ErrorKind::PermissionDenied => "change the permissions, or write elsewhere",
        io::ErrorKind::NotFound => "create the folder first, or write elsewhere",
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
