//! Packing the right operand into panels of sixteen columns, which the inner loop reads line after line.

use std::ops::Range;

use super::arithmetic::Arithmetic;
use super::lines::{Line, WIDTH};

/// The right operand of a product, (K, N), as it lies in memory.
#[derive(Clone, Copy)]
pub(super) enum Right<'a> {
    /// Row-major, (K, N).
    Straight(&'a [f32]),
    /// Its transpose, row-major, (N, K).
    Transposed(&'a [f32]),
}

/// The columns of panel `p` of N = `width`.
pub(super) fn columns(p: usize, width: usize) -> Range<usize> {
    p * WIDTH..width.min((p + 1) * WIDTH)
}

impl Right<'_> {
    /// Packs rows `block` of all columns: line k of panel p holds elements (block.start + k, 16p + c), and zeros beyond the
    /// last column. A panel has a line for each row of the block, and panels follow one another.
    #[inline(always)]
    pub(super) fn pack(
        self,
        arithmetic: impl Arithmetic,
        (depth, width): (usize, usize),
        block: Range<usize>,
        panels: &mut [Line],
    ) {
        for (p, panel) in panels.chunks_exact_mut(block.len()).enumerate() {
            let columns = columns(p, width);
            match self {
                Self::Straight(values) => {
                    pack_straight(&values[block.start * width..], width, columns, panel)
                }
                Self::Transposed(values) => {
                    let rows = &values[columns.start * depth + block.start..];
                    pack_transposed(arithmetic, (rows, depth), columns.len(), panel);
                }
            }
        }
    }
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

/// Packs `panel[k][c] = rows[c · stride + k]` for c < `width`, and zeros beyond.
#[inline(always)]
fn pack_transposed(
    arithmetic: impl Arithmetic,
    (rows, stride): (&[f32], usize),
    width: usize,
    panel: &mut [Line],
) {
    for column in (0..WIDTH).step_by(8) {
        if column + 8 <= width {
            arithmetic.transpose(&rows[column * stride..], stride, panel, column);
            continue;
        }
        for (k, line) in panel.iter_mut().enumerate() {
            for c in column..column + 8 {
                line.0[c] = if c < width { rows[c * stride + k] } else { 0.0 };
            }
        }
    }
}
