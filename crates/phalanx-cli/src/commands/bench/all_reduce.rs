//! `phalanx bench all-reduce`.

use std::process::ExitCode;
use std::str::FromStr;

use clap::Args;
use phalanx::collective::Op;
use serde_json::json;

use super::output::{
    OutputFlags, Verbosity, csv, gigabytes, grouped, micros, or_dash, percent, thread_counts, wrong,
};
#[cfg(feature = "mpi")]
use super::processes;
use crate::args::values::{Auto, Choices, auto};
use crate::bench::{AllReduceOptions, AllReducePoint, AllReduceReport, ElementType, measure_all_reduce};
use crate::numbers::counted;
use crate::terminal::failure::Failure;
use crate::terminal::process_group::ProcessGroup;
use crate::text::TextTable;

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
pub struct AllReduceFlags {
    /// Thread counts, such as 1,2,4 or 1,auto [default: 1, 2, 4 ... and all cores]
    #[arg(short, long, value_name = "N,N...", value_parser = auto::<usize>, value_delimiter = ',')]
    threads: Vec<Auto<usize>>,
    /// Elements of a vector: numbers such as 1000, 64K (2^10) or 16M (2^20), and ranges 1..16M in steps of 4 times
    #[arg(long = "lens", value_name = "LENS", default_value = "1..16M")]
    lengths: Lengths,
    /// What the elements are combined by: sum, mean, min, max or product
    #[arg(long, value_name = "OP", default_value = "sum", value_parser = op(), hide_possible_values = true)]
    op: Op,
    /// Type of the elements: f32, f64, i32, i64, u32 or u64
    #[arg(long = "type", value_name = "TYPE", default_value = "f32", value_parser = element(), hide_possible_values = true)]
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

const OPS: [Op; 5] = [Op::Sum, Op::Mean, Op::Min, Op::Max, Op::Product];

fn op() -> Choices<Op> {
    Choices::new(OPS.map(|op| op.to_string()), |text| named(text, &OPS))
}

fn element() -> Choices<ElementType> {
    Choices::new(ElementType::ALL.map(|element| element.to_string()), |text| named(text, &ElementType::ALL))
}

/// Returns the value of that name.
fn named<T: Copy + ToString>(text: &str, all: &[T]) -> Result<T, String> {
    let names: Vec<String> = all.iter().map(ToString::to_string).collect();
    let found = names.iter().position(|name| name == text);
    found.map(|index| all[index]).ok_or_else(|| format!("expected one of {}", names.join(", ")))
}

/// Lengths of vectors: `1000`, `64K`, `16M`, or `1..16M` for 1, 4, 16 ... up to 16M; several with commas between.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Lengths(Vec<usize>);

/// Within a range each length is this many times the one before.
const FACTOR: usize = 4;

impl FromStr for Lengths {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(|part| match part.split_once("..") {
            Some((from, to)) => range(length(from)?, length(to)?),
            None => Ok(vec![length(part)?]),
        });
        Ok(Self(parts.collect::<Result<Vec<_>, String>>()?.concat()))
    }
}

fn range(from: usize, to: usize) -> Result<Vec<usize>, String> {
    if from > to {
        return Err(format!("the range {from}..{to} is empty; put the smaller len first"));
    }
    let next = |length: &usize| length.checked_mul(FACTOR).filter(|next| *next <= to);
    Ok(std::iter::successors(Some(from), next).collect())
}

fn length(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 1 << 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 1 << 20),
        _ => (text, 1),
    };
    let length = digits.parse::<usize>().ok().and_then(|number| number.checked_mul(unit));
    match length {
        Some(0) => Err("a vector of 0 elements has nothing to reduce; give lens of at least 1".to_owned()),
        Some(length) => Ok(length),
        None => Err(format!(
            "'{text}' is not a len; expected a number such as 1000, 64K or 16M, or a range 1..16M"
        )),
    }
}

/// Measures and reports: alone, or as one process of a job.
pub fn run(flags: &AllReduceFlags) -> Result<ExitCode, Failure> {
    let mut group = ProcessGroup::join(None)?;
    let ended = measure(flags, &mut group);
    group.end(ended)
}

#[cfg_attr(not(feature = "mpi"), expect(unused_variables))]
fn measure(flags: &AllReduceFlags, group: &mut ProcessGroup) -> Result<ExitCode, Failure> {
    flags.output.check(None)?;
    let verbosity = Verbosity::new(flags.quiet, flags.no_progress);
    let options = AllReduceOptions {
        threads: thread_counts(&flags.threads)?,
        lengths: flags.lengths.0.clone(),
        op: flags.op,
        element: flags.element,
        takes: flags.takes,
    };
    #[cfg(feature = "mpi")]
    if let Some(wire) = group.mpi() {
        if !flags.threads.is_empty() {
            return Err(crate::terminal::failure::usage!(
                "under mpirun each process brings a vector, whatever its threads; drop --threads",
            ));
        }
        return processes::measure(&options, wire, &flags.output, verbosity);
    }
    let report = measure_all_reduce(&options, |point| verbosity.progress(|| progress(point)))?;
    verbosity.warn(&report.warnings);
    let table = (verbosity > Verbosity::Errors).then(|| table(&report));
    flags.output.write(&report, None, || lines(&report), table)?;
    Ok(wrong(report.wrong()))
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
    let mut grid = TextTable::of_numbers(
        "threads, len, median µs, least µs, GB/s, moved GB/s, copied GB/s, of copy, wrong, serial µs, rayon µs",
    );
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

/// The CSV file.
fn lines(report: &AllReduceReport) -> String {
    let header = "threads,len,len_bytes,takes,median_secs,min_secs,algorithm_bytes_per_sec,moved_bytes_per_sec,\
                  copied_bytes_per_sec,share_of_copy,wrong,reference_secs,rayon_secs";
    csv(header, report.points.iter().map(|point| json!(point)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(text: &str) -> Vec<usize> {
        text.parse::<Lengths>().unwrap().0
    }

    #[test]
    fn a_range_takes_steps_of_four() {
        assert_eq!(lengths("1..300"), [1, 4, 16, 64, 256]);
        assert_eq!(lengths("1..16M").len(), 13);
        assert_eq!(lengths("1..16M").last(), Some(&(1 << 24)));
        assert_eq!(lengths("5..5"), [5]);
    }

    #[test]
    fn lists_ranges_and_units_mix() {
        assert_eq!(lengths("7, 2K,3m,1..4"), [7, 2048, 3 << 20, 1, 4]);
    }

    #[test]
    fn a_range_up_to_the_last_number_there_is_ends() {
        assert_eq!(lengths(&format!("1..{}", usize::MAX)).len(), usize::BITS as usize / 2);
    }

    #[test]
    fn what_is_no_length_is_refused() {
        for text in ["", "x", "-1", "1.5", "0", "16G", "K", "1..", "..4", "8..4", "1,,2", "99999999999999M"] {
            assert!(text.parse::<Lengths>().is_err(), "{text}");
        }
    }
}
