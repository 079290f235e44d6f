//! Where the first step of a run begins.

use super::snapshot::joined;
use super::{Plan, Position, Snapshot, TrainError};

/// Where the first step begins; by default, at the beginning.
#[derive(Default)]
pub(super) struct Start {
    pub(super) position: Position,
    /// The optimizer's whole state vectors; none at the beginning of a run.
    pub(super) state: Vec<Vec<f32>>,
    /// The whole best params so far; none if there are none.
    pub(super) best: Vec<f32>,
}

impl Start {
    /// Goes on from a snapshot, with its params.
    pub(super) fn of(snapshot: &Snapshot) -> (Vec<f32>, Self) {
        let state = (0..snapshot.state_names().len()).map(|index| joined(snapshot.state(index)));
        (
            joined(snapshot.params()),
            Self { position: *snapshot.position(), state: state.collect(), best: joined(snapshot.best()) },
        )
    }
}

/// Says whether a run of this plan could stand where the snapshot was taken, and has steps left.
pub(super) fn check(plan: &Plan, snapshot: &Snapshot) -> Result<(), TrainError> {
    let (found, expected) = (snapshot.state_names(), plan.hyper().state_names());
    if found != expected {
        let (kind, found) = (plan.hyper().kind(), found.to_vec());
        return Err(TrainError::ResumedState { kind, found, expected });
    }
    let of_state = (0..found.len()).map(|index| snapshot.state(index).map(<[f32]>::len).sum());
    let best = snapshot.has_best().then(|| snapshot.best().map(<[f32]>::len).sum());
    let mut lens = [snapshot.params().map(<[f32]>::len).sum()].into_iter().chain(of_state).chain(best);
    if let Some(found) = lens.find(|len: &usize| *len != plan.params_len()) {
        return Err(TrainError::ResumedParams { found, expected: plan.params_len() });
    }
    let (steps_per_epoch, batch_size) = (plan.steps_per_epoch(), plan.batch_size());
    let position = snapshot.position();
    let Position { step, epoch, batch, .. } = *position;
    if !position.fits(steps_per_epoch, batch_size as u64) {
        let samples = position.sums.samples;
        return Err(TrainError::ResumedPosition { step, epoch, batch, samples, steps_per_epoch, batch_size });
    }
    if plan.keep_best() && position.best.is_some() && !snapshot.has_best() {
        return Err(TrainError::ResumedBest);
    }
    if let Some(best) = position.best.filter(|best| plan.is_stale(best, epoch)) {
        return Err(TrainError::StoppedEarly { epoch, best: best.epoch + 1 });
    }
    if step >= plan.total_steps() {
        return Err(TrainError::NothingLeft { step, total: plan.total_steps() });
    }
    Ok(())
}
