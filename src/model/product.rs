//! Products of any two matrices: what gradients are checked with in f64, and the kernels are measured beside.
//!
//! The crate `gemm`, with its own parallelism off: a rank is one thread. For a given row it does **not** give the
//! same bits when the number of rows in the call changes (odd row counts and thin matrices take other kernels), so
//! whoever needs the same bits must call it with the same shapes.
//!
//! `gemm` takes raw pointers, hence the unsafe block; `benches/kernels.rs` shows what it gains over the safe product
//! of ndarray on the shapes of a training step.
#![allow(unsafe_code)]

use ndarray::{ArrayView2, ArrayViewMut2};

use super::Real;

/// destination = left · right, for left (M, N), right (N, P), destination (M, P) in any strides.
///
/// # Panics
///
/// If the shapes do not fit.
///
/// # Cost
///
/// 2·M·N·P floating-point operations; allocates nothing once the thread has called it.
pub fn product<R: Real>(
    left: ArrayView2<'_, R>,
    right: ArrayView2<'_, R>,
    mut destination: ArrayViewMut2<'_, R>,
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
            R::ZERO,
            R::ONE,
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

/// The same by the definition, destination_{mp} = Σ_n left_{mn} right_{np}: the slow, true version that tests
/// compare with.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use phalanx::model::{product, product_by_definition};
///
/// let (left, right) = (array![[1.0, 2.0], [3.0, 4.0]], array![[1.0], [10.0]]);
/// let (mut fast, mut true_one) = (array![[0.0], [0.0]], array![[0.0], [0.0]]);
/// product(left.view(), right.view(), fast.view_mut());
/// product_by_definition(left.view(), right.view(), true_one.view_mut());
/// assert_eq!(fast, array![[21.0], [43.0]]);
/// assert_eq!(fast, true_one);
/// ```
pub fn product_by_definition<R: Real>(
    left: ArrayView2<'_, R>,
    right: ArrayView2<'_, R>,
    mut destination: ArrayViewMut2<'_, R>,
) {
    for ((m, p), value) in destination.indexed_iter_mut() {
        *value = left.row(m).iter().zip(right.column(p)).map(|(l, r)| *l * *r).sum();
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;

    fn matrix(rows: usize, columns: usize, salt: usize) -> Array2<f64> {
        Array2::from_shape_fn((rows, columns), |(r, c)| ((r * 31 + c * 17 + salt) % 23) as f64 - 11.0)
    }

    proptest! {
        /// Small integers multiply and add exactly, so that any order of additions must give the same.
        #[test]
        fn a_product_is_what_the_definition_says(m in 1_usize..20, n in 1_usize..40, p in 1_usize..20) {
            let (left, right) = (matrix(m, n, 1), matrix(p, n, 2));
            let (mut found, mut expected) = (Array2::from_elem((m, p), f64::NAN), Array2::zeros((m, p)));
            product(left.view(), right.t(), found.view_mut());
            product_by_definition(left.view(), right.t(), expected.view_mut());
            prop_assert_eq!(found, expected);
        }
    }
}
