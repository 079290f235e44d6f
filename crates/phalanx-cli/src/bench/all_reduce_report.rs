//! What came of measuring the all-reduce.

use serde::{Serialize, Serializer};

use super::{ElementType, Machine, Warning};
use phalanx::collective::Op;

/// How fast the all-reduce is.
#[derive(Clone, Debug, Serialize)]
pub struct AllReduceReport {
    /// The operator.
    #[serde(serialize_with = "as_text")]
    pub op: Op,
    /// The type of the elements.
    pub element: ElementType,
    /// The machine before the first take.
    pub machine: Machine,
    /// One for each thread count and len, both ascending.
    pub points: Vec<AllReducePoint>,
    /// Why the figures may not be trusted.
    pub warnings: Vec<Warning>,
}

/// How fast so many threads reduce vectors of one len, each thread having one, in place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AllReducePoint {
    /// Threads, n.
    pub threads: usize,
    /// Elements of a vector.
    pub len: usize,
    /// Bytes of a vector.
    pub len_bytes: usize,
    /// Calls that were timed.
    pub takes: usize,
    /// Median time of a call: from the moment the last rank makes it until the last rank has the result.
    pub median_secs: f64,
    /// Least time of a call.
    pub min_secs: f64,
    /// Algorithm bandwidth: len_bytes over the median time.
    pub algorithm_bytes_per_sec: f64,
    /// Every vector is read and written at least once: 2·n·len_bytes over the median time. Null for one thread, which has
    /// nothing to move.
    pub moved_bytes_per_sec: Option<f64>,
    /// The same for a copy: 2·n·len_bytes over the median time in which n threads copy a vector each, from the first start
    /// to the last end. Null below 64 KiB, which is copied in less time than threads need to start together.
    pub copied_bytes_per_sec: Option<f64>,
    /// Moved over copied bytes a second.
    pub share_of_copy: Option<f64>,
    /// Elements that are not exactly what they must be, over all ranks and all calls.
    pub wrong: u64,
    /// Median time of the serial reference, the definition of the operation.
    pub reference_secs: f64,
    /// Median time of rayon's fold and reduce on as many threads, which gives one vector instead of one a rank.
    pub rayon_secs: f64,
}

impl AllReduceReport {
    /// Elements that are not what they must be, over all points.
    pub fn wrong(&self) -> u64 {
        self.points.iter().map(|point| point.wrong).sum()
    }
}

fn as_text<S: Serializer>(op: &Op, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(op)
}
