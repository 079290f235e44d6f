//! The gradient of a layer's bias.

use std::ops::Range;

use super::Panels;
use super::arithmetic::{Arithmetic, Job, run};
use super::lines::WIDTH;
use super::scratch::{Needs, Scratch};
use super::shards::{ShardRows, check};
use super::tile::{Tile, load_part, zeros};
use super::turn::{Turn, levels};

/// Lines whose columns are added up together: the four cache lines of a row that a core reads at its best.
const LINES: usize = 4;

/// Writes ∂b (O) = Σ over shards of Σ ∂Z, for ∂Z (R, O), row-major: the rows of a shard in order, the shards in the tree,
/// as [`backward_weight`](super::backward_weight) has it.
///
/// # Panics
///
/// If there is no shard, the ends descend, or the lens do not fit.
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

/// Computes a segment of what [`backward_bias`] writes, from rows that lie in several parts, and hands it to `sink` piece by
/// piece, as [`weight_gradient`](super::weight_gradient) does. The inputs of the parts are not read.
///
/// # Panics
///
/// If there is no shard, the ends descend, the lens do not fit, or the segment reaches beyond O.
///
/// # Cost
///
/// R additions for each index.
pub fn bias_gradient<'a>(
    parts: impl Iterator<Item = ShardRows<'a>> + Clone,
    outs: usize,
    segment: Range<usize>,
    scratch: &mut Scratch,
    sink: &mut dyn FnMut(Range<usize>, &mut [f32]),
) {
    check(parts.clone(), outs, None);
    assert!(segment.end <= outs, "{segment:?} of O = {outs}");
    run(BiasGradient { parts, outs, segment, scratch, sink });
}

struct BiasGradient<'s, P> {
    parts: P,
    outs: usize,
    segment: Range<usize>,
    scratch: &'s mut Scratch,
    sink: &'s mut dyn FnMut(Range<usize>, &mut [f32]),
}

impl<'a, P: Iterator<Item = ShardRows<'a>> + Clone> Job for BiasGradient<'_, P> {
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
    /// Adds up some columns, at most L lines of them.
    #[inline(always)]
    fn add_up<const L: usize>(&mut self, arithmetic: impl Arithmetic, columns: Range<usize>) {
        let shards = self.parts.clone().map(|part| part.ends.len()).sum();
        let needs = Needs { tiles: levels(shards) * L, ..Needs::default() };
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
                let turn = Turn::new(index, shards);
                sum = turn.take(arithmetic, sum, waiting, L);
                if turn.is_last {
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
