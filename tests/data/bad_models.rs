//! Every invalid model file and checkpoint is rejected with a message that names the file, the
//! tensor, the value found and the value expected.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use phalanx::checkpoint::{Checkpoint, CheckpointError, ModelFile, read_tensors};
use phalanx::data::{LoadOptions, Source};
use phalanx::internals::{History, RunFacts};
use phalanx::model::{Activation, Loss, Mlp, MlpShape, Model};
use phalanx::train::{Position, Snapshot};
use serde_json::{Value, json};

use crate::tally::Tally;

/// Builds a safetensors file from a header, as text, and data.
pub fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// Splits a safetensors file into its header and its data.
pub fn split(bytes: &[u8]) -> (Value, Vec<u8>) {
    let end = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (serde_json::from_slice(&bytes[8..end]).unwrap(), bytes[end..].to_vec())
}

pub fn shape(hidden: Vec<usize>) -> MlpShape {
    MlpShape { inputs: 2, hidden, outputs: 1, activation: Activation::Relu, loss: Loss::MSE }
}

/// Returns the bytes that `save` writes.
fn written(save: impl FnOnce(&Path) -> Result<(), CheckpointError>) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("written");
    save(&path).unwrap();
    fs::read(path).unwrap()
}

/// A valid model file with two inputs and one output: `layers.0.weight` and `layers.0.bias`.
pub fn model() -> Vec<u8> {
    let options = BTreeMap::from([("lr".to_owned(), json!(0.1))]);
    let params = vec![1.0, 2.0, 3.0];
    let file = ModelFile {
        shape: shape(vec![]),
        params,
        standardize: None,
        standardize_targets: None,
        classes: None,
        options,
        train: None,
        test: None,
        data: Default::default(),
    };
    written(|path| file.save(path))
}

/// A valid checkpoint of that model.
pub fn checkpoint() -> Vec<u8> {
    let digits: Source = "digits".parse().unwrap();
    let train = digits.load(&LoadOptions::default()).unwrap().train.fingerprint();
    let facts = RunFacts {
        shape: shape(vec![]),
        standardize: None,
        standardize_targets: None,
        classes: None,
        options: BTreeMap::new(),
        train,
        test: None,
        data: Default::default(),
    };
    let state = vec![("exp_avg".to_owned(), vec![0.5; 3])];
    let snapshot = Snapshot::new(Position::default(), vec![1.0, 2.0, 3.0], state).with_best(vec![0.0; 3]);
    let history = History { epoch_secs: vec![1.5], ..History::default() };
    let file = Checkpoint { facts: Arc::new(facts), snapshot: Arc::new(snapshot), quality: None, history };
    written(|path| file.save(path))
}

/// Applies `change` to the header, as text.
fn with_header(bytes: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let (mut header, data) = split(bytes);
    change(&mut header);
    safetensors(&header.to_string(), &data)
}

/// Applies `change` to the description under `key` in the metadata.
fn with_description(bytes: &[u8], key: &str, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    with_header(bytes, |header| {
        let text = &mut header["__metadata__"][key];
        let mut description = serde_json::from_str(text.as_str().unwrap()).unwrap();
        change(&mut description);
        *text = Value::String(description.to_string());
    })
}

/// A file of zero F32 tensors, given by name and shape, without a description.
fn tensors(tensors: &[(&str, &[usize])]) -> Vec<u8> {
    let mut end = 0;
    let mut header = json!({});
    for (name, shape) in tensors {
        let start = end;
        end += 4 * shape.iter().product::<usize>();
        header[name] = json!({"dtype": "F32", "shape": shape, "data_offsets": [start, end]});
    }
    safetensors(&header.to_string(), &vec![0; end])
}

type Case = (&'static str, Vec<u8>, &'static [&'static str]);

/// Checks that `load` rejects each file with a message that contains its fragments and its name.
fn check<T>(what: &str, cases: Vec<Case>, load: impl Fn(&Path) -> Result<T, CheckpointError>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.safetensors");
    let mut tally = Tally::new("E2", what);
    for (name, bytes, fragments) in cases {
        fs::write(&path, bytes).unwrap();
        let message = load(&path).map_or_else(|error| error.to_string(), |_| "accepted".to_owned());
        let is_good = fragments.iter().chain(&["bad.safetensors"]).all(|fragment| message.contains(fragment));
        if !is_good {
            eprintln!("{name}: {message}");
        }
        tally.case(is_good, || format!("{name}: {message}"));
    }
    tally.end();
}

const INCOMPLETE: &str = "is damaged, or not a safetensors file";

#[test]
fn bad_model_files_are_rejected() {
    let good = model();
    let describe = |change: fn(&mut Value)| with_description(&good, "phalanx", change);
    let mut long = good.clone();
    long[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let mut beyond = good.clone();
    beyond[..8].copy_from_slice(&(good.len() as u64 - 7).to_le_bytes());
    let mut changed = good.clone();
    *changed.last_mut().unwrap() ^= 1;
    let infinite = [&good[..good.len() - 4], &f32::INFINITY.to_le_bytes()].concat();
    let cases: Vec<Case> = vec![
        ("an empty file", vec![], &[INCOMPLETE, "give another file or run directory"]),
        ("half a header length", vec![1, 0, 0], &[INCOMPLETE]),
        ("a header longer than any", long, &[INCOMPLETE, "header too large"]),
        ("a header longer than the file", beyond, &[INCOMPLETE, "invalid header length"]),
        ("a header that is not JSON", safetensors("{\"a\":", b""), &[INCOMPLETE, "invalid JSON"]),
        (
            "a header that is not text",
            safetensors("", b"").into_iter().chain([0xff]).collect(),
            &[INCOMPLETE],
        ),
        ("one byte less", good[..good.len() - 1].to_vec(), &[INCOMPLETE]),
        ("one byte more", [&good[..], &[0]].concat(), &[INCOMPLETE]),
        (
            "a tensor larger than the file",
            with_header(&good, |header| header["layers.0.weight"]["data_offsets"] = json!([4, 1_u64 << 40])),
            &[INCOMPLETE],
        ),
        (
            "a tensor larger than memory",
            with_header(&good, |header| {
                header["layers.0.weight"]["shape"] = json!([1_u64 << 62, 1_u64 << 62])
            }),
            &[INCOMPLETE],
        ),
        (
            "tensors that overlap",
            with_header(&good, |header| header["layers.0.weight"]["data_offsets"] = json!([0, 8])),
            &[INCOMPLETE, "invalid offset"],
        ),
        ("no description", tensors(&[("a", &[2])]), &["has no description of its model", "--init"]),
        (
            "an invalid description",
            with_header(&good, |header| header["__metadata__"]["phalanx"] = json!("{")),
            &["the description of the model in", "cannot be read", "copy it again"],
        ),
        (
            "a description without a shape",
            describe(|description| _ = description.as_object_mut().unwrap().remove("shape")),
            &["cannot be read", "missing field `shape`"],
        ),
        (
            "a newer version",
            describe(|description| description["version"] = json!(3)),
            &["format version 3", "reads versions 1 to 2"],
        ),
        (
            "a deviation of targets that is 0",
            describe(|description| description["standardize_targets"] = json!({"mean": [1.0], "std": [0.0]})),
            &["standardized targets that do not match its model of 1 outputs with loss mse", "above 0"],
        ),
        (
            "standardized targets for a different number of outputs",
            describe(|description| {
                description["standardize_targets"] = json!({"mean": [1.0, 2.0], "std": [1.0, 2.0]})
            }),
            &["standardized targets that do not match its model"],
        ),
        (
            "standardized targets of classes",
            describe(|description| {
                description["standardize_targets"] = json!({"mean": [1.0], "std": [1.0]});
                description["shape"]["loss"] = json!("bce");
            }),
            &["standardized targets that do not match its model", "loss bce; expected mse"],
        ),
        (
            "a layer of width 0",
            describe(|description| description["shape"]["hidden"] = json!([3, 0])),
            &["a layer of width 0"],
        ),
        (
            "more params than the address space holds",
            describe(|description| description["shape"]["inputs"] = json!(u64::MAX)),
            &["too many params to count"],
        ),
        (
            "a wider model than the tensors",
            describe(|description| description["shape"]["inputs"] = json!(3)),
            &[
                "'layers.0.weight'",
                "has shape [1, 2], but the model needs [1, 3]; use the model that the file is of (for --init",
            ],
        ),
        (
            "a deeper model than the tensors",
            describe(|description| description["shape"]["hidden"] = json!([1])),
            &["has no tensor 'layers.1.weight'", "it has layers.0.bias, layers.0.weight"],
        ),
        ("a changed param", changed, &["was changed after it was written", "checksum"]),
        (
            "a changed option",
            describe(|description| description["options"]["lr"] = json!(0.2)),
            &["was changed after it was written"],
        ),
        ("an infinite param", infinite, &["'layers.0.", "has inf at element", "finite"]),
    ];
    check("model files that are rejected", cases, ModelFile::load);
}

#[test]
fn bad_checkpoints_are_rejected() {
    let good = checkpoint();
    let describe = |change: fn(&mut Value)| with_description(&good, "phalanx-checkpoint", change);
    let mut changed = good.clone();
    *changed.last_mut().unwrap() ^= 1;
    let cases: Vec<Case> = vec![
        ("a model", model(), &["is not a checkpoint", "--init"]),
        ("a changed number", changed, &["tensor 'optimizer.exp_avg.layers.0.", "is damaged", "from a copy"]),
        (
            "another position in the run",
            describe(|description| description["position"]["step"] = json!(7)),
            &["was changed after it was written"],
        ),
        (
            "a newer version",
            describe(|description| description["version"] = json!(9)),
            &["format version 9", "reads versions 1 to 2"],
        ),
        (
            "targets for a different number of outputs",
            with_description(&good, "phalanx-checkpoint", |description| {
                description["facts"]["standardize_targets"] = json!({"mean": [], "std": []});
                let unsealed = {
                    description["crc32c"] = json!("");
                    description.to_string()
                };
                description["crc32c"] = json!(format!("{:08x}", crc32c::crc32c(unsealed.as_bytes())));
            }),
            &["standardized targets that do not match its model"],
        ),
        (
            "an invalid description",
            with_header(&good, |header| header["__metadata__"]["phalanx-checkpoint"] = json!("[]")),
            &["cannot be read"],
        ),
        ("one byte less", good[..good.len() - 1].to_vec(), &[INCOMPLETE]),
        (
            "another name of a tensor",
            String::from_utf8_lossy(&good)
                .contains("best.layers.0.bias")
                .then(|| {
                    with_header(&good, |header| {
                        let tensor = header.as_object_mut().unwrap().remove("best.layers.0.bias").unwrap();
                        header["best.layers.0.bios"] = tensor;
                    })
                })
                .unwrap(),
            &["has a tensor 'best.layers.0.bios' that the model does not have"],
        ),
    ];
    check("checkpoints that are rejected", cases, Checkpoint::load);
}

#[test]
fn bad_params_of_other_programs_are_rejected() {
    let of = |text: &str, data: &[u8]| safetensors(text, data);
    let cases: Vec<Case> = vec![
        ("no tensor", tensors(&[]), &["has no tensor 'layers.0.weight'; it has none", "--hidden"]),
        (
            "other names",
            tensors(&[("fc1.weight", &[1, 2]), ("fc1.bias", &[1])]),
            &["has a tensor 'fc1.bias' that the model does not have", "layers.0.weight, layers.0.bias"],
        ),
        (
            "a transposed weight",
            tensors(&[("layers.0.weight", &[2, 1]), ("layers.0.bias", &[1])]),
            &["tensor 'layers.0.weight'", "has shape [2, 1], but the model needs [1, 2]"],
        ),
        (
            "no bias",
            tensors(&[("layers.0.weight", &[1, 2])]),
            &["has no tensor 'layers.0.bias'; it has layers.0.weight"],
        ),
        (
            "halves",
            of(
                r#"{"layers.0.bias":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
                "layers.0.weight":{"dtype":"F16","shape":[1,2],"data_offsets":[4,8]}}"#,
                &[0; 8],
            ),
            &["tensor 'layers.0.weight'", "is F16, but must be F32", ".float()"],
        ),
        (
            "an unknown element type",
            of(r#"{"layers.0.bias":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}"#, &[0; 4]),
            &[INCOMPLETE, "F31"],
        ),
    ];
    let tensors = Mlp::new(shape(vec![])).tensors();
    check("params of other programs that are rejected", cases, |path| read_tensors(path, &tensors));
}

#[test]
fn the_files_are_valid_before_they_are_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("good.safetensors");
    let rebuilt = |bytes: &[u8]| with_header(bytes, |_| ());
    for bytes in [model(), rebuilt(&model()), checkpoint(), rebuilt(&checkpoint())] {
        fs::write(&path, bytes).unwrap();
        assert_eq!(ModelFile::load(&path).unwrap().params, [1.0, 2.0, 3.0]);
    }
    assert_eq!(Checkpoint::load(&path).unwrap().history.epoch_secs, [1.5]);
}
