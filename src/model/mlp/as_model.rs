//! The implementation of [`Model`] and its faster variants for the perceptron.

use std::ops::Range;

use super::super::init::Draw;
use super::super::kernel::{ShardRows, bias_gradient, weight_gradient};
use super::super::{
    BatchTargets, DataMismatch, FusedModel, Model, Samples, Score, SegmentModel, ShardRun, TargetShape,
    Tensor,
};
use super::{LayerSpan, Mlp, MlpWorkspace, ROWS_FOR_PARAMS, add_row_squares, contiguous, last};

impl Model for Mlp {
    type Workspace = MlpWorkspace;

    /// Returns `layers.0.weight` (O, I), `layers.0.bias` (O), `layers.1.weight` ...
    fn tensors(&self) -> Vec<Tensor> {
        let pair = |(l, layer): (usize, &LayerSpan)| {
            let weight = Tensor::new(format!("layers.{l}.weight"), &[layer.outputs, layer.inputs]);
            [weight, Tensor::new(format!("layers.{l}.bias"), &[layer.outputs])]
        };
        self.layers.iter().enumerate().flat_map(pair).collect()
    }

    fn params_len(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.bias.end)
    }

    fn check(&self, features: usize, targets: TargetShape) -> Result<(), DataMismatch> {
        self.check_features(features)?;
        self.shape.loss.check(self.shape.outputs, targets)
    }

    fn check_features(&self, found: usize) -> Result<(), DataMismatch> {
        let expected = self.shape.inputs;
        if found == expected { Ok(()) } else { Err(DataMismatch::Features { found, expected }) }
    }

    /// Draws the weight and then the bias of each layer as [`Mlp::initialize`] states.
    fn initial_params(&self, seed: u64) -> Vec<f32> {
        let mut params = vec![0.0; self.params_len()];
        let ([weight, bias], mut draw) = (self.init, Draw::new(seed));
        for (l, layer) in self.layers.iter().enumerate() {
            let activation = (l < self.shape.hidden.len()).then_some(self.shape.activation);
            draw.fill(&mut params[layer.weight.clone()], weight, layer.shape(), activation);
            draw.fill(&mut params[layer.bias.clone()], bias, layer.shape(), activation);
        }
        params
    }

    fn workspace(&self, max_samples: usize) -> MlpWorkspace {
        self.workspace_of(max_samples)
    }

    fn gradient(
        &self,
        params: &[f32],
        samples: &Samples<'_>,
        grads: &mut [f32],
        workspace: &mut MlpWorkspace,
    ) -> f64 {
        self.gradient_of(params, samples, grads, workspace)
    }

    fn prediction_len(&self) -> usize {
        self.shape.outputs
    }

    fn predict_samples(
        &self,
        params: &[f32],
        samples: &Samples<'_>,
        predictions: &mut [f32],
        workspace: &mut MlpWorkspace,
    ) {
        let outputs = self.outputs(params, samples.inputs, workspace);
        predictions.copy_from_slice(outputs.as_slice().expect("the outputs are contiguous"));
        predictions.chunks_exact_mut(self.shape.outputs).for_each(|row| self.predict(row));
    }

    fn score(&self, params: &[f32], samples: &Samples<'_>, workspace: &mut MlpWorkspace) -> Score {
        if samples.is_empty() {
            let correct = matches!(samples.targets, BatchTargets::Classes(_)).then_some(0.0);
            return Score { correct, ..Score::default() };
        }
        self.forward(params, contiguous(&samples.inputs), samples.len(), workspace);
        let outputs = last(workspace, samples.len(), self.shape.outputs);
        match &self.targets {
            Some(scale) => scale.score(outputs, samples),
            None => self.shape.loss.score(outputs, samples),
        }
    }

    fn fused(&self) -> Option<&dyn FusedModel<MlpWorkspace>> {
        Some(self)
    }
}

impl FusedModel<MlpWorkspace> for Mlp {
    /// Computes all samples in one pass: a row of a layer has the same bits whatever is computed
    /// with it, and the kernels combine the shards of a weight's gradient while it is in registers.
    /// The divisor is applied to the rows of a shard, not to its sum.
    fn subtree_gradient(
        &self,
        params: &[f32],
        shards: &ShardRun<'_>,
        grads: &mut [f32],
        losses: &mut [f64],
        workspace: &mut MlpWorkspace,
    ) {
        self.propagate_shards(params, shards, losses, workspace);
        self.params_gradient(contiguous(&shards.all_samples().inputs), grads, workspace);
    }

    fn gradient_bound(&self, shards: &ShardRun<'_>, workspace: &MlpWorkspace) -> f64 {
        self.bound(contiguous(&shards.all_samples().inputs), workspace)
    }

    fn by_segment(&self) -> Option<&dyn SegmentModel<MlpWorkspace>> {
        Some(self)
    }
}

impl SegmentModel<MlpWorkspace> for Mlp {
    /// Returns whether the values kept for all samples, B·Σ(I + O), are at most four times as many
    /// as the params.
    fn reduces_by_segment(&self, samples: usize) -> bool {
        let width: usize = self.layers.iter().map(|layer| layer.inputs + layer.outputs).sum();
        samples.saturating_mul(width) <= ROWS_FOR_PARAMS * self.params_len()
    }

    fn propagate(
        &self,
        params: &[f32],
        shards: &ShardRun<'_>,
        losses: &mut [f64],
        workspace: &mut MlpWorkspace,
    ) {
        self.propagate_shards(params, shards, losses, workspace);
        let all = shards.all_samples();
        let inputs = contiguous(&all.inputs);
        let mut panels = std::mem::take(&mut workspace.panels);
        for (l, (place, panels)) in self.layers.iter().zip(&mut panels).enumerate() {
            let [_, inputs] = workspace.rows(l, place.shape(), inputs);
            panels.pack(inputs, (workspace.samples(), place.inputs));
        }
        workspace.panels = panels;
    }

    /// Computes the part of the segment in the weight and the bias of each layer.
    fn segment_gradient<'a>(
        &self,
        ranks: usize,
        workspace_of: &dyn Fn(usize) -> &'a MlpWorkspace,
        segment: Range<usize>,
        spare: &mut MlpWorkspace,
        sink: &mut dyn FnMut(Range<usize>, &mut [f32]),
    ) {
        for (l, place) in self.layers.iter().enumerate() {
            let parts = (0..ranks).map(|rank| {
                let rank = workspace_of(rank);
                let d_outputs = rank.delta(l, place.outputs);
                ShardRows { d_outputs, inputs: &rank.panels[l], ends: &rank.ends }
            });
            let (shape, scratch) = ((place.outputs, place.inputs), &mut spare.scratch);
            let weight = common(&place.weight, &segment);
            weight_gradient(parts.clone(), shape, weight, scratch, &mut |range, grads| {
                sink(place.weight.start + range.start..place.weight.start + range.end, grads);
            });
            bias_gradient(parts, shape.0, common(&place.bias, &segment), scratch, &mut |range, grads| {
                sink(place.bias.start + range.start..place.bias.start + range.end, grads);
            });
        }
    }

    /// Takes B·Σ(I + O) multiplications, since the gradient of a sample and a layer is an outer
    /// product.
    fn sample_squares(&self, shards: &ShardRun<'_>, squares: &mut [f64], workspace: &MlpWorkspace) {
        let samples = shards.all_samples();
        squares.fill(0.0);
        for (l, place) in self.layers.iter().enumerate() {
            let [delta, inputs] = workspace.rows(l, place.shape(), contiguous(&samples.inputs));
            add_row_squares(delta, inputs, place.shape(), squares);
        }
    }
}

/// Returns the part of a segment that is in `place`, counted from the start of `place`.
fn common(place: &Range<usize>, segment: &Range<usize>) -> Range<usize> {
    let [start, end] = [segment.start, segment.end].map(|index| index.clamp(place.start, place.end));
    start - place.start..end - place.start
}
