//! A service on tokio: the ranks of a new world compute each request, until a deadline.
//!
//! A collective call blocks its thread, so the ranks run with `spawn_blocking`. When a request is
//! dropped, because its deadline has passed or its client has disconnected, an `AbortHandle` aborts
//! the world: the current or next call of every rank returns `Aborted`, and its thread is free.
//!
//! Run with `cargo run --release --example tokio_service`.

use phalanx::collective::{AbortHandle, CollectiveError, Communicator, Op, World, segment};
use std::error::Error;
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;
use tokio::{runtime::Builder, task::spawn_blocking, time};

const MINUTE: Duration = Duration::from_secs(60);
const SUM: usize = 999 * 1000 * 1999 / 6;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    // A thread for every rank of the requests that run at the same time. With fewer, two requests
    // could each have threads for some of their ranks, and wait for more until their deadlines.
    let runtime = Builder::new_current_thread().enable_time().max_blocking_threads(1 + 2 + 3 + 4).build()?;
    let requests = [1, 2, 3, 4].map(|ranks| runtime.spawn(run(ranks, MINUTE, sum_squares)));
    for (request, ranks) in requests.into_iter().zip(1..) {
        assert_eq!(runtime.block_on(request)??, vec![SUM; ranks]);
    }
    // Rank 1 does not arrive before its request has been dropped.
    let dropped = Arc::new(Barrier::new(2));
    let (gate, (sender, results)) = (Arc::clone(&dropped), mpsc::channel());
    let stalled = move |rank: &mut Communicator| {
        if rank.rank() == 1 {
            gate.wait();
        }
        let result = sum_squares(rank);
        sender.send(result.clone()).expect("the receiver exists");
        result
    };
    let end = runtime.block_on(run(3, Duration::from_millis(20), stalled));
    assert!(end.is_err_and(|error| error.is::<time::error::Elapsed>()));
    dropped.wait();
    let aborted = CollectiveError::Aborted { reason: "the request was dropped".into() };
    assert_eq!(results.iter().collect::<Vec<_>>(), vec![Err(aborted.clone()); 3]);
    assert_eq!(runtime.block_on(run(4, MINUTE, sum_squares))?, [SUM; 4]);
    println!("1 to 4 ranks: {SUM}; one does not arrive: {aborted}; the next request: {SUM}");
    Ok(())
}

/// Runs `work` on every rank and returns the results in rank order, or an error after `limit`.
async fn run<R: Send + 'static>(
    ranks: usize,
    limit: Duration,
    work: impl Fn(&mut Communicator) -> Result<R, CollectiveError> + Clone + Send + 'static,
) -> Result<Vec<R>, Box<dyn Error + Send + Sync>> {
    let deadline = time::Instant::now() + limit;
    let world = World::new(ranks)?;
    let _abort = AbortOnDrop(world.abort_handle());
    let mut tasks = Vec::new();
    for mut rank in world.communicators() {
        let work = work.clone();
        tasks.push(spawn_blocking(move || work(&mut rank)));
    }
    let mut results = Vec::new();
    for task in tasks {
        results.push(time::timeout_at(deadline, task).await???);
    }
    Ok(results)
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort("the request was dropped"); // No effect if the ranks have ended.
    }
}

fn sum_squares(rank: &mut Communicator) -> Result<usize, CollectiveError> {
    let own = segment(1000, rank.world_size(), rank.rank()).map(|number| number * number).sum();
    rank.all_reduce_value(own, Op::Sum)
}
