//! Which arithmetic the machine has, chosen while running.
//!
//! A kernel is written once, as a [`Job`] over any [`Arithmetic`], of functions that are inlined into it. Compiled for
//! an instruction set, its plain loops over the columns of a line become the vector instructions of that set.

use super::lines::Line;

/// The one operation of the products, and the one rearrangement that plain loops do not get at full speed.
///
/// A value of the type proves that this machine has it.
pub(super) trait Arithmetic: Copy {
    /// Runs `job` as a function of its own, compiled for this arithmetic.
    fn run(self, job: impl Job);

    /// a·b + c.
    fn multiply_add(self, a: f32, b: f32, c: f32) -> f32;

    /// Writes eight rows, `stride` apart, as eight columns of the lines: `lines[k][column + r] = rows[r · stride + k]`.
    #[inline(always)]
    fn transpose(self, rows: &[f32], stride: usize, lines: &mut [Line], column: usize) {
        transpose_by_definition(rows, stride, lines, column);
    }
}

/// Work that is compiled for each instruction set.
pub(super) trait Job {
    /// Does the work. This function and all that it calls in inner loops must be `#[inline(always)]`: what is not
    /// inlined is compiled for the oldest machine.
    fn run(self, arithmetic: impl Arithmetic);
}

/// Runs `job` with the best arithmetic of this machine, the same in every call.
#[cfg(target_arch = "x86_64")]
pub(super) fn run(job: impl Job) {
    match super::avx2::Avx2::detect() {
        Some(avx2) => avx2.run(job),
        None => Separate.run(job),
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

impl Arithmetic for Separate {
    #[inline(never)]
    fn run(self, job: impl Job) {
        job.run(self);
    }

    #[inline(always)]
    fn multiply_add(self, a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

/// Rounds once: for machines of which every one has the instruction.
#[cfg(target_arch = "aarch64")]
#[derive(Clone, Copy)]
pub(super) struct Fused;

#[cfg(target_arch = "aarch64")]
impl Arithmetic for Fused {
    #[inline(never)]
    fn run(self, job: impl Job) {
        job.run(self);
    }

    #[inline(always)]
    fn multiply_add(self, a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

/// [`Arithmetic::transpose`] as it is defined.
#[inline(always)]
pub(super) fn transpose_by_definition(rows: &[f32], stride: usize, lines: &mut [Line], column: usize) {
    for (k, line) in lines.iter_mut().enumerate() {
        for (r, value) in line.0[column..column + 8].iter_mut().enumerate() {
            *value = rows[r * stride + k];
        }
    }
}
