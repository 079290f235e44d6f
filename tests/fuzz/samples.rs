//! Parsers of samples: IDX, gzip, CSV, npy, libsvm.

use std::fs;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use phalanx::data::{Column, LoadOptions, Source, TargetKind};

use crate::hunt::{Hunt, folder};
use crate::mutant::{Chance, mutate};

/// Tests a parser on mutants of `corpus`, written to a file of the given name.
fn hunt(parser: &'static str, file: &str, corpus: &[Vec<u8>], words: &[&str]) {
    hunt_with(parser, file, |chance| {
        let mut bytes = chance.one(corpus).clone();
        mutate(chance, &mut bytes, corpus, words);
        bytes
    });
}

fn hunt_with(parser: &'static str, file: &str, make: impl FnMut(&mut Chance) -> Vec<u8>) {
    let folder = folder();
    let file = folder.path().join(file);
    let is_idx = file.display().to_string().contains("idx");
    if is_idx {
        fs::write(folder.path().join("train-labels-idx1-ubyte"), idx(&[2], &[0, 1])).unwrap();
    }
    let source = if is_idx { folder.path() } else { &file }.display().to_string();
    let source: Source = source.parse().unwrap();
    let options = [
        LoadOptions::default(),
        LoadOptions {
            target: TargetKind::Values,
            weight_column: Some(Column::Number(0)),
            ..Default::default()
        },
        LoadOptions { target: TargetKind::None, features: Some(2), ..Default::default() },
    ];
    Hunt { parser, file }.run(make, |execution| {
        let loaded = source.load(&options[execution as usize % options.len()]);
        // Data that is accepted must be usable.
        if let Ok(loaded) = &loaded {
            assert!(loaded.train.features() > 0 && !loaded.train.is_empty());
            _ = loaded.train.fingerprint();
        }
        loaded.is_ok()
    });
}

fn idx(extents: &[u32], bytes: &[u8]) -> Vec<u8> {
    let extents_bytes = extents.iter().flat_map(|extent| extent.to_be_bytes());
    [0, 0, 8, extents.len() as u8].into_iter().chain(extents_bytes).chain(bytes.iter().copied()).collect()
}

fn gz(bytes: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn npy(version: u8, header: &[u8], bytes: &[u8]) -> Vec<u8> {
    let len = (header.len() as u32).to_le_bytes();
    let len = if version == 1 { &len[..2] } else { &len };
    [b"\x93NUMPY", &[version, 0][..], len, header, bytes].concat()
}

fn tables() -> Vec<Vec<u8>> {
    let texts = [
        "w,h,\"k\"\n1,2.5,ant\r\n\n-3e1,4,\"b,ee\"\n",
        "1,2,0\n3,4,1\n",
        "\u{feff}a,b,c\n0.5,1e-3,-1.5\n 2 ,+3,4\n",
        "0,1,\"x\n\"\"y\"\n1,2,z",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

#[test]
fn no_mutant_of_a_table_crashes_the_parser() {
    let words = [",", "\n", "\r\n", "\"", "\"\"", "\u{feff}", ",,", "nan", "-", "1e400", "\0", "é"];
    hunt("CSV", "a.csv", &tables(), &words);
}

#[test]
fn no_mutant_of_sparse_samples_crashes_the_parser() {
    let texts = [
        "# made\n+1 1:0.5 3:2\n-1 2:-1e3\n",
        "0 1:1\n1 2:1 # x\n2\n",
        "0.5 1:1\r\n1.5 7:0\n",
        "1:1 2:2\n1:3",
    ];
    let corpus = texts.map(|text| text.as_bytes().to_vec());
    let words = [":", " ", "\n", "#", "qid:1", "1:1", "16777216:1", "\t", "-", "\u{feff}", "nan", "\0"];
    hunt("libsvm", "a.svm", &corpus, &words);
}

/// In half of the mutants, the header length is corrected after the damage.
#[test]
fn no_mutant_of_an_array_crashes_the_parser() {
    let plain = |descr: &str, shape: &str| {
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n").into_bytes()
    };
    let ones = [1.0f32; 4].map(f32::to_le_bytes).concat();
    let fortran = b"{\"shape\": (1, 2), \"descr\": \"<f8\", \"fortran_order\": True}".to_vec();
    let parts = [
        (1, plain("<f4", "(2, 2)"), ones),
        (1, plain("|u1", "(2,)"), vec![3, 4]),
        (1, plain(">i8", "(1, 2, 1)"), vec![0; 16]),
        (2, fortran, vec![0; 16]),
    ];
    let corpus = parts.each_ref().map(|(version, header, bytes)| npy(*version, header, bytes));
    let words =
        ["(", ")", ",", "'", "{", "}", "True", "False", "'descr'", "'shape': ", "<f8", "|b1", ">u2", "é"];
    hunt_with("npy", "a.npy", |chance| {
        if chance.below(2) == 0 {
            let mut bytes = chance.one(&corpus).clone();
            mutate(chance, &mut bytes, &corpus, &words);
            return bytes;
        }
        let (version, mut header, bytes) = chance.one(&parts).clone();
        mutate(chance, &mut header, &corpus, &words);
        npy(version, &header, &bytes)
    });
}

#[test]
fn no_mutant_of_images_crashes_the_parser() {
    let corpus = [idx(&[2, 1, 2], &[1, 2, 3, 4]), idx(&[2, 1], &[1, 2]), idx(&[2, 1, 1, 3], &[9; 6])];
    let words = ["\0\0\u{8}\u{3}", "\0\0\0\u{1}", "\0\0\0\u{2}", "\u{1f}"];
    hunt("IDX", "train-images-idx3-ubyte", &corpus, &words);
}

/// Half of the mutants are damaged before compression, half after, and some both before and after.
#[test]
fn no_mutant_of_a_compressed_table_crashes_the_parser() {
    let corpus = tables();
    let packed: Vec<Vec<u8>> = corpus.iter().map(|table| gz(table, Compression::default())).collect();
    let stored: Vec<Vec<u8>> = corpus.iter().map(|table| gz(table, Compression::none())).collect();
    let all = [packed, stored].concat();
    let words = ["\u{1f}", "\0\0\0\0", ",", "\n"];
    hunt_with("gzip", "a.csv.gz", |chance| {
        let mut bytes = chance.one(&all).clone();
        let way = chance.below(8);
        if way < 2 {
            let mut plain = Vec::new();
            GzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap();
            mutate(chance, &mut plain, &corpus, &words);
            bytes = gz(&plain, Compression::fast());
        }
        if way > 0 {
            mutate(chance, &mut bytes, &all, &words);
        }
        bytes
    });
}
