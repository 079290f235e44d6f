//! The all-reduce of the processes of a job.

use std::process::ExitCode;

use crate::bench::{AllReduceOptions, ProcessesPoint, ProcessesReport, measure_processes};
use crate::text::TextTable;
use phalanx::collective::{MpiWire, Wire};
use serde::Serialize;

use super::super::super::failure::Failure;
use super::super::super::grid::{csv, grouped};
use super::super::{Voice, failure};
use super::{AllReduceFlags, gigabytes, micros, wrong};

/// Measures, and reports in the first process.
pub(super) fn measure(
    options: &AllReduceOptions,
    wire: &mut MpiWire,
    (flags, voice): (&AllReduceFlags, Voice),
) -> Result<ExitCode, Failure> {
    let report = measure_processes(options, wire).map_err(failure)?;
    if wire.process() > 0 {
        return Ok(ExitCode::SUCCESS);
    }
    let table = (voice > Voice::Errors).then(|| table(&report));
    let document = Document { version: env!("CARGO_PKG_VERSION"), report: &report };
    flags.output.write(&document, || lines(&report), table)?;
    Ok(wrong(report.wrong()))
}

/// The JSON file.
#[derive(Serialize)]
struct Document<'a> {
    version: &'static str,
    #[serde(flatten)]
    report: &'a ProcessesReport,
}

fn table(report: &ProcessesReport) -> String {
    let ProcessesReport { op, element, processes, points } = report;
    let mut grid = TextTable::of_numbers(&[
        "len",
        "median µs",
        "least µs",
        "GB/s",
        "MPI_Allreduce µs",
        "of its time",
        "wrong",
    ]);
    for point in points {
        grid.cells(vec![
            grouped(point.len as f64),
            micros(point.median_secs),
            micros(point.min_secs),
            gigabytes(point.algorithm_bytes_per_sec),
            micros(point.mpi_median_secs),
            format!("{:.2}", point.median_secs / point.mpi_median_secs),
            point.wrong.to_string(),
        ]);
    }
    format!("all-reduce: {op} of {element}, in place, over {processes} processes\n\n{grid}")
}

/// The CSV file.
fn lines(report: &ProcessesReport) -> String {
    let header =
        "processes,len,len_bytes,takes,median_secs,min_secs,algorithm_bytes_per_sec,mpi_median_secs,wrong";
    csv(header, report.points.iter().map(|point| line(report.processes, point)))
}

fn line(processes: usize, point: &ProcessesPoint) -> Vec<String> {
    let counts = [processes, point.len, point.len_bytes, point.takes].map(|count| count.to_string());
    let figures = [point.median_secs, point.min_secs, point.algorithm_bytes_per_sec, point.mpi_median_secs];
    let wrong = point.wrong.to_string();
    [counts.to_vec(), figures.map(|figure| figure.to_string()).to_vec(), vec![wrong]].concat()
}
