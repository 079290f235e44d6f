//! AVX-512, of which the kernels need the foundation alone.
//!
//! `unsafe` for calling what is built for AVX-512, and for vector loads and stores. `benches/kernels.rs` shows what it
//! gains: on a Zen 4, which does as many operations a cycle with AVX2, up to 5 % at 128 outputs or more, because the larger
//! tile that twice the registers hold reads its operands half as often, and up to a fourth at 64.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::arithmetic::{Arithmetic, Job};
use super::avx2::Avx2;
use super::lines::{Line, WIDTH};

/// The proof that this processor has AVX-512: only [`detect`](Avx512::detect) makes one.
#[derive(Clone, Copy)]
pub(super) struct Avx512 {
    /// Every such processor has this too; its transpositions serve here.
    avx2: Avx2,
}

impl Avx512 {
    /// Asks the processor; the standard library keeps the answer.
    pub(super) fn detect() -> Option<Self> {
        let avx2 = Avx2::detect()?;
        is_x86_feature_detected!("avx512f").then_some(Self { avx2 })
    }
}

/// A tile of 12 × 32 takes 24 of 32 registers, and leaves room for two lines of the right operand and values of the left.
impl Arithmetic for Avx512 {
    type Vector = __m512;

    const HEIGHT: usize = 12;
    const BREADTH: usize = 2;

    #[inline(never)]
    fn run(self, job: impl Job) {
        // SAFETY: `self` proves that the processor has AVX-512, AVX2 and FMA.
        unsafe { built_for_avx512(job, self) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: `self` proves that the processor has AVX-512.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, values: &[f32; WIDTH]) -> __m512 {
        // SAFETY: `self` proves that the processor has AVX-512, and there are sixteen values.
        unsafe { _mm512_loadu_ps(values.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, vector: __m512, values: &mut [f32; WIDTH]) {
        // SAFETY: `self` proves that the processor has AVX-512, and there is room for sixteen values.
        unsafe { _mm512_storeu_ps(values.as_mut_ptr(), vector) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves that the processor has AVX-512.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn multiply_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: `self` proves that the processor has AVX-512.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn relu(self, a: __m512) -> __m512 {
        // SAFETY: `self` proves that the processor has AVX-512. Of two zeros, and where one is NaN, the instruction
        // returns the second operand, here `a`.
        unsafe { _mm512_max_ps(_mm512_setzero_ps(), a) }
    }

    #[inline(always)]
    fn transpose(self, rows: &[f32], stride: usize, lines: &mut [Line], column: usize) {
        self.avx2.transpose(rows, stride, lines, column);
    }

    #[inline(always)]
    fn transpose_back(self, lines: &[Line], column: usize, rows: &mut [f32], stride: usize) {
        self.avx2.transpose_back(lines, column, rows, stride);
    }
}

#[target_feature(enable = "avx512f,avx2,fma")]
fn built_for_avx512(job: impl Job, avx512: Avx512) {
    job.run(avx512);
}

#[cfg(test)]
mod tests {
    use super::super::gradient::{Gradient, backward_weight};
    use super::super::rows::{RowProduct, Weight};
    use super::super::{Epilogue, Panels, Scratch, ShardRows};
    use super::*;

    const ROWS: usize = 45;
    const INS: usize = 600;
    const OUTS: usize = 70;

    fn thirds(len: usize) -> Vec<f32> {
        (0..len).map(|i| (i % 101) as f32 / 3.0 - 16.0).collect()
    }

    fn product(arithmetic: impl Arithmetic, weight: Weight<'_>, shape: (usize, usize)) -> Vec<f32> {
        let mut outputs = vec![0.0; ROWS * shape.1];
        arithmetic.run(RowProduct {
            inputs: &thirds(ROWS * shape.0),
            weight,
            shape,
            bias: Some(&thirds(shape.1)),
            epilogue: Epilogue::Relu,
            outputs: &mut outputs,
            scratch: &mut Scratch::default(),
        });
        outputs
    }

    #[test]
    fn avx_512_gives_the_bits_of_avx2() {
        let Some(avx512) = Avx512::detect() else { return };
        let values = thirds(INS * OUTS);
        for (weight, shape) in [(Weight::Rows(&values), (INS, OUTS)), (Weight::Columns(&values), (OUTS, INS))]
        {
            assert_eq!(product(avx512, weight, shape), product(avx512.avx2, weight, shape));
        }
        let (d_outputs, inputs, ends) = (thirds(ROWS * OUTS), thirds(ROWS * INS), [8, 16, 17, 30, 45]);
        let (mut found, mut expected) = (vec![0.0; OUTS * INS], vec![0.0; OUTS * INS]);
        let (mut scratch, mut packed) = (Scratch::default(), Panels::default());
        packed.pack(&inputs, (ROWS, INS));
        avx512.avx2.run(Gradient {
            parts: std::iter::once(ShardRows { d_outputs: &d_outputs, inputs: &packed, ends: &ends }),
            shape: (OUTS, INS),
            rows: 0..OUTS,
            columns: 0..INS,
            scratch: &mut scratch,
            sink: &mut |range, values| expected[range].copy_from_slice(values),
        });
        backward_weight(&d_outputs, &inputs, &ends, &mut found, &mut scratch);
        assert_eq!(found, expected);
    }
}
