//! The tile: up to six rows of sixteen columns that registers hold while products are added to them.
//!
//! Loops over `0..M`, not iterators and closures over arrays: what the compiler does not inline into a
//! [`Job`](super::arithmetic::Job) is compiled for the oldest machine, and a tile that is passed to it by address leaves
//! the registers.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use super::arithmetic::{Arithmetic, LANES};
use super::lines::{Line, WIDTH};

/// M rows of two vectors.
pub(super) type Tile<V, const M: usize> = [[V; 2]; M];

/// A tile of zeros.
#[inline(always)]
pub(super) fn zeros<A: Arithmetic, const M: usize>(arithmetic: A) -> Tile<A::Vector, M> {
    [[arithmetic.splat(0.0); 2]; M]
}

/// Returns tile + Σ_k left_k ⊗ right_k, added in order of k. Row m of the left operand is `left[m]`, as long as `right`.
#[inline(always)]
pub(super) fn add_products_of_rows<A: Arithmetic, const M: usize>(
    arithmetic: A,
    mut left: [&[f32]; M],
    right: &[Line],
    mut tile: Tile<A::Vector, M>,
) -> Tile<A::Vector, M> {
    for row in &mut left {
        *row = &row[..right.len()];
    }
    for (k, right) in right.iter().enumerate() {
        let right = load_line(arithmetic, right);
        for m in 0..M {
            tile[m] = add_product(arithmetic, left[m][k], right, tile[m]);
        }
    }
    tile
}

/// The same with the left operand packed: `left[k]` is a value of each row.
#[inline(always)]
pub(super) fn add_products<A: Arithmetic, const M: usize>(
    arithmetic: A,
    left: &[[f32; M]],
    right: &[Line],
    mut tile: Tile<A::Vector, M>,
) -> Tile<A::Vector, M> {
    for (left, right) in left.iter().zip(right) {
        let right = load_line(arithmetic, right);
        for m in 0..M {
            tile[m] = add_product(arithmetic, left[m], right, tile[m]);
        }
    }
    tile
}

#[inline(always)]
fn add_product<A: Arithmetic>(
    arithmetic: A,
    left: f32,
    right: [A::Vector; 2],
    row: [A::Vector; 2],
) -> [A::Vector; 2] {
    let left = arithmetic.splat(left);
    [arithmetic.multiply_add(left, right[0], row[0]), arithmetic.multiply_add(left, right[1], row[1])]
}

/// Returns left + right, element by element.
#[inline(always)]
pub(super) fn add<A: Arithmetic, const M: usize>(
    arithmetic: A,
    left: &[Line],
    mut right: Tile<A::Vector, M>,
) -> Tile<A::Vector, M> {
    let left = &left[..M];
    for m in 0..M {
        let left = load_line(arithmetic, &left[m]);
        right[m] = [arithmetic.add(left[0], right[m][0]), arithmetic.add(left[1], right[m][1])];
    }
    right
}

#[inline(always)]
fn load_line<A: Arithmetic>(arithmetic: A, line: &Line) -> [A::Vector; 2] {
    let [first, second] = line.halves();
    [arithmetic.load(first), arithmetic.load(second)]
}

#[inline(always)]
fn store_line<A: Arithmetic>(arithmetic: A, row: [A::Vector; 2], line: &mut Line) {
    let [first, second] = line.halves_mut();
    arithmetic.store(row[0], first);
    arithmetic.store(row[1], second);
}

/// Writes a tile as lines.
#[inline(always)]
pub(super) fn store<A: Arithmetic, const M: usize>(
    arithmetic: A,
    tile: &Tile<A::Vector, M>,
    lines: &mut [Line],
) {
    let lines = &mut lines[..M];
    for m in 0..M {
        store_line(arithmetic, tile[m], &mut lines[m]);
    }
}

/// Reads `tile[m][c] = values[m · stride + columns.start + c]`; zeros follow the columns, at most sixteen.
#[inline(always)]
pub(super) fn load_rows<A: Arithmetic, const M: usize>(
    arithmetic: A,
    values: &[f32],
    stride: usize,
    columns: Range<usize>,
) -> Tile<A::Vector, M> {
    let mut tile = zeros(arithmetic);
    for m in 0..M {
        if columns.len() == WIDTH {
            let sixteen = &values[m * stride + columns.start..][..WIDTH];
            let (eights, _) = sixteen.as_chunks::<LANES>();
            tile[m] = [arithmetic.load(&eights[0]), arithmetic.load(&eights[1])];
        } else {
            tile[m] = load_line(arithmetic, &Line::load_part(&values[m * stride..][columns.clone()]));
        }
    }
    tile
}

/// Writes what [`load_rows`] reads.
#[inline(always)]
pub(super) fn store_rows<A: Arithmetic, const M: usize>(
    arithmetic: A,
    tile: &Tile<A::Vector, M>,
    values: &mut [f32],
    stride: usize,
    columns: Range<usize>,
) {
    for m in 0..M {
        if columns.len() == WIDTH {
            let sixteen = &mut values[m * stride + columns.start..][..WIDTH];
            let (eights, _) = sixteen.as_chunks_mut::<LANES>();
            arithmetic.store(tile[m][0], &mut eights[0]);
            arithmetic.store(tile[m][1], &mut eights[1]);
        } else {
            let mut line = Line::ZERO;
            store_line(arithmetic, tile[m], &mut line);
            line.store_part(&mut values[m * stride..][columns.clone()]);
        }
    }
}
