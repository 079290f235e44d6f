//! Loans: memory that the ranks lend to a round, and the views of it.
//!
//! # Soundness
//!
//! - A [`Loan`] holds the borrow of what its rank lent, so the owner cannot access the memory in
//!   any other way.
//! - A loan exists only in an open round in which all ranks lent the same type and length (the
//!   calls have been compared).
//! - The docs of each method state which rank accesses what. All ranks are in the same method,
//!   because they made the same call, and all return from it only after the work of all ranks has
//!   ended ([`Round::work`]).
#![allow(unsafe_code)] // Ranks read and write each other's slices in place; a copy would double the bytes moved.

use super::arithmetic::{BLOCK, Fold, Leaves, finish, reduce_two};
use super::error::{CollectiveError, Difference};
use super::round::{self, Call, Round, Seat};
use super::tree::{fold_ranks, segment};
use std::marker::PhantomData;
use std::ops::Range;

/// The memory that the ranks lend to an open round: `B` is the borrow of this rank's memory.
#[derive(Debug)]
pub(super) struct Loan<'c, B> {
    round: Round<'c>,
    borrow: PhantomData<B>,
}

impl<'c, T: Copy + Send + Sync + 'static> Loan<'c, &'c mut [T]> {
    /// Arrives with `call`, lending `values`.
    pub(super) fn of_slice(
        seat: &'c mut Seat,
        call: Call,
        values: &'c mut [T],
    ) -> Result<Self, CollectiveError> {
        assert!(
            call.lends_slice_of::<T>(values.len()),
            "the call does not describe the values that it lends"
        );
        let call = call.lending(values.as_mut_ptr().cast());
        Ok(Self { round: round::arrive(seat, call)?, borrow: PhantomData })
    }

    /// Runs `work` on this rank's [`segment`] of every rank's slice.
    ///
    /// Segments are disjoint, so no other rank accesses what this rank reads and writes.
    pub(super) fn work_on_segments<R>(
        self,
        work: impl FnOnce(Segments<'_, T>) -> R,
    ) -> Result<R, CollectiveError> {
        let range = segment(self.len(), self.world_size(), self.round.rank());
        self.round.work(|round| work(Segments { round, buffer: None, range, values: PhantomData }))
    }

    /// Copies every rank's own segment to this rank's slice.
    ///
    /// No rank writes its own segment, which is the only part of a slice that other ranks read.
    pub(super) fn gather_segments(self) -> Result<(), CollectiveError> {
        let (len, world_size) = (self.len(), self.world_size());
        self.round.work(|round| {
            for rank in (0..world_size).filter(|&rank| rank != round.rank()) {
                // SAFETY: see above.
                unsafe { copy::<T>(round, rank, segment(len, world_size, rank)) }
            }
        })
    }

    /// Copies the slice of `root` to this rank's slice.
    ///
    /// The root writes nothing, and no other rank accesses the destination slices.
    pub(super) fn copy_from(self, root: usize) -> Result<(), CollectiveError> {
        let len = self.len();
        self.round.work(|round| {
            if round.rank() != root {
                // SAFETY: see above.
                unsafe { copy::<T>(round, root, 0..len) }
            }
        })
    }

    fn len(&self) -> usize {
        self.round.call(0).len
    }
}

impl<'c, 'b, T: Copy + Send + Sync + 'static> Loan<'c, &'c mut [&'b mut [T]]> {
    /// Arrives with `call`, lending `buffers`.
    pub(super) fn of_buffers(
        seat: &'c mut Seat,
        call: Call,
        buffers: &'c mut &mut [&'b mut [T]],
    ) -> Result<Self, CollectiveError> {
        let len = buffers.iter().map(|buffer| buffer.len()).sum();
        assert!(call.lends_slice_of::<T>(len), "the call does not describe the buffers that it lends");
        let call = call.lending(std::ptr::from_mut(buffers).cast());
        Ok(Self { round: round::arrive(seat, call)?, borrow: PhantomData })
    }

    /// Runs `work` on the parts of every rank's buffers that are within this rank's [`segment`] of
    /// all elements, buffer by buffer; fails on every rank if the ranks lent buffers of different
    /// lengths.
    ///
    /// Segments are disjoint, so no other rank accesses what this rank reads and writes. The list
    /// of buffers is only read.
    pub(super) fn work_on_buffers(
        self,
        mut work: impl FnMut(Segments<'_, T>),
    ) -> Result<(), CollectiveError> {
        let own = segment(self.round.call(0).len, self.world_size(), self.round.rank());
        self.round.work(|round| {
            // SAFETY: this loan lends buffers of T.
            let lengths = |rank| unsafe { buffers::<T>(round, rank) }.iter().map(|buffer| buffer.len());
            // Compared during the work: until all ranks have departed, others read this rank's
            // list.
            for rank in 1..round.world_size() {
                if let Some(difference) = difference_of(lengths(0), lengths(rank)) {
                    return Err(CollectiveError::Mismatch { rank, difference: difference.to_string() });
                }
            }
            let mut start = 0;
            for (buffer, len) in lengths(0).enumerate() {
                let range = own.start.max(start) - start..own.end.clamp(start, start + len) - start;
                if range.start < range.end {
                    work(Segments { round, buffer: Some(buffer), range, values: PhantomData });
                }
                start += len;
            }
            Ok(())
        })?
    }
}

fn difference_of(
    expected: impl ExactSizeIterator<Item = usize>,
    found: impl ExactSizeIterator<Item = usize>,
) -> Option<Difference> {
    let counts = (expected.len(), found.len());
    match expected.zip(found).enumerate().find(|(_, (expected, found))| expected != found) {
        Some((buffer, (expected, found))) => Some(Difference::BufferLen { buffer, expected, found }),
        None if counts.0 == counts.1 => None,
        None => Some(Difference::BufferCount { expected: counts.0, found: counts.1 }),
    }
}

/// Returns the buffers that `rank` lends, as addresses.
///
/// # Safety
/// The round lends lists of buffers of `T`.
unsafe fn buffers<'r, T>(round: &'r Round<'_>, rank: usize) -> &'r [*mut [T]] {
    let list = round.call(rank).data.cast::<*mut [*mut [T]]>();
    // SAFETY: `data` points to a `&mut [&mut [T]]`, lent until all ranks have departed; no rank
    // writes to the list, and references have the layout of pointers.
    unsafe { &**list }
}

impl<'c, X: ?Sized + Sync + 'static> Loan<'c, &'c X> {
    /// Arrives with `call`, lending `own`. The call holds the address of the reference: for a
    /// slice, that of a value would not be enough.
    pub(super) fn of_value(seat: &'c mut Seat, call: Call, own: &'c &'c X) -> Result<Self, CollectiveError> {
        assert!(call.lends_slice_of::<X>(1), "the call does not describe the value that it lends");
        let call = call.lending(std::ptr::from_ref(own).cast_mut().cast());
        Ok(Self { round: round::arrive(seat, call)?, borrow: PhantomData })
    }

    /// Runs `work` with the values of all ranks; no rank writes to them.
    pub(super) fn work<R>(self, work: impl FnOnce(Peers<'_, X>) -> R) -> Result<R, CollectiveError> {
        self.round.work(|round| work(Peers { round, values: PhantomData }))
    }
}

impl<B> Loan<'_, B> {
    pub(super) fn round(&self) -> &Round<'_> {
        &self.round
    }

    pub(super) fn world_size(&self) -> usize {
        self.round.world_size()
    }
}

/// Returns a pointer to the start of `range` in the slice of `rank`.
///
/// # Safety
/// The round lends slices of `T`.
///
/// # Panics
/// If `range` is not within the slices.
unsafe fn start<T>(round: &Round<'_>, rank: usize, range: &Range<usize>) -> *mut T {
    let call = round.call(rank);
    assert!(
        range.start <= range.end && range.end <= call.len,
        "{range:?} is not within {} elements",
        call.len
    );
    // SAFETY: `data` points to `len` elements of T, and the range is within them.
    unsafe { call.data.cast::<T>().add(range.start) }
}

/// Copies `range` of the slice of another rank, `rank`, to the same range of this rank's slice.
///
/// # Safety
/// The round lends slices of `T`; during the round no rank writes to `range` of the slice of
/// `rank`, and no other rank accesses `range` of this rank's slice.
unsafe fn copy<T: Copy>(round: &Round<'_>, rank: usize, range: Range<usize>) {
    // SAFETY: guaranteed by the caller; the slices of two ranks are exclusive borrows, so they do
    // not overlap.
    unsafe {
        let source = start::<T>(round, rank, &range).cast_const();
        source.copy_to_nonoverlapping(start::<T>(round, round.rank(), &range), range.len());
    }
}

/// This rank's segment of the slices of all ranks, which only this rank may read and write.
#[derive(Debug)]
pub(super) struct Segments<'r, T> {
    round: &'r Round<'r>,
    /// The index of the buffer that the range is in, if the ranks lend several.
    buffer: Option<usize>,
    range: Range<usize>,
    values: PhantomData<&'r mut [T]>,
}

impl<'r, T> Segments<'r, T> {
    pub(super) fn rank(&self) -> usize {
        self.round.rank()
    }

    pub(super) fn world_size(&self) -> usize {
        self.round.world_size()
    }

    pub(super) fn len(&self) -> usize {
        self.range.len()
    }

    pub(super) fn round(&self) -> &'r Round<'r> {
        self.round
    }

    /// Returns a pointer to the segment of `rank`.
    fn start(&self, rank: usize) -> *mut T {
        let Some(buffer) = self.buffer else {
            // SAFETY: a round without a list of buffers lends slices of T.
            return unsafe { start(self.round, rank, &self.range) };
        };
        // SAFETY: a round with a list of buffers lends buffers of T.
        let values = unsafe { buffers::<T>(self.round, rank) }[buffer];
        assert!(self.range.end <= values.len(), "{:?} is not within {} elements", self.range, values.len());
        // SAFETY: the range is within the buffer.
        unsafe { values.cast::<T>().add(self.range.start) }
    }

    pub(super) fn get(&self, rank: usize) -> &[T] {
        // SAFETY: the values are lent and only this rank accesses its segment of them
        // (`Loan::work_on_segments` and `Loan::work_on_buffers`); a `&mut` of it cannot be alive,
        // because that borrows `self` exclusively.
        unsafe { std::slice::from_raw_parts(self.start(rank), self.range.len()) }
    }

    pub(super) fn get_mut(&mut self, rank: usize) -> &mut [T] {
        // SAFETY: as `get`, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start(rank), self.range.len()) }
    }

    /// # Panics
    /// If both are the same rank.
    pub(super) fn pair_mut(&mut self, left: usize, right: usize) -> (&mut [T], &mut [T]) {
        assert_ne!(left, right, "a slice cannot be borrowed exclusively twice");
        let (len, left, right) = (self.range.len(), self.start(left), self.start(right));
        // SAFETY: as `get_mut`; the slices of two ranks are exclusive borrows, so they do not
        // overlap.
        unsafe { (std::slice::from_raw_parts_mut(left, len), std::slice::from_raw_parts_mut(right, len)) }
    }
}

impl<T: Copy> Segments<'_, T> {
    /// Reduces into the segments of all ranks.
    pub(super) fn reduce_to_all(&mut self, fold: &impl Fold<T>) {
        if self.world_size() == 2 {
            let (first, second) = self.pair_mut(0, 1);
            return reduce_two(fold, first, second);
        }
        for_each_block(self.len(), |block| {
            self.reduce_block(fold, block.clone());
            let own = self.rank();
            for rank in (0..self.world_size()).filter(|&rank| rank != own) {
                let (result, copy) = self.pair_mut(own, rank);
                copy[block.clone()].copy_from_slice(&result[block.clone()]);
            }
        });
    }

    /// Reduces into this rank's own segment.
    pub(super) fn reduce_to_own(&mut self, fold: &impl Fold<T>) {
        for_each_block(self.len(), |block| self.reduce_block(fold, block));
    }

    /// Same as [`reduce_to_all`](Self::reduce_to_all), element by element: for types of any size,
    /// for which a block may not fit on the stack.
    pub(super) fn reduce_each_to_all(&mut self, fold: &impl Fold<T>) {
        if self.world_size() == 2 {
            let (first, second) = self.pair_mut(0, 1);
            return reduce_two(fold, first, second);
        }
        for index in 0..self.len() {
            let leaf = |rank| fold.leaf(rank)(self.get(rank)[index]);
            let combine = |left, right| fold.combine(left, right);
            let result = fold.finish(fold_ranks(0..self.world_size(), &leaf, &combine));
            for rank in 0..self.world_size() {
                self.get_mut(rank)[index] = result;
            }
        }
    }

    /// Writes the result of `block` (indices within the segment) to this rank's own segment.
    fn reduce_block(&mut self, fold: &impl Fold<T>, block: Range<usize>) {
        let filling = fold.leaf(0)(self.get(0)[block.start]);
        let mut roots = [filling; BLOCK];
        let roots = &mut roots[..block.len()];
        let slices = |rank| &self.get(rank)[block.clone()];
        Leaves::<_, _, _, BLOCK> { fold, slices, filling }.combine(0..self.world_size(), roots);
        let own = self.rank();
        finish(fold, roots, &mut self.get_mut(own)[block]);
    }
}

fn for_each_block(len: usize, mut work: impl FnMut(Range<usize>)) {
    for start in (0..len).step_by(BLOCK) {
        work(start..len.min(start + BLOCK));
    }
}

/// The values of all ranks in a [`lend`](super::Communicator::lend) or an
/// [`update`](super::Communicator::update). They are lent for the duration of the work only:
///
/// ```compile_fail
/// # use phalanx_collective::World;
/// let mut rank = World::new(1)?.communicators().next().unwrap();
/// let escaped = rank.lend(&5, |peers| peers)?; // must not compile: the loan ends with the work
/// # Ok::<(), phalanx_collective::CollectiveError>(())
/// ```
///
/// # Examples
///
/// ```
/// use phalanx_collective::{Peers, World};
///
/// std::thread::scope(|scope| {
///     for mut rank in World::new(3).unwrap().communicators() {
///         scope.spawn(move || {
///             let name = format!("rank {}", rank.rank());
///             let all = |peers: Peers<'_, String>| peers.iter().cloned().collect::<Vec<_>>().join(", ");
///             assert_eq!(rank.lend(&name, all).unwrap(), "rank 0, rank 1, rank 2");
///         });
///     }
/// });
/// ```
#[derive(Debug)]
pub struct Peers<'a, X: ?Sized> {
    round: &'a Round<'a>,
    values: PhantomData<&'a X>,
}

impl<X: ?Sized> Clone for Peers<'_, X> {
    fn clone(&self) -> Self {
        Self { round: self.round, values: PhantomData }
    }
}

impl<'a, X: ?Sized> Peers<'a, X> {
    /// Returns the value that `rank` lends.
    ///
    /// # Panics
    /// If `rank` does not exist.
    #[inline]
    pub fn get(&self, rank: usize) -> &'a X {
        assert!(rank < self.len(), "rank {rank} of {} does not exist", self.len());
        let value = self.round.call(rank).data.cast::<&'a X>();
        // SAFETY: `rank` lends a `&X` and the reference itself until all ranks have departed, which
        // is after the work, and `'a` does not outlive the work.
        unsafe { *value }
    }

    /// Iterates over the values in rank order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a X> + use<'a, X> {
        let peers = Self { round: self.round, values: PhantomData };
        (0..self.len()).map(move |rank| peers.get(rank))
    }

    /// Returns the number of ranks.
    #[allow(clippy::len_without_is_empty)] // A world has at least one rank.
    pub fn len(&self) -> usize {
        self.round.world_size()
    }
}
