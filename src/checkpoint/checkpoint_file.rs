//! Checkpoint files: the full state of a run on disk, from which it is resumed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::error::CheckpointError;
use super::model_file::{ModelFile, VERSION, described_model, version};
use super::safetensors::{
    TensorEntry, append, cut, description, parse, parse_description, read, refuse_others, views, write,
};
use super::whole_file::write_whole_with;
use crate::data::{Classes, DataSummary, Fingerprint, Standardize};
use crate::model::{Mlp, MlpShape, Model, Tensor};
use crate::train::{EpochEnd, PhaseTimes, Position, Quality, Snapshot};

/// A checkpoint file: a safetensors file of the params, named as in a [`ModelFile`]; of the
/// optimizer's state, as `optimizer.exp_avg.layers.0.weight`; of the best params so far, if the run
/// keeps them, as `best.layers.0.weight`; and of the seconds of each epoch. Everything else is JSON
/// in the metadata, under the single key `phalanx-checkpoint`. The JSON starts with its version and
/// a CRC32C over itself, and contains the CRC32C of each tensor, so the checksums cover the whole
/// file.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The facts that are the same in all checkpoints of a run.
    #[doc(hidden)]
    pub facts: Arc<RunFacts>,
    /// Params, optimizer state and position.
    pub snapshot: Arc<Snapshot>,
    /// The quality of the params, if it was measured at the end of a complete epoch.
    #[doc(hidden)]
    pub quality: Option<Quality>,
    /// Times of the previous epochs.
    #[doc(hidden)]
    pub history: History,
}

/// The facts that are the same in all checkpoints of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// The shape of the model.
    pub shape: MlpShape,
    /// The standardization of the features.
    pub standardize: Option<Standardize>,
    /// The standardization of the targets, if they were standardized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standardize_targets: Option<Standardize>,
    /// Names of the classes, by index; `None` for regression.
    pub classes: Option<Classes>,
    /// The options of the run, by flag.
    pub options: BTreeMap<String, serde_json::Value>,
    /// The training samples.
    pub train: Fingerprint,
    /// The test samples, if any.
    pub test: Option<Fingerprint>,
    /// The summary of how the training samples were interpreted.
    #[serde(default)]
    pub data: DataSummary,
}

/// Times of the completed epochs, for the results of the whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Seconds of each complete epoch. Stored as a separate tensor in the file, because there may
    /// be millions.
    #[serde(skip)]
    pub epoch_secs: Vec<f64>,
    /// Samples per second of the fastest complete epoch; 0 without a complete epoch.
    pub samples_per_sec: f64,
    /// The time that rank 0 spent in each phase of the epochs.
    pub phases: PhaseTimes,
    /// Seconds from the start of the program to the creation of the checkpoint.
    pub wall_secs: f64,
}

impl RunFacts {
    /// Creates the facts from a model file.
    ///
    /// # Panics
    ///
    /// If the file has no fingerprint of the training samples.
    pub(super) fn of_model(model: &ModelFile) -> Self {
        Self {
            shape: model.shape.clone(),
            standardize: model.standardize.clone(),
            standardize_targets: model.standardize_targets.clone(),
            classes: model.classes.clone(),
            options: model.options.clone(),
            train: model.train.clone().expect("a fingerprint of the training samples"),
            test: model.test.clone(),
            data: model.data.clone(),
        }
    }
}

impl History {
    /// Adds a complete epoch, or the phase times of a partial epoch at the end of a run, which does
    /// not count for the epoch's seconds and the best speed.
    pub fn add(&mut self, end: &EpochEnd) {
        self.phases += end.phases;
        if end.is_whole {
            self.epoch_secs.push(end.elapsed.as_secs_f64());
            let speed = Some(end.samples_per_sec()).filter(|speed| speed.is_finite());
            self.samples_per_sec = self.samples_per_sec.max(speed.unwrap_or(0.0));
        }
    }
}

/// The metadata of a checkpoint.
#[derive(Serialize, Deserialize)]
struct CheckpointDescription {
    version: u32,
    /// The checksum of this description, computed while this field is empty.
    crc32c: String,
    /// The checksum of each tensor.
    tensors: BTreeMap<String, String>,
    position: Position,
    /// Names of the optimizer's state vectors.
    state: Vec<String>,
    quality: Option<Quality>,
    /// True if the file also has the best params so far.
    #[serde(default)]
    best: bool,
    history: History,
    facts: RunFacts,
}

impl CheckpointDescription {
    /// Returns the quality at the end of a complete epoch. Files of older versions also contain the
    /// quality of a partial epoch.
    fn quality(&self) -> Option<Quality> {
        self.quality.filter(|_| self.position.batch == 0)
    }
}

/// The key of the description among the metadata.
pub(super) const KEY: &str = "phalanx-checkpoint";

const EPOCH_SECS: &str = "history.epoch_secs";

impl Checkpoint {
    /// Writes the file atomically and durably: it is on disk when this returns.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Write`]; an existing file is then unchanged.
    /// [`CheckpointError::NotSynced`]; the file has then been replaced.
    ///
    /// # Cost
    ///
    /// One pass over all numbers for the checksums, and one to write them.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        let entries = self.entries();
        let description = CheckpointDescription {
            version: version(self.facts.standardize_targets.as_ref()),
            crc32c: String::new(),
            tensors: sums_of(&entries),
            position: *self.snapshot.position(),
            state: self.snapshot.state_names().to_vec(),
            quality: self.quality,
            best: self.snapshot.has_best(),
            history: self.history.clone(),
            facts: RunFacts::clone(&self.facts),
        };
        write_whole_with(path, |file| write(file, &entries, KEY, sealed(&description)))
    }

    fn entries(&self) -> Vec<TensorEntry<'_>> {
        let mut entries = vec![TensorEntry::of_f64(EPOCH_SECS, &self.history.epoch_secs)];
        entries.extend(entries_of(&Mlp::new(self.facts.shape.clone()).tensors(), &self.snapshot));
        entries
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is not a checkpoint, has any damaged bit, or has a newer format
    /// version.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        Self::of_bytes(path, &read(path)?)
    }

    pub(super) fn of_bytes(path: &Path, bytes: &[u8]) -> Result<Self, CheckpointError> {
        let file = parse(path, bytes)?;
        let found = described(path, bytes)?;
        let quality = found.quality();
        let CheckpointDescription { tensors: sums, position, state: names, best, mut history, facts, .. } =
            found;
        let model = described_model(path, &facts.shape, facts.standardize_targets.as_ref())?;
        let reader = TensorReader { path, file: &file, sums: &sums };
        let epoch_secs = [Tensor::new(EPOCH_SECS, &[])];
        let snapshot = reader.snapshot(position, names, best, &model.tensors(), &epoch_secs)?;
        history.epoch_secs = reader.epoch_secs()?;
        Ok(Self { facts: Arc::new(facts), snapshot: Arc::new(snapshot), quality, history })
    }

    /// Returns the model with the current params.
    pub fn model(&self) -> ModelFile {
        let RunFacts { shape, standardize, standardize_targets, classes, options, train, test, data } =
            RunFacts::clone(&self.facts);
        let params = self.snapshot.params().flatten().copied().collect();
        let train = Some(train);
        ModelFile { shape, params, standardize, standardize_targets, classes, options, train, test, data }
    }
}

/// Returns the quality of a checkpoint's params from its description, without reading the tensors.
pub(super) fn quality_of(path: &Path) -> Result<Option<Quality>, CheckpointError> {
    let bytes = read(path)?;
    Ok(described(path, &bytes)?.quality())
}

/// Returns the description, if its checksum matches.
fn described(path: &Path, bytes: &[u8]) -> Result<CheckpointDescription, CheckpointError> {
    let text = description(path, bytes, KEY)?
        .ok_or_else(|| CheckpointError::NoCheckpoint { path: path.to_owned() })?;
    let description: CheckpointDescription = parse_description(path, &text, VERSION)?;
    check_seal(path, &text, &description.crc32c)?;
    Ok(description)
}

/// Returns a description as JSON, with the checksum over itself.
fn sealed(description: &impl Serialize) -> String {
    let text = serde_json::to_string(description).expect("a description is plain data");
    text.replacen("\"crc32c\":\"\"", &format!("\"crc32c\":\"{}\"", checksum(&text)), 1)
}

fn check_seal(path: &Path, text: &str, found: &str) -> Result<(), CheckpointError> {
    let is_whole = checksum(&text.replacen(found, "", 1)) == found;
    if is_whole { Ok(()) } else { Err(CheckpointError::Changed { path: path.to_owned() }) }
}

/// The metadata of a file that [`Snapshot::save`] writes.
#[derive(Serialize, Deserialize)]
struct SnapshotDescription {
    version: u32,
    /// The checksum of this description, computed while this field is empty.
    crc32c: String,
    /// The checksum of each tensor.
    tensors: BTreeMap<String, String>,
    position: Position,
    /// Names of the optimizer's state vectors.
    state: Vec<String>,
    /// True if the file also has the best params so far.
    best: bool,
}

const SNAPSHOT_KEY: &str = "phalanx-snapshot";

const SNAPSHOT_VERSION: u32 = 1;

impl Snapshot {
    /// Writes the snapshot of any model with these [`tensors`](Model::tensors), atomically and
    /// durably: it is on disk when this returns.
    ///
    /// The file is a safetensors file of the params, of the optimizer's state
    /// (`optimizer.NAME.TENSOR`) and of the best params so far (`best.TENSOR`), so that other
    /// programs can read them by name. Checksums cover the whole file. For perceptrons, whose
    /// options and data a file should also describe, use a [`Checkpoint`].
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Write`]; an existing file is then unchanged.
    /// [`CheckpointError::NotSynced`]; the file has then been replaced.
    /// [`CheckpointError::SnapshotTensors`] if the tensors do not have as many elements as there are
    /// params, and [`CheckpointError::SameName`] if two have the same name.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::data::Dataset;
    /// use phalanx::model::{Model, Samples, from_fn};
    /// use phalanx::train::{Length, Options, Snapshot, Trainer};
    ///
    /// let model = from_fn(vec![0.0], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
    ///     grads[0] = samples.indices.iter().map(|index| params[0] - *index as f32).sum();
    ///     0.0
    /// });
    /// let data = Dataset::from_indices((0..100).collect(), None)?;
    /// let options = |epochs| Options { length: Length::Epochs(epochs), ..Options::default() };
    /// let outcome = Trainer::new(&model, &data, options(2)).run()?;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("run.safetensors");
    /// outcome.snapshot().expect("the run did not diverge").save(&path, &model.tensors())?;
    ///
    /// let found = Snapshot::load(&path, &model.tensors())?;
    /// assert_eq!(found.params().flatten().copied().collect::<Vec<f32>>(), outcome.params);
    /// let longer = Trainer::new(&model, &data, options(3)).resume(found).run()?;
    /// assert_eq!(longer.params, Trainer::new(&model, &data, options(3)).run()?.params);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn save(&self, path: &Path, tensors: &[Tensor]) -> Result<(), CheckpointError> {
        let found = tensors.iter().map(Tensor::len).sum();
        let expected = self.params().map(<[f32]>::len).sum();
        if found != expected {
            return Err(CheckpointError::SnapshotTensors { path: path.to_owned(), found, expected });
        }
        let entries = entries_of(tensors, self);
        let mut names = BTreeSet::new();
        if let Some(entry) = entries.iter().find(|entry| !names.insert(&entry.tensor.name)) {
            return Err(CheckpointError::SameName { path: path.to_owned(), name: entry.tensor.name.clone() });
        }
        let description = SnapshotDescription {
            version: SNAPSHOT_VERSION,
            crc32c: String::new(),
            tensors: sums_of(&entries),
            position: *self.position(),
            state: self.state_names().to_vec(),
            best: self.has_best(),
        };
        write_whole_with(path, |file| write(file, &entries, SNAPSHOT_KEY, sealed(&description)))
    }

    /// Reads a file that [`save`](Self::save) wrote, of a model with these tensors.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is not a snapshot, has any damaged bit, has other tensors, or
    /// has a newer format version.
    pub fn load(path: &Path, tensors: &[Tensor]) -> Result<Self, CheckpointError> {
        let bytes = read(path)?;
        let file = parse(path, &bytes)?;
        let text = description(path, &bytes, SNAPSHOT_KEY)?
            .ok_or_else(|| CheckpointError::NoSnapshot { path: path.to_owned() })?;
        let found: SnapshotDescription = parse_description(path, &text, SNAPSHOT_VERSION)?;
        check_seal(path, &text, &found.crc32c)?;
        views(path, &file, tensors)?;
        let reader = TensorReader { path, file: &file, sums: &found.tensors };
        reader.snapshot(found.position, found.state, found.best, tensors, &[])
    }
}

/// Returns the tensors of a snapshot of a model.
fn entries_of<'a>(tensors: &[Tensor], snapshot: &'a Snapshot) -> Vec<TensorEntry<'a>> {
    let tensors = ranges(tensors);
    let params = tensors
        .iter()
        .map(|(tensor, range)| TensorEntry::of_f32(tensor.clone(), cut(snapshot.params(), range)));
    let mut entries: Vec<_> = params.collect();
    if snapshot.has_best() {
        let best = tensors
            .iter()
            .map(|(tensor, range)| TensorEntry::of_f32(of_best(tensor), cut(snapshot.best(), range)));
        entries.extend(best);
    }
    for (index, name) in snapshot.state_names().iter().enumerate() {
        let state = tensors.iter().map(|(tensor, range)| {
            TensorEntry::of_f32(of_state(name, tensor), cut(snapshot.state(index), range))
        });
        entries.extend(state);
    }
    entries
}

/// Returns the checksum of each tensor, by name.
fn sums_of(entries: &[TensorEntry<'_>]) -> BTreeMap<String, String> {
    entries.iter().map(|entry| (entry.tensor.name.clone(), hex(entry.crc32c()))).collect()
}

/// Reads tensors from a file and verifies the checksum of each.
struct TensorReader<'a> {
    path: &'a Path,
    file: &'a SafeTensors<'a>,
    sums: &'a BTreeMap<String, String>,
}

impl TensorReader<'_> {
    /// Reads the snapshot of a model with these tensors; the file may also have `others`.
    fn snapshot(
        &self,
        position: Position,
        state_names: Vec<String>,
        has_best: bool,
        tensors: &[Tensor],
        others: &[Tensor],
    ) -> Result<Snapshot, CheckpointError> {
        let of_states =
            state_names.iter().map(|name| tensors.iter().map(|tensor| of_state(name, tensor)).collect());
        let of_states: Vec<Vec<Tensor>> = of_states.collect();
        let of_best: Vec<Tensor> = if has_best { tensors.iter().map(of_best).collect() } else { Vec::new() };
        let all = tensors.iter().chain(of_states.iter().flatten()).chain(&of_best).chain(others);
        refuse_others(self.path, self.file, &all.cloned().collect::<Vec<_>>())?;
        let params = self.params(tensors)?;
        let state =
            state_names.into_iter().zip(&of_states).map(|(name, tensors)| Ok((name, self.state(tensors)?)));
        let state = state.collect::<Result<Vec<_>, CheckpointError>>()?;
        Ok(Snapshot::new(position, params, state).with_best(self.params(&of_best)?))
    }

    fn view(
        &self,
        name: &str,
        dtype: Dtype,
        shape: Option<&[usize]>,
    ) -> Result<TensorView<'_>, CheckpointError> {
        let damaged = || CheckpointError::Damaged { path: self.path.to_owned(), name: name.to_owned() };
        let view = self.file.tensor(name).map_err(|_| damaged())?;
        let is_whole = view.dtype() == dtype
            && shape.is_none_or(|shape| view.shape() == shape)
            && self.sums.get(name) == Some(&hex(crc32c::crc32c(view.data())));
        if is_whole { Ok(view) } else { Err(damaged()) }
    }

    fn params(&self, tensors: &[Tensor]) -> Result<Vec<f32>, CheckpointError> {
        let mut params = Vec::new();
        for Tensor { name, shape } in tensors {
            append(self.path, name, &self.view(name, Dtype::F32, Some(shape))?, &mut params)?;
        }
        Ok(params)
    }

    /// Reads optimizer state. Unlike params, an average of squares may be infinite.
    fn state(&self, tensors: &[Tensor]) -> Result<Vec<f32>, CheckpointError> {
        let mut state = Vec::new();
        for Tensor { name, shape } in tensors {
            let view = self.view(name, Dtype::F32, Some(shape))?;
            state.extend(view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        }
        Ok(state)
    }

    fn epoch_secs(&self) -> Result<Vec<f64>, CheckpointError> {
        let view = self.view(EPOCH_SECS, Dtype::F64, None)?;
        Ok(view.data().as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
    }
}

/// Returns tensors with the range of their params.
fn ranges(tensors: &[Tensor]) -> Vec<(Tensor, Range<usize>)> {
    let mut end = 0;
    let with_range = |tensor: &Tensor| {
        let start = end;
        end += tensor.len();
        (tensor.clone(), start..end)
    };
    tensors.iter().map(with_range).collect()
}

fn of_state(name: &str, tensor: &Tensor) -> Tensor {
    Tensor { name: format!("optimizer.{name}.{}", tensor.name), shape: tensor.shape.clone() }
}

fn of_best(tensor: &Tensor) -> Tensor {
    Tensor { name: format!("best.{}", tensor.name), shape: tensor.shape.clone() }
}

fn checksum(text: &str) -> String {
    hex(crc32c::crc32c(text.as_bytes()))
}

fn hex(crc: u32) -> String {
    format!("{crc:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, Targets};
    use crate::model::{Activation, Loss};

    #[test]
    fn quality_is_that_of_a_complete_epoch_even_in_files_of_older_versions() {
        let data = Dataset::from_arrays(ndarray::array![[1.0]], Targets::None, None).unwrap();
        let (hidden, activation, loss) = (vec![], Activation::Relu, Loss::MSE);
        let facts = Arc::new(RunFacts {
            shape: MlpShape { inputs: 1, hidden, outputs: 1, activation, loss },
            standardize: None,
            standardize_targets: None,
            classes: None,
            options: BTreeMap::new(),
            train: data.fingerprint(),
            test: None,
            data: Default::default(),
        });
        let quality = Some(Quality { train_loss: Some(0.5), ..Quality::default() });
        let folder = tempfile::tempdir().unwrap();
        // Older versions also stored a quality for an incomplete epoch, after some of its batches.
        for (batch, expected) in [(0, quality), (7, None)] {
            let position = Position { batch, ..Position::default() };
            let snapshot = Arc::new(Snapshot::new(position, vec![0.0; 2], Vec::new()));
            let checkpoint =
                Checkpoint { facts: Arc::clone(&facts), snapshot, quality, history: History::default() };
            let path = folder.path().join(batch.to_string());
            checkpoint.save(&path).unwrap();
            assert_eq!(Checkpoint::load(&path).unwrap().quality, expected);
            assert_eq!(quality_of(&path).unwrap(), expected);
        }
    }
}
