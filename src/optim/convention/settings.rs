//! A recipe as said in a convention, and where it is to go.

use super::super::{BatchCut, MomentumForm, Recipe};
use super::{BatchRule, Convention, ConventionError};
use serde::Serialize;

/// Hyper-parameters as written in a convention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The convention.
    pub convention: Convention,
    /// The numbers. `options.l2` is L2 as the convention writes it: λ, α, Λ or C; `options.l2_form` plays no part.
    pub recipe: Recipe,
    /// Samples of a full batch, m.
    pub batch_size: usize,
    /// Shards of a full batch, for reductions that count them.
    pub shards: usize,
    /// Samples of the training data, N, if known.
    pub data_size: Option<usize>,
    /// Whether a short last batch is left out.
    pub drop_last: bool,
    /// Whether the rate is another one in some steps: a schedule, or a warm-up.
    pub rate_changes: bool,
    /// Whether all params of some tensor start from 0, as the biases of [`Mlp`](crate::model::Mlp) do. Of matter to lars.
    pub zero_start: bool,
    /// Whether the loss is that of [standardized targets](crate::model::Mlp::standardize_targets), which no other program has by itself.
    pub standardized_targets: bool,
}

/// Where settings are to go; what is `None` stays.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Target {
    /// The convention.
    pub convention: Convention,
    /// Another batch size, with the rule that leads there.
    pub batch_size: Option<usize>,
    /// The rule.
    pub rule: Option<BatchRule>,
    /// Another number of shards.
    pub shards: Option<usize>,
    /// Another form of momentum.
    pub momentum_form: Option<MomentumForm>,
}

impl Target {
    /// The same batches in another convention.
    #[must_use]
    pub fn of(convention: Convention) -> Self {
        Self { convention, ..Self::default() }
    }
}

impl Settings {
    /// Settings of one shard and a constant rate, for data of unknown size.
    #[must_use]
    pub fn new(convention: Convention, recipe: Recipe, batch_size: usize) -> Self {
        Self {
            convention,
            recipe,
            batch_size,
            shards: 1,
            data_size: None,
            drop_last: false,
            rate_changes: false,
            zero_start: false,
            standardized_targets: false,
        }
    }

    pub(super) fn check(&self) -> Result<(), ConventionError> {
        for (what, count) in [("batch-size", self.batch_size), ("shards", self.shards)] {
            if count == 0 {
                return Err(ConventionError::Zero { what });
            }
        }
        match self.data_size {
            Some(0) => Err(ConventionError::Zero { what: "data-size" }),
            Some(data_size) if data_size < self.batch_size => {
                Err(ConventionError::SmallData { batch_size: self.batch_size, data_size })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn cut(&self) -> BatchCut {
        BatchCut { batch_size: self.batch_size, shards: self.shards }
    }

    /// What the last batch of an epoch is like.
    pub(super) fn last_batch(&self) -> LastBatch {
        match self.data_size {
            _ if self.drop_last => LastBatch::Full,
            None => LastBatch::Unknown,
            Some(samples) => match samples % self.batch_size {
                0 => LastBatch::Full,
                rest => LastBatch::Short(rest),
            },
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum LastBatch {
    Unknown,
    Full,
    Short(usize),
}
