//! Parsers of tensors: model files and checkpoints.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use phalanx::checkpoint::{Checkpoint, CheckpointError, ModelFile, params_sha256, read_tensors};
use phalanx::data::{Classes, LoadOptions, Source};
use phalanx::internals::{History, RunFacts, summarize};
use phalanx::model::{Activation, Loss, Mlp, MlpShape, Model};
use phalanx::train::{Position, Snapshot};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::hunt::{Hunt, folder};
use crate::mutant::{Chance, mutate};

const WORDS: [&str; 14] = [
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "\"shape\":",
    "\"F16\"",
    "\"dtype\":",
    "\\u0000",
    "[1,2]",
    "layers.1.weight",
];

fn shape(hidden: Vec<usize>) -> MlpShape {
    MlpShape { inputs: 2, hidden, outputs: 2, activation: Activation::Relu, loss: Loss::CrossEntropy }
}

/// Returns the bytes that `save` writes.
fn written(save: impl FnOnce(&Path) -> Result<(), CheckpointError>) -> Vec<u8> {
    let folder = folder();
    let path = folder.path().join("written");
    save(&path).unwrap();
    fs::read(path).unwrap()
}

fn model(hidden: Vec<usize>, options: Value) -> Vec<u8> {
    let shape = shape(hidden);
    let params = vec![1.0; shape.params_len().unwrap()];
    let options = BTreeMap::from([("lr".to_owned(), options)]);
    let file = ModelFile {
        shape,
        params,
        standardize: None,
        standardize_targets: None,
        classes: Some(Classes::indices(2)),
        options,
        train: None,
        test: None,
        data: Default::default(),
    };
    written(|path| file.save(path))
}

/// A model that standardizes its targets, which is stored in format version 2.
fn model_of_values() -> Vec<u8> {
    let shape = MlpShape { loss: Loss::MSE, ..shape(vec![]) };
    let params = vec![1.0; shape.params_len().unwrap()];
    let standardize_targets = serde_json::from_str(r#"{"mean":[3.0,4.0],"std":[1.0,2.0]}"#).unwrap();
    let (standardize, classes, options, train, test, data) = Default::default();
    let file =
        ModelFile { shape, params, standardize, standardize_targets, classes, options, train, test, data };
    written(|path| file.save(path))
}

fn checkpoint(state: &[&str]) -> Vec<u8> {
    let digits: Source = "digits".parse().unwrap();
    let train = digits.load(&LoadOptions::default()).unwrap().train.fingerprint();
    let (options, classes) = (BTreeMap::new(), Some(Classes::indices(2)));
    let facts = RunFacts {
        shape: shape(vec![]),
        standardize: None,
        standardize_targets: None,
        classes,
        options,
        train,
        test: None,
        data: Default::default(),
    };
    let state = state.iter().map(|name| ((*name).to_owned(), vec![0.5; 6])).collect();
    let snapshot = Snapshot::new(Position::default(), vec![1.0; 6], state);
    let history = History { epoch_secs: vec![1.5], ..History::default() };
    let file = Checkpoint { facts: Arc::new(facts), snapshot: Arc::new(snapshot), quality: None, history };
    written(|path| file.save(path))
}

/// Splits a file into its header, as text, and its data.
fn split(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let end = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (bytes[8..end].to_vec(), bytes[end..].to_vec())
}

fn join(header: &[u8], data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header, data].concat()
}

/// Damages the raw file; or its header, with the length corrected; or the description in the
/// header, with the checksum corrected by `seal`, so that only the parser's own checks can reject
/// it.
fn damaged(
    chance: &mut Chance,
    corpus: &[Vec<u8>],
    key: &str,
    seal: impl Fn(&str, &[u8]) -> String,
) -> Vec<u8> {
    let mut bytes = chance.one(corpus).clone();
    match chance.below(3) {
        0 => mutate(chance, &mut bytes, corpus, &WORDS),
        1 => {
            let (mut header, data) = split(&bytes);
            mutate(chance, &mut header, corpus, &WORDS);
            bytes = join(&header, &data);
        }
        _ => {
            let (header, data) = split(&bytes);
            let mut header: Value = serde_json::from_slice(&header).unwrap();
            let entry = &mut header["__metadata__"][key];
            let mut text = entry.as_str().unwrap().as_bytes().to_vec();
            mutate(chance, &mut text, corpus, &WORDS);
            *entry = json!(seal(&String::from_utf8_lossy(&text), &data));
            bytes = join(header.to_string().as_bytes(), &data);
        }
    }
    bytes
}

/// Returns the value of a field that is a quoted string.
fn value<'a>(text: &'a str, field: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("\"{field}\":\""))?;
    rest.split('"').next()
}

#[test]
fn no_mutant_of_a_model_crashes_the_parser() {
    let corpus = [
        model(vec![], json!(0.1)),
        model(vec![1], json!([1, "a", {"b": null}])),
        model(vec![2, 1], json!("x")),
        model_of_values(),
    ];
    let folder = folder();
    let file = folder.path().join("a.safetensors");
    let tensors = Mlp::new(shape(vec![1])).tensors();
    let seal = |text: &str, data: &[u8]| {
        let Some(old) = value(text, "sha256") else { return text.to_owned() };
        let params: Vec<f32> =
            data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let sum = Sha256::new().chain_update(text.replacen(old, "", 1)).chain_update(params_sha256(&params));
        let sum: String = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        text.replacen(old, &sum, 1)
    };
    let path = file.clone();
    Hunt { parser: "model files", file }.run(
        |chance| damaged(chance, &corpus, "phalanx", seal),
        |_| {
            let params = read_tensors(&path, &tensors).is_ok();
            let summary = summarize(&path).is_ok();
            ModelFile::load(&path).is_ok_and(|file| file.model().params_len() == file.params.len())
                || params
                || summary
        },
    );
}

#[test]
fn no_mutant_of_a_checkpoint_crashes_the_parser() {
    let corpus = [checkpoint(&[]), checkpoint(&["momentum_buffer"]), checkpoint(&["exp_avg", "exp_avg_sq"])];
    let folder = folder();
    let file = folder.path().join("a.safetensors");
    let seal = |text: &str, _: &[u8]| match value(text, "crc32c") {
        Some(old) => {
            text.replacen(old, &format!("{:08x}", crc32c::crc32c(text.replacen(old, "", 1).as_bytes())), 1)
        }
        None => text.to_owned(),
    };
    let path = file.clone();
    Hunt { parser: "checkpoints", file }.run(
        |chance| damaged(chance, &corpus, "phalanx-checkpoint", seal),
        |_| {
            Checkpoint::load(&path)
                .is_ok_and(|file| file.model().model().params_len() == file.model().params.len())
        },
    );
}
