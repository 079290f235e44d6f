//! The world, the communicators of its ranks with all their operations, and the session of a task
//! that borrows a communicator.

use super::arithmetic::{Element, Float, Fold, Mean, Op, OperatorFold, WeightedMean, With, reduce_slices};
use super::error::{CollectiveError, Operation};
use super::loan::{Loan, Peers};
use super::round::{self, Call, Round, Seat, WorldState};
use super::sync::Arc;
use super::tree::{fold_ranks, segment};
use std::fmt::Display;
use std::ops::{Deref, DerefMut, Range};
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

/// A group of ranks in one process, which is split into one [`Communicator`] per rank.
///
/// Worlds are independent of each other: any number of them can exist in a process at once, even on
/// the same threads.
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
    /// Creates a world of `size` ranks that wait for each other without a time limit.
    ///
    /// A wait without a time limit still ends if a rank panics, leaves or aborts. A timeout is for
    /// ranks that are alive but do not arrive.
    ///
    /// # Errors
    /// [`ZeroRanks`](CollectiveError::ZeroRanks).
    ///
    /// # Cost
    /// 1.4 KB per rank.
    pub fn new(size: usize) -> Result<Self, CollectiveError> {
        if size == 0 {
            return Err(CollectiveError::ZeroRanks);
        }
        Ok(Self { state: Arc::new(WorldState::new(size)), timeout: None })
    }

    /// Creates a world of `size` ranks that wait for each other at most `timeout` in each call.
    ///
    /// # Errors
    /// Same as [`new`](Self::new).
    pub fn with_timeout(size: usize, timeout: Duration) -> Result<Self, CollectiveError> {
        Ok(Self { timeout: Some(timeout), ..Self::new(size)? })
    }

    /// Returns the number of ranks.
    #[inline]
    pub fn size(&self) -> usize {
        self.state.size()
    }

    /// Returns a handle that can abort this world from any thread.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle { state: Arc::clone(&self.state) }
    }

    /// Splits the world into its communicators, in rank order. Move each of them into the task that
    /// runs its rank. A task that cannot continue should pass its error to [`Communicator::fail`];
    /// otherwise, the other ranks only learn that it [left](CollectiveError::Left).
    ///
    /// Communicators that are never taken from the iterator leave when it is dropped. See
    /// [Dropping](Communicator#dropping) for why this is an iterator, and for tasks that have to
    /// borrow their communicator.
    pub fn communicators(self) -> impl ExactSizeIterator<Item = Communicator> {
        let ranks = 0..self.size();
        let communicators =
            ranks.map(|rank| Communicator { seat: Seat::new(Arc::clone(&self.state), rank, self.timeout) });
        // All are created at once: the other ranks would wait forever for a rank without a
        // communicator.
        communicators.collect::<Vec<_>>().into_iter()
    }

    /// Creates a world of `size` ranks and runs it: shorthand for [`World::new`] and
    /// [`run_ranks`](Self::run_ranks).
    ///
    /// # Errors
    /// [`ZeroRanks`](CollectiveError::ZeroRanks), and those of [`run_ranks`](Self::run_ranks).
    ///
    /// # Panics
    /// Same as [`run_ranks`](Self::run_ranks).
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

    /// Runs `work` once per rank, each on its own thread, and returns the results in rank order
    /// once all threads have ended.
    ///
    /// A rank whose work ends early ends the world for the ranks that still wait for it. If it
    /// returned an error, they receive [`Failed`](CollectiveError::Failed) with the text of that
    /// error; if it panicked, [`Panicked`](CollectiveError::Panicked); if it returned a result,
    /// [`Left`](CollectiveError::Left).
    ///
    /// # Errors
    /// The error of the rank that failed first: the original error, not the text that the other
    /// ranks received. If the world ended for another reason ([`Left`](CollectiveError::Left),
    /// [`TimedOut`](CollectiveError::TimedOut), [`Aborted`](CollectiveError::Aborted)), the error
    /// of the lowest rank that returned one. [`Spawn`](CollectiveError::Spawn) if a thread cannot
    /// be started.
    ///
    /// # Panics
    /// If the work of a rank panics: the panic is resumed once all threads have ended, unless it
    /// was only a consequence of another rank's error, which is then returned.
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
    /// assert!(error.is::<std::num::ParseFloatError>()); // From rank 2. The others got `Failed` with its text.
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
                // The thread borrows the communicator: a thread that fails to start must not drop
                // it, which would hide the cause.
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

/// The handle of one rank, with which it communicates with the other ranks.
///
/// Every method that takes `&mut self`, except [`set_timeout`](Self::set_timeout) and
/// [`enter`](Self::enter), is collective: all ranks must call the same methods in the same order,
/// each from its own thread (or from a task of a pool that has a thread for every rank). Two ranks
/// cannot make their calls from the same thread, because the first would wait for the second.
///
/// A communicator can move between threads but cannot be cloned, because a rank can only be in one
/// round at a time:
/// ```compile_fail
/// # use phalanx_collective::World;
/// let rank = World::new(1)?.communicators().next().unwrap();
/// let twin = rank.clone(); // must not compile
/// # Ok::<(), phalanx_collective::CollectiveError>(())
/// ```
///
/// # Dropping
/// A rank that drops its communicator leaves. Ranks that wait for it, or call later, get
/// [`Left`](CollectiveError::Left), or [`Panicked`](CollectiveError::Panicked) if it was dropped by
/// a panic's unwinding. The task that runs a rank should therefore own its communicator: then the
/// other ranks are notified however the task ends. [`World::run`] and a loop over
/// [`World::communicators`] ensure this.
///
/// A communicator that outlives its task, because the task borrows it, is not dropped when the task
/// panics or returns early. Such a task should first [enter](Self::enter) a [`Session`], which ends
/// with the task.
///
/// `communicators` returns an iterator rather than a vector, so that a loop cannot pass borrowed
/// communicators to its tasks by mistake. This does not compile:
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
/// With `mut rank`, as the compiler suggests, each thread owns its communicator, and the other rank
/// is notified of the panic:
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
/// - rayon: start the ranks with `broadcast`, which runs one task on every thread. With `spawn`,
///   `scope` or a parallel iterator, two ranks may be queued on the same thread, and the first then
///   waits for the second forever.
/// - rayon: call [`barrier`](Self::barrier) before a rank's task uses a parallel iterator, `join`,
///   `scope` or `install`, of this pool or of another. While a thread waits for a part of such
///   work, it runs any other task that its pool has queued. If that is the task of a rank that has
///   not started, that rank waits, on the same stack, for the rank below it: a deadlock. After a
///   barrier, all ranks have started. Measured with 8 ranks on 8 threads: ranks started by `scope`
///   deadlocked in 11 of 84 worlds with a parallel iterator of the same pool, in 12 of 12 with one
///   of a second pool, and in 0 of 1463 after a barrier. With `broadcast`, 0 of 143,000 deadlocked
///   without a barrier, but rayon does not guarantee that.
/// - tokio: start the ranks with `spawn_blocking`, and allow at least as many blocking threads
///   (`max_blocking_threads`) as there are ranks in all worlds that exist at the same time. A
///   collective call blocks its thread, so an `async` task must not make one.
///
/// # Errors
/// Every collective method fails with [`Panicked`](CollectiveError::Panicked),
/// [`Left`](CollectiveError::Left), [`Failed`](CollectiveError::Failed),
/// [`Spawn`](CollectiveError::Spawn), [`TimedOut`](CollectiveError::TimedOut) or
/// [`Aborted`](CollectiveError::Aborted) once the world has ended, always with the first cause and
/// without waiting; and with [`Mismatch`](CollectiveError::Mismatch), on every rank, if the ranks
/// made different calls. Each method documents only the errors that it returns in addition to
/// these. Methods that need no other rank ([`rank`](Self::rank), [`world_size`](Self::world_size),
/// [`set_timeout`](Self::set_timeout), [`abort_handle`](Self::abort_handle), [`fail`](Self::fail),
/// [`enter`](Self::enter), and those of [`Shared`](super::Shared) outside an update) also work
/// after other ranks have left.
///
/// # Cost
/// No method allocates, except [`all_gather_vec`](Self::all_gather_vec) and [`split`](Self::split).
/// Every collective method waits for all ranks to arrive; those that lend memory also wait for all
/// ranks to depart.
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
    /// Ends the world, because this rank will make no further calls.
    fn leave(&self) {
        let rank = self.rank();
        self.seat.state.fail(if std::thread::panicking() {
            CollectiveError::Panicked { rank }
        } else {
            CollectiveError::Left { rank }
        });
    }

    /// Returns the number of this rank, from 0.
    #[inline]
    pub fn rank(&self) -> usize {
        self.seat.rank
    }

    /// Returns the number of ranks.
    #[inline]
    pub fn world_size(&self) -> usize {
        self.seat.state.size()
    }

    /// Sets how long this rank waits for other ranks to arrive in each later call; `None` means no
    /// time limit.
    ///
    /// When the timeout expires, the world ends on every rank with
    /// [`TimedOut`](CollectiveError::TimedOut), which names the missing ranks. If ranks have
    /// different timeouts, the first one to expire ends the world. Waiting for ranks to depart has
    /// no timeout.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.seat.timeout = timeout;
    }

    /// Returns a handle that can abort this world from any thread.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle { state: Arc::clone(&self.seat.state) }
    }

    /// Starts a session for a task that borrows this communicator: when the task ends, the world
    /// ends too, unless the session has been [finished](Session::finish).
    ///
    /// Call this before anything that can panic or return: until then, the other ranks are not
    /// notified when the task ends.
    ///
    /// # Examples
    /// See [`Session`].
    #[must_use = "a session ends the world when it is dropped; keep it for as long as the task makes calls"]
    pub fn enter(&mut self) -> Session<'_> {
        Session { communicator: self }
    }

    /// Ends the world because this rank cannot continue: the current and later calls of every other
    /// rank fail with [`Failed`](CollectiveError::Failed), which holds the reason. Returns the
    /// cause that ended the world: this failure, or the earlier cause if the world had already
    /// ended.
    ///
    /// A round that is already open is finished first.
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
    /// Everything that a rank wrote before the barrier is visible to every rank after it.
    ///
    /// # Errors
    /// Those of [every collective method](Self#errors).
    pub fn barrier(&mut self) -> Result<(), CollectiveError> {
        round::arrive(&mut self.seat, Call::new::<()>(Operation::Barrier, 0)).map(drop)
    }

    /// Replaces the `values` of all ranks by their reduction with `op`, element by element.
    ///
    /// The operands are combined along the fixed [`tree`](super::tree) over the ranks: the result
    /// has the same bits on every rank and in every run. NaN and infinities on any rank propagate
    /// as IEEE 754 specifies.
    ///
    /// # Errors
    /// [`MeanOfIntegers`](CollectiveError::MeanOfIntegers), and those of [every collective
    /// method](Self#errors).
    ///
    /// # Cost
    /// Each rank reads `len/n` elements of each of the `n` ranks and writes `len/n` to each:
    /// `2·len` in total, for any `n`. Values of up to 64 bytes in total (512 if there are more
    /// ranks than cores) are sent as part of the arrival, and every rank combines all of them
    /// itself.
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
        if self.seat.fits_payload(values) {
            let round = round::arrive_with_payload(&mut self.seat, operation, values)?;
            return reduce_by(op, round.world_size(), FromPayload { round, first: 0, results: values });
        }
        let loan = Loan::of_slice(&mut self.seat, Call::new::<T>(operation, values.len()), values)?;
        reduce_by(op, loan.world_size(), ToAll(loan))
    }

    /// Returns the reduction of one value per rank with `op`.
    ///
    /// # Errors
    /// Same as [`all_reduce`](Self::all_reduce).
    ///
    /// # Examples
    /// ```
    /// # use phalanx_collective::{CollectiveError, Op, World};
    /// let slowest = World::run(3, |rank| rank.all_reduce_value(0.5 * rank.rank() as f64, Op::Max))?;
    /// assert_eq!(slowest, [1.0; 3]);
    /// # Ok::<(), CollectiveError>(())
    /// ```
    pub fn all_reduce_value<T: Element>(&mut self, value: T, op: Op) -> Result<T, CollectiveError> {
        let mut values = [value];
        self.all_reduce(&mut values, op)?;
        Ok(values[0])
    }

    /// Replaces the values of many buffers, such as the gradients of all layers, by their reduction
    /// with `op`, element by element, in one round.
    ///
    /// Buffers may have different lengths, also 0, but all ranks must pass buffers of the same
    /// lengths in the same order. The result has the bits of [`all_reduce`](Self::all_reduce) of
    /// each buffer.
    ///
    /// # Errors
    /// Same as [`all_reduce`](Self::all_reduce).
    ///
    /// # Cost
    /// That of one [`all_reduce`](Self::all_reduce) of all elements, and about 10 ns per buffer.
    /// 1000 buffers of 16 f32 on two ranks took 12 µs (Zen 4), and 213 µs with one call each.
    /// Copying such short buffers into one yourself, and back, is still faster (6 µs).
    ///
    /// # Examples
    /// ```
    /// # use phalanx_collective::{CollectiveError, Op, World};
    /// World::run(2, |rank| {
    ///     let (mut weight, mut bias) = (vec![1.0_f32; 6], vec![rank.rank() as f32; 2]);
    ///     rank.all_reduce_many(&mut [&mut weight, &mut bias], Op::Mean)?;
    ///     assert_eq!((weight, bias), (vec![1.0; 6], vec![0.5; 2]));
    ///
    ///     let mut layers = vec![vec![2.0_f32; 3]; 100];
    ///     let mut buffers: Vec<&mut [f32]> = layers.iter_mut().map(Vec::as_mut_slice).collect();
    ///     rank.all_reduce_many(&mut buffers, Op::Sum)?;
    ///     assert_eq!(layers[99], [4.0; 3]);
    ///     Ok::<_, CollectiveError>(())
    /// })?;
    /// # Ok::<(), CollectiveError>(())
    /// ```
    pub fn all_reduce_many<T: Element>(
        &mut self,
        mut buffers: &mut [&mut [T]],
        op: Op,
    ) -> Result<(), CollectiveError> {
        let len = buffers.iter().map(|buffer| buffer.len()).sum();
        let call = Call::new::<T>(Operation::AllReduceMany(op), len);
        let loan = Loan::of_buffers(&mut self.seat, call, &mut buffers)?;
        reduce_by(op, loan.world_size(), ManyToAll(loan))
    }

    /// Replaces this rank's [`segment`](super::segment()) of `values` by its reduction with `op`
    /// over all ranks, and leaves the rest unchanged. Returns the segment.
    ///
    /// # Errors
    /// Same as [`all_reduce`](Self::all_reduce).
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
        if self.seat.fits_payload(values) {
            let round = round::arrive_with_payload(&mut self.seat, operation, values)?;
            let (first, results) = (own.start, &mut values[own.clone()]);
            reduce_by(op, round.world_size(), FromPayload { round, first, results })?;
        } else {
            let loan = Loan::of_slice(&mut self.seat, Call::new::<T>(operation, values.len()), values)?;
            reduce_by(op, loan.world_size(), ToOwn(loan))?;
        }
        Ok(own)
    }

    /// Replaces the `values` of all ranks by their weighted mean, `Σ w_r x_r / Σ w_r`, and returns
    /// `Σ w_r`.
    ///
    /// Computed in f64 for every element type, along the fixed [`tree`](super::tree) over the
    /// ranks, and rounded to the element type. A rank with weight 0 contributes nothing, even if
    /// its values are NaN. With equal weights, an `f32` mean may differ from that of [`Op::Mean`],
    /// which adds in f32 and rounds each sum; where values cancel, the difference can be large.
    ///
    /// # Errors
    /// [`BadWeight`](CollectiveError::BadWeight) if any weight is negative or non-finite,
    /// [`ZeroWeight`](CollectiveError::ZeroWeight) if their sum is 0,
    /// [`WeightOverflow`](CollectiveError::WeightOverflow) if it is infinite; on every rank, and
    /// the values are unchanged. Also those of [every collective method](Self#errors).
    ///
    /// # Cost
    /// Same as [`all_reduce`](Self::all_reduce) of more than 512 bytes.
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

    /// Replaces the `values` of all ranks by their combination with `combine`, element by element.
    ///
    /// `combine` must be associative for the result to be meaningful, but need not be commutative:
    /// the operands are combined in rank order, along the fixed [`tree`](super::tree). All ranks
    /// must pass the same function, because each rank combines its own segment for all ranks.
    ///
    /// # Errors
    /// Those of [every collective method](Self#errors). If `combine` panics on any rank, the values
    /// of all ranks are only partly combined.
    ///
    /// # Panics
    /// If `combine` panics: the panic is resumed once all ranks have departed.
    ///
    /// # Cost
    /// Same as [`all_reduce`](Self::all_reduce) of more than 512 bytes.
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
    /// [`RootOutOfRange`](CollectiveError::RootOutOfRange), and those of [every collective
    /// method](Self#errors).
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

    /// Copies each rank's own [`segment`](super::segment()) of its values to all ranks.
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
    /// A sum of floats with the same bits for any number of ranks: each rank computes its segment
    /// of a fixed number of parts, and all add them in order.
    /// ```
    /// # use phalanx_collective::{CollectiveError, World, segment};
    /// let sum_on = |ranks| {
    ///     World::run(ranks, |rank| {
    ///         let mut parts = [0.0_f64; 64];
    ///         for part in segment(64, rank.world_size(), rank.rank()) {
    ///             parts[part] = segment(10_000, 64, part).map(|i| 1.0 / (1.0 + i as f64)).sum();
    ///         }
    ///         rank.all_gather(&mut parts)?;
    ///         Ok::<_, CollectiveError>(parts.iter().sum::<f64>())
    ///     })
    /// };
    /// assert_eq!(sum_on(1)?[0].to_bits(), sum_on(3)?[2].to_bits());
    /// # Ok::<(), CollectiveError>(())
    /// ```
    pub fn all_gather<T: Copy + Send + Sync + 'static>(
        &mut self,
        values: &mut [T],
    ) -> Result<(), CollectiveError> {
        let call = Call::new::<T>(Operation::AllGather, values.len());
        Loan::of_slice(&mut self.seat, call, values)?.gather_segments()
    }

    /// Returns the values of all ranks, in rank order. Each rank may pass a different number.
    ///
    /// # Errors
    /// Those of [every collective method](Self#errors).
    ///
    /// # Cost
    /// Each rank clones the values of all ranks into a new vector.
    ///
    /// # Examples
    /// ```
    /// # use phalanx_collective::{CollectiveError, World};
    /// World::run(3, |rank| {
    ///     let own = vec![rank.rank().to_string(); rank.rank()];
    ///     assert_eq!(rank.all_gather_vec(&own)?, ["1", "2", "2"]);
    ///     Ok::<_, CollectiveError>(())
    /// })?;
    /// # Ok::<(), CollectiveError>(())
    /// ```
    pub fn all_gather_vec<T: Clone + Sync + 'static>(
        &mut self,
        own: &[T],
    ) -> Result<Vec<T>, CollectiveError> {
        self.lend_as(Operation::AllGatherVec, own, |peers| peers.iter().flatten().cloned().collect())
    }

    /// Splits the world into groups, and returns the communicator of this rank in its own: that of
    /// all ranks that passed the same `group`, numbered in the order of their ranks.
    ///
    /// The groups are worlds of their own. Both communicators can be used in any order that is the
    /// same on all ranks concerned, as a rank can only be in one round at a time. The end of one of
    /// the worlds does not end the others: a task that fails should drop all its communicators. The
    /// group has the timeout of this communicator, and its errors number the ranks within the
    /// group.
    ///
    /// # Errors
    /// Those of [every collective method](Self#errors).
    ///
    /// # Cost
    /// Two rounds, and the allocation of the groups.
    ///
    /// # Examples
    /// Sums over the rows and the columns of a grid of 2 × 2 ranks:
    /// ```
    /// # use phalanx_collective::{CollectiveError, Op, World};
    /// let sums = World::run(4, |rank| {
    ///     let number = rank.rank();
    ///     let (mut row, mut column) = (rank.split(number / 2)?, rank.split(number % 2)?);
    ///     Ok::<_, CollectiveError>([row.all_reduce_value(number, Op::Sum)?, column.all_reduce_value(number, Op::Sum)?])
    /// })?;
    /// assert_eq!(sums, [[1, 2], [1, 4], [5, 2], [5, 4]]);
    /// # Ok::<(), CollectiveError>(())
    /// ```
    pub fn split(&mut self, group: usize) -> Result<Self, CollectiveError> {
        let groups: Vec<usize> =
            self.lend_as(Operation::Split, &group, |groups| groups.iter().copied().collect())?;
        let members: Vec<usize> = (0..groups.len()).filter(|&rank| groups[rank] == group).collect();
        let own = (members[0] == self.rank()).then(|| Arc::new(self.seat.state.of_group(members.len())));
        let state = self.lend_as(Operation::Split, &own, |states| states.get(members[0]).clone())?;
        let state = state.expect("the first member has created the group");
        let rank = members.iter().position(|&rank| rank == self.rank()).expect("a rank is in its group");
        Ok(Self { seat: Seat::new(state, rank, self.seat.timeout) })
    }

    /// Lends `own` to all ranks and runs `work`, which can read the values of all ranks; nothing is
    /// copied. To lend slices of different lengths, pass a slice: the values are then of type
    /// `[T]`.
    ///
    /// The loan ends when the work of all ranks has ended; this call waits for that. `work` must
    /// not wait for another rank by any other means.
    ///
    /// # Errors
    /// Those of [every collective method](Self#errors). If the work of any rank panics, the call
    /// fails on every rank, even where `work` completed.
    ///
    /// # Panics
    /// If `work` panics: the panic is resumed once all ranks have departed.
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
    pub fn lend<X: ?Sized + Sync + 'static, R>(
        &mut self,
        own: &X,
        work: impl FnOnce(Peers<'_, X>) -> R,
    ) -> Result<R, CollectiveError> {
        self.lend_as(Operation::Lend, own, work)
    }

    fn lend_as<X: ?Sized + Sync + 'static, R>(
        &mut self,
        operation: Operation,
        own: &X,
        work: impl FnOnce(Peers<'_, X>) -> R,
    ) -> Result<R, CollectiveError> {
        Loan::of_value(&mut self.seat, Call::new::<X>(operation, 1), &own)?.work(work)
    }
}

/// A task's use of a [`Communicator`] that it borrows, started with [`Communicator::enter`]. It has
/// the same methods as the communicator.
///
/// # Dropping
/// Works as for the communicator: dropping a session ends the world, with
/// [`Panicked`](CollectiveError::Panicked) if a panic drops it and [`Left`](CollectiveError::Left)
/// otherwise. To use the communicator in a later task, [`finish`](Self::finish) the session.
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
    /// Ends the session without ending the world: the communicator will be used again. Ranks that
    /// wait for it in the meantime keep waiting.
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

/// Ends a world from any thread. Intended for user interfaces, watchdogs and threads that wait for
/// signals.
///
/// # Signal handlers
/// [`abort`](Self::abort) takes a lock and allocates, so it must not be called from a signal
/// handler: a handler that interrupts a thread which holds the lock, or is inside the allocator,
/// would wait forever. Let the handler set a flag or write to a pipe, and let a thread that watches
/// it abort the world; the crate `signal-hook` supports both.
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
    /// Wakes every waiting rank; the current and later calls of every rank fail with
    /// [`Aborted`](CollectiveError::Aborted).
    ///
    /// A round that is already open is finished first: ranks that are computing are not
    /// interrupted. Has no effect on a world that has already failed, or whose ranks have all
    /// ended.
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

/// Returns the results of all ranks in order, or the error or panic that ended the world. `ended`
/// is the cause of its end; a world always ends once one of its ranks is done.
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

/// Returns the sum of all weights, or the reason why it is unusable; the same on every rank.
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

/// The operands of a reduction, independent of its arithmetic.
pub(super) trait Operands<T> {
    fn run(self, fold: &impl Fold<T>) -> Result<(), CollectiveError>;
}

/// Reduces the operands with `op`.
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

/// The segments of all ranks, reduced for all ranks.
struct ToAll<'c, T>(Loan<'c, &'c mut [T]>);

impl<T: Element> Operands<T> for ToAll<'_, T> {
    fn run(self, fold: &impl Fold<T>) -> Result<(), CollectiveError> {
        self.0.work_on_segments(|mut segments| segments.reduce_to_all(fold))
    }
}

/// The segments of the buffers of all ranks, reduced for all ranks.
struct ManyToAll<'c, 'b, T>(Loan<'c, &'c mut [&'b mut [T]]>);

impl<T: Element> Operands<T> for ManyToAll<'_, '_, T> {
    fn run(self, fold: &impl Fold<T>) -> Result<(), CollectiveError> {
        self.0.work_on_buffers(|mut segments| segments.reduce_to_all(fold))
    }
}

/// The segments of all ranks, reduced for their owners only.
struct ToOwn<'c, T>(Loan<'c, &'c mut [T]>);

impl<T: Element> Operands<T> for ToOwn<'_, T> {
    fn run(self, fold: &impl Fold<T>) -> Result<(), CollectiveError> {
        self.0.work_on_segments(|mut segments| segments.reduce_to_own(fold))
    }
}

/// The number of elements of a payload that are combined at a time.
const PAYLOAD_BLOCK: usize = 32;

/// Copies in the slots, which each rank reduces on its own: no memory is lent, so no departure is
/// needed.
struct FromPayload<'c, 'v, T> {
    round: Round<'c>,
    /// The index of the first result among the elements passed.
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
