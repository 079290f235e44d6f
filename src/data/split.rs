//! Parting a data set into a training and a test part.

use super::{DataError, Dataset, sample_order};

/// The epoch whose order parts the samples: one that no training reaches, so that the split is independent of every order.
const SPLIT_EPOCH: u64 = u64::MAX;

impl Dataset {
    /// Parts the samples into a training and a test part, the test part having round(`test_share` × samples) of them, drawn
    /// at random by `seed`. Within each part the samples keep their order.
    ///
    /// # Errors
    ///
    /// [`DataError::SplitShare`] for a share that is not between 0 and 1, [`DataError::SplitEmpty`] if a part would be empty.
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

    use super::super::{Gathered, Targets};
    use super::*;

    fn ramp(samples: usize) -> Dataset {
        let values = (0..samples).map(|sample| sample as f32).collect();
        let array = Array2::from_shape_fn((samples, 1), |(sample, _)| sample as f32);
        let weights = (0..samples).map(|sample| sample as f32).collect();
        Dataset::from_arrays(array, Targets::Values { values, outputs: 1 }, Some(weights)).unwrap()
    }

    fn samples(data: &Dataset) -> Vec<f32> {
        let mut all = Gathered::new(data.len(), 1, 1);
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
    fn the_seed_alone_decides_the_parts() {
        let test = |seed| samples(&ramp(50).split(0.3, seed).unwrap().1);
        assert_eq!(test(1), test(1));
        assert_ne!(test(1), test(2));
    }

    #[test]
    fn a_part_without_samples_is_refused() {
        for share in [0.0, 1.0, -0.1, f64::NAN, f64::INFINITY] {
            assert!(matches!(ramp(10).split(share, 0), Err(DataError::SplitShare { .. })));
        }
        let error = |share| ramp(10).split(share, 0).map(|_| ()).unwrap_err().to_string();
        assert!(error(0.01).contains("leaves the test part empty"));
        assert!(error(0.99).contains("leaves the training part empty"));
    }
}
