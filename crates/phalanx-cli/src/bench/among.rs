//! The first processes of a job, which do something while the others wait.

use std::time::Duration;

use phalanx::collective::{CollectiveError, Incoming, Outgoing, Wire};

/// The first `processes` of those of a wire, for one of them.
pub(super) struct Among<'w> {
    pub(super) wire: &'w mut dyn Wire,
    pub(super) processes: usize,
}

impl Wire for Among<'_> {
    fn process(&self) -> usize {
        self.wire.process()
    }

    fn processes(&self) -> usize {
        self.processes
    }

    fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.wire.set_timeout(timeout);
    }

    fn exchange(
        &mut self,
        outgoing: &[Outgoing<'_>],
        incoming: &mut [Incoming<'_>],
    ) -> Result<(), CollectiveError> {
        self.wire.exchange(outgoing, incoming)
    }
}
