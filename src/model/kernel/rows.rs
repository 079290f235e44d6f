//! The product whose result has a row for each sample, in blocks that the caches hold.
//!
//! The loops are those of Goto and van de Geijn 2008 (Anatomy of high-performance matrix multiplication, ACM TOMS 34,
//! article 12): a block of depth, whose part of the right operand is packed; some rows; a panel; a tile. A chain that
//! goes over several blocks of depth rests in the output meanwhile.

use std::ops::Range;

use super::Epilogue;
use super::arithmetic::{Arithmetic, Job};
use super::lines::Line;
use super::panels::{Right, columns};
use super::scratch::{Buffers, Needs, Scratch};
use super::strips::{height, with_height};
use super::tile::{Tile, add_products_of_rows, load_rows, store_rows};

/// Most rows of a panel. Longer chains between two rests in the output gained more, up to here, than a panel that leaves
/// more of the first cache to the rows it meets: at (256, 512, 512) 320 took 12 % longer.
const DEPTH: usize = 512;

/// Rows of the left operand at a time: 192 KB of `DEPTH` columns, which stay in the second cache over all panels.
const ROWS: usize = 96;

/// Columns of the result from which on it pays to copy the values of a block together. In place they lie a whole row
/// apart, and where that is a power of two they share a few sets of each cache: at (512, 2048, 2048) the product took
/// 10 % longer.
const GATHERED_FROM: usize = 256;

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
        let gathers = block_len < depth && width >= GATHERED_FROM;
        let Buffers { panels, left: room, .. } = self.scratch.lend(Needs {
            panels: width.div_ceil(16) * block_len,
            left: if gathers { ROWS * block_len } else { 0 },
            tiles: 0,
        });
        for start in (0..depth).step_by(block_len) {
            let block = start..depth.min(start + block_len);
            let panels = &mut panels[..width.div_ceil(16) * block.len()];
            self.right.pack(arithmetic, self.shape, block.clone(), panels);
            let rows = self.left.chunks(ROWS * depth).zip(self.outputs.chunks_mut(ROWS * width));
            for (left, outputs) in rows {
                let (left, stride) = if gathers {
                    (&*gather(left, depth, block.clone(), room), block.len())
                } else {
                    (&left[start..], depth)
                };
                let part = Part {
                    left,
                    stride,
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

/// Copies columns `block` of rows, `stride` apart, one row after the other.
#[inline(always)]
fn gather<'a>(rows: &[f32], stride: usize, block: Range<usize>, room: &'a mut [f32]) -> &'a mut [f32] {
    for (row, copy) in rows.chunks_exact(stride).zip(room.chunks_exact_mut(block.len())) {
        copy.copy_from_slice(&row[block.clone()]);
    }
    room
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
/// their stride in each turn, for want of registers, and takes a third longer.
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
        let mut tile: Tile<M> = [Line::ZERO; M];
        if !part.is_first {
            tile = load_rows(outputs, part.width, place.clone());
        } else if let Some(bias) = part.bias {
            let [line] = load_rows(bias, 0, place.clone());
            tile = [line; M];
        }
        tile = add_products_of_rows(arithmetic, rows, panel, tile);
        if part.has_relu {
            for value in tile.iter_mut().flat_map(|line| &mut line.0) {
                *value = if *value < 0.0 { 0.0 } else { *value };
            }
        }
        store_rows(&tile, outputs, part.width, place);
    }
}
