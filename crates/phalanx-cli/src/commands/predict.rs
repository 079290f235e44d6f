//! `phalanx eval` and `phalanx predict`: the use of a model on data.

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal, Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use ndarray::ArrayView2;
use phalanx::checkpoint::ModelFile;
use phalanx::data::{Classes, Column, HeaderRow, InputFormat};
use phalanx::internals::{csv_field, write_whole_with};
use phalanx::model::Loss;
use phalanx::train::{self, score};
use serde::Serialize;

use crate::args::values::{Choices, OutputFile, choices, header_row};
use crate::numbers::grouped;
use crate::run::data::{DataRequest, LabelUse, samples_for};
use crate::run::tables::right;
use crate::terminal::failure::{Failure, usage};
use crate::terminal::output::{check_folder, is_same_file, results};
use crate::text::TextTable;

// A doc comment here would become the help text of the commands that flatten these flags.
#[derive(Args)]
struct TableFlags {
    /// First line of a CSV: present (column names), absent (a sample), or auto, which reports an
    /// error if it could be either [default: auto]
    #[arg(long, value_name = "WHICH", requires = "data", value_parser = header_row(), hide_possible_values = true)]
    header: Option<HeaderRow>,
    /// Label column of a CSV: a name, an index from 0, or -1 for the last [default: that of the
    /// training data]
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true, requires = "data")]
    label_column: Option<Column>,
}

/// Compute the loss and the accuracy of a model on data
#[derive(Args)]
#[command(after_help = "Examples:
  phalanx eval runs/1                              the samples that the run was tested on
  phalanx eval runs/1 data/mnist                   the test part of the data
  zcat test.csv.gz | phalanx eval runs/1 -         a table on stdin")]
pub struct EvalFlags {
    /// Run directory, model.safetensors, or checkpoint
    model: PathBuf,
    /// Data, or - for stdin; the test part is used if there is one, otherwise all of it [default:
    /// the samples that the run was tested on, or trained on if it had no test samples]
    data: Option<String>,
    /// Format of stdin, a pipe or a file: csv, npy or libsvm [default: csv for stdin and pipes, the
    /// file extension for files]
    #[arg(long, value_name = "FORMAT", requires = "data", value_parser = choices!(InputFormat), hide_possible_values = true)]
    input_format: Option<InputFormat>,
    #[command(flatten)]
    table: TableFlags,
}

/// Prints loss and accuracy.
pub fn eval(flags: &EvalFlags) -> Result<ExitCode, Failure> {
    let file = ModelFile::load(&flags.model)?;
    let (name, data) = samples_for(
        &file,
        DataRequest {
            data: flags.data.as_deref(),
            format: flags.input_format,
            header: flags.table.header.unwrap_or_default(),
            label_column: flags.table.label_column.as_ref(),
            labels: LabelUse::Needed,
        },
    )?;
    let score = score(&file.model(), &file.params, &data)?;
    let mut table = TextTable::default();
    table.row("data", name);
    table.row("samples", grouped(data.len() as u64));
    table.row("loss", format!("{:?}", score.mean_loss()));
    if let Some(accuracy) = score.accuracy() {
        table.row("accuracy", format!("{accuracy}{}", right(accuracy, data.len())));
    }
    results(|out| write!(out, "{table}"))?;
    Ok(ExitCode::SUCCESS)
}

/// Predict the class and its probability, or the values, of each sample
#[derive(Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{FORMATS}\n\n{EXAMPLES}"))]
pub struct PredictFlags {
    /// Run directory, model.safetensors, or checkpoint
    model: PathBuf,
    /// Data, or - for stdin; the test part is used if there is one, otherwise all of it, and labels
    /// are ignored [default: the samples that the run was tested on, or trained on if it had no
    /// test samples]
    data: Option<String>,
    /// Format of stdin, a pipe or a file: csv, npy or libsvm [default: csv for stdin and pipes, the
    /// file extension for files]
    #[arg(long, value_name = "FORMAT", requires = "data", value_parser = choices!(InputFormat), hide_possible_values = true)]
    input_format: Option<InputFormat>,
    #[command(flatten)]
    table: TableFlags,
    /// Format of the predictions: csv, npy or jsonl
    #[arg(long, value_name = "FORMAT", default_value = "csv", value_parser = prediction_format(), hide_possible_values = true)]
    format: PredictionFormat,
    /// Write the probability of every class, not only of the most likely one; npy always includes
    /// them
    #[arg(long)]
    probabilities: bool,
    /// Output file, or - for stdout; an existing file is replaced [default: -]
    #[arg(short, long, value_name = "FILE|-")]
    output: Option<OutputFile>,
}

const FORMATS: &str = "Formats:
  csv    a header and sample,class,probability, with --probabilities also
         p(CLASS) of every class; for values sample,value or sample,value_0,...
  jsonl  {\"sample\":0,\"class\":\"7\",\"probability\":0.98} on each line, with
         --probabilities also \"probabilities\":{\"0\":0.01, ...}; for values
         \"value\":1.5 or \"values\":[1.5, ...]; null is NaN or infinite
  npy    f32 of shape (samples, classes), the probability of each class in the
         order of phalanx inspect; for values of shape (samples, values)
With a squared loss, the outputs of classes are no probabilities: the names are
then output and output(CLASS), and in jsonl output and outputs.
All digits of the f32 numbers are written. Samples are counted from 0.";

const EXAMPLES: &str = "Examples:
  phalanx predict runs/1 new.csv                   a table to stdout
  cat new.csv | phalanx predict runs/1 - | head    from stdin
  phalanx predict runs/1 X.npy --format npy -o P.npy
  phalanx predict runs/1 - --input-format libsvm --format jsonl < new.svm";

/// The format of predictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PredictionFormat {
    Csv,
    Npy,
    Jsonl,
}

fn prediction_format() -> Choices<PredictionFormat> {
    Choices::new(["csv", "npy", "jsonl"], |text| match text {
        "csv" => Ok(PredictionFormat::Csv),
        "npy" => Ok(PredictionFormat::Npy),
        "jsonl" => Ok(PredictionFormat::Jsonl),
        _ => Err(format!("unknown format '{text}', expected csv, npy or jsonl")),
    })
}

/// Predicts and writes the predictions.
pub fn predict(flags: &PredictFlags) -> Result<ExitCode, Failure> {
    let target = flags.output.as_ref().and_then(OutputFile::path);
    target.map_or(Ok(()), check_folder)?;
    if target.is_none() && flags.format == PredictionFormat::Npy && stdout().is_terminal() {
        return Err(usage!(
            "npy is a binary format and is not written to a terminal; give a file with -o, or redirect stdout",
        ));
    }
    if let (Some(target), Some(data)) = (target, &flags.data)
        && is_same_file(target, data.as_ref())
    {
        return Err(usage!("-o is the input file, which would be overwritten; give another file"));
    }
    let file = ModelFile::load(&flags.model)?;
    if flags.probabilities && Predictions::classes_of(&file).is_none() {
        return Err(usage!("--probabilities is for classes, but this model predicts values; drop it",));
    }
    let request = DataRequest {
        data: flags.data.as_deref(),
        format: flags.input_format,
        header: flags.table.header.unwrap_or_default(),
        label_column: flags.table.label_column.as_ref(),
        labels: LabelUse::Ignored,
    };
    let (_, data) = samples_for(&file, request)?;
    let outputs = train::predict(&file.model(), &file.params, &data)?;
    let predictions = Predictions::new(&file, outputs.view());
    match target {
        None => results(|out| write(flags, &predictions, out))?,
        Some(path) => write_whole_with(path, |file| {
            let mut out = BufWriter::new(file);
            write(flags, &predictions, &mut out)?;
            out.flush()
        })?,
    }
    Ok(ExitCode::SUCCESS)
}

fn write(flags: &PredictFlags, predictions: &Predictions<'_>, out: &mut dyn Write) -> io::Result<()> {
    match flags.format {
        PredictionFormat::Csv => write_csv(predictions, flags.probabilities, out),
        PredictionFormat::Jsonl => write_jsonl(predictions, flags.probabilities, out),
        PredictionFormat::Npy => write_npy(predictions, out),
    }
}

/// Returns the name of the prediction for a class: outputs of a squared loss are no probabilities.
pub fn output_of_class(loss: Loss) -> &'static str {
    if matches!(loss, Loss::Squared(_)) { "output" } else { "probability" }
}

/// The outputs of a model for all samples, with the class names.
struct Predictions<'a> {
    /// The names of the classes; `None` for values.
    classes: Option<&'a Classes>,
    /// The name of the prediction for a class.
    output: &'static str,
    /// (samples, outputs)
    outputs: ArrayView2<'a, f32>,
}

impl<'a> Predictions<'a> {
    fn new(file: &'a ModelFile, outputs: ArrayView2<'a, f32>) -> Self {
        Self { classes: Self::classes_of(file), output: output_of_class(file.shape.loss), outputs }
    }

    /// Returns the classes of a model, if it predicts classes.
    fn classes_of(file: &ModelFile) -> Option<&Classes> {
        file.classes.as_ref()
    }

    fn samples(&self) -> usize {
        self.outputs.nrows()
    }

    /// Returns the number of probabilities or values of each sample.
    fn width(&self) -> usize {
        match (self.classes, self.outputs.ncols()) {
            (Some(_), 1) => 2,
            (_, outputs) => outputs,
        }
    }

    /// Returns the names of the classes, by index; `None` for values.
    fn names(&self) -> Option<&'a [String]> {
        self.classes.map(Classes::names)
    }

    /// Returns the probabilities or values of each sample; a single output for two classes is the
    /// probability of the second.
    fn rows(&self) -> impl Iterator<Item = Cow<'_, [f32]>> {
        self.outputs.rows().into_iter().map(|row| {
            let outputs = row.to_slice().expect("rows are contiguous");
            match (self.classes, outputs) {
                (Some(_), [second]) => Cow::Owned(vec![1.0 - second, *second]),
                (_, outputs) => Cow::Borrowed(outputs),
            }
        })
    }
}

/// Returns the name of the most likely class, the first in case of a tie, and its probability.
fn most_likely<'n>(names: &'n [String], probabilities: &[f32]) -> (Cow<'n, str>, f32) {
    let better = |best, k| if probabilities[k] > probabilities[best] { k } else { best };
    let best = (1..probabilities.len()).fold(0, better);
    // With one class in the training data, a single output still distinguishes two, one without a
    // name.
    let name = names.get(best).map_or_else(|| best.to_string().into(), |name| name.into());
    (name, probabilities[best])
}

/// Writes a header, and a line for each sample.
fn write_csv(predictions: &Predictions<'_>, all: bool, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", csv_header(predictions, all).join(","))?;
    predictions.rows().enumerate().try_for_each(|(sample, row)| {
        write!(out, "{sample}")?;
        let numbers = match predictions.names() {
            None => &row[..],
            Some(names) => {
                let (name, probability) = most_likely(names, &row);
                write!(out, ",{},{probability}", csv_field(&name))?;
                if all { &row[..names.len().min(row.len())] } else { &[] }
            }
        };
        numbers.iter().try_for_each(|number| write!(out, ",{number}"))?;
        writeln!(out)
    })
}

fn csv_header(predictions: &Predictions<'_>, all: bool) -> Vec<String> {
    let mut names = vec!["sample".to_owned()];
    match (predictions.names(), predictions.width()) {
        (Some(classes), _) => {
            names.extend(["class".to_owned(), predictions.output.to_owned()]);
            if all {
                let short = if predictions.output == "probability" { "p" } else { predictions.output };
                names.extend(classes.iter().map(|name| csv_field(&format!("{short}({name})")).into_owned()));
            }
        }
        (None, 1) => names.push("value".to_owned()),
        (None, width) => names.extend((0..width).map(|k| format!("value_{k}"))),
    }
    names
}

/// Writes a line with a JSON object for each sample. JSON has no NaN and no infinity; they are
/// written as null.
fn write_jsonl(predictions: &Predictions<'_>, all: bool, out: &mut dyn Write) -> io::Result<()> {
    let output = predictions.output;
    predictions.rows().enumerate().try_for_each(|(sample, row)| {
        write!(out, "{{\"sample\":{sample},")?;
        match (predictions.names(), &*row) {
            (Some(names), row) => {
                let (class, probability) = most_likely(names, row);
                write!(out, "\"class\":{},\"{output}\":{}", json(&class)?, json(&probability)?)?;
                if all {
                    let each =
                        names.iter().zip(row).map(|(name, p)| Ok(format!("{}:{}", json(name)?, json(p)?)));
                    write!(
                        out,
                        ",\"{}\":{{{}}}",
                        if output == "probability" { "probabilities" } else { "outputs" },
                        each.collect::<io::Result<Vec<_>>>()?.join(",")
                    )?;
                }
            }
            (None, [value]) => write!(out, "\"value\":{}", json(value)?)?,
            (None, values) => write!(out, "\"values\":{}", json(values)?)?,
        }
        writeln!(out, "}}")
    })
}

fn json<T: Serialize + ?Sized>(value: &T) -> io::Result<String> {
    Ok(serde_json::to_string(value)?)
}

/// The alignment of the numbers, in bytes; the header is padded.
const ALIGN: usize = 64;
/// The length of the magic text, of version 1.0, and of the header's length in two bytes.
const PRELUDE_BYTES: usize = 10;

/// Writes an f32 array of shape (samples, width), as specified by NumPy enhancement proposal 1.
fn write_npy(predictions: &Predictions<'_>, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(&npy_header(predictions.samples(), predictions.width()))?;
    predictions
        .rows()
        .try_for_each(|row| row.iter().try_for_each(|number| out.write_all(&number.to_le_bytes())))
}

fn npy_header(samples: usize, width: usize) -> Vec<u8> {
    let mut text =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({samples}, {width}), }}").into_bytes();
    let whole = (PRELUDE_BYTES + text.len() + 1).next_multiple_of(ALIGN);
    text.resize(whole - PRELUDE_BYTES - 1, b' ');
    text.push(b'\n');
    let length = u16::try_from(text.len()).expect("two numbers take less than 64 KiB");
    [b"\x93NUMPY\x01\x00", &length.to_le_bytes()[..], &text].concat()
}
