//! The buffer that a rank gathers its shards into.

use ndarray::ArrayView2;

/// The samples of one shard, converted to `f32`, ready for a forward and backward pass. One per rank, used again for every
/// shard: gathering within `max_samples` allocates nothing.
#[derive(Debug, Clone)]
pub struct Gathered {
    /// Samples gathered last.
    pub(super) len: usize,
    pub(super) features: usize,
    pub(super) outputs: usize,
    /// Room for (capacity, features) numbers; only the first `len` samples are those gathered last.
    pub(super) inputs: Vec<f32>,
    /// `len` class indices, or empty.
    pub(super) labels: Vec<u32>,
    /// `len` × `outputs` numbers, or empty.
    pub(super) values: Vec<f32>,
    /// `len` weights, if `weighted`.
    pub(super) weights: Vec<f32>,
    pub(super) weighted: bool,
}

impl Gathered {
    /// Makes room for `max_samples` samples of `features` inputs and `outputs` target values (0 for classes).
    ///
    /// # Cost
    ///
    /// 4 × `max_samples` × (`features` + `outputs` + 2) bytes.
    pub fn new(max_samples: usize, features: usize, outputs: usize) -> Self {
        Gathered {
            len: 0,
            features,
            outputs,
            inputs: vec![0.0; max_samples * features],
            labels: Vec::with_capacity(max_samples),
            values: Vec::with_capacity(max_samples * outputs),
            weights: Vec::with_capacity(max_samples),
            weighted: false,
        }
    }

    /// The number of samples gathered last.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is gathered.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The inputs, (samples, features).
    pub fn inputs(&self) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape((self.len, self.features), &self.inputs[..self.len * self.features])
            .expect("the slice has that many numbers")
    }

    /// The class index of each sample; empty unless the targets are classes.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The target values, (samples, outputs); outputs is 0 unless the targets are values.
    pub fn values(&self) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape((self.len, self.outputs), &self.values)
            .expect("the slice has that many numbers")
    }

    /// The weight of each sample, if the data has weights.
    pub fn weights(&self) -> Option<&[f32]> {
        self.weighted.then_some(self.weights.as_slice())
    }

    /// Replaces the inputs of samples of weight 0 by zeros: they count for nothing, but 0 times infinity would be NaN.
    pub fn clear_weightless(&mut self) {
        if self.weighted {
            for (row, weight) in self.inputs.chunks_exact_mut(self.features).zip(&self.weights) {
                if *weight == 0.0 {
                    row.fill(0.0);
                }
            }
        }
    }

    /// Sets the number of samples and gives the room for their inputs.
    pub(super) fn start(&mut self, samples: usize) -> &mut [f32] {
        let numbers = samples * self.features;
        if self.inputs.len() < numbers {
            self.inputs.resize(numbers, 0.0);
        }
        self.len = samples;
        &mut self.inputs[..numbers]
    }
}
