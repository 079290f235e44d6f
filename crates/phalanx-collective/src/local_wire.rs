//! A wire between threads that stand for processes.

use super::{CollectiveError, Difference, Incoming, Outgoing, Wire};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use std::time::{Duration, Instant};

/// A [`Wire`] inside one process: each end stands for a process. Made to try out, and to test, what is to run on a cluster.
///
/// # Dropping
/// A process that drops its end has left: those that wait for it get [`Left`](CollectiveError::Left) once they have received what it had sent.
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
///             let mut room = [0];
///             let outgoing = [Outgoing { to: other, bytes: &[own as u8] }];
///             wire.exchange(&outgoing, &mut [Incoming { from: other, bytes: &mut room }]).unwrap();
///             assert_eq!(room, [other as u8]);
///         });
///     }
/// });
/// ```
#[derive(Debug)]
pub struct LocalWire {
    process: usize,
    timeout: Option<Duration>,
    /// By process; this one's is never used.
    senders: Vec<Sender<Vec<u8>>>,
    receivers: Vec<Receiver<Vec<u8>>>,
}

impl LocalWire {
    /// Connects `processes` processes, each with every other, and returns their ends in order, each to be moved into the thread that
    /// stands for its process: one that a thread borrows would outlive it, and the others would not learn that it is gone. A loop over
    /// this iterator gives each thread its own.
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
            // Fails if that process has left. Whether it is missed is for what it was to send to show: it may have sent that, or why it
            // left, and the others must get their messages in any case.
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
                    return Err(CollectiveError::Mismatch { rank: *from, difference });
                }
                Err(RecvTimeoutError::Disconnected) => return Err(CollectiveError::Left { rank: *from }),
                Err(RecvTimeoutError::Timeout) => {
                    let mut missing: Vec<_> = incoming[index..].iter().map(|room| room.from).collect();
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
