//! A wire over MPI, which clusters already provide.
//!
//! Only the point-to-point messages of MPI are used: its reductions do not guarantee the order of
//! their operands. rsmpi, the crate `mpi`, has no error handlers: an error inside MPI ends the job.
//! MPI does not detect a process that is alive but does not respond; the timeout of [`MpiWire`]
//! does, by polling for messages instead of blocking on them.

use super::arithmetic::Op;
use super::error::{CollectiveError, Difference};
use super::wire::{Incoming, Outgoing, Wire};
use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::environment::Universe;
use mpi::request::{RequestCollection, multiple_scope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{
    Communicator as _, CommunicatorCollectives as _, Destination as _, Equivalence, Source as _,
};
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

/// A process of an MPI job, started by `mpirun`. Requires the feature `mpi`.
///
/// Create it once per process, and call [`finish`](Self::finish) on the thread that created it; in
/// between, any one thread at a time may use it: MPI is initialized with `MPI_THREAD_SERIALIZED`.
/// Messages use `MPI_COMM_WORLD` with a dedicated tag.
///
/// # Processes that do not respond
/// MPI cannot cancel a message that it has begun to transfer. So where other wires return
/// [`TimedOut`](CollectiveError::TimedOut), or an error for a message whose length differs from its
/// buffer, this one reports the cause to the function passed to [`join`](Self::join), and then
/// aborts the whole job with `MPI_Abort`: [`exchange`](Wire::exchange) does not return. The timeout
/// is measured from the beginning of an exchange.
///
/// # Dropping
/// A process that is done must call [`finish`](Self::finish). If it drops its wire before that,
/// because of an error or a panic, it aborts the job, because the other processes would wait for it
/// forever.
///
/// # Cost
/// While it waits for other processes it polls: for about 50 µs without a pause, then yielding its
/// core between polls, and after 5 ms once every 50 µs.
///
/// # Examples
/// ```no_run
/// use phalanx_collective::{MpiWire, Op, ProcessCommunicator, Wire};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut wire = MpiWire::join(|cause| eprintln!("error: {cause}"))?;
/// wire.set_timeout(Some(std::time::Duration::from_secs(60)));
/// let mut values = [wire.process() as f64];
/// ProcessCommunicator::new(&mut wire).all_reduce(&mut values, Op::Sum)?;
/// println!("{values:?} on each of {}", wire.processes());
/// wire.finish();
/// # Ok(())
/// # }
/// ```
pub struct MpiWire {
    /// `None` once the wire is finished.
    universe: Option<Universe>,
    process: usize,
    processes: usize,
    timeout: Option<Duration>,
    /// Called with the cause before the job is aborted.
    report: Box<dyn Fn(&CollectiveError) + Send>,
}

/// The reason why a process cannot join an MPI job.
///
/// # Examples
/// ```no_run
/// use phalanx_collective::{MpiError, MpiWire};
///
/// let first = MpiWire::join(|_| ()).unwrap();
/// assert_eq!(MpiWire::join(|_| ()).unwrap_err(), MpiError::JoinedBefore);
/// first.finish();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MpiError {
    /// MPI can only be initialized once per process.
    JoinedBefore,
    /// The MPI library was built for single-threaded programs.
    NoThreads,
}

/// The maximum number of bytes per message, as MPI counts in an `int`: longer messages are sent in
/// pieces.
const PIECE: usize = 1 << 30;
/// Distinguishes these messages from others in the same job.
const TAG: i32 = 0x5048;
/// A wait polls without a pause for `SPIN`, then yields between polls until `YIELD`, then sleeps
/// for `NAP` between polls.
const SPIN: Duration = Duration::from_micros(50);
const YIELD: Duration = Duration::from_millis(5);
const NAP: Duration = Duration::from_micros(50);

impl MpiWire {
    /// Initializes MPI. `report` is called with the cause if this process aborts the job because
    /// another process does not respond.
    ///
    /// # Errors
    /// [`MpiError`].
    pub fn join(report: impl Fn(&CollectiveError) + Send + 'static) -> Result<Self, MpiError> {
        let started = mpi::initialize_with_threading(Threading::Serialized);
        let (universe, threading) = started.ok_or(MpiError::JoinedBefore)?;
        if threading < Threading::Serialized {
            return Err(MpiError::NoThreads);
        }
        let world = universe.world();
        let (process, processes) = (world.rank() as usize, world.size() as usize);
        Ok(Self { universe: Some(universe), process, processes, timeout: None, report: Box::new(report) })
    }

    /// Leaves the job; returns once all processes have left.
    pub fn finish(mut self) {
        drop(self.universe.take());
    }

    /// Reduces `from` over all processes into `to` with `MPI_Allreduce`, which does not guarantee
    /// the order of its operands; for comparison. A mean is computed as a sum.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn all_reduce_by_mpi<T: Equivalence>(&self, from: &[T], to: &mut [T], op: Op) {
        assert_eq!(from.len(), to.len(), "the number of results differs from the number of operands");
        let operation = match op {
            Op::Sum | Op::Mean => SystemOperation::sum(),
            Op::Min => SystemOperation::min(),
            Op::Max => SystemOperation::max(),
            Op::Product => SystemOperation::product(),
        };
        SimpleCommunicator::world().all_reduce_into(from, to, operation);
    }

    /// Ends all processes of the job at once; the exit status of this one is `status`.
    pub fn abort(&self, status: i32) -> ! {
        SimpleCommunicator::world().abort(status)
    }

    /// Waits until all requests of `peers` are done, or until the timeout.
    fn wait(
        &self,
        requests: &mut RequestCollection<'_, [u8]>,
        peers: &[Peer],
    ) -> Result<(), CollectiveError> {
        let begun = Instant::now();
        let mut pending = vec![true; peers.len()];
        let mut left = peers.len();
        while left > 0 {
            // Not `test_some`: in rsmpi 0.8 it returns the statuses of other requests.
            if let Some((index, status, _)) = requests.test_any() {
                pending[index] = false;
                left -= 1;
                let (peer, found) = (peers[index], status.count(u8::equivalent_datatype()) as usize);
                if peer.receives && found != peer.len {
                    let difference = Difference::Len { expected: peer.len, found };
                    return Err(CollectiveError::Mismatch {
                        rank: peer.process,
                        difference: difference.to_string(),
                    });
                }
                continue;
            }
            let waited = begun.elapsed();
            if self.timeout.is_some_and(|timeout| waited > timeout) {
                return Err(CollectiveError::TimedOut { waited, missing: missing(peers, &pending) });
            }
            match waited {
                waited if waited < SPIN => std::hint::spin_loop(),
                waited if waited < YIELD => thread::yield_now(),
                _ => thread::sleep(NAP),
            }
        }
        Ok(())
    }
}

/// The processes of the requests that are pending.
fn missing(peers: &[Peer], pending: &[bool]) -> Vec<usize> {
    let pending = peers.iter().zip(pending).filter(|(_, pending)| **pending);
    let mut missing: Vec<_> = pending.map(|(peer, _)| peer.process).collect();
    missing.sort_unstable();
    missing.dedup();
    missing
}

/// The message that a request transfers.
#[derive(Clone, Copy)]
struct Peer {
    process: usize,
    receives: bool,
    len: usize,
}

impl Wire for MpiWire {
    fn process(&self) -> usize {
        self.process
    }

    fn processes(&self) -> usize {
        self.processes
    }

    fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout;
    }

    fn exchange(
        &mut self,
        outgoing: &[Outgoing<'_>],
        incoming: &mut [Incoming<'_>],
    ) -> Result<(), CollectiveError> {
        let world = SimpleCommunicator::world();
        let mut peers = Vec::with_capacity(outgoing.len() + incoming.len());
        multiple_scope(outgoing.len() + incoming.len(), |scope, requests| {
            for Incoming { from, bytes } in incoming {
                assert_ne!(*from, self.process, "a process receives nothing from itself");
                for piece in pieces_mut(bytes) {
                    peers.push(Peer { process: *from, receives: true, len: piece.len() });
                    let from = world.process_at_rank(*from as i32);
                    requests.add(from.immediate_receive_into_with_tag(scope, piece, TAG));
                }
            }
            for Outgoing { to, bytes } in outgoing {
                assert_ne!(*to, self.process, "a process sends nothing to itself");
                for piece in pieces(bytes) {
                    peers.push(Peer { process: *to, receives: false, len: piece.len() });
                    let to = world.process_at_rank(*to as i32);
                    requests.add(to.immediate_send_with_tag(scope, piece, TAG));
                }
            }
            if let Err(cause) = self.wait(requests, &peers) {
                (self.report)(&cause);
                self.abort(1);
            }
        });
        Ok(())
    }
}

/// The pieces of a message; a single one if it is empty.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.is_empty().then_some(bytes).into_iter().chain(bytes.chunks(PIECE))
}

/// The same as [`pieces`], for writing.
fn pieces_mut(bytes: &mut [u8]) -> impl Iterator<Item = &mut [u8]> {
    let empty = bytes.is_empty().then_some([].as_mut_slice());
    empty.into_iter().chain(bytes.chunks_mut(PIECE))
}

impl Drop for MpiWire {
    fn drop(&mut self) {
        if self.universe.is_some() && self.processes > 1 {
            self.abort(1);
        }
    }
}

impl fmt::Debug for MpiWire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, processes, timeout, .. } = self;
        f.debug_struct("MpiWire")
            .field("process", process)
            .field("processes", processes)
            .field("timeout", timeout)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for MpiError {}

impl fmt::Display for MpiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::JoinedBefore => "this process has already joined an MPI job; reuse the existing wire",
            Self::NoThreads => {
                "the MPI library does not support calls from threads (MPI_THREAD_SERIALIZED); use Open MPI 4.1 or MPICH 4.0, or later"
            }
        })
    }
}
