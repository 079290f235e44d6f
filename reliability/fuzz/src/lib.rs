//! Code shared by the fuzz targets: a file in memory, and the requirements on a parser that accepts
//! it.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use phalanx::checkpoint::{Checkpoint, ModelFile};
use phalanx::internals::summarize;
use phalanx::data::{Column, LoadOptions, Source, TargetKind};

/// A folder of this process, which the caller removes together with `TMPDIR`.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("phalanx-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("the folder can be created");
    folder
});

/// Loads samples from a file of this name in several ways; accepted samples must be usable.
pub fn samples(name: &str, bytes: &[u8]) {
    let file = FOLDER.join(name);
    fs::write(&file, bytes).expect("memory is not full");
    let is_idx = name.contains("idx");
    if is_idx {
        let labels = [0, 0, 8, 1, 0, 0, 0, 2, 0, 1];
        fs::write(FOLDER.join("train-labels-idx1-ubyte"), labels).expect("memory is not full");
    }
    let path = if is_idx { &*FOLDER } else { &file };
    let source: Source = path.display().to_string().parse().expect("a path is a source");
    let weighted = LoadOptions {
        target: TargetKind::Values,
        weight_column: Some(Column::Number(0)),
        ..LoadOptions::default()
    };
    let plain = LoadOptions { target: TargetKind::None, features: Some(2), ..LoadOptions::default() };
    for options in [LoadOptions::default(), weighted, plain] {
        if let Ok(loaded) = source.load(&options) {
            assert!(loaded.train.features() > 0 && !loaded.train.is_empty());
            loaded.train.fingerprint();
        }
    }
}

/// Reads a file as a model, as a checkpoint and as a plain safetensors file.
pub fn tensors(bytes: &[u8]) {
    let file = FOLDER.join("a.safetensors");
    fs::write(&file, bytes).expect("memory is not full");
    if let Ok(model) = ModelFile::load(&file) {
        assert_eq!(Some(model.params.len()), model.shape.params_len());
    }
    let _ = Checkpoint::load(&file);
    let _ = summarize(&file);
}
