//! `phalanx predict`.

mod answers;
mod csv;
mod format;
mod jsonl;
mod npy;

use std::io::{self, BufWriter, IsTerminal, Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use phalanx::checkpoint::ModelFile;
use phalanx::data::{Column, HeaderRow, InputFormat};
use phalanx::internals::write_whole_with;
use phalanx::train::predict;

use super::failure::Failure;
use super::input::{Asked, Labels, samples_for};
use super::output::results;
use super::target::{Target, check_folder, is_same_file};
use answers::Answers;
use format::Format;

/// Predict data with a model: class and probability, or values, of each sample
#[derive(Args)]
#[command(after_help = "Formats:
  csv    sample,class,probability under a header, with --probabilities also
         p(CLASS) of every class; of values sample,value or sample,value_0,...
  jsonl  {\"sample\":0,\"class\":\"7\",\"probability\":0.98} on each line, with
         --probabilities also \"probabilities\":{\"0\":0.01, ...}; of values
         \"value\":1.5 or \"values\":[1.5, ...]; null is no finite number
  npy    f32 of (samples, classes), the probability of each class in the order
         that phalanx inspect lists them; of values (samples, values)
Numbers read back as the f32 that they are. Samples count from 0.

Examples:
  phalanx predict runs/1 new.csv                   a table to stdout
  cat new.csv | phalanx predict runs/1 - | head    from stdin
  phalanx predict runs/1 X.npy --format npy -o P.npy
  phalanx predict runs/1 - --input-format libsvm --format jsonl < new.svm")]
pub(super) struct PredictFlags {
    /// A run directory, a model.safetensors, or a checkpoint
    model: PathBuf,
    /// What to predict: the test part if it has one, else all of it; labels, if there are any, are ignored; - for stdin
    /// [default: what the run was tested on, or trained on if it had no test]
    data: Option<String>,
    /// What stdin, a pipe or a file of any name holds: csv, npy or libsvm [default: csv for stdin and pipes; by the ending for
    /// files]
    #[arg(long, value_name = "FORMAT", requires = "data")]
    input_format: Option<InputFormat>,
    /// Whether line 1 of a CSV names its columns: present, absent, or auto, which refuses a line that may be names or a sample
    /// [default: auto]
    #[arg(long, value_name = "WHICH", requires = "data")]
    header: Option<HeaderRow>,
    /// Column of the label in a CSV, if it is not that of the training data: a name, a number from 0, or -1 for the last
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true, requires = "data")]
    label_column: Option<Column>,
    /// How to write the predictions: csv, npy or jsonl
    #[arg(long, value_name = "FORMAT", default_value = "csv")]
    format: Format,
    /// Write the probability of every class, not only of the likeliest; npy always does
    #[arg(long)]
    probabilities: bool,
    /// Write to this file; one that is there is replaced [default: -, stdout]
    #[arg(short, long, value_name = "FILE|-")]
    output: Option<Target>,
}

/// Predicts, and writes the answers.
pub(super) fn run(flags: &PredictFlags) -> Result<ExitCode, Failure> {
    let target = flags.output.as_ref().and_then(Target::file);
    target.map_or(Ok(()), check_folder)?;
    if target.is_none() && flags.format == Format::Npy && stdout().is_terminal() {
        return Err(Failure::usage(
            "npy is no text for a terminal; name a file with -o, or send stdout to one",
        ));
    }
    if let (Some(target), Some(data)) = (target, &flags.data)
        && is_same_file(target, data.as_ref())
    {
        return Err(Failure::usage("-o is the file to predict, which would be lost; give another"));
    }
    let file = ModelFile::load(&flags.model)?;
    if flags.probabilities && Answers::classes_of(&file).is_none() {
        return Err(Failure::usage(
            "--probabilities is for classes, but this model predicts values; drop it",
        ));
    }
    let asked = Asked {
        data: flags.data.as_deref(),
        format: flags.input_format,
        header: flags.header.unwrap_or_default(),
        label_column: flags.label_column.as_ref(),
        labels: Labels::Ignored,
    };
    let (_, data) = samples_for(&file, asked)?;
    let outputs = predict(&file.model(), &file.params, &data)?;
    let answers = Answers::new(&file, outputs.view());
    match target {
        None => results(|out| write(flags, &answers, out))?,
        Some(path) => write_whole_with(path, |file| {
            let mut out = BufWriter::new(file);
            write(flags, &answers, &mut out)?;
            out.flush()
        })?,
    }
    Ok(ExitCode::SUCCESS)
}

fn write(flags: &PredictFlags, answers: &Answers<'_>, out: &mut dyn Write) -> io::Result<()> {
    match flags.format {
        Format::Csv => csv::write(answers, flags.probabilities, out),
        Format::Jsonl => jsonl::write(answers, flags.probabilities, out),
        Format::Npy => npy::write(answers, out),
    }
}
