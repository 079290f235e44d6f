//! The reductions of a communicator.

use super::communicator::Communicator;
use super::element::{Element, Float};
use super::kernel::{reduce_each_to_all, reduce_payloads, reduce_to_all, reduce_to_own};
use super::loan::Loan;
use super::recipe::{Mean, Plain, Recipe, WeightedMean, With};
use super::round::{self, Call, Round, fits_payload};
use super::tree::fold_ranks;
use super::{CollectiveError, Op, Operation, segment};
use std::ops::Range;

impl Communicator {
    /// Replaces everyone's `values` by `op` over all ranks, element by element.
    ///
    /// The operands are combined in the fixed [`tree`](super::tree) over the ranks: the result has the same bits on
    /// every rank and in every run. NaN and infinities of any rank propagate as IEEE 754 says.
    ///
    /// # Errors
    /// [`MeanOfIntegers`](CollectiveError::MeanOfIntegers), and those of [every collective method](Self#errors).
    ///
    /// # Cost
    /// Each rank reads `len/n` elements of each of the `n` ranks and writes `len/n` to each: `2·len` in all, whatever
    /// `n`. Up to 64 bytes travel with the arrival itself and are combined by every rank for itself.
    ///
    /// # Examples
    /// ```
    /// # use phalanx_collective::{Op, World};
    /// std::thread::scope(|scope| {
    ///     for mut rank in World::new(3).unwrap().communicators() {
    ///         scope.spawn(move || {
    ///             let mut values = [rank.rank() as f64, 1.0];
    ///             rank.all_reduce(&mut values, Op::Mean).unwrap();
    ///             assert_eq!(values, [1.0, 1.0]);
    ///         });
    ///     }
    /// });
    /// ```
    pub fn all_reduce<T: Element>(&mut self, values: &mut [T], op: Op) -> Result<(), CollectiveError> {
        let operation = Operation::AllReduce(op);
        if fits_payload(values) {
            let round = round::arrive_with_payload(self, operation, values)?;
            return choose(op, round.world_size(), FromPayload { round, first: 0, results: values });
        }
        let loan = Loan::of_slice(self, Call::new::<T>(operation, values.len()), values)?;
        choose(op, loan.world_size(), ToAll(loan))
    }

    /// Replaces this rank's [`segment`](super::segment()) of `values` by `op` over all ranks, and leaves the rest as it was. Returns the
    /// segment.
    ///
    /// # Errors
    /// As [`all_reduce`](Self::all_reduce).
    ///
    /// # Cost
    /// Each rank reads `len/n` elements of each of the `n` ranks and writes `len/n`.
    ///
    /// # Examples
    /// ```
    /// # use phalanx_collective::{Op, World};
    /// std::thread::scope(|scope| {
    ///     for mut rank in World::new(2).unwrap().communicators() {
    ///         scope.spawn(move || {
    ///             let mut values = [1, 2, 3];
    ///             let own = rank.reduce_scatter(&mut values, Op::Sum).unwrap();
    ///             assert_eq!(&values[own], if rank.rank() == 0 { [2, 4].as_slice() } else { &[6] });
    ///         });
    ///     }
    /// });
    /// ```
    pub fn reduce_scatter<T: Element>(
        &mut self,
        values: &mut [T],
        op: Op,
    ) -> Result<Range<usize>, CollectiveError> {
        let operation = Operation::ReduceScatter(op);
        let own = segment(values.len(), self.world_size(), self.rank());
        if fits_payload(values) {
            let round = round::arrive_with_payload(self, operation, values)?;
            let (first, results) = (own.start, &mut values[own.clone()]);
            choose(op, round.world_size(), FromPayload { round, first, results })?;
        } else {
            let loan = Loan::of_slice(self, Call::new::<T>(operation, values.len()), values)?;
            choose(op, loan.world_size(), ToOwn(loan))?;
        }
        Ok(own)
    }

    /// Replaces everyone's `values` by their weighted mean over all ranks, `Σ w_r x_r / Σ w_r`, and returns `Σ w_r`.
    ///
    /// Computed in f64 whatever the element type, in the fixed [`tree`](super::tree) over the ranks, and rounded once.
    /// A rank of weight 0 contributes nothing, whatever its values, not even NaN. With equal weights an `f32` mean may
    /// differ by 1 ulp from [`Op::Mean`], which adds in f32.
    ///
    /// # Errors
    /// [`BadWeight`](CollectiveError::BadWeight) if any weight is negative or not finite,
    /// [`ZeroWeight`](CollectiveError::ZeroWeight) if their sum is 0,
    /// [`WeightOverflow`](CollectiveError::WeightOverflow) if it is infinite; on every rank, values untouched. And those
    /// of [every collective method](Self#errors).
    ///
    /// # Cost
    /// As [`all_reduce`](Self::all_reduce) of more than 64 bytes.
    pub fn all_reduce_weighted_mean<T: Float>(
        &mut self,
        values: &mut [T],
        weight: f64,
    ) -> Result<f64, CollectiveError> {
        let call = Call::new::<T>(Operation::WeightedMean, values.len()).with_weight(weight);
        let loan = Loan::of_slice(self, call, values)?;
        let total = total_weight(loan.world_size(), |rank| loan.round().call(rank).weight)?;
        loan.work_on_segments(|mut segments| {
            let round = segments.round();
            let recipe = WeightedMean { weight: |rank| round.call(rank).weight, total };
            reduce_to_all(&recipe, &mut segments);
            total
        })
    }

    /// Replaces everyone's `values` by their combination with `combine` over all ranks, element by element.
    ///
    /// `combine` must be associative for the result to mean anything, but need not be commutative: its operands come in
    /// rank order, in the fixed [`tree`](super::tree). All ranks must give the same function, as each combines its own
    /// segment for all.
    ///
    /// # Errors
    /// Those of [every collective method](Self#errors). If `combine` panics on any rank, the values of all are in part
    /// combined and in part not.
    ///
    /// # Panics
    /// If `combine` does: the panic goes on once all ranks have departed.
    ///
    /// # Cost
    /// As [`all_reduce`](Self::all_reduce) of more than 64 bytes.
    ///
    /// # Examples
    /// ```
    /// # use phalanx_collective::World;
    /// std::thread::scope(|scope| {
    ///     for mut rank in World::new(3).unwrap().communicators() {
    ///         scope.spawn(move || {
    ///             let mut largest = [(rank.rank() * 10, rank.rank())];
    ///             rank.all_reduce_with(&mut largest, |left, right| left.max(right)).unwrap();
    ///             assert_eq!(largest, [(20, 2)]);
    ///         });
    ///     }
    /// });
    /// ```
    pub fn all_reduce_with<T: Copy + Send + Sync + 'static>(
        &mut self,
        values: &mut [T],
        combine: impl Fn(T, T) -> T,
    ) -> Result<(), CollectiveError> {
        let call = Call::new::<T>(Operation::AllReduceWith, values.len());
        let loan = Loan::of_slice(self, call, values)?;
        loan.work_on_segments(|mut segments| reduce_each_to_all(&With(combine), &mut segments))
    }
}

/// Returns the sum of all weights, or why there is none; the same on every rank.
pub(super) fn total_weight(world_size: usize, weight: impl Fn(usize) -> f64) -> Result<f64, CollectiveError> {
    let is_good = |weight: f64| weight.is_finite() && weight >= 0.0;
    if let Some(rank) = (0..world_size).find(|&rank| !is_good(weight(rank))) {
        return Err(CollectiveError::BadWeight { rank, weight: weight(rank) });
    }
    match fold_ranks(0..world_size, &weight, &|left, right| left + right) {
        0.0 => Err(CollectiveError::ZeroWeight),
        total if total.is_infinite() => Err(CollectiveError::WeightOverflow),
        total => Ok(total),
    }
}

/// Operands that wait to be told their arithmetic.
pub(super) trait Reduction<T> {
    fn run(self, recipe: &impl Recipe<T>) -> Result<(), CollectiveError>;
}

/// Runs a reduction with the recipe of `op`.
pub(super) fn choose<T: Element>(
    op: Op,
    world_size: usize,
    reduction: impl Reduction<T>,
) -> Result<(), CollectiveError> {
    match op {
        Op::Sum => reduction.run(&Plain(T::add)),
        Op::Product => reduction.run(&Plain(T::multiply)),
        Op::Min => reduction.run(&Plain(T::lesser)),
        Op::Max => reduction.run(&Plain(T::greater)),
        Op::Mean if T::IS_INTEGER => {
            Err(CollectiveError::MeanOfIntegers { element: std::any::type_name::<T>() })
        }
        Op::Mean => reduction.run(&Mean { world_size }),
    }
}

/// Everyone's segments, reduced for all.
struct ToAll<'c, T>(Loan<'c, &'c mut [T]>);

impl<T: Element> Reduction<T> for ToAll<'_, T> {
    fn run(self, recipe: &impl Recipe<T>) -> Result<(), CollectiveError> {
        self.0.work_on_segments(|mut segments| reduce_to_all(recipe, &mut segments))
    }
}

/// Everyone's segments, reduced for their owners.
struct ToOwn<'c, T>(Loan<'c, &'c mut [T]>);

impl<T: Element> Reduction<T> for ToOwn<'_, T> {
    fn run(self, recipe: &impl Recipe<T>) -> Result<(), CollectiveError> {
        self.0.work_on_segments(|mut segments| reduce_to_own(recipe, &mut segments))
    }
}

/// Copies in the slots, which each rank reduces for itself: no memory is lent, so nobody need depart.
struct FromPayload<'c, 'v, T> {
    round: Round<'c>,
    /// The index of the first result among the elements brought.
    first: usize,
    results: &'v mut [T],
}

impl<T: Element> Reduction<T> for FromPayload<'_, '_, T> {
    fn run(self, recipe: &impl Recipe<T>) -> Result<(), CollectiveError> {
        reduce_payloads(recipe, &self.round, self.first, self.results);
        Ok(())
    }
}
