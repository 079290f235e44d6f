//! The world: the ranks that meet, and the threads that run them.

use super::state::State;
use super::sync::Arc;
use super::{CollectiveError, Communicator};
use std::fmt::Display;
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
    pub(super) state: Arc<State>,
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
        Ok(Self { state: Arc::new(State::new(size)), timeout: None })
    }

    /// Creates a world of `size` ranks that wait for each other at most `timeout` in each call.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_timeout(size: usize, timeout: Duration) -> Result<Self, CollectiveError> {
        Ok(Self { timeout: Some(timeout), ..Self::new(size)? })
    }

    /// Returns the number of ranks.
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
    /// where a task has to borrow its communicator, is said [there](Communicator#dropping).
    pub fn communicators(self) -> impl ExactSizeIterator<Item = Communicator> {
        let ranks = 0..self.size();
        let communicators = ranks.map(|rank| Communicator::new(Arc::clone(&self.state), rank, self.timeout));
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
    pub(super) state: Arc<State>,
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
