//! Rows of ∂Z and A as they lie: in parts, each of some consecutive shards.

use super::Panels;

/// What a gradient is summed over: rows of consecutive shards that lie together, such as those of one rank.
///
/// # Examples
///
/// ```
/// use phalanx::model::kernel::{Panels, Scratch, ShardRows, bias_gradient, weight_gradient};
///
/// // One layer of two inputs and one output; two ranks have a shard each, of one sample and of two.
/// let mut panels = [Panels::default(), Panels::default()];
/// panels[0].pack(&[1.0, 2.0], (1, 2));
/// panels[1].pack(&[3.0, 4.0, 5.0, 6.0], (2, 2));
/// let parts = [
///     ShardRows { d_outputs: &[1.0], inputs: &panels[0], ends: &[1] },
///     ShardRows { d_outputs: &[1.0, -1.0], inputs: &panels[1], ends: &[2] },
/// ];
/// let (mut scratch, mut weight, mut bias) = (Scratch::default(), [0.0; 2], [0.0]);
/// weight_gradient(parts.into_iter(), (1, 2), 0..2, &mut scratch, &mut |range, values| {
///     weight[range].copy_from_slice(values);
/// });
/// bias_gradient(parts.into_iter(), 1, 0..1, &mut scratch, &mut |range, values| {
///     bias[range].copy_from_slice(values);
/// });
/// assert_eq!((weight, bias), ([1.0 + 3.0 - 5.0, 2.0 + 4.0 - 6.0], [1.0 + 1.0 - 1.0]));
/// ```
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
