//! The processes of an MPI job, if a launcher such as `mpirun` has started several.
//!
//! Process 0 reports, logs and saves; the others only compute, and print nothing except errors. A
//! process that fails ends the whole job.

use std::process::ExitCode;
use std::time::Duration;

use phalanx::collective::{Op, Wire};

use super::failure::{Failure, usage};
use super::launcher::started;

/// The processes of a job, as seen from this one; without a launcher it is the only one.
pub struct ProcessGroup {
    #[cfg(feature = "mpi")]
    wire: Option<phalanx::collective::MpiWire>,
}

#[cfg(not(feature = "mpi"))]
impl ProcessGroup {
    /// Returns a group with a single process; fails if others were started too.
    pub fn join(_timeout: Option<Duration>) -> Result<Self, Failure> {
        match started() {
            size if size > 1 => Err(usage!(
                "{size} processes were started together, but this program is built without MPI, so each of them would train alone; build \
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
    /// Joins the job if it has several processes, and waits up to `timeout` for them.
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
        // Without a timeout there is no receiver.
        let _ = joined.send(());
        wire.set_timeout(timeout);
        if wire.processes() != size {
            return Err(usage!(
                "{size} processes were started together, but MPI reports {}: this program was built with a different MPI from the launcher's \
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

    /// Ends the command: normally once all processes have ended, or by aborting all of them if it
    /// failed here.
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

/// Ends this process, and with it the job, unless a message is sent in time: MPI itself waits
/// forever for processes that do not start.
#[cfg(feature = "mpi")]
fn leave_after(timeout: Option<Duration>, size: usize) -> std::sync::mpsc::Sender<()> {
    use std::sync::mpsc::{RecvTimeoutError, channel};
    let (sender, receiver) = channel();
    if let Some(timeout) = timeout {
        std::thread::spawn(move || {
            if receiver.recv_timeout(timeout) == Err(RecvTimeoutError::Timeout) {
                super::output::error(format!(
                    "waited {timeout:?}, but not all of the {size} processes have started; find the cause or set a longer timeout"
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

    /// Checks that all processes are about to do the same thing.
    pub fn agree(&mut self, what: &str) -> Result<(), Failure> {
        let Some(wire) = self.wire() else { return Ok(()) };
        let mut sums = [u64::from(crc32c::crc32c(what.as_bytes())); 2];
        sums[1] = !sums[0];
        phalanx::collective::ProcessCommunicator::new(wire).all_reduce(&mut sums, Op::Min)?;
        if sums[0] == !sums[1] {
            return Ok(());
        }
        Err(anyhow::anyhow!(
            "the processes are about to do different things; this process: {what}; check that the output folder, or the run, is in a folder \
             that all hosts share"
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
