//! Computes standardizations from samples, and the magnitudes of features.

use super::dataset::{Dataset, Standardize};
use super::error::DataError;
use super::features::{Sparse, StoredFeatures};
use super::labels::Targets;

impl Standardize {
    /// Learns the mean and the deviation of each feature from the samples as they are gathered
    /// (pixels scaled), before any standardization that the data set has. Computed in `f64`, in the
    /// order of the samples, so the bits are the same for any number of threads. Weights are
    /// ignored.
    ///
    /// # Errors
    ///
    /// [`DataError::StandardizeEmpty`] if there are no samples, [`DataError::StandardizeValue`] if
    /// a deviation exceeds the range of `f32`.
    ///
    /// # Cost
    ///
    /// Two passes over the samples, with one addition per number in each; about 50 bytes per
    /// feature during the computation.
    pub fn learn(data: &Dataset) -> Result<Standardize, DataError> {
        let (mean, variance) = moments(data)?;
        let mean = mean.into_iter().map(|mean| mean as f32).collect();
        let learned = Standardize::new(mean, variance.into_iter().map(deviation).collect());
        learned.check(data.features()).map(|()| learned)
    }

    /// Returns the scaling that multiplies the numbers of the file by `factor`, whatever they are
    /// gathered as: with x/255 gathered and a factor of 1/256, x/255 is divided by 256/255. The
    /// result is that of one multiplication up to rounding.
    ///
    /// # Errors
    ///
    /// [`DataError::StandardizeValue`] if the factor or its reciprocal exceeds the range of `f32`.
    pub fn of_file(data: &Dataset, factor: f64) -> Result<Standardize, DataError> {
        let (zero, divisor) = match &data.stored().stored {
            StoredFeatures::U8 { zero, divisor, .. } => (f64::from(*zero), f64::from(*divisor)),
            _ => (0.0, 1.0),
        };
        // f = (x − zero)/divisor, so x · factor = (f + zero/divisor) / (1/(divisor · factor)).
        let (mean, std) = ((-zero / divisor) as f32, (divisor * factor).recip() as f32);
        let scaled = Standardize::new(vec![mean; data.features()], vec![std; data.features()]);
        scaled.check(data.features()).map(|()| scaled)
    }

    /// Learns the mean and the deviation of each target value, for
    /// [`Mlp::standardize_targets`](crate::model::Mlp::standardize_targets): mean_k = Σ w_i t_ik /
    /// Σ w_i, std_k = √(Σ w_i (t_ik − mean_k)² / Σ w_i), with weight 1 if samples have no weights.
    /// A target that never varies gets the deviation 1. Computed in `f64`, in the order of the
    /// samples, so the bits are the same for any number of threads.
    ///
    /// # Errors
    ///
    /// [`DataError::StandardizeTargets`] if the targets are not values, or if no sample has a
    /// weight above 0.
    ///
    /// # Cost
    ///
    /// Two passes over the targets.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use phalanx::data::{Dataset, Standardize, Targets};
    ///
    /// let targets = Targets::Values { values: vec![1.0, 5.0, 9.0], outputs: 1 };
    /// let data = Dataset::from_arrays(array![[0.0], [0.0], [0.0]], targets, Some(vec![1.0, 1.0, 0.0]))?;
    /// let learned = Standardize::learn_targets(&data)?;
    /// assert_eq!((learned.mean(), learned.std()), (&[3.0][..], &[2.0][..]));
    /// # Ok::<(), phalanx::data::DataError>(())
    /// ```
    pub fn learn_targets(data: &Dataset) -> Result<Standardize, DataError> {
        let refused = |found| Err(DataError::StandardizeTargets { found });
        let (values, outputs) = match data.targets() {
            Targets::Values { values, outputs } => (values, *outputs),
            Targets::Classes { .. } => return refused("the samples have classes"),
            Targets::None => return refused("the samples have no targets"),
        };
        let weight = |sample: usize| data.weights().map_or(1.0, |weights| f64::from(weights[sample]));
        // Sums are over t − (the first target with a weight above 0), for the reason given at
        // `dense_moments`.
        let Some(first) = (0..data.len()).find(|sample| weight(*sample) > 0.0) else {
            return refused(if data.is_empty() {
                "there are no samples"
            } else {
                "all samples have weight 0"
            });
        };
        let total: f64 = (0..data.len()).map(weight).sum();
        let (mut means, mut deviations) = (Vec::new(), Vec::new());
        for output in 0..outputs {
            let target = |sample: usize| f64::from(values[sample * outputs + output]);
            let average = |term: &dyn Fn(f64) -> f64| {
                (0..data.len()).map(|sample| weight(sample) * term(target(sample))).sum::<f64>() / total
            };
            let mean = target(first) + average(&|t| t - target(first));
            means.push(mean as f32);
            deviations.push(deviation(average(&|t| (t - mean).powi(2))));
        }
        Ok(Standardize::new(means, deviations))
    }
}

/// The magnitude of a feature: √((1/n) Σ x²), its root mean square.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeatureScale {
    /// The index of the feature, from 0.
    pub feature: usize,
    /// Its root mean square, above 0.
    pub rms: f64,
}

impl FeatureScale {
    /// Returns the features with the smallest and the largest root mean square, as stored (pixels
    /// scaled); `None` if all features are 0. A feature that is always 0 is excluded.
    ///
    /// The larger the inputs, the smaller the learning rates at which training is stable: plain
    /// gradient descent on a linear model diverges from a learning rate of 2 divided by the largest
    /// eigenvalue of its Hessian, which is at least the largest mean square.
    ///
    /// # Errors
    ///
    /// [`DataError::StandardizeEmpty`] if there are no samples.
    ///
    /// # Cost
    ///
    /// A copy of, and two passes over, at most 4096 samples, spaced evenly over the data set.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use phalanx::data::{Dataset, Targets};
    /// use phalanx::internals::FeatureScale;
    ///
    /// let data = Dataset::from_arrays(array![[0.5, 700.0, 0.0], [-0.5, 900.0, 0.0]], Targets::None, None)?;
    /// let [smallest, largest] = FeatureScale::extremes(&data)?.expect("some feature is not 0");
    /// assert_eq!(smallest, FeatureScale { feature: 0, rms: 0.5 });
    /// assert_eq!((largest.feature, largest.rms.round()), (1, 806.0));
    /// # Ok::<(), phalanx::data::DataError>(())
    /// ```
    pub fn extremes(data: &Dataset) -> Result<Option<[FeatureScale; 2]>, DataError> {
        let every = data.len().div_ceil(SCALE_SAMPLES).max(1);
        let samples: Vec<u32> = (0..data.len() as u32).step_by(every).collect();
        let (mean, variance) = moments(&data.select(&samples))?;
        let scales = mean.iter().zip(&variance).enumerate();
        let scales = scales
            .map(|(feature, (mean, variance))| FeatureScale { feature, rms: mean.hypot(variance.sqrt()) });
        let scales: Vec<_> = scales.filter(|scale| scale.rms > 0.0).collect();
        let smallest = scales.iter().copied().min_by(|a, b| a.rms.total_cmp(&b.rms));
        let largest = scales.iter().copied().max_by(|a, b| a.rms.total_cmp(&b.rms));
        Ok(smallest.zip(largest).map(|(smallest, largest)| [smallest, largest]))
    }
}

/// The maximum number of samples that [`FeatureScale::extremes`] examines: enough to distinguish 1
/// from 100.
const SCALE_SAMPLES: usize = 4096;

/// Returns the mean and variance of each feature as stored.
fn moments(data: &Dataset) -> Result<(Vec<f64>, Vec<f64>), DataError> {
    if data.is_empty() {
        return Err(DataError::StandardizeEmpty);
    }
    Ok(match &data.stored().stored {
        StoredFeatures::Sparse(sparse) => sparse_moments(sparse, data.features()),
        _ => dense_moments(data),
    })
}

/// Returns the divisor: 1 if the numbers never vary.
fn deviation(variance: f64) -> f32 {
    let deviation = variance.sqrt() as f32;
    if deviation == 0.0 { 1.0 } else { deviation }
}

/// Returns the mean and variance of each column of dense samples. Sums are over x − (the first
/// sample's x): for a column that never varies they are exactly 0, whereas a plain sum would leave
/// rounding errors as the deviation to divide by.
fn dense_moments(data: &Dataset) -> (Vec<f64>, Vec<f64>) {
    let columns = data.features();
    let mut first = vec![0.0; columns];
    data.stored().gather(&[0], &mut first);
    let shift: Vec<f64> = first.iter().copied().map(f64::from).collect();
    let n = data.len() as f64;
    let sums = column_sums(data, &shift, |x| x);
    let mean: Vec<f64> = shift.iter().zip(sums).map(|(shift, sum)| shift + sum / n).collect();
    let squares = column_sums(data, &mean, |x| x * x);
    (mean, squares.into_iter().map(|sum| sum / n).collect())
}

/// Returns Σ_i term(x_ij − shift_j) for each column j, with i ascending.
fn column_sums(data: &Dataset, shift: &[f64], term: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut sums = vec![0.0; shift.len()];
    let mut row = vec![0.0; shift.len()];
    for sample in 0..data.len() as u32 {
        data.stored().gather(&[sample], &mut row);
        for ((sum, &x), shift) in sums.iter_mut().zip(&row).zip(shift) {
            *sum += term(f64::from(x) - shift);
        }
    }
    sums
}

/// Returns the mean and variance of each column of sparse samples, in time proportional to the
/// stored numbers: the n − k zeros of a column with k stored numbers add (n − k) mean² to its sum
/// of squares.
fn sparse_moments(sparse: &Sparse, columns: usize) -> (Vec<f64>, Vec<f64>) {
    let n = sparse.ends.len() as f64;
    let mut mean = vec![0.0; columns];
    let mut zeros = vec![n; columns];
    for (&column, &x) in sparse.columns.iter().zip(&sparse.values) {
        mean[column as usize] += f64::from(x);
        zeros[column as usize] -= 1.0;
    }
    mean.iter_mut().for_each(|sum| *sum /= n);
    let mut variance: Vec<f64> = zeros.iter().zip(&mean).map(|(zeros, mean)| zeros * mean * mean).collect();
    for (&column, &x) in sparse.columns.iter().zip(&sparse.values) {
        let away = f64::from(x) - mean[column as usize];
        variance[column as usize] += away * away;
    }
    variance.iter_mut().for_each(|sum| *sum /= n);
    (mean, variance)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::super::dataset::GatherBuffer;
    use super::super::features::Features;
    use super::*;

    fn data(array: Array2<f32>) -> Dataset {
        Dataset::from_arrays(array, Targets::None, None).unwrap()
    }

    /// 0, 1, ..., n − 1 has mean (n − 1)/2 and variance (n² − 1)/12.
    #[test]
    fn a_ramp_has_the_moments_of_the_closed_form() {
        for n in [1, 2, 3, 10, 1_001] {
            let ramp = data(Array2::from_shape_fn((n, 1), |(row, _)| row as f32));
            let learned = Standardize::learn(&ramp).unwrap();
            assert_eq!(learned.mean(), [(n as f32 - 1.0) / 2.0]);
            let variance = ((n * n - 1) as f64) / 12.0;
            let std = if n == 1 { 1.0 } else { variance.sqrt() as f32 };
            assert_eq!(learned.std(), [std]);
        }
    }

    #[test]
    fn a_constant_column_gets_divisor_one_even_if_its_sum_is_rounded() {
        let mut constant = data(Array2::from_elem((1_000, 1), 0.1));
        let learned = Standardize::learn(&constant).unwrap();
        assert_eq!((learned.mean(), learned.std()), (&[0.1][..], &[1.0][..]));
        constant.standardize(learned).unwrap();
        let mut row = GatherBuffer::new(1, 1, 0);
        constant.gather(&[7], &mut row);
        assert_eq!(row.inputs(), array![[0.0]]);
    }

    #[test]
    fn sparse_samples_and_their_dense_copy_give_the_same_standardization() {
        let dense = array![[0.0, 2.0, 0.1], [1.0, 0.0, 0.1], [0.0, 0.0, 0.1], [4.0, 0.0, 0.1]];
        let sparse = Sparse {
            ends: vec![2, 4, 5, 7],
            columns: vec![1, 2, 0, 2, 2, 0, 2],
            values: vec![2.0, 0.1, 1.0, 0.1, 0.1, 4.0, 0.1],
        };
        let features = Features::flat(StoredFeatures::Sparse(sparse), 3);
        let mut sparse = Dataset::new("f", features, Targets::None, None).unwrap();
        let learned = Standardize::learn(&sparse).unwrap();
        assert_eq!(learned, Standardize::learn(&data(dense)).unwrap());
        sparse.standardize(learned).unwrap();
        let mut row = GatherBuffer::new(1, 3, 0);
        sparse.gather(&[2], &mut row);
        let std = (43.0f64 / 16.0).sqrt() as f32;
        assert_eq!(row.inputs()[[0, 0]], (0.0 - 1.25) / std);
        assert_eq!(row.inputs()[[0, 2]], 0.0);
    }

    fn targets(values: Vec<f32>, outputs: usize, weights: Option<Vec<f32>>) -> Dataset {
        let features = Array2::zeros((values.len() / outputs, 1));
        Dataset::from_arrays(features, Targets::Values { values, outputs }, weights).unwrap()
    }

    #[test]
    fn standardization_of_targets_uses_the_sample_weights() {
        let learn =
            |weights| Standardize::learn_targets(&targets(vec![1.0, 0.5, 3.0, 0.5, 9.0, 7.0], 2, weights));
        let plain = learn(None).unwrap();
        assert_eq!(plain.mean(), [13.0 / 3.0, 8.0 / 3.0]);
        assert_eq!(plain.std()[0], (104.0_f64 / 9.0).sqrt() as f32);
        // The second target is constant over the samples with a weight above 0, but not over all
        // samples.
        let weighted = learn(Some(vec![3.0, 1.0, 0.0])).unwrap();
        assert_eq!((weighted.mean(), weighted.std()), (&[1.5, 0.5][..], &[0.75_f32.sqrt(), 1.0][..]));
        let constant = targets(vec![7.0, 0.1, 0.1, 0.1], 1, Some(vec![0.0, 0.3, 0.7, 0.9]));
        let learned = Standardize::learn_targets(&constant).unwrap();
        assert_eq!((learned.mean(), learned.std()), (&[0.1][..], &[1.0][..]));
    }

    #[test]
    fn targets_without_values_or_weight_are_rejected() {
        let message = |data: &Dataset| Standardize::learn_targets(data).unwrap_err().to_string();
        assert!(message(&data(array![[1.0]])).contains("no targets"));
        assert!(message(&targets(vec![], 1, None)).contains("no samples"));
        assert!(message(&targets(vec![1.0, 2.0], 1, Some(vec![0.0, 0.0]))).contains("have weight 0"));
        let classes = Targets::Classes { labels: vec![0], count: 1 };
        let classes = Dataset::from_arrays(array![[1.0]], classes, None).unwrap();
        assert!(message(&classes).contains("have classes"));
    }

    #[test]
    fn the_extremes_are_found_in_evenly_spaced_samples() {
        // The large values come last, as in a sorted table.
        let n = 3 * SCALE_SAMPLES;
        let late = Array2::from_shape_fn((n, 3), |(row, column)| match column {
            0 => 0.5,
            1 => 0.0,
            _ => f32::from(u8::from(row > n / 2)) * 100.0,
        });
        let [smallest, largest] = FeatureScale::extremes(&data(late)).unwrap().unwrap();
        assert_eq!(smallest, FeatureScale { feature: 0, rms: 0.5 });
        assert!(largest.feature == 2 && (largest.rms - 100.0 / 2_f64.sqrt()).abs() < 0.1, "{largest:?}");
        assert_eq!(FeatureScale::extremes(&data(Array2::zeros((2, 2)))).unwrap(), None);
    }

    #[test]
    fn invalid_standardizations_from_files_are_rejected() {
        let mut two = data(array![[1.0, 2.0]]);
        let from = |text: &str| serde_json::from_str::<Standardize>(text).unwrap();
        let message = |data: &mut Dataset, text| data.standardize(from(text)).unwrap_err().to_string();
        assert!(message(&mut two, r#"{"mean":[0],"std":[1]}"#).contains("for 1 features, expected 2"));
        assert!(message(&mut two, r#"{"mean":[0,0],"std":[1]}"#).contains("for 1 features, expected 2"));
        assert!(message(&mut two, r#"{"mean":[0,0],"std":[1,0]}"#).contains("feature 1"));
        let none = data(Array2::zeros((0, 2)));
        assert!(matches!(Standardize::learn(&none), Err(DataError::StandardizeEmpty)));
    }
}
