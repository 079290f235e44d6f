//! One face for ranks that are threads and ranks that are processes.

use super::element::{Element, Float};
use super::{CollectiveError, Communicator, Op, ProcessCommunicator};
use bytemuck::Pod;
use std::ops::Range;
use std::time::Duration;

/// What the [communicator](Communicator) of a thread and [that](ProcessCommunicator) of a process have in common, so that code written for
/// threads runs on a cluster. Each method is that of the same name there.
///
/// # Examples
/// ```
/// use phalanx_collective::{CollectiveError, Collectives, LocalWire, Op, ProcessCommunicator, World};
///
/// fn largest(ranks: &mut impl Collectives, own: f64) -> Result<f64, CollectiveError> {
///     let mut values = [own];
///     ranks.all_reduce(&mut values, Op::Max)?;
///     Ok(values[0])
/// }
///
/// std::thread::scope(|scope| {
///     for mut thread in World::new(2).unwrap().communicators() {
///         scope.spawn(move || assert_eq!(largest(&mut thread, 3.5), Ok(3.5)));
///     }
///     for mut wire in LocalWire::connect(2) {
///         scope.spawn(move || assert_eq!(largest(&mut ProcessCommunicator::new(&mut wire), 3.5), Ok(3.5)));
///     }
/// });
/// ```
#[allow(missing_docs, clippy::missing_errors_doc)] // Each is described where it is implemented.
pub trait Collectives {
    fn rank(&self) -> usize;
    fn world_size(&self) -> usize;
    fn set_timeout(&mut self, timeout: Option<Duration>);
    fn fail(&mut self, reason: impl Into<String>) -> CollectiveError;
    fn barrier(&mut self) -> Result<(), CollectiveError>;
    fn broadcast<T: Pod + Send + Sync>(
        &mut self,
        values: &mut [T],
        root: usize,
    ) -> Result<(), CollectiveError>;
    fn all_gather<T: Pod + Send + Sync>(&mut self, values: &mut [T]) -> Result<(), CollectiveError>;
    fn all_reduce<T: Element + Pod>(&mut self, values: &mut [T], op: Op) -> Result<(), CollectiveError>;
    fn reduce_scatter<T: Element + Pod>(
        &mut self,
        values: &mut [T],
        op: Op,
    ) -> Result<Range<usize>, CollectiveError>;
    fn all_reduce_weighted_mean<T: Float + Pod>(
        &mut self,
        values: &mut [T],
        weight: f64,
    ) -> Result<f64, CollectiveError>;
    fn all_reduce_with<T: Pod + Send + Sync>(
        &mut self,
        values: &mut [T],
        combine: impl Fn(T, T) -> T,
    ) -> Result<(), CollectiveError>;
}

/// Hands each method on to the one of the same name.
macro_rules! hand_on {
    ($communicator:ty) => {
        impl Collectives for $communicator {
            fn rank(&self) -> usize {
                self.rank()
            }

            fn world_size(&self) -> usize {
                self.world_size()
            }

            fn set_timeout(&mut self, timeout: Option<Duration>) {
                self.set_timeout(timeout);
            }

            fn fail(&mut self, reason: impl Into<String>) -> CollectiveError {
                <$communicator>::fail(self, reason)
            }

            fn barrier(&mut self) -> Result<(), CollectiveError> {
                self.barrier()
            }

            fn broadcast<T: Pod + Send + Sync>(
                &mut self,
                values: &mut [T],
                root: usize,
            ) -> Result<(), CollectiveError> {
                self.broadcast(values, root)
            }

            fn all_gather<T: Pod + Send + Sync>(&mut self, values: &mut [T]) -> Result<(), CollectiveError> {
                self.all_gather(values)
            }

            fn all_reduce<T: Element + Pod>(
                &mut self,
                values: &mut [T],
                op: Op,
            ) -> Result<(), CollectiveError> {
                self.all_reduce(values, op)
            }

            fn reduce_scatter<T: Element + Pod>(
                &mut self,
                values: &mut [T],
                op: Op,
            ) -> Result<Range<usize>, CollectiveError> {
                self.reduce_scatter(values, op)
            }

            fn all_reduce_weighted_mean<T: Float + Pod>(
                &mut self,
                values: &mut [T],
                weight: f64,
            ) -> Result<f64, CollectiveError> {
                self.all_reduce_weighted_mean(values, weight)
            }

            fn all_reduce_with<T: Pod + Send + Sync>(
                &mut self,
                values: &mut [T],
                combine: impl Fn(T, T) -> T,
            ) -> Result<(), CollectiveError> {
                self.all_reduce_with(values, combine)
            }
        }
    };
}

hand_on!(Communicator);
hand_on!(ProcessCommunicator<'_>);
