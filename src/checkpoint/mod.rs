//! What a run leaves on disk to be used again: the model file.
//!
//! * [`ModelFile`] is a trained model with all that is needed to use it: params, shape, standardization, class names, and
//!   the options it was trained with. It is a safetensors file whose tensors are named as PyTorch's `Linear` names them.
//! * [`read_tensors`] takes params out of any safetensors file with the tensors of a model, PyTorch's for example.
//! * [`summarize`] says what is in a file without knowing whose it is.
//! * [`params_sha256`] is the fingerprint of params.
//! * [`write_whole`] writes a file so that at any moment the old or the new content is there, whole.

mod error;
mod model_file;
mod params_hash;
mod summary;
mod tensors;
mod whole_file;

pub use error::CheckpointError;
pub use model_file::ModelFile;
pub use params_hash::params_sha256;
pub use summary::{FileSummary, TensorSummary, summarize};
pub use tensors::read_tensors;
pub use whole_file::write_whole;
