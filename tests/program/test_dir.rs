//! A temporary directory in which a test runs the program.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A temporary directory, with methods that run the program in it.
pub struct TestDir {
    folder: TempDir,
}

/// The result of a program: exit code and output.
#[derive(Debug)]
pub struct ProgramOutput {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for ProgramOutput {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program prints UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl TestDir {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    /// Returns the program with these arguments, which are split at spaces.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phalanx"));
        command
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .env_remove("RUST_BACKTRACE");
        // Variables set outside of the tests are for other runs.
        let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PHALANX_"));
        ours.for_each(|(name, _)| _ = command.env_remove(name));
        command
    }

    pub fn run(&self, arguments: &str) -> ProgramOutput {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs a command that must succeed; returns its stdout.
    pub fn good(&self, arguments: &str) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(0), "phalanx {arguments}: {ran:?}");
        ran.out
    }

    /// Runs with these bytes on stdin.
    pub fn piped(&self, arguments: &str, input: &[u8]) -> Output {
        let (stdin, stdout) = (Stdio::piped(), Stdio::piped());
        let mut child =
            self.command(arguments).stdin(stdin).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
        // A program that ends early stops reading; its own error explains why.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    pub fn spawn(&self, arguments: &str) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Returns the names and sizes of everything in the directory.
    pub fn listing(&self) -> Vec<(PathBuf, u64)> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let meta = entry.metadata().unwrap();
                found.push((entry.path(), if meta.is_dir() { 0 } else { meta.len() }));
                folders.extend(meta.is_dir().then(|| entry.path()));
            }
        }
        found.sort();
        found
    }
}

/// Returns a table of two features, with the label that `label` returns for each sample.
pub fn table(samples: usize, label: impl Fn(f64, f64) -> String) -> String {
    let features = |sample: usize| ((sample * 7 % 11) as f64 / 11.0, (sample * 5 % 13) as f64 / 13.0);
    let line = |(a, b): (f64, f64)| format!("{a:.4},{b:.4},{}\n", label(a, b));
    (0..samples).map(|sample| line(features(sample))).collect()
}

/// Returns a complete npy file in C order.
pub fn npy(element: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{element}', 'fortran_order': False, 'shape': ({shape}), }}");
    header.extend(std::iter::repeat_n(' ', 63 - (10 + header.len()) % 64));
    header.push('\n');
    let len = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &len[..], header.as_bytes(), data].concat()
}

/// Returns an IDX file of bytes.
pub fn idx(extents: &[u32], data: &[u8]) -> Vec<u8> {
    let extents_bytes = extents.iter().flat_map(|extent| extent.to_be_bytes());
    [0, 0, 8, extents.len() as u8].into_iter().chain(extents_bytes).chain(data.iter().copied()).collect()
}

/// Returns the fields of each line of a CSV without quotes, without the header.
pub fn rows(csv: &str) -> Vec<Vec<String>> {
    csv.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// Returns the value for a name in a table on stdout.
pub fn value<'a>(table: &'a str, name: &str) -> &'a str {
    let line = table.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {table}")).split_whitespace().next().unwrap()
}

/// Returns the hash of the final params of a run.
pub fn hash(dir: &TestDir, run: &str) -> Value {
    dir.json(&format!("{run}/results.json"))["params_sha256"].clone()
}

/// Returns a command that runs `before` in a shell, which then replaces itself with the program.
#[cfg(unix)]
pub fn within_shell(dir: &TestDir, before: &str, program: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{before} && exec \"$@\""), "sh"]).arg(program.get_program());
    shell.args(program.get_args()).current_dir(dir.path(""));
    program.get_envs().filter(|(_, value)| value.is_none()).for_each(|(name, _)| _ = shell.env_remove(name));
    shell
}

/// Sends a signal to a program.
pub fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap().success());
}
