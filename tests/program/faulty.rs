//! The ordinary program on an operating system that logs its calls and makes them fail:
//! `faulty_os.c`, compiled by the test and loaded before libc. It needs Linux with glibc and a C
//! compiler; elsewhere the tests are skipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::test_dir::{ProgramOutput, TestDir};

/// The compiled library and a folder for its logs.
pub struct FaultyOs {
    folder: TempDir,
}

/// A call that changes files, with their paths relative to the directory.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub kind: String,
    pub name: String,
    /// The new name of a rename.
    pub other: String,
}

/// The fault of a call.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The call fails with this errno.
    Once(i32),
    /// The call and all calls after it fail with this errno.
    Onward(i32),
    /// The call writes half of its bytes.
    Short,
}

pub const EIO: i32 = 5;
pub const EACCES: i32 = 13;
pub const ENOSPC: i32 = 28;

impl FaultyOs {
    /// Compiles the library; where that is impossible, prints a note and returns `None`.
    pub fn new() -> Option<Self> {
        if !cfg!(all(target_os = "linux", target_env = "gnu")) {
            println!("SKIPPED: calls are logged on Linux with glibc only");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/program/faulty_os.c");
        let library = folder.path().join("faulty_os.so");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(library)
            .arg(source)
            .arg("-ldl")
            .output();
        match compiled {
            Ok(output) if output.status.success() => Some(Self { folder }),
            Ok(output) => panic!("{}", ProgramOutput::from(output).err),
            Err(error) => {
                println!("SKIPPED: there is no C compiler: cc: {error}");
                None
            }
        }
    }

    /// Returns the program with the library loaded; no call fails.
    pub fn command(&self, dir: &TestDir, arguments: &str) -> Command {
        let mut command = dir.command(arguments);
        command.env("LD_PRELOAD", self.folder.path().join("faulty_os.so"));
        command.env("FAULTY_UNDER", fs::canonicalize(dir.path("")).unwrap());
        command
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Runs the program, and returns its calls in order.
    pub fn watched(&self, dir: &TestDir, arguments: &str) -> (ProgramOutput, Vec<Call>) {
        self.with_fault(dir, arguments, None)
    }

    /// Runs the program with a fault at the call with this number, counted from 1.
    pub fn with_fault(
        &self,
        dir: &TestDir,
        arguments: &str,
        fault: Option<(usize, Fault)>,
    ) -> (ProgramOutput, Vec<Call>) {
        _ = fs::remove_file(self.log());
        let mut command = self.command(dir, arguments);
        command.env("FAULTY_LOG", self.log());
        if let Some((call, fault)) = fault {
            let error = match fault {
                Fault::Once(error) | Fault::Onward(error) => error,
                Fault::Short => 0,
            };
            command.env("FAULTY_AT", call.to_string()).env("FAULTY_ERRNO", error.to_string());
            if matches!(fault, Fault::Onward(_)) {
                command.env("FAULTY_ONWARD", "1");
            }
        }
        let ran = command.output().unwrap().into();
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        (ran, log.lines().map(Call::read).collect())
    }
}

impl Call {
    fn read(line: &str) -> Self {
        let fields: Vec<String> = line.split('\t').map(str::to_owned).collect();
        let [kind, name, other] = <[String; 3]>::try_from(fields).expect("a line has three fields");
        Self { kind, name, other }
    }

    /// Returns the call without its mark if it was affected by a fault.
    pub fn hit(self) -> Option<Self> {
        self.kind.strip_prefix('!').map(|kind| Self { kind: kind.to_owned(), ..self.clone() })
    }
}
