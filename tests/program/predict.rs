//! Predictions in every format, and samples from stdin.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::Output;

use crate::test_dir::{TestDir, npy, table};
use phalanx::checkpoint::ModelFile;
use serde_json::Value;

/// Class names that each format has to quote in its own way.
const NAMES: [&str; 3] = ["down\nunder", "he said \"up\", yes", "x,y"];

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn good(output: Output) -> Vec<u8> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// Returns a directory with a model of three classes with those names, one of two classes, and
/// models of one and of two values; `new.csv` suits all of them.
fn furnished() -> TestDir {
    let dir = TestDir::new();
    let class = |a: f64, b: f64| quoted(NAMES[(1.5 * (a + b)) as usize % 3]);
    dir.write("named.csv", format!("a,b,where\n{}", table(120, class)));
    dir.good("train named.csv --label-column where --standardize --hidden 8 -b 16 --epochs 5 -o classes");
    dir.write("two.csv", table(120, |a, b| quoted(NAMES[usize::from(a > b)])));
    dir.good("train two.csv --hidden none --loss bce -b 16 --epochs 5 -o two");
    dir.write("law.csv", table(120, |a, b| format!("{:.3}", a + b)));
    dir.good("train law.csv --hidden 8 -b 16 --epochs 5 -o law");
    let targets: Vec<u8> = (0..240).flat_map(|k| (k as f32 / 240.0).to_le_bytes()).collect();
    dir.write("y.npy", npy("<f4", "120, 2", &targets));
    let inputs: Vec<u8> = (0..240).flat_map(|k| (((k * 7) % 11) as f32).to_le_bytes()).collect();
    dir.write("x.npy", npy("<f4", "120, 2", &inputs));
    dir.good("train x.npy,y.npy --hidden 8 -b 16 --epochs 1 -o laws");
    dir.write("new.csv", table(40, |_, _| "0".to_owned()).replace(",0\n", "\n"));
    dir
}

/// Returns the shape and the numbers of an npy file of f32.
fn read_npy(bytes: &[u8]) -> (String, Vec<f32>) {
    let len = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert_eq!((&bytes[..8], (10 + len) % 64), (&b"\x93NUMPY\x01\x00"[..], 0));
    let header = std::str::from_utf8(&bytes[10..10 + len]).unwrap();
    let shape = header.strip_prefix("{'descr': '<f4', 'fortran_order': False, 'shape': (").unwrap();
    let numbers = bytes[10 + len..].as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number));
    (shape.split(')').next().unwrap().to_owned(), numbers.collect())
}

/// Returns the records of a CSV, the header first.
fn records(csv: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(csv.as_bytes());
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

fn objects(jsonl: &str) -> Vec<Value> {
    jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn bits(number: &str) -> u32 {
    number.parse::<f32>().unwrap().to_bits()
}

#[test]
fn class_names_and_the_bits_of_probabilities_survive_in_every_format() {
    let dir = furnished();
    for (model, names) in [("classes", &NAMES[..]), ("two", &NAMES[..2])] {
        let csv = records(&dir.good(&format!("predict {model} new.csv --probabilities")));
        let lines = objects(&dir.good(&format!("predict {model} new.csv --probabilities --format jsonl")));
        dir.good(&format!("predict {model} new.csv --format npy -o out.npy"));
        let (shape, numbers) = read_npy(&fs::read(dir.path("out.npy")).unwrap());
        let columns: Vec<String> = names.iter().map(|name| format!("p({name})")).collect();
        assert_eq!(csv[0], [&["sample", "class", "probability"].map(str::to_owned)[..], &columns].concat());
        assert_eq!((shape, csv.len(), lines.len()), (format!("40, {}", names.len()), 41, 40));
        for (sample, row) in numbers.chunks(names.len()).enumerate() {
            let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
            let (record, object) = (&csv[sample + 1], &lines[sample]);
            assert_eq!(record[..2], [sample.to_string(), names[best].to_owned()]);
            assert_eq!((&object["sample"], &object["class"]), (&sample.into(), &names[best].into()));
            assert_eq!(
                [bits(&record[2]), bits(&object["probability"].to_string())],
                [row[best].to_bits(); 2]
            );
            for (k, (name, number)) in names.iter().zip(row).enumerate() {
                let in_json = object["probabilities"][name].to_string();
                assert_eq!([bits(&record[3 + k]), bits(&in_json)], [number.to_bits(); 2], "{name}");
            }
        }
        let short = objects(&dir.good(&format!("predict {model} new.csv --format jsonl")));
        assert!(short.iter().all(|object| object.as_object().unwrap().len() == 3), "{short:?}");
    }
}

#[test]
fn values_have_the_same_bits_in_every_format() {
    let dir = furnished();
    for (model, width) in [("law", 1), ("laws", 2)] {
        let csv = records(&dir.good(&format!("predict {model} new.csv")));
        let lines = objects(&dir.good(&format!("predict {model} new.csv --format jsonl")));
        let (shape, numbers) =
            read_npy(&good(dir.piped(&format!("predict {model} new.csv --format npy"), b"")));
        assert_eq!(shape, format!("40, {width}"));
        for (sample, row) in numbers.chunks(width).enumerate() {
            let object = &lines[sample];
            let in_json = if width == 1 {
                vec![object["value"].clone()]
            } else {
                object["values"].as_array().unwrap().clone()
            };
            for (k, number) in row.iter().enumerate() {
                assert_eq!(
                    [bits(&csv[sample + 1][1 + k]), bits(&in_json[k].to_string())],
                    [number.to_bits(); 2]
                );
            }
        }
    }
}

#[test]
fn a_number_that_is_not_finite_is_null_in_json() {
    let dir = furnished();
    let mut file = ModelFile::load(&dir.path("law")).unwrap();
    file.params.fill(f32::MAX);
    file.save(&dir.path("huge.safetensors")).unwrap();
    let line = text(good(dir.piped("predict huge.safetensors - --format jsonl", b"1,1\n")));
    assert_eq!(line, "{\"sample\":0,\"value\":null}\n");
    assert_eq!(text(good(dir.piped("predict huge.safetensors -", b"1,1\n"))), "sample,value\n0,inf\n");
}

#[test]
fn stdin_in_any_format_gives_what_the_file_gives() {
    let dir = furnished();
    let rows: Vec<Vec<f32>> = dir
        .read("new.csv")
        .lines()
        .map(|line| line.split(',').map(|field| field.parse().unwrap()).collect())
        .collect();
    let numbers: Vec<u8> = rows.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
    let libsvm: String = rows.iter().map(|row| format!("1:{} 2:{}\n", row[0], row[1])).collect();
    let csv = dir.read("new.csv").into_bytes();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(&csv).unwrap();
    let expected = dir.good("predict classes new.csv");
    for (arguments, input) in [
        ("-", &csv),
        ("- --input-format csv", &csv),
        ("/dev/stdin", &csv),
        ("-", &gz.finish().unwrap()),
        ("- --input-format npy", &npy("<f4", "40, 2", &numbers)),
        ("- --input-format libsvm", &libsvm.into_bytes()),
    ] {
        let found = text(good(dir.piped(&format!("predict classes {arguments}"), input)));
        assert_eq!(found, expected, "{arguments}");
    }
    dir.write("new.txt", &csv);
    assert_eq!(dir.good("predict classes new.txt --input-format csv"), expected);
    let scored = text(good(dir.piped("eval two -", dir.read("two.csv").as_bytes())));
    assert_eq!(scored.replace("stdin", "two.csv"), dir.good("eval two two.csv"));
}

#[test]
fn a_reader_that_closes_the_pipe_is_not_an_error() {
    let dir = furnished();
    let mut child = dir
        .command("predict classes -")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(dir.read("new.csv").repeat(500).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = text(output.stderr);
    assert!(
        output.status.success() && stderr.lines().count() == 1 && stderr.contains("no column names"),
        "{stderr}"
    );
}

/// Only the model file is copied to another directory.
#[test]
fn class_names_and_standardization_travel_in_the_model_file() {
    let (home, away) = (furnished(), TestDir::new());
    fs::copy(home.path("classes/model.safetensors"), away.path("m.safetensors")).unwrap();
    drop(home);
    let file = ModelFile::load(&away.path("m.safetensors")).unwrap();
    let standardize = file.standardize.clone().unwrap();
    let sample = [0.25_f32, 0.75];
    let line =
        text(good(away.piped("predict m.safetensors - --probabilities --format jsonl", b"a,b\n0.25,0.75\n")));
    let found: Value = serde_json::from_str(&line).unwrap();

    // The same computed in f64: standardization, a layer of 8 relu units, softmax.
    let layer = |params: &[f32], inputs: &[f64], outputs: usize| -> Vec<f64> {
        let (weight, bias) = params.split_at(inputs.len() * outputs);
        let dot = |row: &[f32]| row.iter().zip(inputs).map(|(w, x)| f64::from(*w) * x).sum::<f64>();
        weight.chunks(inputs.len()).zip(bias).map(|(row, b)| dot(row) + f64::from(*b)).collect()
    };
    let x: Vec<f64> = (0..2)
        .map(|k| f64::from(sample[k] - standardize.mean()[k]) / f64::from(standardize.std()[k]))
        .collect();
    let (first, second) = file.params.split_at(2 * 8 + 8);
    let hidden: Vec<f64> = layer(first, &x, 8).into_iter().map(|z| z.max(0.0)).collect();
    let z: Vec<f64> = layer(second, &hidden, 3).into_iter().map(f64::exp).collect();
    let expected: BTreeMap<_, _> = NAMES.iter().zip(z.iter().map(|e| e / z.iter().sum::<f64>())).collect();
    for (name, expected) in expected {
        let found = found["probabilities"][name].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-6, "{name}: {found} and {expected}");
    }
}

#[test]
fn a_file_of_predictions_is_replaced_whole_and_stdout_stays_empty() {
    let dir = furnished();
    let expected = dir.good("predict law new.csv");
    dir.write("out.csv", "the old content");
    assert_eq!(dir.good("predict law new.csv --output out.csv"), "");
    assert_eq!(dir.read("out.csv"), expected);
    assert_eq!(dir.good("predict law new.csv -o -"), expected);
}

#[test]
fn impossible_requests_give_one_line_of_error_and_write_nothing() {
    let dir = furnished();
    dir.write("killed/config.toml", "");
    let before = dir.listing();
    let cases: &[(&str, &str, i32, &[&str])] = &[
        ("predict law -", "", 1, &["stdin holds no samples"]),
        ("predict law -", "a,b\n", 1, &["stdin holds no samples"]),
        ("predict law -", "1\n", 1, &["1 column in stdin", "2 features"]),
        ("predict law -", "1,2\n\n1,2,3\n", 1, &["3 fields in line 3 of stdin", "expected 2"]),
        ("predict law -", "1,2\n1,x\n", 1, &["\"x\" in line 2, column 1 of stdin"]),
        ("predict law - --input-format npy", "1,2\n", 1, &["stdin", "expected"]),
        ("predict law - --input-format libsvm", "1:1\n2:1 1:1\n", 1, &["line 2 of stdin", "ascending"]),
        ("predict law - --input-format libsvm", "3:1\n", 1, &["stdin has 3 features, expected 2"]),
        ("eval two -", "1,2,up\n", 1, &["its label \"up\" is a word that is no class of the model"]),
        ("eval two - --input-format npy", "", 1, &["stdin"]),
        ("predict law new.csv -o .", "", 1, &["cannot write .", "folder"]),
        ("predict law new.csv -o no/out.csv", "", 1, &["no/out.csv", "there is no folder no"]),
        ("predict law new.csv -o ./new.csv", "", 2, &["-o is the input file"]),
        ("predict killed - -o out.csv", "1,2\n", 1, &["killed has no model", "train --resume killed"]),
        ("predict absent - -o out.csv", "1,2\n", 1, &["cannot read absent"]),
        ("predict new.csv -", "1,2\n", 1, &["new.csv is damaged, or not a safetensors file"]),
        ("predict law new.csv --probabilities", "", 2, &["--probabilities", "values"]),
        ("predict law new.csv --format yaml", "", 2, &["yaml", "csv, npy or jsonl"]),
        ("predict law - --input-format yaml", "", 2, &["yaml", "csv, npy or libsvm"]),
        ("predict law --input-format csv", "", 2, &["DATA"]),
    ];
    for (arguments, input, code, fragments) in cases {
        let output = dir.piped(arguments, input.as_bytes());
        let err = text(output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(*code), 0), "{arguments}: {err}");
        assert!(err.starts_with("error: "), "{arguments}: {err}");
        for fragment in *fragments {
            assert!(err.contains(fragment), "{arguments}: no {fragment:?} in {err}");
        }
        assert_eq!(dir.listing(), before, "{arguments}");
    }
}
