//! Every bad file is refused with a message that names the file, the place, what was found and what was expected.
#![cfg(feature = "program")]

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use phalanx::data::{Classes, Column, HeaderRow, LoadOptions, Source, TargetKind};

/// One bad source: files by name, what is loaded, how, and fragments of the message.
struct Case {
    files: Vec<(&'static str, Vec<u8>)>,
    source: &'static str,
    options: LoadOptions,
    fragments: Vec<&'static str>,
}

fn case(file: &'static str, bytes: impl Into<Vec<u8>>, fragments: &[&'static str]) -> Case {
    let (files, fragments) = (vec![(file, bytes.into())], fragments.to_vec());
    Case { files, source: file, options: LoadOptions::default(), fragments }
}

impl Case {
    fn with(mut self, change: impl FnOnce(&mut LoadOptions)) -> Case {
        change(&mut self.options);
        self
    }

    fn source(mut self, source: &'static str) -> Case {
        self.source = source;
        self
    }

    fn and(mut self, file: &'static str, bytes: Vec<u8>) -> Case {
        self.files.push((file, bytes));
        self
    }

    /// The message, without the folder's path.
    fn message(&self) -> String {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in &self.files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let prefix = format!("{}/", folder.path().display());
        let path = |name| format!("{prefix}{name}");
        let text = self.source.split(',').map(path).collect::<Vec<_>>().join(",");
        let loaded = text.parse::<Source>().and_then(|source| source.load(&self.options));
        match loaded {
            Ok(loaded) => format!("loaded {} samples", loaded.train.len()),
            Err(error) => error.to_string().replace(&prefix, ""),
        }
    }
}

fn check(cases: Vec<Case>) {
    let mut wrong = Vec::new();
    for case in &cases {
        let message = case.message();
        let missing: Vec<_> = case.fragments.iter().filter(|fragment| !message.contains(*fragment)).collect();
        if !missing.is_empty() {
            wrong.push(format!("{}: {message:?} lacks {missing:?}", case.source));
        }
        let first = message.chars().next().unwrap();
        if message.ends_with('.') || (first.is_uppercase() && !message.starts_with("NaN")) {
            wrong.push(format!("{}: {message:?} has a capital or a full stop", case.source));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn name(text: &str) -> Option<Column> {
    Some(Column::Name(text.to_string()))
}

#[test]
fn bad_tables_are_refused_with_line_and_column() {
    let deep = "1,2,0\n\n\r\n3,4,1\r\n5,oops,1\n";
    check(vec![
        case("a.csv", "", &["a.csv holds no samples", "expected at least one row"]),
        case("a.csv", "\n\n\r\n", &["a.csv holds no samples"]),
        case("a.csv", "\u{feff}", &["a.csv holds no samples"]),
        case("a.csv", "x,y,z\n", &["a.csv holds no samples"]),
        case("a.csv", "1,2,0\n3,4\n", &["2 fields in line 2 of a.csv, expected 3"]),
        case("a.csv", "1,2,0\n3,4,1,9\n", &["4 fields in line 2 of a.csv, expected 3"]),
        case("a.csv", "x,y,z\n3,4,1,9\n", &["4 fields in line 2 of a.csv, expected 3"]),
        case("a.csv", "1,2,0\n3,oops,1\n", &["\"oops\" in line 2, column 1 of a.csv, expected a number"]),
        case("a.csv", deep, &["\"oops\" in line 5, column 1 of a.csv"]),
        case("a.csv", "w,h,k\n1,oops,0\n", &["\"oops\" in line 2, column \"h\" of a.csv"]),
        case("a.csv", "\u{feff}1,2,0\n\n1,oops,0\n", &["\"oops\" in line 3, column 1"]),
        case("a.csv", "\"1\",\"2\n\",0\n1,x,0\n", &["\"x\" in line 3, column 1"]),
        case("a.csv.gz", gz(deep.as_bytes()), &["\"oops\" in line 5, column 1 of a.csv.gz"]),
        case("a.csv", "1,2,0\n3,,1\n", &["\"\" in line 2, column 1 of a.csv, expected a number"]),
        case("a.csv", "1,,0\n", &["\"\" in line 1, column 1 of a.csv, expected a number"]),
        case("a.csv", "1,2,0\n3,NaN,1\n", &["NaN in line 2, column 1 of a.csv, expected a finite number"]),
        case("a.csv", "1,nan,0\n", &["NaN in line 1, column 1 of a.csv"]),
        case("a.csv", "1,2,0\n-inf,4,1\n", &["-inf in line 2, column 0 of a.csv, expected a finite"]),
        case("a.csv", "1,2,0\n3,1e39,1\n", &["1e39 in line 2, column 1 of a.csv is beyond the range of f32"]),
        case("a.csv", "1,2,0\n3,1e999,1\n", &["1e999 in line 2, column 1 of a.csv is beyond"]),
        case("a.csv", "1,2,0\n3,0x10,1\n", &["\"0x10\" in line 2, column 1"]),
        case("a.csv", "1,2,0\n3,1_000,1\n", &["\"1_000\" in line 2, column 1"]),
        case(
            "a.csv",
            b"1,2,0\n3,\xff\xfe,1\n".to_vec(),
            &["in line 2, column 1 of a.csv, expected a number"],
        ),
        case("a.csv", b"1,2,a\n3,4,\xff\n".to_vec(), &["line 2, column 2 of a.csv is not UTF-8"]),
        case(
            "a.csv",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec(),
            &["1 columns in line 1 of a.csv, expected at least 2"],
        ),
        case("a.csv", "0\n1\n", &["1 columns in line 1 of a.csv, expected at least 2: features, label"]),
        case("a.csv", "\n1;2;0\n", &["1 columns in line 2 of a.csv", "the line has semicolons"]),
        case("a.csv", "1\t2\t0\n", &["1 columns in line 1 of a.csv", "the line has tabs"]),
        case("a.csv", "1,2,\n", &["an empty label in row 1 of a.csv (line 1, column 2)"]),
        case("a.csv", "1,2,0\n1,2, \n", &["an empty label in row 2 of a.csv (line 2, column 2)"]),
        case(
            "a.csv",
            "1,2,0\n1,2,nan\n",
            &["label NaN in row 2 of a.csv (line 2, column 2), expected a finite"],
        ),
        case("a.csv", "1,0.5\n1,NA\n", &["labels \"NA\" and 0.5 meet in row 2 of a.csv (line 2, column 1)"]),
        case("a.csv", "1,NA\n1,0.5\n", &["labels \"NA\" and 0.5 meet in row 2 of a.csv"]),
        case("a.csv", "1,1e300\n", &["label 1000", "in row 1 of a.csv", "within f32"]),
        case("a.csv", "1,0\n1,70000\n", &["label 70000 in row 2 of a.csv makes 70001 classes", "regression"]),
        case(
            "a.csv",
            "1,2\n1,bee\n",
            &["label \"bee\" in row 2 of a.csv (line 2, column 1), expected a number"],
        )
        .with(|options| options.target = TargetKind::Values),
        case("a.csv", "1,2\n1,1e39\n", &["in row 2 of a.csv (line 2, column 1)", "within f32"])
            .with(|options| options.target = TargetKind::Values),
    ]);
}

#[test]
fn columns_that_are_not_there_are_refused_with_those_that_are() {
    let number = |number| Some(Column::Number(number));
    check(vec![
        case("a.csv", "1,2,0\n", &["a.csv has no column 3, expected 0 to 2, or -1 to -3 from the end"])
            .with(|options| options.label_column = number(3)),
        case("a.csv", "1,2,0\n", &["a.csv has no column -4"])
            .with(|options| options.label_column = number(-4)),
        case("a.csv", "1,2,0\n", &["a.csv has no column -9223372036854775808"])
            .with(|options| options.label_column = number(i64::MIN)),
        case("a.csv", "w,h,k\n1,2,0\n", &["a.csv has no column \"kind\", expected one of w, h, k"])
            .with(|options| options.label_column = name("kind")),
        case("a.csv", "1,2,0\n", &["a.csv has no header row to find column \"kind\" in"])
            .with(|options| options.label_column = name("kind")),
        case("a.csv", "w,h,k\n1,2,0\n", &["a.csv has no header row to find column \"k\" in"]).with(
            |options| {
                options.label_column = name("k");
                options.header = HeaderRow::Absent;
            },
        ),
        case("a.csv", "w,k,k\n1,2,0\n", &["a.csv has two columns named \"k\""])
            .with(|options| options.label_column = name("k")),
        case("a.csv", "1,2,0\n", &["column 2 (\"0\") of a.csv is asked to be both label and weight"]).with(
            |options| {
                options.label_column = number(-1);
                options.weight_column = number(2);
            },
        ),
        case("a.csv", "1,0\n", &["2 columns in line 1", "expected at least 3: features, label, weight"])
            .with(|options| options.weight_column = number(0)),
        case(
            "a.csv",
            "1,2,0\n1,-2,0\n",
            &["weight \"-2\" in line 2, column 1 of a.csv, expected a finite number"],
        )
        .with(|options| options.weight_column = number(1)),
        case("a.csv", "a,w,k\n1,inf,0\n", &["weight \"inf\" in line 2, column \"w\" of a.csv"])
            .with(|options| options.weight_column = name("w")),
        case("a.csv", "a,w,k\n1,heavy,0\n", &["weight \"heavy\" in line 2, column \"w\" of a.csv"])
            .with(|options| options.weight_column = name("w")),
        case("a.csv", "w,h,k\n1,2,0\n", &["\"w\" in line 1, column 0 of a.csv, expected a number"])
            .with(|options| options.header = HeaderRow::Absent),
    ]);
}

#[test]
fn samples_that_the_model_does_not_fit_are_refused() {
    let ten = |options: &mut LoadOptions| options.classes = Some(Classes::indices(10));
    let insects = |options: &mut LoadOptions| {
        options.classes = Some(Classes::new(vec!["ant".into(), "bee".into()]));
    };
    let predict = |options: &mut LoadOptions| {
        options.target = TargetKind::None;
        options.features = Some(4);
    };
    check(vec![
        case(
            "train.csv",
            "5,1\n5,2\n5,12\n",
            &["label 12 in row 3 of train.csv (line 3, column 1), but the model has 10 classes (0 to 9)"],
        )
        .with(ten),
        case(
            "a.csv",
            "x,k\n5,cat\n",
            &["label cat in row 1 of a.csv (line 2, column \"k\")", "2 classes (ant, bee)"],
        )
        .with(insects),
        case("a.svm", "1 1:1\n10 1:1\n", &["label 10 in row 2 of a.svm (line 2), but the model has 10"])
            .with(ten),
        case(
            "x.npy",
            npy("<f4", "(1, 1)", &[0; 4]),
            &["label 10 in row 1 of y.npy (row 1, column 0 (byte 128))"],
        )
        .and("y.npy", npy("|u1", "(1,)", &[10]))
        .source("x.npy,y.npy")
        .with(ten),
        case("a.csv", "1,2,0\n", &["a.csv has 2 features, expected 3"])
            .with(|options| options.features = Some(3)),
        case("a.csv", "1,2,0\n", &["3 columns in a.csv, expected 4 features, or 4 and a label"])
            .with(predict),
        case("a.csv", "1,2,0,4,5,6\n", &["6 columns in a.csv, expected 4 features"]).with(predict),
        case("a.svm", "1 5:1\n", &["a.svm has 5 features, expected 4"])
            .with(|options| options.features = Some(4)),
        case("a.npy", npy("|u1", "(1, 2)", &[1, 2]), &["a.npy has 2 features, expected 4"]).with(predict),
    ]);
}

#[test]
fn bad_sparse_files_are_refused_with_the_line() {
    check(vec![
        case("a.svm", "", &["a.svm holds no samples"]),
        case("a.svm", "# only words\n\n", &["a.svm holds no samples"]),
        case("a.svm", "1\n0\n", &["a.svm holds no samples", "index:value pair"]),
        case("a.svm", "1 1:2\n\n0 0:1\n", &["index 0 in line 3 of a.svm, expected indices from 1"]),
        case("a.svm", "1 3:1 2:1\n", &["index 2 after index 3 in line 1 of a.svm"]),
        case("a.svm", "1 3:1 3:1\n", &["index 3 after index 3 in line 1 of a.svm"]),
        case("a.svm", "1 qid:3 1:1\n", &["\"qid:3\" in line 1 of a.svm", "ranking is not supported"]),
        case("a.svm", "1 5\n", &["\"5\" in line 1 of a.svm, expected index:value"]),
        case("a.svm", "1 5:\n", &["\"5:\" in line 1 of a.svm, expected index:value"]),
        case("a.svm", "1 :5\n", &["\":5\" in line 1 of a.svm, expected index:value"]),
        case("a.svm", "1 x:5\n", &["index \"x\" in line 1 of a.svm, expected a whole number"]),
        case("a.svm", "1 -1:5\n", &["index \"-1\" in line 1 of a.svm"]),
        case("a.svm", "1 99999999999999999999:5\n", &["index \"99999999999999999999\" in line 1"]),
        case(
            "a.svm",
            "1 1:1\n1 4294967295:5\n",
            &["line 2 of a.svm: feature 4294967295, expected at most 16777216"],
        ),
        case("a.svm", "1 1:x\n", &["\"x\" in line 1, column 1 of a.svm, expected a number"]),
        case("a.svm", "1 7:nan\n", &["NaN in line 1, column 7 of a.svm"]),
        case("a.svm", "1 7:1e40\n", &["1e40 in line 1, column 7 of a.svm is beyond"]),
        case("a.svm", "1:1 2:1\n", &["\"1:1\" in place of a label in line 1 of a.svm"]),
        case("a.svm", "1,2 1:1\n", &["label \"1,2\" in row 1 of a.svm (line 1), expected a number"])
            .with(|options| options.target = TargetKind::Values),
        case("a.svm", b"1 1:1\n\xff 1:1\n".to_vec(), &["line 2 of a.svm is not UTF-8"]),
    ]);
}

// ---- binary files

fn npy_text(version: u8, text: &str, bytes: &[u8]) -> Vec<u8> {
    let mut file = b"\x93NUMPY".to_vec();
    file.extend([version, 0]);
    let text = format!("{text:<117}\n");
    file.extend((text.len() as u16).to_le_bytes());
    file.extend(text.as_bytes());
    file.extend(bytes);
    file
}

fn npy(descr: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    npy_text(1, &format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"), bytes)
}

#[test]
fn bad_npy_files_are_refused_with_the_byte() {
    let nan = [1.0f32.to_le_bytes(), f32::NAN.to_le_bytes()].concat();
    let huge = 1e300f64.to_le_bytes();
    let odd = ((1i64 << 24) + 1).to_le_bytes();
    let x = || npy("|u1", "(2, 1)", &[1, 2]);
    let with_y =
        |y, fragments: &[&'static str]| case("x.npy", x(), fragments).and("y.npy", y).source("x.npy,y.npy");
    check(vec![
        case("a.npy", "", &["a.npy holds only 0 bytes, but its header promises 10"]),
        case("a.npy", b"\x93NUMPY\x01".to_vec(), &["a.npy holds only 7 bytes"]),
        case(
            "a.npy",
            "1,2,3\n4,5,6\n",
            &["magic text", "\"1,2,3\\\\n\" at byte 0 of a.npy, expected \"\\x93NUMPY\""],
        ),
        case("a.npy", npy_text(4, "{}", b""), &["npy version 4 at byte 6 of a.npy, expected 1, 2 or 3"]),
        case("a.npy", npy_text(1, "", b""), &["at byte 128 of a.npy, expected a dictionary"]),
        case("a.npy", npy_text(1, "{}", b""), &["at byte 10 of a.npy, expected the keys descr"]),
        case(
            "a.npy",
            npy_text(1, "{'descr': '<f4'}", b""),
            &["expected the keys descr, fortran_order and shape"],
        ),
        case(
            "a.npy",
            npy_text(1, "{'description': 1}", b""),
            &["at byte 11 of a.npy, expected the keys descr"],
        ),
        case("a.npy", npy_text(1, "{'descr' '<f4'}", b""), &["at byte 19 of a.npy, expected \":\""]),
        case("a.npy", npy_text(1, "{'descr': '<f4", b""), &["at byte 20 of a.npy, expected a quoted text"]),
        case(
            "a.npy",
            npy_text(1, "{'fortran_order': 1}", b""),
            &["at byte 28 of a.npy, expected True or False"],
        ),
        case("a.npy", npy_text(1, "{'shape': 3}", b""), &["at byte 20 of a.npy, expected a tuple"]),
        case("a.npy", npy_text(1, "{'shape': (3, -1)}", b""), &["at byte 24 of a.npy, expected an extent"]),
        case("a.npy", npy("<f4", "(99999999999999999999,)", b""), &["expected an extent"]),
        case("a.npy", npy_text(1, "{'shape': (3)} x", b""), &["expected nothing after \"}\""]),
        case("a.npy", npy_text(1, "{'descr': [('a', '<f4')]}", b""), &["one plain element type"]),
        case(
            "a.npy",
            npy("<c8", "(1,)", &[0; 8]),
            &["element type \"<c8\" at byte 10 of a.npy", "astype('f4')"],
        ),
        case("a.npy", npy("<f2", "(1,)", &[0; 2]), &["element type \"<f2\""]),
        case("a.npy", npy("|O", "(1,)", &[0; 8]), &["element type \"|O\""]),
        case("a.npy", npy("é4", "(1,)", &[0; 8]), &["element type \"é4\""]),
        case("a.npy", npy("", "(1,)", &[0; 8]), &["element type \"\""]),
        case(
            "a.npy",
            npy("<f4", "(2, 2)", &[0; 15]),
            &["a.npy holds only 143 bytes, but its header promises 144"],
        ),
        case("a.npy", npy("<f4", "(2, 2)", &[0; 17]), &["a.npy holds at least 145 bytes", "promises 144"]),
        case("a.npy", npy("<f8", "(4294967296, 4294967296)", &[0; 8]), &["a.npy holds only 136 bytes"]),
        case("a.npy", npy("|u1", "(18446744073709551615,)", &[0; 8]), &["a.npy holds only 136 bytes"]),
        case("a.npy", npy("<f4", "()", &[0; 4]), &["a.npy holds no samples", "no dimension"]),
        case("a.npy", npy("<f4", "(0, 3)", b""), &["a.npy holds no samples", "extent 0"]),
        case("a.npy", npy("<f4", "(3, 0)", b""), &["a.npy holds no samples"]),
        case(
            "a.npy",
            npy("<f4", "(1, 2)", &nan),
            &["NaN in row 1, column 1 (byte 132) of a.npy, expected a finite"],
        ),
        case(
            "a.npy",
            npy("<f8", "(1,)", &huge),
            &["in row 1, column 0 (byte 128) of a.npy is beyond the range"],
        ),
        case(
            "a.npy",
            npy("<i8", "(1,)", &odd),
            &["16777217 in row 1, column 0 (byte 128) of a.npy is not exact"],
        ),
        case("a.npy", npy("<u8", "(1,)", &[255; 8]), &["18446744073709551615 in row 1, column 0"]),
        case("a.npy", x(), &["a.npy holds no labels, but classes are asked for"])
            .with(|options| options.target = TargetKind::Classes),
        case("a.npy", x(), &["a.npy holds no labels, but values are asked for"])
            .with(|options| options.target = TargetKind::Values),
        with_y(npy("|u1", "(3,)", &[0; 3]), &["3 labels in y.npy for 2 samples in x.npy"]),
        with_y(npy("|u1", "(2, 2)", &[0; 4]), &["shape of the labels [2, 2]", "argmax"]),
        with_y(npy("<f4", "(2,)", &nan), &["NaN in row 2, column 0 (byte 132) of y.npy"]),
        with_y(
            npy("<i4", "(2,)", &[0, 0, 0, 0, 0, 0, 1, 0]),
            &["label 65536 in row 2 of y.npy makes 65537 classes"],
        ),
        with_y(
            npy("<u8", "(2,)", &[255; 16]),
            &["18446744073709551615 in row 1, column 0 (byte 128) of y.npy"],
        ),
        case("x.npy", x(), &["no file or folder \"y.npy\""]).source("x.npy,y.npy"),
    ]);
}

fn idx(kind: u8, extents: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, kind, extents.len() as u8];
    extents.iter().for_each(|extent| file.extend(extent.to_be_bytes()));
    file.extend(bytes);
    file
}

const IMAGES: &str = "train-images-idx3-ubyte";
const IMAGES_GZ: &str = "train-images-idx3-ubyte.gz";
const LABELS: &str = "train-labels-idx1-ubyte";

/// A folder with these images and one good label.
fn images(bytes: Vec<u8>, fragments: &[&'static str]) -> Case {
    case(IMAGES, bytes, fragments).and(LABELS, idx(8, &[1], &[0])).source("")
}

fn packed_images(bytes: Vec<u8>, fragments: &[&'static str]) -> Case {
    case(IMAGES_GZ, bytes, fragments).and(LABELS, idx(8, &[1], &[0])).source("")
}

#[test]
fn bad_idx_files_are_refused_with_the_byte() {
    let good = || idx(8, &[1, 1, 2], &[1, 2]);
    let labels =
        |bytes, fragments: &[&'static str]| case(IMAGES, good(), fragments).and(LABELS, bytes).source("");
    let two = || idx(8, &[2], &[0, 9]);
    check(vec![
        case("readme", "", &["has none of MNIST's files", "train-images-idx3-ubyte"]).source(""),
        case(IMAGES, good(), &["has train-images-idx3-ubyte but not train-labels-idx1-ubyte"]).source(""),
        case(LABELS, two(), &["has train-labels-idx1-ubyte but not train-images-idx3-ubyte"]).source(""),
        images(vec![], &["train-images-idx3-ubyte holds only 0 bytes, but its header promises 8"]),
        images(vec![0, 0, 8], &["train-images-idx3-ubyte holds only 3 bytes"]),
        images(vec![0, 0, 8, 3, 0, 0], &["holds only 6 bytes, but its header promises 16"]),
        images(
            gz(&good()),
            &["magic number 0x1f8b0800 at byte 0 of train-images-idx3-ubyte", "decompress it"],
        ),
        images(b"1,2,3,4\n".to_vec(), &["magic number 0x312c322c at byte 0"]),
        images(
            idx(0x0d, &[1, 1, 1], &[0; 4]),
            &["element type 0x0d at byte 2", "expected 0x08 (unsigned byte)"],
        ),
        images(idx(8, &[1], &[0]), &["number of dimensions 1 at byte 3", "expected 2 to 4"]),
        images(idx(8, &[1; 255], &[0]), &["number of dimensions 255 at byte 3"]),
        images(idx(8, &[1, 2, 2], &[0; 3]), &["holds only 19 bytes, but its header promises 20"]),
        images(idx(8, &[1, 2, 2], &[0; 5]), &["holds at least 21 bytes, but its header promises 20"]),
        images(
            idx(8, &[u32::MAX; 3], &[0; 5]),
            &["holds only 21 bytes, but its header promises 18446744073709551615"],
        ),
        images(
            idx(8, &[u32::MAX, 1, 1], &[0; 5]),
            &["holds only 21 bytes, but its header promises 4294967311"],
        ),
        images(idx(8, &[0, 28, 28], &[]), &["train-images-idx3-ubyte holds no samples"]),
        images(idx(8, &[1, 0, 28], &[]), &["train-images-idx3-ubyte holds no samples"]),
        labels(two(), &["2 labels in train-labels-idx1-ubyte for 1 samples in train-images-idx3-ubyte"]),
        labels(good(), &["number of dimensions 3 at byte 3 of train-labels-idx1-ubyte, expected 1"]),
        labels(
            idx(8, &[1], &[5]),
            &["label 5 in row 1 of train-labels-idx1-ubyte (byte 8)", "3 classes (0 to 2)"],
        )
        .with(|options| options.classes = Some(Classes::indices(3))),
        labels(
            idx(8, &[1], &[0]),
            &["label 1 in row 1 of t10k-labels-idx1-ubyte (byte 8)", "1 class (0 to 0)"],
        )
        .and("t10k-images-idx3-ubyte", good())
        .and("t10k-labels-idx1-ubyte", idx(8, &[1], &[1])),
        labels(idx(8, &[1], &[0]), &["the t10k part", "has 1 features, expected 2"])
            .and("t10k-images-idx3-ubyte", idx(8, &[1, 1, 1], &[1]))
            .and("t10k-labels-idx1-ubyte", idx(8, &[1], &[0])),
    ]);
}

#[test]
fn bad_gzip_files_are_refused() {
    let good = gz(&idx(8, &[1, 1, 2], &[1, 2]));
    let mut flipped = good.clone();
    let checksum = flipped.len() - 8;
    flipped[checksum] ^= 1;
    check(vec![
        packed_images(vec![], &["train-images-idx3-ubyte.gz"]),
        packed_images(b"not packed at all".to_vec(), &["train-images-idx3-ubyte.gz is no whole gzip file"]),
        packed_images(good[..good.len() - 9].to_vec(), &["train-images-idx3-ubyte.gz is no whole gzip file"]),
        packed_images(good[..good.len() - 1].to_vec(), &["is no whole gzip file", "download it again"]),
        packed_images(flipped, &["is no whole gzip file", "after 18 decompressed bytes"]),
        packed_images([&good[..], b"junk"].concat(), &["is no whole gzip file"]),
        packed_images(gz(&idx(8, &[1, 2, 2], &[0; 3])), &["holds only 19 bytes, but its header promises 20"]),
        packed_images(
            gz(&idx(8, &[1, 2, 2], &[0; 9])),
            &["holds at least 21 bytes, but its header promises 20"],
        ),
        packed_images(
            gz(&idx(8, &[u32::MAX, 28, 28], &[0; 9])),
            &["promises 3367254359296 bytes, but its 33 packed bytes hold at most 34056"],
        ),
        case("a.csv.gz", gz(b"1,2,0\n")[..20].to_vec(), &["a.csv.gz is no whole gzip file"]),
        case("a.csv.gz", "1,2,0\n", &["a.csv.gz is no whole gzip file"]),
    ]);
}

#[test]
fn a_gzip_bomb_ends_with_an_error() {
    let bomb = gz(&b"0,0,0,0,0,0,0,0\n".repeat(5 << 20));
    check(vec![
        case("a.csv.gz", bomb, &["a.csv.gz unpacks to more than 67", "at most 256 times its size"]),
        packed_images(
            gz(&idx(8, &[1 << 17, 28, 28], &vec![0; (1 << 17) * 28 * 28])),
            &["train-images-idx3-ubyte.gz unpacks to more than 67"],
        ),
    ]);
}

#[test]
fn a_file_that_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    fs::create_dir(&path).unwrap();
    let message = |path: &Path| {
        let source = path.display().to_string().parse::<Source>();
        source.and_then(|source| source.load(&LoadOptions::default())).unwrap_err().to_string()
    };
    assert!(message(&path).starts_with("cannot read"), "{}", message(&path));
    let missing = message(&folder.path().join("b.csv"));
    assert!(missing.contains("no file or folder") && missing.contains("FILE.libsvm"), "{missing}");
    assert!(message(&folder.path().join("c.txt")).contains("is of no known kind"));
}
