//! The wire over which processes send bytes to each other, and a wire between the threads of one
//! process.

use super::error::{CollectiveError, Difference};
use bytemuck::Pod;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use std::fmt;
use std::ops::Range;
use std::time::{Duration, Instant};

/// A message to another process.
///
/// # Examples
/// See [`LocalWire`].
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    /// The receiving process.
    pub to: usize,
    /// The message.
    pub bytes: &'a [u8],
}

/// A buffer for a message from another process.
///
/// # Examples
/// See [`LocalWire`].
pub struct Incoming<'a> {
    /// The sending process.
    pub from: usize,
    /// The buffer, of the same length as the message.
    pub bytes: &'a mut [u8],
}

/// One process's end of the connections between the processes of a job, which are numbered from 0.
///
/// Messages from one process to another arrive in the order in which they were sent: the k-th
/// message sent is the k-th received, and must have the length of its buffer. Nothing is combined
/// on the wire, so results do not depend on when messages arrive.
///
/// # Examples
///
/// Code that runs over any wire:
/// ```
/// use phalanx_collective::{CollectiveError, Incoming, Outgoing, Wire};
///
/// /// Sends each process's number to all others.
/// fn numbers(wire: &mut dyn Wire, own: u8) -> Result<Vec<u8>, CollectiveError> {
///     let (process, message, mut all) = (wire.process(), [own], vec![0; wire.processes()]);
///     all[process] = own;
///     let others = (0..all.len()).filter(|other| *other != process);
///     let outgoing: Vec<_> = others.map(|to| Outgoing { to, bytes: &message }).collect();
///     let buffers = all.chunks_mut(1).enumerate().filter(|(other, _)| *other != process);
///     let mut incoming: Vec<_> = buffers.map(|(from, bytes)| Incoming { from, bytes }).collect();
///     wire.exchange(&outgoing, &mut incoming)?;
///     Ok(all)
/// }
/// ```
pub trait Wire: Send {
    /// Returns the number of this process, from 0.
    fn process(&self) -> usize;

    /// Returns the number of processes.
    fn processes(&self) -> usize;

    /// Sets how long [`exchange`](Self::exchange) waits for other processes; `None`, the default,
    /// means no time limit.
    fn set_timeout(&mut self, timeout: Option<Duration>);

    /// Sends all of `outgoing` and receives all of `incoming`; returns when both are done.
    ///
    /// # Errors
    /// [`Left`](CollectiveError::Left) if a process that this one waits for is gone,
    /// [`TimedOut`](CollectiveError::TimedOut), [`Mismatch`](CollectiveError::Mismatch) if the
    /// length of a message differs from its buffer. The ranks in these errors are processes. After
    /// an error the contents of the buffers are meaningless, and the wire must not be used again.
    ///
    /// # Panics
    /// If a message is addressed to, or expected from, this process itself or a process that does
    /// not exist.
    fn exchange(
        &mut self,
        outgoing: &[Outgoing<'_>],
        incoming: &mut [Incoming<'_>],
    ) -> Result<(), CollectiveError>;
}

/// A borrowed wire is also a wire.
impl<W: Wire + ?Sized> Wire for &mut W {
    fn process(&self) -> usize {
        (**self).process()
    }

    fn processes(&self) -> usize {
        (**self).processes()
    }

    fn set_timeout(&mut self, timeout: Option<Duration>) {
        (**self).set_timeout(timeout);
    }

    fn exchange(
        &mut self,
        outgoing: &[Outgoing<'_>],
        incoming: &mut [Incoming<'_>],
    ) -> Result<(), CollectiveError> {
        (**self).exchange(outgoing, incoming)
    }
}

impl fmt::Debug for Outgoing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes for process {}", self.bytes.len(), self.to)
    }
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes from process {}", self.bytes.len(), self.from)
    }
}

/// Copies each process's own part of its values to all processes; `part(p)` is the part of process
/// `p`, and the parts are in ascending order.
///
/// # Errors
/// Those of [`Wire::exchange`].
///
/// # Panics
/// If a part starts before the previous one ends, or ends after the values.
///
/// # Cost
/// Each process sends its part to every other: `len·(n−1)/n` in each direction if the parts are
/// equal.
///
/// # Examples
/// ```
/// use phalanx_collective::internals::gather_parts;
/// use phalanx_collective::{LocalWire, Wire};
///
/// std::thread::scope(|scope| {
///     for mut wire in LocalWire::connect(2) {
///         scope.spawn(move || {
///             let mut values = [wire.process() as u32; 3];
///             gather_parts(&mut wire, &mut values, |process| [0..1, 1..3][process].clone()).unwrap();
///             assert_eq!(values, [0, 1, 1]);
///         });
///     }
/// });
/// ```
pub fn gather_parts<T: Pod>(
    wire: &mut dyn Wire,
    values: &mut [T],
    part: impl Fn(usize) -> Range<usize>,
) -> Result<(), CollectiveError> {
    let process = wire.process();
    let mut rest = values;
    let mut taken = 0;
    let (mut own, mut incoming) = ([].as_slice(), Vec::with_capacity(wire.processes()));
    for from in 0..wire.processes() {
        let Range { start, end } = part(from);
        let (values, after) = rest.split_at_mut(end - taken);
        let values = &mut values[start - taken..];
        (rest, taken) = (after, end);
        if from == process {
            own = values;
        } else {
            incoming.push(Incoming { from, bytes: bytemuck::cast_slice_mut(values) });
        }
    }
    let bytes = bytemuck::cast_slice(own);
    let outgoing: Vec<_> =
        (0..wire.processes()).filter(|to| *to != process).map(|to| Outgoing { to, bytes }).collect();
    wire.exchange(&outgoing, &mut incoming)
}

/// A [`Wire`] within one process: each end represents a process. Useful for trying out and testing
/// code that will run on a cluster.
///
/// # Dropping
/// A process that drops its end has left: processes that wait for it get
/// [`Left`](CollectiveError::Left) once they have received everything it had sent.
///
/// # Cost
/// Each message is copied twice.
///
/// # Examples
/// ```
/// use phalanx_collective::{Incoming, LocalWire, Outgoing, Wire};
///
/// std::thread::scope(|scope| {
///     for mut wire in LocalWire::connect(2) {
///         scope.spawn(move || {
///             let (own, other) = (wire.process(), 1 - wire.process());
///             let mut buffer = [0];
///             let outgoing = [Outgoing { to: other, bytes: &[own as u8] }];
///             wire.exchange(&outgoing, &mut [Incoming { from: other, bytes: &mut buffer }]).unwrap();
///             assert_eq!(buffer, [other as u8]);
///         });
///     }
/// });
/// ```
#[derive(Debug)]
pub struct LocalWire {
    process: usize,
    timeout: Option<Duration>,
    /// The sender to each process; the one to this process is never used.
    senders: Vec<Sender<Vec<u8>>>,
    receivers: Vec<Receiver<Vec<u8>>>,
}

impl LocalWire {
    /// Connects `processes` processes, each with every other, and returns their ends in order. Move
    /// each end into the thread that represents its process: an end that a thread borrows would
    /// outlive it, and the others would not notice that it is gone. A loop over this iterator moves
    /// each end into its thread.
    pub fn connect(processes: usize) -> impl ExactSizeIterator<Item = Self> {
        let mut ends: Vec<_> = (0..processes)
            .map(|process| Self { process, timeout: None, senders: Vec::new(), receivers: Vec::new() })
            .collect();
        for from in 0..processes {
            for to in 0..processes {
                let (sender, receiver) = unbounded();
                ends[from].senders.push(sender);
                ends[to].receivers.push(receiver);
            }
        }
        ends.into_iter()
    }
}

impl Wire for LocalWire {
    fn process(&self) -> usize {
        self.process
    }

    fn processes(&self) -> usize {
        self.senders.len()
    }

    fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout;
    }

    fn exchange(
        &mut self,
        outgoing: &[Outgoing<'_>],
        incoming: &mut [Incoming<'_>],
    ) -> Result<(), CollectiveError> {
        for Outgoing { to, bytes } in outgoing {
            assert_ne!(*to, self.process, "a process sends nothing to itself");
            // Fails if that process has left. That matters only if messages from it are missing: it
            // may have sent them, or the reason why it left, and the others must get their messages
            // in any case.
            let _ = self.senders[*to].send(bytes.to_vec());
        }
        let begun = Instant::now();
        for index in 0..incoming.len() {
            let Incoming { from, bytes } = &mut incoming[index];
            assert_ne!(*from, self.process, "a process receives nothing from itself");
            let receiver = &self.receivers[*from];
            let message = match self.timeout {
                Some(timeout) => receiver.recv_timeout(timeout.saturating_sub(begun.elapsed())),
                None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match message {
                Ok(message) if message.len() == bytes.len() => bytes.copy_from_slice(&message),
                Ok(message) => {
                    let difference = Difference::Len { expected: bytes.len(), found: message.len() };
                    return Err(CollectiveError::Mismatch {
                        rank: *from,
                        difference: difference.to_string(),
                    });
                }
                Err(RecvTimeoutError::Disconnected) => return Err(CollectiveError::Left { rank: *from }),
                Err(RecvTimeoutError::Timeout) => {
                    let mut missing: Vec<_> = incoming[index..].iter().map(|buffer| buffer.from).collect();
                    missing.retain(|from| self.receivers[*from].is_empty());
                    missing.sort_unstable();
                    missing.dedup();
                    return Err(CollectiveError::TimedOut { waited: begun.elapsed(), missing });
                }
            }
        }
        Ok(())
    }
}
