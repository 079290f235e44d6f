//! The locks, atomics, cells and hints of this room, named in one place so that a model checker's can stand in for them.

pub(super) use parking_lot::{Condvar, Mutex, MutexGuard};
pub(super) use std::hint::spin_loop;
pub(super) use std::sync::Arc;
pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
pub(super) use std::thread::yield_now;

/// A cell whose every access is bracketed by a closure, the form in which model checkers watch them.
#[derive(Debug)]
pub(super) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(super) fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    pub(super) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    pub(super) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}

/// The cell around each element of a [`Shared`](super::Shared) value, of which whole runs are borrowed at a time.
pub(super) use std::cell::UnsafeCell as UnsafeElement;
