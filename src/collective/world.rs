//! The world: the ranks that meet.

use super::state::State;
use super::sync::Arc;
use super::{CollectiveError, Communicator};
use std::time::Duration;

/// A group of ranks in one process, to be split into one [`Communicator`] for each.
///
/// Worlds know nothing of each other: any number of them may live in a process at once, also on the same threads.
///
/// # Examples
/// ```
/// use phalanx::collective::{Op, World};
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
/// # Ok::<(), phalanx::collective::CollectiveError>(())
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

    /// Splits the world into its communicators, in rank order.
    pub fn communicators(self) -> Vec<Communicator> {
        (0..self.size()).map(|rank| Communicator::new(Arc::clone(&self.state), rank, self.timeout)).collect()
    }
}

/// Ends a world from any thread. Made for signal watchers, user interfaces and watchdogs.
///
/// # Examples
///
/// ```
/// use phalanx::collective::{AbortHandle, CollectiveError, Communicator, World};
///
/// let mut ranks = World::new(2)?.communicators();
/// let (_absent, mut waiting): (Communicator, Communicator) = (ranks.remove(0), ranks.remove(0));
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
    /// use phalanx::collective::{CollectiveError, World};
    ///
    /// let world = World::new(2)?;
    /// let handle = world.abort_handle();
    /// let mut ranks = world.communicators();
    /// handle.abort("the user pressed stop");
    /// let error = ranks[0].barrier().unwrap_err();
    /// assert_eq!(error, CollectiveError::Aborted { reason: "the user pressed stop".into() });
    /// # Ok::<(), CollectiveError>(())
    /// ```
    pub fn abort(&self, reason: impl Into<String>) {
        self.state.fail(CollectiveError::Aborted { reason: reason.into() });
    }
}
