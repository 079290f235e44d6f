//! The product whose result has a row for each sample, in blocks that the caches hold.
//!
//! The loops are those of Goto and van de Geijn 2008 (Anatomy of high-performance matrix multiplication, ACM TOMS 34,
//! article 12): a block of depth, whose part of the right operand is packed; some rows; a panel; a tile. A chain that
//! goes over several blocks of depth rests in the output meanwhile.

use std::ops::Range;

use super::Epilogue;
use super::arithmetic::{Arithmetic, Job};
use super::lines::{Line, WIDTH};
use super::panels::{Right, columns};
use super::scratch::{Buffers, Needs, Scratch};
use super::strips::{height, with_height};
use super::tile::{Tile, add_products_of_rows, load_rows, store_rows, zeros};

/// Most rows of a panel. Longer chains between two rests in the output gained more, up to here, than a panel that leaves
/// more of the first cache to the rows it meets: at (256, 512, 512) 320 took 12 % longer.
const DEPTH: usize = 512;

/// Rows of the left operand at a time: 192 KB of `DEPTH` columns, which stay in the second cache over all panels. They are read where
/// they lie: copying those of a block together gained nothing, not even where rows are a power of two apart.
const ROWS: usize = 96;

/// outputs (B, N) = epilogue(bias + left · right), left (B, K), right (K, N).
pub(super) struct RowProduct<'a> {
    pub(super) left: &'a [f32],
    pub(super) right: Right<'a>,
    /// K and N.
    pub(super) shape: (usize, usize),
    /// N of them; zeros if there is none.
    pub(super) bias: Option<&'a [f32]>,
    pub(super) epilogue: Epilogue,
    pub(super) outputs: &'a mut [f32],
    pub(super) scratch: &'a mut Scratch,
}

impl RowProduct<'_> {
    pub(super) fn check(&self) {
        let (depth, width) = self.shape;
        let rows = self.left.len() / depth;
        assert_eq!(self.left.len(), rows * depth, "{depth} values in each row");
        assert_eq!(self.outputs.len(), rows * width, "{width} results for each of {rows} rows");
    }
}

impl Job for RowProduct<'_> {
    #[inline(always)]
    fn run(self, arithmetic: impl Arithmetic) {
        let (depth, width) = self.shape;
        let block_len = depth.div_ceil(depth.div_ceil(DEPTH));
        let needs = Needs { panels: width.div_ceil(WIDTH) * block_len, ..Needs::default() };
        let Buffers { panels, .. } = self.scratch.lend(needs);
        for start in (0..depth).step_by(block_len) {
            let block = start..depth.min(start + block_len);
            let panels = &mut panels[..width.div_ceil(WIDTH) * block.len()];
            self.right.pack(arithmetic, self.shape, block.clone(), panels);
            let rows = self.left.chunks(ROWS * depth).zip(self.outputs.chunks_mut(ROWS * width));
            for (left, outputs) in rows {
                let part = Part {
                    left: &left[start..],
                    stride: depth,
                    panels,
                    depth: block.len(),
                    width,
                    bias: self.bias,
                    is_first: start == 0,
                    has_relu: block.end == depth && self.epilogue == Epilogue::Relu,
                };
                part.run(arithmetic, outputs);
            }
        }
    }
}

/// Some rows, and one block of depth.
struct Part<'a> {
    /// The first row from the block on; the others are `stride` apart.
    left: &'a [f32],
    stride: usize,
    /// All panels of the block.
    panels: &'a [Line],
    /// Rows of a panel.
    depth: usize,
    /// N.
    width: usize,
    bias: Option<&'a [f32]>,
    /// Whether the chains start here; otherwise they go on from what is in the output.
    is_first: bool,
    /// Whether relu is applied: the chains end here.
    has_relu: bool,
}

impl Part<'_> {
    #[inline(always)]
    fn run(&self, arithmetic: impl Arithmetic, outputs: &mut [f32]) {
        let rows = outputs.len() / self.width;
        for (p, panel) in self.panels.chunks_exact(self.depth).enumerate() {
            let place = columns(p, self.width);
            let mut row = 0;
            while row < rows {
                let height = height(rows - row);
                let left = &self.left[row * self.stride..];
                let outputs = &mut outputs[row * self.width..];
                with_height!(height, self.tile::<M>(arithmetic, left, panel, place.clone(), outputs));
                row += height;
            }
        }
    }

    #[inline(always)]
    fn tile<const M: usize>(
        &self,
        arithmetic: impl Arithmetic,
        left: &[f32],
        panel: &[Line],
        place: Range<usize>,
        outputs: &mut [f32],
    ) {
        let mut rows: [&[f32]; M] = [&[]; M];
        for (m, row) in rows.iter_mut().enumerate() {
            *row = &left[m * self.stride..][..panel.len()];
        }
        arithmetic.run(RowTile::<M> { part: self, rows, panel, place, outputs });
    }
}

/// One tile. It is a job of its own: inlined into the loops above, the inner loop computes the addresses of its rows from
/// their stride in each turn, for want of registers, and takes a fifth longer.
struct RowTile<'a, const M: usize> {
    part: &'a Part<'a>,
    rows: [&'a [f32]; M],
    panel: &'a [Line],
    place: Range<usize>,
    outputs: &'a mut [f32],
}

impl<const M: usize> Job for RowTile<'_, M> {
    #[inline(always)]
    fn run(self, arithmetic: impl Arithmetic) {
        let Self { part, rows, panel, place, outputs } = self;
        let mut tile: Tile<_, M> = zeros(arithmetic);
        if !part.is_first {
            tile = load_rows(arithmetic, outputs, part.width, place.clone());
        } else if let Some(bias) = part.bias {
            let [row] = load_rows(arithmetic, bias, 0, place.clone());
            tile = [row; M];
        }
        tile = add_products_of_rows(arithmetic, rows, panel, tile);
        if part.has_relu {
            for row in &mut tile {
                *row = [arithmetic.relu(row[0]), arithmetic.relu(row[1])];
            }
        }
        store_rows(arithmetic, &tile, outputs, part.width, place);
    }
}

#[cfg(test)]
mod tests {
    use super::super::arithmetic::Separate;
    use super::*;

    #[test]
    fn portable_arithmetic_gives_chains_that_round_twice() {
        let (rows, depth, width) = (13, 600, 21);
        let values = |len: usize| -> Vec<f32> { (0..len).map(|i| 1.0 / (1 + i % 101) as f32).collect() };
        let (left, right, mut outputs) =
            (values(rows * depth), values(width * depth), vec![0.0; rows * width]);
        Separate.run(RowProduct {
            left: &left,
            right: Right::Transposed(&right),
            shape: (depth, width),
            bias: None,
            epilogue: Epilogue::Identity,
            outputs: &mut outputs,
            scratch: &mut Scratch::default(),
        });
        for (index, found) in outputs.iter().enumerate() {
            let (row, column) = (&left[index / width * depth..], &right[index % width * depth..]);
            let chain = row.iter().zip(&column[..depth]).fold(0.0, |sum, (l, r)| sum + l * r);
            assert_eq!(*found, chain, "element {index}");
        }
    }
}
