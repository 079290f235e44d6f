//! The output of `--print-config`, byte for byte, for command lines with flags of every kind,
//! variables and files.
//!
//! `print_config.txt` has each command line after `$ `, followed by its output. To update it after
//! an intended change, set `UPDATE_PRINT_CONFIG=1`.

use std::fmt::Write as _;
use std::fs;

use crate::test_dir::{ProgramOutput, TestDir};

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/program/print_config.txt");

/// Files that the command lines name.
const FILES: [(&str, &str); 4] = [
    ("own.toml", "batch_size = 9\nhidden = [30, 20]\n"),
    ("like.toml", "# as Keras\nlike = \"keras\"\nmomentum = 0.9\nl2 = 1e-4\n"),
    ("pairs.toml", "epochs = 3\ntest = \"other.csv\"\n"),
    (
        "kinds.toml",
        "data = 'a \"b\".csv'\nlabel_column = 1\nweight-column = \"w\"\nheader = \"present\"\nthreads = 3\nshards = \"4\"\nhidden = 64\n\
         lr = 1\nl2 = 1e-5\nnesterov = true\nmomentum = 0.9\nquiet = false\nsave-every = 500\nkeep = 0x10\nseed = 18_000\n\
         noise-scale = 0\nallow-changed = [\"lr\", \"l2\"]\nresume = \"auto\"\noutput-dir = [114, 117, 110]\nstandardize-targets = false\n\
         timeout = 3_0\nclip-grad-norm = inf\nlr-schedule = \"\"\"cosine\"\"\"\nloss = \"bce\"\n",
    ),
];

/// Returns the recorded command lines, each with its output.
fn recorded(text: &str) -> Vec<(&str, &str)> {
    let cases = text.split("$ ").skip(1);
    cases.map(|case| case.split_once('\n').expect("a newline follows each command line")).collect()
}

#[test]
fn command_lines_print_their_recorded_output() {
    let dir = TestDir::new();
    FILES.iter().for_each(|(name, text)| dir.write(name, text));
    let text = fs::read_to_string(RECORDED).unwrap();
    let mut now = String::new();
    for (line, _) in recorded(&text) {
        let (variables, arguments) = line.split_once("phalanx ").unwrap();
        let mut command = dir.command(&format!("{arguments} --print-config"));
        command.envs(variables.split_whitespace().map(|variable| variable.split_once('=').unwrap()));
        let ran: ProgramOutput = command.output().unwrap().into();
        assert_eq!(ran.code, Some(0), "{line}: {ran:?}");
        let _ = writeln!(now, "$ {line}\n{}", ran.out.trim_end());
    }
    if std::env::var_os("UPDATE_PRINT_CONFIG").is_some() {
        fs::write(RECORDED, &now).unwrap();
    }
    for ((line, then), (_, now)) in recorded(&text).into_iter().zip(recorded(&now)) {
        assert_eq!(now, then, "{line}");
    }
    assert!(recorded(&text).len() >= 20);
}
