//! Several independent runs at a time, on one thread each.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crossbeam_channel::bounded;

/// Performs `run` for each item, on up to `jobs` threads, and passes each result to `on_result` on
/// the calling thread as it arrives. `run` returns `None` if it was stopped. Starts no further run
/// once `stop` is set.
///
/// # Errors
///
/// The first error of a run; no further run is started then.
///
/// # Panics
///
/// If a run panics.
pub fn in_parallel<T: Sync, R: Send, E: Send>(
    jobs: usize,
    items: &[T],
    stop: &AtomicBool,
    run: impl Fn(&T) -> Result<Option<R>, E> + Sync,
    mut on_result: impl FnMut(R),
) -> Result<(), E> {
    let (next, quit) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut failed = None;
    thread::scope(|scope| {
        let (sender, receiver) = bounded(jobs);
        for _ in 0..jobs.min(items.len()) {
            let (sender, next, quit, run) = (sender.clone(), &next, &quit, &run);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) && !quit.load(Ordering::Relaxed) {
                    let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                    if run(item).transpose().is_some_and(|result| sender.send(result).is_err()) {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for result in receiver {
            match result {
                Ok(result) => on_result(result),
                Err(error) => {
                    quit.store(true, Ordering::Relaxed);
                    failed.get_or_insert(error);
                }
            }
        }
    });
    failed.map_or(Ok(()), Err)
}
