//! Damaged files of flags are parsed or rejected; they never crash the program.

#[path = "../../../../../tests/fuzz/hunt.rs"]
mod hunt;
#[path = "../../../../../tests/fuzz/mutant.rs"]
mod mutant;
#[path = "../../../../../tests/tally/mod.rs"]
mod tally;

use super::file as read;
use hunt::{Hunt, folder};
use mutant::mutate;

const CORPUS: [&str; 4] = [
    "lr = 0.1\nbatch-size = 64 # a comment\ndata = \"a.csv\"\n",
    "threads = \"auto\"\nhidden = \"30,20\"\nstandardize = true\nepochs = 3\n",
    "label_column = -1\nheader = 'absent'\nallow-changed = [\"lr\", \"l2\"]\nseed = 18_000\n",
    "optimizer = \"adam\"\nbeta1 = 9e-1\ntimeout = inf\nlr-schedule = \"\"\"cosine\"\"\"\r\nnoise-scale = 0x1f\n",
];
const WORDS: [&str; 18] = [
    "=",
    "\n",
    "\"",
    "'''",
    "[",
    "]",
    "[[a]]",
    "{",
    "}",
    ".",
    "#",
    "max-steps = 1\n",
    "true",
    "1979-05-27",
    "0b",
    "_",
    "-",
    "\\u00e9",
];

#[test]
fn no_mutant_of_a_file_of_flags_crashes_the_parser() {
    let corpus = CORPUS.map(|text| text.as_bytes().to_vec());
    let folder = folder();
    let file = folder.path().join("run.toml");
    let path = file.clone();
    Hunt { parser: "files of flags", file }.run(
        |chance| {
            let mut bytes = chance.one(&corpus).clone();
            mutate(chance, &mut bytes, &corpus, &WORDS);
            bytes
        },
        |_| read(&path).map_err(|failure| assert!(!failure.to_string().is_empty())).is_ok(),
    );
}
