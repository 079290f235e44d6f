//! The files of a run that can be loaded again: the model file and checkpoints.
//!
//! * [`ModelFile`] is a trained model with everything needed to use it: params, shape,
//!   standardizations, class names, and the options it was trained with. It is a safetensors file
//!   whose tensors are named as those of PyTorch's `Linear`.
//! * [`Checkpoint`] is the full state from which a run is resumed, also a safetensors file.
//!   [`CheckpointDir`] is the folder of a run's checkpoints and finds the newest undamaged one;
//!   [`Saver`] creates checkpoints during a run, writes them on a separate thread, and deletes all
//!   but the newest and the best.
//! * [`ModelFile::save_onnx`] exports a trained model for use in other programs.
//! * [`read_tensors`] reads params from any safetensors file with the tensors of a model, for
//!   example one written by PyTorch.
//! * [`params_sha256`] is the fingerprint of params.

pub(crate) mod checkpoint_dir;
pub(crate) mod checkpoint_file;
pub(crate) mod error;
pub(crate) mod load;
mod model_file;
pub(crate) mod onnx;
mod safetensors;
pub(crate) mod saver;
pub(crate) mod whole_file;

pub use checkpoint_dir::CheckpointDir;
pub(crate) use checkpoint_dir::remove_leftovers;
pub use checkpoint_file::Checkpoint;
pub use error::CheckpointError;
pub(crate) use error::remedy;
pub use load::read_tensors;
pub use model_file::{ModelFile, params_sha256};
pub use saver::Saver;
pub(crate) use whole_file::{PREFIX, make_folder, sync_folder_of, write_whole, write_whole_with};
