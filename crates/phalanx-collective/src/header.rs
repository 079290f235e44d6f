//! What a process says to all others as a call begins.

use super::{Difference, Op, Operation};
use bytemuck::Pod;
use std::any::{TypeId, type_name};

/// Values that travel with a header: as many bytes as with an arrival of threads.
const PAYLOAD_BYTES: usize = 64;

/// What a process wants to do, as words: the operation, the element type, the len, the root, the bits of the weight, and few values.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Header([u64; 5 + PAYLOAD_BYTES / 8]);

const OPERATION: usize = 0;
const ELEMENT: usize = 1;
const LEN: usize = 2;
const ROOT: usize = 3;
const WEIGHT: usize = 4;
const PAYLOAD: usize = 5;

/// The operations by their word in a header.
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

/// The element types that have a word of their own; the word of any other is this many and its size.
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
    pub(super) fn new<T: 'static>(operation: Operation, len: usize) -> Self {
        let operation = OPERATIONS.iter().position(|known| *known == operation);
        let element = elements().iter().position(|(id, _)| *id == TypeId::of::<T>());
        let mut words = [0; 5 + PAYLOAD_BYTES / 8];
        words[OPERATION] = operation.expect("processes have this operation") as u64;
        words[ELEMENT] = element.unwrap_or(elements().len() + size_of::<T>()) as u64;
        words[LEN] = len as u64;
        Self(words)
    }

    /// Announces that its process has failed, for a reason of `len` bytes that follows in a message of its own.
    pub(super) fn of_failure(len: usize) -> Self {
        let mut words = [0; 5 + PAYLOAD_BYTES / 8];
        words[OPERATION] = FAILURE;
        words[LEN] = len as u64;
        Self(words)
    }

    /// The bytes of the reason, if its process has failed.
    pub(super) fn failure_len(&self) -> Option<usize> {
        (self.0[OPERATION] == FAILURE).then_some(self.0[LEN] as usize)
    }

    pub(super) fn with_root(mut self, root: usize) -> Self {
        self.0[ROOT] = root as u64;
        self
    }

    pub(super) fn with_weight(mut self, weight: f64) -> Self {
        self.0[WEIGHT] = weight.to_bits();
        self
    }

    pub(super) fn weight(&self) -> f64 {
        f64::from_bits(self.0[WEIGHT])
    }

    /// Whether values are few enough to travel with a header.
    pub(super) fn holds<T>(values: &[T]) -> bool {
        size_of_val(values) <= PAYLOAD_BYTES
    }

    /// # Panics
    /// If it does not [hold](Self::holds) so many.
    pub(super) fn with_values<T: Pod>(operation: Operation, values: &[T]) -> Self {
        let mut header = Self::new::<T>(operation, values.len());
        let bytes: &[u8] = bytemuck::cast_slice(values);
        bytemuck::cast_slice_mut::<u64, u8>(&mut header.0[PAYLOAD..])[..bytes.len()].copy_from_slice(bytes);
        header
    }

    /// The values that travelled with it.
    pub(super) fn values<T: Pod>(&self) -> &[T] {
        let bytes = self.0[LEN] as usize * size_of::<T>();
        bytemuck::cast_slice(&bytemuck::cast_slice::<u64, u8>(&self.0[PAYLOAD..])[..bytes])
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }

    pub(super) fn as_bytes_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.0)
    }

    /// In what the call of another process differs from this one, that of process 0.
    pub(super) fn difference_to(&self, found: &Self) -> Option<Difference> {
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
        elements().get(self.0[ELEMENT] as usize).map_or("a type of the caller's own", |(_, name)| name)
    }
}
