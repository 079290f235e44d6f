//! The tile: some rows of one line, or of two side by side, that registers hold while products are added to them; and the strips, each
//! as high as a tile, that rows are cut into.
//!
//! Loops over `0..M`, not iterators and closures over arrays: what the compiler does not inline into a
//! [`Kernel`](crate::simd::Kernel) is compiled for the oldest machine, and a tile that is passed to it by address leaves
//! the registers.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use crate::simd::{Arithmetic, PanelLine, WIDTH};

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

/// The same with the left operand packed: `left[k]` is a value of each row.
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

/// Returns left + right, element by element, with N lines of `left` for each row.
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

/// Writes a tile as lines, N for each row.
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

/// Reads `values[columns]`, at most sixteen; zeros follow them.
#[inline(always)]
pub(super) fn load_part<A: Arithmetic>(arithmetic: A, values: &[f32], columns: Range<usize>) -> A::Vector {
    let values = &values[columns];
    match values.first_chunk::<WIDTH>() {
        Some(sixteen) => arithmetic.load(sixteen),
        None => arithmetic.load(&PanelLine::load_part(values).0),
    }
}

/// Rows of the next strip when `rows`, at least one, are left and a tile has at most `most`: as many, but the last three
/// strips are even. A multiply-add takes four cycles and two start in each, so that a tile of few registers leaves the
/// processor waiting; even strips, of more than one, are never that low.
pub(super) fn height(rows: usize, most: usize) -> usize {
    let strips = rows.div_ceil(most);
    if strips <= 3 { rows.div_ceil(strips) } else { most }
}

/// Returns the number of next strips that are as high as the first.
pub(super) fn strips_of_one_height(rows: usize, most: usize) -> usize {
    let first = height(rows, most);
    let mut left = rows;
    while left > 0 && height(left, most) == first {
        left -= first;
    }
    (rows - left) / first
}

/// Calls `$function::<A, M>(...)`, M being `$height`, 1 to 12: the compiler must know how many registers there are. Heights
/// above the `A::HEIGHT` of an arithmetic do not occur, and are not compiled for it.
macro_rules! with_height {
    ($arithmetic:ident, $height:expr, $($function:ident).+ ($($argument:expr),* $(,)?)) => {
        match $height {
            12 if $arithmetic::HEIGHT >= 12 => $($function).+::<$arithmetic, 12>($($argument),*),
            11 if $arithmetic::HEIGHT >= 11 => $($function).+::<$arithmetic, 11>($($argument),*),
            10 if $arithmetic::HEIGHT >= 10 => $($function).+::<$arithmetic, 10>($($argument),*),
            9 if $arithmetic::HEIGHT >= 9 => $($function).+::<$arithmetic, 9>($($argument),*),
            8 if $arithmetic::HEIGHT >= 8 => $($function).+::<$arithmetic, 8>($($argument),*),
            7 if $arithmetic::HEIGHT >= 7 => $($function).+::<$arithmetic, 7>($($argument),*),
            6 => $($function).+::<$arithmetic, 6>($($argument),*),
            5 => $($function).+::<$arithmetic, 5>($($argument),*),
            4 => $($function).+::<$arithmetic, 4>($($argument),*),
            3 => $($function).+::<$arithmetic, 3>($($argument),*),
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
    fn strips_cover_all_rows_and_are_low_only_where_rows_are_few() {
        for most in [6, 12] {
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
