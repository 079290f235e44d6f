//! The processes of an MPI job, if `mpirun` or its like has started this one as one of several.
//!
//! Process 0 reports, logs and saves; the others compute, and print nothing unless something fails. A process that fails ends the whole job.

use std::process::ExitCode;
use std::time::Duration;

use phalanx::collective::{Op, Wire};

use super::failure::{Failure, usage};
use super::launcher::started;

/// This process among those of a job; a program started by itself is the only one.
pub struct ProcessGroup {
    #[cfg(feature = "mpi")]
    wire: Option<phalanx::collective::MpiWire>,
}

#[cfg(not(feature = "mpi"))]
impl ProcessGroup {
    /// Returns the only process; it is an error if others were started, too.
    pub fn join(_timeout: Option<Duration>) -> Result<Self, Failure> {
        match started() {
            size if size > 1 => Err(usage!(
                "{size} processes were started together, but this program is built without MPI, so that each would train by itself; build \
                 it with cargo build --release -p phalanx-cli --features mpi"
            )),
            _ => Ok(Self {}),
        }
    }

    pub fn processes(&self) -> usize {
        1
    }

    pub fn wire(&mut self) -> Option<&mut dyn Wire> {
        None
    }

    /// Ends the command.
    pub fn end(self, ended: Result<ExitCode, Failure>) -> Result<ExitCode, Failure> {
        ended
    }
}

#[cfg(feature = "mpi")]
impl ProcessGroup {
    /// Joins the job, if there is one of several processes, and waits so long for them.
    pub fn join(timeout: Option<Duration>) -> Result<Self, Failure> {
        let size = started();
        if size == 1 {
            return Ok(Self { wire: None });
        }
        let give_up = |source: &phalanx::collective::CollectiveError| {
            super::output::error(phalanx::train::TrainError::Processes { source: source.clone() });
        };
        let joined = leave_after(timeout, size);
        let mut wire = phalanx::collective::MpiWire::join(give_up)?;
        // Nobody receives it without a timeout.
        let _ = joined.send(());
        wire.set_timeout(timeout);
        if wire.processes() != size {
            return Err(usage!(
                "{size} processes were started together, but MPI knows of {}: this program is built for another MPI than that of the launcher \
                 (with srun, see --mpi)",
                wire.processes()
            ));
        }
        Ok(Self { wire: Some(wire) })
    }

    pub fn processes(&self) -> usize {
        self.wire.as_ref().map_or(1, Wire::processes)
    }

    pub fn wire(&mut self) -> Option<&mut dyn Wire> {
        self.wire.as_mut().map(|wire| wire as &mut dyn Wire)
    }

    pub fn mpi(&mut self) -> Option<&mut phalanx::collective::MpiWire> {
        self.wire.as_mut()
    }

    /// Ends the command: in peace once all processes have, or all of them at once if it failed here.
    pub fn end(self, ended: Result<ExitCode, Failure>) -> Result<ExitCode, Failure> {
        match (self.wire, ended) {
            (Some(wire), Err(failure)) => {
                super::output::fail(&failure);
                wire.abort(failure.code().into())
            }
            (Some(wire), Ok(code)) => {
                let code = if wire.process() == 0 { code } else { ExitCode::SUCCESS };
                wire.finish();
                Ok(code)
            }
            (None, ended) => ended,
        }
    }
}

/// Ends this process, and so the job, unless something is sent in time: MPI itself waits without limit for processes that do not start.
#[cfg(feature = "mpi")]
fn leave_after(timeout: Option<Duration>, size: usize) -> std::sync::mpsc::Sender<()> {
    use std::sync::mpsc::{RecvTimeoutError, channel};
    let (sender, receiver) = channel();
    if let Some(timeout) = timeout {
        std::thread::spawn(move || {
            if receiver.recv_timeout(timeout) == Err(RecvTimeoutError::Timeout) {
                super::output::error(format!(
                    "waited {timeout:?}, but not all of the {size} processes have started; find what holds them up or set a longer timeout"
                ));
                std::process::exit(1);
            }
        });
    }
    sender
}

impl ProcessGroup {
    /// Returns whether this process reports, logs and saves.
    pub fn is_first(&mut self) -> bool {
        self.wire().is_none_or(|wire| wire.process() == 0)
    }

    /// Checks that all processes are about to do the same.
    pub fn agree(&mut self, what: &str) -> Result<(), Failure> {
        let Some(wire) = self.wire() else { return Ok(()) };
        let mut sums = [u64::from(crc32c::crc32c(what.as_bytes())); 2];
        sums[1] = !sums[0];
        phalanx::collective::ProcessCommunicator::new(wire).all_reduce(&mut sums, Op::Min)?;
        if sums[0] == !sums[1] {
            return Ok(());
        }
        Err(anyhow::anyhow!(
            "the processes find different things to do, here: {what}; is the output folder, or the run, in a folder that all hosts see?"
        )
        .into())
    }

    /// Waits for all processes.
    pub fn barrier(&mut self) -> Result<(), Failure> {
        match self.wire() {
            Some(wire) => Ok(phalanx::collective::ProcessCommunicator::new(wire).barrier()?),
            None => Ok(()),
        }
    }
}
