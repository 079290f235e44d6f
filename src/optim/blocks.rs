//! The fixed pieces of the params over which norms are added up and which segments are made of.

use super::sum_of_squares;
use std::ops::Range;

/// The largest number of params of a block: with its grads and two states it stays in a first-level cache of 32 KiB.
pub const BLOCK_LEN: usize = 1024;

/// The flat params cut into blocks: each tensor, from its own start, into pieces of [`BLOCK_LEN`], the last one shorter. Where a
/// tensor has rows, a block is of whole rows, as many as there is room for, or a piece of one row.
///
/// Blocks depend on the tensors alone, never on how many ranks share the work, and so do all sums over blocks.
///
/// # Examples
/// ```
/// use phalanx::optim::Blocks;
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
    /// Where each block starts, and at last the number of params: strictly increasing.
    starts: Vec<usize>,
    /// The tensor of each block: never decreasing.
    tensors: Vec<usize>,
    /// The first block of each tensor, and at last the number of blocks.
    firsts: Vec<usize>,
    /// Blocks with which a row starts, ascending, and at last the number of blocks: where segments may be cut.
    row_starts: Vec<usize>,
    /// Whether each tensor is a bias, for optimizers that spare biases; empty if nobody said so.
    biases: Vec<bool>,
}

impl Blocks {
    /// Cuts tensors of the given numbers of params, which lie one after the other. An empty tensor has no blocks.
    #[must_use]
    pub fn new(tensor_lens: &[usize]) -> Self {
        let rows: Vec<_> = tensor_lens.iter().map(|&len| (len, 1)).collect();
        Self::of_rows(&rows)
    }

    /// Cuts tensors of so many rows of so many params each.
    ///
    /// # Examples
    /// ```
    /// use phalanx::optim::Blocks;
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

    /// Says of each tensor whether it is a bias, which [`OptimizerOptions::no_bias_decay`] spares. Without this none is.
    ///
    /// # Panics
    /// If there is not one answer a tensor.
    ///
    /// [`OptimizerOptions::no_bias_decay`]: super::OptimizerOptions::no_bias_decay
    #[must_use]
    pub fn with_biases(self, biases: Vec<bool>) -> Self {
        assert_eq!(biases.len(), self.firsts.len() - 1, "one answer a tensor");
        Self { biases, ..self }
    }

    /// Whether a tensor was said to be a bias.
    pub(super) fn is_bias(&self, tensor: usize) -> bool {
        self.biases.get(tensor).copied().unwrap_or(false)
    }

    fn push_tensor(&mut self, tensor: usize, rows: usize, row_len: usize) {
        // Whole rows, or one.
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

    /// The number of blocks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there is no block, that is no param.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// The number of params of all blocks.
    #[must_use]
    pub fn params_len(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    /// The params of a block.
    ///
    /// # Panics
    /// If there is no such block.
    #[must_use]
    pub fn range(&self, block: usize) -> Range<usize> {
        self.params_range(block..block + 1)
    }

    /// The params of a run of blocks, such as a segment.
    ///
    /// # Panics
    /// If the run ends before it starts or after the last block.
    #[must_use]
    pub fn params_range(&self, blocks: Range<usize>) -> Range<usize> {
        assert!(blocks.start <= blocks.end, "blocks {blocks:?} end before they start");
        self.starts[blocks.start]..self.starts[blocks.end]
    }

    /// The index of the tensor that a block is a piece of.
    ///
    /// # Panics
    /// If there is no such block.
    #[must_use]
    pub fn tensor_of(&self, block: usize) -> usize {
        self.tensors[block]
    }

    /// The blocks of a tensor.
    ///
    /// # Panics
    /// If there is no such tensor.
    #[must_use]
    pub fn blocks_of(&self, tensor: usize) -> Range<usize> {
        self.firsts[tensor]..self.firsts[tensor + 1]
    }

    /// Cuts the blocks into one segment per rank: rank r owns the blocks from boundary r to boundary r + 1.
    ///
    /// Boundary r is the first block with a row's start that lies at or after ⌈r·params/world_size⌉: a segment has no part of a
    /// row. Hence two ranks differ by fewer than twice [`BLOCK_LEN`] or the longest row, whichever is more; where blocks are
    /// equal, larger segments come first; with more ranks than blocks some are empty.
    ///
    /// # Panics
    /// If the world size is 0.
    #[must_use]
    pub fn cut(&self, world_size: usize) -> Vec<usize> {
        assert!(world_size > 0, "params cannot be cut for a world of no ranks");
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

    /// Writes the [`sum_of_squares`] of each block of a segment, whose values alone are given, into `sums`.
    ///
    /// Gathered from all ranks in block order they make a norm: [`norm_of_squares`](super::norm_of_squares).
    ///
    /// # Panics
    /// If `values` or `sums` do not fit the segment.
    pub fn sums_of_squares(&self, segment: Range<usize>, values: &[f32], sums: &mut [f64]) {
        let params = self.params_range(segment.clone());
        assert_eq!(values.len(), params.len(), "values do not fit blocks {segment:?}");
        assert_eq!(sums.len(), segment.len(), "sums do not fit blocks {segment:?}");
        for (block, sum) in segment.zip(sums) {
            let range = self.range(block);
            *sum = sum_of_squares(&values[range.start - params.start..range.end - params.start]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tensors_are_cut_from_their_own_start() {
        let blocks = Blocks::new(&[3, 0, 2049, 1024]);
        let ranges: Vec<_> = (0..blocks.len()).map(|block| blocks.range(block)).collect();
        assert_eq!(ranges, [0..3, 3..1027, 1027..2051, 2051..2052, 2052..3076]);
        let tensors: Vec<_> = (0..blocks.len()).map(|block| blocks.tensor_of(block)).collect();
        assert_eq!(tensors, [0, 2, 2, 2, 3]);
        assert_eq!([0, 1, 2, 3].map(|tensor| blocks.blocks_of(tensor)), [0..1, 1..1, 1..4, 4..5]);
    }

    #[test]
    fn no_params_make_no_blocks_and_empty_segments() {
        for lens in [&[][..], &[0, 0]] {
            let blocks = Blocks::new(lens);
            assert!(blocks.is_empty());
            assert_eq!(blocks.cut(3), [0, 0, 0, 0]);
            assert_eq!(blocks.params_range(0..0), 0..0);
        }
    }

    #[test]
    fn equal_blocks_are_cut_with_the_larger_segments_first() {
        assert_eq!(Blocks::new(&[1024 * 10]).cut(3), [0, 4, 7, 10]);
        assert_eq!(Blocks::new(&[5]).cut(4), [0, 1, 1, 1, 1]);
    }

    proptest! {
        #[test]
        fn segments_cover_all_blocks_once_and_are_balanced(
            lens in prop::collection::vec(0_usize..5000, 0..12),
            world_size in 1_usize..20,
        ) {
            let blocks = Blocks::new(&lens);
            let cut = blocks.cut(world_size);
            prop_assert_eq!(cut.len(), world_size + 1);
            prop_assert_eq!((cut[0], cut[world_size]), (0, blocks.len()));
            prop_assert!(cut.is_sorted());
            let sizes = cut.windows(2).map(|pair| blocks.params_range(pair[0]..pair[1]).len());
            let (least, most) = (sizes.clone().min().unwrap(), sizes.max().unwrap());
            prop_assert!(most - least < 2 * BLOCK_LEN);
        }

        #[test]
        fn blocks_cover_all_params_once_within_their_tensors(lens in prop::collection::vec(0_usize..5000, 0..12)) {
            let blocks = Blocks::new(&lens);
            let mut params_of = vec![0; lens.len()];
            let mut next = 0;
            for block in 0..blocks.len() {
                let range = blocks.range(block);
                prop_assert_eq!(range.start, next);
                prop_assert!((1..=BLOCK_LEN).contains(&range.len()));
                prop_assert!(blocks.blocks_of(blocks.tensor_of(block)).contains(&block));
                params_of[blocks.tensor_of(block)] += range.len();
                next = range.end;
            }
            prop_assert_eq!(params_of, lens);
        }
    }
}
