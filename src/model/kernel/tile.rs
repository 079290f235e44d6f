//! The tile: up to six lines that registers hold while products are added to them.
//!
//! Loops with indices, not iterators and closures: what the compiler does not inline into a [`Job`](super::arithmetic)
//! is compiled for the oldest machine, and a tile that is passed to it by address leaves the registers.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use super::arithmetic::Arithmetic;
use super::lines::{Line, WIDTH};

/// M rows of sixteen columns.
pub(super) type Tile<const M: usize> = [Line; M];

/// Returns tile + Σ_k left_k ⊗ right_k, added in order of k. Row m of the left operand is `left[m]`, as long as `right`.
#[inline(always)]
pub(super) fn add_products_of_rows<const M: usize>(
    arithmetic: impl Arithmetic,
    mut left: [&[f32]; M],
    right: &[Line],
    mut tile: Tile<M>,
) -> Tile<M> {
    for row in &mut left {
        *row = &row[..right.len()];
    }
    for (k, right) in right.iter().enumerate() {
        for m in 0..M {
            let left = left[m][k];
            for n in 0..WIDTH {
                tile[m].0[n] = arithmetic.multiply_add(left, right.0[n], tile[m].0[n]);
            }
        }
    }
    tile
}

/// The same with the left operand packed: `left[k]` is a value of each row.
#[inline(always)]
pub(super) fn add_products<const M: usize>(
    arithmetic: impl Arithmetic,
    left: &[[f32; M]],
    right: &[Line],
    mut tile: Tile<M>,
) -> Tile<M> {
    for (left, right) in left.iter().zip(right) {
        for m in 0..M {
            for n in 0..WIDTH {
                tile[m].0[n] = arithmetic.multiply_add(left[m], right.0[n], tile[m].0[n]);
            }
        }
    }
    tile
}

/// Returns left + right, element by element.
#[inline(always)]
pub(super) fn add<const M: usize>(left: &[Line], mut right: Tile<M>) -> Tile<M> {
    let left = &left[..M];
    for m in 0..M {
        for n in 0..WIDTH {
            right[m].0[n] += left[m].0[n];
        }
    }
    right
}

/// Reads `tile[m][c] = values[m · stride + columns.start + c]`; zeros follow the columns, at most sixteen.
#[inline(always)]
pub(super) fn load_rows<const M: usize>(values: &[f32], stride: usize, columns: Range<usize>) -> Tile<M> {
    let mut tile = [Line::ZERO; M];
    if columns.len() == WIDTH {
        for m in 0..M {
            tile[m] = Line::load(&values[m * stride + columns.start..]);
        }
    } else {
        for m in 0..M {
            tile[m] = Line::load_part(&values[m * stride..][columns.clone()]);
        }
    }
    tile
}

/// Writes what [`load_rows`] reads.
#[inline(always)]
pub(super) fn store_rows<const M: usize>(
    tile: &Tile<M>,
    values: &mut [f32],
    stride: usize,
    columns: Range<usize>,
) {
    if columns.len() == WIDTH {
        for m in 0..M {
            tile[m].store(&mut values[m * stride + columns.start..]);
        }
    } else {
        for m in 0..M {
            tile[m].store_part(&mut values[m * stride..][columns.clone()]);
        }
    }
}
