//! The gradient of a layer's weight.

use std::ops::Range;
use std::slice::ChunksExact;

use super::Panels;
use super::arithmetic::{Arithmetic, Job, run};
use super::lines::{Line, WIDTH};
use super::panels::pack_strip;
use super::scratch::{Buffers, Needs, Scratch};
use super::shards::{ShardRows, check};
use super::strips::{height, strips_of_one_height, with_height};
use super::tile::{add_products, zeros};
use super::turn::{Turn, levels};

/// Panels and strips whose tiles are computed together: with 32 rows a shard their operands take 13 KB of the first cache
/// and are read from there several times instead of from the caches behind it.
const PANELS: usize = 4;
const STRIPS: usize = 3;

/// Most panels of the results that are handed on together: a piece is a whole row of most layers, so that who takes it reads
/// memory in order. Rows of 256 values instead took 2 % longer at (256, 512, 512).
const RESULTS: usize = 128;

/// Writes ∂W (O, I) = Σ over shards of ∂Zᵀ A, for ∂Z (R, O) and A (R, I), all row-major.
///
/// The rows are those of consecutive shards: shard s has the rows from `ends[s − 1]`, or 0, to `ends[s]`, and R is the last
/// end. The shards are combined in the fixed binary tree of as many leaves, in which they are counted from 0. So the
/// result is that of a node of the tree over all shards of a step, if the shards are those that the node covers; and that of
/// the whole step, if they are all. A shard without rows is a sum of zeros.
///
/// The bits are those of computing each shard in a call of its own and adding left + right in the tree.
///
/// # Panics
///
/// If there is no shard, the ends descend, or the lens do not fit.
///
/// # Cost
///
/// 2·R·O·I floating-point operations; against 64 rows a shard, 32 take about a twentieth longer, 16 a tenth, and 8 a
/// fourth.
pub fn backward_weight(
    d_outputs: &[f32],
    inputs: &[f32],
    ends: &[usize],
    d_weight: &mut [f32],
    scratch: &mut Scratch,
) {
    let rows = *ends.last().expect("a gradient has a shard");
    if rows == 0 {
        assert!(d_outputs.is_empty() && inputs.is_empty(), "no rows, no values");
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

/// Computes a segment of what [`backward_weight`] writes, from rows that lie in several parts, and hands it to `sink` piece by
/// piece: indices in the flat (O, I), and their values, which are the sink's to change.
///
/// The parts follow one another: the shards are counted over all of them. Each element has the bits that it has in
/// [`backward_weight`] on all rows. A piece lies in one row of (O, I); each index of the segment is in one piece.
///
/// # Panics
///
/// If there is no shard, the ends descend, the lens do not fit, or the segment reaches beyond O·I.
///
/// # Cost
///
/// 2·R floating-point operations for each index; a row of (O, I) of which the segment has only a part takes as long as
/// several whole ones.
pub fn weight_gradient<'a>(
    parts: impl Iterator<Item = ShardRows<'a>> + Clone,
    (outs, ins): (usize, usize),
    segment: Range<usize>,
    scratch: &mut Scratch,
    sink: &mut dyn FnMut(Range<usize>, &mut [f32]),
) {
    check(parts.clone(), outs, Some(ins));
    assert!(segment.end <= outs * ins, "{segment:?} of O·I = {outs}·{ins}");
    let mut start = segment.start;
    while start < segment.end {
        let (row, column) = (start / ins, start % ins);
        // The rest of a row, then all whole rows, then the start of a row.
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
    /// Among the O rows.
    pub(super) rows: Range<usize>,
    /// Among the I columns.
    pub(super) columns: Range<usize>,
    pub(super) scratch: &'s mut Scratch,
    pub(super) sink: &'s mut dyn FnMut(Range<usize>, &mut [f32]),
}

impl<'a, P: Iterator<Item = ShardRows<'a>> + Clone> Job for Gradient<'_, P> {
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
    let Gradient { parts, shape: (outs, ins), rows: range, columns, scratch, sink } = gradient;
    let (rows, shards) = parts.clone().fold((0, 0), |(r, s), part| (r + part.rows(), s + part.ends.len()));
    let (first, end) = (columns.start / WIDTH, columns.end.div_ceil(WIDTH));
    let group = STRIPS * A::HEIGHT;
    let Buffers { left, tiles: waiting, results, .. } = scratch.lend(Needs {
        panels: 0,
        left: rows * range.len(),
        tiles: levels(shards) * PANELS * group,
        results: group * RESULTS.min(end - first) * WIDTH,
    });
    pack_strips(parts.clone(), (outs, range.clone(), A::HEIGHT), rows, left);
    for first in (first..end).step_by(RESULTS) {
        let panels = first..end.min(first + RESULTS);
        // What the sink gets of the panels' columns.
        let wanted = columns.start.max(panels.start * WIDTH)..columns.end.min(panels.end * WIDTH);
        let block = Block { parts: parts.clone(), rows, shards, panels: panels.clone() };
        let mut done = 0;
        while done < range.len() {
            let height = height(range.len() - done, A::HEIGHT);
            let strips = strips_of_one_height(range.len() - done, A::HEIGHT).min(STRIPS);
            let left = &left[done * rows..][..strips * height * rows];
            with_height!(A, height, block.strips(arithmetic, left, waiting, results));
            let lines = results.chunks_exact_mut(panels.len() * WIDTH).take(strips * height);
            for (row, values) in lines.enumerate() {
                let at = (range.start + done + row) * ins;
                let values = &mut values[wanted.start - panels.start * WIDTH..][..wanted.len()];
                sink(at + wanted.start..at + wanted.end, values);
            }
            done += strips * height;
        }
    }
}

/// Rows of ∂Z that are cut into strips at a time. The cache lines in hand must fit the ways of one set of the first cache,
/// in which they all are if O is a multiple of 1024.
const CUT_ROWS: usize = 8;

/// Cuts some columns of ∂Z (R, O) into strips of up to `most` columns, one after the other, each row-major.
#[inline(always)]
fn pack_strips<'a>(
    parts: impl Iterator<Item = ShardRows<'a>>,
    (outs, columns, most): (usize, Range<usize>, usize),
    rows: usize,
    left: &mut [f32],
) {
    let mut start = 0;
    for part in parts {
        for from in part.d_outputs.chunks(CUT_ROWS * outs) {
            let mut column = 0;
            while column < columns.len() {
                let height = height(columns.len() - column, most);
                let strip = &mut left[column * rows..][..height * rows][start * height..];
                cut_strip(&from[columns.start + column..], outs, height, strip);
                column += height;
            }
            start += from.len() / outs;
        }
    }
}

/// Packs one strip of so many columns.
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

/// Some panels, and all strips.
struct Block<P> {
    parts: P,
    /// R of all parts.
    rows: usize,
    /// Shards of all parts.
    shards: usize,
    panels: Range<usize>,
}

impl<'a, P: Iterator<Item = ShardRows<'a>> + Clone> Block<P> {
    /// Computes the tiles of some strips of M columns of ∂Z: a row of lines for each column.
    #[inline(always)]
    fn strips<A: Arithmetic, const M: usize>(
        &self,
        arithmetic: A,
        left: &[f32],
        waiting: &mut [Line],
        results: &mut [f32],
    ) {
        let left = left.as_chunks::<M>().0;
        for first in self.panels.clone().step_by(PANELS) {
            let panels = first..self.panels.end.min(first + PANELS);
            let (mut shard, mut before) = (0, 0);
            for part in self.parts.clone() {
                let mut start = 0;
                for &end in part.ends {
                    let tiles = Tiles {
                        inputs: part.inputs,
                        rows: start..end,
                        strips: left.chunks_exact(self.rows),
                        place: before + start..before + end,
                        turn: Turn::new(shard, self.shards),
                        all: &self.panels,
                    };
                    tiles.run(arithmetic, panels.clone(), waiting, results);
                    (start, shard) = (end, shard + 1);
                }
                before += part.rows();
            }
        }
    }
}

/// The tiles of one shard: all strips, some panels.
struct Tiles<'a, const M: usize> {
    inputs: &'a Panels,
    /// The shard's rows among the inputs.
    rows: Range<usize>,
    strips: ChunksExact<'a, [f32; M]>,
    /// The shard's rows in a strip.
    place: Range<usize>,
    turn: Turn,
    /// Panels of the results.
    all: &'a Range<usize>,
}

impl<const M: usize> Tiles<'_, M> {
    #[inline(always)]
    fn run<A: Arithmetic>(
        &self,
        arithmetic: A,
        panels: Range<usize>,
        waiting: &mut [Line],
        results: &mut [f32],
    ) {
        let mut panel = panels.start;
        while panel < panels.end {
            let waiting = &mut waiting[(panel - panels.start) * A::HEIGHT..];
            if A::BREADTH == 2 && panel + 2 <= panels.end {
                self.side_by_side::<A, 2>(arithmetic, panel, waiting, results);
                panel += 2;
            } else {
                self.side_by_side::<A, 1>(arithmetic, panel, waiting, results);
                panel += 1;
            }
        }
    }

    /// The tiles of N panels.
    #[inline(always)]
    fn side_by_side<A: Arithmetic, const N: usize>(
        &self,
        arithmetic: A,
        panel: usize,
        waiting: &mut [Line],
        results: &mut [f32],
    ) {
        let mut panels: [&[Line]; N] = [&[]; N];
        for (n, lines) in panels.iter_mut().enumerate() {
            *lines = self.inputs.get(panel + n, self.rows.clone());
        }
        for (s, strip) in self.strips.clone().enumerate() {
            let strip = &strip[self.place.clone()];
            let sum = add_products::<A, M, N>(arithmetic, strip, panels, zeros(arithmetic));
            let waiting = &mut waiting[s * PANELS * A::HEIGHT..];
            let sum = self.turn.take(arithmetic, sum, waiting, PANELS * STRIPS * A::HEIGHT);
            if self.turn.is_last {
                let (lines, _) = results.as_chunks_mut::<WIDTH>();
                for (m, row) in sum.iter().enumerate() {
                    let at = (s * M + m) * self.all.len() + panel - self.all.start;
                    for (values, line) in row.iter().zip(&mut lines[at..at + N]) {
                        arithmetic.store(*values, line);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::arithmetic::Separate;
    use super::*;

    #[test]
    fn portable_arithmetic_gives_the_same_gradient_of_integers() {
        let (ends, outs, ins) = ([3, 4, 9, 20, 21], 20, 37);
        let values = |len: usize| -> Vec<f32> { (0..len).map(|i| (i * 31 % 23) as f32 - 11.0).collect() };
        let (d_outputs, inputs) = (values(21 * outs), values(21 * ins));
        let (mut found, mut expected) = (vec![f32::NAN; outs * ins], vec![f32::NAN; outs * ins]);
        let (mut scratch, mut packed) = (Scratch::default(), Panels::default());
        packed.pack(&inputs, (21, ins));
        Separate.run(Gradient {
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
}
