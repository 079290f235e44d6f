//! The locks, atomics, cells, hints and clock of the reducer, collected in one place so that those
//! of a model checker can replace them.
//!
//! `reliability/models` builds the reducer with `--cfg phalanx_models` and the types of loom or
//! shuttle, and documents what is checked.

#[cfg(not(phalanx_models))]
pub(super) use self::real::*;
#[cfg(phalanx_models)]
pub(super) use crate::watched::*;

/// The cell around each element of a [`Shared`](super::Shared) value; contiguous ranges of them are
/// borrowed at a time.
pub(super) use std::cell::UnsafeCell as UnsafeElement;

#[cfg(not(phalanx_models))]
mod real {
    pub use parking_lot::{Condvar, Mutex, MutexGuard};
    pub use std::hint::spin_loop;
    pub use std::sync::Arc;
    pub use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    pub use std::thread::yield_now;
    pub use std::time::Instant;

    /// The number of times a rank polls before it sleeps, if polling is worthwhile.
    pub const MOST_POLLS: u32 = 1000;

    /// A cell in which every access is bracketed by a closure, which lets model checkers observe
    /// it.
    #[derive(Debug)]
    pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

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
}
