//! Damaged files of a run: they are rejected after any truncation and any changed bit.

use std::fs;
use std::path::Path;

use crate::tally::Tally;
use crate::test_dir::{TestDir, table};
use phalanx::checkpoint::{Checkpoint, CheckpointError, ModelFile};

/// Returns a directory with a run of a small model and its checkpoint.
fn furnished() -> TestDir {
    let dir = TestDir::new();
    dir.write("good.csv", table(40, |a, b| usize::from(a > b).to_string()));
    dir.good("train good.csv --hidden none --standardize --optimizer adam --epochs 2 -o run");
    dir
}

/// Checks that every truncation and every changed bit gives a typed error that names the file.
fn all_damage_is_rejected<T>(dir: &TestDir, name: &str, load: impl Fn(&Path) -> Result<T, CheckpointError>) {
    let whole = fs::read(dir.path(name)).unwrap();
    let damaged = dir.path("damaged.safetensors");
    let refused = |bytes: &[u8]| {
        fs::write(&damaged, bytes).unwrap();
        load(&damaged).err().is_some_and(|error| error.to_string().contains("damaged.safetensors"))
    };
    assert!(!refused(&whole));
    let mut tally = Tally::new("D4", format!("truncations and changed bits of {name} that are rejected"));
    for len in 0..whole.len() {
        tally.case(refused(&whole[..len]), || format!("cut to {len} bytes"));
    }
    let mut bytes = whole;
    for bit in 0..8 * bytes.len() {
        bytes[bit / 8] ^= 1 << (bit % 8);
        tally.case(refused(&bytes), || format!("bit {} of byte {}", bit % 8, bit / 8));
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    tally.end();
}

#[test]
fn every_truncation_and_every_changed_bit_of_a_checkpoint_is_rejected() {
    all_damage_is_rejected(&furnished(), "run/checkpoints/step-00000002.safetensors", Checkpoint::load);
}

#[test]
fn every_truncation_and_every_changed_bit_of_a_model_is_rejected() {
    all_damage_is_rejected(&furnished(), "run/model.safetensors", ModelFile::load);
}

#[test]
fn the_program_names_the_damaged_file() {
    let dir = furnished();
    let whole = fs::read(dir.path("run/model.safetensors")).unwrap();
    dir.write("damaged.safetensors", &whole[..whole.len() - 1]);
    let mut flipped = whole;
    let at = flipped.len() - 3;
    flipped[at] ^= 1;
    dir.write("flipped.safetensors", flipped);
    for (arguments, expected) in [
        ("eval damaged.safetensors", "damaged.safetensors is damaged, or not a safetensors file"),
        ("predict flipped.safetensors", "flipped.safetensors was changed"),
        ("inspect flipped.safetensors", "flipped.safetensors was changed"),
    ] {
        let ran = dir.run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "phalanx {arguments}");
        assert!(ran.err.contains(expected), "phalanx {arguments}: {}", ran.err);
    }
}
