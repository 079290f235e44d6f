//! Tells waiting from work.

use std::time::{Duration, Instant};

use super::super::PhaseTimes;

/// Tells the waiting before and after a round from the work within.
pub(super) struct Watch {
    mark: Instant,
    wait: Duration,
    work: Duration,
}

impl Watch {
    pub(super) fn start() -> Self {
        Self { mark: Instant::now(), wait: Duration::ZERO, work: Duration::ZERO }
    }

    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.mark, now)
    }

    pub(super) fn opened(mut self) -> Self {
        let lap = self.lap();
        self.wait += lap;
        self
    }

    pub(super) fn worked(mut self) -> Self {
        let lap = self.lap();
        self.work += lap;
        self
    }

    /// Counts as waiting what was taken for work.
    pub(super) fn less(mut self, waited: Duration) -> Self {
        self.work = self.work.saturating_sub(waited);
        self.wait += waited;
        self
    }

    pub(super) fn closed(mut self, times: &mut PhaseTimes) {
        let lap = self.lap();
        self.wait += lap;
        times.wait += self.wait;
        times.reduce_update += self.work;
    }
}
