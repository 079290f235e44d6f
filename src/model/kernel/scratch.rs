//! Memory that kernels work in.

use super::Panels;
use super::lines::{Line, WIDTH};

/// Buffers of one thread for all kernels: packed operands and unfinished tiles.
///
/// They grow to what the largest call needs and stay, so that later calls allocate nothing. What they hold between calls
/// has no meaning: one scratch serves all layers.
///
/// # Cost
///
/// Up to 140,000 f32 and 256 for each output or input of the widest layer (O, I); for gradients of R rows, R·O, 2,300 for each
/// level of the tree over the shards, 74,000, and R·I where the inputs come unpacked.
#[derive(Default)]
pub struct Scratch {
    panels: Vec<Line>,
    left: Vec<f32>,
    tiles: Vec<Line>,
    results: Vec<f32>,
    packed: Panels,
}

/// How many of each a call needs.
#[derive(Clone, Copy, Default)]
pub(super) struct Needs {
    pub(super) panels: usize,
    pub(super) left: usize,
    pub(super) tiles: usize,
    pub(super) results: usize,
}

/// The buffers of one call, each as long as was asked for.
pub(super) struct Buffers<'a> {
    /// The operand that is read line after line, packed.
    pub(super) panels: &'a mut [Line],
    /// The operand that is read value by value, packed.
    pub(super) left: &'a mut [f32],
    /// Tiles that wait.
    pub(super) tiles: &'a mut [Line],
    /// Values that are handed on, from the start of a cache line.
    pub(super) results: &'a mut [f32],
}

impl Scratch {
    /// Lends what a call needs, with any content.
    pub(super) fn lend(&mut self, needs: Needs) -> Buffers<'_> {
        Buffers {
            panels: at_least(&mut self.panels, needs.panels, Line::ZERO),
            left: at_least(&mut self.left, needs.left, 0.0),
            tiles: at_least(&mut self.tiles, needs.tiles, Line::ZERO),
            results: aligned(&mut self.results, needs.results),
        }
    }

    /// Takes a buffer for packed inputs out, until it is [kept](Self::keep_packed) again.
    pub(super) fn take_packed(&mut self) -> Panels {
        std::mem::take(&mut self.packed)
    }

    pub(super) fn keep_packed(&mut self, packed: Panels) {
        self.packed = packed;
    }
}

fn at_least<T: Copy>(values: &mut Vec<T>, len: usize, filling: T) -> &mut [T] {
    if values.len() < len {
        values.resize(len, filling);
    }
    &mut values[..len]
}

/// As many values, from the start of a cache line, so that no line that is stored crosses from one to the next.
fn aligned(values: &mut Vec<f32>, len: usize) -> &mut [f32] {
    let values = at_least(values, len + WIDTH, 0.0);
    let start = values.as_ptr().align_offset(size_of::<Line>()).min(WIDTH);
    &mut values[start..start + len]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lent_once_is_lent_again_without_growing() {
        let mut scratch = Scratch::default();
        let needs = Needs { panels: 100, left: 70, tiles: 30, results: 20 };
        scratch.lend(needs);
        let pointers = |scratch: &Scratch| {
            let Scratch { panels, left, tiles, results, .. } = scratch;
            (panels.as_ptr(), left.as_ptr(), tiles.as_ptr(), results.as_ptr())
        };
        let before = pointers(&scratch);
        let lent = scratch.lend(Needs { left: 50, ..needs });
        assert_eq!((lent.panels.len(), lent.left.len(), lent.tiles.len()), (100, 50, 30));
        assert_eq!((lent.results.len(), lent.results.as_ptr().addr() % 64), (20, 0));
        assert_eq!(pointers(&scratch), before);
    }
}
