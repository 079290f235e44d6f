//! Cutting rows into strips, each as high as a tile.

/// Most rows of a strip. Six rows of sixteen columns take twelve registers of AVX2's sixteen, and leave three for a line
/// of the right operand and a value of the left one.
pub(super) const HEIGHT: usize = 6;

/// Rows of the next strip when `rows`, at least one, are left: six, but no strip has less than four if that can be
/// helped. A multiply-add takes four cycles and two start in each, so that less than eight registers, four rows, leave
/// the processor waiting.
pub(super) fn height(rows: usize) -> usize {
    match rows {
        7..=9 => rows.div_ceil(2),
        13 => 5,
        _ => rows.min(HEIGHT),
    }
}

/// Calls `$function::<M>(...)`, M being `$height`, 1 to 6: the compiler must know how many registers there are.
macro_rules! with_height {
    ($height:expr, $($function:ident).+ :: <M> ($($argument:expr),* $(,)?)) => {
        match $height {
            6 => $($function).+::<6>($($argument),*),
            5 => $($function).+::<5>($($argument),*),
            4 => $($function).+::<4>($($argument),*),
            3 => $($function).+::<3>($($argument),*),
            2 => $($function).+::<2>($($argument),*),
            1 => $($function).+::<1>($($argument),*),
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
        for rows in 1..200 {
            let mut heights = Vec::new();
            while heights.iter().sum::<usize>() < rows {
                heights.push(height(rows - heights.iter().sum::<usize>()));
            }
            assert_eq!(heights.iter().sum::<usize>(), rows);
            assert!(heights.iter().all(|height| *height <= HEIGHT));
            assert!(rows < 8 || heights.iter().all(|height| *height >= 4), "{rows}: {heights:?}");
        }
    }
}
