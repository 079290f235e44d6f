//! Products of large matrices by the crate `gemm`, with its own parallelism off: the limit that training is compared with.
//!
//! `gemm` takes raw pointers, hence the unsafe block; `benches/kernels.rs` of the library shows what it gains over the safe product of
//! ndarray.
#![allow(unsafe_code)]

use ndarray::{ArrayView2, ArrayViewMut2};

/// destination = left · right, for left (M, N), right (N, P), destination (M, P) in any strides.
///
/// # Panics
///
/// If the shapes do not fit.
///
/// # Cost
///
/// 2·M·N·P floating-point operations; allocates nothing once the thread has called it.
pub(super) fn product(
    left: ArrayView2<'_, f32>,
    right: ArrayView2<'_, f32>,
    mut destination: ArrayViewMut2<'_, f32>,
) {
    let (m, n) = left.dim();
    let p = right.ncols();
    assert_eq!(right.nrows(), n, "left has {n} columns");
    assert_eq!(destination.dim(), (m, p), "left has {m} rows and right {p} columns");
    let ([d_row, d_column], [l_row, l_column], [r_row, r_column]) =
        (strides(destination.strides()), strides(left.strides()), strides(right.strides()));
    // SAFETY: each pointer, shape and pair of strides is that of one live ndarray view, checked above to fit;
    // the destination is borrowed mutably, so it overlaps neither operand.
    unsafe {
        gemm::gemm(
            m,
            p,
            n,
            destination.as_mut_ptr(),
            d_column,
            d_row,
            false,
            left.as_ptr(),
            l_column,
            l_row,
            right.as_ptr(),
            r_column,
            r_row,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

fn strides(strides: &[isize]) -> [isize; 2] {
    [strides[0], strides[1]]
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    /// Small integers multiply and add exactly, so that any order of additions must give the same.
    #[test]
    fn a_product_is_that_of_ndarray() {
        for (m, n, p) in [(1, 1, 1), (3, 40, 7), (19, 5, 20)] {
            let left = Array2::from_shape_fn((m, n), |(r, c)| ((r * 31 + c * 17 + 1) % 23) as f32 - 11.0);
            let right = Array2::from_shape_fn((p, n), |(r, c)| ((r * 31 + c * 17 + 2) % 23) as f32 - 11.0);
            let mut found = Array2::from_elem((m, p), f32::NAN);
            product(left.view(), right.t(), found.view_mut());
            assert_eq!(found, left.dot(&right.t()));
        }
    }
}
