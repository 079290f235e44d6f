//! What a run leaves on disk to be used again: the model file and checkpoints.
//!
//! * [`ModelFile`] is a trained model with all that is needed to use it: params, shape, standardizations, class names, and
//!   the options it was trained with. It is a safetensors file whose tensors are named as PyTorch's `Linear` names them.
//! * [`Checkpoint`] is all that a run goes on from, a safetensors file too. [`CheckpointDir`] is the folder of a run's, where the
//!   newest whole one is found; [`Saver`] makes them while a run goes on, [`Writer`] is the thread that writes them and keeps the newest
//!   and the best.
//! * [`RunFacts`], [`History`] are what a checkpoint says beside params, state and position, and how good the params are.
//! * [`OnnxModel`] is a trained model for other programs to run.
//! * [`read_tensors`] takes params out of any safetensors file with the tensors of a model, PyTorch's for example.
//! * [`summarize`] says what is in a file without knowing whose it is.
//! * [`params_sha256`] is the fingerprint of params.
//! * [`write_whole`] and [`write_whole_with`] write a file so that at any moment the old or the new content is there, whole;
//!   [`remove_leftovers`] removes what they could not when the program was killed.

pub(crate) mod checkpoint_dir;
mod checkpoint_file;
pub(crate) mod error;
pub(crate) mod load;
mod model_file;
mod onnx;
mod safetensors;
mod saver;
pub(crate) mod whole_file;

pub use checkpoint_dir::CheckpointDir;
pub(crate) use checkpoint_dir::remove_leftovers;
pub use checkpoint_file::{Checkpoint, History, RunFacts};
pub use error::CheckpointError;
pub(crate) use error::remedy;
pub use load::read_tensors;
pub use model_file::{ModelFile, params_sha256};
pub use onnx::OnnxModel;
pub use saver::{Saver, Writer};
pub(crate) use whole_file::{PREFIX, make_folder, sync_folder_of, write_whole, write_whole_with};
