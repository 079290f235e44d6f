//! Durability of files, on an operating system that logs each call and makes each fail in turn
//! ([`FaultyOs`]).

use std::fs;
use std::path::Path;

use crate::faulty::{Call, EACCES, EIO, ENOSPC, Fault, FaultyOs};
use crate::moments::all_whole;
use crate::tally::{Tally, count, is_full};
use crate::test_dir::{ProgramOutput, TestDir, hash, table};
use phalanx::checkpoint::ModelFile;
use serde_json::Value;

const RUN: &str =
    "train small.csv --test-split 0.25 --hidden 8 --optimizer adam -b 16 --log-every 10 --quiet";

fn furnished() -> TestDir {
    let dir = TestDir::new();
    dir.write("small.csv", table(64, |a, b| usize::from(a > b).to_string()));
    dir
}

fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or(".", |(folder, _)| folder)
}

/// Checks that a renamed file had been written and fsynced, and that its folder is fsynced next,
/// before anything is removed from it.
fn is_durable(calls: &[Call], renamed: usize) -> Result<(), String> {
    let Call { name: temporary, other: file, .. } = &calls[renamed];
    let of_temporary = calls[..renamed].iter().filter(|call| call.name == *temporary);
    let kinds: Vec<&str> = of_temporary.map(|call| call.kind.as_str()).collect();
    let changes: Vec<&str> = kinds.iter().copied().filter(|kind| *kind != "chmod").collect();
    let is_written = changes.first() == Some(&"create")
        && changes.last() == Some(&"fsync")
        && changes.len() > 2
        && changes[1..changes.len() - 1].iter().all(|kind| *kind == "write");
    if !is_written {
        return Err(format!("{file} was renamed after {kinds:?}"));
    }
    let in_folder = |call: &&Call| call.name == folder_of(file) || folder_of(&call.name) == folder_of(file);
    let next = calls[renamed + 1..]
        .iter()
        .filter(in_folder)
        .find(|call| ["fsync", "unlink"].contains(&call.kind.as_str()));
    match next {
        Some(call) if call.kind == "fsync" && call.name == folder_of(file) => Ok(()),
        other => {
            Err(format!("the rename of {file} was followed by {other:?}, not by an fsync of its folder"))
        }
    }
}

/// Checks that the folder created by the first call is made durable by a later fsync.
fn folder_is_durable(calls: &[Call]) -> Result<(), String> {
    let synced = |later: &Call| later.kind == "fsync" && later.name == folder_of(&calls[0].name);
    if calls.iter().any(synced) { Ok(()) } else { Err(format!("no fsync after {:?}", calls[0])) }
}

#[test]
fn files_are_fsynced_before_their_rename_and_their_folders_after_it() {
    let Some(os) = FaultyOs::new() else { return };
    let dir = furnished();
    let mut tally = Tally::new("D2", "files and folders that are durable before the program continues");
    let steps = count(40, 2000);
    for arguments in [
        format!("{RUN} --save-every 1 --keep 2 --tensorboard --max-steps {steps} -o deep/run"),
        format!("train --resume deep/run --max-steps {} --allow-changed max-steps --quiet", steps + 20),
        "predict deep/run -o predictions.csv".to_owned(),
        "export deep/run model.onnx".to_owned(),
        "report deep/run".to_owned(),
    ] {
        let before = dir.listing();
        let (ran, calls) = os.watched(&dir, &arguments);
        assert_eq!(ran.code, Some(0), "{arguments}: {ran:?}");
        for (index, call) in calls.iter().enumerate() {
            let good = match call.kind.as_str() {
                "rename" => is_durable(&calls, index),
                "mkdir" => folder_is_durable(&calls[index..]),
                _ => continue,
            };
            tally.case(good.is_ok(), || format!("{arguments}: {good:?}"));
        }
        // All new files were created by a rename, except logs, which are appended to.
        let renamed = |name: &str| calls.iter().any(|call| call.kind == "rename" && call.other == name);
        let new = dir.listing().into_iter().filter(|entry| !before.contains(entry) && entry.0.is_file());
        for (path, _) in new {
            let name = path.strip_prefix(dir.path("")).unwrap().to_str().unwrap();
            let is_log = name.contains("metrics.") || name.contains("events.out");
            tally.case(is_log || renamed(name), || format!("{arguments}: {name} was not renamed"));
        }
    }
    tally.end();
}

/// A run in which each call fails in turn.
struct Scene {
    dir: TestDir,
    arguments: String,
    /// The hash of the final params.
    whole: Value,
    /// True if it resumes another run, in the same directory.
    is_resumed: bool,
}

impl Scene {
    /// Returns a new run, which starts again or is resumed if the command is repeated.
    fn new_run() -> Self {
        let dir = furnished();
        let arguments = format!("{RUN} --max-steps 12 --save-every 3");
        dir.good(&format!("{arguments} -o whole"));
        let whole = hash(&dir, "whole");
        Self { dir, arguments: format!("{arguments} --resume auto -o run"), whole, is_resumed: false }
    }

    /// Returns a run that is resumed after 6 steps.
    fn resumed_run() -> Self {
        let Self { dir, whole, .. } = Self::new_run();
        dir.good(&format!("{RUN} --max-steps 6 --save-every 3 --tensorboard -o old"));
        let more = "--max-steps 12 --allow-changed max-steps --save-every 3 --tensorboard --quiet";
        Self { dir, arguments: format!("train --resume run {more}"), whole, is_resumed: true }
    }

    /// Restores the folder to its initial state.
    fn reset(&self) {
        let run = self.dir.path("run");
        if run.exists() {
            fs::remove_dir_all(&run).unwrap();
        }
        if self.is_resumed {
            copy(&self.dir.path("old"), &run);
        }
    }

    /// Checks the state after a run with a fault: all files are complete, an error names the file,
    /// and the run can still be resumed to its end.
    fn judge(&self, ran: &ProgramOutput, fault: Fault, hit: &[Call]) -> Result<(), String> {
        let whole = all_whole(&self.dir)?;
        let step = whole.last().map_or(0, |checkpoint| checkpoint.snapshot.position().step);
        if self.is_resumed && step < 6 {
            return Err("the old checkpoint is gone".to_owned());
        }
        let model = self.dir.path("run/model.safetensors");
        if self.is_resumed || model.exists() {
            ModelFile::load(&model).map_err(|error| error.to_string())?;
        }
        let results = fs::read(self.dir.path("run/results.json")).unwrap_or("null".into());
        let results: Value = serde_json::from_slice(&results).map_err(|error| error.to_string())?;
        match ran.code {
            Some(0) => {}
            Some(1) if !matches!(fault, Fault::Short) => named(ran, hit)?,
            _ => return Err("the exit code is wrong".to_owned()),
        }
        if results["params_sha256"] != self.whole {
            let again = self.dir.run(&self.arguments);
            if ran.code == Some(0) || again.code != Some(0) || hash(&self.dir, "run") != self.whole {
                return Err(format!("the run cannot be resumed: {again:?}"));
            }
        }
        // A temporary file is left if its removal failed and the run is complete, so that it is not
        // resumed.
        let is_left = |path: &Path| path.to_string_lossy().contains(".writing");
        let leftover = self.dir.listing().into_iter().find(|(path, _)| is_left(path));
        match leftover.filter(|_| hit.iter().all(|call| call.kind != "unlink")) {
            Some((path, _)) => Err(format!("{} is left", path.display())),
            None => Ok(()),
        }
    }
}

/// Checks that the last line is an error that names a file affected by a fault; for a temporary
/// file, whose name the user does not know, its folder.
fn named(ran: &ProgramOutput, hit: &[Call]) -> Result<(), String> {
    let line = ran.err.lines().last().unwrap_or_default();
    let name = |call: &Call| if call.other.is_empty() { call.name.clone() } else { call.other.clone() };
    let known = |name: String| match name.split_once(".writing") {
        Some((folder, _)) => folder.to_owned(),
        // The folder in which the run directory was created.
        None if name == "." => "run".to_owned(),
        None => name,
    };
    let is_named = hit.iter().map(name).map(known).any(|name| line.contains(&name));
    match line.starts_with("error: ") && is_named && !line.contains(".writing") {
        true => Ok(()),
        false => Err(format!("the error does not name the file of {:?}: {line}", hit.first())),
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &to) } else { _ = fs::copy(entry.path(), to).unwrap() }
    }
}

/// Repeats a run with each call failing in each way.
fn fail_in_turn(os: &FaultyOs, scene: &Scene, tally: &mut Tally) {
    scene.reset();
    let (ran, calls) = os.watched(&scene.dir, &scene.arguments);
    assert_eq!((ran.code, hash(&scene.dir, "run")), (Some(0), scene.whole.clone()), "{ran:?}");
    let once = [ENOSPC, EIO, EACCES].map(Fault::Once);
    let faults = once.into_iter().chain([Fault::Short]).chain([ENOSPC, EIO].map(Fault::Onward));
    for (at, (index, fault)) in
        (1..=calls.len()).flat_map(|at| faults.clone().enumerate().map(move |fault| (at, fault)))
    {
        // By default a sample of them, in which each kind of fault occurs at each kind of call.
        if !is_full() && !(at + index).is_multiple_of(24) {
            continue;
        }
        scene.reset();
        let (ran, calls) = os.with_fault(&scene.dir, &scene.arguments, Some((at, fault)));
        let hit: Vec<Call> = calls.into_iter().filter_map(Call::hit).collect();
        // Only writes can be short.
        if hit.is_empty() {
            continue;
        }
        let good = scene.judge(&ran, fault, &hit);
        tally.case(good.is_ok(), || format!("{fault:?} at call {at}, {:?}: {good:?}, {ran:?}", hit[0]));
    }
}

#[test]
fn after_any_failing_call_the_old_files_are_intact_and_the_error_names_the_file() {
    let Some(os) = FaultyOs::new() else { return };
    let cases = "failing calls after which all files are complete, the error names the file, and the run can be resumed";
    let mut tally = Tally::new("D3", cases);
    fail_in_turn(&os, &Scene::new_run(), &mut tally);
    fail_in_turn(&os, &Scene::resumed_run(), &mut tally);
    tally.end();
}
