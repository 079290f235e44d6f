//! Cutting rows into strips, each as high as a tile.

/// Rows of the next strip when `rows`, at least one, are left and a tile has at most `most`: as many, but the last three
/// strips are even. A multiply-add takes four cycles and two start in each, so that a tile of few registers leaves the
/// processor waiting; even strips, of more than one, are never that low.
pub(super) fn height(rows: usize, most: usize) -> usize {
    let strips = rows.div_ceil(most);
    if strips <= 3 { rows.div_ceil(strips) } else { most }
}

/// How many of the next strips are as high as the first.
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
