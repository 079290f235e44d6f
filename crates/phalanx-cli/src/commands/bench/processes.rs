//! The all-reduce of the processes of a job.

use std::process::ExitCode;

use phalanx::collective::{MpiWire, Wire};
use serde_json::json;

use super::output::{OutputFlags, Verbosity, csv, gigabytes, grouped, micros, wrong};
use crate::bench::{AllReduceOptions, ProcessesReport, measure_processes};
use crate::terminal::failure::Failure;
use crate::text::TextTable;

/// Measures, and reports the results in the first process.
pub fn measure(
    options: &AllReduceOptions,
    wire: &mut MpiWire,
    output: &OutputFlags,
    verbosity: Verbosity,
) -> Result<ExitCode, Failure> {
    let report = measure_processes(options, wire)?;
    if wire.process() > 0 {
        return Ok(ExitCode::SUCCESS);
    }
    let table = (verbosity > Verbosity::Errors).then(|| table(&report));
    output.write(&report, None, || lines(&report), table)?;
    Ok(wrong(report.wrong()))
}

fn table(report: &ProcessesReport) -> String {
    let ProcessesReport { op, element, processes, points } = report;
    let mut grid = TextTable::of_numbers("length, median µs, min µs, GB/s, MPI_Allreduce µs, ratio, wrong");
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

/// Returns the text of the CSV file.
fn lines(report: &ProcessesReport) -> String {
    let header =
        "processes,len,len_bytes,takes,median_secs,min_secs,algorithm_bytes_per_sec,mpi_median_secs,wrong";
    csv(
        header,
        report.points.iter().map(|point| {
            let mut row = json!(point);
            row["processes"] = report.processes.into();
            row
        }),
    )
}
