//! The products whose result has a row for each sample, namely the outputs of a layer and the
//! gradients of its inputs, in blocks that fit the caches.
//!
//! The lanes of a vector are sixteen samples: a panel holds the inputs of sixteen samples, line k
//! their k-th values, and a tile holds some outputs of the samples of one or two panels. So the
//! larger operand, the weight, is read without packing, once for all current samples, and only the
//! samples are packed; with the lanes along the outputs, packing the weight took a third of the
//! time of a product of 16 samples.
//!
//! The loops are those of Goto and van de Geijn 2008 (Anatomy of high-performance matrix
//! multiplication, ACM TOMS 34, article 12): some samples; a block of depth, for which the samples
//! are packed; a strip of outputs; a tile. A chain that spans several blocks of depth is stored in
//! a line between blocks.

use std::ops::Range;

use super::panels::{Buffers, Scratch, ScratchSizes, pack_strip, pack_transposed, unpack_transposed};
use super::tile::{Tile, add_products, add_products_of_rows, height, with_height, zeros};
use crate::simd::{self, Arithmetic, Kernel, PanelLine, WIDTH};

/// The function applied to an output before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epilogue {
    /// No function.
    Identity,
    /// max(z, 0); NaN stays NaN, and −0 stays −0.
    Relu,
}

/// A layer Z = A Wᵀ + b, with W (O, I) and b (O) as PyTorch's `Linear` stores them.
///
/// # Cost
///
/// Each call packs its rows, which takes as long as the products of about six outputs. If I and O
/// are at least 64, products reach nine tenths of the speed of large products from 16 rows on, and
/// gradients of inputs from 32 rows on.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    weight: &'a [f32],
    bias: &'a [f32],
    inputs: usize,
}

impl<'a> Linear<'a> {
    /// Creates a layer from W (O, I), row-major, and b (O).
    ///
    /// # Panics
    ///
    /// If either is empty, or their lengths are inconsistent.
    pub fn new(weight: &'a [f32], bias: &'a [f32]) -> Self {
        assert!(!bias.is_empty(), "a layer needs at least one output");
        let inputs = weight.len() / bias.len();
        assert!(inputs > 0, "a layer needs at least one input");
        assert_eq!(weight.len(), inputs * bias.len(), "weight (O, I) with O = {}", bias.len());
        Self { weight, bias, inputs }
    }

    /// Writes Z (B, O) = A Wᵀ + b for A (B, I), both row-major, and applies the epilogue.
    ///
    /// The bits of a row of Z depend only on that row of A, W and b.
    ///
    /// # Panics
    ///
    /// If the lengths are inconsistent.
    ///
    /// # Cost
    ///
    /// 2·B·I·O floating-point operations.
    pub fn forward(&self, inputs: &[f32], outputs: &mut [f32], epilogue: Epilogue, scratch: &mut Scratch) {
        let product = RowProduct {
            inputs,
            weight: Weight::Rows(self.weight),
            shape: (self.inputs, self.bias.len()),
            bias: Some(self.bias),
            epilogue,
            outputs,
            scratch,
        };
        product.check();
        simd::run(product);
    }

    /// Writes ∂A (B, I) = ∂Z W for ∂Z (B, O), both row-major.
    ///
    /// The bits of a row of ∂A depend only on that row of ∂Z and W.
    ///
    /// # Panics
    ///
    /// If the lengths are inconsistent.
    ///
    /// # Cost
    ///
    /// 2·B·I·O floating-point operations.
    pub fn backward_inputs(&self, d_outputs: &[f32], d_inputs: &mut [f32], scratch: &mut Scratch) {
        let product = RowProduct {
            inputs: d_outputs,
            weight: Weight::Columns(self.weight),
            shape: (self.bias.len(), self.inputs),
            bias: None,
            epilogue: Epilogue::Identity,
            outputs: d_inputs,
            scratch,
        };
        product.check();
        simd::run(product);
    }
}

/// The maximum number of values of a sample that are packed at a time: a strip of twelve outputs
/// then takes 24 KB, which stay in the first-level cache while the panels stream through.
const DEPTH: usize = 512;

/// The other operand, (K, N), without packing.
#[derive(Clone, Copy)]
pub(super) enum Weight<'a> {
    /// Row-major (N, K): each output is a row.
    Rows(&'a [f32]),
    /// Row-major (K, N): each output is a column.
    Columns(&'a [f32]),
}

impl Weight<'_> {
    /// Returns the number of panels of samples that are processed at a time: 256 KB for `DEPTH`
    /// values, which stay in the second-level cache while the strips stream through. It is twice as
    /// many if each strip is packed for them: at (512, 2048, 2048) that gained 5 %, whereas without
    /// packing it lost 2 %.
    fn panels(self) -> usize {
        match self {
            Self::Rows(_) => 8,
            Self::Columns(_) => 16,
        }
    }
}

/// Computes outputs (B, N) = epilogue(bias + inputs · weight), for inputs (B, K) and weight (K, N).
pub(super) struct RowProduct<'a> {
    pub(super) inputs: &'a [f32],
    pub(super) weight: Weight<'a>,
    /// K and N.
    pub(super) shape: (usize, usize),
    /// The N biases; zeros if `None`.
    pub(super) bias: Option<&'a [f32]>,
    pub(super) epilogue: Epilogue,
    pub(super) outputs: &'a mut [f32],
    pub(super) scratch: &'a mut Scratch,
}

impl RowProduct<'_> {
    pub(super) fn check(&self) {
        let (depth, width) = self.shape;
        let rows = self.inputs.len() / depth;
        assert_eq!(self.inputs.len(), rows * depth, "inputs have {depth} values in each of {rows} rows");
        assert_eq!(self.outputs.len(), rows * width, "outputs have {width} values in each of {rows} rows");
    }
}

impl Kernel for RowProduct<'_> {
    #[inline(always)]
    fn run(self, arithmetic: impl Arithmetic) {
        run(arithmetic, self);
    }
}

#[inline(always)]
fn run<A: Arithmetic>(arithmetic: A, product: RowProduct<'_>) {
    let RowProduct { inputs, weight, shape: (depth, width), bias, epilogue, outputs, scratch } = product;
    let block_len = depth.div_ceil(depth.div_ceil(DEPTH));
    let panels_len = weight.panels().min((inputs.len() / depth).div_ceil(WIDTH));
    let Buffers { panels, tiles: sums, left: strip, .. } = scratch.lend(ScratchSizes {
        panels: panels_len * block_len,
        tiles: panels_len * width,
        left: A::HEIGHT * block_len,
        results: 0,
    });
    let most = weight.panels() * WIDTH;
    for (inputs, outputs) in inputs.chunks(most * depth).zip(outputs.chunks_mut(most * width)) {
        for start in (0..depth).step_by(block_len) {
            let block = start..depth.min(start + block_len);
            for (panel, inputs) in panels.chunks_exact_mut(block.len()).zip(inputs.chunks(WIDTH * depth)) {
                let samples = (&inputs[start..], depth);
                pack_transposed(arithmetic, samples, inputs.len() / depth, panel);
            }
            let count = inputs.len().div_ceil(WIDTH * depth);
            let part = DepthBlock {
                weight,
                panels: &panels[..count * block.len()],
                depth,
                width,
                bias,
                has_relu: block.end == depth && epilogue == Epilogue::Relu,
                block,
            };
            part.run(arithmetic, strip, sums);
        }
        for (sums, outputs) in sums.chunks_exact(width).zip(outputs.chunks_mut(WIDTH * width)) {
            let count = outputs.len() / width;
            unpack_transposed(arithmetic, sums, (outputs, width), count);
        }
    }
}

/// Some samples and one block of depth.
struct DepthBlock<'a> {
    weight: Weight<'a>,
    /// The values of the samples in the block.
    panels: &'a [PanelLine],
    block: Range<usize>,
    /// K.
    depth: usize,
    /// N.
    width: usize,
    bias: Option<&'a [f32]>,
    /// True if relu is applied, because the chains end in this block.
    has_relu: bool,
}

impl DepthBlock<'_> {
    /// Adds the products to the sums; a panel has N sums of one line each.
    #[inline(always)]
    fn run<A: Arithmetic>(&self, arithmetic: A, strip: &mut [f32], sums: &mut [PanelLine]) {
        let mut first = 0;
        while first < self.width {
            let height = height(self.width - first, A::HEIGHT);
            with_height!(A, height, self.strip(arithmetic, first, strip, sums));
            first += height;
        }
    }

    /// Computes the tiles of M outputs, starting at `first`.
    #[inline(always)]
    fn strip<A: Arithmetic, const M: usize>(
        &self,
        arithmetic: A,
        first: usize,
        strip: &mut [f32],
        sums: &mut [PanelLine],
    ) {
        let left = match self.weight {
            Weight::Rows(weight) => {
                let mut rows: [&[f32]; M] = [&[]; M];
                for (m, row) in rows.iter_mut().enumerate() {
                    *row = &weight[(first + m) * self.depth..][self.block.clone()];
                }
                Left::Rows(rows)
            }
            Weight::Columns(weight) => {
                let strip = &mut strip.as_chunks_mut().0[..self.block.len()];
                pack_strip::<M>(&weight[self.block.start * self.width + first..], self.width, strip);
                Left::Packed(&*strip)
            }
        };
        let mut panel = 0;
        let count = self.panels.len() / self.block.len();
        while panel < count {
            if A::BREADTH == 2 && panel + 2 <= count {
                arithmetic.run(RowTile::<M, 2> { part: self, left, first, panel, sums });
                panel += 2;
            } else {
                arithmetic.run(RowTile::<M, 1> { part: self, left, first, panel, sums });
                panel += 1;
            }
        }
    }
}

/// The part of the weight for M outputs.
#[derive(Clone, Copy)]
enum Left<'a, const M: usize> {
    /// Rows of the weight, not packed.
    Rows([&'a [f32]; M]),
    /// Packed, M values next to each other.
    Packed(&'a [[f32; M]]),
}

/// One tile. It is a separate kernel: if it were inlined into the loops above, the inner loop would
/// compute the addresses of its rows from their stride in each iteration, for lack of registers,
/// and take a fifth longer.
struct RowTile<'a, const M: usize, const N: usize> {
    part: &'a DepthBlock<'a>,
    left: Left<'a, M>,
    /// The first output.
    first: usize,
    /// The first panel.
    panel: usize,
    sums: &'a mut [PanelLine],
}

impl<const M: usize, const N: usize> Kernel for RowTile<'_, M, N> {
    #[inline(always)]
    fn run(self, arithmetic: impl Arithmetic) {
        let Self { part, left, first, panel, sums } = self;
        let depth = part.block.len();
        let mut panels: [&[PanelLine]; N] = [&[]; N];
        for (n, lines) in panels.iter_mut().enumerate() {
            *lines = &part.panels[(panel + n) * depth..][..depth];
        }
        let start = if part.block.start == 0 {
            chains_from(arithmetic, part.bias.map(|bias| &bias[first..]))
        } else {
            load(arithmetic, &sums[panel * part.width + first..], part.width)
        };
        let mut tile: Tile<_, M, N> = match left {
            Left::Rows(rows) => add_products_of_rows(arithmetic, rows, panels, start),
            Left::Packed(strip) => add_products(arithmetic, strip, panels, start),
        };
        if part.has_relu {
            for row in &mut tile {
                for values in row {
                    *values = arithmetic.relu(*values);
                }
            }
        }
        store(arithmetic, &tile, &mut sums[panel * part.width + first..], part.width);
    }
}

#[inline(always)]
fn chains_from<A: Arithmetic, const M: usize, const N: usize>(
    arithmetic: A,
    bias: Option<&[f32]>,
) -> Tile<A::Vector, M, N> {
    let mut tile = zeros(arithmetic);
    if let Some(bias) = bias {
        for (row, bias) in tile.iter_mut().zip(&bias[..M]) {
            *row = [arithmetic.splat(*bias); N];
        }
    }
    tile
}

/// Reads tile[m][n] = sums[n · stride + m].
#[inline(always)]
fn load<A: Arithmetic, const M: usize, const N: usize>(
    arithmetic: A,
    sums: &[PanelLine],
    stride: usize,
) -> Tile<A::Vector, M, N> {
    let mut tile = zeros(arithmetic);
    for n in 0..N {
        let lines = &sums[n * stride..][..M];
        for m in 0..M {
            tile[m][n] = arithmetic.load(&lines[m].0);
        }
    }
    tile
}

/// Writes a tile where [`load`] reads it.
#[inline(always)]
fn store<A: Arithmetic, const M: usize, const N: usize>(
    arithmetic: A,
    tile: &Tile<A::Vector, M, N>,
    sums: &mut [PanelLine],
    stride: usize,
) {
    for n in 0..N {
        let lines = &mut sums[n * stride..][..M];
        for m in 0..M {
            arithmetic.store(tile[m][n], &mut lines[m].0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::SeparateArithmetic;

    #[test]
    fn portable_arithmetic_rounds_twice() {
        let (rows, depth, width) = (13, 600, 21);
        let values = |len: usize| -> Vec<f32> { (0..len).map(|i| 1.0 / (1 + i % 101) as f32).collect() };
        let (inputs, weight, mut outputs) =
            (values(rows * depth), values(width * depth), vec![0.0; rows * width]);
        SeparateArithmetic.run(RowProduct {
            inputs: &inputs,
            weight: Weight::Rows(&weight),
            shape: (depth, width),
            bias: None,
            epilogue: Epilogue::Identity,
            outputs: &mut outputs,
            scratch: &mut Scratch::default(),
        });
        for (index, found) in outputs.iter().enumerate() {
            let (row, column) = (&inputs[index / width * depth..], &weight[index % width * depth..]);
            let chain = row.iter().zip(&column[..depth]).fold(0.0, |sum, (l, r)| sum + l * r);
            assert_eq!(*found, chain, "element {index}");
        }
    }
}
