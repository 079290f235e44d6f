//! The segments of a flat vector, one for each rank.

use std::ops::Range;

/// Returns the elements that `rank` owns of a vector of `len`: contiguous, in rank order, sizes differing by at most
/// one, the larger first.
///
/// With `q = len / world_size` and `m = len % world_size`, rank `r` owns `r·q + min(r, m) .. (r+1)·q + min(r+1, m)`.
/// Cuts are not rounded to cache lines: a vector's memory rarely starts on one, and a line shared at each cut is below
/// what can be measured.
///
/// # Panics
/// If `rank` is not below `world_size`.
///
/// # Examples
/// ```
/// use phalanx_collective::segment;
/// let segments: Vec<_> = (0..3).map(|rank| segment(8, 3, rank)).collect();
/// assert_eq!(segments, [0..3, 3..6, 6..8]);
/// ```
pub fn segment(len: usize, world_size: usize, rank: usize) -> Range<usize> {
    assert!(
        rank < world_size,
        "segment of rank {rank}, but the ranks are fewer than or equal to it: {world_size}"
    );
    let (quotient, rest) = (len / world_size, len % world_size);
    let cut = |rank: usize| rank * quotient + rank.min(rest);
    cut(rank)..cut(rank + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_contiguous_cover_all_and_never_grow_with_the_rank() {
        for world_size in 1..20 {
            for len in 0..100 {
                let segments: Vec<_> = (0..world_size).map(|rank| segment(len, world_size, rank)).collect();
                assert_eq!(segments[0].start, 0);
                assert_eq!(segments[world_size - 1].end, len);
                assert!(segments.windows(2).all(|pair| pair[0].end == pair[1].start));
                assert!(segments.windows(2).all(|pair| pair[0].len() - pair[1].len() <= 1));
                assert!(segments[0].len() - segments[world_size - 1].len() <= 1);
            }
        }
    }
}
