//! Samples with their targets and weights, and the buffer into which a rank gathers samples.

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use super::error::{DataError, Remark};
use super::features::{Features, MAX_FEATURES, Sparse, StoredFeatures, select_rows};
use super::labels::{Classes, ReadLabels, Targets, check_each, check_len};
use super::options::Columns;
use super::text::excerpt;

/// Samples in memory, stored in their original type and converted to `f32` when a rank gathers
/// them.
///
/// Immutable during training, so all ranks share it without locks.
#[derive(Debug, Clone)]
pub struct Dataset {
    features: Features,
    /// The index of each sample, if it is not its position.
    indices: Option<Vec<u32>>,
    targets: Targets,
    classes: Option<Classes>,
    /// One weight per sample, finite and ≥ 0.
    weights: Option<Vec<f32>>,
    standardize: Option<Standardize>,
    /// The columns of the table that the samples were read from.
    columns: Option<Columns>,
    remarks: Vec<Remark>,
}

impl Dataset {
    /// Creates a data set from `features` (samples, features), with one target and one weight
    /// (finite, ≥ 0) per sample.
    ///
    /// # Errors
    ///
    /// [`DataError::ArrayLen`] if the lengths of the arrays differ; [`DataError::ArrayValue`] for
    /// NaN, infinities, negative weights and labels not below the class count; [`DataError::Empty`]
    /// if there are no features; [`DataError::TooManyFeatures`] for more than 16,777,216;
    /// [`DataError::TooManySamples`] for more than `u32::MAX` samples.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use phalanx::data::{Dataset, Targets};
    ///
    /// let xor = array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];
    /// let targets = Targets::Classes { labels: vec![0, 1, 1, 0], count: 2 };
    /// assert_eq!(Dataset::from_arrays(xor, targets, None)?.len(), 4);
    /// # Ok::<(), phalanx::data::DataError>(())
    /// ```
    pub fn from_arrays(
        features: Array2<f32>,
        targets: Targets,
        weights: Option<Vec<f32>>,
    ) -> Result<Dataset, DataError> {
        let (samples, columns) = features.dim();
        if columns == 0 {
            return Err(DataError::Empty { file: "the array".to_string(), expected: "feature" });
        }
        let values = if features.is_standard_layout() {
            let (values, start) = features.into_raw_vec_and_offset();
            let start = start.unwrap_or(0);
            if start == 0 && values.len() == samples * columns {
                values
            } else {
                values[start..start + samples * columns].to_vec()
            }
        } else {
            features.iter().copied().collect()
        };
        check_each("feature", &values, columns, "a finite number", |x| x.is_finite())?;
        targets.check(samples)?;
        check_weights(weights.as_deref(), samples)?;
        let classes = targets.classes_by_index();
        let features = Features::flat(StoredFeatures::F32(values), columns);
        Dataset::new("the array", features, targets, classes).map(|data| data.with_weights(weights))
    }

    /// Creates a data set of samples that only your [`Model`](crate::model::Model) knows: graphs,
    /// texts, files on disk. A sample is its index, from which the model finds it, and a weight
    /// (finite, ≥ 0). There are no features and no targets.
    ///
    /// The indices need not be those of consecutive samples: the training and the test samples may
    /// be two parts of one collection. The model receives them as
    /// [`Samples::indices`](crate::model::Samples::indices).
    ///
    /// `examples/histories.rs` in the repository is a complete program.
    ///
    /// If the loss of a sample is a mean over its tokens or pixels, their number is its weight: the
    /// reduction `mean` then gives the mean over all tokens.
    ///
    /// # Errors
    ///
    /// [`DataError::ArrayLen`] if the numbers of indices and weights differ;
    /// [`DataError::ArrayValue`] for weights that are negative, infinite or NaN;
    /// [`DataError::TooManySamples`] for more than `u32::MAX` samples.
    ///
    /// # Examples
    ///
    /// The mean word length of texts, as the minimum of Σ n_i (p − m_i)², with the mean m_i of the
    /// n_i words of text i:
    ///
    /// ```
    /// use phalanx::data::Dataset;
    /// use phalanx::model::{Samples, from_fn};
    /// use phalanx::train::{Options, Trainer};
    ///
    /// let texts = ["to be", "or not to be", "that is the question"];
    /// let words: Vec<f32> = texts.iter().map(|text| text.split(' ').count() as f32).collect();
    /// let data = Dataset::from_indices((0..3).collect(), Some(words))?;
    /// let model = from_fn(vec![0.0], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
    ///     let (mut loss_sum, mut gradient) = (0.0, 0.0);
    ///     for (k, index) in samples.indices.iter().enumerate() {
    ///         let words: Vec<&str> = texts[*index as usize].split(' ').collect();
    ///         let mean = words.iter().map(|word| word.len() as f32).sum::<f32>() / words.len() as f32;
    ///         gradient += samples.weight(k) * 2.0 * (params[0] - mean);
    ///         loss_sum += f64::from(samples.weight(k) * (params[0] - mean).powi(2));
    ///     }
    ///     grads[0] = gradient;
    ///     loss_sum
    /// });
    /// let options = Options { batch_size: 3, rate: Some(0.4), ..Options::default() };
    /// let outcome = Trainer::new(&model, &data, options).run()?;
    /// assert!((outcome.params[0] - 30.0 / 10.0).abs() < 1e-4); // 30 letters in 10 words
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_indices(indices: Vec<u32>, weights: Option<Vec<f32>>) -> Result<Dataset, DataError> {
        check_weights(weights.as_deref(), indices.len())?;
        let rows = Sparse { ends: vec![0; indices.len()], ..Sparse::default() };
        let features = Features::flat(StoredFeatures::Sparse(rows), 0);
        let mut data = Dataset::new("the indices", features, Targets::None, None)?.with_weights(weights);
        data.indices = Some(indices);
        Ok(data)
    }

    /// Builds a data set from the parts that a reader has parsed, and checks only the sizes that a
    /// file can request.
    pub(super) fn new(
        file: &str,
        features: Features,
        targets: Targets,
        classes: Option<Classes>,
    ) -> Result<Dataset, DataError> {
        let (samples, columns) = (features.rows() as u64, features.columns as u64);
        if samples > u64::from(u32::MAX) {
            return Err(DataError::TooManySamples { file: file.to_string(), found: samples });
        }
        if columns > MAX_FEATURES {
            return Err(DataError::TooManyFeatures { file: file.to_string(), found: columns });
        }
        let (indices, weights, standardize, columns) = (None, None, None, None);
        let remarks = Vec::new();
        Ok(Dataset { features, indices, targets, classes, weights, standardize, columns, remarks })
    }

    pub(super) fn with_columns(mut self, columns: Columns) -> Dataset {
        self.columns = Some(columns);
        self
    }

    pub(super) fn add_remark(&mut self, remark: Remark) {
        self.remarks.push(remark);
    }

    /// Builds a data set from the features and the parsed labels of a file.
    pub(super) fn from_file(
        file: &str,
        features: Features,
        labels: ReadLabels,
    ) -> Result<Dataset, DataError> {
        let mut data = Dataset::new(file, features, labels.targets, labels.classes)?;
        data.remarks.extend(labels.remarks);
        Ok(data)
    }

    pub(super) fn with_weights(mut self, weights: Option<Vec<f32>>) -> Dataset {
        self.weights = weights;
        self
    }

    /// The number of samples, at most `u32::MAX`.
    pub fn len(&self) -> usize {
        self.features.rows()
    }

    /// Returns whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of features of each sample.
    pub fn features(&self) -> usize {
        self.features.columns
    }

    /// The targets, one per sample.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// The weights, one per sample, if the samples have any.
    pub fn weights(&self) -> Option<&[f32]> {
        self.weights.as_deref()
    }

    /// The names of the classes, if the targets are classes.
    pub fn classes(&self) -> Option<&Classes> {
        self.classes.as_ref()
    }

    /// Rejects samples from which a classifier cannot learn; `name` is the name of the data in the
    /// message.
    ///
    /// # Errors
    ///
    /// [`DataError::OneClass`] if the targets are classes and there is only one class.
    pub fn check_classes(&self, name: &str) -> Result<(), DataError> {
        match (&self.targets, &self.classes) {
            (Targets::Classes { count: 1, .. }, Some(classes)) => Err(DataError::OneClass {
                file: name.to_owned(),
                label: excerpt(&classes.names()[0]),
                column: self
                    .columns
                    .as_ref()
                    .and_then(|columns| columns.label().map(|label| columns.text(label))),
            }),
            _ => Ok(()),
        }
    }

    /// Returns the columns of the table that the samples were read from and their uses; `None` if
    /// the samples come from another source.
    pub fn columns(&self) -> Option<&Columns> {
        self.columns.as_ref()
    }

    /// Returns the remarks of the reader: sentences that name the file and describe each decision
    /// that it made without being asked, and each possible problem. A program should print them.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::data::{LoadOptions, Source};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("indexed.csv");
    /// std::fs::write(&path, ",width,kind\n0,1.5,rose\n1,3,iris\n")?;
    /// let source: Source = path.to_str().expect("the path is text").parse()?;
    /// let data = source.load(&LoadOptions::default())?.train;
    /// assert_eq!(data.features(), 1);
    /// assert!(data.remarks().any(|remark| remark.contains("indexed.csv")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remarks(&self) -> impl Iterator<Item = String> {
        self.remarks.iter().map(ToString::to_string)
    }

    /// Sets the standardization that later gathers apply, replacing any previous one: (x − mean) /
    /// deviation, in `f32`.
    ///
    /// Sparse samples are gathered as dense rows, so they are centred like all others; they remain
    /// stored as sparse.
    ///
    /// # Errors
    ///
    /// [`DataError::StandardizeLen`] if the number of features differs,
    /// [`DataError::StandardizeValue`] if a mean is not finite, or a deviation is not finite and
    /// above 0.
    pub fn standardize(&mut self, s: Standardize) -> Result<(), DataError> {
        s.check(self.features())?;
        self.standardize = Some(s);
        Ok(())
    }

    /// Copies the given samples, converted to `f32` and standardized, into a buffer. This is the
    /// hot path of the module.
    ///
    /// # Panics
    ///
    /// If a sample number is not below [`len`](Self::len), or if the buffer was created for a
    /// different number of features or outputs.
    ///
    /// # Cost
    ///
    /// One pass over the rows; no allocation within the capacity of the buffer.
    pub fn gather(&self, samples: &[u32], into: &mut GatherBuffer) {
        assert_eq!(into.features, self.features(), "the buffer has this number of features");
        assert_eq!(into.outputs, self.targets.outputs(), "the buffer has this number of outputs");
        let inputs = into.start(samples.len());
        self.features.gather(samples, inputs);
        if let Some(standardize) = &self.standardize {
            standardize.apply(inputs);
        }
        self.gather_targets(samples, into);
    }

    fn gather_targets(&self, samples: &[u32], into: &mut GatherBuffer) {
        into.indices.clear();
        match &self.indices {
            Some(indices) => into.indices.extend(samples.iter().map(|&s| indices[s as usize])),
            None => into.indices.extend_from_slice(samples),
        }
        into.labels.clear();
        into.values.clear();
        into.weights.clear();
        match &self.targets {
            Targets::Classes { labels, .. } => {
                into.labels.extend(samples.iter().map(|&s| labels[s as usize]));
            }
            Targets::Values { values, outputs } => {
                for &sample in samples {
                    let start = sample as usize * outputs;
                    into.values.extend_from_slice(&values[start..start + outputs]);
                }
            }
            Targets::None => {}
        }
        into.weighted = self.weights.is_some();
        if let Some(weights) = &self.weights {
            into.weights.extend(samples.iter().map(|&s| weights[s as usize]));
        }
    }

    /// Returns the number of bytes that the samples, targets and weights occupy.
    pub fn storage_bytes(&self) -> usize {
        let weights = self.weights.as_deref().map_or(0, size_of_val);
        self.features.bytes() + self.targets.bytes() + weights
    }

    /// Returns a short description of the storage: "u8 images 28 × 28", "f32 dense", "sparse, 1.2 %
    /// filled".
    pub fn describe(&self) -> String {
        self.features.describe()
    }

    /// Returns the height and width if each sample is an image of one channel, stored row by row;
    /// `None` if the data has no such shape.
    pub fn image_size(&self) -> Option<(usize, usize)> {
        match self.features.shape.as_slice() {
            [height, width] => Some((*height, *width)),
            _ => None,
        }
    }

    /// Returns the features of one sample as `f32`, without [standardization](Self::standardize).
    ///
    /// # Panics
    ///
    /// If the sample number is not below [`len`](Self::len).
    pub fn features_of(&self, sample: usize) -> Vec<f32> {
        assert!(sample < self.len(), "sample {sample} of {}", self.len());
        let mut features = vec![0.0; self.features()];
        self.features.gather(&[sample as u32], &mut features);
        features
    }

    /// Returns the [standardization](Self::standardize), if there is one.
    pub fn standardization(&self) -> Option<&Standardize> {
        self.standardize.as_ref()
    }

    /// The features as stored.
    pub(super) fn stored(&self) -> &Features {
        &self.features
    }

    /// Returns the given samples, in that order, with all data that belongs to them.
    pub fn select(&self, samples: &[u32]) -> Dataset {
        Dataset {
            features: self.features.select(samples),
            indices: self.indices.as_ref().map(|indices| select_rows(indices, 1, samples)),
            targets: self.targets.select(samples),
            classes: self.classes.clone(),
            weights: self.weights.as_ref().map(|weights| select_rows(weights, 1, samples)),
            standardize: self.standardize.clone(),
            columns: self.columns.clone(),
            remarks: self.remarks.clone(),
        }
    }
}

fn check_weights(weights: Option<&[f32]>, samples: usize) -> Result<(), DataError> {
    let Some(weights) = weights else { return Ok(()) };
    check_len("weights", weights.len(), samples)?;
    check_each("weight", weights, 1, "a finite number of 0 or more", |w| w.is_finite() && *w >= 0.0)
}

/// The samples of a source.
///
/// # Examples
///
/// ```
/// use phalanx::data::{LoadOptions, LoadedData, Source};
///
/// let digits: Source = "digits".parse()?;
/// let LoadedData { train, test } = digits.load(&LoadOptions::default())?;
/// assert_eq!((train.len(), train.features()), (1437, 64));
/// assert_eq!(test.map(|test| test.len()), Some(360));
/// # Ok::<(), phalanx::data::DataError>(())
/// ```
#[derive(Debug, Clone)]
pub struct LoadedData {
    /// The training samples, or all samples if the source has no test part. **Empty** for a folder
    /// that contains only t10k files, which can be used for evaluation only: check before training.
    pub train: Dataset,
    /// The test samples, if the source has its own. Their labels are mapped to the classes of the
    /// training samples.
    pub test: Option<Dataset>,
}

/// The samples of one shard, converted to `f32`, ready for a forward and backward pass. Each rank
/// has one buffer and reuses it for every shard: gathering up to `max_samples` samples does not
/// allocate.
#[derive(Debug, Clone)]
pub struct GatherBuffer {
    /// The number of samples gathered last.
    len: usize,
    features: usize,
    outputs: usize,
    /// Room for (capacity, features) numbers; only the first `len` samples are valid.
    inputs: Vec<f32>,
    /// The indices of the `len` samples.
    indices: Vec<u32>,
    /// `len` class indices, or empty.
    labels: Vec<u32>,
    /// `len` × `outputs` numbers, or empty.
    values: Vec<f32>,
    /// `len` weights, if `weighted`.
    weights: Vec<f32>,
    weighted: bool,
}

impl GatherBuffer {
    /// Allocates room for `max_samples` samples of `features` inputs and `outputs` target values (0
    /// for classes).
    ///
    /// # Cost
    ///
    /// 4 × `max_samples` × (`features` + `outputs` + 3) bytes.
    pub fn new(max_samples: usize, features: usize, outputs: usize) -> Self {
        GatherBuffer {
            len: 0,
            features,
            outputs,
            inputs: vec![0.0; max_samples * features],
            indices: Vec::with_capacity(max_samples),
            labels: Vec::with_capacity(max_samples),
            values: Vec::with_capacity(max_samples * outputs),
            weights: Vec::with_capacity(max_samples),
            weighted: false,
        }
    }

    /// Returns the number of samples gathered last.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the buffer is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The inputs, (samples, features).
    pub fn inputs(&self) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape((self.len, self.features), &self.inputs[..self.len * self.features])
            .expect("the slice has samples × features numbers")
    }

    /// The index of each sample: its position in the data set, unless the data set was created
    /// [from indices](Dataset::from_indices).
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// The class index of each sample; empty unless the targets are classes.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The target values, (samples, outputs); outputs is 0 unless the targets are values.
    pub fn values(&self) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape((self.len, self.outputs), &self.values)
            .expect("the slice has samples × outputs numbers")
    }

    /// The weight of each sample, if the data has weights.
    pub fn weights(&self) -> Option<&[f32]> {
        self.weighted.then_some(self.weights.as_slice())
    }

    /// Replaces the inputs of samples of weight 0 by zeros: such samples must not contribute, but 0
    /// times infinity would be NaN.
    pub fn clear_weightless(&mut self) {
        if self.weighted && self.features > 0 {
            for (row, weight) in self.inputs.chunks_exact_mut(self.features).zip(&self.weights) {
                if *weight == 0.0 {
                    row.fill(0.0);
                }
            }
        }
    }

    /// Sets the number of samples and returns the slice for their inputs.
    fn start(&mut self, samples: usize) -> &mut [f32] {
        let numbers = samples * self.features;
        if self.inputs.len() < numbers {
            self.inputs.resize(numbers, 0.0);
        }
        self.len = samples;
        &mut self.inputs[..numbers]
    }
}

/// The mean and standard deviation of each feature, or of each target, learned from the training
/// samples and stored with the model.
///
/// mean_j = (1/n) Σ x_ij, std_j = √((1/n) Σ (x_ij − mean_j)²), the population standard deviation; a
/// feature that never varies gets the deviation 1, so it is gathered as 0 wherever it has its usual
/// value. For targets, samples count by their weights: see [`learn_targets`](Self::learn_targets).
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use phalanx::data::{Dataset, Standardize, Targets};
///
/// let data = Dataset::from_arrays(array![[1.0, 5.0], [3.0, 5.0]], Targets::None, None)?;
/// let standardize = Standardize::learn(&data)?;
/// assert_eq!((standardize.mean(), standardize.std()), (&[2.0, 5.0][..], &[1.0, 1.0][..]));
/// # Ok::<(), phalanx::data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standardize {
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl Standardize {
    pub(super) fn new(mean: Vec<f32>, std: Vec<f32>) -> Self {
        Self { mean, std }
    }

    /// The mean of each feature.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// The divisor of each feature: its standard deviation, or 1 if it never varies.
    pub fn std(&self) -> &[f32] {
        &self.std
    }

    /// Checks values read from a file, which may be invalid, for this number of features or
    /// targets.
    pub(crate) fn check(&self, expected: usize) -> Result<(), DataError> {
        for found in [self.mean.len(), self.std.len()] {
            if found != expected {
                return Err(DataError::StandardizeLen { found, expected });
            }
        }
        for (feature, (&mean, &std)) in self.mean.iter().zip(&self.std).enumerate() {
            if !(mean.is_finite() && std.is_finite() && std > 0.0) {
                return Err(DataError::StandardizeValue { feature, mean, std });
            }
        }
        Ok(())
    }

    /// Standardizes rows of (samples, features) in place.
    fn apply(&self, rows: &mut [f32]) {
        for row in rows.chunks_exact_mut(self.mean.len()) {
            for ((x, mean), std) in row.iter_mut().zip(&self.mean).zip(&self.std) {
                *x = (*x - mean) / std;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{array, s};

    use super::*;

    fn values() -> Targets {
        Targets::Values { values: vec![1.0, 2.0, 3.0, 4.0], outputs: 2 }
    }

    #[test]
    fn samples_are_gathered_in_the_order_of_the_given_numbers() {
        let data = Dataset::from_arrays(array![[1.0], [2.0]], values(), Some(vec![0.0, 3.0])).unwrap();
        let mut shard = GatherBuffer::new(3, 1, 2);
        data.gather(&[1, 0, 1], &mut shard);
        assert_eq!(shard.inputs(), array![[2.0], [1.0], [2.0]]);
        assert_eq!(shard.values(), array![[3.0, 4.0], [1.0, 2.0], [3.0, 4.0]]);
        assert_eq!(shard.weights(), Some(&[3.0, 0.0, 3.0][..]));
        assert!(shard.labels().is_empty());
    }

    #[test]
    fn a_smaller_gather_clears_the_data_of_a_larger_one() {
        let data = Dataset::from_arrays(array![[1.0], [2.0]], values(), None).unwrap();
        let mut shard = GatherBuffer::new(2, 1, 2);
        data.gather(&[0, 1], &mut shard);
        data.gather(&[1], &mut shard);
        assert_eq!((shard.len(), shard.inputs()), (1, array![[2.0]].view()));
        assert_eq!((shard.values().dim(), shard.weights()), ((1, 2), None));
        data.gather(&[], &mut shard);
        assert!(shard.is_empty() && shard.values().is_empty());
    }

    #[test]
    fn features_of_a_sample_are_unchanged_and_have_an_image_size_only_if_the_data_has_one() {
        let mut data = Dataset::from_arrays(array![[1.0, 5.0], [3.0, 7.0]], values(), None).unwrap();
        data.standardize(Standardize::learn(&data).unwrap()).unwrap();
        assert_eq!((data.features_of(1), data.image_size()), (vec![3.0, 7.0], None));
    }

    #[test]
    fn gathering_within_capacity_does_not_reallocate() {
        let data = Dataset::from_arrays(array![[1.0], [2.0]], values(), Some(vec![1.0, 1.0])).unwrap();
        let mut shard = GatherBuffer::new(2, 1, 2);
        let before = (shard.inputs.as_ptr(), shard.values.as_ptr(), shard.weights.as_ptr());
        data.gather(&[0, 1], &mut shard);
        assert_eq!(before, (shard.inputs.as_ptr(), shard.values.as_ptr(), shard.weights.as_ptr()));
    }

    #[test]
    fn arrays_in_any_memory_layout_are_read_the_same() {
        let array = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let mut shard = GatherBuffer::new(2, 2, 0);
        for view in [array.slice(s![.., 1..]), array.slice(s![.., ..;-2])] {
            for owned in [view.to_owned(), view.t().as_standard_layout().into_owned().reversed_axes()] {
                Dataset::from_arrays(owned, Targets::None, None).unwrap().gather(&[0, 1], &mut shard);
                assert_eq!(shard.inputs(), view);
            }
        }
    }

    #[test]
    fn arrays_of_inconsistent_lengths_are_rejected() {
        let zeros = || Array2::zeros((2, 3));
        let message = |targets, weights| {
            Dataset::from_arrays(zeros(), targets, weights).map(|_| ()).unwrap_err().to_string()
        };
        let labels = |labels| Targets::Classes { labels, count: 2 };
        assert!(message(labels(vec![0]), None).contains("the number of labels is 1, expected 2"));
        assert!(message(labels(vec![0, 2]), None).contains("label 2 of sample 1, expected a class below"));
        assert!(message(Targets::None, Some(vec![1.0])).contains("the number of weights is 1, expected 2"));
        assert!(message(Targets::None, Some(vec![1.0, -1.0])).contains("weight -1 of sample 1"));
        assert!(message(Targets::Values { values: vec![], outputs: 0 }, None).contains("target values is 0"));
        let nan = Dataset::from_arrays(array![[0.0, f32::NAN]], Targets::None, None).unwrap_err();
        assert!(nan.to_string().contains("feature NaN of sample 0"));
    }

    #[test]
    fn a_data_set_can_be_shared_by_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Dataset>();
    }
}
