//! The communicator: a rank's handle. And the session, for a task that borrows one.

use super::loan::{Loan, Peers};
use super::round::{self, Call};
use super::state::State;
use super::sync::Arc;
use super::{AbortHandle, CollectiveError, Operation};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// The handle of one rank, through which it meets the others.
///
/// Every method that takes `&mut self` is collective: all ranks must call the same methods in the same order, each rank
/// from wherever it runs (a thread, a task of a pool that has a thread for every rank). One thread cannot hold the
/// calls of two ranks, as the first would wait for the second.
///
/// A communicator can move between threads but not be cloned, as a rank can be in one round only:
/// ```compile_fail
/// # use phalanx_collective::World;
/// let rank = World::new(1)?.communicators().next().unwrap();
/// let twin = rank.clone(); // must not compile
/// # Ok::<(), phalanx_collective::CollectiveError>(())
/// ```
///
/// # Dropping
/// A rank that drops its communicator leaves. Ranks that wait for it, or call later, get
/// [`Left`](CollectiveError::Left), or [`Panicked`](CollectiveError::Panicked) if it was dropped by a panic's unwinding.
/// So the task that runs a rank should own its communicator: however the task ends, the others learn of it.
/// [`World::run`](super::World::run) and a loop over [`World::communicators`](super::World::communicators) see to that.
///
/// A communicator that outlives its task, because the task borrows it, is not dropped when the task panics or returns
/// early. Such a task [enters](Self::enter) a [`Session`] first, which ends with the task.
///
/// `communicators` returns an iterator, not a vector, so that a loop cannot lend them by mistake. This does not compile:
/// ```compile_fail,E0596
/// # use phalanx_collective::World;
/// # use std::thread;
/// let mut ranks = World::new(2)?.communicators();
/// thread::scope(|s| {
///     for rank in &mut ranks {
///         s.spawn(move || {
///             assert_eq!(rank.rank(), 0); // rank 1 panics
///             rank.barrier() // error: cannot borrow `rank` as mutable
///         });
///     }
/// });
/// # Ok::<(), phalanx_collective::CollectiveError>(())
/// ```
/// With `mut rank`, as the compiler advises, each thread owns its communicator, and the panic reaches the other rank:
/// ```
/// # use phalanx_collective::{CollectiveError, World};
/// # use std::thread;
/// let mut ranks = World::new(2)?.communicators();
/// thread::scope(|s| {
///     let mut threads = Vec::new();
///     for mut rank in &mut ranks {
///         threads.push(s.spawn(move || {
///             assert_eq!(rank.rank(), 0); // rank 1 panics
///             rank.barrier()
///         }));
///     }
///     let ends: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
///     assert_eq!(*ends[0].as_ref().unwrap(), Err(CollectiveError::Panicked { rank: 1 }));
/// });
/// # Ok::<(), CollectiveError>(())
/// ```
///
/// # Thread pools
/// All ranks must run at the same time, so a pool needs a free thread for every rank.
///
/// - rayon: start the ranks with `broadcast`, which runs one task on every thread. With `spawn`, `scope` or a parallel iterator,
///   two ranks may come one after the other on one thread, and the first then waits for the second without end.
/// - rayon: before a rank's task uses a parallel iterator, `join`, `scope` or `install`, of this pool or of another, let it call
///   [`barrier`](Self::barrier). A thread that waits for a part of such work runs whatever else its pool has for it. If that is the
///   task of a rank that has not started, that rank waits, on the same stack, for the rank below it: a deadlock. After a barrier
///   all ranks have started. Measured in worlds of 8 ranks on 8 threads: ranks started by `scope` deadlocked in 11 of 84 worlds
///   with a parallel iterator of the same pool, in 12 of 12 with one of a second pool, and in none of 1463 after a barrier.
///   With `broadcast` it was none of 143,000 without a barrier, but rayon does not promise that.
/// - tokio: start the ranks with `spawn_blocking`, and allow as many blocking threads (`max_blocking_threads`) as there are
///   ranks. A collective call blocks its thread, so an `async` task must not make one.
///
/// # Errors
/// Every collective method fails with [`Panicked`](CollectiveError::Panicked), [`Left`](CollectiveError::Left),
/// [`Failed`](CollectiveError::Failed), [`TimedOut`](CollectiveError::TimedOut) or [`Aborted`](CollectiveError::Aborted)
/// once the world has ended, always with the first cause and without waiting; and with
/// [`Mismatch`](CollectiveError::Mismatch), on every rank, if the ranks made different calls. The methods' own lists add
/// to these. Methods that need no other rank ([`rank`](Self::rank), [`world_size`](Self::world_size),
/// [`set_timeout`](Self::set_timeout), [`abort_handle`](Self::abort_handle), [`fail`](Self::fail), [`enter`](Self::enter),
/// and those of [`Shared`](super::Shared) outside an update) work whoever has left.
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
        self.leave();
    }
}

impl Communicator {
    pub(super) fn new(state: Arc<State>, rank: usize, timeout: Option<Duration>) -> Self {
        Self { state, rank, rounds: 0, departures: 0, timeout }
    }

    /// Ends the world, as this rank comes to no further call.
    fn leave(&self) {
        let rank = self.rank;
        self.state.fail(if std::thread::panicking() {
            CollectiveError::Panicked { rank }
        } else {
            CollectiveError::Left { rank }
        });
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

    /// Starts a session, for a task that borrows this communicator: the end of the task then ends the world, unless the
    /// session is [finished](Session::finish) before.
    ///
    /// Enter before anything that can panic or return: until then nothing tells the others that the task has ended.
    ///
    /// # Examples
    /// See [`Session`].
    #[must_use = "a session ends the world when it is dropped; keep it for as long as the task makes calls"]
    pub fn enter(&mut self) -> Session<'_> {
        Session { communicator: self }
    }

    /// Ends the world because this rank cannot go on: every other rank's call, and every later one, fails with
    /// [`Failed`](CollectiveError::Failed), which holds the reason. Returns the cause that the world has ended for, which
    /// is another one if the world had ended before.
    ///
    /// A round that has opened is finished first.
    ///
    /// # Examples
    /// ```
    /// use phalanx_collective::{CollectiveError, World};
    ///
    /// let mut ranks = World::new(2)?.communicators();
    /// let (mut waiting, failing) = (ranks.next().unwrap(), ranks.next().unwrap());
    /// std::thread::scope(|scope| {
    ///     let waited = scope.spawn(move || waiting.barrier());
    ///     let cause = failing.fail("cannot read shard-1.csv: permission denied");
    ///     assert_eq!(cause.to_string(), "rank 1 failed: cannot read shard-1.csv: permission denied");
    ///     assert_eq!(waited.join().unwrap(), Err(cause));
    /// });
    /// # Ok::<(), CollectiveError>(())
    /// ```
    pub fn fail(&self, reason: impl Into<String>) -> CollectiveError {
        self.state.fail(CollectiveError::Failed { rank: self.rank, reason: reason.into() });
        self.state.cause()
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
    /// # use phalanx_collective::World;
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
    /// # use phalanx_collective::World;
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

/// A task's use of a [`Communicator`] that it borrows, begun with [`Communicator::enter`]. It is used like the
/// communicator itself.
///
/// # Dropping
/// As with the communicator: a session that is dropped ends the world, with [`Panicked`](CollectiveError::Panicked) if a
/// panic drops it and [`Left`](CollectiveError::Left) otherwise. To use the communicator in a later task,
/// [`finish`](Self::finish) the session.
///
/// # Examples
/// ```
/// use phalanx_collective::{Communicator, Op, World};
/// use std::thread;
///
/// let mut ranks: Vec<Communicator> = World::new(3)?.communicators().collect();
/// for phase in 0..2 {
///     thread::scope(|scope| {
///         for rank in &mut ranks {
///             scope.spawn(move || {
///                 let mut rank = rank.enter();
///                 let mut values = [rank.rank() as u64 + phase];
///                 rank.all_reduce(&mut values, Op::Max).unwrap();
///                 assert_eq!(values, [2 + phase]);
///                 rank.finish(); // The communicator is used again in the next phase.
///             });
///         }
///     });
/// }
/// # Ok::<(), phalanx_collective::CollectiveError>(())
/// ```
#[derive(Debug)]
pub struct Session<'c> {
    communicator: &'c mut Communicator,
}

impl Session<'_> {
    /// Ends the session and leaves the world as it is: the communicator will be used again. Ranks that wait for it
    /// meanwhile go on waiting.
    pub fn finish(self) {
        std::mem::forget(self);
    }
}

impl Deref for Session<'_> {
    type Target = Communicator;

    fn deref(&self) -> &Communicator {
        self.communicator
    }
}

impl DerefMut for Session<'_> {
    fn deref_mut(&mut self) -> &mut Communicator {
        self.communicator
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.communicator.leave();
    }
}
