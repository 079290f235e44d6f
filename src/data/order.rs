//! The order of samples in an epoch, and the split into a training and a test part.
//!
//! Uses its own Fisher-Yates shuffle with a generator whose values are guaranteed to be portable.

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

use super::dataset::Dataset;
use super::error::DataError;

/// Writes the sample order of an epoch, a permutation of 0..`order.len()`, into `order`.
///
/// The order depends only on (`seed`, `epoch`, length): it is the same on every machine, for every
/// number of threads, in every version. All orders are equally likely, up to the quality of the
/// generator. The generator is ChaCha with 8 rounds, whose key is `seed` (little-endian, padded
/// with zeros) and whose stream is `epoch`; position i, from the last down to 1, is swapped with a
/// position drawn without bias from 0..=i.
///
/// # Panics
///
/// If `order` is longer than `u32::MAX`.
///
/// # Cost
///
/// One 32-bit draw and one swap per sample, together about 6 ns at 60,000 samples; no allocation.
///
/// # Examples
///
/// ```
/// let mut order = [0; 10];
/// phalanx::internals::sample_order(42, 0, &mut order);
/// assert_eq!(order, [7, 8, 6, 4, 5, 2, 1, 9, 3, 0]);
/// ```
///
/// Source: D. Knuth, The Art of Computer Programming 2, algorithm 3.4.2 P; D. Bernstein, ChaCha,
/// 2008. The documentation of `rand` describes its generators as "deterministic and portable"; a
/// test compares with values computed from the paper.
pub fn sample_order(seed: u64, epoch: u64, order: &mut [u32]) {
    let samples = u32::try_from(order.len()).expect("sample numbers are u32");
    for (position, sample) in (0..samples).zip(order.iter_mut()) {
        *sample = position;
    }
    let mut generator = generator(seed, epoch);
    for last in (1..samples).rev() {
        let other = below(&mut generator, last + 1);
        order.swap(last as usize, other as usize);
    }
}

/// The key is built here because `seed_from_u64` is a default method, which a crate may change.
fn generator(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut generator = ChaCha8Rng::from_seed(key);
    generator.set_stream(stream);
    generator
}

/// Draws a number from 0..`bound` without bias.
///
/// Source: D. Lemire, Fast random integer generation in an interval, 2019 (arXiv:1805.10941),
/// algorithm 5.
fn below(generator: &mut impl Rng, bound: u32) -> u32 {
    let mut product = u64::from(generator.next_u32()) * u64::from(bound);
    if (product as u32) < bound {
        let threshold = bound.wrapping_neg() % bound;
        while (product as u32) < threshold {
            product = u64::from(generator.next_u32()) * u64::from(bound);
        }
    }
    (product >> 32) as u32
}

/// The epoch whose order determines the split: no training reaches it, so the split is independent
/// of the order of every epoch.
const SPLIT_EPOCH: u64 = u64::MAX;

impl Dataset {
    /// Splits the samples into a training and a test part. The test part has round(`test_share` ×
    /// samples) samples, drawn at random with `seed`. Both parts keep the order of the samples.
    ///
    /// # Errors
    ///
    /// [`DataError::SplitShare`] if the share is not between 0 and 1, [`DataError::SplitEmpty`] if
    /// a part would be empty.
    ///
    /// # Cost
    ///
    /// One copy of the samples.
    pub fn split(self, test_share: f64, seed: u64) -> Result<(Dataset, Dataset), DataError> {
        if !(test_share > 0.0 && test_share < 1.0) {
            return Err(DataError::SplitShare { share: test_share });
        }
        let samples = self.len();
        let test_len = (test_share * samples as f64).round() as usize;
        if test_len == 0 || test_len == samples {
            let side = if test_len == 0 { "test" } else { "training" };
            return Err(DataError::SplitEmpty { share: test_share, samples, side });
        }
        let mut order = vec![0; samples];
        sample_order(seed, SPLIT_EPOCH, &mut order);
        let (test, train) = order.split_at_mut(test_len);
        test.sort_unstable();
        train.sort_unstable();
        Ok((self.select(train), self.select(test)))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::super::dataset::GatherBuffer;
    use super::super::labels::Targets;
    use super::*;

    fn order(seed: u64, epoch: u64, samples: usize) -> Vec<u32> {
        let mut order = vec![0; samples];
        sample_order(seed, epoch, &mut order);
        order
    }

    /// The expected values come from a Python program written from Bernstein's paper, Lemire's
    /// algorithm 5 and Knuth's 3.4.2 P, which shares no code with this crate or its dependencies.
    #[test]
    fn the_order_matches_the_one_computed_from_the_papers() {
        assert_eq!(order(42, 0, 10), [7, 8, 6, 4, 5, 2, 1, 9, 3, 0]);
        assert_eq!(order(42, 1, 10), [4, 5, 0, 2, 7, 8, 1, 3, 6, 9]);
        assert_eq!(order(0, 0, 10), [5, 3, 0, 2, 9, 6, 4, 8, 7, 1]);
        assert_eq!(order(u64::MAX, u64::MAX, 10), [6, 9, 2, 7, 0, 5, 1, 4, 8, 3]);
    }

    #[test]
    fn the_order_of_60000_samples_has_the_checksum_computed_from_the_papers() {
        let mut sum = flate2::Crc::new();
        for sample in order(42, 3, 60_000) {
            sum.update(&sample.to_le_bytes());
        }
        assert_eq!(sum.sum(), 0x5dce_30aa);
    }

    #[test]
    fn every_order_is_a_permutation_and_epochs_differ() {
        for samples in [0, 1, 2, 3, 100, 1_000] {
            let mut sorted = order(7, 3, samples);
            sorted.sort_unstable();
            assert!(sorted.iter().enumerate().all(|(at, &sample)| at == sample as usize));
        }
        assert_ne!(order(7, 3, 100), order(7, 4, 100));
        assert_ne!(order(7, 3, 100), order(8, 3, 100));
    }

    /// All bounds near a power of two, where rejections are most and least frequent.
    #[test]
    fn a_draw_stays_below_its_bound() {
        let mut generator = generator(1, 1);
        for bound in [1, 2, 3, (1 << 31) - 1, 1 << 31, (1 << 31) + 1, u32::MAX] {
            assert!((0..1_000).all(|_| below(&mut generator, bound) < bound));
        }
    }

    fn ramp(samples: usize) -> Dataset {
        let values = (0..samples).map(|sample| sample as f32).collect();
        let array = Array2::from_shape_fn((samples, 1), |(sample, _)| sample as f32);
        let weights = (0..samples).map(|sample| sample as f32).collect();
        Dataset::from_arrays(array, Targets::Values { values, outputs: 1 }, Some(weights)).unwrap()
    }

    fn samples(data: &Dataset) -> Vec<f32> {
        let mut all = GatherBuffer::new(data.len(), 1, 1);
        data.gather(&(0..data.len() as u32).collect::<Vec<_>>(), &mut all);
        assert_eq!(all.inputs(), all.values());
        assert_eq!(all.weights().unwrap(), all.values().as_slice().unwrap());
        all.weights().unwrap().to_vec()
    }

    #[test]
    fn every_sample_is_in_exactly_one_part_with_its_target_and_weight() {
        let (train, test) = ramp(101).split(0.2, 5).unwrap();
        assert_eq!((train.len(), test.len()), (81, 20));
        let mut all = [samples(&train), samples(&test)].concat();
        all.sort_by(f32::total_cmp);
        assert_eq!(all, samples(&ramp(101)));
    }

    #[test]
    fn the_parts_depend_on_the_seed_only() {
        let test = |seed| samples(&ramp(50).split(0.3, seed).unwrap().1);
        assert_eq!(test(1), test(1));
        assert_ne!(test(1), test(2));
    }

    #[test]
    fn a_split_with_an_empty_part_is_rejected() {
        for share in [0.0, 1.0, -0.1, f64::NAN, f64::INFINITY] {
            assert!(matches!(ramp(10).split(share, 0), Err(DataError::SplitShare { .. })));
        }
        let error = |share| ramp(10).split(share, 0).map(|_| ()).unwrap_err().to_string();
        assert!(error(0.01).contains("leaves the test part empty"));
        assert!(error(0.99).contains("leaves the training part empty"));
    }
}
