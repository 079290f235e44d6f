//! `phalanx bench scaling`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::bench::{
    BenchError, Growth, PhaseShares, ScalingBench, ScalingOptions, ScalingPoint, ScalingReport, Take,
    speed_up_chart,
};
use crate::text::TextTable;
use clap::Args;
use phalanx::data::Dataset;
use phalanx::internals::write_whole;
use phalanx::model::{Mlp, Model};
use serde::Serialize;

use super::super::failure::Failure;
use super::super::flags::TrainFlags;
use super::super::grid::{counted, csv, grouped, or_dash, percent};
use super::super::input::training_data;
use super::super::job::Job;
use super::super::preview::layers;
use super::super::train::initial_params;
use super::super::{layers, output, settings};
use super::output::OutputFlags;
use super::series::Series;
use super::{Voice, failure};

/// Measure the speed of training on several thread counts
///
/// Trains with each thread count in turn, take by take, and compares samples per second. Nothing is saved, and test
/// samples are not scored. The flags are those of train; --epochs is 1 unless said otherwise. A --config file, and
/// variables such as PHALANX_BATCH_SIZE, may be those of a run: their thread count and output are not looked at. Under
/// mpirun each thread count is measured on 1, 2, 4 ... and all processes.
#[derive(Args)]
#[command(
    after_help = "Columns: samples/s is the median over the takes, least and most its spread; speed-up and efficiency \
are relative to the smallest count; of limit compares the matrix products of training with products of 1024 x 1024 \
matrices on all cores, the better of just before and just after; computing, waiting and the rest are shares of the time, the mean over ranks. A perceptron's gradients are mostly computed, combined and used for the update in one pass, which counts as reducing and updating."
)]
pub(super) struct ScalingFlags {
    #[command(flatten)]
    series: Series,
    /// Training runs of each thread count
    #[arg(long, value_name = "N", default_value_t = 3, help_heading = "Measurement")]
    takes: usize,
    /// Let the batch size grow with the threads: --batch-size is that of the smallest count
    #[arg(long, help_heading = "Measurement")]
    weak: bool,
    #[command(flatten)]
    output: OutputFlags,
    /// Draw the speed-up beside the ideal line
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    svg: Option<PathBuf>,
}

/// Measures and reports: alone, or as one process of a job.
pub(super) fn run(flags: ScalingFlags) -> Result<ExitCode, Failure> {
    let mut job = Job::join(settings::timeout(&flags.series.train)?)?;
    let ended = measure(flags, &mut job);
    job.end(ended)
}

fn measure(flags: ScalingFlags, job: &mut Job) -> Result<ExitCode, Failure> {
    flags.series.check()?;
    flags.output.check(flags.svg.as_deref())?;
    let counts = flags.series.counts()?;
    let train = complete(layers::given(flags.series.train)?.resolve_like()?.flags);
    let voice = Voice::of(train.quiet == Some(true), train.no_progress == Some(true));
    let data = training_data(&train, None)?;
    let options = settings::options(&train)?;
    let model = settings::model(&train, &data, &options)?;
    let data = data.train;
    let growth = if flags.weak { Growth::Weak } else { Growth::Strong };
    let scaling = ScalingOptions { threads: counts, takes: flags.takes, growth };

    let mut bench =
        ScalingBench::new(&model, &data, options, scaling).flops_per_sample(model.flops_per_sample());
    if let Some(path) = &train.init {
        bench = bench.initial_params(initial_params(path, &model)?);
    }
    let is_first = job.is_first();
    if let Some(wire) = job.wire() {
        bench = bench.across(wire);
    }
    if !is_first {
        return match bench.follow() {
            Ok(()) | Err(BenchError::Diverged { .. }) => Ok(ExitCode::SUCCESS),
            Err(error) => Err(failure(error)),
        };
    }
    let report = match bench.run(|take| voice.progress(|| progress(take, flags.takes))) {
        Err(error @ BenchError::Diverged { .. }) => {
            output::error(error);
            return Ok(ExitCode::from(3));
        }
        report => report.map_err(failure)?,
    };

    voice.warn(&report.warnings);
    let subject = Subject::new(&train, &data, &model);
    if let Some(path) = &flags.svg {
        write_whole(path, speed_up_chart(&report, &subject.caption(&report)).as_bytes())?;
    }
    let table = (voice > Voice::Errors).then(|| table(&subject, &report));
    let document = Document { version: env!("CARGO_PKG_VERSION"), options: &train, report: &report };
    flags.output.write(&document, || lines(&report), table)?;
    Ok(verdict(&report))
}

/// With every default filled in, and with one epoch: enough to take the time of.
fn complete(mut flags: TrainFlags) -> TrainFlags {
    if flags.max_steps.is_none() {
        flags.epochs.get_or_insert(1);
    }
    TrainFlags { threads: None, ..settings::complete(flags) }
}

/// The JSON file.
#[derive(Serialize)]
struct Document<'a> {
    version: &'static str,
    options: &'a TrainFlags,
    #[serde(flatten)]
    report: &'a ScalingReport,
}

fn progress(take: &Take, takes: usize) -> String {
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

/// What was trained, in words.
struct Subject {
    data: String,
    model: String,
    length: String,
}

impl Subject {
    fn new(flags: &TrainFlags, data: &Dataset, model: &Mlp) -> Self {
        let name = flags.data.as_deref().unwrap_or("digits");
        let length = match (flags.max_steps, flags.epochs) {
            (Some(steps), _) => counted(steps, "step"),
            (None, epochs) => counted(epochs.unwrap_or(1), "epoch"),
        };
        Self {
            data: format!("{name}, {} training samples", grouped(data.len() as f64)),
            model: format!("{}, {} params", layers(model.shape()), grouped(model.params_len() as f64)),
            length,
        }
    }

    /// What stands under the title of the chart.
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
    head.row("machine", machine(report));
    let limit = &report.limit;
    let (rate, side, threads) = (limit.gflop_per_sec, limit.side, limit.threads);
    head.row("limit", format!("{rate:.0} GFLOP/s: f32 products of {side} x {side}, {threads} at a time"));
    head.row("params", params(report));
    format!("{head}\n{}\n{}", speeds(report), ranks(report))
}

fn machine(report: &ScalingReport) -> String {
    let load = report
        .machine
        .load_average
        .map_or_else(String::new, |load| format!(", load average {load:.2} before"));
    format!("{}{load}", counted(report.machine.cores as u64, "core"))
}

fn params(report: &ScalingReport) -> String {
    match (report.params_sha256(), report.same_params) {
        (Some(hash), _) => format!("the same bits in all runs, sha256 {hash}"),
        (None, true) => "the same bits in all runs of the same batch size".to_owned(),
        (None, false) => "DIFFERENT bits in runs of the same batch size".to_owned(),
    }
}

/// Where the columns begin: processes are said where there are several.
fn first_column(report: &ScalingReport) -> usize {
    usize::from(report.points.iter().all(|point| point.processes == 1))
}

fn speeds(report: &ScalingReport) -> TextTable {
    let names = [
        "processes",
        "threads",
        "batch",
        "shards",
        "samples/s",
        "least",
        "most",
        "speed-up",
        "efficiency",
        "of limit",
        "computing",
        "waiting",
        "reducing and updating",
    ];
    let first = first_column(report);
    let mut grid = TextTable::of_numbers(&names[first..]);
    for point in &report.points {
        let (speed, shares) = (point.samples_per_sec, PhaseShares::mean(&point.ranks));
        let row = [
            point.processes.to_string(),
            point.threads.to_string(),
            point.batch_size.to_string(),
            point.shards.to_string(),
            grouped(speed.median),
            grouped(speed.min),
            grouped(speed.max),
            format!("{:.2}", point.speed_up),
            percent(point.efficiency),
            or_dash(point.share_of_limit, percent),
            percent(shares.compute),
            percent(shares.wait),
            percent(shares.reduce_update),
        ];
        grid.cells(row[first..].to_vec());
    }
    grid
}

fn ranks(report: &ScalingReport) -> TextTable {
    let names = ["processes", "threads", "rank", "computing", "waiting", "reducing and updating"];
    let first = first_column(report);
    let mut grid = TextTable::of_numbers(&names[first..]);
    for point in &report.points {
        for (rank, shares) in point.ranks.iter().enumerate() {
            let shares = [shares.compute, shares.wait, shares.reduce_update].map(percent);
            let counts = [point.processes, point.threads, rank].map(|count| count.to_string());
            grid.cells([counts[first..].to_vec(), shares.to_vec()].concat());
        }
    }
    grid
}

/// The CSV file: one line a thread count, shares as the mean over ranks.
fn lines(report: &ScalingReport) -> String {
    let header = "processes,threads,batch_size,shards,steps,samples_per_sec,samples_per_sec_min,samples_per_sec_max,speed_up,\
                  efficiency,gflop_per_sec,share_of_limit,compute,wait,reduce_update,params_sha256";
    csv(header, report.points.iter().map(line))
}

fn line(point: &ScalingPoint) -> Vec<String> {
    let (speed, shares) = (point.samples_per_sec, PhaseShares::mean(&point.ranks));
    let whole =
        [point.processes, point.threads, point.batch_size, point.shards].map(|number| number.to_string());
    let speeds = [speed.median, speed.min, speed.max, point.speed_up, point.efficiency]
        .map(|number| number.to_string());
    let limit = [point.gflop_per_sec, point.share_of_limit]
        .map(|number| number.map_or_else(String::new, |n| n.to_string()));
    let shares = [shares.compute, shares.wait, shares.reduce_update].map(|number| number.to_string());
    let (steps, hash) = (vec![point.steps.to_string()], vec![point.params_sha256.clone()]);
    [whole.to_vec(), steps, speeds.to_vec(), limit.to_vec(), shares.to_vec(), hash].concat()
}

/// Bits that depend on the number of threads break the promise of this program.
fn verdict(report: &ScalingReport) -> ExitCode {
    if report.same_params {
        return ExitCode::SUCCESS;
    }
    output::error(
        "runs of the same batch size gave different params; this is a fault of Phalanx, please report it",
    );
    ExitCode::FAILURE
}
