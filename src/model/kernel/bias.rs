//! The gradient of a layer's bias.

use super::arithmetic::{Arithmetic, Job, run};
use super::lines::WIDTH;
use super::scratch::{Needs, Scratch};
use super::tile::{Tile, load_rows, store_rows, zeros};
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
    let rows = *ends.last().expect("a gradient has a shard");
    assert!(ends.is_sorted(), "shards follow one another: {ends:?}");
    assert_eq!(
        d_outputs.len(),
        rows * d_bias.len(),
        "d_outputs (R, O) with R = {rows}, O = {}",
        d_bias.len()
    );
    run(BiasGradient { d_outputs, ends, d_bias, scratch });
}

struct BiasGradient<'a> {
    d_outputs: &'a [f32],
    ends: &'a [usize],
    d_bias: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl Job for BiasGradient<'_> {
    #[inline(always)]
    fn run(mut self, arithmetic: impl Arithmetic) {
        let outs = self.d_bias.len();
        let mut column = 0;
        while column < outs {
            if column + LINES * WIDTH <= outs {
                self.add_up::<LINES>(arithmetic, column, WIDTH);
                column += LINES * WIDTH;
            } else {
                self.add_up::<1>(arithmetic, column, WIDTH.min(outs - column));
                column += WIDTH;
            }
        }
    }
}

impl BiasGradient<'_> {
    /// Adds up L lines of `width` columns from `column` on.
    #[inline(always)]
    fn add_up<const L: usize>(&mut self, arithmetic: impl Arithmetic, column: usize, width: usize) {
        let (outs, shards) = (self.d_bias.len(), self.ends.len());
        let waiting = self.scratch.lend(Needs { tiles: levels(shards) * L, ..Needs::default() }).tiles;
        let mut start = 0;
        for (shard, &end) in self.ends.iter().enumerate() {
            let mut sum = zeros::<_, L>(arithmetic);
            for row in self.d_outputs[start * outs..end * outs].chunks_exact(outs) {
                let row: Tile<_, L> = load_rows(arithmetic, &row[column..], WIDTH, 0..width);
                for line in 0..L {
                    for half in 0..2 {
                        sum[line][half] = arithmetic.add(sum[line][half], row[line][half]);
                    }
                }
            }
            let turn = Turn::new(shard, shards);
            sum = turn.take(arithmetic, sum, waiting, L);
            if turn.is_last {
                store_rows(arithmetic, &sum, &mut self.d_bias[column..], WIDTH, 0..width);
            }
            start = end;
        }
    }
}
