//! Rows of ∂Z and A as they lie: in parts, each of some consecutive shards.

/// What a gradient is summed over: rows of consecutive shards that lie together, such as those of one rank.
#[derive(Clone, Copy, Debug)]
pub struct ShardRows<'a> {
    /// ∂Z (R, O), row-major.
    pub d_outputs: &'a [f32],
    /// A (R, I), row-major.
    pub inputs: &'a [f32],
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
            assert_eq!(part.inputs.len(), rows * ins, "inputs (R, I) with R = {rows}, I = {ins}");
        }
        shards += ends.len();
    }
    assert!(shards > 0, "a gradient has a shard");
}

/// Fills `ends` with where each shard ends among the rows of all parts.
pub(super) fn fill_ends<'a>(ends: &mut Vec<usize>, parts: impl Iterator<Item = ShardRows<'a>>) {
    ends.clear();
    let mut start = 0;
    for part in parts {
        ends.extend(part.ends.iter().map(|end| start + end));
        start += part.rows();
    }
}
