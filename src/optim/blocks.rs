//! Blocks, the fixed pieces of the params that norms are summed over and segments consist of; and
//! clipping by the global norm.

use crate::simd::vectorized;
use std::ops::Range;

/// The largest number of params of a block: with its grads and two states it stays in a first-level
/// cache of 32 KiB.
pub const BLOCK_LEN: usize = 1024;

/// The flat params split into blocks: each tensor, from its start, into pieces of [`BLOCK_LEN`]
/// params, the last one shorter. If a tensor has rows, a block has as many whole rows as fit, or is
/// a piece of one row.
///
/// Blocks, and therefore all sums over blocks, depend only on the tensors, not on the number of
/// ranks.
///
/// # Examples
/// ```
/// use phalanx::internals::Blocks;
///
/// let blocks = Blocks::new(&[2000, 10]);
/// assert_eq!(blocks.len(), 3);
/// assert_eq!(blocks.range(1), 1024..2000);
/// assert_eq!(blocks.tensor_of(2), 1);
/// assert_eq!(blocks.cut(2), [0, 1, 3]);
/// assert_eq!(blocks.params_range(1..3), 1024..2010);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocks {
    /// The start of each block, followed by the number of params: strictly increasing.
    starts: Vec<usize>,
    /// The tensor of each block: never decreasing.
    tensors: Vec<usize>,
    /// The first block of each tensor, followed by the number of blocks.
    firsts: Vec<usize>,
    /// Blocks that start with a row, ascending, followed by the number of blocks: the possible
    /// segment boundaries.
    row_starts: Vec<usize>,
    /// True for each tensor that is a bias, which optimizers may exclude from penalties; empty if
    /// no tensor is.
    biases: Vec<bool>,
}

impl Blocks {
    /// Splits contiguous tensors of the given numbers of params. An empty tensor has no blocks.
    #[must_use]
    pub fn new(tensor_lens: &[usize]) -> Self {
        let rows: Vec<_> = tensor_lens.iter().map(|&len| (len, 1)).collect();
        Self::of_rows(&rows)
    }

    /// Splits tensors given as (number of rows, params per row).
    ///
    /// # Examples
    /// ```
    /// use phalanx::internals::Blocks;
    ///
    /// let blocks = Blocks::of_rows(&[(3, 400), (2, 1500)]);
    /// let ranges: Vec<_> = (0..blocks.len()).map(|block| blocks.range(block)).collect();
    /// assert_eq!(ranges, [0..800, 800..1200, 1200..2224, 2224..2700, 2700..3724, 3724..4200]);
    /// ```
    #[must_use]
    pub fn of_rows(tensors: &[(usize, usize)]) -> Self {
        let mut blocks = Self {
            starts: vec![0],
            tensors: Vec::new(),
            firsts: vec![0],
            row_starts: Vec::new(),
            biases: Vec::new(),
        };
        for (tensor, &(rows, row_len)) in tensors.iter().enumerate() {
            blocks.push_tensor(tensor, rows, row_len);
        }
        blocks.row_starts.push(blocks.len());
        blocks
    }

    /// Marks the tensors that are biases, which [`OptimizerOptions::no_bias_decay`] excludes from
    /// penalties. By default no tensor is marked.
    ///
    /// # Panics
    /// If the length of `biases` is not the number of tensors.
    ///
    /// [`OptimizerOptions::no_bias_decay`]: super::OptimizerOptions::no_bias_decay
    #[must_use]
    pub fn with_biases(self, biases: Vec<bool>) -> Self {
        assert_eq!(biases.len(), self.firsts.len() - 1, "biases must have one entry per tensor");
        Self { biases, ..self }
    }

    /// Returns whether a tensor is marked as a bias.
    pub(super) fn is_bias(&self, tensor: usize) -> bool {
        self.biases.get(tensor).copied().unwrap_or(false)
    }

    fn push_tensor(&mut self, tensor: usize, rows: usize, row_len: usize) {
        // As many whole rows as fit, but at least one.
        let most = (BLOCK_LEN / row_len.max(1)).max(1) * row_len;
        let (mut start, end) = (self.params_len(), self.params_len() + rows * row_len);
        while start < end {
            let run = end.min(start + most);
            self.row_starts.push(self.len());
            let inner = (1..(run - start).div_ceil(BLOCK_LEN)).map(|piece| start + piece * BLOCK_LEN);
            self.starts.extend(inner.chain([run]));
            self.tensors.resize(self.starts.len() - 1, tensor);
            start = run;
        }
        self.firsts.push(self.len());
    }

    /// Returns the number of blocks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Returns whether there are no blocks, that is, no params.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Returns the number of params of all blocks.
    #[must_use]
    pub fn params_len(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    /// Returns the params of a block.
    ///
    /// # Panics
    /// If there is no such block.
    #[must_use]
    pub fn range(&self, block: usize) -> Range<usize> {
        self.params_range(block..block + 1)
    }

    /// Returns the params of a range of blocks, such as a segment.
    ///
    /// # Panics
    /// If the range ends before it starts or after the last block.
    #[must_use]
    pub fn params_range(&self, blocks: Range<usize>) -> Range<usize> {
        assert!(blocks.start <= blocks.end, "blocks {blocks:?} end before they start");
        self.starts[blocks.start]..self.starts[blocks.end]
    }

    /// Returns the index of the tensor that a block belongs to.
    ///
    /// # Panics
    /// If there is no such block.
    #[must_use]
    pub fn tensor_of(&self, block: usize) -> usize {
        self.tensors[block]
    }

    /// Returns the blocks of a tensor.
    ///
    /// # Panics
    /// If there is no such tensor.
    #[must_use]
    pub fn blocks_of(&self, tensor: usize) -> Range<usize> {
        self.firsts[tensor]..self.firsts[tensor + 1]
    }

    /// Splits the blocks into one segment per rank: rank r owns the blocks from boundary r to
    /// boundary r + 1.
    ///
    /// Boundary r is the first block that starts with a row and lies at or after
    /// ⌈r·params/world_size⌉, so segments contain only whole rows. Hence the segments of two ranks
    /// differ by fewer params than twice [`BLOCK_LEN`] or twice the longest row, whichever is more;
    /// if blocks are equal, larger segments come first; with more ranks than blocks some are empty.
    ///
    /// # Panics
    /// If the world size is 0.
    #[must_use]
    pub fn cut(&self, world_size: usize) -> Vec<usize> {
        assert!(world_size > 0, "the world size must be at least 1");
        let total = self.params_len() as u128;
        let target = |rank: usize| (rank as u128 * total).div_ceil(world_size as u128);
        let start = |block: usize| self.starts[block] as u128;
        (0..=world_size)
            .map(|rank| {
                let boundary = self.row_starts.partition_point(|&block| start(block) < target(rank));
                self.row_starts[boundary]
            })
            .collect()
    }

    /// Writes the [`sum_of_squares`] of each block of a segment into `sums`; `values` are those of
    /// the segment only.
    ///
    /// Gathered from all ranks in block order, they give a norm: [`norm_of_squares`].
    ///
    /// # Panics
    /// If the length of `values` or `sums` does not match the segment.
    pub fn sums_of_squares(&self, segment: Range<usize>, values: &[f32], sums: &mut [f64]) {
        let params = self.params_range(segment.clone());
        assert_eq!(values.len(), params.len(), "the length of values does not match blocks {segment:?}");
        assert_eq!(sums.len(), segment.len(), "the length of sums does not match blocks {segment:?}");
        for (block, sum) in segment.zip(sums) {
            let range = self.range(block);
            *sum = sum_of_squares(&values[range.start - params.start..range.end - params.start]);
        }
    }
}

/// The number of partial sums of [`sum_of_squares`]: enough for the compiler to keep four two-wide
/// adders busy.
const LANES: usize = 8;

/// Returns Σ x² in `f64`, in one fixed order on every machine.
///
/// Element i is added to lane i mod 8; lanes are added as ((0+4)+(2+6)) + ((1+5)+(3+7)). The square
/// of an `f32` is exact in `f64`, so only additions round. Multiplying all values by a power of two
/// multiplies the sum by its square, exactly.
///
/// # Examples
/// ```
/// assert_eq!(phalanx::internals::sum_of_squares(&[3.0, -4.0]), 25.0);
/// ```
#[must_use]
pub fn sum_of_squares(values: &[f32]) -> f64 {
    vectorized(
        #[inline(always)]
        || sum_in_lanes(values),
    )
}

#[inline(always)]
fn sum_in_lanes(values: &[f32]) -> f64 {
    let mut lanes = [0.0_f64; LANES];
    let (rows, rest) = values.as_chunks::<LANES>();
    for row in rows {
        for (lane, &x) in lanes.iter_mut().zip(row) {
            *lane += square(x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane += square(x);
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

#[inline(always)]
fn square(x: f32) -> f64 {
    f64::from(x) * f64::from(x)
}

/// Returns √(Σ block sums), added in index order: the norm of the params or grads that the blocks
/// cover.
///
/// # Examples
/// ```
/// assert_eq!(phalanx::internals::norm_of_squares(&[9.0, 16.0]), 5.0);
/// ```
#[must_use]
pub fn norm_of_squares(block_sums: &[f64]) -> f64 {
    block_sums.iter().sum::<f64>().sqrt()
}

/// Returns min(1, max_norm/norm): the factor for grads of this global norm, to be passed to
/// [`scale_grads`], so that the norm becomes at most `max_norm`.
///
/// There is no ε: PyTorch's `clip_grad_norm_` divides by norm + 1e-6, which is a different rule for
/// sums than for means and shortens grads that are within the bound. Under a sum over m samples the
/// bound is m times that under the mean. A NaN norm gives NaN, an infinite norm 0 (and 0·∞ is NaN):
/// non-finite grads are not hidden.
///
/// # Panics
/// If `max_norm` is not above 0.
///
/// # Examples
/// ```
/// use phalanx::internals::clip_factor;
///
/// assert_eq!(clip_factor(4.0, 1.0), 0.25);
/// assert_eq!(clip_factor(0.5, 1.0), 1.0);
/// ```
#[must_use]
pub fn clip_factor(norm: f64, max_norm: f64) -> f32 {
    assert!(max_norm > 0.0, "grads cannot be clipped to a norm of {max_norm:?}, which is not above 0");
    if norm <= max_norm { 1.0 } else { (max_norm / norm) as f32 }
}

/// Multiplies grads by a factor, such as that of [`clip_factor`].
///
/// # Examples
///
/// ```
/// use phalanx::internals::{clip_factor, scale_grads, sum_of_squares};
///
/// let mut grads = [3.0, 4.0];
/// let norm = sum_of_squares(&grads).sqrt();
/// scale_grads(&mut grads, clip_factor(norm, 2.5));
/// assert_eq!(grads, [1.5, 2.0]);
/// ```
pub fn scale_grads(grads: &mut [f32], factor: f32) {
    vectorized(
        #[inline(always)]
        || grads.iter_mut().for_each(|g| *g *= factor),
    );
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_tensor_is_split_from_its_start() {
        let blocks = Blocks::new(&[3, 0, 2049, 1024]);
        let ranges: Vec<_> = (0..blocks.len()).map(|block| blocks.range(block)).collect();
        assert_eq!(ranges, [0..3, 3..1027, 1027..2051, 2051..2052, 2052..3076]);
        let tensors: Vec<_> = (0..blocks.len()).map(|block| blocks.tensor_of(block)).collect();
        assert_eq!(tensors, [0, 2, 2, 2, 3]);
        assert_eq!([0, 1, 2, 3].map(|tensor| blocks.blocks_of(tensor)), [0..1, 1..1, 1..4, 4..5]);
    }

    #[test]
    fn no_params_give_no_blocks_and_empty_segments() {
        for tensor_lens in [&[][..], &[0, 0]] {
            let blocks = Blocks::new(tensor_lens);
            assert!(blocks.is_empty());
            assert_eq!(blocks.cut(3), [0, 0, 0, 0]);
            assert_eq!(blocks.params_range(0..0), 0..0);
        }
    }

    #[test]
    fn equal_blocks_give_larger_segments_first() {
        assert_eq!(Blocks::new(&[1024 * 10]).cut(3), [0, 4, 7, 10]);
        assert_eq!(Blocks::new(&[5]).cut(4), [0, 1, 1, 1, 1]);
    }

    proptest! {
        #[test]
        fn segments_cover_all_blocks_once_and_are_balanced(
            tensor_lens in prop::collection::vec(0_usize..5000, 0..12),
            world_size in 1_usize..20,
        ) {
            let blocks = Blocks::new(&tensor_lens);
            let cut = blocks.cut(world_size);
            prop_assert_eq!(cut.len(), world_size + 1);
            prop_assert_eq!((cut[0], cut[world_size]), (0, blocks.len()));
            prop_assert!(cut.is_sorted());
            let sizes = cut.windows(2).map(|pair| blocks.params_range(pair[0]..pair[1]).len());
            let (least, most) = (sizes.clone().min().unwrap(), sizes.max().unwrap());
            prop_assert!(most - least < 2 * BLOCK_LEN);
        }

        #[test]
        fn blocks_cover_all_params_once_within_their_tensors(
            tensor_lens in prop::collection::vec(0_usize..5000, 0..12),
        ) {
            let blocks = Blocks::new(&tensor_lens);
            let mut params_of = vec![0; tensor_lens.len()];
            let mut next = 0;
            for block in 0..blocks.len() {
                let range = blocks.range(block);
                prop_assert_eq!(range.start, next);
                prop_assert!((1..=BLOCK_LEN).contains(&range.len()));
                prop_assert!(blocks.blocks_of(blocks.tensor_of(block)).contains(&block));
                params_of[blocks.tensor_of(block)] += range.len();
                next = range.end;
            }
            prop_assert_eq!(params_of, tensor_lens);
        }
    }

    proptest! {
        #[test]
        fn sum_of_squares_has_the_bits_of_the_reference(values in prop::collection::vec(-1e3_f32..1e3, 0..300)) {
            prop_assert_eq!(sum_of_squares(&values).to_bits(), reference::sum_of_squares(&values).to_bits());
        }

        #[test]
        fn sum_of_squares_scales_exactly_by_powers_of_two(values in prop::collection::vec(-1e3_f32..1e3, 0..300)) {
            let scaled: Vec<f32> = values.iter().map(|x| 64.0 * x).collect();
            prop_assert_eq!(sum_of_squares(&scaled).to_bits(), (4096.0 * sum_of_squares(&values)).to_bits());
        }

        #[test]
        fn clipping_bounds_the_norm(values in prop::collection::vec(-1e3_f32..1e3, 1..300), bound in 0.1..10.0) {
            let norm = sum_of_squares(&values).sqrt();
            let mut grads = values.clone();
            scale_grads(&mut grads, clip_factor(norm, bound));
            let clipped = sum_of_squares(&grads).sqrt();
            prop_assert!((clipped - norm.min(bound)).abs() <= 1e-6 * bound.max(clipped));
        }
    }

    #[test]
    fn sums_of_values_beyond_the_range_of_f32_squares_stay_finite() {
        assert_eq!(sum_of_squares(&[1e30, 1e-30]), f64::from(1e30_f32).powi(2));
        assert!(sum_of_squares(&[1e-30]) > 0.0);
    }

    #[test]
    fn non_finite_norms_give_factors_that_do_not_hide_them() {
        assert!(clip_factor(f64::NAN, 1.0).is_nan());
        assert_eq!(clip_factor(f64::INFINITY, 1.0), 0.0);
        assert_eq!(clip_factor(0.0, 1.0), 1.0);
        assert_eq!(clip_factor(1.0, 1.0), 1.0);
    }

    #[test]
    #[should_panic(expected = "clipped to a norm of 0")]
    fn a_bound_of_zero_panics() {
        let _ = clip_factor(1.0, 0.0);
    }
}
