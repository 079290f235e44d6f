//! The tile: some rows of one line, or of two side by side, that registers hold while products are added to them.
//!
//! Loops over `0..M`, not iterators and closures over arrays: what the compiler does not inline into a
//! [`Job`](super::arithmetic::Job) is compiled for the oldest machine, and a tile that is passed to it by address leaves
//! the registers.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use super::arithmetic::Arithmetic;
use super::lines::{Line, WIDTH};

/// M rows of N lines.
pub(super) type Tile<V, const M: usize, const N: usize> = [[V; N]; M];

/// A tile of zeros.
#[inline(always)]
pub(super) fn zeros<A: Arithmetic, const M: usize, const N: usize>(arithmetic: A) -> Tile<A::Vector, M, N> {
    [[arithmetic.splat(0.0); N]; M]
}

/// Returns tile + Σ_k left_k ⊗ right_k, added in order of k. Row m of the left operand is `left[m]`, and line n of the right
/// one is in `right[n]`, all equally long.
#[inline(always)]
pub(super) fn add_products_of_rows<A: Arithmetic, const M: usize, const N: usize>(
    arithmetic: A,
    mut left: [&[f32]; M],
    right: [&[Line]; N],
    mut tile: Tile<A::Vector, M, N>,
) -> Tile<A::Vector, M, N> {
    let depth = right[0].len();
    let right = of_depth(right, depth);
    for row in &mut left {
        *row = &row[..depth];
    }
    for k in 0..depth {
        let lines = load_lines(arithmetic, right, k);
        for m in 0..M {
            tile[m] = add_product(arithmetic, left[m][k], lines, tile[m]);
        }
    }
    tile
}

/// The same with the left operand packed: `left[k]` is a value of each row.
#[inline(always)]
pub(super) fn add_products<A: Arithmetic, const M: usize, const N: usize>(
    arithmetic: A,
    left: &[[f32; M]],
    right: [&[Line]; N],
    mut tile: Tile<A::Vector, M, N>,
) -> Tile<A::Vector, M, N> {
    let right = of_depth(right, left.len());
    for (k, left) in left.iter().enumerate() {
        let lines = load_lines(arithmetic, right, k);
        for m in 0..M {
            tile[m] = add_product(arithmetic, left[m], lines, tile[m]);
        }
    }
    tile
}

#[inline(always)]
fn of_depth<const N: usize>(mut right: [&[Line]; N], depth: usize) -> [&[Line]; N] {
    for n in 0..N {
        right[n] = &right[n][..depth];
    }
    right
}

#[inline(always)]
fn load_lines<A: Arithmetic, const N: usize>(arithmetic: A, right: [&[Line]; N], k: usize) -> [A::Vector; N] {
    let mut lines = [arithmetic.splat(0.0); N];
    for n in 0..N {
        lines[n] = arithmetic.load(&right[n][k].0);
    }
    lines
}

#[inline(always)]
fn add_product<A: Arithmetic, const N: usize>(
    arithmetic: A,
    left: f32,
    right: [A::Vector; N],
    mut row: [A::Vector; N],
) -> [A::Vector; N] {
    let left = arithmetic.splat(left);
    for n in 0..N {
        row[n] = arithmetic.multiply_add(left, right[n], row[n]);
    }
    row
}

/// Returns left + right, element by element, with N lines of `left` for each row.
#[inline(always)]
pub(super) fn add<A: Arithmetic, const M: usize, const N: usize>(
    arithmetic: A,
    left: &[Line],
    mut right: Tile<A::Vector, M, N>,
) -> Tile<A::Vector, M, N> {
    let left = &left[..M * N];
    for m in 0..M {
        for n in 0..N {
            right[m][n] = arithmetic.add(arithmetic.load(&left[m * N + n].0), right[m][n]);
        }
    }
    right
}

/// Writes a tile as lines, N for each row.
#[inline(always)]
pub(super) fn store<A: Arithmetic, const M: usize, const N: usize>(
    arithmetic: A,
    tile: &Tile<A::Vector, M, N>,
    lines: &mut [Line],
) {
    let lines = &mut lines[..M * N];
    for m in 0..M {
        for n in 0..N {
            arithmetic.store(tile[m][n], &mut lines[m * N + n].0);
        }
    }
}

/// Reads `values[columns]`, at most sixteen; zeros follow them.
#[inline(always)]
pub(super) fn load_part<A: Arithmetic>(arithmetic: A, values: &[f32], columns: Range<usize>) -> A::Vector {
    let values = &values[columns];
    match values.first_chunk::<WIDTH>() {
        Some(sixteen) => arithmetic.load(sixteen),
        None => arithmetic.load(&Line::load_part(values).0),
    }
}
