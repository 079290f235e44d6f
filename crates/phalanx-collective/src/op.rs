//! What the ranks can ask for: the operators of a reduction, and the calls in which they may meet.

use std::fmt;

/// The operator of a reduction, applied element by element over the ranks.
///
/// The operands are combined in the fixed [`tree`](super::tree) over the ranks, so the result is a function of the
/// world size and the inputs alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// `Σ x_r`. Integers wrap around.
    Sum,
    /// `(Σ x_r) / n` for `n` ranks: the sum, then one division (at most 1 ulp from the exact quotient of the sum).
    /// Integers are refused.
    Mean,
    /// The least `x_r`, as IEEE 754-2019 `minimum`: a NaN of any rank gives NaN, and −0.0 is less than +0.0.
    Min,
    /// The greatest `x_r`, as IEEE 754-2019 `maximum`: a NaN of any rank gives NaN, and +0.0 is greater than −0.0.
    Max,
    /// `Π x_r`. Integers wrap around.
    Product,
}

impl fmt::Display for Op {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Min => "min",
            Self::Max => "max",
            Self::Product => "product",
        })
    }
}

/// A call in which all ranks meet, as errors name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// [`Communicator::barrier`](super::Communicator::barrier).
    Barrier,
    /// [`Communicator::all_reduce`](super::Communicator::all_reduce).
    AllReduce(Op),
    /// [`Communicator::all_reduce_weighted_mean`](super::Communicator::all_reduce_weighted_mean).
    WeightedMean,
    /// [`Communicator::all_reduce_with`](super::Communicator::all_reduce_with).
    AllReduceWith,
    /// [`Communicator::reduce_scatter`](super::Communicator::reduce_scatter).
    ReduceScatter(Op),
    /// [`Communicator::all_gather`](super::Communicator::all_gather).
    AllGather,
    /// [`Communicator::broadcast`](super::Communicator::broadcast).
    Broadcast,
    /// [`Communicator::lend`](super::Communicator::lend).
    Lend,
    /// [`Communicator::update`](super::Communicator::update).
    Update,
    /// [`Communicator::rewrite`](super::Communicator::rewrite).
    Rewrite,
}

impl fmt::Display for Operation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Barrier => out.write_str("barrier"),
            Self::AllReduce(op) => write!(out, "all-reduce ({op})"),
            Self::WeightedMean => out.write_str("all-reduce (weighted mean)"),
            Self::AllReduceWith => out.write_str("all-reduce (with a function)"),
            Self::ReduceScatter(op) => write!(out, "reduce-scatter ({op})"),
            Self::AllGather => out.write_str("all-gather"),
            Self::Broadcast => out.write_str("broadcast"),
            Self::Lend => out.write_str("lend"),
            Self::Update => out.write_str("update"),
            Self::Rewrite => out.write_str("rewrite"),
        }
    }
}
