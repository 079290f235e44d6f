//! Elementwise loops at the full width of the machine's vectors.

use std::sync::LazyLock;

use pulp::Arch;

/// The instruction set of this machine.
static ARCH: LazyLock<Arch> = LazyLock::new(Arch::new);

/// Runs `loops` compiled for the best instruction set of this machine.
///
/// The closure, written `#[inline(always)] || ...`, and all that is called in it must be inlined: what is not is compiled for
/// the oldest machine. The bits are the same: products and sums are not fused unless asked for.
#[inline(always)]
pub(crate) fn vectorized<R>(loops: impl FnOnce() -> R) -> R {
    ARCH.dispatch(loops)
}
