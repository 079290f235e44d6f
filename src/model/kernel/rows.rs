//! The products whose result has a row for each sample, namely the outputs of a layer and the
//! gradients of its inputs, in blocks that fit the caches.
//!
//! The lanes of a vector are chosen so that the weight is never transposed; it is the larger
//! operand, and read once for all current samples:
//!
//! - **Outputs**: the lanes are sixteen samples. A panel holds the inputs of sixteen samples, line
//!   k their k-th values, and a tile holds some outputs of the samples of one or two panels. The
//!   rows of the weight are read without packing. With the lanes along the outputs, packing the
//!   weight took a third of the time of a product of 16 samples.
//! - **Gradients of inputs**: the lanes are sixteen inputs. A panel holds sixteen columns of the
//!   weight, and a tile holds the gradients of the inputs of one or two panels for some samples.
//!   The rows of ∂Z are read without packing, and those of ∂A written directly. With the lanes
//!   along the samples it took 1.03 to 1.28 times as long with AVX2.
//!
//! The loops are those of Goto and van de Geijn 2008 (Anatomy of high-performance matrix
//! multiplication, ACM TOMS 34, article 12): a block of depth, for which one operand is packed; a
//! strip of the other; a tile. A chain that spans several blocks of depth is stored in between.

use std::ops::Range;

use super::panels::{Buffers, Scratch, ScratchSizes, pack_columns, pack_transposed, unpack_transposed};
use super::tile::{Tile, add_products_of_rows, height, with_height, zeros};
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
/// [`forward`](Self::forward) packs its rows, which takes as long as the products of about six
/// outputs, and [`backward_inputs`](Self::backward_inputs) packs W, which takes as long as the
/// products of about five rows. Parts of the speed of (B, I, O) = (256, 512, 512) that smaller
/// products reach (Zen 5, `benches/kernels.rs`):
///
/// | (B, I, O) | outputs, AVX2 | AVX-512 | gradients of inputs, AVX2 | AVX-512 |
/// |---|---|---|---|---|
/// | (16, 64, 64) | 0.88 | 0.61 | 0.87 | 0.76 |
/// | (32, 64, 64) | 0.88 | 0.72 | 0.93 | 0.89 |
/// | (32, 784, 128) | 0.97 | 0.95 | 0.91 | 0.83 |
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    weight: &'a [f32],
    bias: &'a [f32],
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
        Self { weight, bias }
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
        let product = RowProduct { inputs, weight: self.weight, bias: self.bias, epilogue, outputs, scratch };
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
        let gradient =
            InputGradient { d_outputs, weight: self.weight, outs: self.bias.len(), d_inputs, scratch };
        gradient.check();
        simd::run(gradient);
    }
}

/// The maximum depth of a block: a strip of twelve rows then takes 24 KB, which stay in the
/// first-level cache while the panels stream through.
const DEPTH: usize = 512;

/// The number of panels of samples that are processed at a time: 256 KB for `DEPTH` values, which
/// stay in the second-level cache while the rows of the weight stream through.
const PANELS: usize = 8;

/// Computes outputs (B, O) = epilogue(bias + inputs · weightᵀ), for inputs (B, I) and weight
/// (O, I).
pub(super) struct RowProduct<'a> {
    pub(super) inputs: &'a [f32],
    pub(super) weight: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) epilogue: Epilogue,
    pub(super) outputs: &'a mut [f32],
    pub(super) scratch: &'a mut Scratch,
}

impl RowProduct<'_> {
    fn check(&self) {
        let outs = self.bias.len();
        let (ins, rows) = (self.weight.len() / outs, self.outputs.len() / outs);
        assert_eq!(self.outputs.len(), rows * outs, "outputs have {outs} values in each of {rows} rows");
        assert_eq!(self.inputs.len(), rows * ins, "inputs have {ins} values in each of {rows} rows");
    }
}

impl Kernel for RowProduct<'_> {
    #[inline(always)]
    fn run(self, arithmetic: impl Arithmetic) {
        forward(arithmetic, self);
    }
}

#[inline(always)]
fn forward<A: Arithmetic>(arithmetic: A, product: RowProduct<'_>) {
    let RowProduct { inputs, weight, bias, epilogue, outputs, scratch } = product;
    let (ins, outs) = (weight.len() / bias.len(), bias.len());
    let block_len = ins.div_ceil(ins.div_ceil(DEPTH));
    let panels_len = PANELS.min((inputs.len() / ins).div_ceil(WIDTH));
    let Buffers { panels, tiles: sums, .. } = scratch.lend(ScratchSizes {
        panels: panels_len * block_len,
        tiles: panels_len * outs,
        ..ScratchSizes::default()
    });
    let most = PANELS * WIDTH;
    for (inputs, outputs) in inputs.chunks(most * ins).zip(outputs.chunks_mut(most * outs)) {
        for start in (0..ins).step_by(block_len) {
            let block = start..ins.min(start + block_len);
            for (panel, inputs) in panels.chunks_exact_mut(block.len()).zip(inputs.chunks(WIDTH * ins)) {
                pack_transposed(arithmetic, (&inputs[start..], ins), inputs.len() / ins, panel);
            }
            let count = inputs.len().div_ceil(WIDTH * ins);
            let part = DepthBlock {
                weight,
                ins,
                bias,
                panels: &panels[..count * block.len()],
                has_relu: block.end == ins && epilogue == Epilogue::Relu,
                block,
            };
            part.run(arithmetic, sums);
        }
        for (sums, outputs) in sums.chunks_exact(outs).zip(outputs.chunks_mut(WIDTH * outs)) {
            let count = outputs.len() / outs;
            unpack_transposed(arithmetic, sums, (outputs, outs), count);
        }
    }
}

/// Some samples and one block of depth.
struct DepthBlock<'a> {
    weight: &'a [f32],
    ins: usize,
    bias: &'a [f32],
    /// The values of the samples in the block.
    panels: &'a [PanelLine],
    block: Range<usize>,
    /// True if relu is applied, because the chains end in this block.
    has_relu: bool,
}

impl DepthBlock<'_> {
    /// Adds the products to the sums; a panel has O sums of one line each.
    #[inline(always)]
    fn run<A: Arithmetic>(&self, arithmetic: A, sums: &mut [PanelLine]) {
        let mut first = 0;
        while first < self.bias.len() {
            let height = height(self.bias.len() - first, A::HEIGHT);
            with_height!(A, height, self.strip(arithmetic, first, sums));
            first += height;
        }
    }

    /// Computes the tiles of M outputs, starting at `first`.
    #[inline(always)]
    fn strip<A: Arithmetic, const M: usize>(&self, arithmetic: A, first: usize, sums: &mut [PanelLine]) {
        let rows = rows_of(&self.weight[first * self.ins..], self.ins, &self.block);
        let mut panel = 0;
        let count = self.panels.len() / self.block.len();
        while panel < count {
            if A::BREADTH == 2 && panel + 2 <= count {
                arithmetic.run(OutputTile::<M, 2> { part: self, rows, first, panel, sums });
                panel += 2;
            } else {
                arithmetic.run(OutputTile::<M, 1> { part: self, rows, first, panel, sums });
                panel += 1;
            }
        }
    }
}

/// Returns some columns of the first M rows.
#[inline(always)]
fn rows_of<'a, const M: usize>(values: &'a [f32], stride: usize, columns: &Range<usize>) -> [&'a [f32]; M] {
    let mut rows: [&[f32]; M] = [&[]; M];
    for (m, row) in rows.iter_mut().enumerate() {
        *row = &values[m * stride..][columns.clone()];
    }
    rows
}

/// Returns the lines of N adjacent panels.
#[inline(always)]
fn panels_of<const N: usize>(lines: &[PanelLine], depth: usize) -> [&[PanelLine]; N] {
    let mut panels: [&[PanelLine]; N] = [&[]; N];
    for (n, panel) in panels.iter_mut().enumerate() {
        *panel = &lines[n * depth..][..depth];
    }
    panels
}

/// One tile. It is a separate kernel: if it were inlined into the loops above, the inner loop would
/// compute the addresses of its rows from their stride in each iteration, for lack of registers,
/// and take a fifth longer.
struct OutputTile<'a, const M: usize, const N: usize> {
    part: &'a DepthBlock<'a>,
    /// Rows of the weight.
    rows: [&'a [f32]; M],
    /// The first output.
    first: usize,
    /// The first panel.
    panel: usize,
    sums: &'a mut [PanelLine],
}

impl<const M: usize, const N: usize> Kernel for OutputTile<'_, M, N> {
    #[inline(always)]
    fn run(self, arithmetic: impl Arithmetic) {
        let Self { part, rows, first, panel, sums } = self;
        let (depth, outs) = (part.block.len(), part.bias.len());
        let panels = panels_of(&part.panels[panel * depth..], depth);
        let sums = &mut sums[panel * outs + first..];
        let start = if part.block.start == 0 {
            chains_from(arithmetic, &part.bias[first..])
        } else {
            load(arithmetic, sums, outs)
        };
        let mut tile: Tile<_, M, N> = add_products_of_rows(arithmetic, rows, panels, start);
        if part.has_relu {
            for row in &mut tile {
                for values in row {
                    *values = arithmetic.relu(*values);
                }
            }
        }
        store(arithmetic, &tile, sums, outs);
    }
}

#[inline(always)]
fn chains_from<A: Arithmetic, const M: usize, const N: usize>(
    arithmetic: A,
    bias: &[f32],
) -> Tile<A::Vector, M, N> {
    let mut tile = zeros(arithmetic);
    for (row, bias) in tile.iter_mut().zip(&bias[..M]) {
        *row = [arithmetic.splat(*bias); N];
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

/// The number of columns of the weight that are packed at a time: 256 KB for `DEPTH` outputs, which
/// stay in the second-level cache.
const COLUMNS: usize = 128;

/// Computes ∂A (B, I) = ∂Z · weight, for ∂Z (B, O) and weight (O, I).
pub(super) struct InputGradient<'a> {
    pub(super) d_outputs: &'a [f32],
    pub(super) weight: &'a [f32],
    /// O.
    pub(super) outs: usize,
    pub(super) d_inputs: &'a mut [f32],
    pub(super) scratch: &'a mut Scratch,
}

impl InputGradient<'_> {
    fn check(&self) {
        let (outs, ins) = (self.outs, self.weight.len() / self.outs);
        let rows = self.d_outputs.len() / outs;
        assert_eq!(self.d_outputs.len(), rows * outs, "d_outputs have {outs} values in each of {rows} rows");
        assert_eq!(self.d_inputs.len(), rows * ins, "d_inputs have {ins} values in each of {rows} rows");
    }
}

impl Kernel for InputGradient<'_> {
    #[inline(always)]
    fn run(self, arithmetic: impl Arithmetic) {
        backward_inputs(arithmetic, self);
    }
}

#[inline(always)]
fn backward_inputs<A: Arithmetic>(arithmetic: A, gradient: InputGradient<'_>) {
    let InputGradient { d_outputs, weight, outs, d_inputs, scratch } = gradient;
    let (rows, ins) = (d_outputs.len() / outs, weight.len() / outs);
    if rows == 0 {
        return;
    }
    let block_len = outs.div_ceil(outs.div_ceil(DEPTH));
    // Tiles have whole lines: if the rows of ∂A do not, they are computed in a buffer.
    let stride = ins.next_multiple_of(WIDTH);
    let Buffers { panels, results, .. } = scratch.lend(ScratchSizes {
        panels: block_len * COLUMNS.min(stride) / WIDTH,
        results: if stride == ins { 0 } else { rows * stride },
        ..ScratchSizes::default()
    });
    let sums = if stride == ins { &mut *d_inputs } else { &mut *results };
    for first in (0..ins).step_by(COLUMNS) {
        let columns = first..ins.min(first + COLUMNS);
        for start in (0..outs).step_by(block_len) {
            let block = start..outs.min(start + block_len);
            let panels = &mut panels[..block.len() * columns.len().div_ceil(WIDTH)];
            pack_columns(&weight[block.start * ins..block.end * ins], ins, columns.clone(), panels);
            let part = SampleRows { d_outputs, outs, block, stride };
            part.run(arithmetic, panels, &mut sums[first..]);
        }
    }
    if stride > ins {
        for (to, from) in d_inputs.chunks_exact_mut(ins).zip(results.chunks_exact(stride)) {
            to.copy_from_slice(&from[..ins]);
        }
    }
}

/// One block of depth of all samples.
struct SampleRows<'a> {
    d_outputs: &'a [f32],
    outs: usize,
    block: Range<usize>,
    /// The length of a row of sums.
    stride: usize,
}

impl SampleRows<'_> {
    /// Adds the products with some columns of the weight to the sums of these columns.
    #[inline(always)]
    fn run<A: Arithmetic>(&self, arithmetic: A, panels: &[PanelLine], sums: &mut [f32]) {
        let (mut first, rows) = (0, self.d_outputs.len() / self.outs);
        while first < rows {
            let height = height(rows - first, A::HEIGHT);
            with_height!(A, height, self.strip(arithmetic, first, panels, &mut sums[first * self.stride..]));
            first += height;
        }
    }

    /// Computes the tiles of M samples, starting at `first`.
    #[inline(always)]
    fn strip<A: Arithmetic, const M: usize>(
        &self,
        arithmetic: A,
        first: usize,
        panels: &[PanelLine],
        sums: &mut [f32],
    ) {
        let (part, depth) = (self, self.block.len());
        let rows = rows_of(&self.d_outputs[first * self.outs..], self.outs, &self.block);
        let (mut panel, count) = (0, panels.len() / depth);
        while panel < count {
            let (panels, sums) = (&panels[panel * depth..], &mut sums[panel * WIDTH..]);
            if A::BREADTH == 2 && panel + 2 <= count {
                arithmetic.run(InputTile::<M, 2> { part, rows, panels: panels_of(panels, depth), sums });
                panel += 2;
            } else {
                arithmetic.run(InputTile::<M, 1> { part, rows, panels: panels_of(panels, depth), sums });
                panel += 1;
            }
        }
    }
}

/// The tile of M samples and N panels; a separate kernel, as [`OutputTile`] is.
struct InputTile<'a, const M: usize, const N: usize> {
    part: &'a SampleRows<'a>,
    /// Rows of ∂Z.
    rows: [&'a [f32]; M],
    panels: [&'a [PanelLine]; N],
    sums: &'a mut [f32],
}

impl<const M: usize, const N: usize> Kernel for InputTile<'_, M, N> {
    #[inline(always)]
    fn run(self, arithmetic: impl Arithmetic) {
        let Self { part, rows, panels, sums } = self;
        let start =
            if part.block.start == 0 { zeros(arithmetic) } else { load_rows(arithmetic, sums, part.stride) };
        let tile: Tile<_, M, N> = add_products_of_rows(arithmetic, rows, panels, start);
        store_rows(arithmetic, &tile, sums, part.stride);
    }
}

/// Reads tile[m][n] = rows[m · stride + 16 n ..].
#[inline(always)]
fn load_rows<A: Arithmetic, const M: usize, const N: usize>(
    arithmetic: A,
    rows: &[f32],
    stride: usize,
) -> Tile<A::Vector, M, N> {
    let mut tile = zeros(arithmetic);
    for m in 0..M {
        let row = rows[m * stride..][..N * WIDTH].as_chunks().0;
        for n in 0..N {
            tile[m][n] = arithmetic.load(&row[n]);
        }
    }
    tile
}

/// Writes a tile where [`load_rows`] reads it.
#[inline(always)]
fn store_rows<A: Arithmetic, const M: usize, const N: usize>(
    arithmetic: A,
    tile: &Tile<A::Vector, M, N>,
    rows: &mut [f32],
    stride: usize,
) {
    for m in 0..M {
        let row = rows[m * stride..][..N * WIDTH].as_chunks_mut().0;
        for n in 0..N {
            arithmetic.store(tile[m][n], &mut row[n]);
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
            weight: &weight,
            bias: &vec![0.0; width],
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
