//! The MPI job that this process is one of, if `mpirun` or its like has started it.
//!
//! Process 0 speaks, logs and saves; the others compute, and say nothing unless something fails. A process that fails ends the whole job.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

use phalanx::collective::{Op, Wire};

use super::failure::Failure;

/// This process among those of a job; a program started by itself is the only one.
pub(super) struct Job {
    #[cfg(feature = "mpi")]
    wire: Option<phalanx::collective::MpiWire>,
}

/// How many processes the launcher says there are: Open MPI, MPICH and what is made of it, Slurm.
const SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];

/// How many of them it says are on this host.
const LOCAL_SIZES: [&str; 3] = ["OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_NTASKS_PER_NODE"];

/// Which of them this is.
const RANKS: [&str; 3] = ["OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"];

/// The first of these variables that is a number.
fn number(variables: &[&str]) -> Option<usize> {
    variables.iter().find_map(|name| std::env::var(name).ok()?.parse().ok())
}

/// How many processes were started together.
fn started() -> usize {
    number(&SIZES).unwrap_or(1).max(1)
}

/// The processes of the job on this host, which share its cores.
pub(super) fn local_processes() -> usize {
    if started() > 1 { number(&LOCAL_SIZES).unwrap_or(1).max(1) } else { 1 }
}

/// The cores of this host, whatever this process is bound to; nothing where the system does not tell.
pub(super) fn online_cores() -> Option<usize> {
    let ranges = std::fs::read_to_string("/sys/devices/system/cpu/online").ok()?;
    let count = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(last.parse::<usize>().ok()? + 1 - first.parse::<usize>().ok()?)
    };
    ranges.trim().split(',').map(count).sum()
}

/// Refuses a command that would do the same in each process.
pub(super) fn refuse(command: &str) -> Result<(), Failure> {
    match started() {
        1 => Ok(()),
        size => Err(Failure::usage(format!(
            "{size} processes were started together, but {command} does not share its work; start it by itself, as only train and bench do"
        ))),
    }
}

/// Whether this process is one of several, and not the first.
pub(super) fn is_follower() -> bool {
    started() > 1 && number(&RANKS).is_some_and(|rank| rank > 0)
}

/// What a process says, which is marked if it is not the only one's.
pub(super) fn signed(text: impl Display) -> String {
    match number(&RANKS) {
        Some(rank) if started() > 1 => format!("process {rank}: {text}"),
        _ => text.to_string(),
    }
}

#[cfg(not(feature = "mpi"))]
impl Job {
    /// Stands alone, which is an error if others were started beside it.
    pub(super) fn join(_timeout: Option<Duration>) -> Result<Self, Failure> {
        match started() {
            size if size > 1 => Err(Failure::usage(format!(
                "{size} processes were started together, but this program is built without MPI, so that each would train by itself; build \
                 it with cargo build --release -p phalanx-cli --features mpi"
            ))),
            _ => Ok(Self {}),
        }
    }

    pub(super) fn processes(&self) -> usize {
        1
    }

    pub(super) fn wire(&mut self) -> Option<&mut dyn Wire> {
        None
    }

    /// Ends the command.
    pub(super) fn end(self, ended: Result<ExitCode, Failure>) -> Result<ExitCode, Failure> {
        ended
    }
}

#[cfg(feature = "mpi")]
impl Job {
    /// Joins the job, if there is one of several processes, and waits so long for them.
    pub(super) fn join(timeout: Option<Duration>) -> Result<Self, Failure> {
        let size = started();
        if size == 1 {
            return Ok(Self { wire: None });
        }
        let give_up = |source: &phalanx::collective::CollectiveError| {
            super::output::error(phalanx::train::TrainError::Processes { source: source.clone() });
        };
        let joined = leave_after(timeout, size);
        let mut wire = phalanx::collective::MpiWire::join(give_up)?;
        // Nobody hears it without a timeout.
        let _ = joined.send(());
        wire.set_timeout(timeout);
        if wire.processes() != size {
            return Err(Failure::usage(format!(
                "{size} processes were started together, but MPI knows of {}: this program is built for another MPI than that of the launcher \
                 (with srun, see --mpi)",
                wire.processes()
            )));
        }
        Ok(Self { wire: Some(wire) })
    }

    pub(super) fn processes(&self) -> usize {
        self.wire.as_ref().map_or(1, Wire::processes)
    }

    pub(super) fn wire(&mut self) -> Option<&mut dyn Wire> {
        self.wire.as_mut().map(|wire| wire as &mut dyn Wire)
    }

    pub(super) fn mpi(&mut self) -> Option<&mut phalanx::collective::MpiWire> {
        self.wire.as_mut()
    }

    /// Ends the command: in peace once all processes have, or all of them at once if it failed here.
    pub(super) fn end(self, ended: Result<ExitCode, Failure>) -> Result<ExitCode, Failure> {
        match (self.wire, ended) {
            (Some(wire), Err(failure)) => {
                let code = failure.code();
                failure.report();
                wire.abort(code.into())
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

impl Job {
    /// Whether this process speaks, logs and saves.
    pub(super) fn is_first(&mut self) -> bool {
        self.wire().is_none_or(|wire| wire.process() == 0)
    }

    /// Checks that all processes are about to do the same.
    pub(super) fn agree(&mut self, what: &str) -> Result<(), Failure> {
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
    pub(super) fn barrier(&mut self) -> Result<(), Failure> {
        match self.wire() {
            Some(wire) => Ok(phalanx::collective::ProcessCommunicator::new(wire).barrier()?),
            None => Ok(()),
        }
    }
}
