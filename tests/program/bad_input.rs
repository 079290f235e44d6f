//! Bad input to the program: one clear line on stderr, the right exit code, and nothing written.

use std::fs;

use crate::tally::Tally;
use crate::test_dir::{ProgramOutput, TestDir, idx, npy, table};

/// Arguments, exit code, and texts that the message must contain.
type Case = (&'static str, i32, &'static [&'static str]);

/// Returns a description of the fault if the program does not reject its input as expected.
fn fault(dir: &TestDir, (arguments, code, fragments): &Case) -> Option<String> {
    let before = dir.listing();
    let ProgramOutput { code: found, out, err } = dir.run(arguments);
    let missing: Vec<_> = fragments.iter().filter(|fragment| !err.contains(*fragment)).collect();
    let faults = [
        (found != Some(*code), format!("exit code {found:?}")),
        (!err.starts_with("error: ") || err.matches('\n').count() != 1, "not one line".to_owned()),
        (!missing.is_empty(), format!("no {missing:?}")),
        (!out.is_empty() || dir.listing() != before, "output or files were left behind".to_owned()),
    ];
    let first = faults.into_iter().find(|(is_fault, _)| *is_fault);
    first.map(|(_, fault)| format!("phalanx {arguments}: {fault}: {err}"))
}

fn check(dir: &TestDir, cases: &[Case]) {
    for case in cases {
        assert_eq!(fault(dir, case), None);
    }
}

/// Does the same as [`check`], and counts bad files for a row of the reliability score.
fn check_files(dir: &TestDir, what: &str, cases: &[Case]) {
    let mut tally = Tally::new("E2", what);
    for case in cases {
        let fault = fault(dir, case);
        tally.case(fault.is_none(), || fault.unwrap_or_default());
    }
    tally.end();
}

fn classes(a: f64, b: f64) -> String {
    usize::from(a > b).to_string()
}

/// Returns a directory with valid tables and with runs trained on them.
fn furnished() -> TestDir {
    let dir = TestDir::new();
    dir.write("good.csv", table(40, classes));
    dir.write("three.csv", table(40, |a, b| ((a + b) as usize + usize::from(a > b)).to_string()));
    dir.write("wide.csv", "1,2,3,0\n4,5,6,1\n");
    dir.write("values.csv", table(40, |a, b| format!("{:.3}", a + b)));
    dir.good("train good.csv --epochs 1 -o model");
    dir.good("train values.csv --epochs 1 -o law");
    dir
}

#[test]
fn data_that_cannot_be_read() {
    let dir = furnished();
    let labels = idx(&[4], &[0, 1, 2, 3]);
    for (folder, images) in [
        ("cut", idx(&[4, 2, 2], &[9; 11])),
        ("magic", [&[1, 2, 3, 4][..], &idx(&[4, 2, 2], &[9; 16])[4..]].concat()),
        ("many", idx(&[5, 2, 2], &[9; 20])),
    ] {
        dir.write(&format!("{folder}/train-images-idx3-ubyte"), images);
        dir.write(&format!("{folder}/train-labels-idx1-ubyte"), &labels);
    }
    fs::create_dir(dir.path("bare")).unwrap();
    dir.write("ragged.csv", "1,2,0\n3,4\n");
    dir.write("word.csv", "1,2,0\n3,four,1\n");
    dir.write("nan.csv", "1,2,0\n3,NaN,1\n");
    dir.write("empty.csv", "");
    dir.write("header.csv", "a,b,label\n");
    dir.write("negative.csv", "1,2,0,1\n3,4,1,-2\n");
    dir.write("zero.csv", "1,2,0,0\n3,4,1,0\n");
    dir.write("pairs.svm", "1 1:2 1:3\n");
    dir.write("nan.npy", npy("<f4", "1, 2", &[0, 0, 192, 127, 0, 0, 0, 0]));
    dir.write("one.npy", npy("<i8", "1,", &[0; 8]));
    dir.write("cut.npy", npy("<f4", "9, 2", &[0; 8]));
    dir.write("photo.png", "no data");
    let cases: &[Case] = &[
        ("train missing.csv", 1, &["missing.csv", "no file"]),
        ("train missing", 1, &["\"missing\"", "digits", "FILE.csv"]),
        ("train photo.png", 1, &["photo.png", "cannot infer the data format", "FILE.csv", "--input-format"]),
        ("train bare", 1, &["bare", "no MNIST files", "train-images-idx3-ubyte"]),
        ("train cut", 1, &["cut/train-images-idx3-ubyte", "only 27 bytes", "expected 32"]),
        ("train magic", 1, &["magic/train-images-idx3-ubyte", "byte 0", "expected"]),
        ("train many", 1, &["is 4, expected 5", "do not belong together"]),
        ("train ragged.csv", 1, &["2 fields in line 2 of ragged.csv", "expected 3"]),
        ("train word.csv", 1, &["\"four\" in line 2, column 1 of word.csv", "expected a number"]),
        ("train nan.csv", 1, &["NaN in line 2, column 1 of nan.csv", "finite"]),
        ("train empty.csv", 1, &["empty.csv holds no samples"]),
        ("train header.csv", 1, &["header.csv holds no samples"]),
        ("train negative.csv --weight-column 3", 1, &["weight \"-2\" in line 2, column 3", "0 or more"]),
        ("train zero.csv --weight-column 3", 1, &["weights of all 2 training samples are 0"]),
        ("train pairs.svm", 1, &["index 1 twice in line 1 of pairs.svm", "once"]),
        ("train nan.npy,one.npy", 1, &["NaN in row 1, column 0", "nan.npy"]),
        ("train cut.npy,one.npy", 1, &["cut.npy holds only", "expected 200"]),
        ("train good.csv --label-column colour", 1, &["good.csv", "colour", "header"]),
        ("train good.csv --label-column 7", 1, &["no column 7", "0 to 2"]),
        ("train good.csv --label-column 2 --weight-column 2", 1, &["both label and weight"]),
    ];
    check_files(&dir, "data files that the program rejects", cases);
}

#[test]
fn options_that_are_invalid_for_any_data_are_rejected() {
    let dir = furnished();
    let cases: &[Case] = &[
        ("train -t 0", 2, &["number of threads is 0", "at least 1"]),
        ("train -t 100000", 2, &["100000 threads", "at most 4096"]),
        ("train -b 0", 2, &["batch size is 0", "at least 1"]),
        ("train --shards 0", 2, &["number of shards is 0", "auto"]),
        ("train --epochs 0", 2, &["number of epochs or steps is 0", "at least 1"]),
        ("train --max-steps 0", 2, &["number of epochs or steps is 0", "at least 1"]),
        ("train --lr nan", 2, &["lr is NaN"]),
        ("train --lr=-1", 2, &["lr is -1", "must be 0, or between"]),
        ("train --lr inf", 2, &["lr is inf"]),
        ("train --momentum 1", 2, &["momentum is 1", "below 1"]),
        ("train --momentum 0.9 --optimizer adam", 2, &["momentum is not used by adam", "sgd"]),
        ("train --nesterov", 2, &["nesterov has no effect without momentum"]),
        ("sweep --noise-scale", 2, &["--noise-scale has no effect on a sweep"]),
        ("sweep --timeout 5", 2, &["--timeout has no effect on a sweep"]),
        ("train --momentum-form caffe", 2, &["momentum-form has no effect without momentum"]),
        ("train --beta1 1.5 --optimizer adam", 2, &["beta1 is 1.5"]),
        ("train --eps 1e-8", 2, &["eps is not used by sgd"]),
        ("train --l2=-1", 2, &["l2 is -1"]),
        (
            "train --lr-schedule linear --warmup-steps 230",
            2,
            &["warmup-steps is 230", "the run has 230 steps"],
        ),
        ("train --warmup-steps 9 --warmup-form constant", 2, &["fraction of the rate", "set warmup-start"]),
        ("train --warmup-form constant --warmup-start 0.1", 2, &["warmup-form", "warmup-steps is 0"]),
        ("train --warmup-start 0.1", 2, &["warmup-start", "warmup-steps is 0"]),
        ("train --warmup-steps 9 --warmup-start 1.5", 2, &["warmup-start is 1.5", "between 0 and 1"]),
        ("train --lr-gamma 0.5", 2, &["option lr-gamma", "constant schedule"]),
        ("train --lr-schedule step --lr-decay-epochs 0", 2, &["lr-decay-epochs is 0"]),
        ("train --label-column 3", 2, &["--label-column", "tables", "digits"]),
        ("train --weight-column w", 2, &["--weight-column", "tables", "digits"]),
        ("train x.npy,y.npy --header absent", 2, &["--header", "tables", "x.npy,y.npy"]),
        ("train --clip-grad-norm 0", 2, &["norm of 0", "above 0"]),
        ("train --clip-grad-norm nan", 2, &["norm of NaN"]),
        ("train --timeout 0", 2, &["timeout of 0.0 seconds"]),
        ("train --timeout nan", 2, &["timeout of NaN seconds"]),
        ("train --base-batch-size 32", 2, &["base batch size 32", "linear or sqrt"]),
        ("train --scale-lr linear", 2, &["base batch size"]),
        ("train --test-split 1", 2, &["test fraction is 1", "below 1", "--test-split"]),
        ("train --test-split 2", 2, &["test fraction is 2"]),
        ("train --test-split=-0.1", 2, &["test fraction is -0.1"]),
        ("train --test-split nan", 2, &["test fraction is NaN"]),
        ("train good.csv --test-split 0.001", 1, &["leaves the test part empty", "40 samples"]),
        ("train good.csv --drop-last", 1, &["40 training samples do not fill a batch of 64"]),
        ("train --hidden 16000000,16000000", 1, &["params", "GB", "--hidden"]),
        ("train --hidden 16777216 --threads 4096 -b 100000", 1, &["params", "GB", "--threads"]),
        ("train --loss bce", 1, &["10 classes", "2"]),
        ("train --loss mse --label-column 0 values.csv --init model", 1, &["shape", "--hidden"]),
        ("train values.csv --loss cross-entropy -o model", 1, &["model exists", "-o"]),
        ("train -o good.csv", 1, &["good.csv exists", "-o"]),
        ("train -o good.csv/run", 1, &["good.csv/run", "-o"]),
    ];
    check(&dir, cases);
}

#[test]
fn a_test_split_of_0_is_the_default() {
    let dir = furnished();
    dir.good("train good.csv --test-split 0 --epochs 1 -o run");
    assert_eq!(dir.json("run/results.json")["test_samples"], 0);
}

#[test]
fn faulty_files_of_flags() {
    let dir = TestDir::new();
    for (name, text) in [
        ("unknown", "lr = 0.1\nlearning-rate = 1\n"),
        ("section", "[train]\nlr = 1\n"),
        ("text", "seed = 1\nbatch-size = \"many\"\n"),
        ("flag", "lr = true\n"),
        ("list", "hidden = true\n"),
        ("below", "threads = -1\n"),
        ("large", "shards = \"99999999999999999999\"\n"),
        ("beyond", "lr = 1\nseed = 9223372036854775808\n"),
        ("choice", "optimizer = \"adm\"\n"),
        ("syntax", "lr = \n"),
        ("twice", "lr = 1\nlr = 2\n"),
        ("both", "epochs = 1\nmax-steps = 2\n"),
    ] {
        dir.write(&format!("{name}.toml"), text);
    }
    dir.write("binary.toml", [0xff, 0xfe]);
    let cases: &[Case] = &[
        ("train --config absent.toml", 1, &["cannot read absent.toml", "TOML"]),
        ("train --config binary.toml", 1, &["cannot read binary.toml", "UTF-8"]),
        ("train --config unknown.toml", 2, &["unknown.toml line 2", "unknown key `learning-rate`", "--help"]),
        ("train --config section.toml", 2, &["section.toml line 1", "unknown key `train`"]),
        ("train --config text.toml", 2, &["text.toml line 2, batch-size", "\"many\"", "whole number"]),
        ("train --config flag.toml", 2, &["flag.toml line 1, lr", "`true`", "a number"]),
        ("train --config list.toml", 2, &["list.toml line 1, hidden", "widths such as 128"]),
        ("train --config below.toml", 2, &["below.toml line 1, threads", "'-1'", "whole number", "auto"]),
        ("train --config large.toml", 2, &["large.toml line 1, shards", "whole number"]),
        (
            "train --config beyond.toml",
            2,
            &["beyond.toml line 2, seed", "number of at most 9223372036854775807"],
        ),
        ("train --config choice.toml", 2, &["choice.toml line 1, optimizer", "`adm`", "`adam`"]),
        ("train --config syntax.toml", 2, &["syntax.toml line 1"]),
        ("train --config twice.toml", 2, &["twice.toml line 2", "set for the second time"]),
        ("train --config both.toml", 2, &["both epochs and max-steps", "keep one"]),
    ];
    check_files(&dir, "files of flags that the program rejects", cases);
}

#[test]
fn data_that_does_not_match_the_model_is_rejected() {
    let dir = furnished();
    fs::copy(
        format!("{}/../../tests/fixtures/linear_layers.safetensors", env!("CARGO_MANIFEST_DIR")),
        dir.path("torch.safetensors"),
    )
    .unwrap();
    dir.write("notes.txt", "no model");
    let cases: &[Case] = &[
        ("eval model wide.csv", 1, &["4 columns in wide.csv", "2 features"]),
        ("eval model digits", 1, &["digits has 64 features, expected 2"]),
        ("eval model three.csv", 1, &["label 2", "three.csv", "2 classes"]),
        ("eval law words.csv", 1, &["words.csv"]),
        ("eval model x.npy", 1, &["x.npy"]),
        ("predict model wide.csv", 1, &["wide.csv"]),
        ("predict law digits", 1, &["64 features"]),
        ("train good.csv --test wide.csv", 1, &["4 columns in wide.csv", "2 features"]),
        ("train good.csv --test three.csv", 1, &["label 2", "three.csv", "2 classes"]),
        ("train good.csv --init model --hidden 7", 1, &["layers.0.weight", "[128, 2]", "[7, 2]"]),
        ("train good.csv --init model --hidden none", 1, &["layers.1", "--hidden"]),
        ("train wide.csv --init model", 1, &["layers.0.weight", "[128, 2]", "[128, 3]"]),
        ("train good.csv --init good.csv", 1, &["good.csv is damaged, or not a safetensors file"]),
        ("train good.csv --init absent", 1, &["cannot read absent"]),
        (
            "eval torch.safetensors good.csv",
            1,
            &["torch.safetensors has no description of its model", "--init"],
        ),
        ("predict torch.safetensors", 1, &["has no description of its model"]),
        ("eval absent", 1, &["cannot read absent", "run directory"]),
        ("inspect absent", 1, &["cannot read absent"]),
        (
            "inspect notes.txt",
            1,
            &["cannot infer the data format from the name \"notes.txt\"", "--input-format"],
        ),
    ];
    check_files(&dir, "models and data that do not fit", cases);
    dir.good("inspect torch.safetensors");
}

#[test]
fn missing_data_of_a_model_is_reported() {
    let dir = furnished();
    fs::remove_file(dir.path("good.csv")).unwrap();
    let cases: &[Case] =
        &[("eval model", 1, &["the run's own data good.csv", "no file", "accept other data"])];
    check(&dir, cases);
}

/// Messages of clap may have more than one line.
#[test]
fn invalid_arguments_give_exit_code_2() {
    let dir = TestDir::new();
    for arguments in [
        "",
        "tarin",
        "train --learning-rate 1",
        "train --lr fast",
        "train --threads=-1",
        "train --seed 18446744073709551615",
        "train --hidden 0",
        "train --hidden 1,,2",
        "train --optimizer adm",
        "train --reduction average",
        "train --loss hinge",
        "train --epochs 1 --max-steps 2",
        "train --test good.csv --test-split 0.1",
        "train digits digits",
        "eval",
        "predict",
        "inspect a b",
    ] {
        let ProgramOutput { code, out, err } = dir.run(arguments);
        assert_eq!(code, Some(2), "phalanx {arguments}: {err}");
        assert!(arguments.is_empty() || err.starts_with("error: "), "phalanx {arguments}: {err}");
        assert_eq!((out.as_str(), dir.listing()), ("", vec![]), "phalanx {arguments}");
    }
}
