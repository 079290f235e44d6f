//! Where results go.

use std::path::Path;

use clap::Args;
use phalanx::internals::write_whole;

use super::super::failure::Failure;
use super::super::output;
use super::super::target::{Target, check_folder};

/// Results for other programs
#[derive(Args, Debug)]
pub(super) struct OutputFlags {
    /// Write everything that was measured as JSON; a file that is there is replaced; - for stdout, instead of the table
    #[arg(long, value_name = "FILE|-", help_heading = "Results")]
    pub(super) json: Option<Target>,
    /// Write a line for each line of the table as CSV; - for stdout, instead of the table
    #[arg(long, value_name = "FILE|-", help_heading = "Results")]
    pub(super) csv: Option<Target>,
}

impl OutputFlags {
    /// Refuses what could not be written, before anything is measured; `also` is one more file.
    pub(super) fn check(&self, also: Option<&Path>) -> Result<(), Failure> {
        let both = [&self.json, &self.csv].map(|target| target == &Some(Target::Stdout));
        if both == [true, true] {
            return Err(Failure::usage("--json - and --csv - both go to stdout; give one of them a file"));
        }
        let files: Vec<&Path> =
            [&self.json, &self.csv].into_iter().flatten().filter_map(Target::file).chain(also).collect();
        for (index, path) in files.iter().enumerate() {
            check_folder(path)?;
            if files[..index].contains(path) {
                let name = path.display();
                return Err(Failure::usage(format!(
                    "two results are to be written to {name}; give each its own file"
                )));
            }
        }
        Ok(())
    }

    /// Writes what is asked for; the table, unless stdout is taken or nothing but errors is to be said.
    pub(super) fn write(
        &self,
        json: &impl serde::Serialize,
        csv: impl FnOnce() -> String,
        table: Option<String>,
    ) -> Result<(), Failure> {
        if let Some(target) = &self.json {
            let text = serde_json::to_string_pretty(json).expect("reports are plain data");
            put(target, &(text + "\n"))?;
        }
        if let Some(target) = &self.csv {
            put(target, &csv())?;
        }
        let taken = [&self.json, &self.csv].contains(&&Some(Target::Stdout));
        match table {
            Some(table) if !taken => put(&Target::Stdout, &table),
            _ => Ok(()),
        }
    }
}

fn put(target: &Target, text: &str) -> Result<(), Failure> {
    match target {
        Target::File(path) => Ok(write_whole(path, text.as_bytes())?),
        Target::Stdout => output::results(|out| out.write_all(text.as_bytes())),
    }
}
