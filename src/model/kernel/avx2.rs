//! AVX2 with fused multiply-add, which is what x86-64-v3 means to the kernels.
//!
//! `unsafe` for calling what is built for AVX2, and for vector loads and stores. `benches/kernels.rs` shows what it
//! gains: without AVX2 the products take four times as long; with a transposition by plain loops, which the compiler
//! leaves scalar, a product of 64 rows takes a tenth longer.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::arithmetic::{Arithmetic, EIGHT, Job, transpose_back_by_definition, transpose_by_definition};
use super::lines::{Line, WIDTH};

/// The proof that this processor has AVX2 and FMA: only [`detect`](Avx2::detect) makes one.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

impl Avx2 {
    /// Asks the processor; the standard library keeps the answer.
    pub(super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        found.then_some(Self(()))
    }
}

/// A tile of 6 × 16 takes twelve of sixteen registers, and leaves three for a line of the right operand and a value of the
/// left one.
impl Arithmetic for Avx2 {
    type Vector = [__m256; 2];

    const HEIGHT: usize = 6;
    const BREADTH: usize = 1;

    #[inline(never)]
    fn run(self, job: impl Job) {
        // SAFETY: `self` proves that the processor has AVX2 and FMA.
        unsafe { built_for_avx2(job, self) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> [__m256; 2] {
        // SAFETY: `self` proves that the processor has AVX2.
        let eight = unsafe { _mm256_set1_ps(value) };
        [eight; 2]
    }

    #[inline(always)]
    fn load(self, values: &[f32; WIDTH]) -> [__m256; 2] {
        // SAFETY: `self` proves that the processor has AVX2, and there are sixteen values.
        unsafe { [_mm256_loadu_ps(values.as_ptr()), _mm256_loadu_ps(values[EIGHT..].as_ptr())] }
    }

    #[inline(always)]
    fn store(self, [low, high]: [__m256; 2], values: &mut [f32; WIDTH]) {
        // SAFETY: `self` proves that the processor has AVX2, and there is room for sixteen values.
        unsafe {
            _mm256_storeu_ps(values.as_mut_ptr(), low);
            _mm256_storeu_ps(values[EIGHT..].as_mut_ptr(), high);
        }
    }

    #[inline(always)]
    fn add(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: `self` proves that the processor has AVX2.
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn multiply_add(self, a: [__m256; 2], b: [__m256; 2], c: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: `self` proves that the processor has FMA.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    fn relu(self, a: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: `self` proves that the processor has AVX2. Of two zeros, and where one is NaN, the instruction returns
        // the second operand, here `a`.
        a.map(|a| unsafe { _mm256_max_ps(_mm256_setzero_ps(), a) })
    }

    #[inline(always)]
    fn transpose(self, rows: &[f32], stride: usize, lines: &mut [Line], column: usize) {
        let (eights, rest) = lines.as_chunks_mut::<EIGHT>();
        let done = EIGHT * eights.len();
        assert!(rows.len() >= 7 * stride + done, "eight rows of as many values as lines");
        assert!(column + EIGHT <= WIDTH, "eight columns of a line");
        for (k, lines) in eights.iter_mut().enumerate() {
            let to = lines.as_mut_ptr().cast::<f32>();
            // SAFETY: `self` proves that the processor has AVX2; of 8 rows, `stride` apart, the values 8k to 8k + 7
            // are read, and the assertion shows that even those of the last row lie in `rows`; eight values of each of
            // eight lines are written, from a column that leaves room for them.
            unsafe { transpose_8x8((rows.as_ptr().add(EIGHT * k), stride), (to.add(column), WIDTH)) };
        }
        transpose_by_definition(&rows[done..], stride, rest, column);
    }

    #[inline(always)]
    fn transpose_back(self, lines: &[Line], column: usize, rows: &mut [f32], stride: usize) {
        let (eights, rest) = lines.as_chunks::<EIGHT>();
        let done = EIGHT * eights.len();
        assert!(rows.len() >= 7 * stride + done, "eight rows of as many values as lines");
        assert!(column + EIGHT <= WIDTH, "eight columns of a line");
        for (k, lines) in eights.iter().enumerate() {
            let from = lines.as_ptr().cast::<f32>();
            // SAFETY: as in `transpose`, with reading and writing exchanged.
            unsafe { transpose_8x8((from.add(column), WIDTH), (rows.as_mut_ptr().add(EIGHT * k), stride)) };
        }
        transpose_back_by_definition(rest, column, &mut rows[done..], stride);
    }
}

#[target_feature(enable = "avx2,fma")]
fn built_for_avx2(job: impl Job, avx2: Avx2) {
    job.run(avx2);
}

/// Writes `to[k · to_stride + r] = from[r · from_stride + k]` for k, r < 8.
///
/// # Safety
///
/// Eight rows of `from` and of `to`, each a stride apart, have eight values each.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn transpose_8x8((from, from_stride): (*const f32, usize), (to, to_stride): (*mut f32, usize)) {
    for quarter in [0, 4] {
        // Four values of row r in the lower half, of row r + 4 in the upper one.
        let load = |r: usize| {
            // SAFETY: the caller vouches for eight values in each of eight rows, and these are 4 of them.
            let low = unsafe { _mm_loadu_ps(from.add(r * from_stride + quarter)) };
            // SAFETY: as above.
            let high = unsafe { _mm_loadu_ps(from.add((r + 4) * from_stride + quarter)) };
            _mm256_insertf128_ps(_mm256_castps128_ps256(low), high, 1)
        };
        let [a, b, c, d] = [load(0), load(1), load(2), load(3)];
        let (ab_01, ab_23) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        let (cd_01, cd_23) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
        let columns = [
            _mm256_shuffle_ps(ab_01, cd_01, 0x44),
            _mm256_shuffle_ps(ab_01, cd_01, 0xee),
            _mm256_shuffle_ps(ab_23, cd_23, 0x44),
            _mm256_shuffle_ps(ab_23, cd_23, 0xee),
        ];
        for (k, values) in columns.into_iter().enumerate() {
            // SAFETY: row `quarter` + k of eight has room for eight values.
            unsafe { _mm256_storeu_ps(to.add((quarter + k) * to_stride), values) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposition_by_vectors_is_the_one_by_definition_and_so_is_the_way_back() {
        let Some(avx2) = Avx2::detect() else { return };
        for (len, stride) in [(1, 1), (7, 9), (8, 8), (16, 21), (21, 21), (40, 64)] {
            let rows: Vec<f32> = (0..7 * stride + len).map(|i| i as f32).collect();
            for column in [0, 8] {
                let (mut found, mut expected) = (vec![Line::ZERO; len], vec![Line::ZERO; len]);
                avx2.transpose(&rows, stride, &mut found, column);
                transpose_by_definition(&rows, stride, &mut expected, column);
                assert!(found.iter().zip(&expected).all(|(found, expected)| found.0 == expected.0));

                let (mut found, mut expected) = (vec![-1.0; rows.len()], vec![-1.0; rows.len()]);
                avx2.transpose_back(&expected_lines(len), column, &mut found, stride);
                transpose_back_by_definition(&expected_lines(len), column, &mut expected, stride);
                assert_eq!(found, expected);
            }
        }
    }

    fn expected_lines(len: usize) -> Vec<Line> {
        (0..len).map(|k| Line(std::array::from_fn(|c| (100 * k + c) as f32))).collect()
    }
}
