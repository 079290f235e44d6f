//! Sources that must be rejected, with the expected messages.
use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use phalanx::data::{LoadOptions, Source};

use crate::tally::Tally;

/// One invalid source: its files by name, the source to load, the options, and fragments of the
/// message.
pub struct Case {
    files: Vec<(&'static str, Vec<u8>)>,
    source: &'static str,
    options: LoadOptions,
    fragments: Vec<&'static str>,
}

pub fn case(file: &'static str, bytes: impl Into<Vec<u8>>, fragments: &[&'static str]) -> Case {
    let (files, fragments) = (vec![(file, bytes.into())], fragments.to_vec());
    Case { files, source: file, options: LoadOptions::default(), fragments }
}

impl Case {
    pub fn with(mut self, change: impl FnOnce(&mut LoadOptions)) -> Case {
        change(&mut self.options);
        self
    }

    pub fn source(mut self, source: &'static str) -> Case {
        self.source = source;
        self
    }

    pub fn and(mut self, file: &'static str, bytes: Vec<u8>) -> Case {
        self.files.push((file, bytes));
        self
    }

    /// Returns the message, without the path of the folder.
    fn message(&self) -> String {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in &self.files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let prefix = format!("{}/", folder.path().display());
        let path = |name| format!("{prefix}{name}");
        let text = self.source.split(',').map(path).collect::<Vec<_>>().join(",");
        let loaded = text.parse::<Source>().and_then(|source| source.load(&self.options));
        match loaded {
            Ok(loaded) => format!("loaded {} samples", loaded.train.len()),
            Err(error) => error.to_string().replace(&prefix, ""),
        }
    }
}

/// A row of the reliability score, and a description of the counted cases.
pub struct Rejections(pub &'static str, pub &'static str);

impl Rejections {
    /// Checks that each source is rejected with a message that contains its fragments and names one
    /// of its files.
    pub fn check(self, cases: Vec<Case>) {
        let mut tally = Tally::new(self.0, self.1);
        for case in &cases {
            let message = case.message();
            let missing: Vec<_> =
                case.fragments.iter().filter(|fragment| !message.contains(*fragment)).collect();
            let first = message.chars().next().unwrap();
            let is_plain = !message.ends_with('.') && (!first.is_uppercase() || message.starts_with("NaN"));
            let names = case.files.iter().map(|(name, _)| name.trim_end_matches(".gz"));
            // If a folder lacks its files, the message names the folder itself.
            let mut names = names.chain(case.source.split(','));
            let is_named = case.source.is_empty() || names.any(|name| message.contains(name));
            let is_good = missing.is_empty() && is_plain && is_named;
            let report = || {
                format!(
                    "{}: {message:?} lacks {missing:?} or a file's name, or is a full sentence",
                    case.source
                )
            };
            if !is_good {
                eprintln!("{}", report());
            }
            tally.case(is_good, report);
        }
        tally.end();
    }
}

pub fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn npy_text(version: u8, text: &str, bytes: &[u8]) -> Vec<u8> {
    let mut file = b"\x93NUMPY".to_vec();
    file.extend([version, 0]);
    let text = format!("{text:<117}\n");
    file.extend((text.len() as u16).to_le_bytes());
    file.extend(text.as_bytes());
    file.extend(bytes);
    file
}

pub fn npy(descr: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    npy_text(1, &format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"), bytes)
}
