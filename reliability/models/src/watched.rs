//! The checker's locks, atomics and cells, with the interfaces of parking_lot and std that the
//! reducer uses.
//!
//! There is no clock: a wait with a deadline ends as soon as its thread is scheduled, which can be
//! at any time.

#[cfg(feature = "loom")]
use loom as checker;
#[cfg(feature = "shuttle")]
use shuttle as checker;

pub use checker::hint::spin_loop;
pub use checker::sync::Arc;
pub use checker::sync::atomic::{AtomicBool, AtomicU64, Ordering};
pub use checker::thread::yield_now;
use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::time::Duration;

#[cfg(feature = "loom")]
pub use loom::cell::UnsafeCell;

#[cfg(feature = "shuttle")]
#[derive(Debug)]
pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(feature = "shuttle")]
impl<T> UnsafeCell<T> {
    pub fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}

/// No spinning: a check before parking is equivalent to one while parked, and would multiply the
/// number of schedules.
pub const MOST_POLLS: u32 = 0;

#[derive(Debug)]
pub struct Mutex<T>(checker::sync::Mutex<T>);

#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    /// `None` only during a wait.
    held: Option<checker::sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Self(checker::sync::Mutex::new(value))
    }

    /// Locks the mutex, without poisoning, as in parking_lot.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { mutex: self, held: Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)) }
    }

    pub fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_ref().expect("the guard is not used during a wait")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_mut().expect("the guard is not used during a wait")
    }
}

#[derive(Debug)]
pub struct Condvar(checker::sync::Condvar);

impl Condvar {
    pub fn new() -> Self {
        Self(checker::sync::Condvar::new())
    }

    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.held.take().expect("a guard waits once at a time");
        guard.held = Some(self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
    }

    /// Lets other threads run for any time; then the deadline has passed.
    pub fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, _deadline: Instant) {
        drop(guard.held.take());
        HOURS.with(|hours| hours.set(hours.get() + 1));
        guard.held = guard.mutex.lock().held;
    }

    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

checker::thread_local! {
    /// The number of waits of this thread that reached their deadline.
    static HOURS: Cell<u32> = Cell::new(0);
}

/// A point in time of a thread: each wait that reaches its deadline advances it by an hour.
#[derive(Clone, Copy, Debug)]
pub struct Instant(u32);

impl Instant {
    pub fn now() -> Self {
        Self(HOURS.with(Cell::get))
    }

    pub fn elapsed(self) -> Duration {
        Duration::from_secs(3600) * (HOURS.with(Cell::get) - self.0)
    }

    pub fn checked_add(self, _: Duration) -> Option<Self> {
        Some(self)
    }
}
