//! Values that exist once: all ranks read them between rounds, and each rank writes its own
//! segment.
//!
//! # Soundness
//!
//! - [`Shared::read`] borrows a communicator for as long as the slice is used;
//!   [`Communicator::update`] borrows it exclusively. So a rank that has arrived in an update holds
//!   no slice that it obtained from `read` with its communicator.
//! - An update opens only when every rank of the world has arrived in it, with the same shared
//!   value. So while it is open, every communicator of this world is borrowed, and no slice from
//!   `read` exists. A communicator that was forgotten or dropped never arrives, so the update never
//!   opens.
//! - `update` gives each rank its own segment, and segments are disjoint (the cuts ascend, which
//!   `new` checks). The exclusive slice does not outlive the work, and no rank returns from
//!   `update`, even by a panic, before the work of all ranks has ended.
//! - The gates order the writes of a round before every read that follows it.
//! - [`Communicator::rewrite`] opens in the same way, and gives all values to rank 0 only.
//! - A read with a communicator of another world would prove nothing and is rejected.
//!
//! None of this depends on whether the world has ended, so a read may follow the end: an update
//! that did not open wrote nothing, and one that opened has ended before any rank returns from it.
//!
//! # No rank reads partly written values
//!
//! If the work of one rank panics, the update fails on every rank, and each rank marks the value
//! torn before it returns from `update`. So a rank that reads after that update finds its own mark.
#![allow(unsafe_code)] // The params would otherwise be copied to every rank in every step.

use super::communicator::{Communicator, World};
use super::error::{CollectiveError, Operation};
use super::loan::{Loan, Peers};
use super::round::{Call, WorldState};
use super::sync::{Arc, AtomicBool, Ordering, UnsafeElement};
use super::tree::segment;
use std::ops::Range;

/// One copy of values that all ranks read between rounds, and of which each rank writes its own
/// segment inside [`Communicator::update`].
///
/// A slice that was read cannot be kept across an update:
/// ```compile_fail
/// # use phalanx_collective::{Shared, World};
/// let world = World::new(1)?;
/// let shared = Shared::even(&world, vec![1, 2, 3]);
/// let mut rank = world.communicators().next().unwrap();
/// let values = shared.read(&rank)?;
/// rank.update(&shared, &(), |_, own| own[0] = 4)?; // must not compile: `values` still borrows `rank`
/// assert_eq!(values[0], 1);
/// # Ok::<(), phalanx_collective::CollectiveError>(())
/// ```
#[derive(Debug)]
pub struct Shared<T> {
    state: Arc<WorldState>,
    values: Box<[UnsafeElement<T>]>,
    /// `world_size + 1` ascending indices, of which the last is at most the number of values.
    cuts: Box<[usize]>,
    /// True if a rank panicked inside an update or a rewrite.
    torn: AtomicBool,
}

// SAFETY: the values are accessed through `read`, by all ranks at once (hence T: Sync), and through
// `update`, by one rank each on its own thread (hence T: Send), never both at a time: see the
// module docs.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Shares `values` between the ranks of `world`; rank `r` writes `cuts[r]..cuts[r + 1]`.
    ///
    /// # Errors
    /// [`CutCount`](CollectiveError::CutCount) unless there are `world_size + 1` cuts,
    /// [`CutOutOfOrder`](CollectiveError::CutOutOfOrder) unless they ascend from 0 to the number of
    /// values.
    pub fn new(world: &World, values: Vec<T>, cuts: Vec<usize>) -> Result<Self, CollectiveError> {
        check_cuts(&cuts, world.size(), (0, values.len()), values.len())?;
        Ok(Self::cut(world, values, cuts))
    }

    /// Same as [`new`](Self::new), but the ranks own only a part of the values: from the first cut
    /// to the last. [`rewrite`](Communicator::rewrite) writes the rest, which is computed outside
    /// this world.
    ///
    /// # Errors
    /// [`CutCount`](CollectiveError::CutCount) unless there are `world_size + 1` cuts,
    /// [`CutOutOfOrder`](CollectiveError::CutOutOfOrder) unless they ascend within the values.
    ///
    /// # Examples
    /// ```
    /// # use phalanx_collective::{Shared, World};
    /// let world = World::new(1)?;
    /// let shared = Shared::within(&world, vec![1, 2, 3, 4], vec![1, 3])?;
    /// let mut rank = world.communicators().next().unwrap();
    /// rank.update(&shared, &(), |_, own| own.fill(0))?;
    /// rank.rewrite(&shared, |all| all[3] = 5)?;
    /// assert_eq!(shared.read(&rank)?, [1, 0, 0, 5]);
    /// # Ok::<(), phalanx_collective::CollectiveError>(())
    /// ```
    pub fn within(world: &World, values: Vec<T>, cuts: Vec<usize>) -> Result<Self, CollectiveError> {
        check_cuts(&cuts, world.size(), (values.len(), 0), values.len())?;
        Ok(Self::cut(world, values, cuts))
    }

    fn cut(world: &World, values: Vec<T>, cuts: Vec<usize>) -> Self {
        Self {
            state: Arc::clone(&world.state),
            values: values.into_iter().map(UnsafeElement::new).collect(),
            cuts: cuts.into(),
            torn: AtomicBool::new(false),
        }
    }

    /// Shares `values` between the ranks of `world`, divided as in [`segment`](super::segment()).
    pub fn even(world: &World, values: Vec<T>) -> Self {
        let (len, size) = (values.len(), world.size());
        let ends = (0..size).map(|rank| segment(len, size, rank).end);
        let cuts = std::iter::once(0).chain(ends).collect();
        Self::new(world, values, cuts).expect("segments are contiguous, ascend and cover everything")
    }

    /// Returns all values, as the last update or rewrite left them; they can be read until this
    /// rank's next collective call. Needs no other rank: it also succeeds after the world has
    /// ended, unless the cause was a panic inside an update or a rewrite of this value.
    ///
    /// # Errors
    /// [`NotOfThisWorld`](CollectiveError::NotOfThisWorld). If the value [is torn](Self::is_torn),
    /// the cause that ended the world.
    ///
    /// # Cost
    /// One atomic load.
    #[inline]
    pub fn read<'a>(&'a self, communicator: &'a Communicator) -> Result<&'a [T], CollectiveError> {
        if !self.is_of(&communicator.seat.state) {
            return Err(CollectiveError::NotOfThisWorld);
        }
        if self.is_torn() {
            return Err(self.state.cause());
        }
        let start = self.values.as_ptr().cast::<T>();
        // SAFETY: a cell has the layout of its value; nobody writes while `communicator` is
        // borrowed (head of this file).
        Ok(unsafe { std::slice::from_raw_parts(start, self.values.len()) })
    }

    /// Returns the indices of the values that `rank` writes.
    ///
    /// # Panics
    /// If `rank` does not exist.
    #[inline]
    pub fn segment(&self, rank: usize) -> Range<usize> {
        self.cuts[rank]..self.cuts[rank + 1]
    }

    /// Returns whether a rank panicked inside an update or a rewrite, so that segments may be only
    /// partly written.
    pub fn is_torn(&self) -> bool {
        self.torn.load(Ordering::Acquire)
    }

    /// Returns the values, even if the world has failed: as the last update or rewrite left them,
    /// unless [`is_torn`](Self::is_torn).
    pub fn into_inner(self) -> Vec<T> {
        self.values.into_vec().into_iter().map(UnsafeElement::into_inner).collect()
    }

    fn is_of(&self, state: &Arc<WorldState>) -> bool {
        Arc::ptr_eq(&self.state, state)
    }

    /// # Safety
    /// Until the slice is dropped, nothing else reads or writes the values in `range`.
    #[allow(clippy::mut_from_ref)] // The range is exclusive, which the caller guarantees.
    unsafe fn range_mut(&self, range: Range<usize>) -> &mut [T] {
        let cells = &self.values[range];
        let start = cells.as_ptr().cast::<T>().cast_mut();
        // SAFETY: a cell has the layout of its value and allows writing through `&`; the caller has
        // exclusive access.
        unsafe { std::slice::from_raw_parts_mut(start, cells.len()) }
    }
}

/// Checks that the cuts ascend, and that the first is at most `ends.0` and the last at least
/// `ends.1`.
fn check_cuts(
    cuts: &[usize],
    world_size: usize,
    ends: (usize, usize),
    len: usize,
) -> Result<(), CollectiveError> {
    if cuts.len() != world_size + 1 {
        return Err(CollectiveError::CutCount { found: cuts.len(), expected: world_size + 1 });
    }
    for (index, &found) in cuts.iter().enumerate() {
        let before = cuts[..index].last().copied().unwrap_or(0);
        let at_least = if index == world_size { before.max(ends.1) } else { before };
        let at_most = if index == 0 { ends.0 } else { len };
        if found < at_least || found > at_most {
            return Err(CollectiveError::CutOutOfOrder { index, found, at_least, at_most });
        }
    }
    Ok(())
}

/// Marks a shared value as torn when dropped, unless disarmed before; also works while a panic
/// unwinds.
struct TearGuard<'a>(&'a AtomicBool);

impl TearGuard<'_> {
    /// Leaves the value marked as torn unless the work of all ranks completed.
    fn end<R>(self, outcome: Result<R, CollectiveError>) -> Result<R, CollectiveError> {
        if outcome.is_ok() {
            std::mem::forget(self);
        }
        outcome
    }
}

impl Drop for TearGuard<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Communicator {
    /// Lends `own` to all ranks and runs `work`, which can read the values of all ranks and write
    /// this rank's segment of `shared`.
    ///
    /// # Errors
    /// [`NotOfThisWorld`](CollectiveError::NotOfThisWorld), and those of [`lend`](Self::lend). If
    /// the work of any rank panics, segments may be only partly written and [`Shared::is_torn`] is
    /// true.
    ///
    /// # Panics
    /// Same as [`lend`](Self::lend).
    ///
    /// # Examples
    /// ```
    /// # use phalanx_collective::{Shared, World};
    /// let world = World::new(2).unwrap();
    /// let params = Shared::even(&world, vec![1.0, 2.0, 3.0]);
    /// std::thread::scope(|scope| {
    ///     for mut rank in world.communicators() {
    ///         let params = &params;
    ///         scope.spawn(move || {
    ///             let gradient = params.read(&rank).unwrap().to_vec();
    ///             let segment = params.segment(rank.rank());
    ///             rank.update(params, &gradient, |gradients, own| {
    ///                 for (index, param) in segment.zip(own) {
    ///                     *param -= gradients.iter().map(|gradient| gradient[index]).sum::<f64>();
    ///                 }
    ///             })
    ///             .unwrap();
    ///         });
    ///     }
    /// });
    /// assert_eq!(params.into_inner(), [-1.0, -2.0, -3.0]);
    /// ```
    pub fn update<X: Sync + 'static, T: Send + Sync + 'static, R>(
        &mut self,
        shared: &Shared<T>,
        own: &X,
        work: impl FnOnce(Peers<'_, X>, &mut [T]) -> R,
    ) -> Result<R, CollectiveError> {
        let call = Call::new::<X>(Operation::Update, 1).on_subject(std::ptr::from_ref(shared).addr());
        let (rank, is_foreign) = (self.rank(), !shared.is_of(&self.seat.state));
        let loan = Loan::of_value(&mut self.seat, call, &own)?;
        if is_foreign {
            return Err(CollectiveError::NotOfThisWorld);
        }
        // If this rank panics, the guard marks the value during unwinding; the other ranks do so
        // when they get the error.
        let tear = TearGuard(&shared.torn);
        let outcome = loan.work(|peers| {
            // SAFETY: the round is open, so all communicators of this world are in `update` with
            // this very value (the calls were compared by address) and no borrow from `read`
            // exists; each rank takes its own segment.
            work(peers, unsafe { shared.range_mut(shared.segment(rank)) })
        });
        tear.end(outcome)
    }

    /// Lets rank 0 write all values of `shared`, regardless of their owners; only rank 0 runs
    /// `work`, and gets its result.
    ///
    /// # Errors
    /// [`NotOfThisWorld`](CollectiveError::NotOfThisWorld), and those of [`lend`](Self::lend). If
    /// the work panics, the values may be only partly written and [`Shared::is_torn`] is true.
    ///
    /// # Panics
    /// Same as [`lend`](Self::lend).
    ///
    /// # Examples
    /// See [`Shared::within`].
    pub fn rewrite<T: Send + Sync + 'static, R>(
        &mut self,
        shared: &Shared<T>,
        work: impl FnOnce(&mut [T]) -> R,
    ) -> Result<Option<R>, CollectiveError> {
        let call = Call::new::<()>(Operation::Rewrite, 1).on_subject(std::ptr::from_ref(shared).addr());
        let (rank, is_foreign) = (self.rank(), !shared.is_of(&self.seat.state));
        let loan = Loan::of_value(&mut self.seat, call, &&())?;
        if is_foreign {
            return Err(CollectiveError::NotOfThisWorld);
        }
        let tear = TearGuard(&shared.torn);
        let outcome = loan.work(|_| {
            // SAFETY: as in `update`, but rank 0 takes all values and the others none.
            (rank == 0).then(|| work(unsafe { shared.range_mut(0..shared.values.len()) }))
        });
        tear.end(outcome)
    }
}
