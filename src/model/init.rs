//! Initial parameters.

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

/// The ChaCha stream of initial params. Of the same seed, sample orders use the streams 0, 1, 2 ..., one an epoch, and the
/// split of a test part the last one.
const STREAM: u64 = u64::MAX - 1;

/// Draws numbers of U(−bound, bound) from a seed; ChaCha8's values are promised to be the same on all machines and
/// in all versions of the crate.
pub(super) struct Uniform(ChaCha8Rng);

impl Uniform {
    pub(super) fn new(seed: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(STREAM);
        Self(generator)
    }

    /// Fills `params` with 2·bound·(u − ½), u one of the 2²⁴ multiples of 2⁻²⁴ in [0, 1).
    pub(super) fn fill(&mut self, params: &mut [f32], bound: f32) {
        for param in params {
            let unit = (self.0.next_u32() >> 8) as f32 * 2.0_f32.powi(-24);
            *param = (unit - 0.5) * (2.0 * bound);
        }
    }
}
