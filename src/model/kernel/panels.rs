//! The memory of the kernels: operands packed into panels of sixteen columns, which the inner loop
//! reads line by line; unpacking; and the buffers of a thread.

use std::ops::Range;

use crate::simd::{Arithmetic, EIGHT, Kernel, PanelLine, WIDTH, run};

/// The inputs A (R, I) of a layer, packed for the gradient of its weight by the rank that owns
/// them, for all ranks that compute a part of the gradient.
///
/// # Cost
///
/// R·I f32, with I rounded up to a multiple of 16; reused from call to call.
#[derive(Default)]
pub struct Panels {
    /// Panels one after another; each has one line per row.
    lines: Vec<PanelLine>,
    rows: usize,
    /// I.
    columns: usize,
}

impl Panels {
    /// Packs A (R, I), row-major, replacing the previous content.
    ///
    /// # Panics
    ///
    /// If the length is not R·I.
    ///
    /// # Cost
    ///
    /// One pass; no allocation unless this is the largest call so far.
    pub fn pack(&mut self, inputs: &[f32], (rows, columns): (usize, usize)) {
        assert_eq!(inputs.len(), rows * columns, "inputs (R, I) with R = {rows}, I = {columns}");
        (self.rows, self.columns) = (rows, columns);
        let lines = rows * columns.div_ceil(WIDTH);
        self.lines.resize(lines, PanelLine::ZERO);
        if rows > 0 {
            run(Packing { inputs, panels: self });
        }
    }

    /// Returns some rows of a panel.
    #[inline(always)]
    pub(super) fn get(&self, panel: usize, rows: Range<usize>) -> &[PanelLine] {
        &self.lines[panel * self.rows..][rows]
    }

    /// Returns R and I.
    pub(super) fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }
}

struct Packing<'a> {
    inputs: &'a [f32],
    panels: &'a mut Panels,
}

impl Kernel for Packing<'_> {
    #[inline(always)]
    fn run(self, _: impl Arithmetic) {
        pack_columns(self.inputs, self.panels.columns, 0..self.panels.columns, &mut self.panels.lines);
    }
}

/// The number of rows that are packed at a time: few enough for their cache lines to fit the ways
/// of a single set of the first-level cache, to which they all map if a row is a multiple of 4 KB,
/// and enough for several lines of a panel to be written next to each other.
pub(super) const PACKED_ROWS: usize = 8;

/// Packs panels: line k of panel p is `values[k · stride + columns.start + 16 p ..]`,
/// padded with zeros past the columns.
#[inline(always)]
pub(super) fn pack_columns(values: &[f32], stride: usize, columns: Range<usize>, panels: &mut [PanelLine]) {
    let rows = values.len() / stride;
    for (first, values) in (0..rows).step_by(PACKED_ROWS).zip(values.chunks(PACKED_ROWS * stride)) {
        for (panel, start) in panels.chunks_exact_mut(rows).zip(columns.clone().step_by(WIDTH)) {
            let columns = start..columns.end.min(start + WIDTH);
            let rows = panel[first..].iter_mut().zip(values.chunks(stride));
            if columns.len() == WIDTH {
                for (line, row) in rows {
                    *line = PanelLine::load(&row[columns.start..]);
                }
            } else {
                for (line, row) in rows {
                    *line = PanelLine::load_part(&row[columns.clone()]);
                }
            }
        }
    }
}

/// Packs rows as columns, `panel[k][c] = rows[c · stride + k]` for c < `count`, padded with zeros.
#[inline(always)]
pub(super) fn pack_transposed(
    arithmetic: impl Arithmetic,
    (rows, stride): (&[f32], usize),
    count: usize,
    panel: &mut [PanelLine],
) {
    for column in (0..WIDTH).step_by(EIGHT) {
        if column + EIGHT <= count {
            arithmetic.transpose(&rows[column * stride..], stride, panel, column);
            continue;
        }
        for c in column..column + EIGHT {
            if c < count {
                let row = &rows[c * stride..][..panel.len()];
                panel.iter_mut().zip(row).for_each(|(line, value)| line.0[c] = *value);
            } else {
                panel.iter_mut().for_each(|line| line.0[c] = 0.0);
            }
        }
    }
}

/// Unpacks columns as rows, `rows[c · stride + k] = panel[k][c]` for c < `count`.
#[inline(always)]
pub(super) fn unpack_transposed(
    arithmetic: impl Arithmetic,
    panel: &[PanelLine],
    (rows, stride): (&mut [f32], usize),
    count: usize,
) {
    for column in (0..count).step_by(EIGHT) {
        if column + EIGHT <= count {
            arithmetic.transpose_back(panel, column, &mut rows[column * stride..], stride);
            continue;
        }
        for c in column..count {
            let row = &mut rows[c * stride..][..panel.len()];
            row.iter_mut().zip(panel).for_each(|(value, line)| *value = line.0[c]);
        }
    }
}

/// Packs `strip[k][m] = values[k · stride + m]`.
#[inline(always)]
pub(super) fn pack_strip<const M: usize>(values: &[f32], stride: usize, strip: &mut [[f32; M]]) {
    for (to, row) in strip.iter_mut().zip(values.chunks(stride)) {
        *to = *row.first_chunk().expect("a row has at least M values");
    }
}

/// The buffers of one thread for all kernels: packed operands and unfinished tiles.
///
/// They grow to the size that the largest call needs and keep it, so that later calls do not
/// allocate. Their content between calls has no meaning: one scratch serves all layers.
///
/// # Cost
///
/// Up to 66,000 f32, plus 128 for each output of the widest layer. For the gradient of a weight
/// (O, I) from R rows, in addition: 48·R, 1,536 for each level of the tree over the shards, 48·I up
/// to 99,000, and R·I if the inputs are not packed yet. For gradients of inputs: R·I, rounded up,
/// if I is not a multiple of 16, in the buffer of the 48·I.
#[derive(Default)]
pub struct Scratch {
    panels: Vec<PanelLine>,
    left: Vec<f32>,
    tiles: Vec<PanelLine>,
    results: Vec<f32>,
    packed: Panels,
}

/// The buffer sizes that a call needs.
#[derive(Clone, Copy, Default)]
pub(super) struct ScratchSizes {
    pub(super) panels: usize,
    pub(super) left: usize,
    pub(super) tiles: usize,
    pub(super) results: usize,
}

/// The buffers of one call, each of the requested length.
pub(super) struct Buffers<'a> {
    /// The operand that is read line by line, packed.
    pub(super) panels: &'a mut [PanelLine],
    /// The operand that is read value by value, packed.
    pub(super) left: &'a mut [f32],
    /// Tiles that wait for their neighbours.
    pub(super) tiles: &'a mut [PanelLine],
    /// Results that are passed on, aligned to a cache line.
    pub(super) results: &'a mut [f32],
}

impl Scratch {
    /// Returns the buffers that a call needs, with unspecified content.
    pub(super) fn lend(&mut self, needs: ScratchSizes) -> Buffers<'_> {
        Buffers {
            panels: at_least(&mut self.panels, needs.panels, PanelLine::ZERO),
            left: at_least(&mut self.left, needs.left, 0.0),
            tiles: at_least(&mut self.tiles, needs.tiles, PanelLine::ZERO),
            results: aligned(&mut self.results, needs.results),
        }
    }

    /// Takes out a buffer for packed inputs, until [`keep_packed`](Self::keep_packed) returns it.
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

/// Returns `len` values aligned to a cache line, so that no stored line crosses a cache line
/// boundary.
fn aligned(values: &mut Vec<f32>, len: usize) -> &mut [f32] {
    let values = at_least(values, len + WIDTH, 0.0);
    let start = values.as_ptr().align_offset(size_of::<PanelLine>()).min(WIDTH);
    &mut values[start..start + len]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_reused_without_growing() {
        let mut scratch = Scratch::default();
        let needs = ScratchSizes { panels: 100, left: 70, tiles: 30, results: 20 };
        scratch.lend(needs);
        let pointers = |scratch: &Scratch| {
            let Scratch { panels, left, tiles, results, .. } = scratch;
            (panels.as_ptr(), left.as_ptr(), tiles.as_ptr(), results.as_ptr())
        };
        let before = pointers(&scratch);
        let lent = scratch.lend(ScratchSizes { left: 50, ..needs });
        assert_eq!((lent.panels.len(), lent.left.len(), lent.tiles.len()), (100, 50, 30));
        assert_eq!((lent.results.len(), lent.results.as_ptr().addr() % 64), (20, 0));
        assert_eq!(pointers(&scratch), before);
    }
}
