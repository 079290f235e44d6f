//! The world, its ranks' communicators with all their operations, and the session of a task that borrows one.

use super::arithmetic::{Element, Float, Fold, Mean, Op, OperatorFold, WeightedMean, With, reduce_slices};
use super::error::{CollectiveError, Operation};
use super::loan::{Loan, Peers};
use super::round::{self, Call, PAYLOAD_BYTES, Round, Seat, WorldState, fits_payload};
use super::sync::Arc;
use super::tree::{fold_ranks, segment};
use std::fmt::Display;
use std::ops::{Deref, DerefMut, Range};
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

/// A group of ranks in one process, to be split into one [`Communicator`] for each.
///
/// Worlds know nothing of each other: any number of them may live in a process at once, also on the same threads.
///
/// # Examples
/// ```
/// use phalanx_collective::{Op, World};
///
/// let world = World::new(4)?;
/// std::thread::scope(|scope| {
///     for mut rank in world.communicators() {
///         scope.spawn(move || {
///             let mut values = [rank.rank() as f32, 1.0];
///             rank.all_reduce(&mut values, Op::Sum).unwrap();
///             assert_eq!(values, [6.0, 4.0]);
///         });
///     }
/// });
/// # Ok::<(), phalanx_collective::CollectiveError>(())
/// ```
#[derive(Debug)]
pub struct World {
    pub(super) state: Arc<WorldState>,
    timeout: Option<Duration>,
}

impl World {
    /// Creates a world of `size` ranks that wait for each other without limit of time.
    ///
    /// "Without limit" does not mean for ever: a rank that panics, leaves or aborts ends every wait. A timeout is for
    /// ranks that are alive and do not come.
    ///
    /// # Errors
    /// [`ZeroRanks`](CollectiveError::ZeroRanks).
    ///
    /// # Cost
    /// 384 bytes per rank.
    pub fn new(size: usize) -> Result<Self, CollectiveError> {
        if size == 0 {
            return Err(CollectiveError::ZeroRanks);
        }
        Ok(Self { state: Arc::new(WorldState::new(size)), timeout: None })
    }

    /// Creates a world of `size` ranks that wait for each other at most `timeout` in each call.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_timeout(size: usize, timeout: Duration) -> Result<Self, CollectiveError> {
        Ok(Self { timeout: Some(timeout), ..Self::new(size)? })
    }

    /// Returns the number of ranks.
    #[inline]
    pub fn size(&self) -> usize {
        self.state.size()
    }

    /// Returns a handle with which any thread can end this world.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle { state: Arc::clone(&self.state) }
    }

    /// Splits the world into its communicators, in rank order, each to be moved into the task that runs its rank.
    ///
    /// Communicators that are never taken from the iterator leave when it is dropped. Why it is an iterator, and what to do
    /// where a task has to borrow its communicator, is described [there](Communicator#dropping).
    pub fn communicators(self) -> impl ExactSizeIterator<Item = Communicator> {
        let ranks = 0..self.size();
        let communicators =
            ranks.map(|rank| Communicator { seat: Seat::new(Arc::clone(&self.state), rank, self.timeout) });
        // All at once: a rank without a communicator would be waited for without end.
        communicators.collect::<Vec<_>>().into_iter()
    }

    /// Creates a world of `size` ranks and runs it: short for [`World::new`] and [`run_ranks`](Self::run_ranks).
    ///
    /// # Errors
    /// [`ZeroRanks`](CollectiveError::ZeroRanks), and as [`run_ranks`](Self::run_ranks).
    ///
    /// # Panics
    /// As [`run_ranks`](Self::run_ranks).
    ///
    /// # Examples
    /// ```
    /// use phalanx_collective::{CollectiveError, Op, World};
    ///
    /// let sums = World::run(4, |rank| {
    ///     let mut values = [rank.rank() as f64];
    ///     rank.all_reduce(&mut values, Op::Sum)?;
    ///     Ok::<_, CollectiveError>(values[0])
    /// })?;
    /// assert_eq!(sums, [6.0; 4]);
    /// # Ok::<(), CollectiveError>(())
    /// ```
    pub fn run<R, E>(
        size: usize,
        work: impl Fn(&mut Communicator) -> Result<R, E> + Sync,
    ) -> Result<Vec<R>, E>
    where
        R: Send,
        E: From<CollectiveError> + Display + Send,
    {
        Self::new(size)?.run_ranks(work)
    }

    /// Runs `work` once per rank, each on a thread of its own, and returns the results in rank order once all threads
    /// have ended.
    ///
    /// A rank whose work returns early, with a result, an error or a panic, ends the world for the ranks that still wait
    /// for it. An error reaches them as [`Failed`](CollectiveError::Failed) with its text.
    ///
    /// # Errors
    /// The error of the rank that failed first, itself and not as the text that the others got. If the world ended for
    /// another cause ([`Left`](CollectiveError::Left), [`TimedOut`](CollectiveError::TimedOut),
    /// [`Aborted`](CollectiveError::Aborted)), the error of the first rank, in rank order, that returned one.
    /// [`Spawn`](CollectiveError::Spawn) if a thread cannot be started.
    ///
    /// # Panics
    /// If the work of a rank panics: the panic is resumed once all threads have ended, unless it only followed from the
    /// error of another rank, which is then returned.
    ///
    /// # Cost
    /// One thread per rank.
    ///
    /// # Examples
    /// ```
    /// use phalanx_collective::{CollectiveError, Shared, World};
    /// use std::error::Error;
    ///
    /// let world = World::new(3)?;
    /// let params = Shared::even(&world, vec![0.0; 6]);
    /// let error = world
    ///     .run_ranks(|rank| -> Result<(), Box<dyn Error + Send + Sync>> {
    ///         let rate: f64 = ["0.1", "0.1", "fast"][rank.rank()].parse()?;
    ///         rank.update(&params, &rate, |rates, own| own.fill(*rates.get(0)))?;
    ///         Ok(())
    ///     })
    ///     .unwrap_err();
    /// assert!(error.is::<std::num::ParseFloatError>()); // Of rank 2. The others got `Failed` with its text.
    /// # Ok::<(), CollectiveError>(())
    /// ```
    pub fn run_ranks<R, E>(self, work: impl Fn(&mut Communicator) -> Result<R, E> + Sync) -> Result<Vec<R>, E>
    where
        R: Send,
        E: From<CollectiveError> + Display + Send,
    {
        let state = Arc::clone(&self.state);
        let mut ranks: Vec<_> = self.communicators().collect();
        let (work, mut refused) = (&work, None);
        let ends: Vec<thread::Result<Result<R, E>>> = thread::scope(|scope| {
            let mut threads = Vec::with_capacity(ranks.len());
            for rank in &mut ranks {
                let number = rank.rank();
                // The thread borrows the communicator: one that does not start must not drop it, which would hide why.
                let task = move || {
                    let mut rank = rank.enter();
                    let end = work(&mut rank);
                    if let Err(error) = &end {
                        rank.fail(error.to_string());
                    }
                    end
                };
                match thread::Builder::new().spawn_scoped(scope, task) {
                    Ok(thread) => threads.push(thread),
                    Err(source) => {
                        let error = CollectiveError::Spawn { rank: number, reason: source.to_string() };
                        state.fail(error.clone());
                        refused = Some(error);
                        break;
                    }
                }
            }
            threads.into_iter().map(thread::ScopedJoinHandle::join).collect()
        });
        match refused {
            Some(error) => Err(error.into()),
            None => first_cause(ends, state.failure()),
        }
    }
}

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
/// [`World::run`] and a loop over [`World::communicators`] see to that.
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
    pub(super) seat: Seat,
}

impl Drop for Communicator {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Communicator {
    /// Ends the world, as this rank comes to no further call.
    fn leave(&self) {
        let rank = self.rank();
        self.seat.state.fail(if std::thread::panicking() {
            CollectiveError::Panicked { rank }
        } else {
            CollectiveError::Left { rank }
        });
    }

    /// Returns this rank, from 0.
    #[inline]
    pub fn rank(&self) -> usize {
        self.seat.rank
    }

    /// Returns the number of ranks.
    #[inline]
    pub fn world_size(&self) -> usize {
        self.seat.state.size()
    }

    /// Sets how long this rank waits for others to arrive in each later call; `None` is without limit.
    ///
    /// When the time is up, the world ends with [`TimedOut`](CollectiveError::TimedOut), which names the missing ranks,
    /// on every rank. The first rank whose time is up decides. Departures have no timeout.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.seat.timeout = timeout;
    }

    /// Returns a handle with which any thread can end this world.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle { state: Arc::clone(&self.seat.state) }
    }

    /// Starts a session, for a task that borrows this communicator: the end of the task then ends the world, unless the
    /// session is [finished](Session::finish) before.
    ///
    /// Enter before anything that can panic or return: until then the others do not learn that the task has ended.
    ///
    /// # Examples
    /// See [`Session`].
    #[must_use = "a session ends the world when it is dropped; keep it for as long as the task makes calls"]
    pub fn enter(&mut self) -> Session<'_> {
        Session { communicator: self }
    }

    /// Ends the world because this rank cannot continue: every other rank's call, and every later one, fails with
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
        self.seat.state.fail(CollectiveError::Failed { rank: self.rank(), reason: reason.into() });
        self.seat.state.cause()
    }

    /// Waits until all ranks have called it.
    ///
    /// Everything that a rank wrote before it is visible to every rank after it.
    ///
    /// # Errors
    /// Those of [every collective method](Self#errors).
    pub fn barrier(&mut self) -> Result<(), CollectiveError> {
        round::arrive(&mut self.seat, Call::new::<()>(Operation::Barrier, 0)).map(drop)
    }

    /// Replaces everyone's `values` by `op` over all ranks, element by element.
    ///
    /// The operands are combined in the fixed [`tree`](super::tree) over the ranks: the result has the same bits on
    /// every rank and in every run. NaN and infinities of any rank propagate as IEEE 754 prescribes.
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
            let round = round::arrive_with_payload(&mut self.seat, operation, values)?;
            return reduce_by(op, round.world_size(), FromPayload { round, first: 0, results: values });
        }
        let loan = Loan::of_slice(&mut self.seat, Call::new::<T>(operation, values.len()), values)?;
        reduce_by(op, loan.world_size(), ToAll(loan))
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
            let round = round::arrive_with_payload(&mut self.seat, operation, values)?;
            let (first, results) = (own.start, &mut values[own.clone()]);
            reduce_by(op, round.world_size(), FromPayload { round, first, results })?;
        } else {
            let loan = Loan::of_slice(&mut self.seat, Call::new::<T>(operation, values.len()), values)?;
            reduce_by(op, loan.world_size(), ToOwn(loan))?;
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
        let loan = Loan::of_slice(&mut self.seat, call, values)?;
        let total = total_weight(loan.world_size(), |rank| loan.round().call(rank).weight)?;
        loan.work_on_segments(|mut segments| {
            let round = segments.round();
            let fold = WeightedMean { weight: |rank| round.call(rank).weight, total };
            segments.reduce_to_all(&fold);
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
    /// If `combine` does: the panic is resumed once all ranks have departed.
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
        let loan = Loan::of_slice(&mut self.seat, call, values)?;
        loan.work_on_segments(|mut segments| segments.reduce_each_to_all(&With(combine)))
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
        let loan = Loan::of_slice(&mut self.seat, call, values)?;
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
        Loan::of_slice(&mut self.seat, call, values)?.gather_segments()
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
    /// If `work` does: the panic is resumed once all ranks have departed.
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
        Loan::of_value(&mut self.seat, Call::new::<X>(Operation::Lend, 1), own)?.work(work)
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
    /// meanwhile keep waiting.
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

/// Ends a world from any thread. Made for user interfaces, watchdogs and threads that watch for signals.
///
/// # Signal handlers
/// [`abort`](Self::abort) takes a lock and allocates, so it must not be called from a signal handler: one that interrupts
/// a thread which holds the lock, or is inside the allocator, waits for ever. Let the handler set a flag or write to a
/// pipe, and a thread that watches for that abort the world; the crate `signal-hook` has both.
///
/// # Examples
///
/// ```
/// use phalanx_collective::{AbortHandle, CollectiveError, Communicator, World};
///
/// let mut ranks = World::new(2)?.communicators();
/// let (_absent, mut waiting): (Communicator, Communicator) = (ranks.next().unwrap(), ranks.next().unwrap());
/// let handle: AbortHandle = waiting.abort_handle();
/// std::thread::scope(|scope| {
///     let waited = scope.spawn(move || waiting.barrier());
///     handle.abort("nobody else will come");
///     assert!(matches!(waited.join().unwrap(), Err(CollectiveError::Aborted { .. })));
/// });
/// # Ok::<(), CollectiveError>(())
/// ```
#[derive(Clone, Debug)]
pub struct AbortHandle {
    state: Arc<WorldState>,
}

impl AbortHandle {
    /// Wakes every rank that waits for others and makes its call, and every later one, fail with
    /// [`Aborted`](CollectiveError::Aborted).
    ///
    /// A round that has opened is finished first: ranks inside arithmetic are not interrupted. Does nothing to a world
    /// that has failed before.
    ///
    /// # Examples
    /// ```
    /// use phalanx_collective::{CollectiveError, World};
    ///
    /// let world = World::new(2)?;
    /// let handle = world.abort_handle();
    /// let mut ranks = world.communicators();
    /// handle.abort("the user pressed stop");
    /// let error = ranks.next().unwrap().barrier().unwrap_err();
    /// assert_eq!(error, CollectiveError::Aborted { reason: "the user pressed stop".into() });
    /// # Ok::<(), CollectiveError>(())
    /// ```
    pub fn abort(&self, reason: impl Into<String>) {
        self.state.fail(CollectiveError::Aborted { reason: reason.into() });
    }
}

/// Returns the results of all ranks in order, or the error or panic that the world ended for. `ended` is why it ended, which it
/// does in any case once a rank is done.
fn first_cause<R, E>(
    ends: Vec<thread::Result<Result<R, E>>>,
    ended: Option<CollectiveError>,
) -> Result<Vec<R>, E> {
    let first = match ended {
        Some(CollectiveError::Failed { rank, .. } | CollectiveError::Panicked { rank }) => Some(rank),
        _ => None,
    };
    let mut results = Vec::with_capacity(ends.len());
    let (mut first_error, mut first_panic) = (None, None);
    for (rank, end) in ends.into_iter().enumerate() {
        match end {
            Ok(Ok(result)) => results.push(result),
            Ok(Err(error)) if first == Some(rank) => return Err(error),
            Err(panic) if first == Some(rank) => resume_unwind(panic),
            Ok(Err(error)) => drop(first_error.get_or_insert(error)),
            Err(panic) => drop(first_panic.get_or_insert(panic)),
        }
    }
    if let Some(panic) = first_panic {
        resume_unwind(panic);
    }
    first_error.map_or(Ok(results), Err)
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

/// The operands of a reduction, for any arithmetic.
pub(super) trait Operands<T> {
    fn run(self, fold: &impl Fold<T>) -> Result<(), CollectiveError>;
}

/// Reduces the operands by `op`.
pub(super) fn reduce_by<T: Element>(
    op: Op,
    world_size: usize,
    operands: impl Operands<T>,
) -> Result<(), CollectiveError> {
    match op {
        Op::Sum => operands.run(&OperatorFold(T::add)),
        Op::Product => operands.run(&OperatorFold(T::multiply)),
        Op::Min => operands.run(&OperatorFold(T::lesser)),
        Op::Max => operands.run(&OperatorFold(T::greater)),
        Op::Mean if T::IS_INTEGER => {
            Err(CollectiveError::MeanOfIntegers { element: std::any::type_name::<T>() })
        }
        Op::Mean => operands.run(&Mean { world_size }),
    }
}

/// Everyone's segments, reduced for all.
struct ToAll<'c, T>(Loan<'c, &'c mut [T]>);

impl<T: Element> Operands<T> for ToAll<'_, T> {
    fn run(self, fold: &impl Fold<T>) -> Result<(), CollectiveError> {
        self.0.work_on_segments(|mut segments| segments.reduce_to_all(fold))
    }
}

/// Everyone's segments, reduced for their owners.
struct ToOwn<'c, T>(Loan<'c, &'c mut [T]>);

impl<T: Element> Operands<T> for ToOwn<'_, T> {
    fn run(self, fold: &impl Fold<T>) -> Result<(), CollectiveError> {
        self.0.work_on_segments(|mut segments| segments.reduce_to_own(fold))
    }
}

/// Elements of the smallest type, of 2 bytes, that a payload holds.
const PAYLOAD_BLOCK: usize = PAYLOAD_BYTES / 2;

/// Copies in the slots, which each rank reduces for itself: no memory is lent, so nobody need depart.
struct FromPayload<'c, 'v, T> {
    round: Round<'c>,
    /// The index of the first result among the elements brought.
    first: usize,
    results: &'v mut [T],
}

impl<T: Element> Operands<T> for FromPayload<'_, '_, T> {
    fn run(self, fold: &impl Fold<T>) -> Result<(), CollectiveError> {
        let Self { round, first, results } = self;
        let range = first..first + results.len();
        let leaves = |rank| &round.payload(rank)[range.clone()];
        reduce_slices::<T, _, PAYLOAD_BLOCK>(fold, round.world_size(), leaves, results);
        Ok(())
    }
}
