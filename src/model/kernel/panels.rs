//! Packing operands into panels of sixteen columns, which the inner loop reads line after line, and the way back.

use std::ops::Range;

use super::arithmetic::{Arithmetic, EIGHT};
use super::lines::{Line, WIDTH};

/// The columns of panel `p` of those in `columns`.
pub(super) fn panel_columns(p: usize, columns: &Range<usize>) -> Range<usize> {
    let start = columns.start + p * WIDTH;
    start..columns.end.min(start + WIDTH)
}

/// Packs `panel[k][c] = values[k · stride + columns.start + c]`, and zeros beyond the columns.
#[inline(always)]
pub(super) fn pack_straight(values: &[f32], stride: usize, columns: Range<usize>, panel: &mut [Line]) {
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
