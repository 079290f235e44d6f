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

/// Measure the all-reduce for several thread counts and vector lengths
///
/// Each thread contributes a vector, and afterwards every thread has the reduced vector, in place.
/// It is compared with a copy, with the serial reference that defines the operation, and with
/// rayon's fold and reduce of the same vectors. Under mpirun, each process contributes a vector,
/// and the comparison is with MPI_Allreduce of the same vectors.
#[derive(Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{COLUMNS}\n\n{EXAMPLES}"))]
pub struct AllReduceFlags {
    /// Thread counts, such as 1,2,4 or 1,auto [default: 1, 2, 4 ... and all cores]
    #[arg(short, long, value_name = "N,N...", value_parser = auto::<usize>, value_delimiter = ',')]
    threads: Vec<Auto<usize>>,
    /// Vector lengths: numbers such as 1000, 64K (2^10) or 16M (2^20), and ranges such as 1..16M,
    /// in which each length is 4 times the previous one
    #[arg(long, alias = "lens", value_name = "LENGTHS", default_value = "1..16M")]
    lengths: Lengths,
    /// Operation that combines the elements: sum, mean, min, max or product
    #[arg(long, value_name = "OP", default_value = "sum", value_parser = op(), hide_possible_values = true)]
    op: Op,
    /// Type of the elements: f32, f64, i32, i64, u32 or u64
    #[arg(long = "type", value_name = "TYPE", default_value = "f32", value_parser = element(), hide_possible_values = true)]
    element: ElementType,
    /// Number of measured calls [default: 10 to 1000, fewer for longer vectors]
    #[arg(long, value_name = "N")]
    takes: Option<usize>,
    #[command(flatten)]
    output: OutputFlags,
    /// Print errors only
    #[arg(long, help_heading = "Results")]
    quiet: bool,
    /// Do not show progress while measuring
    #[arg(long, help_heading = "Results")]
    no_progress: bool,
}

const COLUMNS: &str = "Columns: median and minimum time of a call, from the moment when the last of n threads makes it until the last one \
has the result, with fresh input each time; GB/s is the algorithm bandwidth, the bytes of one vector divided by the median time; moved \
GB/s is 2 n times that, because each of n vectors is read and written once (one thread moves nothing); copied GB/s is the same for n \
threads that copy a vector each, measured in alternation with the calls, from 64 KiB on; moved/copied is the ratio of these two; wrong is the \
number of elements that are not exactly correct, over all calls and threads. Serial and rayon are median times; rayon produces one \
vector in total, not one per thread. 1 GB is 10^9 bytes.";

const EXAMPLES: &str = "Examples:
  phalanx bench all-reduce
  phalanx bench all-reduce --threads 1,auto --lengths 1M,16M
  phalanx bench all-reduce --op max --type i64 --json results.json";

const OPS: [Op; 5] = [Op::Sum, Op::Mean, Op::Min, Op::Max, Op::Product];

fn op() -> Choices<Op> {
    Choices::new(OPS.map(|op| op.to_string()), |text| named(text, &OPS))
}

fn element() -> Choices<ElementType> {
    Choices::new(ElementType::ALL.map(|element| element.to_string()), |text| named(text, &ElementType::ALL))
}

/// Returns the value with this name.
fn named<T: Copy + ToString>(text: &str, all: &[T]) -> Result<T, String> {
    let names: Vec<String> = all.iter().map(ToString::to_string).collect();
    let found = names.iter().position(|name| name == text);
    found.map(|index| all[index]).ok_or_else(|| format!("expected one of {}", names.join(", ")))
}

/// Vector lengths: `1000`, `64K`, `16M`, or `1..16M` for 1, 4, 16 ... up to 16M; several are
/// separated by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Lengths(Vec<usize>);

/// The ratio of consecutive lengths within a range.
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
        return Err(format!("the range {from}..{to} is empty; put the smaller length first"));
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
        Some(0) => Err("a vector of 0 elements has nothing to reduce; give lengths of at least 1".to_owned()),
        Some(length) => Ok(length),
        None => Err(format!(
            "'{text}' is not a length; expected a number such as 1000, 64K or 16M, or a range such as 1..16M"
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
                "under mpirun each process contributes one vector, regardless of its threads; drop --threads",
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
    let AllReduceReport { op, element, machine, .. } = report;
    let mut grid = TextTable::of_numbers(
        "threads, length, median µs, min µs, GB/s, moved GB/s, copied GB/s, moved/copied, wrong, serial µs, rayon µs",
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
    format!("all-reduce: {op} of {element}, in place, on {machine}\n\n{grid}")
}

/// Returns the text of the CSV file.
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
    fn the_lengths_of_a_range_grow_by_a_factor_of_four() {
        assert_eq!(lengths("1..300"), [1, 4, 16, 64, 256]);
        assert_eq!(lengths("1..16M").len(), 13);
        assert_eq!(lengths("1..16M").last(), Some(&(1 << 24)));
        assert_eq!(lengths("5..5"), [5]);
    }

    #[test]
    fn lists_ranges_and_units_can_be_combined() {
        assert_eq!(lengths("7, 2K,3m,1..4"), [7, 2048, 3 << 20, 1, 4]);
    }

    #[test]
    fn a_range_up_to_the_largest_number_ends() {
        assert_eq!(lengths(&format!("1..{}", usize::MAX)).len(), usize::BITS as usize / 2);
    }

    #[test]
    fn invalid_lengths_are_rejected() {
        for text in ["", "x", "-1", "1.5", "0", "16G", "K", "1..", "..4", "8..4", "1,,2", "99999999999999M"] {
            assert!(text.parse::<Lengths>().is_err(), "{text}");
        }
    }
}
