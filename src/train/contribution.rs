//! What one rank brings to a step.
//!
//! Either the gradients of its shards, combined as far as the tree allows; or, with a model that reduces by segment, what it
//! computed of its samples on the way to them.

use std::ops::Range;
use std::sync::Arc;

use super::crossing::{Crossing, subtrees};
use super::gradients::Gradients;
use super::noise::{Parts, measures_shards};
use super::shards::part;
use super::step::{Asked, gathered_for, samples_of};
use super::whereabouts::Whereabouts;
use super::{BatchParts, Phase, Plan};
use crate::collective::tree::Node;
use crate::data::{Dataset, GatherBuffer};
use crate::model::{Model, ShardRun};

/// A rank's shards of a step, and what else the ranks must agree on.
pub(super) struct Contribution<W> {
    /// Where samples are gathered.
    gathered: GatherBuffer,
    workspace: W,
    /// Where the shards in hand start among their samples, and where the last ends.
    bounds: Vec<usize>,
    /// Without them, the model reduces by segment.
    gradients: Option<Gradients>,
    /// Loss sum of each of the rank's shards, in their order.
    losses: Vec<f64>,
    /// w_k of each of them.
    weights: Vec<f64>,
    /// What the gradient of each of them is divided by, if the reduction says so.
    divisors: Vec<f32>,
    /// What no gradient of the rank's samples exceeds; NaN if that is not known.
    bound: f64,
    /// What the gradient noise scale is measured from.
    parts: Parts,
    /// What this rank asks all to do after this step; rank 0 is heard.
    pub(super) asked: Asked,
    /// What is sent to, and comes from, other processes.
    pub(super) crossing: Crossing,
    whereabouts: Arc<Whereabouts>,
}

/// Most samples that are computed in one go, unless one shard has more: enough for products to be efficient, few enough for
/// the memory of a rank to be bounded by a shard or this.
const PIECE_SAMPLES: usize = 1024;

/// Shards of a step, and which of its samples they are.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a> {
    /// The samples of the step, in order.
    pub(super) samples: &'a [u32],
    /// The number of shards that they are cut into.
    pub(super) shards: usize,
    /// Whether the gradient noise scale is measured on it.
    pub(super) measured: bool,
}

impl<W> Contribution<W> {
    /// Reserves what any step of the plan needs of a rank.
    pub(super) fn new<M: Model<Workspace = W>>(
        plan: &Plan,
        model: &M,
        data: &Dataset,
        (rank, whereabouts): (usize, Arc<Whereabouts>),
    ) -> Self {
        let by_segment = reduces_by_segment(plan, model);
        let most = if by_segment { most_of_a_run(plan) } else { most_shards(plan) };
        let samples = (most * plan.max_shard_samples()).min(plan.max_batch_samples());
        let count = runs(plan, rank).map(|shards| shards.len()).max().unwrap_or(0);
        Self {
            gathered: gathered_for(data, samples),
            workspace: model.workspace(samples),
            bounds: Vec::with_capacity(most + 1),
            gradients: (!by_segment).then(|| Gradients::new(plan, model, rank, most)),
            losses: Vec::with_capacity(count),
            weights: Vec::with_capacity(count),
            divisors: Vec::with_capacity(count),
            bound: f64::NAN,
            parts: Parts::new(plan, model, count, samples),
            asked: Asked::default(),
            crossing: Crossing::default(),
            whereabouts,
        }
    }

    /// Computes the rank's shards of a batch.
    pub(super) fn compute<M: Model<Workspace = W>>(
        &mut self,
        plan: &Plan,
        (model, params, data): (&M, &[f32], &Dataset),
        batch: Batch<'_>,
        shards: Range<usize>,
    ) {
        self.losses.clear();
        self.weights.clear();
        self.divisors.clear();
        self.parts.clear();
        self.bound = 0.0;
        if let Some(gradients) = &mut self.gradients {
            gradients.clear();
            let one_by_one = batch.measured && measures_shards(plan, model);
            let most = if one_by_one { 1 } else { most_shards(plan) };
            for node in pieces(shards, most) {
                self.piece(plan, (model, params, data), batch, node.leaves(), Some(node));
            }
        } else {
            self.piece(plan, (model, params, data), batch, shards, None);
        }
    }

    /// Computes some shards in one go, which are the subtree of a node unless the model reduces by segment.
    fn piece<M: Model<Workspace = W>>(
        &mut self,
        plan: &Plan,
        (model, params, data): (&M, &[f32], &Dataset),
        batch: Batch<'_>,
        shards: Range<usize>,
        node: Option<Node>,
    ) {
        let bound =
            |shard: usize| (shard > 0).then(|| part(batch.samples.len(), batch.shards, shard - 1).end);
        let first = bound(shards.start).unwrap_or(0);
        self.bounds.clear();
        self.bounds.extend((shards.start..=shards.end).map(|shard| bound(shard).unwrap_or(0) - first));
        let samples = &batch.samples[first..first + self.bounds[shards.len()]];
        self.whereabouts.enter(Phase::Load);
        data.gather(samples, &mut self.gathered);
        self.gathered.clear_weightless();
        let place = self.weights.len();
        self.weigh(plan);
        let divisors = (!self.divisors.is_empty()).then(|| &self.divisors[place..]);
        let shards = ShardRun { samples: samples_of(&self.gathered), bounds: &self.bounds, divisors };
        let losses = &mut self.losses[place..];
        self.whereabouts.enter(Phase::Gradient);
        match (&mut self.gradients, node) {
            (Some(gradients), Some(node)) => {
                let gradient = gradients.compute(&shards, losses, (model, params, &mut self.workspace));
                if batch.measured && !model.knows_sample_squares() {
                    self.parts.note_shard(&shards, gradient);
                }
                gradients.push(node);
            }
            _ => model.propagate(params, &shards, losses, &mut self.workspace),
        }
        self.bound += model.gradient_bound(&shards, &self.workspace);
        if batch.measured && model.knows_sample_squares() {
            self.parts.note_samples(&shards, model, &self.workspace);
        }
    }

    /// Notes the weights of the shards in hand, and what they are divided by.
    fn weigh(&mut self, plan: &Plan) {
        let samples = samples_of(&self.gathered);
        for pair in self.bounds.windows(2) {
            let weight = samples.range(pair[0]..pair[1]).total_weight();
            self.weights.push(weight);
            self.losses.push(0.0);
            // A shard of weight 0 is not divided, but has its place among the divisors.
            let divided = if weight > 0.0 { weight } else { 1.0 };
            self.divisors.extend(plan.reduction().shard_divisor(divided).map(|divisor| divisor as f32));
        }
    }

    /// The subtrees with their gradients, in the order of the shards; none if the model reduces by segment.
    pub(super) fn gradients(&self) -> impl Iterator<Item = (Node, &[f32])> {
        self.gradients.iter().flat_map(Gradients::iter)
    }

    /// The gradient of all of the rank's shards, if they are one subtree and the model does not reduce by segment.
    pub(super) fn sole_gradient(&self) -> Option<&[f32]> {
        let mut gradients = self.gradients();
        gradients.next().filter(|_| gradients.next().is_none()).map(|(_, gradient)| gradient)
    }

    /// What the model left of the rank's samples, if it reduces by segment.
    pub(super) fn workspace(&self) -> &W {
        &self.workspace
    }

    /// Loss sum and weight of each shard, in order.
    pub(super) fn shards(&self) -> impl Iterator<Item = (f64, f64)> {
        self.losses.iter().copied().zip(self.weights.iter().copied())
    }

    /// What the noise scale is measured from, shard by shard in order; nothing unless the step measures it.
    pub(super) fn parts(&self) -> impl Iterator<Item = &BatchParts> {
        self.parts.iter()
    }

    /// What no gradient of the rank's samples exceeds; NaN if that is not known.
    pub(super) fn bound(&self) -> f64 {
        self.bound
    }
}

/// Whether the gradients of a plan's steps are cut by params, not by shards: if the model asks for it, and the samples of each rank
/// are few enough to be kept until all ranks have theirs, and no gradient of a shard is asked for. Over several processes only if this one
/// has several threads, and the shards of each are one subtree. The bits are the same.
pub(super) fn reduces_by_segment<M: Model>(plan: &Plan, model: &M) -> bool {
    if plan.processes() > 1 && plan.threads() == 1 {
        // Its gradient is sent as it is: 3 % faster for 784-512-512-10, two processes and batches of 256.
        return false;
    }
    let few = most_of_a_run(plan) * plan.max_shard_samples() <= PIECE_SAMPLES;
    let whole = |batch| {
        let shards = plan.shards_of(batch);
        plan.processes() == 1
            || (0..plan.processes()).all(|process| subtrees(plan, process, shards).count() <= 1)
    };
    few && batches(plan).all(whole)
        && !measures_shards(plan, model)
        && model.reduces_by_segment(plan.max_batch_samples().div_ceil(plan.processes()))
}

/// Samples of a full batch and of the short last one.
fn batches(plan: &Plan) -> impl Iterator<Item = usize> + use<> {
    [Some(plan.max_batch_samples()), plan.short_batch()].into_iter().flatten()
}

/// The rank's shards in a full batch and in the short last one.
pub(super) fn runs(plan: &Plan, rank: usize) -> impl Iterator<Item = Range<usize>> {
    batches(plan).map(move |batch| part(plan.shards_of(batch), plan.ranks(), rank))
}

/// Cuts a run of shards into subtrees of at most `most` shards, as large as can be.
pub(super) fn pieces(shards: Range<usize>, most: usize) -> impl Iterator<Item = Node> {
    let Range { mut start, end } = shards;
    std::iter::from_fn(move || {
        let left = (end - start).min(most);
        let level = start.trailing_zeros().min(left.checked_ilog2()?);
        let node = Node { level, index: start >> level };
        start = node.leaves().end;
        Some(node)
    })
}

/// Most shards that a rank has: those of the first, as larger parts come first.
fn most_of_a_run(plan: &Plan) -> usize {
    part(plan.shards_of(plan.max_batch_samples()), plan.ranks(), 0).len()
}

/// Most shards of a piece.
fn most_shards(plan: &Plan) -> usize {
    let shards = plan.shards_of(plan.max_batch_samples());
    (PIECE_SAMPLES / plan.max_shard_samples()).clamp(1, shards.max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_are_whole_subtrees_that_follow_one_another(start in 0_usize..70, len in 0_usize..70, most in 1_usize..20) {
            let nodes: Vec<Node> = pieces(start..start + len, most).collect();
            let leaves: Vec<usize> = nodes.iter().flat_map(|node| node.leaves()).collect();
            prop_assert_eq!(leaves, (start..start + len).collect::<Vec<_>>());
            prop_assert!(nodes.iter().all(|node| node.leaves().len() <= most));
        }
    }
}
