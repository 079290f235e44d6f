//! The gradient of a layer's weight.

use super::arithmetic::{Arithmetic, Job, run};
use super::lines::{Line, WIDTH};
use super::panels::{columns, pack_straight};
use super::scratch::{Buffers, Needs, Scratch};
use super::strips::{HEIGHT, height, with_height};
use super::tile::{add_products, store_rows, zeros};
use super::turn::{Turn, levels};

/// Panels and strips whose tiles are computed together: with 32 rows a shard their operands take 10 KB of the first cache
/// and are read from there several times instead of from the caches behind it. More panels than strips, because the
/// panels in hand stay in the second cache while all strips pass by: at (512, 2048, 2048) two panels and four strips took
/// a sixth longer.
const PANELS: usize = 4;
const STRIPS: usize = 3;

/// Lines of one level of waiting tiles.
const LEVEL: usize = PANELS * STRIPS * HEIGHT;

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
/// 2·R·O·I floating-point operations; against 64 rows a shard, 32 take about a twentieth longer, 16 a fifth, and 8 half
/// as long again. Each element of ∂W is written once.
pub fn backward_weight(
    d_outputs: &[f32],
    inputs: &[f32],
    ends: &[usize],
    d_weight: &mut [f32],
    scratch: &mut Scratch,
) {
    let rows = *ends.last().expect("a gradient has a shard");
    assert!(ends.is_sorted(), "shards follow one another: {ends:?}");
    if rows == 0 {
        assert!(d_outputs.is_empty() && inputs.is_empty(), "no rows, no values");
        d_weight.fill(0.0);
        return;
    }
    let (outs, ins) = (d_outputs.len() / rows, inputs.len() / rows);
    assert_eq!(d_outputs.len(), rows * outs, "d_outputs (R, O) with R = {rows}");
    assert_eq!(inputs.len(), rows * ins, "inputs (R, I) with R = {rows}");
    assert_eq!(d_weight.len(), outs * ins, "d_weight (O, I) with O = {outs}, I = {ins}");
    if !d_weight.is_empty() {
        run(Gradient { d_outputs, inputs, ends, d_weight, scratch });
    }
}

struct Gradient<'a> {
    d_outputs: &'a [f32],
    inputs: &'a [f32],
    ends: &'a [usize],
    d_weight: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl Job for Gradient<'_> {
    #[inline(always)]
    fn run(self, arithmetic: impl Arithmetic) {
        let rows = self.ends[self.ends.len() - 1];
        let (outs, ins) = (self.d_outputs.len() / rows, self.inputs.len() / rows);
        let Buffers { panels, left, tiles } = self.scratch.lend(Needs {
            panels: PANELS * rows,
            left: rows * outs,
            tiles: levels(self.ends.len()) * LEVEL,
        });
        pack_strips(self.d_outputs, outs, left);
        let count = ins.div_ceil(WIDTH);
        for first in (0..count).step_by(PANELS) {
            let panels = &mut panels[..(count - first).min(PANELS) * rows];
            for (p, panel) in panels.chunks_exact_mut(rows).enumerate() {
                pack_straight(self.inputs, ins, columns(first + p, ins), panel);
            }
            let block = Block { rows, ins, ends: self.ends, first, panels };
            block.run(arithmetic, left, tiles, self.d_weight);
        }
    }
}

/// Rows of ∂Z that are cut into strips at a time. The cache lines in hand must fit the ways of one set of the first cache,
/// in which they all are if O is a multiple of 1024.
const CUT_ROWS: usize = 8;

/// Cuts ∂Z (R, O) into strips of up to six columns, one after the other, each row-major.
#[inline(always)]
fn pack_strips(d_outputs: &[f32], outs: usize, left: &mut [f32]) {
    let rows = d_outputs.len() / outs;
    for (block, from) in d_outputs.chunks(CUT_ROWS * outs).enumerate() {
        let mut out = 0;
        while out < outs {
            let height = height(outs - out);
            let strip = &mut left[out * rows..][..height * rows][block * CUT_ROWS * height..];
            with_height!(height, pack_strip::<M>(&from[out..], outs, strip));
            out += height;
        }
    }
}

#[inline(always)]
fn pack_strip<const M: usize>(from: &[f32], stride: usize, strip: &mut [f32]) {
    for (to, row) in strip.as_chunks_mut::<M>().0.iter_mut().zip(from.chunks(stride)) {
        *to = *row.first_chunk().expect("a row has as many values as the strip is wide");
    }
}

/// Some panels, and all strips.
struct Block<'a> {
    /// R.
    rows: usize,
    /// I.
    ins: usize,
    ends: &'a [usize],
    /// Index of the first panel among those of all inputs.
    first: usize,
    panels: &'a [Line],
}

impl Block<'_> {
    #[inline(always)]
    fn run(&self, arithmetic: impl Arithmetic, left: &[f32], tiles: &mut [Line], d_weight: &mut [f32]) {
        let outs = left.len() / self.rows;
        let mut out = 0;
        while out < outs {
            let height = height(outs - out);
            let strips = strips_of_one_height(outs - out).min(STRIPS);
            let left = &left[out * self.rows..][..strips * height * self.rows];
            let d_weight = &mut d_weight[out * self.ins..];
            with_height!(height, self.strips::<M>(arithmetic, left, tiles, d_weight));
            out += strips * height;
        }
    }

    /// Computes the tiles of some strips of M columns of ∂Z, shard by shard.
    #[inline(always)]
    fn strips<const M: usize>(
        &self,
        arithmetic: impl Arithmetic,
        left: &[f32],
        tiles: &mut [Line],
        d_weight: &mut [f32],
    ) {
        let left = left.as_chunks::<M>().0;
        let mut start = 0;
        for (shard, &end) in self.ends.iter().enumerate() {
            let turn = Turn::new(shard, self.ends.len());
            for (p, panel) in self.panels.chunks_exact(self.rows).enumerate() {
                for (s, strip) in left.chunks_exact(self.rows).enumerate() {
                    let zeros = zeros(arithmetic);
                    let sum = add_products(arithmetic, &strip[start..end], &panel[start..end], zeros);
                    let sum = turn.take(arithmetic, sum, &mut tiles[(s * PANELS + p) * HEIGHT..], LEVEL);
                    if turn.is_last {
                        let rows = &mut d_weight[s * M * self.ins..];
                        let place = columns(self.first + p, self.ins);
                        store_rows(arithmetic, &sum, rows, self.ins, place);
                    }
                }
            }
            start = end;
        }
    }
}

/// How many of the next strips are as high as the first.
fn strips_of_one_height(rows: usize) -> usize {
    let first = height(rows);
    let mut left = rows;
    while left > 0 && height(left) == first {
        left -= first;
    }
    (rows - left) / first
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
        let mut scratch = Scratch::default();
        let d_weight = &mut found;
        Separate.run(Gradient {
            d_outputs: &d_outputs,
            inputs: &inputs,
            ends: &ends,
            d_weight,
            scratch: &mut scratch,
        });
        backward_weight(&d_outputs, &inputs, &ends, &mut expected, &mut scratch);
        assert_eq!(found, expected);
    }
}
