//! The gradients of the weight and bias of a layer: sums over the rows of shards, combined in the
//! tree over the shards.
//!
//! # The tree, for shard sums that are computed one by one
//!
//! A node that covers 2^j shards, starting at a multiple of 2^j, is complete as soon as the last of
//! them has been added; its value is left + right. The complete nodes that wait for their right
//! neighbour form a stack with one entry for each 1 in the binary representation of the number of
//! shards added so far; adding a shard merges one entry for each trailing 1. The incomplete right
//! edge is combined from right to left after the last shard.

use std::ops::Range;

use super::panels::{Buffers, PACKED_ROWS, Panels, Scratch, ScratchSizes, pack_strip};
use super::tile::{
    Tile, add, add_products, height, load_part, store, strips_of_one_height, with_height, zeros,
};
use crate::simd::{Arithmetic, Kernel, PanelLine, WIDTH, run};

/// A part of the rows over which a gradient is summed: the contiguous rows of consecutive shards,
/// such as those of one rank.
///
/// # Examples
///
/// ```
/// use phalanx::internals::kernel::{Panels, Scratch, ShardRows, bias_gradient, weight_gradient};
///
/// // One layer of two inputs and one output; two ranks have one shard each, of one and of two
/// // samples.
/// let mut panels = [Panels::default(), Panels::default()];
/// panels[0].pack(&[1.0, 2.0], (1, 2));
/// panels[1].pack(&[3.0, 4.0, 5.0, 6.0], (2, 2));
/// let parts = [
///     ShardRows { d_outputs: &[1.0], inputs: &panels[0], ends: &[1] },
///     ShardRows { d_outputs: &[1.0, -1.0], inputs: &panels[1], ends: &[2] },
/// ];
/// let (mut scratch, mut weight, mut bias) = (Scratch::default(), [0.0; 2], [0.0]);
/// weight_gradient(parts.into_iter(), (1, 2), 0..2, &mut scratch, &mut |range, values| {
///     weight[range].copy_from_slice(values);
/// });
/// bias_gradient(parts.into_iter(), 1, 0..1, &mut scratch, &mut |range, values| {
///     bias[range].copy_from_slice(values);
/// });
/// assert_eq!((weight, bias), ([1.0 + 3.0 - 5.0, 2.0 + 4.0 - 6.0], [1.0 + 1.0 - 1.0]));
/// ```
#[derive(Clone, Copy)]
pub struct ShardRows<'a> {
    /// ∂Z (R, O), row-major.
    pub d_outputs: &'a [f32],
    /// A (R, I), packed.
    pub inputs: &'a Panels,
    /// The end of each shard among the rows; R is the last end, or 0 without shards.
    pub ends: &'a [usize],
}

impl ShardRows<'_> {
    /// R.
    pub(super) fn rows(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }
}

/// Checks that the parts have O columns, and I columns if that is given, and at least one shard.
pub(super) fn check<'a>(parts: impl Iterator<Item = ShardRows<'a>>, outs: usize, ins: Option<usize>) {
    let mut shards = 0;
    for part in parts {
        let (rows, ends) = (part.rows(), part.ends);
        assert!(ends.is_sorted(), "shards are in order: {ends:?}");
        assert_eq!(part.d_outputs.len(), rows * outs, "d_outputs (R, O) with R = {rows}, O = {outs}");
        if let Some(ins) = ins {
            let found = part.inputs.shape();
            assert!(
                found == (rows, ins) || (rows == 0 && found.0 == 0),
                "inputs have the shape {found:?}, expected (R, I) = {:?}",
                (rows, ins)
            );
        }
        shards += ends.len();
    }
    assert!(shards > 0, "a gradient needs at least one shard");
}

/// The maximum number of columns of ∂Z whose tiles are computed together, for one panel or two
/// adjacent ones. In the first-level cache, a shard of 32 rows takes 6 KB for the values of these
/// columns and 2 KB per panel, and the waiting sums take 3 KB per panel and level of the tree. In
/// the second-level cache, the values of 1024 rows take 192 KB; they are read again for each panel
/// or pair, and the inputs only once per group.
const GROUP_COLUMNS: usize = 48;

/// The maximum number of panels of the results that are passed on together: a piece is a whole row
/// in most layers, so that the receiver reads memory in order. Pieces of 256 values took 2 % longer
/// at (256, 512, 512).
const RESULTS: usize = 128;

/// Writes ∂W (O, I) = Σ over shards of ∂Zᵀ A, for ∂Z (R, O) and A (R, I), all row-major.
///
/// The rows are those of consecutive shards: shard s has the rows from `ends[s − 1]`, or 0, to
/// `ends[s]`, and R is the last end. The shards are combined in the fixed binary tree with one leaf
/// per shard, counted from 0. So the result is that of a node of the tree over all shards of a step
/// if the shards are those that the node covers, and that of the whole step if they are all shards.
/// A shard without rows is a sum of zeros.
///
/// The result is bit-identical to computing each shard in a separate call and adding left + right
/// in the tree.
///
/// # Panics
///
/// If there is no shard, the ends are not ascending, or the lengths are inconsistent.
///
/// # Cost
///
/// 2·R·O·I floating-point operations. On Zen 3, shards of 32 rows take about a twentieth longer
/// than shards of 64, those of 16 a fourth, and those of 8 two thirds.
pub fn backward_weight(
    d_outputs: &[f32],
    inputs: &[f32],
    ends: &[usize],
    d_weight: &mut [f32],
    scratch: &mut Scratch,
) {
    let rows = *ends.last().expect("a gradient needs at least one shard");
    if rows == 0 {
        assert!(ends.is_sorted(), "shards are in order: {ends:?}");
        assert!(d_outputs.is_empty() && inputs.is_empty(), "there are no values without rows");
        d_weight.fill(0.0);
        return;
    }
    let shape = (d_outputs.len() / rows, inputs.len() / rows);
    assert_eq!(d_weight.len(), shape.0 * shape.1, "d_weight (O, I) with (O, I) = {shape:?}");
    let mut packed = scratch.take_packed();
    packed.pack(inputs, (rows, shape.1));
    let part = ShardRows { d_outputs, inputs: &packed, ends };
    weight_gradient(std::iter::once(part), shape, 0..d_weight.len(), scratch, &mut |range, values| {
        d_weight[range].copy_from_slice(values);
    });
    scratch.keep_packed(packed);
}

/// Computes a segment of the result of [`backward_weight`], from rows in several parts, and passes
/// it to `sink` in pieces: indices in the flat (O, I), and their values, which the sink may modify.
///
/// The parts are consecutive: shards are counted over all parts. Each element has the same bits as
/// in [`backward_weight`] on all rows. A piece is within one row of (O, I); each index of the
/// segment is in exactly one piece.
///
/// # Panics
///
/// If there is no shard, the ends are not ascending, the lengths are inconsistent, or the segment
/// exceeds O·I.
///
/// # Cost
///
/// 2·R floating-point operations per index; a row of (O, I) that is only partly in the segment
/// takes as long as several whole rows.
pub fn weight_gradient<'a>(
    parts: impl Iterator<Item = ShardRows<'a>> + Clone,
    (outs, ins): (usize, usize),
    segment: Range<usize>,
    scratch: &mut Scratch,
    sink: &mut dyn FnMut(Range<usize>, &mut [f32]),
) {
    check(parts.clone(), outs, Some(ins));
    assert!(segment.end <= outs * ins, "segment {segment:?} exceeds O·I = {outs}·{ins}");
    let mut start = segment.start;
    while start < segment.end {
        let (row, column) = (start / ins, start % ins);
        // The rest of a row, then all whole rows, then the beginning of a row.
        let (rows, columns) = if column > 0 || segment.end - start < ins {
            (row..row + 1, column..ins.min(column + segment.end - start))
        } else {
            (row..segment.end / ins, 0..ins)
        };
        let parts = parts.clone();
        start = (rows.end - 1) * ins + columns.end;
        run(Gradient { parts, shape: (outs, ins), rows, columns, scratch, sink });
    }
}

/// A rectangle of ∂W.
pub(super) struct Gradient<'s, P> {
    pub(super) parts: P,
    /// O and I.
    pub(super) shape: (usize, usize),
    /// The range among the O rows.
    pub(super) rows: Range<usize>,
    /// The range among the I columns.
    pub(super) columns: Range<usize>,
    pub(super) scratch: &'s mut Scratch,
    pub(super) sink: &'s mut dyn FnMut(Range<usize>, &mut [f32]),
}

impl<'a, P: Iterator<Item = ShardRows<'a>> + Clone> Kernel for Gradient<'_, P> {
    #[inline(always)]
    fn run(self, arithmetic: impl Arithmetic) {
        run_on(arithmetic, self);
    }
}

#[inline(always)]
fn run_on<'a, A: Arithmetic, P: Iterator<Item = ShardRows<'a>> + Clone>(
    arithmetic: A,
    gradient: Gradient<'_, P>,
) {
    let Gradient { parts, shape: (outs, ins), rows: outputs, columns, scratch, sink } = gradient;
    let (rows, shards) = parts.clone().fold((0, 0), |(r, s), part| (r + part.rows(), s + part.ends.len()));
    let all = columns.start / WIDTH..columns.end.div_ceil(WIDTH);
    let most = GROUP_COLUMNS.min(outputs.len());
    let Buffers { left, tiles: waiting, results, .. } = scratch.lend(ScratchSizes {
        panels: 0,
        left: rows * most,
        tiles: levels(shards) * level_len::<A>(),
        results: most * RESULTS.min(all.len()) * WIDTH,
    });
    let mut start = outputs.start;
    while start < outputs.end {
        let group = Group::first(start..outputs.end, A::HEIGHT);
        start = group.outputs.end;
        group.pack(parts.clone(), outs, left);
        for first in all.clone().step_by(RESULTS) {
            let panels = first..all.end.min(first + RESULTS);
            // The part of the panels' columns that is passed to the sink.
            let wanted = columns.start.max(panels.start * WIDTH)..columns.end.min(panels.end * WIDTH);
            let block =
                Block { parts: parts.clone(), shards, strips: group.strips(), panels: panels.clone() };
            with_height!(A, group.height, block.run(arithmetic, left, waiting, results));
            let lines = results.chunks_exact_mut(panels.len() * WIDTH);
            for (row, values) in group.outputs.clone().zip(lines) {
                let values = &mut values[wanted.start - panels.start * WIDTH..][..wanted.len()];
                sink(row * ins + wanted.start..row * ins + wanted.end, values);
            }
        }
    }
}

/// The number of lines of the sums that wait in one level of the tree.
const fn level_len<A: Arithmetic>() -> usize {
    A::BREADTH * GROUP_COLUMNS
}

/// Columns of ∂Z that are cut into strips of one height.
struct Group {
    /// The range among the O outputs.
    outputs: Range<usize>,
    height: usize,
}

impl Group {
    /// Returns the first group of some outputs, with strips of at most `most`.
    fn first(outputs: Range<usize>, most: usize) -> Self {
        let height = height(outputs.len(), most);
        let strips = strips_of_one_height(outputs.len(), most).min(GROUP_COLUMNS / most);
        Self { outputs: outputs.start..outputs.start + strips * height, height }
    }

    fn strips(&self) -> usize {
        self.outputs.len() / self.height
    }

    /// Packs the columns of ∂Z (R, O) in the order in which the tiles read them: shard by shard,
    /// strip by strip, each strip row-major.
    #[inline(always)]
    fn pack<'a>(&self, parts: impl Iterator<Item = ShardRows<'a>>, outs: usize, mut left: &mut [f32]) {
        for part in parts {
            let mut start = 0;
            for &end in part.ends {
                let (shard, rest) = left.split_at_mut((end - start) * self.outputs.len());
                self.pack_shard(&part.d_outputs[start * outs..end * outs], outs, shard);
                (left, start) = (rest, end);
            }
        }
    }

    #[inline(always)]
    fn pack_shard(&self, from: &[f32], outs: usize, to: &mut [f32]) {
        let strip_len = from.len() / outs * self.height;
        for (chunk, from) in from.chunks(PACKED_ROWS * outs).enumerate() {
            for s in 0..self.strips() {
                let strip = &mut to[s * strip_len + chunk * PACKED_ROWS * self.height..];
                cut_strip(&from[self.outputs.start + s * self.height..], outs, self.height, strip);
            }
        }
    }
}

/// Packs one strip of `height` columns.
#[inline(always)]
fn cut_strip(from: &[f32], stride: usize, height: usize, strip: &mut [f32]) {
    macro_rules! of {
        ($($height:literal)*) => {
            match height {
                $($height => {
                    let strip = strip.as_chunks_mut::<$height>().0;
                    let rows = from.len().div_ceil(stride);
                    pack_strip(from, stride, &mut strip[..rows]);
                })*
                _ => unreachable!("a strip of {height} columns"),
            }
        };
    }
    of!(1 2 3 4 5 6 7 8 9 10 11 12);
}

/// Some strips of ∂Z and some panels.
struct Block<P> {
    parts: P,
    /// The total number of shards of all parts.
    shards: usize,
    /// The number of strips.
    strips: usize,
    panels: Range<usize>,
}

impl<'a, P: Iterator<Item = ShardRows<'a>> + Clone> Block<P> {
    /// Computes the tiles of strips of M columns: one row of lines per column.
    #[inline(always)]
    fn run<A: Arithmetic, const M: usize>(
        &self,
        arithmetic: A,
        left: &[f32],
        waiting: &mut [PanelLine],
        results: &mut [f32],
    ) {
        let mut panel = self.panels.start;
        while panel < self.panels.end {
            if A::BREADTH == 2 && panel + 2 <= self.panels.end {
                self.side_by_side::<A, M, 2>(arithmetic, left, panel, waiting, results);
                panel += 2;
            } else {
                self.side_by_side::<A, M, 1>(arithmetic, left, panel, waiting, results);
                panel += 1;
            }
        }
    }

    /// Computes the tiles of N panels.
    #[inline(always)]
    fn side_by_side<A: Arithmetic, const M: usize, const N: usize>(
        &self,
        arithmetic: A,
        left: &[f32],
        panel: usize,
        waiting: &mut [PanelLine],
        results: &mut [f32],
    ) {
        let (mut left, _) = left.as_chunks::<M>();
        let mut shard = 0;
        for part in self.parts.clone() {
            let mut start = 0;
            for &end in part.ends {
                let step = TreeStep::new(shard, self.shards);
                let mut panels: [&[PanelLine]; N] = [&[]; N];
                for (n, lines) in panels.iter_mut().enumerate() {
                    *lines = part.inputs.get(panel + n, start..end);
                }
                for s in 0..self.strips {
                    let strip;
                    (strip, left) = left.split_at(end - start);
                    let sum = add_products::<A, M, N>(arithmetic, strip, panels, zeros(arithmetic));
                    let sum = step.take(arithmetic, sum, &mut waiting[s * M * N..], level_len::<A>());
                    if step.is_last {
                        let (lines, _) = results.as_chunks_mut::<WIDTH>();
                        for (m, row) in sum.iter().enumerate() {
                            let at = (s * M + m) * self.panels.len() + panel - self.panels.start;
                            for (values, line) in row.iter().zip(&mut lines[at..at + N]) {
                                arithmetic.store(*values, line);
                            }
                        }
                    }
                }
                (start, shard) = (end, shard + 1);
            }
        }
    }
}

/// The number of lines whose columns are summed together: four cache lines of a row, the number at
/// which a core reads fastest.
const LINES: usize = 4;

/// Writes ∂b (O) = Σ over shards of Σ ∂Z, for ∂Z (R, O), row-major: the rows of a shard are added
/// in order, and the shards are combined in the tree, as in
/// [`backward_weight`](super::backward_weight).
///
/// # Panics
///
/// If there is no shard, the ends are not ascending, or the lengths are inconsistent.
///
/// # Cost
///
/// R·O additions.
pub fn backward_bias(d_outputs: &[f32], ends: &[usize], d_bias: &mut [f32], scratch: &mut Scratch) {
    let (outs, inputs) = (d_bias.len(), &Panels::default());
    let part = ShardRows { d_outputs, inputs, ends };
    bias_gradient(std::iter::once(part), outs, 0..outs, scratch, &mut |range, values| {
        d_bias[range].copy_from_slice(values);
    });
}

/// Computes a segment of the result of [`backward_bias`], from rows in several parts, and passes it
/// to `sink` in pieces, as [`weight_gradient`](super::weight_gradient) does. The inputs of the
/// parts are not read.
///
/// # Panics
///
/// If there is no shard, the ends are not ascending, the lengths are inconsistent, or the segment
/// exceeds O.
///
/// # Cost
///
/// R additions per index.
pub fn bias_gradient<'a>(
    parts: impl Iterator<Item = ShardRows<'a>> + Clone,
    outs: usize,
    segment: Range<usize>,
    scratch: &mut Scratch,
    sink: &mut dyn FnMut(Range<usize>, &mut [f32]),
) {
    check(parts.clone(), outs, None);
    assert!(segment.end <= outs, "segment {segment:?} exceeds O = {outs}");
    run(BiasGradient { parts, outs, segment, scratch, sink });
}

struct BiasGradient<'s, P> {
    parts: P,
    outs: usize,
    segment: Range<usize>,
    scratch: &'s mut Scratch,
    sink: &'s mut dyn FnMut(Range<usize>, &mut [f32]),
}

impl<'a, P: Iterator<Item = ShardRows<'a>> + Clone> Kernel for BiasGradient<'_, P> {
    #[inline(always)]
    fn run(mut self, arithmetic: impl Arithmetic) {
        let Range { mut start, end } = self.segment;
        while start < end {
            let piece = start..end.min(start + LINES * WIDTH);
            start = piece.end;
            if piece.len() == LINES * WIDTH {
                self.add_up::<LINES>(arithmetic, piece);
            } else {
                for first in piece.clone().step_by(WIDTH) {
                    self.add_up::<1>(arithmetic, first..piece.end.min(first + WIDTH));
                }
            }
        }
    }
}

impl<'a, P: Iterator<Item = ShardRows<'a>> + Clone> BiasGradient<'_, P> {
    /// Adds up some columns, at most L lines.
    #[inline(always)]
    fn add_up<const L: usize>(&mut self, arithmetic: impl Arithmetic, columns: Range<usize>) {
        let shards = self.parts.clone().map(|part| part.ends.len()).sum();
        let needs = ScratchSizes { tiles: levels(shards) * L, ..ScratchSizes::default() };
        let waiting = self.scratch.lend(needs).tiles;
        let mut index = 0;
        let mut results = [[0.0; WIDTH]; L];
        for part in self.parts.clone() {
            let mut start = 0;
            for &end in part.ends {
                let mut sum: Tile<_, 1, L> = zeros(arithmetic);
                for row in part.d_outputs[start * self.outs..end * self.outs].chunks_exact(self.outs) {
                    let row = &row[columns.clone()];
                    for (line, sum) in sum[0].iter_mut().enumerate() {
                        let piece = line * WIDTH..row.len().min((line + 1) * WIDTH);
                        *sum = arithmetic.add(*sum, load_part(arithmetic, row, piece));
                    }
                }
                let step = TreeStep::new(index, shards);
                sum = step.take(arithmetic, sum, waiting, L);
                if step.is_last {
                    for (values, sum) in results.iter_mut().zip(sum[0]) {
                        arithmetic.store(sum, values);
                    }
                }
                (start, index) = (end, index + 1);
            }
        }
        let len = columns.len();
        (self.sink)(columns, &mut results.as_flattened_mut()[..len]);
    }
}

/// A step in building the tree, taken when the sum of a shard is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TreeStep {
    /// The number of nodes waiting before this step.
    waiting: usize,
    /// The number of these nodes, from the right, with which the sum of the shard is combined.
    merges: usize,
    /// True if the root is complete after this step.
    pub(super) is_last: bool,
}

impl TreeStep {
    /// Returns the step of shard `index` of `shards`.
    pub(super) fn new(index: usize, shards: usize) -> Self {
        let (waiting, is_last) = (index.count_ones() as usize, index + 1 == shards);
        let merges = if is_last { waiting } else { index.trailing_ones() as usize };
        Self { waiting, merges, is_last }
    }

    /// Combines the sum of a shard with the nodes that wait for it, and stores the result as a
    /// waiting node unless the shard is the last.
    ///
    /// Waiting node n is in `levels[n · level_len..]`.
    #[inline(always)]
    pub(super) fn take<A: Arithmetic, const M: usize, const N: usize>(
        self,
        arithmetic: A,
        mut sum: Tile<A::Vector, M, N>,
        levels: &mut [PanelLine],
        level_len: usize,
    ) -> Tile<A::Vector, M, N> {
        for merge in 1..=self.merges {
            sum = add(arithmetic, &levels[(self.waiting - merge) * level_len..], sum);
        }
        if !self.is_last {
            store(arithmetic, &sum, &mut levels[(self.waiting - self.merges) * level_len..]);
        }
        sum
    }
}

/// Returns a number of levels, at least one, that is enough for the nodes that wait at the same
/// time.
pub(super) fn levels(shards: usize) -> usize {
    shards.ilog2() as usize + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::SeparateArithmetic;

    #[test]
    fn portable_arithmetic_gives_the_same_gradient_of_integers() {
        let (ends, outs, ins) = ([3, 4, 9, 20, 21], 20, 37);
        let values = |len: usize| -> Vec<f32> { (0..len).map(|i| (i * 31 % 23) as f32 - 11.0).collect() };
        let (d_outputs, inputs) = (values(21 * outs), values(21 * ins));
        let (mut found, mut expected) = (vec![f32::NAN; outs * ins], vec![f32::NAN; outs * ins]);
        let (mut scratch, mut packed) = (Scratch::default(), Panels::default());
        packed.pack(&inputs, (21, ins));
        SeparateArithmetic.run(Gradient {
            parts: std::iter::once(ShardRows { d_outputs: &d_outputs, inputs: &packed, ends: &ends }),
            shape: (outs, ins),
            rows: 0..outs,
            columns: 0..ins,
            scratch: &mut scratch,
            sink: &mut |range, values| found[range].copy_from_slice(values),
        });
        backward_weight(&d_outputs, &inputs, &ends, &mut expected, &mut scratch);
        assert_eq!(found, expected);
    }

    /// The definition of the tree: split at the largest power of two below the number of shards.
    fn by_definition(sums: &[f32]) -> f32 {
        match sums {
            [sum] => *sum,
            _ => {
                let (left, right) = sums.split_at(1 << (sums.len() - 1).ilog2());
                by_definition(left) + by_definition(right)
            }
        }
    }

    #[test]
    fn steps_build_the_tree_that_is_split_at_powers_of_two() {
        for shards in 1..70 {
            let sums: Vec<f32> = (0..shards).map(|shard| 1.0 / (3.0 + shard as f32)).collect();
            let (mut waiting, mut root) = (vec![PanelLine::ZERO; levels(shards)], 0.0);
            for (shard, sum) in sums.iter().enumerate() {
                let step = TreeStep::new(shard, shards);
                [[[root, ..]]] = step.take(SeparateArithmetic, [[[*sum; 16]]], &mut waiting, 1);
            }
            assert_eq!(root, by_definition(&sums), "{shards} shards");
        }
    }
}
