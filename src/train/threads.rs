//! The threads of a process: one a rank, all joined.

use std::thread;

use super::TrainError;
use super::ranks::Ranks;
use super::run::Run;
use super::subscriber::Audience;
use super::teller::teller;
use super::worker::{Finished, Worker};
use crate::model::Model;

/// Runs one thread for each rank of this process, hears the events of the first, and joins all.
pub(super) fn train_on<M: Model>(
    run: &Run<'_, M>,
    all: Vec<Ranks<'_>>,
    audience: &mut Audience<'_>,
) -> Result<Vec<Finished>, TrainError> {
    thread::scope(|scope| {
        let (teller, hearer) = teller(audience.wants_params());
        let mut teller = Some(teller);
        let mut threads = Vec::with_capacity(all.len());
        for ranks in all {
            let (rank, events) = (ranks.rank(), teller.take());
            let work = move || Worker::new(run, ranks, events).run();
            let thread = thread::Builder::new().name(format!("rank {rank}")).spawn_scoped(scope, work);
            threads.push(thread.map_err(|source| TrainError::Spawn { rank, source })?);
        }
        hearer.hear(audience, &run.quit);
        let ends = threads.into_iter().enumerate().map(|(thread, handle)| match handle.join() {
            Ok(end) => end,
            Err(payload) => {
                let (rank, last) = (run.plan.place().rank(thread), run.whereabouts[thread].last());
                Err(TrainError::panicked(rank, last, payload.as_ref()))
            }
        });
        settle(ends.collect())
    })
}

/// All ends if all are good; otherwise the error that caused the others.
fn settle(ends: Vec<Result<Finished, TrainError>>) -> Result<Vec<Finished>, TrainError> {
    let (good, bad): (Vec<_>, Vec<_>) = ends.into_iter().partition(Result::is_ok);
    match bad.into_iter().filter_map(Result::err).min_by_key(TrainError::remoteness) {
        Some(error) => Err(error),
        None => Ok(good.into_iter().flatten().collect()),
    }
}
