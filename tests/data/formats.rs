//! Each format reads back, bit for bit, the samples that the test wrote.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use ndarray::{Array2, array};
use phalanx::data::{
    Classes, Column, Dataset, HeaderRow, LoadOptions, LoadedData, Source, Standardize, TargetKind, Targets,
};
use phalanx::internals::GatherBuffer;
use tempfile::{TempDir, tempdir};

/// The files of a test, in their own folder.
struct Files(TempDir);

impl Files {
    fn new(files: &[(&str, &[u8])]) -> Files {
        let folder = tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        Files(folder)
    }

    fn load(&self, name: &str, options: &LoadOptions) -> LoadedData {
        let path = |name| self.0.path().join(name).display().to_string();
        let text = name.split(',').map(path).collect::<Vec<_>>().join(",");
        text.parse::<Source>().unwrap().load(options).unwrap()
    }

    fn train(&self, name: &str, options: &LoadOptions) -> Dataset {
        self.load(name, options).train
    }
}

fn one_file(name: &str, bytes: &[u8], options: &LoadOptions) -> Dataset {
    Files::new(&[(name, bytes)]).train(name, options)
}

fn inputs(data: &Dataset) -> Array2<f32> {
    let outputs = match data.targets() {
        Targets::Values { outputs, .. } => *outputs,
        _ => 0,
    };
    let mut all = GatherBuffer::new(data.len(), data.features(), outputs);
    data.gather(&(0..data.len() as u32).collect::<Vec<_>>(), &mut all);
    all.inputs().to_owned()
}

fn class_targets(labels: &[u32], count: usize) -> Targets {
    Targets::Classes { labels: labels.to_vec(), count }
}

fn value_targets(values: &[f32]) -> Targets {
    Targets::Values { values: values.to_vec(), outputs: 1 }
}

fn names(data: &Dataset) -> Vec<&str> {
    data.classes().unwrap().names().iter().map(String::as_str).collect()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn auto() -> LoadOptions {
    LoadOptions::default()
}

fn kind(target: TargetKind) -> LoadOptions {
    LoadOptions { target, ..auto() }
}

fn label(column: &str) -> LoadOptions {
    LoadOptions { label_column: Some(column.parse().unwrap()), ..auto() }
}

// ---- tables

#[test]
fn a_table_without_a_header_has_its_label_in_the_last_column() {
    let data = one_file("a.csv", b"1,2.5,0\n-3,4e2,1\n", &auto());
    assert_eq!(inputs(&data), array![[1.0, 2.5], [-3.0, 400.0]]);
    assert_eq!(data.targets(), &class_targets(&[0, 1], 2));
    assert_eq!((data.weights(), data.describe().as_str()), (None, "f32 dense"));
}

#[test]
fn a_table_of_pixels_is_stored_as_bytes() {
    let data = one_file("a.csv", b"0,255,7\n16,3,7\n", &auto());
    assert_eq!((inputs(&data), data.describe().as_str()), (array![[0.0, 255.0], [16.0, 3.0]], "u8 dense"));
    assert_eq!(data.storage_bytes(), 4 + 8);
}

#[test]
fn a_header_is_detected_and_names_the_columns() {
    let text = b"kind,width,height\nbee,1,2\nant,3,4\n";
    let data = one_file("a.csv", text, &label("kind"));
    assert_eq!(inputs(&data), array![[1.0, 2.0], [3.0, 4.0]]);
    assert_eq!((data.targets(), names(&data)), (&class_targets(&[1, 0], 2), vec!["ant", "bee"]));
    assert_eq!(inputs(&one_file("a.csv", b"x,y,z\n1,2,0\n", &auto())), array![[1.0, 2.0]]);
}

#[test]
fn a_header_of_numbers_must_be_requested() {
    let text = b"0,1,label\n5,6,a\n";
    let absent = LoadOptions { header: HeaderRow::Absent, ..auto() };
    assert_eq!(one_file("a.csv", text, &absent).len(), 2);
    let present = LoadOptions { header: HeaderRow::Present, ..auto() };
    assert_eq!(one_file("a.csv", text, &present).len(), 1);
}

#[test]
fn label_and_weight_columns_are_found_by_number_from_either_end() {
    let text = b"2,1,0.5,7\n0,3,2,9\n";
    for (label, weight) in [("0", "2"), ("-4", "-2")] {
        let column = |text: &str| Some(text.parse::<Column>().unwrap());
        let options = LoadOptions { label_column: column(label), weight_column: column(weight), ..auto() };
        let data = one_file("a.csv", text, &options);
        assert_eq!(inputs(&data), array![[1.0, 7.0], [3.0, 9.0]]);
        assert_eq!(data.targets(), &class_targets(&[1, 0], 2));
        assert_eq!(data.weights(), Some(&[0.5, 2.0][..]));
    }
}

#[test]
fn the_default_label_is_the_last_column_that_is_not_the_weight() {
    let options = LoadOptions { weight_column: Some(Column::Number(-1)), ..auto() };
    let data = one_file("a.csv", b"4,1,0.5\n", &options);
    assert_eq!((inputs(&data), data.targets()), (array![[4.0]], &class_targets(&[0], 1)));
}

#[test]
fn one_fraction_turns_all_labels_into_values() {
    assert_eq!(one_file("a.csv", b"1,2\n1,2.5\n", &auto()).targets(), &value_targets(&[2.0, 2.5]));
    assert_eq!(
        one_file("a.csv", b"1,2\n1,3\n", &kind(TargetKind::Values)).targets(),
        &value_targets(&[2.0, 3.0])
    );
}

#[test]
fn quotes_blank_lines_carriage_returns_spaces_and_a_byte_order_mark_are_read() {
    let text = b"\xef\xbb\xbf\"1\", 2 ,\"a, \"\"b\"\"\"\r\n\r\n3,4,c\r\n";
    let data = one_file("a.csv", text, &auto());
    assert_eq!(inputs(&data), array![[1.0, 2.0], [3.0, 4.0]]);
    assert_eq!(names(&data), ["a, \"b\"", "c"]);
    assert_eq!(one_file("a.csv", b"1,2,0", &auto()).len(), 1);
}

#[test]
fn a_compressed_table_reads_the_same_as_its_plain_copy() {
    let text = b"1,2.5,0\n-3,4e2,1\n";
    let data = one_file("a.csv.gz", &gz(text), &auto());
    assert_eq!(inputs(&data), array![[1.0, 2.5], [-3.0, 400.0]]);
    let two_members = [gz(&text[..8]), gz(&text[8..])].concat();
    assert_eq!(inputs(&one_file("a.csv.gz", &two_members, &auto())), inputs(&data));
}

#[test]
fn for_prediction_the_label_column_is_optional() {
    let options = LoadOptions { features: Some(2), ..kind(TargetKind::None) };
    for text in [&b"1,2\n"[..], b"1,2,?\n", b"x,y\n1,2\n", b"x,y,z\n1,2,\n", b",x,y,z\n0,1,2,what\n"] {
        let data = one_file("a.csv", text, &options);
        assert_eq!((inputs(&data), data.targets()), (array![[1.0, 2.0]], &Targets::None), "{text:?}");
    }
    let named = LoadOptions { label_column: Some(Column::Number(0)), ..options };
    let absent = LoadOptions { header: HeaderRow::Absent, ..named.clone() };
    assert_eq!(inputs(&one_file("a.csv", b"what,1,2\n", &absent)), array![[1.0, 2.0]]);
    assert_eq!(inputs(&one_file("a.csv", b"1,2\n", &named)), array![[1.0, 2.0]]);
    assert_eq!(one_file("a.csv", b"1,2\n", &kind(TargetKind::None)).features(), 2);
}

#[test]
fn labels_are_matched_with_the_classes_of_the_model() {
    let classes = Some(Classes::new(vec!["ant".into(), "bee".into(), "cat".into()]));
    let data = one_file("a.csv", b"1,cat\n2,ant\n", &LoadOptions { classes, ..auto() });
    assert_eq!((data.targets(), names(&data).len()), (&class_targets(&[2, 0], 3), 3));
}

// ---- IDX

fn idx(kind: u8, extents: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, kind, extents.len() as u8];
    extents.iter().for_each(|extent| file.extend(extent.to_be_bytes()));
    file.extend(bytes);
    file
}

fn images() -> Vec<u8> {
    idx(8, &[3, 2, 2], &[0, 51, 102, 153, 204, 255, 1, 2, 3, 4, 5, 6])
}

fn labels() -> Vec<u8> {
    idx(8, &[3], &[2, 0, 1])
}

fn folder(files: &[(&str, Vec<u8>)], options: &LoadOptions) -> LoadedData {
    let files: Vec<_> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    Files::new(&files).load("", options)
}

#[test]
fn a_folder_of_idx_files_has_both_parts() {
    let test_images = idx(8, &[1, 2, 2], &[255, 0, 0, 0]);
    let loaded = folder(
        &[
            ("train-images-idx3-ubyte", images()),
            ("train-labels-idx1-ubyte.gz", gz(&labels())),
            ("t10k-images.idx3-ubyte.gz", gz(&test_images)),
            ("t10k-labels.idx1-ubyte", idx(8, &[1], &[1])),
        ],
        &auto(),
    );
    assert_eq!(inputs(&loaded.train).row(0).to_vec(), [0.0, 0.2, 0.4, 0.6]);
    assert_eq!(inputs(&loaded.train)[[1, 3]], 2.0 / 255.0);
    assert_eq!(loaded.train.targets(), &class_targets(&[2, 0, 1], 3));
    assert_eq!(loaded.train.describe(), "u8 images 2 × 2");
    let test = loaded.test.unwrap();
    assert_eq!((inputs(&test), test.targets()), (array![[1.0, 0.0, 0.0, 0.0]], &class_targets(&[1], 3)));
}

#[test]
fn a_folder_with_one_part_loads_that_part_only() {
    let train = [("train-images-idx3-ubyte", images()), ("train-labels-idx1-ubyte", labels())];
    assert!(folder(&train, &auto()).test.is_none());
    let test = [("t10k-images-idx3-ubyte", images()), ("t10k-labels-idx1-ubyte", labels())];
    let loaded = folder(&test, &auto());
    assert!(loaded.train.is_empty());
    assert_eq!((loaded.train.features(), loaded.test.unwrap().len()), (4, 3));
}

#[test]
fn images_for_prediction_need_no_labels() {
    let loaded = folder(&[("t10k-images-idx3-ubyte", images())], &kind(TargetKind::None));
    assert_eq!(loaded.test.unwrap().targets(), &Targets::None);
}

/// Counts from the MNIST website; the pixels are rows 5 and 6 of the first training image, a 5, as
/// printed in many tutorials.
#[test]
fn mnist_has_its_published_counts_and_first_digit() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/mnist");
    if !path.is_dir() {
        return;
    }
    let loaded = path.display().to_string().parse::<Source>().unwrap().load(&auto()).unwrap();
    let test = loaded.test.unwrap();
    assert_eq!((loaded.train.len(), test.len(), loaded.train.features()), (60_000, 10_000, 784));
    assert_eq!(loaded.train.describe(), "u8 images 28 × 28");
    let Targets::Classes { labels, count: 10 } = loaded.train.targets() else { panic!("ten classes") };
    assert_eq!(labels[..10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
    let Targets::Classes { labels, count: 10 } = test.targets() else { panic!("ten classes") };
    assert_eq!(labels[..10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
    let mut one = GatherBuffer::new(1, 784, 0);
    loaded.train.gather(&[0], &mut one);
    let row = one.inputs().slice(ndarray::s![0, 5 * 28 + 12..5 * 28 + 24]).to_vec();
    let pixels = [3, 18, 18, 18, 126, 136, 175, 26, 166, 255, 247, 127].map(|p| p as f32 / 255.0);
    assert_eq!(row, pixels);
}

// ---- npy

/// Writes a file as numpy.save would: version 1 or 2/3, with the header padded to a multiple of 64
/// bytes.
fn npy(version: u8, descr: &str, fortran: bool, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let fortran = if fortran { "True" } else { "False" };
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
    let prefix = if version == 1 { 10 } else { 12 };
    while (prefix + text.len() + 1) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    let mut file = b"\x93NUMPY".to_vec();
    file.extend([version, 0]);
    match version {
        1 => file.extend((text.len() as u16).to_le_bytes()),
        _ => file.extend((text.len() as u32).to_le_bytes()),
    }
    file.extend(text.as_bytes());
    file.extend(bytes);
    file
}

fn le<const N: usize, T: Copy>(numbers: &[T], bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    numbers.iter().flat_map(|&number| bytes(number)).collect()
}

fn x_npy(bytes: &[u8]) -> Dataset {
    one_file("x.npy", bytes, &auto())
}

#[test]
fn every_element_type_is_read_in_either_byte_order() {
    let expected = array![[1.0, 2.0], [3.0, 100.0]];
    let n = [1u8, 2, 3, 100];
    let mut files = vec![("|u1", n.to_vec()), ("|i1", n.to_vec())];
    macro_rules! both {
        ($($type:ty, $name:literal);*) => {$(
            let numbers = n.map(|x| x as $type);
            files.push((concat!("<", $name), le(&numbers, <$type>::to_le_bytes)));
            files.push((concat!(">", $name), le(&numbers, <$type>::to_be_bytes)));
        )*};
    }
    both!(u16, "u2"; i16, "i2"; u32, "u4"; i32, "i4"; u64, "u8"; i64, "i8"; f32, "f4"; f64, "f8");
    for (descr, bytes) in files {
        for version in [1, 2, 3] {
            assert_eq!(inputs(&x_npy(&npy(version, descr, false, "(2, 2)", &bytes))), expected, "{descr}");
        }
    }
    let truths = npy(1, "|b1", false, "(2, 2)", &[0, 1, 1, 0]);
    assert_eq!(inputs(&x_npy(&truths)), array![[0.0, 1.0], [1.0, 0.0]]);
}

#[test]
fn negative_numbers_keep_their_sign() {
    assert_eq!(inputs(&x_npy(&npy(1, "|i1", false, "(1, 2)", &[255, 128]))), array![[-1.0, -128.0]]);
    let bytes = le(&[-1i64, 1 << 24], i64::to_le_bytes);
    assert_eq!(inputs(&x_npy(&npy(1, "<i8", false, "(1, 2)", &bytes))), array![[-1.0, 16_777_216.0]]);
}

#[test]
fn arrays_of_any_dimension_are_flattened_to_samples() {
    let bytes: Vec<u8> = (0..12).collect();
    assert_eq!(x_npy(&npy(1, "|u1", false, "(12,)", &bytes)).features(), 1);
    let images = x_npy(&npy(1, "|u1", false, "(2, 3, 2)", &bytes));
    assert_eq!((images.len(), images.features(), images.describe().as_str()), (2, 6, "u8 images 3 × 2"));
    assert_eq!(inputs(&images).row(1).to_vec(), [6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
}

#[test]
fn fortran_order_is_converted_to_c_order() {
    // numpy: np.arange(12).reshape(2, 3, 2), saved with np.asfortranarray.
    let bytes = [0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11];
    let data = x_npy(&npy(1, "|u1", true, "(2, 3, 2)", &bytes));
    assert_eq!(
        inputs(&data).iter().copied().collect::<Vec<_>>(),
        (0..12).map(|x| x as f32).collect::<Vec<_>>()
    );
}

#[test]
fn whole_numbers_of_every_type_are_classes_and_fractions_are_values() {
    let x = npy(1, "|u1", false, "(2, 1)", &[1, 2]);
    let load = |labels: Vec<u8>, target| {
        Files::new(&[("x.npy", &x), ("y.npy", &labels)]).train("x.npy,y.npy", &kind(target))
    };
    let integers = npy(1, "<i8", false, "(2,)", &le(&[3i64, 0], i64::to_le_bytes));
    let floats = npy(1, "<f4", false, "(2, 1)", &le(&[3f32, 0.0], f32::to_le_bytes));
    let two = npy(1, "<f4", false, "(2, 2)", &le(&[1f32, 2.0, 3.0, 4.0], f32::to_le_bytes));
    assert_eq!(load(integers.clone(), TargetKind::Auto).targets(), &class_targets(&[1, 0], 2));
    assert_eq!(load(integers, TargetKind::Values).targets(), &value_targets(&[3.0, 0.0]));
    assert_eq!(load(floats.clone(), TargetKind::Auto).targets(), &class_targets(&[1, 0], 2));
    assert_eq!(load(floats, TargetKind::Values).targets(), &value_targets(&[3.0, 0.0]));
    let halves = npy(1, "<f8", false, "(2,)", &le(&[0.5f64, 1.0], f64::to_le_bytes));
    assert_eq!(load(halves.clone(), TargetKind::Auto).targets(), &value_targets(&[0.5, 1.0]));
    assert_eq!(load(halves, TargetKind::Classes).targets(), &class_targets(&[0, 1], 2));
    let far = npy(1, "<u8", false, "(2,)", &le(&[u64::MAX, u64::MAX - 1], u64::to_le_bytes));
    assert_eq!(load(far, TargetKind::Auto).targets(), &class_targets(&[1, 0], 2));
    let expected = Targets::Values { values: vec![1.0, 2.0, 3.0, 4.0], outputs: 2 };
    assert_eq!(load(two, TargetKind::Auto).targets(), &expected);
}

// ---- libsvm

#[test]
fn a_sparse_file_is_gathered_as_dense_and_names_its_classes() {
    let text = b"# handwritten\n+1 1:0.5 3:2 # a comment\n\n-1\t2:-1\r\n+1\n";
    let data = one_file("a.svm", text, &auto());
    assert_eq!(inputs(&data), array![[0.5, 0.0, 2.0], [0.0, -1.0, 0.0], [0.0, 0.0, 0.0]]);
    assert_eq!((data.targets(), names(&data)), (&class_targets(&[1, 0, 1], 2), vec!["-1", "+1"]));
    assert_eq!(data.describe(), "sparse, 33.3 % filled");
}

#[test]
fn sparse_samples_get_the_number_of_features_of_the_model() {
    let data = one_file("a.libsvm", b"0 1:1\n", &LoadOptions { features: Some(3), ..auto() });
    assert_eq!(inputs(&data), array![[1.0, 0.0, 0.0]]);
}

#[test]
fn sparse_targets_are_values_on_request_or_with_fractions() {
    assert_eq!(one_file("a.svm", b"1.5 1:1\n2 1:1\n", &auto()).targets(), &value_targets(&[1.5, 2.0]));
    assert_eq!(one_file("a.svm", b"1 1:1\n", &kind(TargetKind::Values)).targets(), &value_targets(&[1.0]));
    let unlabelled = one_file("a.svm", b"1:1 2:2\n7 1:3\n", &kind(TargetKind::None));
    assert_eq!((inputs(&unlabelled), unlabelled.targets()), (array![[1.0, 2.0], [3.0, 0.0]], &Targets::None));
}

// ---- all of them

/// The same samples in every format, standardized with mean (2, 3) and deviation (1, 0 → 1).
#[test]
fn standardized_samples_have_the_same_bits_in_every_format() {
    let floats = le(&[1f64, 3.0, 3.0, 3.0], f64::to_le_bytes);
    let files = Files::new(&[
        ("a.csv", b"1,3,0\n3,3,1\n"),
        ("b.csv", b"1.0,3,0\n3,3.0,1\n"),
        ("a.svm", b"0 1:1 2:3\n1 1:3 2:3\n"),
        ("a.npy", &npy(1, "<f8", false, "(2, 2)", &floats)),
        ("b.npy", &npy(1, "|u1", false, "(2, 2)", &[1, 3, 3, 3])),
    ]);
    for name in ["a.csv", "b.csv", "a.svm", "a.npy", "b.npy"] {
        let mut data = files.train(name, &auto());
        let learned = Standardize::learn(&data).unwrap();
        data.standardize(learned).unwrap();
        assert_eq!(inputs(&data), array![[-1.0, 0.0], [1.0, 0.0]], "{name}");
    }
}
