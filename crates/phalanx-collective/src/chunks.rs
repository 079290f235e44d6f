//! Sums over a fixed number of chunks, with the same bits for any number of threads.
//!
//! No [`World`](super::World) is needed: threads take the next chunk when they are free, and no
//! thread waits for another. A chunk is a leaf of the fixed [`tree`](super::tree) over all chunks.
//! The thread that completes the second of two siblings merges them, so the tree decides the
//! operands and their order, and the timing only who computes.
//!
//! Chunks are taken in ascending order. So when one fails, all before it have been taken and will
//! end, and the first chunk that fails is the same in every run.

use super::arithmetic::Element;
use super::sync::Mutex;
use super::tree::Node;
use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

/// The threads that run the work of [`map_reduce`] and [`sum_chunks`]: a number, or a function that
/// runs it on your own threads.
///
/// A number n starts n − 1 threads, which end with the call; the calling thread is the n-th. It is
/// limited to the number of chunks. Starting a thread took 100 µs on a virtual machine (Zen 4,
/// `cargo bench --bench reducer`): for many short sums, use the threads of a pool.
///
/// A function receives the work and should call it once on each thread that is to take part, at any
/// time before it returns: all calls share the chunks. The number of calls, even 0, does not matter
/// for the result, and no call waits for another, so the tasks of a pool need not run at the same
/// time. The calling thread takes part at the end.
///
/// # Examples
/// On all threads of a rayon pool:
/// ```
/// use phalanx_collective::{ChunkError, map_reduce};
///
/// let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
/// let on_pool = |work: &(dyn Fn() + Sync)| drop(pool.broadcast(|_| work()));
/// let square = |(): &mut (), chunk| Ok::<_, std::convert::Infallible>(chunk * chunk);
/// assert_eq!(map_reduce(on_pool, 5, || (), square, |left, right| left + right)?, Some(30));
/// # Ok::<(), ChunkError>(())
/// ```
pub trait Threads {
    /// Calls `work` on some threads, at most `most` of which will find something to do, and returns
    /// when all calls have ended.
    ///
    /// # Errors
    /// [`ZeroThreads`](ChunkError::ZeroThreads) and [`Spawn`](ChunkError::Spawn).
    fn run<E>(self, most: usize, work: &(dyn Fn() + Sync)) -> Result<(), ChunkError<E>>;
}

impl Threads for usize {
    fn run<E>(self, most: usize, work: &(dyn Fn() + Sync)) -> Result<(), ChunkError<E>> {
        if self == 0 {
            return Err(ChunkError::ZeroThreads);
        }
        // Started threads wait for the permission, so that no chunk is computed if one of them
        // cannot be started.
        let may_work = Mutex::new(false);
        thread::scope(|scope| {
            let mut permission = may_work.lock();
            for thread in 1..self.min(most) {
                let task = || {
                    // The lock is released before the work.
                    let may_work = *may_work.lock();
                    if may_work {
                        work();
                    }
                };
                if let Err(source) = thread::Builder::new().spawn_scoped(scope, task) {
                    return Err(ChunkError::Spawn { thread, reason: source.to_string() });
                }
            }
            *permission = true;
            drop(permission);
            work();
            Ok(())
        })
    }
}

impl<F: FnOnce(&(dyn Fn() + Sync))> Threads for F {
    fn run<E>(self, _: usize, work: &(dyn Fn() + Sync)) -> Result<(), ChunkError<E>> {
        self(work);
        Ok(())
    }
}

/// The reason why [`map_reduce`] or [`sum_chunks`] failed; `E` is the error of your function.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChunkError<E = std::convert::Infallible> {
    /// 0 threads were requested.
    ZeroThreads,
    /// A thread could not be started. No chunk was computed.
    Spawn {
        /// The number of the thread, from 1: the calling thread is 0.
        thread: usize,
        /// The error of the operating system.
        reason: String,
    },
    /// Your function failed. Chunks after this one may not have been computed.
    Failed {
        /// The first chunk that failed.
        chunk: usize,
        /// The number of chunks.
        chunks: usize,
        /// The error of your function.
        source: E,
    },
}

impl<E: fmt::Display> fmt::Display for ChunkError<E> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroThreads => out.write_str("0 threads were requested; use 1 or more"),
            Self::Spawn { thread, reason } => write!(
                out,
                "thread {thread} could not be started: {reason}; use fewer threads, or raise the limits on threads \
                 and memory"
            ),
            Self::Failed { chunk, chunks, source } => {
                write!(out, "chunk {chunk} of {chunks} failed: {source}")
            }
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for ChunkError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Returns the results of `map` for the chunks 0 to `chunks` − 1, combined with `merge(left,
/// right)` in the fixed [`tree`](super::tree) over the chunks; `None` without chunks.
///
/// The operands of each merge, and their order, depend only on `chunks`. So the result is the same
/// for any [`threads`](Threads) and in every run if `map` and `merge` depend only on their
/// arguments, and not on what an earlier chunk left in the scratch. `merge` must be associative for
/// the result to be meaningful, but need not be commutative.
///
/// Each thread calls `scratch` once and passes the value to all its chunks: for buffers, say.
///
/// `chunks` should be a constant of the program, several times the largest number of threads:
/// another number is another tree, with other rounding errors. [`segment`](super::segment()) cuts a
/// range of samples into chunks.
///
/// # Errors
/// [`Failed`](ChunkError::Failed) with the first chunk whose `map` failed, which is the same in
/// every run: chunks are started in ascending order, and none after a failure.
/// [`ZeroThreads`](ChunkError::ZeroThreads) and [`Spawn`](ChunkError::Spawn).
///
/// # Panics
/// If `map`, `merge` or `scratch` panics: with a `String` of the message and the number of the
/// chunk (for `merge`, a chunk below its result). A payload that is not a text is resumed as it is.
/// Of several panics and errors, that of the first chunk is reported.
///
/// # Cost
/// Two short locks per chunk: a chunk should take some microseconds or more. At most t·(2·log2
/// `chunks` + 1) results exist at a time, for t threads, however uneven the chunks are.
///
/// # Examples
/// The longest line of many files, the first one if there are several:
/// ```
/// use phalanx_collective::map_reduce;
///
/// let files = ["one\ntwo", "three\nfour", "seven"];
/// let longest = map_reduce(
///     2,
///     files.len(),
///     || (),
///     |(), file| files[file].lines().max_by_key(|line| line.len()).ok_or("an empty file"),
///     |left, right| if right.len() > left.len() { right } else { left },
/// );
/// assert_eq!(longest.unwrap(), Some("three"));
/// ```
pub fn map_reduce<S, R: Send, E: Send>(
    threads: impl Threads,
    chunks: usize,
    scratch: impl Fn() -> S + Sync,
    map: impl Fn(&mut S, usize) -> Result<R, E> + Sync,
    merge: impl Fn(R, R) -> R + Sync,
) -> Result<Option<R>, ChunkError<E>> {
    let progress = Mutex::new(WorkState { chunks, next: 0, waiting: Vec::new(), failure: None });
    let work = || {
        let (mut own, stage) = (None, Cell::new(Stage::Scratch));
        loop {
            // The lock is released before the chunk is computed.
            let next = progress.lock().take_chunk();
            let Some(chunk) = next else { return };
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                stage.set(Stage::Scratch);
                let own = own.get_or_insert_with(&scratch);
                stage.set(Stage::Chunk);
                let value = map(own, chunk)?;
                stage.set(Stage::Merge);
                merge_upwards(&progress, Node::leaf(chunk), value, &merge);
                Ok(())
            }));
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(error)) => progress.lock().fail(chunk, ChunkFailure::Error(error)),
                Err(panic) => progress.lock().fail(chunk, ChunkFailure::Panic(stage.get(), panic)),
            }
        }
    };
    threads.run(chunks, &work)?;
    work();
    let WorkState { mut waiting, failure, .. } = progress.into_inner();
    match failure {
        None => Ok(waiting.pop().map(|(_, root)| root)),
        Some((chunk, ChunkFailure::Error(source))) => Err(ChunkError::Failed { chunk, chunks, source }),
        Some((chunk, ChunkFailure::Panic(stage, payload))) => panic_again(stage, chunk, chunks, payload),
    }
}

/// Replaces the content of `out` by the sum of what `add` adds to its argument for each of the
/// chunks 0 to `chunks` − 1.
///
/// `add(scratch, chunk, sum)` receives zeros, to which it adds the contribution of the chunk. It
/// must not depend on what an earlier chunk left in the scratch. To sum a number as well, such as a
/// loss next to its gradient, make it one more element. The sums of the chunks are added in the
/// fixed [`tree`](super::tree) over the chunks, left + right. So `out` has the same bits for any
/// [`threads`](Threads) and in every run: see [`map_reduce`]. Without chunks it is zero.
///
/// # Errors
/// Same as [`map_reduce`]; `out` is unchanged then.
///
/// # Panics
/// Same as [`map_reduce`]; `out` is unchanged then.
///
/// # Cost
/// In addition to `add`, each chunk sets `out.len()` values to zero and adds them to others: a
/// chunk should take several times as long. Memory as for [`map_reduce`], each result having the
/// size of `out`; the buffers are reused within the call.
///
/// # Examples
/// The gradient of a loss over sentences of different lengths:
/// ```
/// use phalanx_collective::{segment, sum_chunks};
///
/// struct Sentence { words: Vec<usize>, is_positive: bool }
/// let sentences: Vec<_> =
///     (0..1000).map(|i| Sentence { words: (0..i % 9).collect(), is_positive: i % 2 == 0 }).collect();
/// let (weights, mut gradient) = ([0.1_f64; 9], [0.0; 9]);
///
/// let gradient_on = |threads: usize, gradient: &mut [f64]| {
///     sum_chunks(threads, 64, gradient, Vec::new, |scores: &mut Vec<f64>, chunk, sum| {
///         for sentence in &sentences[segment(1000, 64, chunk)] {
///             scores.clear();
///             scores.extend(sentence.words.iter().map(|&word| weights[word]));
///             let wanted = if sentence.is_positive { 1.0 } else { 0.0 };
///             let error = 1.0 / (1.0 + (-scores.iter().sum::<f64>()).exp()) - wanted;
///             sentence.words.iter().for_each(|&word| sum[word] += error);
///         }
///         Ok(())
///     })
/// };
/// gradient_on(4, &mut gradient)?;
/// let mut alone = [0.0; 9];
/// gradient_on(1, &mut alone)?;
/// assert_eq!(gradient.map(f64::to_bits), alone.map(f64::to_bits));
/// # Ok::<(), phalanx_collective::ChunkError>(())
/// ```
pub fn sum_chunks<T: Element, S, E: Send>(
    threads: impl Threads,
    chunks: usize,
    out: &mut [T],
    scratch: impl Fn() -> S + Sync,
    add: impl Fn(&mut S, usize, &mut [T]) -> Result<(), E> + Sync,
) -> Result<(), ChunkError<E>> {
    let (len, free) = (out.len(), Mutex::new(Vec::<Vec<T>>::new()));
    let map = |scratch: &mut S, chunk| {
        let mut sum = free.lock().pop().unwrap_or_default();
        sum.clear();
        sum.resize(len, T::ZERO);
        add(scratch, chunk, &mut sum)?;
        Ok(sum)
    };
    let merge = |mut left: Vec<T>, right: Vec<T>| {
        for (left, right) in left.iter_mut().zip(&right) {
            *left = T::narrow(T::add(left.widen(), right.widen()));
        }
        free.lock().push(right);
        left
    };
    match map_reduce(threads, chunks, scratch, map, merge)? {
        Some(sum) => out.copy_from_slice(&sum),
        None => out.fill(T::ZERO),
    }
    Ok(())
}

/// The state that the threads of one call share.
struct WorkState<R, E> {
    chunks: usize,
    /// The next chunk to take.
    next: usize,
    /// The results whose siblings are not complete; at the end, the root.
    waiting: Vec<(Node, R)>,
    /// The first chunk that failed.
    failure: Option<(usize, ChunkFailure<E>)>,
}

enum ChunkFailure<E> {
    Error(E),
    Panic(Stage, Box<dyn Any + Send>),
}

/// The function that panicked.
#[derive(Clone, Copy)]
enum Stage {
    Scratch,
    Chunk,
    Merge,
}

impl<R, E> WorkState<R, E> {
    fn take_chunk(&mut self) -> Option<usize> {
        if self.next == self.chunks || self.failure.is_some() {
            return None;
        }
        self.next += 1;
        Some(self.next - 1)
    }

    /// Returns the parent of `node` with the values of its children, left and right. If the sibling
    /// is not complete, or this is the root, the value waits.
    fn pair(&mut self, mut node: Node, value: R) -> Option<(Node, R, R)> {
        // At the right edge of the tree, a node without a sibling takes the place of its parent.
        while node.index > 0 && node.sibling().leaves().start >= self.chunks {
            node = node.parent();
        }
        let sibling = self.waiting.iter().position(|(other, _)| *other == node.sibling());
        let Some(position) = sibling else {
            self.waiting.push((node, value));
            return None;
        };
        let (sibling, other) = self.waiting.swap_remove(position);
        let (left, right) = if node.merges_with(sibling) { (value, other) } else { (other, value) };
        Some((node.parent(), left, right))
    }

    fn fail(&mut self, chunk: usize, failure: ChunkFailure<E>) {
        if self.failure.as_ref().is_none_or(|(first, _)| chunk < *first) {
            self.failure = Some((chunk, failure));
        }
    }
}

/// Merges `value` with its sibling, the result with its own, and so on, as far as they are
/// complete.
fn merge_upwards<R, E>(
    progress: &Mutex<WorkState<R, E>>,
    mut node: Node,
    mut value: R,
    merge: impl Fn(R, R) -> R,
) {
    loop {
        // The lock is released before the merge.
        let pair = progress.lock().pair(node, value);
        let Some((parent, left, right)) = pair else { return };
        (node, value) = (parent, merge(left, right));
    }
}

/// Continues a panic on the calling thread, with the number of the chunk if the payload is a text.
fn panic_again(stage: Stage, chunk: usize, chunks: usize, payload: Box<dyn Any + Send>) -> ! {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied());
    match text {
        Some(text) => match stage {
            Stage::Scratch => panic!("the scratch for chunk {chunk} of {chunks} panicked: {text}"),
            Stage::Chunk => panic!("chunk {chunk} of {chunks} panicked: {text}"),
            Stage::Merge => panic!("a merge after chunk {chunk} of {chunks} panicked: {text}"),
        },
        None => resume_unwind(payload),
    }
}
