//! Code that is compiled once per instruction set; the best one that this machine supports is
//! chosen at run time.
//!
//! * [`vectorized`] runs elementwise loops, which the compiler vectorizes. No multiplications and
//!   additions are fused.
//! * A [`Kernel`] is written once, generic over any [`Arithmetic`], out of functions that are
//!   inlined into it. Its vectors are values of a type rather than loops left to
//!   auto-vectorization: whether the compiler vectorized such loops depended on the build profile,
//!   and made a fourfold difference in speed.
//!
//! `unsafe` is needed to call functions compiled for AVX2 and AVX-512, for vector loads and stores,
//! and to request values ahead. `benches/kernels.rs` measures the gain: without AVX2 the products
//! take 2.7 times as long; with transposition by plain loops, which the compiler leaves scalar, a
//! product of 64 rows takes a tenth longer. On a Zen 4, which executes as many operations per cycle
//! with AVX2 as with AVX-512, AVX-512 gains up to 5 % at 128 outputs or more, because the larger
//! tile that fits into twice the registers reads its operands half as often, and up to a fourth at
//! 64. On a Zen 5, which executes twice as many, it gains a factor of 1.8 to 2.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU8, Ordering};

#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{Avx2, Avx512};

/// Runs `loops` compiled for the best instruction set of this machine.
///
/// The closure, written `#[inline(always)] || ...`, and everything that it calls must be inlined:
/// code that is not inlined is compiled for the baseline instruction set. The result has the same
/// bits on every machine: products and sums are not fused unless requested explicitly.
#[inline(always)]
pub(crate) fn vectorized<R>(loops: impl FnOnce() -> R) -> R {
    let mut result = None;
    run(Loops(
        #[inline(always)]
        || result = Some(loops()),
    ));
    result.expect("`run` calls the kernel")
}

/// Requests values that will be read soon, and does nothing where that is not possible.
#[inline(always)]
pub(crate) fn prefetch<T>(values: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for byte in (0..size_of_val(values)).step_by(size_of::<PanelLine>()) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 processor has the instruction, which reads no value; the address is
        // within `values`.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(values.as_ptr().cast::<i8>().add(byte)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = values;
}

/// Loops that use no [`Arithmetic`].
struct Loops<L>(L);

impl<L: FnOnce()> Kernel for Loops<L> {
    #[inline(always)]
    fn run(self, _: impl Arithmetic) {
        (self.0)();
    }
}

/// Work that is compiled for each instruction set.
pub(crate) trait Kernel {
    /// Does the work. This function and everything that it calls in inner loops must be
    /// `#[inline(always)]`: code that is not inlined is compiled for the baseline instruction set.
    fn run(self, arithmetic: impl Arithmetic);
}

/// The instruction set of the kernels. Those with a fused multiply-add (all but `Portable`, and on
/// aarch64 `Portable` too) give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionSet {
    /// AVX-512 with its subsets F, BW, DQ and VL.
    Avx512,
    /// AVX2 and FMA.
    Avx2,
    /// The baseline of the architecture: SSE2 on x86-64, NEON on aarch64.
    Portable,
}

/// The index of the set in use in [`InstructionSet::ALL`]; `UNKNOWN` before the first kernel.
static IN_USE: AtomicU8 = AtomicU8::new(UNKNOWN);

const UNKNOWN: u8 = u8::MAX;

impl InstructionSet {
    /// All sets, the fastest first.
    pub const ALL: [Self; 3] = [Self::Avx512, Self::Avx2, Self::Portable];

    /// Returns the name, such as `avx2`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Portable => "portable",
        }
    }

    /// Returns whether this machine supports the set.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Avx512::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Avx2::detect().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx512 | Self::Avx2 => false,
            Self::Portable => true,
        }
    }

    /// Returns the set in use: the fastest that is available, unless another one was chosen.
    pub fn in_use() -> Self {
        let index = IN_USE.load(Ordering::Relaxed);
        if index == UNKNOWN {
            let fastest = Self::ALL.into_iter().find(|set| set.is_available());
            fastest.expect("the portable set is always available").choose();
            return Self::in_use();
        }
        Self::ALL[usize::from(index)]
    }

    /// Makes all later kernels of this process use the set.
    ///
    /// # Panics
    ///
    /// If this machine does not support it.
    pub fn choose(self) {
        assert!(self.is_available(), "this machine does not support {}", self.name());
        IN_USE.store(self as u8, Ordering::Relaxed);
    }
}

/// Runs `kernel` with the arithmetic of the [instruction set in use](InstructionSet::in_use).
pub(crate) fn run(kernel: impl Kernel) {
    #[cfg(target_arch = "x86_64")]
    match InstructionSet::in_use() {
        InstructionSet::Avx512 => Avx512::detect().expect("it is available").run(kernel),
        InstructionSet::Avx2 => Avx2::detect().expect("it is available").run(kernel),
        InstructionSet::Portable => SeparateArithmetic.run(kernel),
    }
    #[cfg(target_arch = "aarch64")]
    FusedArithmetic.run(kernel);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    SeparateArithmetic.run(kernel);
}

/// The number of columns of a line.
pub(crate) const WIDTH: usize = 16;

/// One row of a tile or panel, aligned to the cache line that it fills, so that no vector load
/// crosses a cache line boundary.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct PanelLine(pub(crate) [f32; WIDTH]);

impl PanelLine {
    pub(crate) const ZERO: Self = Self([0.0; WIDTH]);

    /// Reads sixteen values.
    #[inline(always)]
    pub(crate) fn load(values: &[f32]) -> Self {
        Self(*values.first_chunk().expect("sixteen values"))
    }

    /// Reads `values`, fewer than sixteen, and pads with zeros.
    #[inline(always)]
    pub(crate) fn load_part(values: &[f32]) -> Self {
        let mut line = Self::ZERO;
        copy_part(values, &mut line.0[..values.len()]);
        line
    }
}

/// Copies fewer than sixteen values in pieces of eight, four, two and one, as given by the bits of
/// their number: a copy whose length is known only at run time is a function call, which takes
/// longer than the arithmetic of a short row.
#[inline(always)]
fn copy_part(from: &[f32], to: &mut [f32]) {
    let (from, to) = copy_piece::<8>(from, to);
    let (from, to) = copy_piece::<4>(from, to);
    let (from, to) = copy_piece::<2>(from, to);
    copy_piece::<1>(from, to);
}

/// Copies N values if there are that many, and returns the rest of both slices.
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

/// The operations on the sixteen values of a line that matrix products need, the transposition that
/// they need, and the tile size that makes the best use of the registers.
///
/// A value of the type proves that this machine supports the instruction set.
pub(crate) trait Arithmetic: Copy {
    /// Sixteen values, in one or more registers.
    type Vector: Copy;

    /// The maximum number of rows of a tile.
    const HEIGHT: usize;

    /// The maximum number of lines next to each other in a tile: 1 or 2.
    const BREADTH: usize;

    /// Runs `kernel` in a separate function that is compiled for this arithmetic.
    fn run(self, kernel: impl Kernel);

    /// Returns a vector of sixteen copies of `value`.
    fn splat(self, value: f32) -> Self::Vector;

    /// Reads sixteen values.
    fn load(self, values: &[f32; WIDTH]) -> Self::Vector;

    /// Writes sixteen values.
    fn store(self, vector: Self::Vector, values: &mut [f32; WIDTH]);

    /// Returns a + b.
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// Returns a·b + c, rounded once or twice.
    fn multiply_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    /// Returns max(a, 0); NaN stays NaN, and −0 stays −0.
    fn relu(self, a: Self::Vector) -> Self::Vector;

    /// Writes eight rows, `stride` apart, to eight columns of the lines: `lines[k][column + r] =
    /// rows[r · stride + k]`.
    #[inline(always)]
    fn transpose(self, rows: &[f32], stride: usize, lines: &mut [PanelLine], column: usize) {
        transpose_by_definition(rows, stride, lines, column);
    }

    /// The inverse of [`transpose`](Self::transpose): `rows[r · stride + k] = lines[k][column +
    /// r]`.
    #[inline(always)]
    fn transpose_back(self, lines: &[PanelLine], column: usize, rows: &mut [f32], stride: usize) {
        transpose_back_by_definition(lines, column, rows, stride);
    }
}

/// The number of rows that are transposed at a time.
pub(crate) const EIGHT: usize = 8;

/// Rounds the product and then the sum: for machines without a fused multiply-add instruction,
/// where emulating one takes a function call per operation.
#[cfg_attr(target_arch = "aarch64", allow(dead_code, reason = "every such machine has a fused multiply-add"))]
#[derive(Clone, Copy)]
pub(crate) struct SeparateArithmetic;

impl Portable for SeparateArithmetic {
    /// SSE2 has sixteen registers of four values: a tile of two rows takes eight, a line of the
    /// right operand four, and a product before it is added another. A tile of six rows, most of
    /// which was in memory, took a quarter longer.
    const HEIGHT: usize = 2;

    #[inline(always)]
    fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

/// [`SeparateArithmetic`] with tiles as large as those of AVX-512, to test them on machines without
/// it.
#[cfg(test)]
#[derive(Clone, Copy)]
pub(crate) struct WideArithmetic;

#[cfg(test)]
impl Portable for WideArithmetic {
    const HEIGHT: usize = 12;
    const BREADTH: usize = 2;

    #[inline(always)]
    fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

/// Rounds once: for architectures on which every machine has the instruction.
#[cfg(target_arch = "aarch64")]
#[derive(Clone, Copy)]
struct FusedArithmetic;

#[cfg(target_arch = "aarch64")]
impl Portable for FusedArithmetic {
    /// NEON has 32 registers of four values: a tile of six rows takes 24.
    const HEIGHT: usize = 6;

    #[inline(always)]
    fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

/// An arithmetic on arrays.
trait Portable: Copy {
    /// The height of a tile, as in [`Arithmetic::HEIGHT`].
    const HEIGHT: usize;

    /// As in [`Arithmetic::BREADTH`].
    const BREADTH: usize = 1;

    fn multiply_add(a: f32, b: f32, c: f32) -> f32;
}

impl<P: Portable> Arithmetic for P {
    type Vector = [f32; WIDTH];

    const HEIGHT: usize = P::HEIGHT;
    const BREADTH: usize = P::BREADTH;

    #[inline(never)]
    fn run(self, kernel: impl Kernel) {
        kernel.run(self);
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

/// The definition of [`Arithmetic::transpose`] as plain loops.
#[inline(always)]
fn transpose_by_definition(rows: &[f32], stride: usize, lines: &mut [PanelLine], column: usize) {
    for (k, line) in lines.iter_mut().enumerate() {
        for (r, value) in line.0[column..column + EIGHT].iter_mut().enumerate() {
            *value = rows[r * stride + k];
        }
    }
}

/// The definition of [`Arithmetic::transpose_back`] as plain loops.
#[inline(always)]
fn transpose_back_by_definition(lines: &[PanelLine], column: usize, rows: &mut [f32], stride: usize) {
    for (k, line) in lines.iter().enumerate() {
        for (r, value) in line.0[column..column + EIGHT].iter().enumerate() {
            rows[r * stride + k] = *value;
        }
    }
}

/// x86-64 with AVX2 or AVX-512.
#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::arch::x86_64::*;

    use super::{
        Arithmetic, EIGHT, Kernel, PanelLine, WIDTH, transpose_back_by_definition, transpose_by_definition,
    };

    /// Proof that this processor has AVX2 and FMA; only [`detect`](Avx2::detect) creates one.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2(());

    impl Avx2 {
        /// Queries the processor's features; the standard library caches the result.
        pub(crate) fn detect() -> Option<Self> {
            let found = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            found.then_some(Self(()))
        }
    }

    /// A tile of 6 × 16 takes twelve of sixteen registers, and leaves enough for a line of the
    /// right operand and a value of the left one.
    impl Arithmetic for Avx2 {
        type Vector = [__m256; 2];

        const HEIGHT: usize = 6;
        const BREADTH: usize = 1;

        #[inline(never)]
        fn run(self, kernel: impl Kernel) {
            // SAFETY: `self` proves that the processor has AVX2 and FMA.
            unsafe { built_for_avx2(kernel, self) }
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
            // SAFETY: `self` proves that the processor has AVX2, and there is room for sixteen
            // values.
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
            // SAFETY: `self` proves that the processor has AVX2. Of two zeros, and where one is
            // NaN, the instruction returns the second operand, here `a`.
            a.map(|a| unsafe { _mm256_max_ps(_mm256_setzero_ps(), a) })
        }

        #[inline(always)]
        fn transpose(self, rows: &[f32], stride: usize, lines: &mut [PanelLine], column: usize) {
            let (eights, rest) = lines.as_chunks_mut::<EIGHT>();
            let done = EIGHT * eights.len();
            assert!(rows.len() >= 7 * stride + done, "eight rows, each with a value for every line");
            assert!(column + EIGHT <= WIDTH, "room for eight columns in a line");
            for (k, lines) in eights.iter_mut().enumerate() {
                let to = lines.as_mut_ptr().cast::<f32>();
                // SAFETY: `self` proves that the processor has AVX2; the values 8k to 8k + 7 of 8
                // rows, `stride` apart, are read, and the assertion shows that even those of the
                // last row lie within `rows`; eight values in each of eight lines are written,
                // starting at a column that leaves room for them.
                unsafe { transpose_8x8((rows.as_ptr().add(EIGHT * k), stride), (to.add(column), WIDTH)) };
            }
            transpose_by_definition(&rows[done..], stride, rest, column);
        }

        #[inline(always)]
        fn transpose_back(self, lines: &[PanelLine], column: usize, rows: &mut [f32], stride: usize) {
            let (eights, rest) = lines.as_chunks::<EIGHT>();
            let done = EIGHT * eights.len();
            assert!(rows.len() >= 7 * stride + done, "eight rows, each with a value for every line");
            assert!(column + EIGHT <= WIDTH, "room for eight columns in a line");
            for (k, lines) in eights.iter().enumerate() {
                let from = lines.as_ptr().cast::<f32>();
                // SAFETY: as in `transpose`, with reads and writes exchanged.
                unsafe {
                    transpose_8x8((from.add(column), WIDTH), (rows.as_mut_ptr().add(EIGHT * k), stride))
                };
            }
            transpose_back_by_definition(rest, column, &mut rows[done..], stride);
        }
    }

    #[target_feature(enable = "avx2,fma")]
    fn built_for_avx2(kernel: impl Kernel, avx2: Avx2) {
        kernel.run(avx2);
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
            // Four values of row r in the lower half and four of row r + 4 in the upper half.
            let load = |r: usize| {
                // SAFETY: the caller guarantees eight values in each of eight rows, and these are 4
                // of them.
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

    /// Proof that this processor has the AVX-512 subsets that all but the first such processors
    /// have: the foundation (F), which the kernels need, and BW, DQ and VL, which auto-vectorized
    /// loops can use. Only [`detect`](Avx512::detect) creates one.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512 {
        /// Every such processor also has AVX2, whose transposition is used here.
        avx2: Avx2,
    }

    impl Avx512 {
        /// Queries the processor's features; the standard library caches the result.
        pub(crate) fn detect() -> Option<Self> {
            let found = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            Avx2::detect().filter(|_| found).map(|avx2| Self { avx2 })
        }
    }

    /// A tile of 12 × 32 takes 24 of 32 registers, and leaves room for two lines of the right
    /// operand and values of the left one.
    impl Arithmetic for Avx512 {
        type Vector = __m512;

        const HEIGHT: usize = 12;
        const BREADTH: usize = 2;

        #[inline(never)]
        fn run(self, kernel: impl Kernel) {
            // SAFETY: `self` proves that the processor has AVX-512, AVX2 and FMA.
            unsafe { built_for_avx512(kernel, self) }
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
            // SAFETY: `self` proves that the processor has AVX-512, and there is room for sixteen
            // values.
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
            // SAFETY: `self` proves that the processor has AVX-512. Of two zeros, and where one is
            // NaN, the instruction returns the second operand, here `a`.
            unsafe { _mm512_max_ps(_mm512_setzero_ps(), a) }
        }

        #[inline(always)]
        fn transpose(self, rows: &[f32], stride: usize, lines: &mut [PanelLine], column: usize) {
            self.avx2.transpose(rows, stride, lines, column);
        }

        #[inline(always)]
        fn transpose_back(self, lines: &[PanelLine], column: usize, rows: &mut [f32], stride: usize) {
            self.avx2.transpose_back(lines, column, rows, stride);
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    fn built_for_avx512(kernel: impl Kernel, avx512: Avx512) {
        kernel.run(avx512);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_line_is_padded_with_zeros() {
        let values: Vec<f32> = (1..=16).map(|i| i as f32).collect();
        assert_eq!(PanelLine::load(&values).0[..], values);
        for len in 0..WIDTH {
            let line = PanelLine::load_part(&values[..len]);
            assert_eq!(line.0[..len], values[..len]);
            assert!(line.0[len..].iter().all(|value| *value == 0.0));
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn vectorized_transposition_and_its_inverse_match_their_definitions() {
        let Some(avx2) = Avx2::detect() else { return };
        for (len, stride) in [(1, 1), (7, 9), (8, 8), (16, 21), (21, 21), (40, 64)] {
            let rows: Vec<f32> = (0..7 * stride + len).map(|i| i as f32).collect();
            for column in [0, 8] {
                let (mut found, mut expected) = (vec![PanelLine::ZERO; len], vec![PanelLine::ZERO; len]);
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

    fn expected_lines(len: usize) -> Vec<PanelLine> {
        (0..len).map(|k| PanelLine(std::array::from_fn(|c| (100 * k + c) as f32))).collect()
    }
}
