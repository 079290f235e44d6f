//! The communicator of a process: each process is a rank.
//!
//! Each call exchanges headers, by which all processes learn each other's call, and then segments:
//! each process receives its own segment of every process's values, combines them in the same tree
//! as threads do, and sends the result to all. So each process sends `2(n−1)/n` of the values and
//! receives as many, for any `n`.

use super::arithmetic::{BLOCK, Element, Float, Fold, Op, WeightedMean, With, reduce_slices};
use super::communicator::{Operands, reduce_by, total_weight};
use super::error::{CollectiveError, Difference, Operation};
use super::tree::segment;
use super::wire::{Incoming, Outgoing, Wire, gather_parts};
use bytemuck::Pod;
use std::any::{TypeId, type_name};
use std::ops::Range;
use std::time::Duration;

/// The handle of one process, with which it communicates with the other processes: a
/// [`Communicator`](super::Communicator) over a [`Wire`].
///
/// Its methods give the same bits as those of the communicator of threads, with a process as a
/// rank. Elements and values are plain bytes ([`Pod`]), aligned to at most 8 bytes; all processes
/// must have the same byte order. Types that the reducer does not know are compared by their size.
///
/// # Errors
/// [`Left`](CollectiveError::Left), [`Failed`](CollectiveError::Failed),
/// [`TimedOut`](CollectiveError::TimedOut), and [`Panicked`](CollectiveError::Panicked) after a
/// panic of a function passed to this process, end the world: every later call fails with them. A
/// [`Mismatch`](CollectiveError::Mismatch) in the length of a message on the wire does, too. Calls
/// that differ are a `Mismatch` on every process; they leave the values unchanged and the world
/// usable.
///
/// A process that panics or exits has left, and so has one that returns early and drops its end of
/// the wire. Dropping the communicator does not end the world, because a process may create several
/// over one wire: the other processes notice the loss of the wire. A process that returns early
/// because of an error should call [`fail`](Self::fail), which sends the reason to the others.
///
/// # Cost
/// A call takes one latency of the wire for the headers, which carry up to 64 bytes of values. More
/// values take one latency to receive the segments and one to send the results. The memory for one
/// segment of each process is kept between calls.
///
/// # Examples
/// ```
/// use phalanx_collective::{LocalWire, Op, ProcessCommunicator};
///
/// std::thread::scope(|scope| {
///     for mut wire in LocalWire::connect(3) {
///         scope.spawn(move || {
///             let mut process = ProcessCommunicator::new(&mut wire);
///             let mut values = [process.rank() as f64, 1.0];
///             process.all_reduce(&mut values, Op::Mean).unwrap();
///             assert_eq!(values, [1.0, 1.0]);
///         });
///     }
/// });
/// ```
pub struct ProcessCommunicator<'w> {
    wire: &'w mut dyn Wire,
    /// Every process's values of this process's segment, in whole words.
    buffer: Vec<u64>,
    /// The cause with which every further call fails.
    ended: Option<CollectiveError>,
}

impl<'w> ProcessCommunicator<'w> {
    /// Creates a communicator over a wire that is not used elsewhere in the meantime.
    pub fn new(wire: &'w mut dyn Wire) -> Self {
        Self { wire, buffer: Vec::new(), ended: None }
    }

    /// Returns the number of this process, from 0.
    pub fn rank(&self) -> usize {
        self.wire.process()
    }

    /// Returns the number of processes.
    pub fn world_size(&self) -> usize {
        self.wire.processes()
    }

    /// Sets how long each later call waits for other processes; `None` means no time limit.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.wire.set_timeout(timeout);
    }

    /// Ends the world because this process cannot continue; to be called between two collective
    /// calls. The next call of every other process fails with [`Failed`](CollectiveError::Failed),
    /// which holds the reason. Returns the cause that ended the world on this process, which is a
    /// different one if the world had already ended.
    ///
    /// If several processes fail before the same call, the others receive the reason of the
    /// lowest-numbered one.
    ///
    /// # Cost
    /// Two messages to each other process. At most [`REASON_BYTES`](Self::REASON_BYTES) of the
    /// reason are sent, so that no wire waits for a receiver.
    ///
    /// # Examples
    /// ```
    /// use phalanx_collective::{CollectiveError, LocalWire, ProcessCommunicator};
    ///
    /// std::thread::scope(|scope| {
    ///     for mut wire in LocalWire::connect(3) {
    ///         scope.spawn(move || {
    ///             let mut process = ProcessCommunicator::new(&mut wire);
    ///             let cause = match process.rank() {
    ///                 1 => process.fail("no space left in /data"),
    ///                 _ => process.barrier().unwrap_err(),
    ///             };
    ///             assert_eq!(cause, CollectiveError::Failed { rank: 1, reason: "no space left in /data".into() });
    ///         });
    ///     }
    /// });
    /// ```
    pub fn fail(&mut self, reason: impl Into<String>) -> CollectiveError {
        if let Some(cause) = &self.ended {
            return cause.clone();
        }
        let reason = reason.into();
        let sent = &reason.as_bytes()[..reason.len().min(Self::REASON_BYTES)];
        let header = Header::of_failure(sent.len());
        for to in others(self.rank(), self.world_size()) {
            let outgoing = [header.as_bytes(), sent].map(|bytes| Outgoing { to, bytes });
            // An unreachable process has ended itself, and the others are still sent the reason.
            let _ = self.wire.exchange(&outgoing, &mut []);
        }
        let cause = CollectiveError::Failed { rank: self.rank(), reason };
        self.ended = Some(cause.clone());
        cause
    }

    /// The maximum number of bytes of a reason that are sent to the other processes.
    pub const REASON_BYTES: usize = 1024;

    /// Waits until all processes have called it.
    ///
    /// # Errors
    /// Those of [every call](Self#errors).
    pub fn barrier(&mut self) -> Result<(), CollectiveError> {
        self.meet(Header::new::<u8>(Operation::Barrier, 0)).map(drop)
    }

    /// Copies the root's values to every process.
    ///
    /// # Errors
    /// [`RootOutOfRange`](CollectiveError::RootOutOfRange), and those of [every call](Self#errors).
    ///
    /// # Cost
    /// The root sends the values `n − 1` times.
    pub fn broadcast<T: Pod>(&mut self, values: &mut [T], root: usize) -> Result<(), CollectiveError> {
        self.meet(Header::new::<T>(Operation::Broadcast, values.len()).with_root(root))?;
        let (rank, world_size) = (self.rank(), self.world_size());
        if root >= world_size {
            return Err(CollectiveError::RootOutOfRange { root, world_size });
        }
        if rank == root {
            let bytes = bytemuck::cast_slice(values);
            let outgoing: Vec<_> = others(rank, world_size).map(|to| Outgoing { to, bytes }).collect();
            return self.exchange(&outgoing, &mut []);
        }
        self.exchange(&[], &mut [Incoming { from: root, bytes: bytemuck::cast_slice_mut(values) }])
    }

    /// Copies each process's own [`segment`](super::segment()) of its values to all processes.
    ///
    /// # Errors
    /// Those of [every call](Self#errors).
    ///
    /// # Cost
    /// `len·(n−1)/n` elements in each direction.
    pub fn all_gather<T: Pod>(&mut self, values: &mut [T]) -> Result<(), CollectiveError> {
        self.meet(Header::new::<T>(Operation::AllGather, values.len()))?;
        self.gather(values)
    }

    /// Same as [`Communicator::all_reduce`](super::Communicator::all_reduce).
    ///
    /// # Errors
    /// [`MeanOfIntegers`](CollectiveError::MeanOfIntegers), and those of [every call](Self#errors).
    ///
    /// # Cost
    /// `2·len·(n−1)/n` elements in each direction.
    pub fn all_reduce<T: Element + Pod>(&mut self, values: &mut [T], op: Op) -> Result<(), CollectiveError> {
        let operation = Operation::AllReduce(op);
        if Header::holds(values) {
            let headers = self.meet(Header::with_values(operation, values))?;
            let world_size = headers.len();
            return reduce_by(op, world_size, FromHeaders { headers: &headers, first: 0, results: values });
        }
        self.meet(Header::new::<T>(operation, values.len()))?;
        let world_size = self.world_size();
        reduce_by(op, world_size, SegmentReduction { communicator: self, values })?;
        self.gather(values)
    }

    /// Same as [`Communicator::reduce_scatter`](super::Communicator::reduce_scatter).
    ///
    /// # Errors
    /// Same as [`all_reduce`](Self::all_reduce).
    ///
    /// # Cost
    /// `len·(n−1)/n` elements in each direction.
    pub fn reduce_scatter<T: Element + Pod>(
        &mut self,
        values: &mut [T],
        op: Op,
    ) -> Result<Range<usize>, CollectiveError> {
        let operation = Operation::ReduceScatter(op);
        let (world_size, own) = (self.world_size(), segment(values.len(), self.world_size(), self.rank()));
        if Header::holds(values) {
            let headers = self.meet(Header::with_values(operation, values))?;
            let (first, results) = (own.start, &mut values[own.clone()]);
            reduce_by(op, world_size, FromHeaders { headers: &headers, first, results })?;
            return Ok(own);
        }
        self.meet(Header::new::<T>(operation, values.len()))?;
        reduce_by(op, world_size, SegmentReduction { communicator: self, values })?;
        Ok(own)
    }

    /// Same as
    /// [`Communicator::all_reduce_weighted_mean`](super::Communicator::all_reduce_weighted_mean).
    ///
    /// # Errors
    /// [`BadWeight`](CollectiveError::BadWeight), [`ZeroWeight`](CollectiveError::ZeroWeight),
    /// [`WeightOverflow`](CollectiveError::WeightOverflow), and those of [every call](Self#errors).
    ///
    /// # Cost
    /// Same as [`all_reduce`](Self::all_reduce) of more than 64 bytes.
    pub fn all_reduce_weighted_mean<T: Float + Pod>(
        &mut self,
        values: &mut [T],
        weight: f64,
    ) -> Result<f64, CollectiveError> {
        let header = Header::new::<T>(Operation::WeightedMean, values.len()).with_weight(weight);
        let headers = self.meet(header)?;
        let total = total_weight(headers.len(), |rank| headers[rank].weight())?;
        let fold = WeightedMean { weight: |rank: usize| headers[rank].weight(), total };
        self.scatter::<T, _, BLOCK>(values, &fold)?;
        self.gather(values)?;
        Ok(total)
    }

    /// Same as [`Communicator::all_reduce_with`](super::Communicator::all_reduce_with).
    ///
    /// # Errors
    /// Those of [every call](Self#errors).
    ///
    /// # Panics
    /// If `combine` panics: at once; the other processes notice when this one's wire is dropped.
    ///
    /// # Cost
    /// Same as [`all_reduce`](Self::all_reduce) of more than 64 bytes.
    pub fn all_reduce_with<T: Pod>(
        &mut self,
        values: &mut [T],
        combine: impl Fn(T, T) -> T,
    ) -> Result<(), CollectiveError> {
        self.meet(Header::new::<T>(Operation::AllReduceWith, values.len()))?;
        // Values can have any size, so a block of them may not fit on the stack.
        self.scatter::<T, _, 1>(values, &With(combine))?;
        self.gather(values)
    }

    /// Sends this process's header to all processes and returns the headers of all, which describe
    /// the same call.
    fn meet(&mut self, own: Header) -> Result<Vec<Header>, CollectiveError> {
        let (rank, world_size) = (self.rank(), self.world_size());
        let mut headers = vec![own; world_size];
        let outgoing: Vec<_> =
            others(rank, world_size).map(|to| Outgoing { to, bytes: own.as_bytes() }).collect();
        let buffers = headers.iter_mut().enumerate().filter(|(from, _)| *from != rank);
        let mut incoming: Vec<_> =
            buffers.map(|(from, header)| Incoming { from, bytes: header.as_bytes_mut() }).collect();
        self.exchange(&outgoing, &mut incoming)?;
        if let Some((rank, len)) =
            headers.iter().enumerate().find_map(|(rank, header)| Some((rank, header.failure_len()?)))
        {
            return Err(self.receive_failure(rank, len)?);
        }
        for (rank, header) in headers.iter().enumerate() {
            if let Some(difference) = headers[0].difference_to(header) {
                return Err(CollectiveError::Mismatch { rank, difference: difference.to_string() });
            }
        }
        Ok(headers)
    }

    /// Receives the reason why the process `rank` failed, and ends the world with it.
    fn receive_failure(&mut self, rank: usize, len: usize) -> Result<CollectiveError, CollectiveError> {
        let mut bytes = vec![0; len];
        self.exchange(&[], &mut [Incoming { from: rank, bytes: &mut bytes }])?;
        let cause = CollectiveError::Failed { rank, reason: String::from_utf8_lossy(&bytes).into_owned() };
        self.ended = Some(cause.clone());
        Ok(cause)
    }

    /// Reduces this process's segment of every process's values into its own values.
    fn scatter<T: Pod, R: Fold<T>, const N: usize>(
        &mut self,
        values: &mut [T],
        fold: &R,
    ) -> Result<(), CollectiveError> {
        const { assert!(align_of::<T>() <= align_of::<u64>(), "elements must be aligned to at most 8 bytes") };
        let (rank, world_size, len) = (self.rank(), self.world_size(), values.len());
        let own = segment(len, world_size, rank);
        let mut buffer = std::mem::take(&mut self.buffer);
        let words = (own.len() * world_size * size_of::<T>()).div_ceil(size_of::<u64>());
        buffer.resize(buffer.len().max(words), 0);
        let leaves =
            &mut bytemuck::cast_slice_mut::<u64, u8>(&mut buffer)[..own.len() * world_size * size_of::<T>()];
        let leaves = bytemuck::cast_slice_mut::<u8, T>(leaves);
        leaves[rank * own.len()..][..own.len()].copy_from_slice(&values[own.clone()]);
        let outgoing: Vec<_> = others(rank, world_size)
            .map(|to| Outgoing { to, bytes: bytemuck::cast_slice(&values[segment(len, world_size, to)]) })
            .collect();
        let (mut incoming, mut rest) = (Vec::with_capacity(world_size - 1), &mut *leaves);
        for from in 0..world_size {
            let (values, after) = rest.split_at_mut(own.len());
            rest = after;
            if from != rank {
                incoming.push(Incoming { from, bytes: bytemuck::cast_slice_mut(values) });
            }
        }
        let exchanged = self.exchange(&outgoing, &mut incoming);
        if exchanged.is_ok() {
            let leaves = |rank: usize| &leaves[rank * own.len()..][..own.len()];
            // If the caller's function panics, the others still wait for results, and a later call
            // must not send its own in their place.
            self.ended = Some(CollectiveError::Panicked { rank });
            reduce_slices::<T, R, N>(fold, world_size, leaves, &mut values[own.clone()]);
            self.ended = None;
        }
        self.buffer = buffer;
        exchanged
    }

    /// Copies each process's own segment to this process's values.
    fn gather<T: Pod>(&mut self, values: &mut [T]) -> Result<(), CollectiveError> {
        let (len, world_size) = (values.len(), self.world_size());
        let gathered = gather_parts(self.wire, values, |rank| segment(len, world_size, rank));
        gathered.inspect_err(|error| self.ended = Some(error.clone()))
    }

    /// Same as the wire's `exchange`; the wire is not used again once it has failed.
    fn exchange(
        &mut self,
        outgoing: &[Outgoing<'_>],
        incoming: &mut [Incoming<'_>],
    ) -> Result<(), CollectiveError> {
        if let Some(cause) = &self.ended {
            return Err(cause.clone());
        }
        self.wire.exchange(outgoing, incoming).inspect_err(|error| self.ended = Some(error.clone()))
    }
}

/// The other processes.
fn others(rank: usize, world_size: usize) -> impl Iterator<Item = usize> {
    (0..world_size).filter(move |other| *other != rank)
}

/// The segments of all processes that this process reduces into its values.
struct SegmentReduction<'c, 'w, 'v, T> {
    communicator: &'c mut ProcessCommunicator<'w>,
    values: &'v mut [T],
}

impl<T: Element + Pod> Operands<T> for SegmentReduction<'_, '_, '_, T> {
    fn run(self, fold: &impl Fold<T>) -> Result<(), CollectiveError> {
        self.communicator.scatter::<T, _, BLOCK>(self.values, fold)
    }
}

/// The values sent with the headers, reduced from element `first` on.
struct FromHeaders<'h, 'v, T> {
    headers: &'h [Header],
    first: usize,
    results: &'v mut [T],
}

impl<T: Element + Pod> Operands<T> for FromHeaders<'_, '_, T> {
    fn run(self, fold: &impl Fold<T>) -> Result<(), CollectiveError> {
        let range = self.first..self.first + self.results.len();
        let leaves = |rank: usize| &self.headers[rank].values::<T>()[range.clone()];
        reduce_slices::<T, _, BLOCK>(fold, self.headers.len(), leaves, self.results);
        Ok(())
    }
}

/// The call of a process, in 64-bit words: the operation, the element type, the length, the root,
/// the bits of the weight, and a few values.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Header([u64; 5 + PAYLOAD_BYTES / 8]);

/// The maximum size of the values in a header.
const PAYLOAD_BYTES: usize = 64;

const OPERATION: usize = 0;
const ELEMENT: usize = 1;
const LEN: usize = 2;
const ROOT: usize = 3;
const WEIGHT: usize = 4;
const PAYLOAD: usize = 5;

/// The operations, indexed by their word in a header.
const OPERATIONS: [Operation; 15] = [
    Operation::Barrier,
    Operation::Broadcast,
    Operation::AllGather,
    Operation::WeightedMean,
    Operation::AllReduceWith,
    Operation::AllReduce(Op::Sum),
    Operation::AllReduce(Op::Mean),
    Operation::AllReduce(Op::Min),
    Operation::AllReduce(Op::Max),
    Operation::AllReduce(Op::Product),
    Operation::ReduceScatter(Op::Sum),
    Operation::ReduceScatter(Op::Mean),
    Operation::ReduceScatter(Op::Min),
    Operation::ReduceScatter(Op::Max),
    Operation::ReduceScatter(Op::Product),
];

/// The word of a process that has failed, in place of an operation.
const FAILURE: u64 = u64::MAX;

/// The element types with a word of their own; for any other type the word is the length of this
/// list plus its size.
fn elements() -> [(TypeId, &'static str); 8] {
    fn entry<T: 'static>() -> (TypeId, &'static str) {
        (TypeId::of::<T>(), type_name::<T>())
    }
    [
        entry::<f32>(),
        entry::<f64>(),
        entry::<i32>(),
        entry::<i64>(),
        entry::<u32>(),
        entry::<u64>(),
        #[cfg(feature = "half")]
        entry::<half::f16>(),
        #[cfg(not(feature = "half"))]
        (TypeId::of::<()>(), "half::f16"),
        #[cfg(feature = "half")]
        entry::<half::bf16>(),
        #[cfg(not(feature = "half"))]
        (TypeId::of::<()>(), "half::bf16"),
    ]
}

impl Header {
    fn new<T: 'static>(operation: Operation, len: usize) -> Self {
        let operation = OPERATIONS.iter().position(|known| *known == operation);
        let element = elements().iter().position(|(id, _)| *id == TypeId::of::<T>());
        let mut words = [0; 5 + PAYLOAD_BYTES / 8];
        words[OPERATION] = operation.expect("the operation is supported between processes") as u64;
        words[ELEMENT] = element.unwrap_or(elements().len() + size_of::<T>()) as u64;
        words[LEN] = len as u64;
        Self(words)
    }

    /// Announces that this process has failed; the reason, of `len` bytes, follows in a separate
    /// message.
    fn of_failure(len: usize) -> Self {
        let mut words = [0; 5 + PAYLOAD_BYTES / 8];
        words[OPERATION] = FAILURE;
        words[LEN] = len as u64;
        Self(words)
    }

    /// The length of the reason in bytes, if the process has failed.
    fn failure_len(&self) -> Option<usize> {
        (self.0[OPERATION] == FAILURE).then_some(self.0[LEN] as usize)
    }

    fn with_root(mut self, root: usize) -> Self {
        self.0[ROOT] = root as u64;
        self
    }

    fn with_weight(mut self, weight: f64) -> Self {
        self.0[WEIGHT] = weight.to_bits();
        self
    }

    fn weight(&self) -> f64 {
        f64::from_bits(self.0[WEIGHT])
    }

    /// Returns whether the values fit into a header.
    fn holds<T>(values: &[T]) -> bool {
        size_of_val(values) <= PAYLOAD_BYTES
    }

    /// # Panics
    /// If there are too many values ([`holds`](Self::holds)).
    fn with_values<T: Pod>(operation: Operation, values: &[T]) -> Self {
        let mut header = Self::new::<T>(operation, values.len());
        let bytes: &[u8] = bytemuck::cast_slice(values);
        bytemuck::cast_slice_mut::<u64, u8>(&mut header.0[PAYLOAD..])[..bytes.len()].copy_from_slice(bytes);
        header
    }

    /// The values sent with the header.
    fn values<T: Pod>(&self) -> &[T] {
        let bytes = self.0[LEN] as usize * size_of::<T>();
        bytemuck::cast_slice(&bytemuck::cast_slice::<u64, u8>(&self.0[PAYLOAD..])[..bytes])
    }

    fn as_bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }

    fn as_bytes_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.0)
    }

    /// Returns the difference between this call, that of process 0, and the call of another
    /// process.
    fn difference_to(&self, found: &Self) -> Option<Difference> {
        let differs = |word: usize| self.0[word] != found.0[word];
        if differs(OPERATION) {
            Some(Difference::Operation { expected: self.operation(), found: found.operation() })
        } else if differs(ELEMENT) {
            Some(Difference::ElementType { expected: self.element(), found: found.element() })
        } else if differs(LEN) {
            Some(Difference::Len { expected: self.0[LEN] as usize, found: found.0[LEN] as usize })
        } else if differs(ROOT) {
            Some(Difference::Root { expected: self.0[ROOT] as usize, found: found.0[ROOT] as usize })
        } else {
            None
        }
    }

    fn operation(&self) -> Operation {
        OPERATIONS[self.0[OPERATION] as usize]
    }

    fn element(&self) -> &'static str {
        elements().get(self.0[ELEMENT] as usize).map_or("a custom type", |(_, name)| name)
    }
}
