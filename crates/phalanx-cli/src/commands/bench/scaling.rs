//! `phalanx bench scaling`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::Error;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use phalanx::checkpoint::read_tensors;
use phalanx::data::Dataset;
use phalanx::internals::write_whole;
use phalanx::model::{Mlp, Model};
use serde_json::json;

use super::output::{OutputFlags, Verbosity, csv, grouped, or_dash, percent, thread_counts};
use crate::args::flags::{TrainFlags, shortened};
use crate::args::layers;
use crate::args::values::Auto;
use crate::bench::{
    BenchError, Growth, MeasuredRun, PhaseShares, ScalingBench, ScalingOptions, ScalingPoint, ScalingReport,
    speed_up_chart,
};
use crate::numbers::counted;
use crate::run::data::{data_name, training_data};
use crate::run::{like, settings, tables};
use crate::terminal::failure::{Failure, usage};
use crate::terminal::output;
use crate::terminal::process_group::ProcessGroup;
use crate::text::TextTable;

/// Measure the speed of training with several thread counts
///
/// Trains with each thread count in turn, several times, and compares samples per second. Nothing
/// is saved, and test samples are not evaluated. The flags are those of train, but the default of
/// --epochs is 1. A --config file and variables such as PHALANX_BATCH_SIZE may be those of a run:
/// their thread count and output are ignored. Under mpirun, each thread count is measured on 1, 2,
/// 4 ... and all processes.
#[derive(Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{COLUMNS}\n\n{EXAMPLES}"))]
pub struct ScalingFlags {
    /// Training runs for each thread count
    #[arg(long, value_name = "N", default_value_t = 3, help_heading = "Measurement")]
    takes: usize,
    /// Increase the batch size in proportion to the threads; --batch-size is that of the smallest
    /// count
    #[arg(long, help_heading = "Measurement")]
    weak: bool,
    #[command(flatten)]
    output: OutputFlags,
    /// Plot the speed-up and the ideal line to this SVG file
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    series: SeriesFlags,
}

const COLUMNS: &str = "Columns: samples/s is the median over the takes, min and max are its range; speed-up and efficiency are \
relative to the smallest count; of limit is the speed of the matrix products of training relative to products of 1024 x 1024 matrices with the same kernels \
on all cores, measured just before and just after (the better one counts); computing, waiting, and reducing and updating are fractions \
of the time, averaged over ranks. Most gradients of a perceptron are computed, combined and used for the update in one pass, which \
counts as reducing and updating.";

const EXAMPLES: &str = "Examples:
  phalanx bench scaling
  phalanx bench scaling data/mnist --hidden 512,512 -b 256 --threads 1,2,4 --svg speed-up.svg
  phalanx bench scaling --config runs/1/config.toml --weak";

/// Flags in the short help.
const COMMON: &str = "data hidden threads batch_size shards reduction epochs max_steps optimizer quiet config help \
     takes weak json csv svg";

/// Training runs that differ only in their thread count.
#[derive(Clone, Debug, PartialEq)]
struct SeriesFlags {
    /// The list of `--threads`; empty if it is not given.
    threads: Vec<Auto<usize>>,
    /// All other flags, without a thread count.
    train: TrainFlags,
}

/// Flags of `train` that concern the run directory; a measurement does not create one.
const OF_A_RUN: &str =
    "output_dir log_every tensorboard save_every keep resume allow_changed print_config log_format";

/// Flags of `train` that concern the evaluation of samples, which a measurement omits.
const OF_A_TEST: &str = "test metric early_stop min_gain restore_best";

impl SeriesFlags {
    /// Returns an error for flags that would have no effect. They are accepted in a file, so that
    /// the config of a run can be measured unchanged.
    fn check(&self) -> Result<(), Failure> {
        if let Some(flag) = self.train.first_given(OF_A_RUN) {
            return Err(usage!("bench scaling saves no run, so --{flag} has no effect; drop it"));
        }
        match self.train.first_given(OF_A_TEST) {
            Some(flag) => {
                Err(usage!("bench scaling evaluates no samples, so --{flag} has no effect; drop it"))
            }
            None => Ok(()),
        }
    }
}

/// Adapts the flags of `train` for a measurement.
fn adapted(command: Command) -> Command {
    let command = command.mut_arg("threads", |threads| {
        let help = "Thread counts to compare, such as 1,2,4 or 1,auto [default: 1, 2, 4 ... and all cores]";
        threads.value_delimiter(',').value_name("N,N...").help(help).long_help(None)
    });
    let command = command.mut_arg("epochs", |epochs| {
        epochs.help(format!("Passes over the training samples [default: {EPOCHS}]"))
    });
    let command = command.mut_args(|flag| shortened(flag, COMMON));
    [OF_A_RUN, OF_A_TEST]
        .join(" ")
        .split(' ')
        .fold(command, |command, id| command.mut_arg(id, |flag| flag.hide(true)))
}

impl Args for SeriesFlags {
    fn augment_args(command: Command) -> Command {
        adapted(TrainFlags::augment_args(command))
    }

    fn augment_args_for_update(command: Command) -> Command {
        adapted(TrainFlags::augment_args_for_update(command))
    }
}

impl FromArgMatches for SeriesFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let threads = matches.get_many("threads").map(|counts| counts.copied().collect()).unwrap_or_default();
        Ok(Self { threads, train: TrainFlags { threads: None, ..TrainFlags::from_arg_matches(matches)? } })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Measures and reports, alone or as one process of a group.
pub fn run(flags: ScalingFlags) -> Result<ExitCode, Failure> {
    let mut group = ProcessGroup::join(settings::timeout(&flags.series.train)?)?;
    let ended = measure(flags, &mut group);
    group.end(ended)
}

fn measure(flags: ScalingFlags, group: &mut ProcessGroup) -> Result<ExitCode, Failure> {
    flags.series.check()?;
    flags.output.check(flags.svg.as_deref())?;
    let counts = thread_counts(&flags.series.threads)?;
    let train = complete(like::resolve_layers(layers::given(flags.series.train)?)?.flags);
    let verbosity = Verbosity::new(train.quiet == Some(true), train.no_progress == Some(true));
    let data = training_data(&train, None)?;
    let options = settings::options(&train)?;
    let model = settings::model(&train, &data, &options)?;
    let data = data.train;
    let growth = if flags.weak { Growth::Weak } else { Growth::Strong };
    let scaling = ScalingOptions { threads: counts, takes: flags.takes, growth };

    let mut bench =
        ScalingBench::new(&model, &data, options, scaling).flops_per_sample(model.flops_per_sample());
    if let Some(path) = &train.init {
        bench = bench.initial_params(read_tensors(path, &model.tensors())?);
    }
    let is_first = group.is_first();
    if let Some(wire) = group.wire() {
        bench = bench.across(wire);
    }
    if !is_first {
        return match bench.follow() {
            Ok(()) | Err(BenchError::Diverged { .. }) => Ok(ExitCode::SUCCESS),
            Err(error) => Err(error.into()),
        };
    }
    let report = match bench.run(|take| verbosity.progress(|| progress(take, flags.takes))) {
        Err(error @ BenchError::Diverged { .. }) => {
            output::error(error);
            return Ok(ExitCode::from(3));
        }
        report => report?,
    };

    verbosity.warn(&report.warnings);
    let subject = Subject::new(&train, &data, &model);
    if let Some(path) = &flags.svg {
        write_whole(path, speed_up_chart(&report, &subject.caption(&report)).as_bytes())?;
    }
    let table = (verbosity > Verbosity::Errors).then(|| table(&subject, &report));
    flags.output.write(&report, Some(&train), || lines(&report), table)?;
    Ok(verdict(&report))
}

/// The default number of epochs, which is enough to measure the time.
const EPOCHS: u64 = 1;

/// Returns the flags with all defaults, with the epochs of a measurement, and without the metric
/// that a file may have, for which there are no test samples.
fn complete(mut flags: TrainFlags) -> TrainFlags {
    if flags.max_steps.is_none() {
        flags.epochs.get_or_insert(EPOCHS);
    }
    TrainFlags { threads: None, metric: None, ..settings::complete(&flags) }
}

fn progress(take: &MeasuredRun, takes: usize) -> String {
    let (index, speed) = (take.index + 1, grouped(take.samples_per_sec()));
    let processes = match take.processes {
        1 => String::new(),
        count => format!(" in each of {count} processes"),
    };
    format!(
        "take {index}/{takes}  {:>9}{processes}  {speed} samples/s",
        counted(take.threads as u64, "thread")
    )
}

/// The data, the model and the length of the training, as text.
struct Subject {
    data: String,
    model: String,
    length: String,
}

impl Subject {
    fn new(flags: &TrainFlags, data: &Dataset, model: &Mlp) -> Self {
        let name = data_name(flags);
        let length = match (flags.max_steps, flags.epochs) {
            (Some(steps), _) => counted(steps, "step"),
            (None, epochs) => counted(epochs.unwrap_or(EPOCHS), "epoch"),
        };
        Self {
            data: format!("{name}, {} training samples", grouped(data.len() as f64)),
            model: format!(
                "{}, {} params",
                tables::layers(model.shape()),
                grouped(model.params_len() as f64)
            ),
            length,
        }
    }

    /// Returns the subtitle of the chart.
    fn caption(&self, report: &ScalingReport) -> String {
        let point = &report.points[0];
        let takes = point.takes_samples_per_sec.len();
        let batch = match report.growth {
            Growth::Strong => point.batch_size.to_string(),
            Growth::Weak => format!("{} and growing", point.batch_size),
        };
        let takes = counted(takes as u64, "take");
        format!("{}; {}; batch {batch}; median of {takes}", self.data, self.model)
    }
}

fn table(subject: &Subject, report: &ScalingReport) -> String {
    let mut head = TextTable::default();
    head.row("data", &subject.data);
    head.row("model", &subject.model);
    let takes = report.points[0].takes_samples_per_sec.len();
    head.row(
        "scaling",
        format!("{}, {} of {}", report.growth, counted(takes as u64, "take"), subject.length),
    );
    head.row("machine", report.machine);
    let limit = &report.limit;
    let (rate, side, threads) = (limit.gflop_per_sec, limit.side, limit.threads);
    head.row("limit", format!("{rate:.0} GFLOP/s: f32 products of {side} x {side}, {threads} at a time"));
    head.row("params", params(report));
    format!("{head}\n{}\n{}", speeds(report), ranks(report))
}

fn params(report: &ScalingReport) -> String {
    match (report.params_sha256(), report.same_params) {
        (Some(hash), _) => format!("the same bits in all runs, sha256 {hash}"),
        (None, true) => "the same bits in all runs of the same batch size".to_owned(),
        (None, false) => "DIFFERENT bits in runs of the same batch size".to_owned(),
    }
}

/// Drops the column of processes unless there are several.
fn of_processes(report: &ScalingReport, mut grid: TextTable) -> TextTable {
    if report.points.iter().all(|point| point.processes == 1) {
        grid.drop_first_column();
    }
    grid
}

fn speeds(report: &ScalingReport) -> TextTable {
    let mut grid = TextTable::of_numbers(
        "processes, threads, batch, shards, samples/s, min, max, speed-up, efficiency, of limit, computing, \
         waiting, reducing and updating",
    );
    for point in &report.points {
        let (speed, shares) = (point.samples_per_sec, PhaseShares::mean(&point.ranks));
        let counts =
            [point.processes, point.threads, point.batch_size, point.shards].map(|count| count.to_string());
        let speeds = [speed.median, speed.min, speed.max].map(grouped);
        let ratios = [format!("{:.2}", point.speed_up), percent(point.efficiency)];
        let limit = [or_dash(point.share_of_limit, percent)];
        grid.cells([&counts[..], &speeds, &ratios, &limit, &percents(&shares)].concat());
    }
    of_processes(report, grid)
}

fn ranks(report: &ScalingReport) -> TextTable {
    let mut grid =
        TextTable::of_numbers("processes, threads, rank, computing, waiting, reducing and updating");
    for point in &report.points {
        for (rank, shares) in point.ranks.iter().enumerate() {
            let counts = [point.processes, point.threads, rank].map(|count| count.to_string());
            grid.cells([counts, percents(shares)].concat());
        }
    }
    of_processes(report, grid)
}

fn percents(shares: &PhaseShares) -> [String; 3] {
    [shares.compute, shares.wait, shares.reduce_update].map(percent)
}

/// Returns the text of the CSV file: a line for each thread count, with fractions averaged over
/// ranks.
fn lines(report: &ScalingReport) -> String {
    let header = "processes,threads,batch_size,shards,steps,samples_per_sec,samples_per_sec_min,samples_per_sec_max,speed_up,\
                  efficiency,gflop_per_sec,share_of_limit,compute,wait,reduce_update,params_sha256";
    let row = |point: &ScalingPoint| {
        let (mut row, speed) = (json!(point), point.samples_per_sec);
        let speeds = [("", speed.median), ("_min", speed.min), ("_max", speed.max)];
        speeds.iter().for_each(|(end, speed)| row[format!("samples_per_sec{end}")] = json!(speed));
        let shares = PhaseShares::mean(&point.ranks);
        let shares =
            [("compute", shares.compute), ("wait", shares.wait), ("reduce_update", shares.reduce_update)];
        shares.iter().for_each(|(name, share)| row[name] = json!(share));
        row
    };
    csv(header, report.points.iter().map(row))
}

/// Reports params that depend on the number of threads, and returns the exit code.
fn verdict(report: &ScalingReport) -> ExitCode {
    if report.same_params {
        return ExitCode::SUCCESS;
    }
    output::error(
        "runs of the same batch size gave different params; this is a bug in Phalanx, please report it",
    );
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::parser::parsed;

    fn series(arguments: &[&str]) -> Result<SeriesFlags, Error> {
        parsed(arguments)
    }

    #[test]
    fn thread_counts_are_a_list_and_all_other_flags_are_those_of_train() {
        let found = series(&["digits", "-t", "4,1,2", "-b", "32", "--lr", "0.5"]).unwrap();
        assert_eq!(thread_counts(&found.threads).unwrap(), [4, 1, 2]);
        let train = found.train;
        assert_eq!((train.threads, train.batch_size, train.lr), (None, Some(32), Some(0.5)));
        assert_eq!(train.data.as_deref(), Some("digits"));
    }

    #[test]
    fn invalid_thread_counts_are_rejected() {
        for text in ["x", "1,x", "-1", "1.5", ""] {
            assert!(series(&[&format!("--threads={text}")]).is_err(), "{text}");
        }
    }

    #[test]
    fn flags_for_a_run_directory_are_rejected() {
        for flags in [
            ["-o", "out"],
            ["--log-every", "3"],
            ["--save-every", "1s"],
            ["--resume", "auto"],
            ["--keep", "1"],
        ] {
            assert!(series(&flags).unwrap().check().is_err(), "{flags:?}");
        }
    }
}
