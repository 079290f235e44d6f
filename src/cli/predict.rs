//! `phalanx predict`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use phalanx::checkpoint::ModelFile;
use phalanx::data::{Classes, InputFormat};
use phalanx::model::Loss;
use phalanx::train::predict;

use super::failure::Failure;
use super::input::{Asked, Labels, samples_for};
use super::output::results;

/// Predict data with a model; prints a CSV with a line for each sample
#[derive(Args)]
pub(super) struct PredictFlags {
    /// A run directory, a model.safetensors, or a checkpoint
    model: PathBuf,
    /// What to predict: the test part if it has one, else all of it; labels, if there are any, are ignored
    /// [default: what the run was tested on, or trained on if it had no test]; - for stdin
    data: Option<String>,
    /// What stdin, a pipe or a file of any name holds: csv, npy or libsvm [default: csv for stdin and pipes; by the ending for
    /// files]
    #[arg(long, value_name = "FORMAT", requires = "data")]
    input_format: Option<InputFormat>,
    /// Print the probability of every class, not only of the likeliest
    #[arg(long)]
    probabilities: bool,
}

/// Prints a header and a line a sample.
pub(super) fn run(flags: &PredictFlags) -> Result<ExitCode, Failure> {
    let file = ModelFile::load(&flags.model)?;
    let asked = Asked { data: flags.data.as_deref(), format: flags.input_format, labels: Labels::Ignored };
    let (_, data) = samples_for(&file, asked)?;
    let predictions = predict(&file.model(), &file.params, &data)?;
    let columns = Columns::new(&file, flags.probabilities);
    results(|out| {
        writeln!(out, "{}", columns.header().join(","))?;
        predictions.rows().into_iter().enumerate().try_for_each(|(sample, outputs)| {
            let outputs = outputs.as_slice().expect("rows are contiguous");
            writeln!(out, "{sample},{}", columns.fields(outputs).join(","))
        })
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What is printed of each sample.
struct Columns<'a> {
    classes: Option<&'a Classes>,
    outputs: usize,
    all: bool,
}

impl<'a> Columns<'a> {
    fn new(file: &'a ModelFile, all: bool) -> Self {
        let classes = file.classes.as_ref().filter(|_| file.shape.loss != Loss::Mse);
        Self { classes, outputs: file.shape.outputs, all }
    }

    fn header(&self) -> Vec<String> {
        let mut names = vec!["sample".to_owned()];
        match self.classes {
            Some(classes) => {
                names.extend(["class".to_owned(), "probability".to_owned()]);
                if self.all {
                    names.extend(classes.names().iter().map(|name| quoted(&format!("p({name})"))));
                }
            }
            None if self.outputs == 1 => names.push("value".to_owned()),
            None => names.extend((0..self.outputs).map(|k| format!("value_{k}"))),
        }
        names
    }

    fn fields(&self, outputs: &[f32]) -> Vec<String> {
        let Some(classes) = self.classes else { return outputs.iter().map(ToString::to_string).collect() };
        let each = probabilities(outputs);
        let best = (1..each.len()).fold(0, |best, k| if each[k] > each[best] { k } else { best });
        let name = classes.names().get(best).map_or_else(|| best.to_string(), |name| quoted(name));
        let mut fields = vec![name, each[best].to_string()];
        if self.all {
            fields.extend(each.iter().take(classes.len()).map(ToString::to_string));
        }
        fields
    }
}

/// The probability of each class; one output speaks for the second of two.
fn probabilities(outputs: &[f32]) -> Vec<f32> {
    match outputs {
        [second] => vec![1.0 - second, *second],
        all => all.to_vec(),
    }
}

/// Text as a CSV field.
fn quoted(text: &str) -> String {
    let special = |c| matches!(c, ',' | '"' | '\n' | '\r');
    if text.contains(special) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
