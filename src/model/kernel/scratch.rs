//! Memory that kernels work in.

use super::lines::Line;

/// Buffers of one thread for all kernels: packed operands and unfinished tiles.
///
/// They grow to what the largest call needs and stay, so that later calls allocate nothing. What they hold between calls
/// has no meaning: one scratch serves all layers.
///
/// # Cost
///
/// For a layer (O, I) up to 512·(max(I, O) + 16) f32, and R·(O + 64) for the gradient of R rows.
#[derive(Default)]
pub struct Scratch {
    panels: Vec<Line>,
    left: Vec<f32>,
    tiles: Vec<Line>,
}

/// How many of each a call needs.
#[derive(Clone, Copy, Default)]
pub(super) struct Needs {
    pub(super) panels: usize,
    pub(super) left: usize,
    pub(super) tiles: usize,
}

/// The buffers of one call, each as long as was asked for.
pub(super) struct Buffers<'a> {
    /// The right operand, packed.
    pub(super) panels: &'a mut [Line],
    /// The left operand, packed.
    pub(super) left: &'a mut [f32],
    /// Tiles of the tree that wait.
    pub(super) tiles: &'a mut [Line],
}

impl Scratch {
    /// Lends what a call needs, with any content.
    pub(super) fn lend(&mut self, needs: Needs) -> Buffers<'_> {
        Buffers {
            panels: at_least(&mut self.panels, needs.panels, Line::ZERO),
            left: at_least(&mut self.left, needs.left, 0.0),
            tiles: at_least(&mut self.tiles, needs.tiles, Line::ZERO),
        }
    }
}

fn at_least<T: Copy>(values: &mut Vec<T>, len: usize, filling: T) -> &mut [T] {
    if values.len() < len {
        values.resize(len, filling);
    }
    &mut values[..len]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lent_once_is_lent_again_without_growing() {
        let mut scratch = Scratch::default();
        let needs = Needs { panels: 100, left: 70, tiles: 30 };
        scratch.lend(needs);
        let before = (scratch.panels.as_ptr(), scratch.left.as_ptr(), scratch.tiles.as_ptr());
        let lent = scratch.lend(Needs { left: 50, ..needs });
        assert_eq!((lent.panels.len(), lent.left.len(), lent.tiles.len()), (100, 50, 30));
        assert_eq!((scratch.panels.as_ptr(), scratch.left.as_ptr(), scratch.tiles.as_ptr()), before);
    }
}
