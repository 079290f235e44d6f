//! Shards that follow one another, such as those of a rank.

use std::ops::Range;

use ndarray::s;

use super::{BatchTargets, Model, Samples};

/// Successive shards. Where their gradients are combined there are 2ʲ of them, and they are combined in the fixed binary tree:
/// neighbours first, then neighbours of neighbours, always left + right.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use phalanx::model::{Model, Samples, ShardRun, SubtreeSums, BatchTargets, from_fn};
///
/// let sum = from_fn(vec![0.0], |_: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
///     grads[0] = samples.inputs.sum();
///     f64::from(grads[0])
/// });
/// let inputs = array![[1.0], [2.0], [4.0]];
/// let samples = Samples { inputs: inputs.view(), targets: BatchTargets::None, weights: None };
/// // A shard of two samples and one of one, each divided by its number.
/// let shards = ShardRun { samples, bounds: &[0, 2, 3], divisors: Some(&[2.0, 1.0]) };
/// let (mut grads, mut spare, mut losses) = ([0.0], vec![0.0; sum.spare_gradients(2)], [0.0; 2]);
/// let sums = SubtreeSums { grads: &mut grads, spare: &mut spare, losses: &mut losses };
/// sum.subtree_gradient(&[0.0], &shards, sums, &mut sum.workspace(2));
/// assert_eq!((grads, losses), ([1.5 + 4.0], [3.0, 4.0]));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ShardRun<'a> {
    /// Samples among which those of the shards are.
    pub samples: Samples<'a>,
    /// Ascending indices, one more than shards: shard k has the samples `bounds[k]..bounds[k + 1]`, at least one.
    pub bounds: &'a [usize],
    /// What each shard's gradient sum is divided by before shards are added; `None` if by nothing. Of a shard of weight 0 it
    /// is not read.
    pub divisors: Option<&'a [f32]>,
}

/// Where the gradient of 2ʲ shards goes.
#[derive(Debug)]
pub struct SubtreeSums<'a> {
    /// The combined gradient, one value a param; whatever it holds is overwritten.
    pub grads: &'a mut [f32],
    /// Room for [`Model::spare_gradients`] gradients.
    pub spare: &'a mut [f32],
    /// The weighted loss sum of each shard.
    pub losses: &'a mut [f64],
}

impl<'a> ShardRun<'a> {
    /// Number of shards.
    #[allow(clippy::len_without_is_empty)] // a rank without shards has bounds all the same
    pub fn len(&self) -> usize {
        self.bounds.len() - 1
    }

    /// The samples of all its shards.
    pub fn all_samples(&self) -> Samples<'a> {
        self.samples.range(self.bounds[0]..self.bounds[self.len()])
    }

    /// [`Model::subtree_gradient`] as it is defined: each shard by itself, then the halves combined, again and again.
    pub(super) fn gradient_by_definition<M: Model + ?Sized>(
        &self,
        model: &M,
        params: &[f32],
        sums: SubtreeSums<'_>,
        workspace: &mut M::Workspace,
    ) {
        let SubtreeSums { grads, spare, losses } = sums;
        if let [loss] = losses {
            *loss = self.shard_gradient(model, params, grads, workspace);
            return;
        }
        let middle = self.len() / 2;
        let (left_losses, right_losses) = losses.split_at_mut(middle);
        let left = SubtreeSums { grads: &mut *grads, spare: &mut *spare, losses: left_losses };
        self.part(0..middle).gradient_by_definition(model, params, left, workspace);
        let (right_grads, spare) = spare.split_at_mut(grads.len());
        let right = SubtreeSums { grads: &mut *right_grads, spare, losses: right_losses };
        self.part(middle..self.len()).gradient_by_definition(model, params, right, workspace);
        grads.iter_mut().zip(right_grads).for_each(|(left, right)| *left += *right);
    }

    /// The divided gradient and the loss sum of the one shard there is; 0 and 0 without weight, whatever the model says.
    fn shard_gradient<M: Model + ?Sized>(
        &self,
        model: &M,
        params: &[f32],
        grads: &mut [f32],
        workspace: &mut M::Workspace,
    ) -> f64 {
        let samples = self.all_samples();
        if samples.total_weight() == 0.0 {
            grads.fill(0.0);
            return 0.0;
        }
        let loss = model.gradient(params, &samples, grads, workspace);
        if let Some([divisor]) = self.divisors {
            grads.iter_mut().for_each(|grad| *grad /= divisor);
        }
        loss
    }

    /// A half of the shards.
    fn part(&self, shards: Range<usize>) -> Self {
        let bounds = &self.bounds[shards.start..=shards.end];
        Self { samples: self.samples, bounds, divisors: self.divisors.map(|divisors| &divisors[shards]) }
    }
}

impl<'a> Samples<'a> {
    /// Some of the samples, in place.
    ///
    /// # Panics
    ///
    /// If the range reaches beyond the samples.
    pub fn range(&self, range: Range<usize>) -> Samples<'a> {
        let targets = match self.targets {
            BatchTargets::Classes(labels) => BatchTargets::Classes(&labels[range.clone()]),
            BatchTargets::Values(values) => BatchTargets::Values(values.slice_move(s![range.clone(), ..])),
            BatchTargets::None => BatchTargets::None,
        };
        let weights = self.weights.map(|weights| &weights[range.clone()]);
        Samples { inputs: self.inputs.slice_move(s![range, ..]), targets, weights }
    }
}
