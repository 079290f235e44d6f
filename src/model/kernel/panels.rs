//! Packing operands into panels of sixteen columns, which the inner loop reads line after line, and the way back.

use std::ops::Range;

use super::arithmetic::{Arithmetic, EIGHT, Job, run};
use super::lines::{Line, WIDTH};

/// The inputs A (R, I) of a layer, packed for the gradient of its weight by who has them, for all who compute a part of it.
///
/// # Cost
///
/// R·I f32, with I rounded up to a multiple of 16; kept from call to call.
#[derive(Default)]
pub struct Panels {
    /// Panel after panel, each with a line for each row.
    lines: Vec<Line>,
    rows: usize,
    /// I.
    columns: usize,
}

impl Panels {
    /// Packs A (R, I), row-major, over what there was.
    ///
    /// # Panics
    ///
    /// If the len is not R·I.
    ///
    /// # Cost
    ///
    /// One pass; no allocation unless it is the largest call so far.
    pub fn pack(&mut self, inputs: &[f32], (rows, columns): (usize, usize)) {
        assert_eq!(inputs.len(), rows * columns, "inputs (R, I) with R = {rows}, I = {columns}");
        (self.rows, self.columns) = (rows, columns);
        let lines = rows * columns.div_ceil(WIDTH);
        self.lines.resize(lines, Line::ZERO);
        if rows > 0 {
            run(Packing { inputs, panels: self });
        }
    }

    /// The rows of a panel.
    #[inline(always)]
    pub(super) fn get(&self, panel: usize, rows: Range<usize>) -> &[Line] {
        &self.lines[panel * self.rows..][rows]
    }

    /// R and I.
    pub(super) fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }
}

struct Packing<'a> {
    inputs: &'a [f32],
    panels: &'a mut Panels,
}

impl Job for Packing<'_> {
    #[inline(always)]
    fn run(self, _: impl Arithmetic) {
        let Panels { lines, rows, columns } = self.panels;
        for (p, panel) in lines.chunks_exact_mut(*rows).enumerate() {
            pack_straight(self.inputs, *columns, p * WIDTH..(*columns).min((p + 1) * WIDTH), panel);
        }
    }
}

/// Packs `panel[k][c] = values[k · stride + columns.start + c]`, and zeros beyond the columns.
#[inline(always)]
fn pack_straight(values: &[f32], stride: usize, columns: Range<usize>, panel: &mut [Line]) {
    let rows = panel.iter_mut().zip(values.chunks(stride));
    if columns.len() == WIDTH {
        for (line, row) in rows {
            *line = Line::load(&row[columns.start..]);
        }
    } else {
        for (line, row) in rows {
            *line = Line::load_part(&row[columns.clone()]);
        }
    }
}

/// Packs rows as columns, `panel[k][c] = rows[c · stride + k]` for c < `count`, and zeros beyond.
#[inline(always)]
pub(super) fn pack_transposed(
    arithmetic: impl Arithmetic,
    (rows, stride): (&[f32], usize),
    count: usize,
    panel: &mut [Line],
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
    panel: &[Line],
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
        *to = *row.first_chunk().expect("a row has as many values as the strip is wide");
    }
}
