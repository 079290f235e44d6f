//! A truncated or modified file is read or rejected, and never crashes the program.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use phalanx::data::{DataError, LoadOptions, LoadedData, Source, TargetKind};
use proptest::prelude::*;
use tempfile::{TempDir, tempdir};

const NPY: &[u8] =
    b"\x93NUMPY\x01\x00\x42\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }      \n\
    \x00\x00\x80\x3f\x00\x00\x00\x40\x00\x00\x40\x40\x00\x00\x80\x40";
const CSV: &[u8] = b"w,h,\"k\"\n1,2.5,ant\r\n\n-3e1,4,\"b,ee\"\n";
const SVM: &[u8] = b"# made\n+1 1:0.5 3:2\n-1 2:-1e3\n";
const IMAGES: &[u8] = b"\0\0\x08\x03\0\0\0\x02\0\0\0\x01\0\0\0\x02\x01\x02\x03\x04";
const LABELS: &[u8] = b"\0\0\x08\x01\0\0\0\x02\x00\x01";

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Each format: the file to damage, the name of the source in the folder, and valid content.
fn formats() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    vec![
        ("a.npy", "a.npy", NPY.to_vec()),
        ("a.csv", "a.csv", CSV.to_vec()),
        ("a.csv.gz", "a.csv.gz", gz(CSV)),
        ("a.svm", "a.svm", SVM.to_vec()),
        ("train-images-idx3-ubyte", "", IMAGES.to_vec()),
        ("train-images-idx3-ubyte.gz", "", gz(IMAGES)),
    ]
}

fn folder() -> TempDir {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("train-labels-idx1-ubyte"), LABELS).unwrap();
    folder
}

fn load(folder: &TempDir, file: &str, source: &str, bytes: &[u8]) -> Result<LoadedData, DataError> {
    let path = folder.path().join(file);
    fs::write(&path, bytes).unwrap();
    let source = folder.path().join(source).display().to_string().parse::<Source>()?;
    let loaded = source.load(&LoadOptions::default());
    let _ =
        source.load(&LoadOptions { target: TargetKind::None, features: Some(2), ..LoadOptions::default() });
    fs::remove_file(&path).unwrap();
    loaded
}

#[test]
fn the_complete_files_are_valid() {
    let folder = folder();
    for (file, source, bytes) in formats() {
        assert_eq!(load(&folder, file, source, &bytes).unwrap().train.len(), 2, "{file}");
    }
}

#[test]
fn every_truncation_of_a_binary_file_is_rejected() {
    let folder = folder();
    for (file, source, bytes) in formats() {
        for end in 0..bytes.len() {
            let loaded = load(&folder, file, source, &bytes[..end]);
            let is_text = file == "a.csv" || file == "a.svm";
            assert!(loaded.is_err() || is_text, "{file} truncated to {end} bytes was read");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_change_of_bytes_crashes_the_program(
        format in 0..6usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let folder = folder();
        let (file, source, mut bytes) = formats().swap_remove(format);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(loaded) = load(&folder, file, source, &bytes) {
            prop_assert!(loaded.train.features() > 0 && !loaded.train.is_empty());
        }
    }
}
