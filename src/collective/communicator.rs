//! The communicator: a rank's handle.

use super::loan::{Loan, Peers};
use super::round::{self, Call};
use super::state::State;
use super::sync::Arc;
use super::{AbortHandle, CollectiveError, Operation};
use std::time::Duration;

/// The handle of one rank, through which it meets the others.
///
/// Every method that takes `&mut self` is collective: all ranks must call the same methods in the same order, each rank
/// from wherever it runs (a thread, a task of a pool that has a thread for every rank). One thread cannot hold the
/// calls of two ranks, as the first would wait for the second.
///
/// A communicator can move between threads but not be cloned, as a rank can be in one round only:
/// ```compile_fail
/// # use phalanx::collective::World;
/// let rank = World::new(1)?.communicators().remove(0);
/// let twin = rank.clone(); // must not compile
/// # Ok::<(), phalanx::collective::CollectiveError>(())
/// ```
///
/// # Dropping
/// A rank that drops its communicator leaves. Ranks that wait for it, or call later, get
/// [`Left`](CollectiveError::Left), or [`Panicked`](CollectiveError::Panicked) if it was dropped by a panic's unwinding.
///
/// # Errors
/// Every collective method fails with [`Panicked`](CollectiveError::Panicked), [`Left`](CollectiveError::Left),
/// [`TimedOut`](CollectiveError::TimedOut) or [`Aborted`](CollectiveError::Aborted) once the world has ended, always with
/// the first cause and without waiting; and with [`Mismatch`](CollectiveError::Mismatch), on every rank, if the ranks
/// made different calls. The methods' own lists add to these.
///
/// # Cost
/// No method allocates. Every method waits for all ranks to arrive; those that lend memory wait for all to depart too.
#[derive(Debug)]
pub struct Communicator {
    pub(super) state: Arc<State>,
    rank: usize,
    /// How many rounds opened with this rank.
    pub(super) rounds: u64,
    /// How many of them ended in a departure; the same on all ranks.
    pub(super) departures: u64,
    pub(super) timeout: Option<Duration>,
}

impl Drop for Communicator {
    fn drop(&mut self) {
        let rank = self.rank;
        let panicking = std::thread::panicking();
        self.state.fail(if panicking {
            CollectiveError::Panicked { rank }
        } else {
            CollectiveError::Left { rank }
        });
    }
}

impl Communicator {
    pub(super) fn new(state: Arc<State>, rank: usize, timeout: Option<Duration>) -> Self {
        Self { state, rank, rounds: 0, departures: 0, timeout }
    }

    /// Returns this rank, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Returns the number of ranks.
    pub fn world_size(&self) -> usize {
        self.state.size()
    }

    /// Sets how long this rank waits for others to arrive in each later call; `None` is without limit.
    ///
    /// When the time is over the world ends with [`TimedOut`](CollectiveError::TimedOut), which names the missing ranks,
    /// on every rank. The first rank whose time is over decides. Departures have no timeout.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout;
    }

    /// Returns a handle with which any thread can end this world.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle { state: Arc::clone(&self.state) }
    }

    /// Waits until all ranks have called it.
    ///
    /// What a rank wrote before it is visible to every rank after it.
    ///
    /// # Errors
    /// Those of [every collective method](Self#errors).
    pub fn barrier(&mut self) -> Result<(), CollectiveError> {
        round::arrive(self, Call::new::<()>(Operation::Barrier, 0)).map(drop)
    }

    /// Copies the root's values to every rank.
    ///
    /// # Errors
    /// [`RootOutOfRange`](CollectiveError::RootOutOfRange), and those of [every collective method](Self#errors).
    ///
    /// # Cost
    /// Each other rank reads and writes `len` elements.
    pub fn broadcast<T: Copy + Send + Sync + 'static>(
        &mut self,
        values: &mut [T],
        root: usize,
    ) -> Result<(), CollectiveError> {
        let call = Call::new::<T>(Operation::Broadcast, values.len()).on_subject(root);
        let loan = Loan::of_slice(self, call, values)?;
        let world_size = loan.world_size();
        if root >= world_size {
            return Err(CollectiveError::RootOutOfRange { root, world_size });
        }
        loan.copy_from(root)
    }

    /// Copies every rank's own [`segment`](super::segment()) of its values to all ranks.
    ///
    /// # Errors
    /// Those of [every collective method](Self#errors).
    ///
    /// # Cost
    /// Each rank reads and writes `len·(n−1)/n` elements.
    ///
    /// # Examples
    /// ```
    /// # use phalanx::collective::World;
    /// std::thread::scope(|scope| {
    ///     for mut rank in World::new(2).unwrap().communicators() {
    ///         scope.spawn(move || {
    ///             let mut values = [rank.rank(); 3];
    ///             rank.all_gather(&mut values).unwrap();
    ///             assert_eq!(values, [0, 0, 1]);
    ///         });
    ///     }
    /// });
    /// ```
    pub fn all_gather<T: Copy + Send + Sync + 'static>(
        &mut self,
        values: &mut [T],
    ) -> Result<(), CollectiveError> {
        let call = Call::new::<T>(Operation::AllGather, values.len());
        Loan::of_slice(self, call, values)?.gather_segments()
    }

    /// Lends `own` to all ranks and runs `work`, which sees everyone's value; nothing is copied.
    ///
    /// The loan ends when the work of all ranks has ended, which is what this call waits for. `work` must not wait for
    /// another rank in any way of its own.
    ///
    /// # Errors
    /// Those of [every collective method](Self#errors). If the work of any rank panics, every rank's call fails, also
    /// where `work` came to its end.
    ///
    /// # Panics
    /// If `work` does: the panic goes on once all ranks have departed.
    ///
    /// # Examples
    /// ```
    /// # use phalanx::collective::World;
    /// std::thread::scope(|scope| {
    ///     for mut rank in World::new(3).unwrap().communicators() {
    ///         scope.spawn(move || {
    ///             let own = vec![rank.rank(); 2];
    ///             let total: usize = rank.lend(&own, |peers| peers.iter().flatten().sum()).unwrap();
    ///             assert_eq!(total, 6);
    ///         });
    ///     }
    /// });
    /// ```
    pub fn lend<X: Sync + 'static, R>(
        &mut self,
        own: &X,
        work: impl FnOnce(Peers<'_, X>) -> R,
    ) -> Result<R, CollectiveError> {
        Loan::of_value(self, Call::new::<X>(Operation::Lend, 1), own)?.work(work)
    }
}
