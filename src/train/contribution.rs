//! The contribution of one rank to a step: the gradients of its shards, combined as far as the tree
//! allows, or, for a model that reduces by segment, the intermediate results for its samples. The
//! definition is by shards; both have the same bits.

use std::ops::Range;

use super::noise_scale::BatchParts;
use super::phase::{Phase, PhaseClock};
use super::plan::Plan;
use super::run::RunContext;
use super::samples::{gathered_for, samples_of};
use super::shards::{part, pieces};
use crate::collective::tree::{Node, Stack};
use crate::data::GatherBuffer;
use crate::model::{AnyModel, AnyWorkspace, ShardRun, segment_model};
use crate::optim::sum_of_squares;
use crate::simd::vectorized;

/// The shards of one rank in a step, and everything else about them that all ranks need.
pub(super) struct Contribution {
    /// The buffer for samples.
    gathered: GatherBuffer,
    workspace: AnyWorkspace,
    /// The boundaries of the current shards among their samples.
    bounds: Vec<usize>,
    /// `None` if the model reduces by segment.
    gradients: Option<Gradients>,
    /// The loss sum of each of the rank's shards, in order.
    losses: Vec<f64>,
    /// w_k of each of these shards.
    weights: Vec<f64>,
    /// The divisor of the gradient of each of these shards, if the reduction has one.
    divisors: Vec<f32>,
    /// A bound on the gradients of the rank's samples; NaN if the model has no bound.
    bound: f64,
    /// |w_i ∂ℓ_i|² of each current sample, if the noise scale is measured from samples.
    squares: Vec<f64>,
    /// One entry per shard, in order, in a step that measures the noise scale.
    parts: Vec<BatchParts>,
    pub(super) request: Request,
    /// Subtrees of this process for segments of other processes, which this thread sends: segment
    /// by segment, and within each subtree by subtree.
    pub(super) outbox: Vec<f32>,
    /// On the first thread: the subtrees of other processes for the params that this process owns,
    /// process by process, segment by segment, and within each subtree by subtree.
    pub(super) inbox: Vec<f32>,
}

/// A request to all ranks, for after a step: that of rank 0 counts, and over several processes also
/// a stop of any rank.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Request {
    pub(super) stop: bool,
    /// Requests a save into this one of the two buffers.
    pub(super) save: Option<usize>,
}

/// The maximum number of samples computed at a time, unless one shard has more: enough for
/// efficient matrix products, few enough for the memory of a rank to be bounded by this or by a
/// shard.
const PIECE_SAMPLES: usize = 1024;

/// The samples of a step, and their shards.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a> {
    /// The samples, in order.
    pub(super) samples: &'a [u32],
    /// The number of shards into which they are divided.
    pub(super) shards: usize,
    /// True if the gradient noise scale is measured.
    pub(super) noise: bool,
}

impl Contribution {
    /// Allocates what a rank needs for any step of the plan.
    pub(super) fn new(run: &RunContext<'_>, rank: usize) -> Self {
        let (plan, model) = (&run.plan, run.model);
        let by_segment = reduces_by_segment(plan, model);
        let most = if by_segment { most_of_a_run(plan) } else { most_of_a_piece(plan, model) };
        let samples = (most * plan.max_shard_samples()).min(plan.max_batch_samples());
        let count = runs(plan, rank).map(|shards| shards.len()).max().unwrap_or(0);
        let measures = plan.noise_interval().is_some();
        Self {
            gathered: gathered_for(run.train, samples),
            workspace: model.workspace(samples),
            bounds: Vec::with_capacity(most + 1),
            gradients: (!by_segment).then(|| Gradients::new(plan, model, rank)),
            losses: Vec::with_capacity(count),
            weights: Vec::with_capacity(count),
            divisors: Vec::with_capacity(count),
            bound: f64::NAN,
            squares: vec![0.0; if measures && !measures_shards(plan, model) { samples } else { 0 }],
            parts: Vec::with_capacity(if measures { count } else { 0 }),
            request: Request::default(),
            outbox: Vec::new(),
            inbox: Vec::new(),
        }
    }

    /// Computes the rank's `shards` of a batch.
    pub(super) fn compute(
        &mut self,
        run: &RunContext<'_>,
        params: &[f32],
        batch: Batch<'_>,
        shards: Range<usize>,
        clock: &mut PhaseClock,
    ) {
        self.losses.clear();
        self.weights.clear();
        self.divisors.clear();
        self.parts.clear();
        self.bound = 0.0;
        if let Some(gradients) = &mut self.gradients {
            gradients.clear();
            let one_by_one = batch.noise && measures_shards(&run.plan, run.model);
            let most = if one_by_one { 1 } else { most_of_a_piece(&run.plan, run.model) };
            for node in pieces(shards, most) {
                self.compute_piece(run, params, batch, node.leaves(), Some(node), clock);
            }
        } else {
            self.compute_piece(run, params, batch, shards, None, clock);
        }
    }

    /// Computes some shards at a time, which form the subtree of a node unless the model reduces by
    /// segment.
    fn compute_piece(
        &mut self,
        run: &RunContext<'_>,
        params: &[f32],
        batch: Batch<'_>,
        shards: Range<usize>,
        node: Option<Node>,
        clock: &mut PhaseClock,
    ) {
        let bound = |shard: usize| {
            if shard == 0 { 0 } else { part(batch.samples.len(), batch.shards, shard - 1).end }
        };
        let first = bound(shards.start);
        self.bounds.clear();
        self.bounds.extend((shards.start..=shards.end).map(|shard| bound(shard) - first));
        let samples = &batch.samples[first..first + self.bounds[shards.len()]];
        clock.enter(Phase::Load);
        run.train.gather(samples, &mut self.gathered);
        self.gathered.clear_weightless();
        let place = self.weights.len();
        self.weigh(&run.plan);
        let divisors = (!self.divisors.is_empty()).then(|| &self.divisors[place..]);
        let shards = ShardRun { samples: samples_of(&self.gathered), bounds: &self.bounds, divisors };
        let (losses, workspace) = (&mut self.losses[place..], &mut self.workspace);
        clock.enter(Phase::Gradient);
        let (fused, by_segment) = (run.model.fused(), segment_model(run.model));
        if let (Some(gradients), Some(node)) = (&mut self.gradients, node) {
            let grads = gradients.slot();
            match fused {
                Some(model) => model.subtree_gradient(params, &shards, grads, losses, workspace),
                None => losses[0] = shard_gradient(run.model, params, &shards, grads, workspace),
            }
            if batch.noise && by_segment.is_none() {
                self.parts.push(parts_of_shard(&shards, grads));
            }
            gradients.push(node);
        } else if let Some(model) = by_segment {
            model.propagate(params, &shards, losses, workspace);
        }
        self.bound += fused.map_or(f64::NAN, |model| model.gradient_bound(&shards, workspace));
        if let (true, Some(model)) = (batch.noise, by_segment) {
            let squares = &mut self.squares[..shards.all_samples().len()];
            model.sample_squares(&shards, squares, workspace);
            self.parts.extend(parts_of_samples(&shards, squares));
        }
    }

    /// Records the weights of the current shards, and their divisors.
    fn weigh(&mut self, plan: &Plan) {
        let samples = samples_of(&self.gathered);
        for pair in self.bounds.windows(2) {
            let weight = samples.range(pair[0]..pair[1]).total_weight();
            self.weights.push(weight);
            self.losses.push(0.0);
            // A shard of weight 0 is not divided, but still needs an entry among the divisors.
            let divided = if weight > 0.0 { weight } else { 1.0 };
            self.divisors.extend(plan.reduction().shard_divisor(divided).map(|divisor| divisor as f32));
        }
    }
}

impl Contribution {
    /// Returns the subtrees with their gradients, in the order of the shards; empty if the model
    /// reduces by segment.
    pub(super) fn gradients(&self) -> impl Iterator<Item = (Node, &[f32])> {
        self.gradients.iter().flat_map(Gradients::iter)
    }

    /// Returns the gradient of all of the rank's shards, if they form one subtree and the model
    /// does not reduce by segment.
    pub(super) fn sole_gradient(&self) -> Option<&[f32]> {
        let mut gradients = self.gradients();
        gradients.next().filter(|_| gradients.next().is_none()).map(|(_, gradient)| gradient)
    }

    /// Returns what the model stored for the rank's samples, if it reduces by segment.
    pub(super) fn workspace(&self) -> &AnyWorkspace {
        &self.workspace
    }

    /// Returns the loss sum and weight of each shard, in order.
    pub(super) fn shards(&self) -> impl Iterator<Item = (f64, f64)> {
        self.losses.iter().copied().zip(self.weights.iter().copied())
    }

    /// Returns the values from which the noise scale is measured, shard by shard in order; empty
    /// unless the step measures it.
    pub(super) fn parts(&self) -> &[BatchParts] {
        &self.parts
    }

    /// Returns a bound on the gradients of the rank's samples; NaN if the model has no bound.
    pub(super) fn bound(&self) -> f64 {
        self.bound
    }
}

/// Writes the divided gradient of the only shard and returns its loss sum; both are 0 if its weight
/// is 0, regardless of what the model computes.
fn shard_gradient(
    model: &AnyModel<'_>,
    params: &[f32],
    shard: &ShardRun<'_>,
    grads: &mut [f32],
    workspace: &mut AnyWorkspace,
) -> f64 {
    let samples = shard.all_samples();
    if samples.total_weight() == 0.0 {
        grads.fill(0.0);
        return 0.0;
    }
    let loss = model.gradient(params, &samples, grads, workspace);
    if let Some([divisor]) = shard.divisors {
        grads.iter_mut().for_each(|grad| *grad /= divisor);
    }
    loss
}

/// Returns a shard as a single part, whose gradient is that of the whole shard.
fn parts_of_shard(shard: &ShardRun<'_>, gradient: &[f32]) -> BatchParts {
    let (mut weight, mut squares) = (0.0, 0.0);
    sample_weights(shard, 0).for_each(|w| (weight, squares) = (weight + w, squares + w * w));
    let mut parts = BatchParts::default();
    parts.add(sum_of_squares(gradient), weight, squares);
    parts
}

/// Returns each shard as parts of one sample each, given the squares of their gradients.
fn parts_of_samples(shards: &ShardRun<'_>, squares: &[f64]) -> impl Iterator<Item = BatchParts> {
    let first = shards.bounds[0];
    (0..shards.len()).map(move |shard| {
        let mut parts = BatchParts::default();
        let squares = &squares[shards.bounds[shard] - first..];
        for (weight, square) in sample_weights(shards, shard).zip(squares) {
            parts.add(*square, weight, weight * weight);
        }
        parts
    })
}

/// Returns w_i of each sample of a shard, divided like its gradient.
fn sample_weights(shards: &ShardRun<'_>, shard: usize) -> impl Iterator<Item = f64> {
    let divisor = shards.divisors.map_or(1.0, |divisors| f64::from(divisors[shard]));
    let samples = shards.samples;
    (shards.bounds[shard]..shards.bounds[shard + 1]).map(move |i| f64::from(samples.weight(i)) / divisor)
}

/// The gradients of a rank's shards: one for each subtree that can be combined without the shards
/// of other ranks.
struct Gradients {
    params_len: usize,
    /// One gradient per slot.
    slots: Vec<f32>,
    /// The subtrees in the order of the shards, each with its slot: the k-th is in slot k.
    nodes: Stack<usize>,
}

impl Gradients {
    /// Allocates what a rank needs for any step of the plan.
    fn new(plan: &Plan, model: &AnyModel<'_>, rank: usize) -> Self {
        let most = most_of_a_piece(plan, model);
        let least = if measures_shards(plan, model) { 1 } else { most };
        // A short last batch may have fewer shards, and so other subtrees.
        let slots = runs(plan, rank)
            .flat_map(|shards| [most, least].map(|most| slots_for(pieces(shards.clone(), most))))
            .max()
            .unwrap_or(0);
        let count = runs(plan, rank).map(|shards| shards.len()).max().unwrap_or(0);
        let params_len = plan.params_len();
        Self { params_len, slots: vec![0.0; params_len * slots], nodes: Stack::with_capacity(count) }
    }

    fn clear(&mut self) {
        drop(self.nodes.drain());
    }

    /// Returns the slot for the gradient of the next subtree, which [`push`](Self::push) must
    /// follow.
    fn slot(&mut self) -> &mut [f32] {
        let (len, slot) = (self.params_len, self.nodes.nodes().len());
        &mut self.slots[slot * len..][..len]
    }

    /// Combines the subtree that was just computed with the previous ones.
    fn push(&mut self, node: Node) {
        let (len, slot) = (self.params_len, self.nodes.nodes().len());
        let slots = &mut self.slots;
        self.nodes.push(node, slot, |left, right| {
            let (before, from_right) = slots.split_at_mut(right * len);
            add(&mut before[left * len..][..len], &from_right[..len]);
            left
        });
    }

    fn iter(&self) -> impl Iterator<Item = (Node, &[f32])> {
        let gradient = |slot: usize| &self.slots[slot * self.params_len..][..self.params_len];
        self.nodes.nodes().iter().map(move |(node, slot)| (*node, gradient(*slot)))
    }
}

/// left += right.
pub(super) fn add(left: &mut [f32], right: &[f32]) {
    vectorized(
        #[inline(always)]
        || left.iter_mut().zip(right).for_each(|(left, right)| *left += right),
    );
}

/// Returns the maximum number of slots in use at a time when `nodes` are pushed in order.
fn slots_for(nodes: impl Iterator<Item = Node>) -> usize {
    let mut stack = Stack::with_capacity(0);
    nodes.fold(0, |most, node| {
        let needed = stack.nodes().len() + 1;
        stack.push(node, (), |(), ()| ());
        most.max(needed)
    })
}

/// Returns whether the gradients of a plan's steps are divided among ranks by params rather than by
/// shards: if the model requests it, the samples of each rank are few enough to be kept until all
/// ranks have computed theirs, and no gradient of a single shard is needed. With several processes,
/// only if this one has several threads, and the shards of each process form one subtree.
pub(super) fn reduces_by_segment(plan: &Plan, model: &AnyModel<'_>) -> bool {
    if plan.processes() > 1 && plan.threads() == 1 {
        // The gradient is sent directly: 3 % faster for 784-512-512-10, two processes and batches
        // of 256.
        return false;
    }
    let few = most_of_a_run(plan) * plan.max_shard_samples() <= PIECE_SAMPLES;
    let is_whole = |batch| {
        let shards = plan.shards_of(batch);
        plan.processes() == 1
            || (0..plan.processes()).all(|process| plan.subtrees_in(process, shards).count() <= 1)
    };
    let samples = plan.max_batch_samples().div_ceil(plan.processes());
    few && batches(plan).all(is_whole)
        && segment_model(model).is_some_and(|model| model.reduces_by_segment(samples))
}

/// Returns whether a step that measures the noise scale computes the gradients of shards one by
/// one, because the model does not provide those of samples. The choice depends only on the model.
fn measures_shards(plan: &Plan, model: &AnyModel<'_>) -> bool {
    plan.noise_interval().is_some() && segment_model(model).is_none()
}

/// The numbers of samples of a full batch and of the short last one.
fn batches(plan: &Plan) -> impl Iterator<Item = usize> + use<> {
    [Some(plan.max_batch_samples()), plan.short_batch()].into_iter().flatten()
}

/// The rank's shards in a full batch and in the short last one.
fn runs(plan: &Plan, rank: usize) -> impl Iterator<Item = Range<usize>> {
    batches(plan).map(move |batch| part(plan.shards_of(batch), plan.ranks(), rank))
}

/// The maximum number of shards of a rank: those of the first rank, because larger parts come
/// first.
fn most_of_a_run(plan: &Plan) -> usize {
    part(plan.shards_of(plan.max_batch_samples()), plan.ranks(), 0).len()
}

/// The maximum number of shards computed at a time when reducing by shards.
fn most_of_a_piece(plan: &Plan, model: &AnyModel<'_>) -> usize {
    let shards = plan.shards_of(plan.max_batch_samples());
    let most = if model.fused().is_some() { PIECE_SAMPLES / plan.max_shard_samples() } else { 1 };
    most.clamp(1, shards.max(1))
}
