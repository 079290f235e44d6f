//! Tests of `phalanx export`: its output and its errors. The content of the file is tested in
//! `tests/model/onnx.rs`.

use std::fs;

use crate::test_dir::{ProgramOutput, TestDir, table};
use phalanx::checkpoint::ModelFile;
use phalanx::internals::OnnxModel;

#[test]
fn a_run_a_model_file_and_a_checkpoint_give_the_same_export() {
    let dir = TestDir::new();
    dir.good("train --epochs 1 --standardize -o run");
    let table = dir.good("export run run.onnx");
    for fragment in
        ["run.onnx", "9610", "input (samples, 64)", "logits (samples, 10)", "probabilities (samples, 10)"]
    {
        assert!(table.contains(fragment), "no {fragment} in {table}");
    }
    let expected = OnnxModel::new(&ModelFile::load(&dir.path("run")).unwrap()).unwrap().to_bytes();
    assert!(fs::read(dir.path("run.onnx")).unwrap() == expected);
    let checkpoint =
        dir.listing().into_iter().find(|(path, _)| path.to_str().unwrap().contains("step-")).unwrap();
    for (number, model) in ["run/model.safetensors", checkpoint.0.to_str().unwrap()].iter().enumerate() {
        // An existing file is replaced.
        dir.write("model.ONNX", "something else");
        dir.good(&format!("export {model} model.ONNX"));
        assert!(fs::read(dir.path("model.ONNX")).unwrap() == expected, "{number}");
    }
}

#[test]
fn errors_of_an_export_are_one_line() {
    let dir = TestDir::new();
    dir.write("law.csv", table(40, |a, b| format!("{:.3}", a + b)));
    dir.good("train law.csv --epochs 1 -o run");
    dir.write("notes.safetensors", "no model");
    dir.write("there.onnx/file", "");
    let before = dir.listing();
    let cases: &[(&str, i32, &[&str])] = &[
        ("run model.safetensors", 2, &["model.safetensors", ".onnx", "PyTorch"]),
        ("run out", 2, &["out", ".onnx"]),
        ("run no/out.onnx", 1, &["no/out.onnx", "there is no folder no"]),
        ("run there.onnx", 1, &["there.onnx", "folder"]),
        ("absent out.onnx", 1, &["cannot read absent"]),
        ("notes.safetensors out.onnx", 1, &["notes.safetensors is damaged, or not a safetensors file"]),
    ];
    for (arguments, code, fragments) in cases {
        let ProgramOutput { code: found, out, err } = dir.run(&format!("export {arguments}"));
        assert_eq!(
            (found, out.as_str(), err.matches('\n').count()),
            (Some(*code), "", 1),
            "{arguments}: {err}"
        );
        for fragment in *fragments {
            assert!(err.contains(fragment), "{arguments}: no {fragment:?} in {err}");
        }
        assert_eq!(dir.listing(), before, "{arguments}");
    }
}
