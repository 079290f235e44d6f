//! One cell of a sweep, and one run of it.

use serde::{Deserialize, Serialize};

use phalanx::optim::Reduction;

/// What differs between the cells of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// How gradients are reduced.
    pub reduction: Reduction,
    /// Samples of a step.
    pub batch_size: usize,
    /// The learning rate, as this reduction says it.
    pub rate: f64,
}

/// A cell with one of the seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The cell.
    #[serde(flatten)]
    pub cell: Cell,
    /// Seed of initial params and sample order.
    pub seed: u64,
}
