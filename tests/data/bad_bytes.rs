//! Every invalid binary file (npy, IDX, gzip) is rejected with a message that names the file, the
//! byte, the value found and the value expected.

use crate::bad_source::{Case, Rejections, case, gz, npy, npy_text};
use phalanx::data::{Classes, TargetKind};

#[test]
fn bad_npy_files_are_rejected_with_the_byte() {
    let one_hot: Vec<u8> = [0f32, 1.0, 1.0, 0.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let nan = [1.0f32.to_le_bytes(), f32::NAN.to_le_bytes()].concat();
    let huge = 1e300f64.to_le_bytes();
    let odd = ((1i64 << 24) + 1).to_le_bytes();
    let x = || npy("|u1", "(2, 1)", &[1, 2]);
    let with_y =
        |y, fragments: &[&'static str]| case("x.npy", x(), fragments).and("y.npy", y).source("x.npy,y.npy");
    Rejections("E2", "npy files that are rejected with the byte").check(vec![
        case("a.npy", "", &["a.npy is empty"]),
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
        case("a.npy", npy_text(1, "{'descr': '<f4", b""), &["at byte 20 of a.npy, expected a quoted string"]),
        case(
            "a.npy",
            npy_text(1, "{'fortran_order': 1}", b""),
            &["at byte 28 of a.npy, expected True or False"],
        ),
        case("a.npy", npy_text(1, "{'shape': 3}", b""), &["at byte 20 of a.npy, expected a tuple"]),
        case("a.npy", npy_text(1, "{'shape': (3, -1)}", b""), &["at byte 24 of a.npy, expected a dimension"]),
        case("a.npy", npy("<f4", "(99999999999999999999,)", b""), &["expected a dimension"]),
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
        case("a.npy", npy("<f4", "(2, 2)", &[0; 15]), &["a.npy holds only 143 bytes, expected 144"]),
        case("a.npy", npy("<f4", "(2, 2)", &[0; 17]), &["a.npy holds at least 145 bytes", "expected 144"]),
        case("a.npy", npy("<f8", "(4294967296, 4294967296)", &[0; 8]), &["a.npy holds only 136 bytes"]),
        case("a.npy", npy("|u1", "(18446744073709551615,)", &[0; 8]), &["a.npy holds only 136 bytes"]),
        case("a.npy", npy("<f4", "()", &[0; 4]), &["a.npy holds no samples", "no dimension"]),
        case("a.npy", npy("<f4", "(0, 3)", b""), &["a.npy holds no samples", "length 0"]),
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
            &["16777217 in row 1, column 0 (byte 128) of a.npy is not exactly", "store the array as f4"],
        ),
        case("a.npy", npy("<u8", "(1,)", &[255; 8]), &["18446744073709551615 in row 1, column 0"]),
        case("a.npy", x(), &["a.npy has no labels, but classes are required"])
            .with(|options| options.target = TargetKind::Classes),
        case("a.npy", x(), &["a.npy has no labels, but values are required"])
            .with(|options| options.target = TargetKind::Values),
        with_y(
            npy("|u1", "(3,)", &[0; 3]),
            &["the number of labels in y.npy is 3, expected 2, the number of samples in x.npy"],
        ),
        with_y(npy("|u1", "(2, 2)", &[0; 4]), &["shape of the labels [2, 2]", "argmax"]),
        with_y(
            npy("<f4", "(2,)", &nan),
            &["label NaN in row 2 of y.npy (row 2, column 0 (byte 132)), expected a finite number"],
        ),
        with_y(
            npy("<f4", "(2, 2)", &one_hot),
            &["labels of y.npy are one-hot rows of 2 numbers", "argmax", "--loss mse"],
        ),
        case("x.npy", x(), &["no file or folder \"y.npy\""]).source("x.npy,y.npy"),
    ]);
}

pub fn idx(kind: u8, extents: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, kind, extents.len() as u8];
    extents.iter().for_each(|extent| file.extend(extent.to_be_bytes()));
    file.extend(bytes);
    file
}

const IMAGES: &str = "train-images-idx3-ubyte";
const IMAGES_GZ: &str = "train-images-idx3-ubyte.gz";
const LABELS: &str = "train-labels-idx1-ubyte";

/// A folder with these images and one valid label.
fn images(bytes: Vec<u8>, fragments: &[&'static str]) -> Case {
    case(IMAGES, bytes, fragments).and(LABELS, idx(8, &[1], &[0])).source("")
}

pub fn compressed_images(bytes: Vec<u8>, fragments: &[&'static str]) -> Case {
    case(IMAGES_GZ, bytes, fragments).and(LABELS, idx(8, &[1], &[0])).source("")
}

#[test]
fn bad_idx_files_are_rejected_with_the_byte() {
    let good = || idx(8, &[1, 1, 2], &[1, 2]);
    let labels =
        |bytes, fragments: &[&'static str]| case(IMAGES, good(), fragments).and(LABELS, bytes).source("");
    let two = || idx(8, &[2], &[0, 9]);
    Rejections("E2", "IDX files that are rejected with the byte").check(vec![
        case("readme", "", &["contains no MNIST files", "train-images-idx3-ubyte"]).source(""),
        case(IMAGES, good(), &["has train-images-idx3-ubyte but not train-labels-idx1-ubyte"]).source(""),
        case(LABELS, two(), &["has train-labels-idx1-ubyte but not train-images-idx3-ubyte"]).source(""),
        images(vec![], &["train-images-idx3-ubyte is empty"]),
        images(vec![0, 0, 8], &["train-images-idx3-ubyte holds only 3 bytes"]),
        images(vec![0, 0, 8, 3, 0, 0], &["holds only 6 bytes, expected 16"]),
        images(
            b"PK\x03\x04".to_vec(),
            &["magic number 0x504b0304 at byte 0 of train-images-idx3-ubyte", "decompress it"],
        ),
        images(b"1,2,3,4\n".to_vec(), &["magic number 0x312c322c at byte 0"]),
        images(
            idx(0x0d, &[1, 1, 1], &[0; 4]),
            &["element type 0x0d at byte 2", "expected 0x08 (unsigned byte)"],
        ),
        images(idx(8, &[1], &[0]), &["number of dimensions 1 at byte 3", "expected 2 to 4"]),
        images(idx(8, &[1; 255], &[0]), &["number of dimensions 255 at byte 3"]),
        images(idx(8, &[1, 2, 2], &[0; 3]), &["holds only 19 bytes, expected 20"]),
        images(idx(8, &[1, 2, 2], &[0; 5]), &["holds at least 21 bytes, expected 20"]),
        images(idx(8, &[u32::MAX; 3], &[0; 5]), &["holds only 21 bytes, expected 18446744073709551615"]),
        images(idx(8, &[u32::MAX, 1, 1], &[0; 5]), &["holds only 21 bytes, expected 4294967311"]),
        images(idx(8, &[0, 28, 28], &[]), &["train-images-idx3-ubyte holds no samples"]),
        images(idx(8, &[1, 0, 28], &[]), &["train-images-idx3-ubyte holds no samples"]),
        labels(two(), &["labels in train-labels-idx1-ubyte is 2, expected 1, the number of samples in train-images-idx3-ubyte"]),
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
fn bad_gzip_files_are_rejected() {
    let good = gz(&idx(8, &[1, 1, 2], &[1, 2]));
    let mut flipped = good.clone();
    let checksum = flipped.len() - 8;
    flipped[checksum] ^= 1;
    Rejections("E2", "gzip files that are rejected").check(vec![
        compressed_images(vec![], &["train-images-idx3-ubyte.gz"]),
        compressed_images(
            b"not compressed".to_vec(),
            &["train-images-idx3-ubyte.gz is not a complete gzip file"],
        ),
        compressed_images(
            good[..good.len() - 9].to_vec(),
            &["train-images-idx3-ubyte.gz is not a complete gzip file"],
        ),
        compressed_images(
            good[..good.len() - 1].to_vec(),
            &["is not a complete gzip file", "download it again"],
        ),
        compressed_images(flipped, &["is not a complete gzip file", "after 18 decompressed bytes"]),
        compressed_images([&good[..], b"junk"].concat(), &["is not a complete gzip file"]),
        compressed_images(gz(&idx(8, &[1, 2, 2], &[0; 3])), &["holds only 19 bytes, expected 20"]),
        compressed_images(gz(&idx(8, &[1, 2, 2], &[0; 9])), &["holds at least 21 bytes, expected 20"]),
        compressed_images(
            gz(&idx(8, &[u32::MAX, 28, 28], &[0; 9])),
            &["declares 3367254359296 bytes, but its 33 compressed bytes hold at most 34056"],
        ),
        case("a.csv.gz", gz(b"1,2,0\n")[..20].to_vec(), &["a.csv.gz is not a complete gzip file"]),
        case("a.csv.gz", "1,2,0\n", &["a.csv.gz is not a complete gzip file"]),
    ]);
}
