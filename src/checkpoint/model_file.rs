//! A trained model with everything needed to use it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::CheckpointError;
use super::safetensors::{params_of, parse_description};
use super::whole_file::write_whole;
use crate::data::{Classes, DataSummary, Fingerprint, Standardize};
use crate::model::{Loss, Mlp, MlpShape, Model, Tensor};

/// A model file: params as tensors (`layers.0.weight` of shape (out, in), `layers.0.bias` ...), and
/// a description in the metadata under the single key `phalanx`, as JSON. The description starts
/// with its version and a SHA-256 over itself and the params, so a file with a changed bit is
/// refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelFile {
    /// The shape of the model.
    pub shape: MlpShape,
    /// Its flat params.
    #[serde(skip)]
    pub params: Vec<f32>,
    /// The standardization of the training features, which must also be applied to features at
    /// prediction.
    pub standardize: Option<Standardize>,
    /// The mean and standard deviation of each target, if the model was trained on standardized
    /// targets. Its outputs are then standardized, and predictions are converted to the units of
    /// the targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standardize_targets: Option<Standardize>,
    /// Names of its classes, by index; `None` for regression.
    pub classes: Option<Classes>,
    /// The options of the run that trained it, by flag.
    pub options: BTreeMap<String, serde_json::Value>,
    /// The [fingerprint](crate::data::Dataset::fingerprint) of the training samples; `None` in
    /// files of older versions.
    #[serde(default)]
    pub train: Option<Fingerprint>,
    /// The fingerprint of the test samples, if any.
    #[serde(default)]
    pub test: Option<Fingerprint>,
    /// The [summary](crate::data::Dataset::summary) of how the training samples were interpreted:
    /// the columns of their table, and their classes.
    #[serde(default)]
    pub data: DataSummary,
}

impl ModelFile {
    /// Returns the model, ready for use.
    ///
    /// # Panics
    ///
    /// If the standardization of targets does not match the shape; in a [loaded](Self::load) file
    /// it does.
    pub fn model(&self) -> Mlp {
        model(&self.shape, self.standardize_targets.as_ref())
    }

    /// Writes the file atomically.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Write`]; an existing file is then unchanged.
    /// [`CheckpointError::NotSynced`]; the file has then been replaced.
    ///
    /// # Panics
    ///
    /// If there are fewer params than in the shape, or the standardization of targets does not
    /// match it; in a [loaded](Self::load) file they match.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        write_whole(path, &self.to_bytes())
    }

    /// Returns the bytes of the file, which depend only on its content.
    fn to_bytes(&self) -> Vec<u8> {
        let bytes: Vec<u8> = self.params.iter().flat_map(|param| param.to_le_bytes()).collect();
        let mut start = 0;
        let views: Vec<(String, TensorView<'_>)> = self
            .model()
            .tensors()
            .into_iter()
            .map(|Tensor { name, shape }| {
                let len_bytes = 4 * shape.iter().product::<usize>();
                let data = &bytes[start..start + len_bytes];
                start += len_bytes;
                (
                    name,
                    TensorView::new(Dtype::F32, shape, data)
                        .expect("the length of the slice matches the shape"),
                )
            })
            .collect();
        let version = version(self.standardize_targets.as_ref());
        let description = ModelDescription { version, sha256: "", model: self };
        let description = serde_json::to_string(&description).expect("a description is plain data");
        let metadata = [(KEY.to_owned(), sealed(&description, &self.params))];
        serialize(views, Some(metadata.into_iter().collect())).expect("names and shapes are those of a model")
    }

    /// Reads the model of a description, the text under [`KEY`].
    pub(super) fn of_description(
        path: PathBuf,
        file: &SafeTensors<'_>,
        text: &str,
    ) -> Result<Self, CheckpointError> {
        let ModelChecksum { sha256 } = parse_description(&path, text, VERSION)?;
        let mut model: Self = parse_description(&path, text, VERSION)?;
        let described = described_model(&path, &model.shape, model.standardize_targets.as_ref())?;
        model.params = params_of(&path, file, &described.tensors())?;
        if checksum(&text.replacen(&sha256, "", 1), &model.params) != sha256 {
            return Err(CheckpointError::Changed { path });
        }
        Ok(model)
    }
}

/// The metadata of a model file.
#[derive(Serialize)]
struct ModelDescription<'a> {
    version: u32,
    /// The [`checksum`] of the description, computed while this field is empty, and of the params.
    sha256: &'a str,
    #[serde(flatten)]
    model: &'a ModelFile,
}

#[derive(Deserialize)]
struct ModelChecksum {
    sha256: String,
}

/// The key of the description among the metadata.
pub(super) const KEY: &str = "phalanx";

/// The newest format version that this program reads.
pub(super) const VERSION: u32 = 2;

/// Returns the format version of a file. It is raised for features without which an older program,
/// which ignores unknown keys, would misuse the file: one without standardized targets would
/// predict standardized values.
pub(super) fn version(standardize_targets: Option<&Standardize>) -> u32 {
    if standardize_targets.is_some() { 2 } else { 1 }
}

/// Builds the model that a file describes, if the description is valid.
pub(super) fn described_model(
    path: &Path,
    shape: &MlpShape,
    standardize_targets: Option<&Standardize>,
) -> Result<Mlp, CheckpointError> {
    if shape.params_len().is_none() {
        return Err(CheckpointError::Shape { path: path.to_owned(), shape: shape.clone() });
    }
    let fits = |s: &Standardize| shape.loss == Loss::MSE && s.check(shape.outputs).is_ok();
    if !standardize_targets.is_none_or(fits) {
        return Err(CheckpointError::Targets { path: path.to_owned(), shape: shape.clone() });
    }
    Ok(model(shape, standardize_targets))
}

fn model(shape: &MlpShape, standardize_targets: Option<&Standardize>) -> Mlp {
    let model = Mlp::new(shape.clone());
    match standardize_targets {
        Some(s) => model.standardize_targets(s.mean(), s.std()),
        None => model,
    }
}

/// Writes the checksum into a description whose checksum is empty.
fn sealed(description: &str, params: &[f32]) -> String {
    let sha256 = checksum(description, params);
    description.replacen("\"sha256\":\"\"", &format!("\"sha256\":\"{sha256}\""), 1)
}

/// Returns the SHA-256 over the text of a description without its checksum and the hash of the
/// params.
fn checksum(description: &str, params: &[f32]) -> String {
    hex(Sha256::new().chain_update(description).chain_update(params_sha256(params)))
}

/// Computes SHA-256 over the little-endian f32 bytes of all tensors in their order, in lower-case
/// hex.
///
/// For a multi-layer perceptron, that is layer by layer, weight before bias, the order of the flat
/// params. Two runs with the same hash have bit-identical params.
///
/// # Examples
///
/// The equivalent in Python: `hashlib.sha256(b"".join(tensors[name].tobytes() for name in
/// names)).hexdigest()`.
///
/// ```
/// use phalanx::checkpoint::params_sha256;
///
/// assert!(params_sha256(&[]).starts_with("e3b0c442"));
/// ```
pub fn params_sha256(params: &[f32]) -> String {
    let mut hash = Sha256::new();
    for group in params.chunks(1024) {
        let bytes: Vec<u8> = group.iter().flat_map(|param| param.to_le_bytes()).collect();
        hash.update(&bytes);
    }
    hex(hash)
}

/// Returns the digest in lower-case hex.
fn hex(hash: Sha256) -> String {
    hash.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}
