//! The round: all ranks arrive, each works, all depart. Every collective call is one round.
//!
//! **Arriving.** Each rank publishes its [`Call`] in its own slot and counts itself at the arrivals
//! gate. The rank that completes the count opens the round. Until that moment the round can fail (a
//! rank left or panicked, an abort, a timeout). A single atomic word decides whether it opens or
//! fails, so all ranks agree. Then every rank compares all calls; as all see the same calls, all
//! reach the same conclusion.
//!
//! **Working.** Calls may lend memory: until all ranks have departed, any rank may read or write
//! it.
//!
//! **Departing** cannot fail and has no timeout: the others wait for a rank that is still
//! computing, because it still uses its pointers into their memory. A panic in the work is caught,
//! recorded, and resumed after the departure.
//!
//! # Two calls per slot
//!
//! A rank publishes the call of round `g + 2` only after round `g + 1` has opened, for which every
//! rank must have arrived in `g + 1`, and so be done with the calls of round `g`. With two calls in
//! each slot, used alternately, no rank overwrites a call that another still reads, and a round
//! without lent memory needs no departure at all. A failed call does not advance the count of
//! rounds, so the next call is written to the same place, which no rank reads because that round
//! never opens.
#![allow(unsafe_code)] // Slots are written by one rank and read by all, ordered by the gate of arrivals.

use super::error::{CollectiveError, Difference, Operation};
use super::gate::{Gate, Polls, WaitResult};
use super::sync::{Arc, AtomicU64, Mutex, Ordering, UnsafeCell, yield_now};
use crossbeam_utils::CachePadded;
use std::any::TypeId;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// The maximum size of a payload in bytes.
///
/// Up to it, one meeting of the ranks is enough; otherwise they meet again before they depart. If
/// there are more ranks than cores, a meeting costs tens of microseconds: 16 to 128 f32 between
/// four ranks on two cores took 33 to 40 µs as payloads and 95 to 115 µs otherwise (Zen 4).
const CROWDED_PAYLOAD_BYTES: usize = 512;

/// The maximum if each rank has a core: one cache line. A second meeting then takes less time than
/// copying a larger payload from core to core: 64 f32 between two ranks took 0.3 µs with it and 0.5
/// µs as a payload.
const PAYLOAD_BYTES: usize = 64;

/// The call that a rank publishes on arrival: one cache line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    operation: Operation,
    /// True if the payload next to this call holds a copy of its `len` elements.
    has_payload: bool,
    element: TypeId,
    element_name: fn() -> &'static str,
    pub(super) len: usize,
    /// The root of a broadcast or the address of the shared value of an update; 0 otherwise.
    subject: usize,
    pub(super) weight: f64,
    /// The memory lent to the round: `len` elements to read and write, or one value to read.
    pub(super) data: *mut (),
}

impl Call {
    /// Creates a call that lends nothing (until [`Loan`](super::loan::Loan) adds memory to it).
    pub(super) fn new<T: ?Sized + 'static>(operation: Operation, len: usize) -> Self {
        Self {
            operation,
            has_payload: false,
            element: TypeId::of::<T>(),
            element_name: std::any::type_name::<T>,
            len,
            subject: 0,
            weight: 0.0,
            data: std::ptr::null_mut(),
        }
    }

    pub(super) fn on_subject(self, subject: usize) -> Self {
        Self { subject, ..self }
    }

    pub(super) fn with_weight(self, weight: f64) -> Self {
        Self { weight, ..self }
    }

    pub(super) fn lending(self, data: *mut ()) -> Self {
        Self { data, ..self }
    }

    /// Returns whether the call describes `len` values of `T`.
    pub(super) fn lends_slice_of<T: ?Sized + 'static>(&self, len: usize) -> bool {
        self.element == TypeId::of::<T>() && self.len == len
    }

    fn difference_to(&self, found: &Self) -> Option<Difference> {
        if self.operation != found.operation {
            Some(Difference::Operation { expected: self.operation, found: found.operation })
        } else if self.element != found.element {
            let (expected, found) = ((self.element_name)(), (found.element_name)());
            Some(Difference::ElementType { expected, found })
        } else if self.len != found.len {
            Some(Difference::Len { expected: self.len, found: found.len })
        } else if self.subject == found.subject {
            None
        } else if self.operation == Operation::Broadcast {
            Some(Difference::Root { expected: self.subject, found: found.subject })
        } else {
            Some(Difference::Shared)
        }
    }
}

/// A call, and a copy of its values if there are few enough.
#[derive(Debug)]
struct Offer {
    call: UnsafeCell<Call>,
    payload: UnsafeCell<[u64; CROWDED_PAYLOAD_BYTES / 8]>,
}

/// The memory in which one rank publishes its calls.
#[derive(Debug)]
struct RankSlot {
    /// The number of rounds that the rank has announced.
    announced: CachePadded<AtomicU64>,
    /// The offers of even and of odd rounds.
    offers: [CachePadded<Offer>; 2],
}

// SAFETY: an offer is written by its own rank before that rank arrives and read by all after the
// round has opened (ordered by the arrivals gate); it is written again two rounds later (see the
// module docs). Only `loan` dereferences the pointer in a call, and documents why this is sound.
unsafe impl Sync for RankSlot {}
// SAFETY: as above; a slot owns nothing that is bound to a thread.
unsafe impl Send for RankSlot {}

impl RankSlot {
    fn new() -> Self {
        let offer = || {
            CachePadded::new(Offer {
                call: UnsafeCell::new(Call::new::<()>(Operation::Barrier, 0)),
                payload: UnsafeCell::new([0; CROWDED_PAYLOAD_BYTES / 8]),
            })
        };
        Self { announced: CachePadded::new(AtomicU64::new(0)), offers: [offer(), offer()] }
    }

    /// True from just before the rank is counted in round `round`.
    fn is_announced(&self, round: u64) -> bool {
        self.announced.load(Ordering::Relaxed) > round
    }
}

/// The state shared by all ranks of a world.
///
/// Two gates count in step with the rounds: a round opens when all ranks have arrived, and its
/// memory is free again when all have departed. The flag of `arrivals` means that the world failed;
/// it is only set under the lock of `cause`, so whoever sees it finds a cause there. The flag of
/// `departures` means that a panic broke the round that is departing.
#[derive(Debug)]
pub(super) struct WorldState {
    arrivals: Gate,
    departures: Gate,
    /// The first reason why the world failed; never replaced.
    cause: Mutex<Option<CollectiveError>>,
    /// One for each rank.
    slots: Box<[RankSlot]>,
    /// True if there are more ranks than cores; for a group, in the world that it was split from.
    is_crowded: bool,
}

impl WorldState {
    pub(super) fn new(size: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::with_crowding(size, size > cores)
    }

    /// Creates the state of a group of ranks of this world.
    pub(super) fn of_group(&self, size: usize) -> Self {
        Self::with_crowding(size, self.is_crowded)
    }

    fn with_crowding(size: usize, is_crowded: bool) -> Self {
        Self {
            arrivals: Gate::new(),
            departures: Gate::new(),
            cause: Mutex::new(None),
            slots: (0..size).map(|_| RankSlot::new()).collect(),
            is_crowded,
        }
    }

    #[inline]
    pub(super) fn size(&self) -> usize {
        self.slots.len()
    }

    /// Ends the world, unless it has ended already.
    pub(super) fn fail(&self, reason: CollectiveError) {
        let mut cause = self.cause.lock();
        if cause.is_none() {
            *cause = Some(reason);
            self.arrivals.flag();
        }
    }

    /// Returns the reason why the world failed.
    ///
    /// # Panics
    /// If the world has not failed.
    #[cold]
    pub(super) fn cause(&self) -> CollectiveError {
        self.failure().expect("the flag is set only after a cause was stored")
    }

    /// Returns the reason why the world failed, if it has.
    pub(super) fn failure(&self) -> Option<CollectiveError> {
        self.cause.lock().clone()
    }

    /// Waits until round `round` (from 0) opens.
    fn wait_for_opening(
        &self,
        round: u64,
        polls: &mut Polls,
        timeout: Option<Duration>,
    ) -> Result<(), CollectiveError> {
        let target = (round + 1) * self.size() as u64;
        match self.arrivals.wait(target, polls, timeout) {
            WaitResult::Reached => Ok(()),
            WaitResult::Flagged => Err(self.cause()),
            WaitResult::TimedOut(waited) => self.give_up(round, target, waited),
        }
    }

    /// Ends the world because of missing ranks, unless the round has opened or the world has failed
    /// in the meantime.
    ///
    /// A rank announces itself before it is counted, so ranks that are not announced are certainly
    /// missing. If all are announced but not all counted, the last one is between the two and about
    /// to open the round.
    #[cold]
    fn give_up(&self, round: u64, target: u64, waited: Duration) -> Result<(), CollectiveError> {
        loop {
            let mut cause = self.cause.lock();
            let seen = self.arrivals.look();
            if seen.has_reached(target) {
                return Ok(());
            }
            if let Some(cause) = &*cause {
                return Err(cause.clone());
            }
            let missing = self.missing(round);
            if !missing.is_empty() && self.arrivals.flag_unless_changed(seen) {
                return Err(cause.insert(CollectiveError::TimedOut { waited, missing }).clone());
            }
            drop(cause);
            yield_now();
        }
    }

    fn missing(&self, round: u64) -> Vec<usize> {
        (0..self.size()).filter(|&rank| !self.slots[rank].is_announced(round)).collect()
    }
}

/// The place of one rank in its world: the state shared by all ranks, and the progress of this one.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) state: Arc<WorldState>,
    pub(super) rank: usize,
    pub(super) timeout: Option<Duration>,
    polls: Polls,
    /// The number of opened rounds in which this rank took part.
    rounds: u64,
    /// The number of these that ended with a departure; the same on all ranks.
    departures: u64,
}

impl Seat {
    pub(super) fn new(state: Arc<WorldState>, rank: usize, timeout: Option<Duration>) -> Self {
        let polls = Polls::new(state.is_crowded);
        Self { state, rank, timeout, polls, rounds: 0, departures: 0 }
    }

    fn slot(&self) -> &RankSlot {
        &self.state.slots[self.rank]
    }

    fn offer(&self) -> &Offer {
        &self.slot().offers[(self.rounds % 2) as usize]
    }

    /// Returns whether `values` are sent as part of the arrival; the same on all ranks that pass
    /// values of the same type and length.
    pub(super) fn fits_payload<T>(&self, values: &[T]) -> bool {
        let most = if self.state.is_crowded { CROWDED_PAYLOAD_BYTES } else { PAYLOAD_BYTES };
        size_of_val(values) <= most && align_of::<T>() <= align_of::<u64>()
    }
}

/// An open round in which all ranks made the same call. It borrows the rank's seat, so that the
/// rank cannot arrive in another round, and so overwrite its slot, while this one is in use.
#[derive(Debug)]
pub(super) struct Round<'c> {
    seat: &'c mut Seat,
    /// 0 in even rounds, 1 in odd ones.
    parity: usize,
}

/// Arrives with `call`, waits for the other ranks and compares the calls.
pub(super) fn arrive(seat: &mut Seat, call: Call) -> Result<Round<'_>, CollectiveError> {
    seat.offer().call.with_mut(|slot| {
        // SAFETY: only this rank writes its offer, and no rank reads it any more (see the module
        // docs).
        unsafe { slot.write(call) }
    });
    meet(seat)
}

/// Same as [`arrive`], with a copy of `values`, which must [fit](Seat::fits_payload).
pub(super) fn arrive_with_payload<'c, T: Copy + Send + Sync + 'static>(
    seat: &'c mut Seat,
    operation: Operation,
    values: &[T],
) -> Result<Round<'c>, CollectiveError> {
    assert!(seat.fits_payload(values), "{} elements do not fit into a slot", values.len());
    seat.offer().payload.with_mut(|payload| {
        // SAFETY: as in `arrive`; the values fit and their alignment is at most that of a u64, as
        // asserted above.
        unsafe { payload.cast::<T>().copy_from_nonoverlapping(values.as_ptr(), values.len()) }
    });
    arrive(seat, Call { has_payload: true, ..Call::new::<T>(operation, values.len()) })
}

fn meet(seat: &mut Seat) -> Result<Round<'_>, CollectiveError> {
    let (round, size) = (seat.rounds, seat.state.size() as u64);
    seat.slot().announced.store(round + 1, Ordering::Relaxed);
    let state = &*seat.state;
    state.arrivals.arrive(round * size, (round + 1) * size).map_err(|_| state.cause())?;
    state.wait_for_opening(round, &mut seat.polls, seat.timeout)?;
    seat.rounds += 1;
    let round = Round { seat, parity: (round % 2) as usize };
    round.compare()?;
    Ok(round)
}

impl Round<'_> {
    #[inline]
    pub(super) fn rank(&self) -> usize {
        self.seat.rank
    }

    #[inline]
    pub(super) fn world_size(&self) -> usize {
        self.seat.state.size()
    }

    /// Returns the call that `rank` published on arrival.
    #[inline]
    pub(super) fn call(&self, rank: usize) -> Call {
        self.seat.state.slots[rank].offers[self.parity].call.with(|call| {
            // SAFETY: the round is open, so `rank` wrote this before it arrived, and it does not
            // write here again until this rank has arrived in the next round, which this borrow of
            // the seat prevents.
            unsafe { *call }
        })
    }

    /// Returns the values that `rank` passed to [`arrive_with_payload`].
    ///
    /// # Panics
    /// If it passed no values, or elements of another type.
    pub(super) fn payload<T: Copy + Send + Sync + 'static>(&self, rank: usize) -> &[T] {
        let call = self.call(rank);
        assert!(call.has_payload && call.element == TypeId::of::<T>(), "{} has no payload", call.operation);
        self.seat.state.slots[rank].offers[self.parity].payload.with(|payload| {
            // SAFETY: as in `call`; `rank` wrote `len` elements of type T before it arrived.
            unsafe { std::slice::from_raw_parts(payload.cast::<T>(), call.len) }
        })
    }

    fn compare(&self) -> Result<(), CollectiveError> {
        let first = self.call(0);
        for rank in 1..self.world_size() {
            if let Some(difference) = first.difference_to(&self.call(rank)) {
                return Err(CollectiveError::Mismatch { rank, difference: difference.to_string() });
            }
        }
        Ok(())
    }

    /// Runs `work`, then waits until the work of all ranks has ended. Must follow every arrival
    /// that lends memory, unless all ranks return early.
    ///
    /// If the work of any rank panics, the world ends, the panic is resumed on that rank and the
    /// others get the error.
    pub(super) fn work<R>(self, work: impl FnOnce(&Self) -> R) -> Result<R, CollectiveError> {
        let outcome = catch_unwind(AssertUnwindSafe(|| work(&self)));
        let state = &*self.seat.state;
        if outcome.is_err() {
            state.fail(CollectiveError::Panicked { rank: self.rank() });
            state.departures.flag();
        }
        let target = (self.seat.departures + 1) * self.world_size() as u64;
        state.departures.depart(target);
        // Only a panic of this round or an earlier one is visible here: the next round opens only
        // once this rank arrives.
        let broken = state.departures.wait_despite_flag(target, &mut self.seat.polls).is_flagged();
        self.seat.departures += 1;
        match outcome {
            Err(panic) => resume_unwind(panic),
            Ok(_) if broken => Err(self.seat.state.cause()),
            Ok(result) => Ok(result),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_takes_one_cache_line() {
        assert_eq!(size_of::<Call>(), 64);
    }
}
