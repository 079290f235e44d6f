//! Which arithmetic the machine has, chosen while running.
//!
//! A kernel is written once, as a [`Job`] over any [`Arithmetic`], of functions that are inlined into it, and compiled for
//! each instruction set. Its vectors are values of a type, not loops that the compiler may turn into vectors: whether it
//! does changed with the build profile, and with it the speed fourfold.

use super::lines::{Line, WIDTH};

/// The operations of the products on the sixteen values of a line, the one rearrangement that they need, and the tile that
/// makes best use of the registers.
///
/// A value of the type proves that this machine has it.
pub(super) trait Arithmetic: Copy {
    /// Sixteen values, in as many registers as they take.
    type Vector: Copy;

    /// Most rows of a tile.
    const HEIGHT: usize;

    /// Most lines side by side in a tile: 1 or 2.
    const BREADTH: usize;

    /// Runs `job` as a function of its own, compiled for this arithmetic.
    fn run(self, job: impl Job);

    /// Sixteen times the same.
    fn splat(self, value: f32) -> Self::Vector;

    /// Reads sixteen values.
    fn load(self, values: &[f32; WIDTH]) -> Self::Vector;

    /// Writes sixteen values.
    fn store(self, vector: Self::Vector, values: &mut [f32; WIDTH]);

    /// a + b.
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// a·b + c, rounded once or twice.
    fn multiply_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    /// max(a, 0); NaN stays NaN, and −0 stays −0.
    fn relu(self, a: Self::Vector) -> Self::Vector;

    /// Writes eight rows, `stride` apart, as eight columns of the lines: `lines[k][column + r] = rows[r · stride + k]`.
    #[inline(always)]
    fn transpose(self, rows: &[f32], stride: usize, lines: &mut [Line], column: usize) {
        transpose_by_definition(rows, stride, lines, column);
    }

    /// The way back: `rows[r · stride + k] = lines[k][column + r]`.
    #[inline(always)]
    fn transpose_back(self, lines: &[Line], column: usize, rows: &mut [f32], stride: usize) {
        transpose_back_by_definition(lines, column, rows, stride);
    }
}

/// Rows that a transposition takes at a time.
pub(super) const EIGHT: usize = 8;

/// Work that is compiled for each instruction set.
pub(super) trait Job {
    /// Does the work. This function and all that it calls in inner loops must be `#[inline(always)]`: what is not
    /// inlined is compiled for the oldest machine.
    fn run(self, arithmetic: impl Arithmetic);
}

/// Runs `job` with the best arithmetic of this machine, the same in every call.
#[cfg(target_arch = "x86_64")]
pub(super) fn run(job: impl Job) {
    use super::{avx2::Avx2, avx512::Avx512};
    if let Some(avx512) = Avx512::detect() {
        avx512.run(job);
    } else if let Some(avx2) = Avx2::detect() {
        avx2.run(job);
    } else {
        Separate.run(job);
    }
}

/// Runs `job` with the arithmetic of this machine, which is known when compiling.
#[cfg(target_arch = "aarch64")]
pub(super) fn run(job: impl Job) {
    Fused.run(job);
}

/// Runs `job` with the arithmetic that every machine has.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn run(job: impl Job) {
    Separate.run(job);
}

/// Rounds the product and then the sum: for machines without a fused multiply-add, on which emulating one takes a
/// call for each.
#[cfg_attr(target_arch = "aarch64", allow(dead_code, reason = "every such machine can do better"))]
#[derive(Clone, Copy)]
pub(super) struct Separate;

impl Portable for Separate {
    #[inline(always)]
    fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

/// Rounds once: for machines of which every one has the instruction.
#[cfg(target_arch = "aarch64")]
#[derive(Clone, Copy)]
pub(super) struct Fused;

#[cfg(target_arch = "aarch64")]
impl Portable for Fused {
    #[inline(always)]
    fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

/// An arithmetic of arrays.
trait Portable: Copy {
    fn multiply_add(a: f32, b: f32, c: f32) -> f32;
}

impl<P: Portable> Arithmetic for P {
    type Vector = [f32; WIDTH];

    const HEIGHT: usize = 6;
    const BREADTH: usize = 1;

    #[inline(never)]
    fn run(self, job: impl Job) {
        job.run(self);
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Vector {
        [value; WIDTH]
    }

    #[inline(always)]
    fn load(self, values: &[f32; WIDTH]) -> Self::Vector {
        *values
    }

    #[inline(always)]
    fn store(self, vector: Self::Vector, values: &mut [f32; WIDTH]) {
        *values = vector;
    }

    #[inline(always)]
    fn add(self, a: Self::Vector, mut b: Self::Vector) -> Self::Vector {
        for lane in 0..WIDTH {
            b[lane] += a[lane];
        }
        b
    }

    #[inline(always)]
    fn multiply_add(self, a: Self::Vector, b: Self::Vector, mut c: Self::Vector) -> Self::Vector {
        for lane in 0..WIDTH {
            c[lane] = P::multiply_add(a[lane], b[lane], c[lane]);
        }
        c
    }

    #[inline(always)]
    fn relu(self, mut a: Self::Vector) -> Self::Vector {
        for value in &mut a {
            *value = if *value < 0.0 { 0.0 } else { *value };
        }
        a
    }
}

/// [`Arithmetic::transpose`] as it is defined.
#[inline(always)]
pub(super) fn transpose_by_definition(rows: &[f32], stride: usize, lines: &mut [Line], column: usize) {
    for (k, line) in lines.iter_mut().enumerate() {
        for (r, value) in line.0[column..column + EIGHT].iter_mut().enumerate() {
            *value = rows[r * stride + k];
        }
    }
}

/// [`Arithmetic::transpose_back`] as it is defined.
#[inline(always)]
pub(super) fn transpose_back_by_definition(lines: &[Line], column: usize, rows: &mut [f32], stride: usize) {
    for (k, line) in lines.iter().enumerate() {
        for (r, value) in line.0[column..column + EIGHT].iter().enumerate() {
            rows[r * stride + k] = *value;
        }
    }
}
