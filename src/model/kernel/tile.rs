//! A tile: some rows of one line, or of two adjacent lines, that are held in registers while
//! products are added; and strips, each as high as a tile, into which rows are cut.
//!
//! Uses loops over `0..M`, not iterators and closures over arrays: code that the compiler does not
//! inline into a [`Kernel`](crate::simd::Kernel) is compiled for the baseline instruction set, and
//! a tile passed to it by address no longer stays in registers.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use crate::simd::{Arithmetic, PanelLine, WIDTH};

/// M rows of N lines.
pub(super) type Tile<V, const M: usize, const N: usize> = [[V; N]; M];

/// Returns a tile of zeros.
#[inline(always)]
pub(super) fn zeros<A: Arithmetic, const M: usize, const N: usize>(arithmetic: A) -> Tile<A::Vector, M, N> {
    [[arithmetic.splat(0.0); N]; M]
}

/// Returns tile + Σ_k left_k ⊗ right_k, added in order of k. Row m of the left operand is
/// `left[m]`, and line n of the right operand is in `right[n]`; all have the same length.
#[inline(always)]
pub(super) fn add_products_of_rows<A: Arithmetic, const M: usize, const N: usize>(
    arithmetic: A,
    mut left: [&[f32]; M],
    right: [&[PanelLine]; N],
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

/// Like [`add_products_of_rows`], with the left operand packed: `left[k]` contains one value per
/// row.
#[inline(always)]
pub(super) fn add_products<A: Arithmetic, const M: usize, const N: usize>(
    arithmetic: A,
    left: &[[f32; M]],
    right: [&[PanelLine]; N],
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
fn of_depth<const N: usize>(mut right: [&[PanelLine]; N], depth: usize) -> [&[PanelLine]; N] {
    for n in 0..N {
        right[n] = &right[n][..depth];
    }
    right
}

#[inline(always)]
fn load_lines<A: Arithmetic, const N: usize>(
    arithmetic: A,
    right: [&[PanelLine]; N],
    k: usize,
) -> [A::Vector; N] {
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

/// Returns left + right, elementwise; `left` has N lines per row.
#[inline(always)]
pub(super) fn add<A: Arithmetic, const M: usize, const N: usize>(
    arithmetic: A,
    left: &[PanelLine],
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

/// Writes a tile as lines, N per row.
#[inline(always)]
pub(super) fn store<A: Arithmetic, const M: usize, const N: usize>(
    arithmetic: A,
    tile: &Tile<A::Vector, M, N>,
    lines: &mut [PanelLine],
) {
    let lines = &mut lines[..M * N];
    for m in 0..M {
        for n in 0..N {
            arithmetic.store(tile[m][n], &mut lines[m * N + n].0);
        }
    }
}

/// Reads `values[columns]`, at most sixteen, padded with zeros.
#[inline(always)]
pub(super) fn load_part<A: Arithmetic>(arithmetic: A, values: &[f32], columns: Range<usize>) -> A::Vector {
    let values = &values[columns];
    match values.first_chunk::<WIDTH>() {
        Some(sixteen) => arithmetic.load(sixteen),
        None => arithmetic.load(&PanelLine::load_part(values).0),
    }
}

/// Returns the number of rows of the next strip when `rows`, at least one, are left and a tile has
/// at most `most`: it is `most`, except that the last three strips have similar heights. A
/// multiply-add takes four cycles and two start per cycle, so that the processor is idle part of
/// the time on a tile of few registers; if there are several strips of similar height, none is that
/// low.
pub(super) fn height(rows: usize, most: usize) -> usize {
    let strips = rows.div_ceil(most);
    if strips <= 3 { rows.div_ceil(strips) } else { most }
}

/// Returns the number of following strips with the same height as the first.
pub(super) fn strips_of_one_height(rows: usize, most: usize) -> usize {
    let first = height(rows, most);
    let mut left = rows;
    while left > 0 && height(left, most) == first {
        left -= first;
    }
    (rows - left) / first
}

/// Calls `$function::<A, M>(...)` with M = `$height`, 1 to 12: the compiler must know the number of
/// registers. Heights above the `A::HEIGHT` of an arithmetic do not occur, and are not compiled for
/// it.
macro_rules! with_height {
    ($arithmetic:ident, $height:expr, $($function:ident).+ ($($argument:expr),* $(,)?)) => {
        match $height {
            12 if $arithmetic::HEIGHT >= 12 => $($function).+::<$arithmetic, 12>($($argument),*),
            11 if $arithmetic::HEIGHT >= 11 => $($function).+::<$arithmetic, 11>($($argument),*),
            10 if $arithmetic::HEIGHT >= 10 => $($function).+::<$arithmetic, 10>($($argument),*),
            9 if $arithmetic::HEIGHT >= 9 => $($function).+::<$arithmetic, 9>($($argument),*),
            8 if $arithmetic::HEIGHT >= 8 => $($function).+::<$arithmetic, 8>($($argument),*),
            7 if $arithmetic::HEIGHT >= 7 => $($function).+::<$arithmetic, 7>($($argument),*),
            6 if $arithmetic::HEIGHT >= 6 => $($function).+::<$arithmetic, 6>($($argument),*),
            5 if $arithmetic::HEIGHT >= 5 => $($function).+::<$arithmetic, 5>($($argument),*),
            4 if $arithmetic::HEIGHT >= 4 => $($function).+::<$arithmetic, 4>($($argument),*),
            3 if $arithmetic::HEIGHT >= 3 => $($function).+::<$arithmetic, 3>($($argument),*),
            2 => $($function).+::<$arithmetic, 2>($($argument),*),
            1 => $($function).+::<$arithmetic, 1>($($argument),*),
            height => unreachable!("a strip of {height} rows"),
        }
    };
}
pub(super) use with_height;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_cover_all_rows_and_are_low_only_for_few_rows() {
        for most in [2, 6, 12] {
            for rows in 1..200 {
                let mut heights = Vec::new();
                while heights.iter().sum::<usize>() < rows {
                    heights.push(height(rows - heights.iter().sum::<usize>(), most));
                }
                assert_eq!(heights.iter().sum::<usize>(), rows);
                assert!(heights.iter().all(|height| *height <= most));
                assert!(
                    rows <= most || heights.iter().all(|height| *height >= most / 2),
                    "{rows}: {heights:?}"
                );
                let first = heights.iter().take_while(|height| **height == heights[0]).count();
                assert_eq!(strips_of_one_height(rows, most), first);
            }
        }
    }
}
