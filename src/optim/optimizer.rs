//! The optimizer of a segment.

use super::blocks::{BLOCK_LEN, Blocks, scale_grads, sum_of_squares};
use super::error::OptimError;
use super::options::{Hyper, OptimizerOptions, Rule, positive};
use super::rules::{
    Adagrad, Adam, Apply, Lamb, Rmsprop, Velocity, add_l2, local_rate, localise, trust_ratio,
};
use super::state::{NoDecay, StateBuffers};
use crate::simd::vectorized;
use std::ops::Range;

/// An update rule with its state for one segment of the params.
///
/// With g the reduced and clipped gradient plus λw (λ the coupled `l2`), η the rate, λ' the
/// decoupled weight decay and t the step from 1:
///
/// | rule | state | update, after w ← (1 − ηλ')w | source |
/// |---|---|---|---|
/// | sgd | | w ← w − ηg | `torch.optim.SGD` |
/// | sgd, momentum | v ← μv + g | w ← w − ηv; Nesterov w ← w − η(g + μv) | same |
/// | sgd, Caffe's form | v ← μv + ηg | w ← w − v; Nesterov w ← w − ((1+μ)v − μv₋₁) | Caffe's `SGDSolver`, `NesterovSolver` |
/// | adagrad | s ← s + g² | w ← w − ηg/(√s + ε) | `torch.optim.Adagrad` |
/// | rmsprop | s ← αs + (1−α)g² | w ← w − ηg/(√s + ε); momentum b ← μb + g/(√s + ε), w ← w − ηb | `torch.optim.RMSprop` |
/// | adam, adamw | m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g² | w ← w − η/(1−β₁ᵗ)·m/(√v/√(1−β₂ᵗ) + ε) | `torch.optim.Adam`, `AdamW` |
/// | lars | as sgd, of local·g | local = trust·‖w‖/(‖g − λw‖ + λ‖w‖) per tensor | arXiv:1708.03888, algorithm 1 |
/// | lamb | as adam | u = m̂/(√v̂ + ε) + λ'w, w ← w − η‖w‖/‖u‖·u per tensor, no other decay | arXiv:1904.00962, algorithm 2 |
///
/// In lars and lamb the factor is 1 if either norm is 0.
///
/// The segment is a range of whole blocks: all of them, or, in the trainer, those of one rank. The
/// params and grads passed to an optimizer are those of its segment only. The bits of params and
/// state do not depend on how the blocks are split into segments.
///
/// # Phases
/// An update has two phases, `prepare` and `finish`. In between, lars and lamb exchange sums of
/// squares between ranks. All other rules may run both at once, with the same bits. A step is
/// complete, and counted, after the second phase.
///
/// # Cost
/// Memory: one `f32` per param for each buffer of [`state`](Self::state), at most 2, allocated once
/// by [`new`](Self::new). Time: one pass over params, grads and state, block by block, so that the
/// data shared by a block's inner loops stays in the first-level cache.
///
/// # Examples
/// ```
/// use phalanx::optim::{Optimizer, OptimizerOptions};
///
/// let options = OptimizerOptions { momentum: Some(0.5), ..OptimizerOptions::default() };
/// let mut optimizer = Optimizer::new(&options, &[2])?;
/// let mut params = [1.0, 2.0];
/// optimizer.update(0.25, &mut params, &mut [1.0, -1.0]);
/// optimizer.update(0.25, &mut params, &mut [0.0, 0.0]);
/// assert_eq!(params, [1.0 - 0.25 - 0.125, 2.0 + 0.25 + 0.125]);
/// # Ok::<(), phalanx::optim::OptimError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Optimizer {
    hyper: Hyper,
    /// The start of each block of the segment, counted from the segment's start, followed by its
    /// number of params.
    starts: Vec<usize>,
    parts: Vec<TensorPart>,
    /// The number of blocks of all segments.
    blocks_len: usize,
    /// The params of the segment that are excluded from penalties.
    no_decay: NoDecay,
    /// The divisor of the coupled penalty's λ.
    l2_divisor: f64,
    state: StateBuffers,
    steps: u64,
}

/// A step in progress, started by [`Optimizer::begin`].
///
/// # Examples
///
/// ```
/// use phalanx::internals::Update;
/// use phalanx::optim::{Optimizer, OptimizerOptions};
///
/// let mut optimizer = Optimizer::new(&OptimizerOptions::default(), &[2])?;
/// let mut params = [1.0, 2.0];
/// let mut update: Update<'_> = optimizer.begin(0.5);
/// update.piece(0..2, &mut params, &mut [1.0, -1.0]);
/// update.end();
/// assert_eq!((params, optimizer.steps()), ([0.5, 2.5], 1));
/// # Ok::<(), phalanx::optim::OptimError>(())
/// ```
#[derive(Debug)]
#[must_use = "a step that does not end is not counted"]
pub struct Update<'a> {
    prepare: Prepare,
    finish: Finish<'a>,
    no_decay: &'a NoDecay,
    state: &'a mut StateBuffers,
    steps: &'a mut u64,
}

impl Update<'_> {
    /// Updates some params of the segment, given by their indices in it; each param once per step.
    /// The contents of `grads` are unspecified afterwards.
    ///
    /// # Panics
    /// If the lengths differ, or, for a rule with state, an index is outside the segment.
    ///
    /// # Cost
    /// One pass over params, grads and state.
    pub fn piece(&mut self, indices: Range<usize>, params: &mut [f32], grads: &mut [f32]) {
        assert!(
            params.len() == indices.len() && grads.len() == indices.len(),
            "params and grads must have one value per index"
        );
        let start = indices.start;
        for (range, excluded) in self.no_decay.runs(indices) {
            let local = range.start - start..range.end - start;
            let (params, grads) = (&mut params[local.clone()], &mut grads[local]);
            let prepare = self.prepare.without_decay_if(excluded);
            let finish = self.finish.without_decay_if(excluded);
            vectorized(
                #[inline(always)]
                || {
                    prepare.run(params, grads, self.state.over(range.clone()));
                    finish.run(params, grads, self.state.over(range));
                },
            );
        }
    }

    /// Counts the step.
    pub fn end(self) {
        *self.steps += 1;
    }
}

/// The part of a tensor that lies in the segment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TensorPart {
    /// The blocks of this part, counted from the segment's first.
    own: Range<usize>,
    /// The blocks of the whole tensor, counted over all segments.
    tensor: Range<usize>,
}

impl Optimizer {
    /// Creates the optimizer of contiguous tensors with the given numbers of params. All state is
    /// allocated here.
    ///
    /// [`OptimizerOptions::no_bias_decay`] has no effect here, because no tensor is marked as a
    /// bias.
    ///
    /// # Errors
    /// Those of [`OptimizerOptions::check`].
    pub fn new(options: &OptimizerOptions, tensor_lens: &[usize]) -> Result<Self, OptimError> {
        let blocks = Blocks::new(tensor_lens);
        Ok(Self::for_segment(&options.hyper()?, &blocks, 0..blocks.len()))
    }

    /// Creates the optimizer of a segment, given as a range of block indices. All state is
    /// allocated here.
    ///
    /// # Panics
    /// If the segment is not within the blocks.
    #[doc(hidden)]
    #[must_use]
    pub fn for_segment(hyper: &Hyper, blocks: &Blocks, segment: Range<usize>) -> Self {
        let params = blocks.params_range(segment.clone());
        let starts = segment.clone().map(|block| blocks.range(block).start).chain([params.end]);
        Self {
            hyper: *hyper,
            starts: starts.map(|start| start - params.start).collect(),
            parts: parts(blocks, segment.clone()),
            blocks_len: blocks.len(),
            no_decay: if hyper.options.no_bias_decay {
                NoDecay::biases(blocks, segment)
            } else {
                NoDecay::default()
            },
            l2_divisor: 1.0,
            state: StateBuffers::new(hyper, params.len()),
            steps: 0,
        }
    }

    /// Performs a whole step. The contents of `grads` are unspecified afterwards.
    ///
    /// # Panics
    /// If `params` or `grads` do not have the segment's length; if the rate is negative or not
    /// finite as `f32`; if the rule needs tensor norms (lars, lamb) and this is one of several
    /// segments.
    ///
    /// # Cost
    /// With tensor norms, each call allocates 16 bytes per block.
    pub fn update(&mut self, rate: f64, params: &mut [f32], grads: &mut [f32]) {
        self.check(params, grads);
        if self.hyper.needs_tensor_norms() && self.starts.len() - 1 == self.blocks_len {
            let mut block_squares = vec![[0.0; 2]; self.blocks_len];
            self.prepare(params, grads, &mut block_squares);
            return self.finish(rate, params, grads, &block_squares);
        }
        let len = params.len();
        let mut update = self.begin(rate);
        for start in (0..len).step_by(BLOCK_LEN) {
            let range = start..len.min(start + BLOCK_LEN);
            update.piece(range.clone(), &mut params[range.clone()], &mut grads[range]);
        }
        update.end();
    }

    /// Starts a whole step whose grads are passed piece by piece: [`update`](Self::update) without
    /// storing all of them first. The bits do not depend on the pieces.
    ///
    /// # Panics
    /// If the rule needs tensor norms, or the rate is negative or not finite as `f32`.
    ///
    /// # Examples
    /// ```
    /// use phalanx::optim::{Optimizer, OptimizerOptions};
    ///
    /// let mut optimizer = Optimizer::new(&OptimizerOptions::default(), &[3])?;
    /// let mut params = [1.0, 2.0, 3.0];
    /// let mut update = optimizer.begin(0.5);
    /// update.piece(2..3, &mut params[2..3], &mut [2.0]);
    /// update.piece(0..2, &mut params[0..2], &mut [0.0, 4.0]);
    /// update.end();
    /// assert_eq!(params, [1.0, 0.0, 2.0]);
    /// # Ok::<(), phalanx::optim::OptimError>(())
    /// ```
    #[doc(hidden)]
    pub fn begin(&mut self, rate: f64) -> Update<'_> {
        assert!(
            !self.hyper.needs_tensor_norms(),
            "{} needs tensor norms between its two phases; call prepare and finish",
            self.hyper.kind()
        );
        check_rate(rate);
        Update {
            prepare: Prepare::new(&self.hyper, self.steps + 1, self.l2_divisor),
            finish: Finish::new(&self.hyper, self.steps + 1, rate, self.l2_divisor),
            no_decay: &self.no_decay,
            state: &mut self.state,
            steps: &mut self.steps,
        }
    }

    /// Runs the first phase: turns grads, in place, into the input of the second phase, and updates
    /// the state that needs neither the rate nor norms.
    ///
    /// For rules that need tensor norms, `block_squares` has one entry per block of the segment and
    /// receives ‖w‖² and ‖g‖² (lars, g without λw) or ‖u‖² (lamb). Other rules ignore it, and it
    /// may be empty.
    ///
    /// # Panics
    /// If `params`, `grads` or `block_squares` do not have the segment's length.
    #[doc(hidden)]
    pub fn prepare(&mut self, params: &[f32], grads: &mut [f32], block_squares: &mut [[f64; 2]]) {
        self.check(params, grads);
        let norms = self.hyper.needs_tensor_norms();
        assert!(
            !norms || block_squares.len() == self.starts.len() - 1,
            "block_squares must have one entry per block of the segment"
        );
        let prepare = Prepare::new(&self.hyper, self.steps + 1, self.l2_divisor);
        for (block, pair) in self.starts.windows(2).enumerate() {
            let range = pair[0]..pair[1];
            let (params, grads) = (&params[range.clone()], &mut grads[range.clone()]);
            let prepare = prepare.without_decay_if(self.no_decay.contains(range.start));
            vectorized(
                #[inline(always)]
                || prepare.run(params, grads, self.state.over(range)),
            );
            if norms {
                block_squares[block] = [sum_of_squares(params), sum_of_squares(grads)];
            }
        }
    }

    /// Runs the second phase: completes the direction, updates the params and counts the step.
    /// Afterwards `grads` contains the direction u.
    ///
    /// For rules that need tensor norms, `all_block_squares` contains the results of every rank's
    /// first phase, in block order. Other rules ignore it, and it may be empty.
    ///
    /// # Panics
    /// If `params` or `grads` do not have the segment's length, or `all_block_squares` does not
    /// have one entry per block; if the rate is negative or not finite as `f32`.
    ///
    /// # Cost
    /// One pass over the segment, and one addition per block of every tensor that overlaps it.
    #[doc(hidden)]
    pub fn finish(
        &mut self,
        rate: f64,
        params: &mut [f32],
        grads: &mut [f32],
        all_block_squares: &[[f64; 2]],
    ) {
        self.check(params, grads);
        check_rate(rate);
        let norms = self.hyper.needs_tensor_norms();
        assert!(
            !norms || all_block_squares.len() == self.blocks_len,
            "all_block_squares must have one entry per block"
        );
        let finish = Finish::new(&self.hyper, self.steps + 1, rate, self.l2_divisor);
        for part in &self.parts {
            let finish = finish.without_decay_if(self.no_decay.contains(self.starts[part.own.start]));
            let finish =
                if norms { finish.for_tensor(add(&all_block_squares[part.tensor.clone()])) } else { finish };
            for block in part.own.clone() {
                let range = self.starts[block]..self.starts[block + 1];
                let (params, grads) = (&mut params[range.clone()], &mut grads[range.clone()]);
                vectorized(
                    #[inline(always)]
                    || finish.run(params, grads, self.state.over(range)),
                );
            }
        }
        self.steps += 1;
    }

    fn check(&self, params: &[f32], grads: &[f32]) {
        let len = self.starts[self.starts.len() - 1];
        assert!(params.len() == len, "params have {} values, but the optimizer has {len}", params.len());
        assert!(grads.len() == len, "grads have {} values, but the optimizer has {len}", grads.len());
    }

    /// Sets the divisor of λ of the coupled penalty until the next call.
    /// [`L2Form::BatchSum`](super::L2Form::BatchSum) needs it: the caller passes the weight of each
    /// step, which the optimizer does not know.
    ///
    /// # Panics
    /// If the divisor is not above 0 and finite.
    pub fn divide_l2(&mut self, divisor: f64) {
        assert!(divisor > 0.0 && divisor.is_finite(), "l2 cannot be divided by {divisor}");
        self.l2_divisor = divisor;
    }

    /// Returns the checked options.
    #[doc(hidden)]
    #[must_use]
    pub fn hyper(&self) -> &Hyper {
        &self.hyper
    }

    /// Returns the state buffers with their names, the same as in PyTorch's `state_dict`.
    pub fn state(&self) -> impl Iterator<Item = (&'static str, &[f32])> {
        self.state.iter()
    }

    /// Returns the mutable state buffers with their names.
    pub fn state_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut [f32])> {
        self.state.iter_mut()
    }

    /// Replaces a state buffer, for example to resume a run.
    ///
    /// # Errors
    /// [`OptimError::UnknownState`] if the rule has no buffer of this name;
    /// [`OptimError::StateLen`] if the number of values is not the segment's. On error, nothing is
    /// changed.
    pub fn load_state(&mut self, name: &str, values: &[f32]) -> Result<(), OptimError> {
        self.state.load(name, values)
    }

    /// Returns the number of completed steps.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Sets the number of completed steps, for example to resume a run. The bias corrections of
    /// Adam and LAMB depend on it.
    pub fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// Translates the state for a change of convention during a run, after which gradients are
    /// `factor` times as large: n from a mean over n samples to their sum, 1/n in the other
    /// direction. Each buffer is multiplied by its power of the factor, the 2nd for averages of
    /// squares; the caller must translate the rate, `l2`, ε and the other options.
    ///
    /// # Errors
    /// [`OptimError::OutOfRange`] if the factor, or its square if the state contains squares, is
    /// not a positive normal `f32`. On error, nothing is changed.
    pub fn rescale_state(&mut self, factor: f64) -> Result<(), OptimError> {
        let powers = self.hyper.state_powers();
        for power in [1].iter().chain(powers) {
            positive("the factor of the gradients, or its square for squares,", factor.powi(*power))?;
        }
        for ((_, buffer), power) in self.state.iter_mut().zip(powers) {
            scale_grads(buffer, factor.powi(*power) as f32);
        }
        Ok(())
    }

    /// Multiplies the momentum buffer: by η_new/η_old when the rate changes under Caffe's form,
    /// which makes it equivalent to PyTorch's again (Goyal et al. 2017, arXiv:1706.02677, remark
    /// 2).
    ///
    /// # Errors
    /// [`OptimError::UnknownState`] if there is no momentum.
    pub fn scale_momentum(&mut self, factor: f32) -> Result<(), OptimError> {
        self.state.scale("momentum_buffer", factor)
    }
}

fn check_rate(rate: f64) {
    assert!(rate >= 0.0 && (rate as f32).is_finite(), "rate {rate:?} is negative or not finite as f32");
}

fn parts(blocks: &Blocks, segment: Range<usize>) -> Vec<TensorPart> {
    let first = segment.start;
    let tensors = segment.clone().map(|block| blocks.tensor_of(block));
    let mut parts: Vec<TensorPart> = Vec::new();
    for (own, tensor) in tensors.enumerate() {
        match parts.last_mut() {
            Some(part) if part.tensor.contains(&(first + own)) => part.own.end = own + 1,
            _ => parts.push(TensorPart { own: own..own + 1, tensor: blocks.blocks_of(tensor) }),
        }
    }
    parts
}

/// Adds block sums in index order.
fn add(block_squares: &[[f64; 2]]) -> [f64; 2] {
    block_squares.iter().fold([0.0, 0.0], |[a, b], [c, d]| [a + c, b + d])
}

/// The first phase, before norms are exchanged: the penalty, and the state of the rules that do not
/// need the rate.
#[derive(Debug, Clone, Copy)]
struct Prepare {
    /// 0 for lars, whose local rate includes λ.
    l2: f32,
    direction: Direction,
}

/// The part of the direction that the first phase computes.
#[derive(Debug, Clone, Copy)]
enum Direction {
    /// Nothing: momentum is part of the second phase, because Caffe's form needs the rate and lars
    /// the norms.
    Later,
    Adagrad(Adagrad),
    Rmsprop(Rmsprop),
    Adam(Adam),
    Lamb(Lamb),
}

impl Prepare {
    /// Creates the phase of a step, counted from 1. λ is that of the options divided by
    /// `l2_divisor`.
    fn new(hyper: &Hyper, step: u64, l2_divisor: f64) -> Self {
        let direction = match &hyper.rule {
            Rule::Sgd(_) | Rule::Lars { .. } => Direction::Later,
            Rule::Adagrad { eps, form, .. } => Direction::Adagrad(Adagrad::new(*eps, *form)),
            Rule::Rmsprop { alpha, eps, form, momentum } => {
                Direction::Rmsprop(Rmsprop::new(*alpha, *eps, *form, *momentum))
            }
            Rule::Adam(moments) => Direction::Adam(Adam::new(moments, step)),
            Rule::Lamb(moments) => Direction::Lamb(Lamb::new(moments, hyper.options.weight_decay, step)),
        };
        let l2 = if matches!(hyper.rule, Rule::Lars { .. }) {
            0.0
        } else {
            (hyper.options.l2 / l2_divisor) as f32
        };
        Self { l2, direction }
    }

    /// Returns the phase without penalties if `excluded`, otherwise unchanged.
    fn without_decay_if(mut self, excluded: bool) -> Self {
        if excluded {
            self.l2 = 0.0;
            if let Direction::Lamb(rule) = &mut self.direction {
                *rule = rule.without_decay();
            }
        }
        self
    }

    #[inline(always)]
    fn run(self, params: &[f32], grads: &mut [f32], [first, second]: [&mut [f32]; 2]) {
        if self.l2 != 0.0 {
            add_l2(self.l2, params, grads);
        }
        match self.direction {
            Direction::Later => {}
            Direction::Adagrad(rule) => rule.run(grads, first),
            Direction::Rmsprop(rule) => rule.run(grads, first, second),
            Direction::Adam(rule) => rule.run(grads, first, second),
            Direction::Lamb(rule) => rule.run(params, grads, [first, second]),
        }
    }
}

/// The second phase, once norms are known: the rest of the direction, and the params.
#[derive(Debug, Clone, Copy)]
struct Finish<'a> {
    rule: &'a Rule,
    rate: f64,
    l2: f64,
    /// The tensor's local rate, for lars only.
    local: Option<f32>,
    velocity: Velocity,
    apply: Apply,
}

impl<'a> Finish<'a> {
    /// Creates the phase of a step, counted from 1. λ is that of the options divided by
    /// `l2_divisor`.
    fn new(hyper: &'a Hyper, step: u64, rate: f64, l2_divisor: f64) -> Self {
        let velocity = Velocity::new(&hyper.rule, rate);
        let step_rate = match &hyper.rule {
            Rule::Adam(moments) => Adam::step_rate(moments, step, rate),
            _ => velocity.step_rate(rate),
        };
        let apply = Apply::new(hyper, rate, step_rate);
        Self { rule: &hyper.rule, rate, l2: hyper.options.l2 / l2_divisor, local: None, velocity, apply }
    }

    /// Returns the phase without penalties if `excluded`, otherwise unchanged.
    fn without_decay_if(mut self, excluded: bool) -> Self {
        if excluded {
            self.l2 = 0.0;
            self.apply = self.apply.without_decay();
        }
        self
    }

    /// Returns the phase for one tensor with the given ‖w‖² and ‖g‖² (lars) or ‖w‖² and ‖u‖²
    /// (lamb).
    fn for_tensor(mut self, squares: [f64; 2]) -> Self {
        match self.rule {
            Rule::Lars { trust_coefficient, .. } => {
                self.local = Some(local_rate(*trust_coefficient, self.l2, squares) as f32);
            }
            Rule::Lamb(_) => self.apply.rate = (self.rate * trust_ratio(squares)) as f32,
            _ => {}
        }
        self
    }

    #[inline(always)]
    fn run(self, params: &mut [f32], grads: &mut [f32], [first, _]: [&mut [f32]; 2]) {
        if let Some(local) = self.local {
            localise(local, self.l2 as f32, params, grads);
        }
        self.velocity.run(grads, first);
        self.apply.run(params, grads);
    }
}
