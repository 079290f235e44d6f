//! AVX2 with fused multiply-add, which is what x86-64-v3 means to the kernels.
//!
//! `unsafe` for calling what is built for AVX2, and for vector loads and stores. `benches/kernels.rs` shows what it
//! gains: without AVX2 the products take four times as long; with a transposition by plain loops, which the compiler
//! leaves scalar, a product of 64 rows takes a tenth longer.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::arithmetic::{Arithmetic, Job, LANES, transpose_by_definition};
use super::lines::Line;

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

impl Arithmetic for Avx2 {
    type Vector = __m256;

    #[inline(never)]
    fn run(self, job: impl Job) {
        // SAFETY: `self` proves that the processor has AVX2 and FMA.
        unsafe { built_for_avx2(job, self) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        // SAFETY: `self` proves that the processor has AVX2.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, values: &[f32; LANES]) -> __m256 {
        // SAFETY: `self` proves that the processor has AVX2, and there are eight values.
        unsafe { _mm256_loadu_ps(values.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, vector: __m256, values: &mut [f32; LANES]) {
        // SAFETY: `self` proves that the processor has AVX2, and there is room for eight values.
        unsafe { _mm256_storeu_ps(values.as_mut_ptr(), vector) }
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves that the processor has AVX2.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn multiply_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: `self` proves that the processor has FMA.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn relu(self, a: __m256) -> __m256 {
        // SAFETY: `self` proves that the processor has AVX2. Of two zeros, and where one is NaN, the instruction returns
        // the second operand, here `a`.
        unsafe { _mm256_max_ps(_mm256_setzero_ps(), a) }
    }

    #[inline(always)]
    fn transpose(self, rows: &[f32], stride: usize, lines: &mut [Line], column: usize) {
        let (eights, rest) = lines.as_chunks_mut::<LANES>();
        let done = LANES * eights.len();
        assert!(rows.len() >= 7 * stride + done, "eight rows of as many values as lines");
        for (k, lines) in eights.iter_mut().enumerate() {
            // SAFETY: `self` proves that the processor has AVX2; of 8 rows, `stride` apart, the values 8k to 8k + 7
            // are read, and the assertion shows that even those of the last row lie in `rows`.
            unsafe { transpose_8x8(rows.as_ptr().add(LANES * k), stride, lines, column) };
        }
        transpose_by_definition(&rows[done..], stride, rest, column);
    }
}

#[target_feature(enable = "avx2,fma")]
fn built_for_avx2(job: impl Job, avx2: Avx2) {
    job.run(avx2);
}

/// Writes `lines[k][column + r] = rows[r · stride + k]` for k, r < 8.
///
/// # Safety
///
/// Eight rows, `stride` apart, have eight values each.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn transpose_8x8(rows: *const f32, stride: usize, lines: &mut [Line; LANES], column: usize) {
    for quarter in [0, 4] {
        // Four values of row r in the lower half, of row r + 4 in the upper one.
        let load = |r: usize| {
            // SAFETY: the caller vouches for eight values in each of eight rows, and these are 4 of them.
            let low = unsafe { _mm_loadu_ps(rows.add(r * stride + quarter)) };
            // SAFETY: as above.
            let high = unsafe { _mm_loadu_ps(rows.add((r + 4) * stride + quarter)) };
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
        for (line, values) in lines[quarter..quarter + 4].iter_mut().zip(columns) {
            let eight = &mut line.0[column..column + LANES];
            // SAFETY: `eight` is 8 values long.
            unsafe { _mm256_storeu_ps(eight.as_mut_ptr(), values) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposition_by_vectors_is_the_one_by_definition() {
        let Some(avx2) = Avx2::detect() else { return };
        for (len, stride) in [(1, 1), (7, 9), (8, 8), (16, 21), (21, 21), (40, 64)] {
            let rows: Vec<f32> = (0..7 * stride + len).map(|i| i as f32).collect();
            for column in [0, 8] {
                let (mut found, mut expected) = (vec![Line::ZERO; len], vec![Line::ZERO; len]);
                avx2.transpose(&rows, stride, &mut found, column);
                transpose_by_definition(&rows, stride, &mut expected, column);
                assert!(found.iter().zip(&expected).all(|(found, expected)| found.0 == expected.0));
            }
        }
    }
}
