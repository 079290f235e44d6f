//! `phalanx bench all-reduce`.

#[cfg(feature = "mpi")]
mod processes;

use std::fmt;
use std::process::ExitCode;

use crate::bench::{AllReduceOptions, AllReducePoint, AllReduceReport, ElementType, measure_all_reduce};
use crate::text::TextTable;
use clap::Args;
use phalanx::collective::Op;
use serde::Serialize;

use super::super::auto::Auto;
use super::super::failure::Failure;
use super::super::grid::{counted, csv, grouped, or_dash, percent};
use super::super::job::Job;
use super::super::{output, settings};
use super::lens::Lens;
use super::output::OutputFlags;
use super::series::doubling;
use super::{Voice, failure};

/// Measure the all-reduce on several thread counts and lens
///
/// Each thread brings a vector of len elements, and all of them hold the reduced vector afterwards, in place. Beside it
/// stand a copy, the serial reference that defines the operation, and rayon's fold and reduce of the same vectors. Under
/// mpirun it is each process that brings a vector, and beside it stands MPI_Allreduce of the same vectors.
#[derive(Args)]
#[command(
    after_help = "Columns: median and least time of a call, from the moment the last of n threads makes it until the \
last has the result, on fresh input each time; GB/s is the algorithm bandwidth, the bytes of one vector over the median \
time; moved GB/s is 2 n times that, as each of n vectors is read and written once (one thread has nothing to move); copied \
GB/s is the same for n threads that copy a vector each, measured in turn with the calls, from 64 KiB on; of copy compares \
these two; wrong counts elements that are not exactly what they must be, over all calls and threads. Serial and rayon are \
median times; rayon gives one vector, not one a thread. 1 GB is 10^9 bytes."
)]
pub(super) struct AllReduceFlags {
    /// Thread counts, such as 1,2,4 or 1,auto [default: 1, 2, 4 ... and all cores]
    #[arg(short, long, value_name = "N,N...", value_delimiter = ',')]
    threads: Vec<Auto<usize>>,
    /// Elements of a vector: numbers such as 1000, 64K (2^10) or 16M (2^20), and ranges 1..16M in steps of 4 times
    #[arg(long, value_name = "LENS", default_value = "1..16M")]
    lens: Lens,
    /// What the elements are combined by: sum, mean, min, max or product
    #[arg(long, value_name = "OP", default_value = "sum", value_parser = op)]
    op: Op,
    /// Type of the elements: f32, f64, i32, i64, u32 or u64
    #[arg(long = "type", value_name = "TYPE", default_value = "f32", value_parser = element)]
    element: ElementType,
    /// Calls to time [default: 10 to 1000, fewer for longer vectors]
    #[arg(long, value_name = "N")]
    takes: Option<usize>,
    #[command(flatten)]
    output: OutputFlags,
    /// Print errors only
    #[arg(long, help_heading = "Results")]
    quiet: bool,
    /// Show no progress while measuring
    #[arg(long, help_heading = "Results")]
    no_progress: bool,
}

fn op(text: &str) -> Result<Op, String> {
    named(text, &[Op::Sum, Op::Mean, Op::Min, Op::Max, Op::Product])
}

fn element(text: &str) -> Result<ElementType, String> {
    named(text, &ElementType::ALL)
}

/// The one of that name.
fn named<T: Copy + fmt::Display>(text: &str, all: &[T]) -> Result<T, String> {
    let names: Vec<String> = all.iter().map(ToString::to_string).collect();
    let found = names.iter().position(|name| name == text);
    found.map(|index| all[index]).ok_or_else(|| format!("expected one of {}", names.join(", ")))
}

/// Measures and reports: alone, or as one process of a job.
pub(super) fn run(flags: &AllReduceFlags) -> Result<ExitCode, Failure> {
    let mut job = Job::join(None)?;
    let ended = measure(flags, &mut job);
    job.end(ended)
}

#[cfg_attr(not(feature = "mpi"), expect(unused_variables))]
fn measure(flags: &AllReduceFlags, job: &mut Job) -> Result<ExitCode, Failure> {
    flags.output.check(None)?;
    let voice = Voice::of(flags.quiet, flags.no_progress);
    let options = AllReduceOptions {
        threads: counts(&flags.threads)?,
        lens: flags.lens.0.clone(),
        op: flags.op,
        element: flags.element,
        takes: flags.takes,
    };
    #[cfg(feature = "mpi")]
    if let Some(wire) = job.mpi() {
        if !flags.threads.is_empty() {
            return Err(Failure::usage(
                "under mpirun each process brings a vector, whatever its threads; drop --threads",
            ));
        }
        return processes::measure(&options, wire, (flags, voice));
    }
    let report = measure_all_reduce(&options, |point| voice.progress(|| progress(point))).map_err(failure)?;
    voice.warn(&report.warnings);
    let table = (voice > Voice::Errors).then(|| table(&report));
    let document = Document { version: env!("CARGO_PKG_VERSION"), report: &report };
    flags.output.write(&document, || lines(&report), table)?;
    Ok(wrong(report.wrong()))
}

fn counts(flag: &[Auto<usize>]) -> Result<Vec<usize>, Failure> {
    match flag {
        [] => Ok(doubling(settings::threads(None)?)),
        counts => counts.iter().map(|count| settings::threads(Some(*count))).collect(),
    }
}

/// The JSON file.
#[derive(Serialize)]
struct Document<'a> {
    version: &'static str,
    #[serde(flatten)]
    report: &'a AllReduceReport,
}

fn progress(point: &AllReducePoint) -> String {
    let (threads, len) = (point.threads, grouped(point.len as f64));
    format!("{:>9}  {len:>10} elements  {} µs", counted(threads as u64, "thread"), micros(point.median_secs))
}

fn table(report: &AllReduceReport) -> String {
    let (op, element, cores) = (report.op, report.element, counted(report.machine.cores as u64, "core"));
    let load = report
        .machine
        .load_average
        .map_or_else(String::new, |load| format!(", load average {load:.2} before"));
    let mut grid = TextTable::of_numbers(&[
        "threads",
        "len",
        "median µs",
        "least µs",
        "GB/s",
        "moved GB/s",
        "copied GB/s",
        "of copy",
        "wrong",
        "serial µs",
        "rayon µs",
    ]);
    for point in &report.points {
        grid.cells(vec![
            point.threads.to_string(),
            grouped(point.len as f64),
            micros(point.median_secs),
            micros(point.min_secs),
            gigabytes(point.algorithm_bytes_per_sec),
            or_dash(point.moved_bytes_per_sec, gigabytes),
            or_dash(point.copied_bytes_per_sec, gigabytes),
            or_dash(point.share_of_copy, percent),
            point.wrong.to_string(),
            micros(point.reference_secs),
            micros(point.rayon_secs),
        ]);
    }
    format!("all-reduce: {op} of {element}, in place, on {cores}{load}\n\n{grid}")
}

/// Four digits that count, or all before the point.
fn micros(secs: f64) -> String {
    let micros = 1e6 * secs;
    if micros >= 100.0 { grouped(micros) } else { format!("{micros:.2}") }
}

fn gigabytes(bytes: f64) -> String {
    format!("{:.2}", bytes / 1e9)
}

/// The CSV file.
fn lines(report: &AllReduceReport) -> String {
    let header = "threads,len,len_bytes,takes,median_secs,min_secs,algorithm_bytes_per_sec,moved_bytes_per_sec,\
                  copied_bytes_per_sec,share_of_copy,wrong,reference_secs,rayon_secs";
    csv(header, report.points.iter().map(line))
}

fn line(point: &AllReducePoint) -> Vec<String> {
    let optional = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    vec![
        point.threads.to_string(),
        point.len.to_string(),
        point.len_bytes.to_string(),
        point.takes.to_string(),
        point.median_secs.to_string(),
        point.min_secs.to_string(),
        point.algorithm_bytes_per_sec.to_string(),
        optional(point.moved_bytes_per_sec),
        optional(point.copied_bytes_per_sec),
        optional(point.share_of_copy),
        point.wrong.to_string(),
        point.reference_secs.to_string(),
        point.rayon_secs.to_string(),
    ]
}

/// A wrong result is no measurement.
fn wrong(elements: u64) -> ExitCode {
    match elements {
        0 => ExitCode::SUCCESS,
        wrong => {
            output::error(format!(
                "{wrong} elements are wrong; this is a fault of Phalanx, please report it"
            ));
            ExitCode::FAILURE
        }
    }
}
