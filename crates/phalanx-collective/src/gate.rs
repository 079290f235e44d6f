//! The gate: an increasing count, a flag and a bit for sleeping ranks in one atomic word, and the
//! code with which ranks wait for it.
//!
//! # Memory ordering
//!
//! [`Gate::arrive`] and [`Gate::depart`] are read-modify-write operations with `AcqRel` on the same
//! word, so they form a single release sequence: a rank that reads, with `Acquire`, a count of `c`
//! sees everything that the `c` counted ranks wrote before they were counted. Sleeping needs no
//! fence between two words either, because the bit that announces a sleeper is in the word that
//! wakers modify: a waker either sees the bit and wakes the sleeper, or it modified the word before
//! the sleeper set the bit, and then the sleeper's compare-and-swap fails and it reads the word
//! again.

use super::sync::{AtomicU64, Condvar, Instant, MOST_POLLS, Mutex, MutexGuard, Ordering, spin_loop};
use crossbeam_utils::CachePadded;
use std::time::Duration;

/// For arrivals: the world failed and no rank can arrive any more. For departures: a rank panicked
/// in its work.
const FLAG: u64 = 1;
/// At least one rank sleeps, or is about to, until the count is reached.
const SLEEPERS: u64 = 2;
/// One counted rank. The count uses the bits from here up and never overflows in practice: 2^62 at
/// 1 ns each takes 146 years.
const ONE: u64 = 4;

/// The result of a wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WaitResult {
    /// The count was reached.
    Reached,
    /// The flag was set before the count was reached.
    Flagged,
    /// Neither happened within this time.
    TimedOut(Duration),
}

/// A value of the gate's word that was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct GateState(u64);

impl GateState {
    pub(super) fn has_reached(self, target: u64) -> bool {
        self.0 / ONE >= target
    }

    pub(super) fn is_flagged(self) -> bool {
        self.0 & FLAG != 0
    }

    /// Checks the count first and the flag second: a round that opened is never reported as failed
    /// because of an event right after it.
    fn judge(self, target: u64) -> Option<WaitResult> {
        if self.has_reached(target) {
            Some(WaitResult::Reached)
        } else if self.is_flagged() {
            Some(WaitResult::Flagged)
        } else {
            None
        }
    }
}

/// See the module docs.
#[derive(Debug)]
pub(super) struct Gate {
    /// Bit 0: [`FLAG`]; bit 1: [`SLEEPERS`]; bits 2..64: the count.
    word: CachePadded<AtomicU64>,
    /// Held from announcing a sleeper until it sleeps; contains no data, as the word is the state.
    sleep_lock: Mutex<()>,
    woken: Condvar,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self { word: CachePadded::new(AtomicU64::new(0)), sleep_lock: Mutex::new(()), woken: Condvar::new() }
    }

    pub(super) fn look(&self) -> GateState {
        GateState(self.word.load(Ordering::Acquire))
    }

    /// Counts one rank towards `target` and, if it is the last, wakes the others; fails once the
    /// flag is set.
    ///
    /// `first` is the count if no other rank arrived first. Guessing it instead of loading it
    /// requests the cache line once (to write) rather than twice (to read, then to write).
    pub(super) fn arrive(&self, first: u64, target: u64) -> Result<(), GateState> {
        let mut seen = first * ONE;
        loop {
            if seen & FLAG != 0 {
                return Err(GateState(seen));
            }
            let is_last = seen / ONE + 1 == target;
            let next = if is_last { (seen + ONE) & !SLEEPERS } else { seen + ONE };
            match self.word.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    if is_last && seen & SLEEPERS != 0 {
                        self.wake();
                    }
                    return Ok(());
                }
                Err(found) => seen = found,
            }
        }
    }

    /// Counts one rank towards `target` even if the flag is set and, if it is the last, wakes the
    /// others.
    pub(super) fn depart(&self, target: u64) {
        let seen = self.word.fetch_add(ONE, Ordering::AcqRel);
        if seen / ONE + 1 == target && seen & SLEEPERS != 0 {
            self.word.fetch_and(!SLEEPERS, Ordering::AcqRel);
            self.wake();
        }
    }

    /// Sets the flag and wakes all waiting ranks.
    pub(super) fn flag(&self) {
        if self.word.fetch_or(FLAG, Ordering::AcqRel) & SLEEPERS != 0 {
            self.wake();
        }
    }

    /// Sets the flag and wakes all waiting ranks, if nothing has changed since `seen`.
    pub(super) fn flag_unless_changed(&self, seen: GateState) -> bool {
        let next = seen.0 | FLAG;
        let done = self.word.compare_exchange(seen.0, next, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if done && seen.0 & SLEEPERS != 0 {
            self.wake();
        }
        done
    }

    /// Waits until `target` ranks are counted, the flag is set, or `timeout` has passed since
    /// spinning ended.
    ///
    /// The clock starts after spinning, which takes about 20 µs at most, because reading it costs
    /// as much as a short round.
    pub(super) fn wait(&self, target: u64, polls: &mut Polls, timeout: Option<Duration>) -> WaitResult {
        self.wait_for(polls, timeout, |state| state.judge(target))
    }

    /// Waits until `target` ranks are counted, even if the flag is set, and returns the value read
    /// then.
    pub(super) fn wait_despite_flag(&self, target: u64, polls: &mut Polls) -> GateState {
        let reached = |state: GateState| state.has_reached(target).then_some(WaitResult::Reached);
        self.wait_for(polls, None, reached);
        self.look()
    }

    fn wait_for(
        &self,
        polls: &mut Polls,
        timeout: Option<Duration>,
        judge: impl Fn(GateState) -> Option<WaitResult>,
    ) -> WaitResult {
        for poll in 0..polls.count() {
            if let Some(outcome) = judge(self.look()) {
                if poll > 0 {
                    polls.were_enough();
                }
                return outcome;
            }
            spin_loop();
        }
        polls.were_too_few();
        self.sleep(timeout.map(|timeout| (Instant::now(), timeout)), judge)
    }

    fn sleep(
        &self,
        clock: Option<(Instant, Duration)>,
        judge: impl Fn(GateState) -> Option<WaitResult>,
    ) -> WaitResult {
        let mut lock = self.sleep_lock.lock();
        loop {
            let seen = self.look();
            if let Some(outcome) = judge(seen).or_else(|| overdue(clock)) {
                return outcome;
            }
            if self.announce(seen) {
                self.park(&mut lock, clock);
            }
        }
    }

    /// Sets the sleepers' bit if nothing has changed since `seen`.
    fn announce(&self, seen: GateState) -> bool {
        seen.0 & SLEEPERS != 0
            || self
                .word
                .compare_exchange(seen.0, seen.0 | SLEEPERS, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }

    fn park(&self, lock: &mut MutexGuard<'_, ()>, clock: Option<(Instant, Duration)>) {
        match clock.and_then(|(start, timeout)| start.checked_add(timeout)) {
            Some(deadline) => drop(self.woken.wait_until(lock, deadline)),
            None => self.woken.wait(lock),
        }
    }

    /// Taking the lock waits for sleepers that are announced but not yet asleep.
    #[cold]
    fn wake(&self) {
        drop(self.sleep_lock.lock());
        self.woken.notify_all();
    }
}

/// The number of times that a rank polls a gate before it sleeps, with a pause of about 20 ns in
/// between; chosen anew for each wait.
///
/// A polling rank responds fastest, but occupies its core. If the rank that it waits for needs that
/// core, because other programs run on the others, polling only delays both, and each wait ends
/// asleep. So after [`FUTILE`](Self::FUTILE) such waits in a row, a rank polls briefly; every
/// [`PROBE`](Self::PROBE)th wait it tries again whether polling is enough. With more ranks than
/// cores, a rank polls only once.
///
/// One f32 between two ranks took 0.33 µs with 1000 polls and 20 µs with 20 on two free cores (Zen
/// 4), and 31 µs and 5 µs with two other programs on them. With four ranks, 1000 polls took 1.4
/// times as long as none without other programs, and 10 times as long with them. A number that fell
/// by a quarter with each wait that ended asleep, and doubled otherwise, made training on small
/// batches 1.1 to 1.8 times as slow on free cores: waits of some microseconds, too long for the
/// number once it is low, then end asleep for good.
///
/// Ranks do not yield their core (`yield_now`) either: if other programs want the core, Linux runs
/// each of them for milliseconds first, whereas a rank that was asleep is scheduled at once. With 8
/// busy programs on the same 2 cores, training on the digits with two threads took 4.5 s with 200
/// polls and 200 yields, and 0.3 s with 1000 polls; without other programs, the times were equal
/// within the noise.
#[derive(Debug)]
pub(super) struct Polls {
    most: u32,
    /// The number of waits that ended asleep since polling was last enough.
    futile: u32,
}

impl Polls {
    /// 16 waits of 20 µs are short compared with the milliseconds for which a core is taken away.
    const FUTILE: u32 = 16;
    /// The polls of one wait in 32 cost less than a microsecond per wait.
    const PROBE: u32 = 32;
    /// Less than half a microsecond.
    const FEW: u32 = 20;

    /// `is_crowded` is true if there are more ranks than cores.
    pub(super) fn new(is_crowded: bool) -> Self {
        Self { most: if is_crowded { MOST_POLLS.min(1) } else { MOST_POLLS }, futile: 0 }
    }

    fn count(&self) -> u32 {
        let is_worthwhile = self.futile < Self::FUTILE || self.futile.is_multiple_of(Self::PROBE);
        if is_worthwhile { self.most } else { self.most.min(Self::FEW) }
    }

    /// Polling was enough, so the other ranks ran at the same time.
    fn were_enough(&mut self) {
        self.futile = 0;
    }

    fn were_too_few(&mut self) {
        self.futile = self.futile.wrapping_add(1);
    }
}

fn overdue(clock: Option<(Instant, Duration)>) -> Option<WaitResult> {
    let (start, timeout) = clock?;
    let waited = start.elapsed();
    (waited >= timeout).then_some(WaitResult::TimedOut(waited))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_polls() -> Polls {
        Polls { most: 0, futile: 0 }
    }

    #[test]
    fn a_reached_count_takes_precedence_over_a_later_flag() {
        let gate = Gate::new();
        gate.arrive(0, 1).unwrap();
        gate.flag();
        assert_eq!(gate.wait(1, &mut no_polls(), None), WaitResult::Reached);
        assert_eq!(gate.wait(2, &mut no_polls(), None), WaitResult::Flagged);
    }

    #[test]
    fn arrivals_fail_once_the_flag_is_set() {
        let gate = Gate::new();
        gate.flag();
        assert!(gate.arrive(0, 1).unwrap_err().is_flagged());
        assert!(!gate.look().has_reached(1));
    }

    #[test]
    fn the_flag_is_not_set_if_a_rank_has_arrived_since() {
        let gate = Gate::new();
        let seen = gate.look();
        gate.arrive(0, 2).unwrap();
        assert!(!gate.flag_unless_changed(seen));
        assert!(gate.flag_unless_changed(gate.look()));
    }

    #[test]
    fn a_sleeper_is_woken_by_the_last_arrival() {
        let gate = Gate::new();
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| gate.wait(2, &mut no_polls(), None));
            gate.arrive(0, 2).unwrap();
            while gate.look().0 & SLEEPERS == 0 {
                std::thread::yield_now();
            }
            gate.arrive(1, 2).unwrap();
            assert_eq!(sleeper.join().unwrap(), WaitResult::Reached);
        });
    }

    #[test]
    fn departures_are_counted_even_if_the_flag_is_set() {
        let gate = Gate::new();
        gate.flag();
        gate.depart(2);
        gate.depart(2);
        assert!(gate.wait_despite_flag(2, &mut no_polls()).is_flagged());
    }

    #[test]
    fn ranks_that_outnumber_the_cores_poll_once() {
        assert_eq!(Polls::new(true).count(), 1);
    }

    #[test]
    fn a_rank_whose_polls_are_futile_polls_briefly_until_a_probe_is_enough() {
        let mut polls = Polls::new(false);
        let counts: Vec<u32> = (0..97)
            .map(|_| {
                let count = polls.count();
                polls.were_too_few();
                count
            })
            .collect();
        assert!(counts[..16].iter().all(|count| *count == 1000), "{counts:?}");
        let probes: Vec<usize> = (16..97).filter(|wait| counts[*wait] == 1000).collect();
        assert_eq!(probes, [32, 64, 96]);
        assert_eq!(counts.iter().filter(|count| **count == 20).count(), 97 - 16 - 3);
        polls.were_enough();
        assert_eq!(polls.count(), 1000);
    }

    #[test]
    fn a_wait_that_ends_at_the_first_look_tells_nothing_about_the_other_ranks() {
        let (gate, mut polls) = (Gate::new(), Polls { most: 1000, futile: 40 });
        gate.arrive(0, 1).unwrap();
        assert_eq!(gate.wait(1, &mut polls, None), WaitResult::Reached);
        assert_eq!(polls.futile, 40);
    }

    #[test]
    fn a_wait_never_ends_before_its_timeout() {
        let timeout = Duration::from_millis(5);
        let WaitResult::TimedOut(waited) = Gate::new().wait(1, &mut no_polls(), Some(timeout)) else {
            panic!("no rank arrived, so the wait must time out")
        };
        assert!(waited >= timeout);
    }
}
