//! Every invalid text file is rejected with a message that names the file, the position, the value
//! found and the value expected.

use std::fs;
use std::path::Path;

use crate::bad_source::{Rejections, case, gz, npy};
use phalanx::data::{Classes, Column, HeaderRow, LoadOptions, Source, TargetKind};

fn name(text: &str) -> Option<Column> {
    Some(Column::Name(text.to_string()))
}

#[test]
fn bad_tables_are_rejected_with_line_and_column() {
    let deep = "1,2,0\n\n\r\n3,4,1\r\n5,oops,1\n";
    Rejections("E2", "tables that are rejected with line and column").check(vec![
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
        case(
            "a.csv",
            "1,2,0\n3,,1\n",
            &["an empty field in line 2, column 1 of a.csv, expected a number", "fill in"],
        ),
        case("a.csv", "1,,0\n", &["an empty field in line 1, column 1 of a.csv, expected a number"]),
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
            &["a.csv is a PNG image, expected text", "as npy"],
        ),
        case(
            "a.csv",
            "0\n1\n",
            &["1 column in line 1 of a.csv, expected at least 2: a feature and the label"],
        ),
        case("a.csv", "\n1;2;0\n", &["line 2 of a.csv is separated by semicolons, expected commas"]),
        case("a.csv", "1\t2\t0\n", &["line 1 of a.csv is separated by tabs"]),
        case(
            "a.csv",
            "1,0\n2,0\n".to_owned() + &",".repeat(1 << 18),
            &["line 3 of a.csv has more than 262144 columns", "as npy or libsvm"],
        ),
        case(
            "a.csv",
            "1,0\n\n2,\"0\n".to_owned() + &"3,0\n".repeat(1 << 20),
            &["line 3 of a.csv has more than 4194304 bytes", "check for an unclosed quote"],
        ),
        case("a.csv", "1,2,\n", &["the label in line 1, column 2 of a.csv is empty", "ends with a comma"]),
        case("a.csv", "1,2,0\n1,2, \n", &["an empty label in row 2 of a.csv (line 2, column 2)"]),
        case(
            "a.csv",
            "1,2,0\n1,2,nan\n",
            &["label \"nan\" in row 2 of a.csv (line 2, column 2), expected a class or a number", "fill in"],
        ),
        case(
            "a.csv",
            "1,0.5\n1,low\n",
            &["labels \"low\" and 0.5 conflict in row 2 of a.csv (line 2, column 1)"],
        ),
        case("a.csv", "1,low\n1,0.5\n", &["labels \"low\" and 0.5 conflict in row 2 of a.csv"]),
        case("a.csv", "1,1e300\n", &["label 1e300 in row 1 of a.csv", "within f32"]),
        case(
            "a.csv",
            (0..70_000).map(|n| format!("1,{n}\n")).collect::<String>(),
            &["label 65535 in row 65536 of a.csv is the 65536th distinct label", "--loss mse"],
        ),
        case(
            "a.csv",
            "1,2\n1,bee\n",
            &["label \"bee\" in row 2 of a.csv (line 2, column 1), expected a plain number"],
        )
        .with(|options| options.target = TargetKind::Values),
        case("a.csv", "1,2\n1,1e39\n", &["in row 2 of a.csv (line 2, column 1)", "within f32"])
            .with(|options| options.target = TargetKind::Values),
    ]);
}

#[test]
fn missing_columns_are_rejected_with_a_list_of_existing_ones() {
    let number = |number| Some(Column::Number(number));
    Rejections("E2", "missing columns that are rejected with a list of existing ones").check(vec![
        case("a.csv", "1,2,0\n", &["a.csv has no column 3, expected 0 to 2, or -1 to -3 from the end"])
            .with(|options| options.label_column = number(3)),
        case("a.csv", "1,2,0\n", &["a.csv has no column -4"])
            .with(|options| options.label_column = number(-4)),
        case("a.csv", "1,2,0\n", &["a.csv has no column -9223372036854775808"])
            .with(|options| options.label_column = number(i64::MIN)),
        case("a.csv", "w,h,k\n1,2,0\n", &["a.csv has no column \"kind\", expected one of w, h, k"])
            .with(|options| options.label_column = name("kind")),
        case("a.csv", "1,2,0\n", &["a.csv has no header row, so column \"kind\" cannot be found"])
            .with(|options| options.label_column = name("kind")),
        case("a.csv", "w,h,k\n1,2,0\n", &["a.csv has no header row, so column \"k\" cannot be found"]).with(
            |options| {
                options.label_column = name("k");
                options.header = HeaderRow::Absent;
            },
        ),
        case("a.csv", "w,k,k\n1,2,0\n", &["columns 1 and 2 of a.csv are both named \"k\"; rename"])
            .with(|options| options.label_column = name("k")),
        case("a.csv", "1,2,0\n", &["column 2 (\"0\") of a.csv is selected as both label and weight"]).with(
            |options| {
                options.label_column = number(-1);
                options.weight_column = number(2);
            },
        ),
        case(
            "a.csv",
            "1,0\n",
            &["2 columns in line 1", "expected at least 3: a feature, the label and the weight"],
        )
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
fn samples_that_do_not_match_the_model_are_rejected() {
    let ten = |options: &mut LoadOptions| options.classes = Some(Classes::indices(10));
    let insects = |options: &mut LoadOptions| {
        options.classes = Some(Classes::new(vec!["ant".into(), "bee".into()]));
    };
    let predict = |options: &mut LoadOptions| {
        options.target = TargetKind::None;
        options.features = Some(4);
    };
    Rejections("E2", "samples that do not match the model").check(vec![
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
        case(
            "a.csv",
            "1,2,0\n",
            &["3 columns in a.csv, expected all 5 columns of the training data, or, to predict, only the 4 features"],
        )
        .with(predict),
        case("a.csv", "1,2,0,4,5,6\n", &["6 columns in a.csv", "4 features"]).with(predict),
        case("a.svm", "1 5:1\n", &["a.svm has 5 features, expected 4"])
            .with(|options| options.features = Some(4)),
        case("a.npy", npy("|u1", "(1, 2)", &[1, 2]), &["a.npy has 2 features, expected 4"]).with(predict),
    ]);
}

#[test]
fn bad_sparse_files_are_rejected_with_the_line() {
    Rejections("E2", "libsvm files that are rejected with the line").check(vec![
        case("a.svm", "", &["a.svm holds no samples"]),
        case("a.svm", "# only words\n\n", &["a.svm holds no samples"]),
        case("a.svm", "1\n0\n", &["a.svm holds no samples", "index:value pair"]),
        case("a.svm", "1 1:2\n\n0 0:1\n", &["index 0 in line 3 of a.svm, expected indices from 1"]),
        case("a.svm", "1 3:1 2:1\n", &["index 2 after index 3 in line 1 of a.svm"]),
        case("a.svm", "1 3:1 3:1\n", &["index 3 twice in line 1 of a.svm"]),
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
            &["index \"4294967295\" in line 2 of a.svm, expected a whole number from 1 to 16777216"],
        ),
        case("a.svm", "1 1:x\n", &["\"x\" in line 1, index 1 of a.svm, expected a number"]),
        case("a.svm", "1 7:nan\n", &["NaN in line 1, index 7 of a.svm"]),
        case("a.svm", "1 7:1e40\n", &["1e40 in line 1, index 7 of a.svm is beyond"]),
        case("a.svm", "1:1 2:1\n", &["\"1:1\" instead of a label in line 1 of a.svm"]),
        case("a.svm", "1,2 1:1\n", &["the labels \"1,2\" in line 1 of a.svm, expected one label"])
            .with(|options| options.target = TargetKind::Values),
        case("a.svm", b"1 1:1\n\xff 1:1\n".to_vec(), &["line 2 of a.svm is not UTF-8"]),
    ]);
}

#[test]
fn unreadable_and_missing_files_are_rejected() {
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
    assert!(message(&folder.path().join("c.txt")).contains("cannot infer the data format"));
}
