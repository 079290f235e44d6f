//! Measures how fast data files are loaded, compared with `std::fs::read`, which copies the same
//! bytes from the cache of the operating system into new memory. Elements per second are bytes of
//! the file per second. The arrays have the size of MNIST.

use std::fmt::Write;
use std::fs;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use phalanx::data::Source;

const ROWS: usize = 60_000;
const COLUMNS: usize = 784;

/// The columns of a table of floats, with as many values as the arrays have in a tenth of the rows.
const TABLE_COLUMNS: usize = 50;

fn npy(descr: &str, shape: &str, elements: impl Iterator<Item = u8>) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend(u16::try_from(header.len()).expect("the header is short").to_le_bytes());
    file.extend(header.bytes());
    file.extend(elements);
    file
}

fn idx(dimensions: &[u32], elements: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut file = vec![0, 0, 8, dimensions.len() as u8];
    file.extend(dimensions.iter().flat_map(|extent| extent.to_be_bytes()));
    file.extend(elements);
    file
}

fn pixels() -> impl Iterator<Item = u8> {
    (0..ROWS * COLUMNS).map(|at| (at * 37 % 251) as u8)
}

fn classes(count: usize) -> impl Iterator<Item = u8> {
    (0..count).map(|sample| (sample % 10) as u8)
}

fn load(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder can be created");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let write = |name: &str, bytes: &[u8]| fs::write(path(name), bytes).expect("the folder can be written");
    let shape = format!("({ROWS}, {COLUMNS})");
    let floats = pixels().flat_map(|pixel| (f32::from(pixel) / 255.0).to_le_bytes());
    write("f4.npy", &npy("<f4", &shape, floats));
    write("u1.npy", &npy("|u1", &shape, pixels()));
    write("y.npy", &npy("|u1", &format!("({ROWS},)"), classes(ROWS)));
    write("train-images-idx3-ubyte", &idx(&[ROWS as u32, 28, 28], pixels()));
    write("train-labels-idx1-ubyte", &idx(&[ROWS as u32], classes(ROWS)));
    let mut table = String::new();
    for row in 0..ROWS * COLUMNS / 10 / TABLE_COLUMNS {
        for column in 1..TABLE_COLUMNS {
            let value = ((row * 37 + column * 11) % 10_007) as f32 / 10_007.0;
            write!(table, "{value:.6},").expect("a string can grow");
        }
        writeln!(table, "class-{}", row % 10).expect("a string can grow");
    }
    write("table.csv", table.as_bytes());

    let mut group = criterion.benchmark_group("load");
    group.sample_size(20);
    for (name, file, source) in [
        ("npy-f4", "f4.npy", format!("{},{}", path("f4.npy"), path("y.npy"))),
        ("npy-u1", "u1.npy", format!("{},{}", path("u1.npy"), path("y.npy"))),
        ("idx", "train-images-idx3-ubyte", folder.path().display().to_string()),
        ("csv", "table.csv", path("table.csv")),
    ] {
        let bytes = fs::metadata(path(file)).expect("the file was written").len();
        group.throughput(Throughput::Elements(bytes));
        group.bench_function(BenchmarkId::new("phalanx", name), |bencher| {
            let source: Source = source.parse().expect("the source has a known format");
            bencher.iter(|| black_box(source.load(&Default::default()).expect("the data are valid")));
        });
        group.bench_function(BenchmarkId::new("fs-read", name), |bencher| {
            bencher.iter(|| black_box(fs::read(path(file)).expect("the file can be read")));
        });
    }
    group.finish();
}

criterion_group!(benches, load);
criterion_main!(benches);
