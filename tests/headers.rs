//! Shows that a header is never trusted: whatever size a file claims, reading it takes at most
//! twice the bytes that it contains after decompression, plus 16 MiB.
//!
//! This is the only test in its process, so that no other allocations count; the allocator is that
//! of the crate dhat.

#[path = "data/bad_source.rs"]
#[allow(dead_code)]
mod bad_source;
mod tally;

use std::fs;
use std::io::Write;
use std::path::Path;

use bad_source::{gz, npy, npy_text};
use flate2::{Compression, GzBuilder};
use phalanx::checkpoint::ModelFile;
use phalanx::data::{LoadOptions, Source, TargetKind};
use phalanx::internals::summarize;
use tally::Tally;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// The size of a file's content after its header, in cases where the size matters.
const CONTENT: usize = 24 << 20;
const SLACK: usize = 16 << 20;

/// Files by name, the source to load, and the size of the decompressed files in bytes.
struct Case {
    what: &'static str,
    files: Vec<(&'static str, Vec<u8>)>,
    source: &'static str,
    held: usize,
}

fn case(what: &'static str, file: &'static str, bytes: impl Into<Vec<u8>>) -> Case {
    let bytes = bytes.into();
    let held = bytes.len();
    Case { what, files: vec![(file, bytes)], source: file, held }
}

const IMAGES: &str = "train-images-idx3-ubyte";

fn images(what: &'static str, bytes: Vec<u8>) -> Case {
    Case { source: "", ..case(what, IMAGES, bytes) }
}

/// A packed file, with the size of its content.
fn packed_images(what: &'static str, bytes: Vec<u8>) -> Case {
    Case { source: "", held: bytes.len(), ..case(what, "train-images-idx3-ubyte.gz", gz(&bytes)) }
}

fn idx(extents: &[u32], held: usize) -> Vec<u8> {
    let extents_bytes = extents.iter().flat_map(|extent| extent.to_be_bytes());
    [0, 0, 8, extents.len() as u8].into_iter().chain(extents_bytes).chain(vec![1; held]).collect()
}

/// Images of 64 KiB that cannot be compressed, so that the rest of the file could contain much
/// more.
fn noise(extents: &[u32]) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    [idx(extents, 0), (0..1 << 16).map(|_| next()).collect()].concat()
}

fn safetensors(header: &str, held: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; held]].concat()
}

/// A file that consists almost entirely of its header.
fn tensors(count: usize) -> Vec<u8> {
    let tensor = |index| format!(r#""{index:x}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#);
    safetensors(&format!("{{{}}}", (0..count).map(tensor).collect::<Vec<_>>().join(",")), 0)
}

fn metadata(count: usize) -> Vec<u8> {
    let entry = |index| format!(r#""{index:x}":"""#);
    let entries: Vec<_> = (0..count).map(entry).collect();
    safetensors(&format!(r#"{{"__metadata__":{{{}}}}}"#, entries.join(",")), 0)
}

/// A model file with this description, and with the two tensors of a one-layer model.
fn described(key: &str, description: &str, held: usize) -> Vec<u8> {
    let text = serde_json::to_string(description).unwrap();
    let weights = held / 4;
    let header = format!(
        r#"{{"__metadata__":{{"{key}":{text}}},"layers.0.bias":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}},"layers.0.weight":{{"dtype":"F32","shape":[1,{weights}],"data_offsets":[4,{}]}}}}"#,
        4 + 4 * weights
    );
    safetensors(&header, 4 + 4 * weights)
}

fn model(inputs: u64, hidden: &str, options: &str, held: usize) -> Vec<u8> {
    let text = format!(
        r#"{{"version":1,"sha256":"0","shape":{{"inputs":{inputs},"hidden":[{hidden}],"outputs":1,"activation":"relu","loss":"mse"}},"standardize":null,"classes":null,"options":{{{options}}}}}"#
    );
    described("phalanx", &text, held)
}

fn arrays() -> Vec<Case> {
    let long = |length: u32| {
        let mut bytes = npy_text(2, "", b"");
        bytes.splice(8..10, length.to_le_bytes());
        bytes
    };
    let shape_of_ones = format!("{{'shape': ({})}}", "1,".repeat(30_000));
    let mut sized = b"\x93NUMPY\x02\x00".to_vec();
    sized.extend((shape_of_ones.len() as u32).to_le_bytes());
    sized.extend(shape_of_ones.as_bytes());
    vec![
        case("npy of 2^60 numbers", "a.npy", npy("<f8", "(1152921504606846976,)", &[0; 8])),
        case("npy of 2^61 bytes", "a.npy", npy("<f8", "(288230376151711744,)", &[0; 8])),
        case("npy of 2^64 numbers", "a.npy", npy("|u1", "(18446744073709551615,)", &[0; 8])),
        case("npy of 2^32 x 2^32", "a.npy", npy("<f4", "(4294967296, 4294967296)", &[0; 8])),
        case("npy of 1 GiB", "a.npy", npy("<f4", "(16384, 16384)", &[0; 8])),
        case("npy of twice its content", "a.npy", npy("|u1", "(50331648,)", &vec![1; CONTENT])),
        case("npy of half its content", "a.npy", npy("|u1", "(12582912,)", &vec![1; CONTENT])),
        case("npy of a header of 4 GiB", "a.npy", long(u32::MAX)),
        case("npy of a header of 64 KiB", "a.npy", long(1 << 16)),
        case("npy of 30,000 extents", "a.npy", sized),
        case("npy of i16, stored as f32", "a.npy", npy("<i2", "(12582912,)", &vec![1; CONTENT])),
        case(
            "npy in Fortran order",
            "a.npy",
            npy_text(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (6, 1048576)}", &vec![0; CONTENT]),
        ),
        Case {
            files: vec![
                ("x.npy", npy("|u1", "(1,)", &[0])),
                ("y.npy", npy("<f8", "(1, 1152921504606846976)", &[0; 8])),
            ],
            source: "x.npy,y.npy",
            ..case("npy of 2^60 labels per sample", "x.npy", npy("|u1", "(1,)", &[0; 8]))
        },
    ]
}

fn images_and_packed() -> Vec<Case> {
    let named = |len: usize| {
        let file = GzBuilder::new().filename("a".repeat(len)).extra(vec![b'x'; 60_000]);
        let mut packer = file.write(Vec::new(), Compression::best());
        packer.write_all(b"1,2,0\n").unwrap();
        packer.finish().unwrap()
    };
    let mut sized = gz(b"1,2,0\n3,4,1\n");
    let at = sized.len() - 4;
    sized[at..].copy_from_slice(&u32::MAX.to_le_bytes());
    vec![
        images("IDX of 2^96 bytes", idx(&[u32::MAX; 3], 5)),
        images("IDX of 2^128 bytes", idx(&[u32::MAX; 4], 5)),
        images("IDX of 4 GiB", idx(&[u32::MAX, 1, 1], 5)),
        images("IDX of 255 extents", idx(&[u32::MAX; 255], 5)),
        images("IDX of twice its content", idx(&[2 * CONTENT as u32, 1, 1], CONTENT)),
        images("IDX of half its content", idx(&[CONTENT as u32 / 2, 1, 1], CONTENT)),
        packed_images("packed IDX of 2^96 bytes", idx(&[u32::MAX; 3], 5)),
        packed_images("packed IDX of the maximum for deflate", idx(&[34_000, 1, 1], 5)),
        packed_images("packed IDX of a thousand times its content", noise(&[60 << 20, 1, 1])),
        packed_images("packed IDX of twice its content", idx(&[2 * CONTENT as u32, 1, 1], CONTENT)),
        packed_images("packed IDX of half its content", idx(&[CONTENT as u32 / 2, 1, 1], CONTENT)),
        case("gzip with a name of 24 MiB", "a.csv.gz", named(CONTENT)),
        case("gzip with a name of 60,000 bytes", "a.csv.gz", named(60_000)),
        case("gzip of 4 GiB according to its trailer", "a.csv.gz", sized),
    ]
}

fn text() -> Vec<Case> {
    let of = |unit: &str| unit.repeat(CONTENT / unit.len());
    vec![
        case("libsvm with feature 2^24", "a.svm", "1 16777216:1\n0 1:1\n"),
        case("libsvm with feature 2^32", "a.svm", "1 4294967295:1\n"),
        case("libsvm with feature 2^64", "a.svm", "1 18446744073709551615:1\n"),
        case("libsvm with label 2^31", "a.svm", "2147483648 1:1\n"),
        case("libsvm of a comment of colons", "a.svm", of(":").replacen(':', "#", 1) + "\n1 1:1\n"),
        case("libsvm of colons", "a.svm", of(":")),
        case("libsvm of empty lines", "a.svm", of("\n") + "1 1:1\n"),
        case("libsvm of one long word", "a.svm", of("1")),
        case("table of empty lines", "a.csv", "1.5,1\n".to_owned() + &of("\n")),
        case("table of label 65534", "a.csv", "1,65534\n"),
        case("table of label 2^53", "a.csv", "1,9007199254740992\n"),
        case("table of one long word", "a.csv", of("1")),
        case("table of one long quoted word", "a.csv", of("1").replacen('1', "\"", 1)),
        case("table of a long word in its third line", "a.csv", "1,2\n1,2\n".to_owned() + &of("1")),
        case("table of commas", "a.csv", of(",")),
        case("table of numbers in one line", "a.csv", of("1,")),
    ]
}

fn models() -> Vec<Case> {
    let promised = |length: u64| [&length.to_le_bytes()[..], b"{}"].concat();
    let tensor = |shape: &str, end: u64| {
        let header =
            format!(r#"{{"layers.0.weight":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}}}"#);
        safetensors(&header, 8)
    };
    vec![
        case("safetensors of a header of 2^64 bytes", "a.st", promised(u64::MAX)),
        case("safetensors of a header of 100 MB", "a.st", promised(99_999_999)),
        case("safetensors of a tensor of 2^64 bytes", "a.st", tensor("[4611686018427387904]", u64::MAX)),
        case("safetensors of a tensor of 2^40 bytes", "a.st", tensor("[274877906944]", 1 << 40)),
        case("safetensors of extents that overflow", "a.st", tensor("[4294967296,4294967296,4294967296]", 8)),
        case("safetensors of a whole model", "a.st", model(CONTENT as u64 / 4, "", "", CONTENT)),
        case("safetensors of a header of many tensors", "a.st", tensors(CONTENT / 50)),
        case("safetensors of 15,900 tensors", "a.st", tensors(15_900)),
        case("safetensors of many entries of metadata", "a.st", metadata(CONTENT / 16)),
        case("safetensors of 39,900 entries of metadata", "a.st", metadata(39_900)),
        case(
            "safetensors of one long entry of metadata",
            "a.st",
            described("phalanx", &"a".repeat(CONTENT), 8),
        ),
        case("safetensors of an entry of 7 MiB", "a.st", described("phalanx", &"a".repeat(7 << 20), 8)),
        case("model of 2^61 params", "a.st", model(1 << 59, "", "", 8)),
        case("model of 2^40 params", "a.st", model(1 << 20, "1048576", "", 8)),
        case("model of 10,000 layers", "a.st", model(2, &vec!["1"; 10_000].join(","), "", 8)),
    ]
}

/// Returns the maximum number of bytes allocated at once while the case was read.
fn peak(case: &Case, folder: &Path) -> (usize, String) {
    let path = folder.join(case.source);
    let profiler = dhat::Profiler::builder().testing().build();
    let outcome = match case.source {
        "a.st" => {
            let models = ModelFile::load(&path).map(|_| ()).map_err(|error| error.to_string());
            let files = summarize(&path).map(|_| ()).map_err(|error| error.to_string());
            models.and(files)
        }
        source => {
            let paths: Vec<_> =
                source.split(',').map(|name| folder.join(name).display().to_string()).collect();
            let source: Source = paths.join(",").parse().unwrap();
            let target = if source.to_string().ends_with('/') { TargetKind::None } else { TargetKind::Auto };
            let options = LoadOptions { target, ..LoadOptions::default() };
            source.load(&options).map(|_| ()).map_err(|error| error.to_string())
        }
    };
    let peak = dhat::HeapStats::get().max_bytes;
    drop(profiler);
    (peak, outcome.err().unwrap_or_else(|| "read".to_owned()))
}

#[test]
fn no_header_is_trusted_beyond_the_size_of_the_file() {
    let mut tally = Tally::new("E3", "hostile files that take at most twice their bytes and 16 MiB");
    for case in [arrays(), images_and_packed(), text(), models()].into_iter().flatten() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in &case.files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let (peak, error) = peak(&case, folder.path());
        let most = 2 * case.held + SLACK;
        let describe = || {
            format!(
                "{}: {peak} bytes, expected at most {most}, for a content of {}: {}",
                case.what,
                case.held,
                error.chars().take(160).collect::<String>()
            )
        };
        println!("{}", describe());
        tally.case(peak <= most, describe);
    }
    tally.end();
}
