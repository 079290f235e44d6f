//! The locks, atomics, cells, hints and clock of the reducer, named in one place so that a model checker's can stand in for them.
//!
//! `reliability/models` builds the reducer with `--cfg phalanx_models` and those of loom or of shuttle, and describes what is checked.

#[cfg(not(phalanx_models))]
pub(super) use self::real::*;
#[cfg(phalanx_models)]
pub(super) use crate::watched::*;

/// The cell around each element of a [`Shared`](super::Shared) value, of which whole runs are borrowed at a time.
pub(super) use std::cell::UnsafeCell as UnsafeElement;

#[cfg(not(phalanx_models))]
mod real {
    pub use parking_lot::{Condvar, Mutex, MutexGuard};
    pub use std::hint::spin_loop;
    pub use std::sync::Arc;
    pub use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    pub use std::thread::yield_now;
    pub use std::time::Instant;

    /// The looks of a rank before it sleeps, where spinning pays at all.
    pub const SPINS: u32 = 1000;

    /// A cell whose every access is bracketed by a closure, the form in which model checkers watch them.
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
