//! The line: sixteen columns side by side, the width of a tile.

/// Columns of a line.
pub(super) const WIDTH: usize = 16;

/// One row of a tile or panel. It is aligned to the cache line that it fills, so that no vector load crosses from one to
/// the next.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [f32; WIDTH]);

impl Line {
    pub(super) const ZERO: Self = Self([0.0; WIDTH]);

    /// Reads sixteen values.
    #[inline(always)]
    pub(super) fn load(values: &[f32]) -> Self {
        Self(*values.first_chunk().expect("sixteen values"))
    }

    /// Reads all `values`, less than sixteen; zeros follow them.
    #[inline(always)]
    pub(super) fn load_part(values: &[f32]) -> Self {
        let mut line = Self::ZERO;
        copy_part(values, &mut line.0[..values.len()]);
        line
    }
}

/// Copies less than sixteen values in pieces of eight, four, two and one, as the bits of their number say: a copy whose
/// len is known only when running is a call, which takes longer than the arithmetic of a short row.
#[inline(always)]
fn copy_part(from: &[f32], to: &mut [f32]) {
    let (from, to) = copy_piece::<8>(from, to);
    let (from, to) = copy_piece::<4>(from, to);
    let (from, to) = copy_piece::<2>(from, to);
    copy_piece::<1>(from, to);
}

/// Copies N values if there are as many, and returns what is left of both.
#[inline(always)]
fn copy_piece<'f, 't, const N: usize>(from: &'f [f32], to: &'t mut [f32]) -> (&'f [f32], &'t mut [f32]) {
    match from.split_first_chunk::<N>() {
        Some((piece, from)) => {
            let (room, to) = to.split_at_mut(N);
            room.copy_from_slice(piece);
            (from, to)
        }
        None => (from, to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_line_is_read_and_zeros_follow() {
        let values: Vec<f32> = (1..=16).map(|i| i as f32).collect();
        assert_eq!(Line::load(&values).0[..], values);
        for len in 0..WIDTH {
            let line = Line::load_part(&values[..len]);
            assert_eq!(line.0[..len], values[..len]);
            assert!(line.0[len..].iter().all(|value| *value == 0.0));
        }
    }
}
