//! Rows of ∂Z and A as they lie: in parts, each of some consecutive shards.

use super::Panels;

/// What a gradient is summed over: rows of consecutive shards that lie together, such as those of one rank.
#[derive(Clone, Copy)]
pub struct ShardRows<'a> {
    /// ∂Z (R, O), row-major.
    pub d_outputs: &'a [f32],
    /// A (R, I), packed.
    pub inputs: &'a Panels,
    /// Where each shard ends among the rows; R is the last end, and without shards 0.
    pub ends: &'a [usize],
}

impl ShardRows<'_> {
    /// R.
    pub(super) fn rows(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }
}

/// Checks that the parts are of O columns, and of I if that is asked, and have a shard.
pub(super) fn check<'a>(parts: impl Iterator<Item = ShardRows<'a>>, outs: usize, ins: Option<usize>) {
    let mut shards = 0;
    for part in parts {
        let (rows, ends) = (part.rows(), part.ends);
        assert!(ends.is_sorted(), "shards follow one another: {ends:?}");
        assert_eq!(part.d_outputs.len(), rows * outs, "d_outputs (R, O) with R = {rows}, O = {outs}");
        if let Some(ins) = ins {
            let found = part.inputs.shape();
            assert!(rows == 0 || found == (rows, ins), "inputs {found:?} are (R, I) = {:?}", (rows, ins));
        }
        shards += ends.len();
    }
    assert!(shards > 0, "a gradient has a shard");
}
