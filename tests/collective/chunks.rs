//! Ordered sums: the same result for any number of threads and any timing, a bounded number of
//! results at a time, and failures that name the first chunk.

use crate::ranks::Random;
use phalanx_collective::reference::combine_in_tree;
use phalanx_collective::{ChunkError, map_reduce, segment, sum_chunks};
use proptest::prelude::*;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread::yield_now;

fn show(left: String, right: String) -> String {
    format!("({left} {right})")
}

fn name(chunk: usize) -> Result<String, Infallible> {
    Ok(chunk.to_string())
}

/// Lets the threads overtake each other.
fn delay(seed: usize, chunk: usize) {
    let mut random = Random((seed * 1000 + chunk) as u64);
    (0..random.below(3)).for_each(|_| yield_now());
}

#[test]
fn the_tree_is_the_same_for_any_number_of_threads_and_any_timing() {
    for chunks in 1..=40 {
        let expected = combine_in_tree((0..chunks).map(|chunk| chunk.to_string()).collect(), show);
        for threads in 1_usize..=5 {
            let map = |(): &mut (), chunk| {
                delay(threads, chunk);
                name(chunk)
            };
            let found = map_reduce(threads, chunks, || (), map, show);
            assert_eq!(found.unwrap().unwrap(), expected, "{chunks} chunks, {threads} threads");
        }
    }
}

#[test]
fn without_chunks_there_is_no_result_and_a_sum_is_zero() {
    assert_eq!(map_reduce(3, 0, || (), |(), chunk| name(chunk), show), Ok(None));
    let mut out = [5.0, 6.0];
    sum_chunks(3, 0, &mut out, || (), |(), _, _| Ok::<_, Infallible>(())).unwrap();
    assert_eq!(out, [0.0, 0.0]);
}

proptest! {
    #[test]
    fn a_sum_has_the_bits_of_the_tree_for_any_number_of_threads(
        values in prop::collection::vec(prop::collection::vec(any::<f32>(), 3), 1..60),
        chunks in 1_usize..20,
    ) {
        let sum_of = |chunk: usize, sum: &mut [f32]| {
            for row in &values[segment(values.len(), chunks, chunk)] {
                sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
        };
        let leaves: Vec<_> = (0..chunks)
            .map(|chunk| {
                let mut sum = vec![0.0; 3];
                sum_of(chunk, &mut sum);
                sum
            })
            .collect();
        let add = |left: Vec<f32>, right: Vec<f32>| left.iter().zip(&right).map(|(l, r)| l + r).collect();
        // The payload of a NaN is not specified.
        let bits = |values: &[f32]| -> Vec<Option<u32>> {
            values.iter().map(|value| (!value.is_nan()).then(|| value.to_bits())).collect()
        };
        let expected = bits(&combine_in_tree(leaves, add));
        for threads in 1_usize..=4 {
            let mut out = [7.0; 3];
            let add = |(): &mut (), chunk, sum: &mut [f32]| {
                delay(threads, chunk);
                sum_of(chunk, sum);
                Ok::<_, Infallible>(())
            };
            sum_chunks(threads, chunks, &mut out, || (), add).unwrap();
            prop_assert_eq!(bits(&out), expected.clone());
        }
    }
}

#[test]
fn every_thread_makes_its_scratch_at_most_once_and_reuses_it() {
    let made = AtomicUsize::new(0);
    let scratch = || {
        made.fetch_add(1, Ordering::Relaxed);
        0
    };
    let count = |used: &mut usize, _| {
        *used += 1;
        Ok::<_, Infallible>(*used)
    };
    let most = map_reduce(3, 100, scratch, count, usize::max).unwrap().unwrap();
    assert!((1..=3).contains(&made.load(Ordering::Relaxed)));
    assert!(most >= 34, "three threads share 100 chunks, but none had more than {most}");
}

/// A result that counts how many exist.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(alive: &'a AtomicUsize) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self(alive)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn a_slow_first_chunk_does_not_make_the_results_pile_up() {
    const CHUNKS: usize = 1000;
    let (alive, most, done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(1));
    let map = |(): &mut (), chunk| {
        if chunk == 0 {
            while done.load(Ordering::Acquire) < CHUNKS {
                yield_now();
            }
        }
        let result = Counted::new(&alive);
        most.fetch_max(alive.load(Ordering::Relaxed), Ordering::Relaxed);
        done.fetch_add(1, Ordering::Release);
        Ok::<_, Infallible>(result)
    };
    drop(map_reduce(2, CHUNKS, || (), map, |left, _| left).unwrap());
    let bound = 2 * (2 * CHUNKS.ilog2() as usize + 1);
    assert!(most.load(Ordering::Relaxed) <= bound, "{most:?} results existed at a time, expected {bound}");
    assert_eq!(alive.into_inner(), 0);
}

#[test]
fn the_error_is_that_of_the_first_chunk_that_fails_even_if_a_later_one_fails_before() {
    let (failed, has_failed) = mpsc::channel();
    let (failed, has_failed) = (Mutex::new(failed), Mutex::new(has_failed));
    let map = |(): &mut (), chunk| match chunk {
        3 => {
            has_failed.lock().unwrap().recv().unwrap();
            Err("the earlier")
        }
        4 => {
            failed.lock().unwrap().send(()).unwrap();
            Err("the later")
        }
        _ => Ok(chunk),
    };
    let error = map_reduce(2, 9, || (), map, |left, right| left + right).unwrap_err();
    assert_eq!(error, ChunkError::Failed { chunk: 3, chunks: 9, source: "the earlier" });
    assert_eq!(error.to_string(), "chunk 3 of 9 failed: the earlier");
}

#[test]
fn no_chunk_is_started_after_a_failure_and_the_values_stay() {
    let (started, mut out) = (AtomicUsize::new(0), [1.0, 2.0]);
    let add = |(): &mut (), chunk, sum: &mut [f64]| {
        started.fetch_add(1, Ordering::Relaxed);
        sum.fill(9.0);
        if chunk == 2 { Err("broken") } else { Ok(()) }
    };
    let error = sum_chunks(1, 100, &mut out, || (), add).unwrap_err();
    assert_eq!(error, ChunkError::Failed { chunk: 2, chunks: 100, source: "broken" });
    assert_eq!((started.into_inner(), out), (3, [1.0, 2.0]));
}

fn panic_text(call: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(call)).unwrap_err();
    payload.downcast_ref::<String>().expect("the payload is a text").clone()
}

#[test]
fn a_panic_names_its_chunk_whether_in_the_chunk_the_scratch_or_a_merge() {
    for threads in [1_usize, 2] {
        let map = |(): &mut (), chunk| if chunk == 5 { panic!("index 7") } else { name(chunk) };
        let text = panic_text(|| drop(map_reduce(threads, 8, || (), map, show)));
        assert_eq!(text, "chunk 5 of 8 panicked: index 7");
        let text = panic_text(|| drop(map_reduce(threads, 1, || panic!("no memory"), map, show)));
        assert_eq!(text, "the scratch for chunk 0 of 1 panicked: no memory");
        let merge = |_, _| panic!("no sum");
        let text = panic_text(|| drop(map_reduce(threads, 2, || (), |(), chunk| name(chunk), merge)));
        assert!(
            text.starts_with("a merge after chunk ") && text.ends_with(" of 2 panicked: no sum"),
            "{text}"
        );
    }
}

#[test]
fn a_payload_that_is_not_a_text_is_resumed() {
    let map = |(): &mut (), _| -> Result<(), Infallible> { std::panic::panic_any(17) };
    let call = || map_reduce(2, 3, || (), map, |(), ()| ());
    assert_eq!(catch_unwind(call).unwrap_err().downcast_ref::<i32>(), Some(&17));
}

#[test]
fn zero_threads_are_refused() {
    let error = map_reduce(0, 3, || (), |(), chunk| name(chunk), show).unwrap_err();
    assert_eq!(error.to_string(), "0 threads were requested; use 1 or more");
}

#[test]
fn the_tasks_of_a_pool_need_not_run_at_the_same_time() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let eight_tasks = |work: &(dyn Fn() + Sync)| {
        pool.scope(|scope| (0..8).for_each(|_| scope.spawn(|_| work())));
    };
    let found = map_reduce(eight_tasks, 11, || (), |(), chunk| name(chunk), show);
    let expected = combine_in_tree((0..11).map(|chunk| chunk.to_string()).collect(), show);
    assert_eq!(found, Ok(Some(expected)));
}

#[test]
fn the_calling_thread_computes_what_the_threads_of_a_function_leave() {
    let no_thread = |_: &(dyn Fn() + Sync)| {};
    assert_eq!(map_reduce(no_thread, 3, || (), |(), chunk| name(chunk), show).unwrap().unwrap(), "((0 1) 2)");
}

#[test]
fn a_sum_of_flags_is_their_or() {
    let mut found = [false; 3];
    let add = |(): &mut (), chunk: usize, sum: &mut [bool]| {
        sum[chunk % 2] = true;
        Ok::<_, Infallible>(())
    };
    sum_chunks(2, 7, &mut found, || (), add).unwrap();
    assert_eq!(found, [true, true, false]);
}
