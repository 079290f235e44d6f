//! The product kernels: they agree with the definition, and the bits of a result depend neither on
//! the number of rows in a call nor on which rank computes which shards.

use std::ops::Range;

use ndarray::{Array2, ArrayView2};
use phalanx::collective::tree::{Node, Stack};
use phalanx::internals::kernel::{
    Epilogue, Linear, Panels, Scratch, ShardRows, backward_bias, backward_weight, bias_gradient,
    weight_gradient,
};
use proptest::prelude::*;

/// Small integers: products and sums are exact, so that every order of additions gives the same
/// result.
fn integers(len: usize, salt: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 31 + salt * 7 + i / 13) % 23) as f32 - 11.0).collect()
}

/// Values whose sums are rounded differently in each order.
fn fractions(len: usize, salt: u32) -> Vec<f32> {
    let mut state = salt.wrapping_mul(2_654_435_761).wrapping_add(12345);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn matrix(values: &[f32], rows: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows, values.len() / rows), values).unwrap()
}

/// A scratch that contains data of another call.
fn used_scratch() -> Scratch {
    let mut scratch = Scratch::default();
    let (weight, bias) = (vec![f32::NAN; 40 * 600], vec![f32::NAN; 600]);
    Linear::new(&weight, &bias).forward(
        &[1.0; 40 * 3],
        &mut [0.0; 600 * 3],
        Epilogue::Identity,
        &mut scratch,
    );
    let nan = [f32::NAN; 50 * 50];
    backward_weight(&nan, &nan, &[10, 20, 30, 50], &mut [0.0; 50 * 50], &mut scratch);
    scratch
}

fn forward(inputs: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let layer = Linear::new(weight, bias);
    let rows = inputs.len() / (weight.len() / bias.len());
    let mut outputs = vec![f32::NAN; rows * bias.len()];
    layer.forward(inputs, &mut outputs, Epilogue::Identity, &mut used_scratch());
    outputs
}

fn backward_inputs(d_outputs: &[f32], weight: &[f32], outs: usize) -> Vec<f32> {
    let bias = vec![0.0; outs];
    let mut d_inputs = vec![f32::NAN; d_outputs.len() / outs * (weight.len() / outs)];
    Linear::new(weight, &bias).backward_inputs(d_outputs, &mut d_inputs, &mut used_scratch());
    d_inputs
}

/// Returns ∂W followed by ∂b, for rows that are split into shards at `ends`.
fn gradient(d_outputs: &[f32], inputs: &[f32], ends: &[usize]) -> Vec<f32> {
    let rows = ends[ends.len() - 1];
    let (outs, ins) = (d_outputs.len() / rows, inputs.len() / rows);
    let mut grads = vec![f32::NAN; outs * ins + outs];
    let (d_weight, d_bias) = grads.split_at_mut(outs * ins);
    let mut scratch = used_scratch();
    backward_weight(d_outputs, inputs, ends, d_weight, &mut scratch);
    backward_bias(d_outputs, ends, d_bias, &mut scratch);
    grads
}

fn ends(lengths: &[usize]) -> Vec<usize> {
    lengths
        .iter()
        .scan(0, |end, len| {
            Some({
                *end += len;
                *end
            })
        })
        .collect()
}

fn by_definition(left: ArrayView2<'_, f32>, right: ArrayView2<'_, f32>) -> Vec<f32> {
    let mut found = Array2::zeros((left.nrows(), right.ncols()));
    for ((m, p), value) in found.indexed_iter_mut() {
        *value = left.row(m).iter().zip(right.column(p)).map(|(l, r)| l * r).sum();
    }
    found.into_raw_vec_and_offset().0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn outputs_match_the_definition(rows in 1_usize..120, ins in 1_usize..70, outs in 1_usize..70) {
        let (inputs, weight, bias) = (integers(rows * ins, 1), integers(outs * ins, 2), integers(outs, 3));
        let mut expected = by_definition(matrix(&inputs, rows), matrix(&weight, outs).reversed_axes());
        for row in expected.chunks_exact_mut(outs) {
            row.iter_mut().zip(&bias).for_each(|(value, bias)| *value += bias);
        }
        prop_assert_eq!(&forward(&inputs, &weight, &bias), &expected);

        let mut found = vec![f32::NAN; rows * outs];
        Linear::new(&weight, &bias).forward(&inputs, &mut found, Epilogue::Relu, &mut Scratch::default());
        expected.iter_mut().for_each(|value| *value = value.max(0.0));
        prop_assert_eq!(&found, &expected);
    }

    #[test]
    fn gradients_of_inputs_match_the_definition(
        rows in 1_usize..120, ins in 1_usize..70, outs in 1_usize..70,
    ) {
        let (d_outputs, weight) = (integers(rows * outs, 4), integers(outs * ins, 5));
        let expected = by_definition(matrix(&d_outputs, rows), matrix(&weight, outs));
        prop_assert_eq!(backward_inputs(&d_outputs, &weight, outs), expected);
    }

    #[test]
    fn gradients_of_weight_and_bias_match_the_definition(
        lengths in proptest::collection::vec(1_usize..20, 1..12), ins in 1_usize..150, outs in 1_usize..70,
    ) {
        let ends = ends(&lengths);
        let rows = ends[ends.len() - 1];
        let (d_outputs, inputs) = (integers(rows * outs, 6), integers(rows * ins, 7));
        let left = matrix(&d_outputs, rows);
        let mut expected = by_definition(left.reversed_axes(), matrix(&inputs, rows));
        let ones = vec![1.0; rows];
        expected.extend(by_definition(left.reversed_axes(), matrix(&ones, rows)));
        prop_assert_eq!(gradient(&d_outputs, &inputs, &ends), expected);
    }

    /// Some consecutive rows of a call, computed in a separate call, at another position.
    #[test]
    fn the_bits_of_a_row_do_not_depend_on_other_rows(
        rows in 1_usize..130, first in 0_usize..130, len in 1_usize..130, ins in 1_usize..40, outs in 1_usize..40,
    ) {
        let first = first.min(rows - 1);
        let part = first..(first + len).min(rows);
        let (inputs, weight, bias) = (fractions(rows * ins, 1), fractions(outs * ins, 2), fractions(outs, 3));
        let outputs = forward(&inputs, &weight, &bias);
        let alone = forward(&inputs[part.start * ins..part.end * ins], &weight, &bias);
        prop_assert_eq!(bits(&alone), bits(&outputs[part.start * outs..part.end * outs]));

        let d_inputs = backward_inputs(&outputs, &weight, outs);
        let alone = backward_inputs(&outputs[part.start * outs..part.end * outs], &weight, outs);
        prop_assert_eq!(bits(&alone), bits(&d_inputs[part.start * ins..part.end * ins]));
    }

    /// Each rank owns a run of shards, split anywhere. It computes the maximal complete subtrees of
    /// its run, in one call each or shard by shard; the results of all ranks are combined in the
    /// tree. The result has the bits of one call.
    #[test]
    fn the_bits_of_a_gradient_do_not_depend_on_which_rank_owns_which_shards(
        lengths in proptest::collection::vec(1_usize..9, 1..20),
        boundaries in proptest::collection::vec(0_usize..20, 0..5),
        ins in 1_usize..70,
        outs in 1_usize..30,
    ) {
        let ends = ends(&lengths);
        let rows = ends[ends.len() - 1];
        let all = Batch { d_outputs: fractions(rows * outs, 8), inputs: fractions(rows * ins, 9), ends };
        let whole = gradient(&all.d_outputs, &all.inputs, &all.ends);

        let mut nodes: Vec<(Node, Vec<f32>)> = Vec::new();
        for run in runs(boundaries, lengths.len()) {
            nodes.extend(subtrees(run).map(|node| (node, all.gradient(node.leaves()))));
        }
        prop_assert_eq!(bits(&Stack::fold(nodes, add).unwrap()), bits(&whole));

        let leaves = (0..lengths.len()).map(|shard| (Node::leaf(shard), all.gradient(shard..shard + 1)));
        prop_assert_eq!(bits(&Stack::fold(leaves, add).unwrap()), bits(&whole));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Rows in several parts, and any segment: it may begin and end within a row.
    #[test]
    fn a_segment_of_a_gradient_has_the_bits_of_the_whole_gradient(
        lengths in proptest::collection::vec(0_usize..9, 1..20),
        boundaries in proptest::collection::vec(0_usize..20, 0..5),
        (start, end) in (0_usize..3000, 0_usize..3000),
        ins in 1_usize..70,
        outs in 1_usize..40,
    ) {
        let ends = ends(&lengths);
        let rows = ends[ends.len() - 1];
        prop_assume!(rows > 0);
        let all = Batch { d_outputs: fractions(rows * outs, 8), inputs: fractions(rows * ins, 9), ends };
        let whole = gradient(&all.d_outputs, &all.inputs, &all.ends);
        let parts: Vec<_> = runs(boundaries, lengths.len()).into_iter().map(|run| all.part(run)).collect();
        let parts = parts.iter().map(|(d_outputs, inputs, ends)| ShardRows { d_outputs, inputs, ends });
        let mut scratch = used_scratch();

        let (start, end) = (start.min(end) % (outs * ins + 1), start.max(end) % (outs * ins + 1));
        let segment = start.min(end)..start.max(end);
        let mut found = vec![f32::NAN; outs * ins];
        weight_gradient(parts.clone(), (outs, ins), segment.clone(), &mut scratch, &mut |range, values| {
            assert!(found[range.clone()].iter().all(|value| value.is_nan()), "{range:?} was passed twice");
            found[range].copy_from_slice(values);
        });
        prop_assert_eq!(bits(&found[segment.clone()]), bits(&whole[segment.clone()]));
        prop_assert!(found[..segment.start].iter().chain(&found[segment.end..]).all(|value| value.is_nan()));

        let segment = start % outs..outs;
        let mut found = vec![f32::NAN; outs];
        bias_gradient(parts, outs, segment.clone(), &mut scratch, &mut |range, values| {
            found[range].copy_from_slice(values);
        });
        prop_assert_eq!(bits(&found[segment.clone()]), bits(&whole[outs * ins..][segment]));
    }
}

struct Batch {
    d_outputs: Vec<f32>,
    inputs: Vec<f32>,
    ends: Vec<usize>,
}

impl Batch {
    /// Returns the rows and ends of some shards.
    fn part(&self, shards: Range<usize>) -> (&[f32], Panels, Vec<usize>) {
        let rows = self.ends[self.ends.len() - 1];
        let (outs, ins) = (self.d_outputs.len() / rows, self.inputs.len() / rows);
        let end = |shard: usize| if shard == 0 { 0 } else { self.ends[shard - 1] };
        let (start, stop) = (end(shards.start), end(shards.end));
        let ends = self.ends[shards].iter().map(|end| end - start).collect();
        let mut inputs = Panels::default();
        inputs.pack(&self.inputs[start * ins..stop * ins], (stop - start, ins));
        (&self.d_outputs[start * outs..stop * outs], inputs, ends)
    }

    /// Computes the gradient of some shards in one call.
    fn gradient(&self, shards: Range<usize>) -> Vec<f32> {
        let rows = self.ends[self.ends.len() - 1];
        let (outs, ins) = (self.d_outputs.len() / rows, self.inputs.len() / rows);
        let start = if shards.start == 0 { 0 } else { self.ends[shards.start - 1] };
        let end = self.ends[shards.end - 1];
        let ends: Vec<usize> = self.ends[shards].iter().map(|end| end - start).collect();
        gradient(&self.d_outputs[start * outs..end * outs], &self.inputs[start * ins..end * ins], &ends)
    }
}

/// Splits 0..len at some positions.
fn runs(mut boundaries: Vec<usize>, len: usize) -> Vec<Range<usize>> {
    boundaries.iter_mut().for_each(|cut| *cut = (*cut).min(len));
    boundaries.extend([0, len]);
    boundaries.sort_unstable();
    boundaries.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

/// Returns the maximal complete subtrees of some shards.
fn subtrees(shards: Range<usize>) -> impl Iterator<Item = Node> {
    let mut stack = Stack::with_capacity(shards.len());
    shards.for_each(|shard| stack.push(Node::leaf(shard), (), |(), ()| ()));
    stack.drain().map(|(node, ())| node).collect::<Vec<_>>().into_iter()
}

fn add(left: Vec<f32>, right: Vec<f32>) -> Vec<f32> {
    left.iter().zip(&right).map(|(left, right)| left + right).collect()
}

/// Shapes with several blocks of depth, of rows, of panels and of strips.
#[test]
fn large_layers_match_the_definition() {
    for (rows, ins, outs) in [(100, 1100, 300), (97, 530, 17), (205, 300, 1030), (70, 2100, 50)] {
        let (inputs, weight, bias) = (integers(rows * ins, 1), integers(outs * ins, 2), vec![0.0; outs]);
        let expected = by_definition(matrix(&inputs, rows), matrix(&weight, outs).reversed_axes());
        assert!(forward(&inputs, &weight, &bias) == expected, "forward {rows} {ins} {outs}");

        let d_outputs = integers(rows * outs, 3);
        let expected = by_definition(matrix(&d_outputs, rows), matrix(&weight, outs));
        assert!(backward_inputs(&d_outputs, &weight, outs) == expected, "inputs {rows} {ins} {outs}");

        let expected = by_definition(matrix(&d_outputs, rows).reversed_axes(), matrix(&inputs, rows));
        let found = gradient(&d_outputs, &inputs, &[30, 31, 64, rows]);
        assert!(found[..outs * ins] == expected, "weight {rows} {ins} {outs}");
    }
}

/// The documented order, independent of blocks: products are added one by one, and rounded once or
/// twice.
#[test]
fn an_output_is_one_chain_of_multiply_adds_that_starts_from_the_bias() {
    for (rows, ins, outs) in [(7, 100, 40), (3, 1500, 20), (101, 600, 260)] {
        let (inputs, weight, bias) = (fractions(rows * ins, 1), fractions(outs * ins, 2), fractions(outs, 3));
        let chain = |multiply_add: fn(f32, f32, f32) -> f32| -> Vec<f32> {
            let element = |row: &[f32], out: usize| {
                let products = row.iter().zip(&weight[out * ins..][..ins]);
                products.fold(bias[out], |sum, (a, w)| multiply_add(*a, *w, sum))
            };
            inputs.chunks_exact(ins).flat_map(|row| (0..outs).map(move |out| element(row, out))).collect()
        };
        let found = bits(&forward(&inputs, &weight, &bias));
        let (once, twice) = (bits(&chain(f32::mul_add)), bits(&chain(|a, b, c| a * b + c)));
        assert_ne!(once, twice);
        assert!(found == once || found == twice, "{rows} {ins} {outs}");
    }
}

#[test]
fn a_non_finite_row_affects_only_itself() {
    let (rows, ins, outs) = (20, 30, 21);
    for spoilt in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let (mut inputs, weight) = (integers(rows * ins, 1), vec![0.0; outs * ins]);
        inputs[11 * ins + 3] = spoilt;
        let layer = Linear::new(&weight, &[1.0; 21]);
        let mut outputs = vec![0.0; rows * outs];
        // ±∞ · 0 is NaN, which relu keeps.
        layer.forward(&inputs, &mut outputs, Epilogue::Relu, &mut Scratch::default());
        for (index, row) in outputs.chunks_exact(outs).enumerate() {
            assert!(row.iter().all(|value| if index == 11 { value.is_nan() } else { *value == 1.0 }));
        }
    }
}

#[test]
fn non_finite_values_reach_only_the_gradients_that_they_belong_to() {
    let (rows, ins, outs) = (20, 30, 21);
    let (mut d_outputs, inputs) = (vec![1.0; rows * outs], vec![1.0; rows * ins]);
    d_outputs[7 * outs + 5] = f32::NAN;
    d_outputs[9 * outs + 20] = f32::INFINITY;
    let grads = gradient(&d_outputs, &inputs, &[4, 8, 12, 20]);
    let (d_weight, d_bias) = grads.split_at(outs * ins);
    let is_right = |out: usize, value: f32| match out {
        5 => value.is_nan(),
        20 => value == f32::INFINITY,
        _ => value == 20.0,
    };
    assert!(d_weight.iter().enumerate().all(|(index, value)| is_right(index / ins, *value)));
    assert!(d_bias.iter().enumerate().all(|(index, value)| is_right(index, *value)));
}

#[test]
fn relu_keeps_a_negative_zero() {
    let mut outputs = [1.0];
    Linear::new(&[0.0], &[-0.0]).forward(&[-1.0], &mut outputs, Epilogue::Relu, &mut Scratch::default());
    assert_eq!(outputs[0].to_bits(), (-0.0_f32).to_bits());
}

#[test]
fn a_shard_without_rows_is_a_sum_of_zeros() {
    let (d_outputs, inputs) = (fractions(6 * 5, 1), fractions(6 * 4, 2));
    let with = gradient(&d_outputs, &inputs, &[0, 2, 2, 6]);
    let left = gradient(&d_outputs[..2 * 5], &inputs[..2 * 4], &[2]);
    let right = gradient(&d_outputs[2 * 5..], &inputs[2 * 4..], &[4]);
    assert_eq!(bits(&with), bits(&add(left, right)));

    let mut d_weight = [f32::NAN; 6];
    backward_weight(&[], &[], &[0, 0], &mut d_weight, &mut Scratch::default());
    assert_eq!(d_weight, [0.0; 6]);
}

#[test]
fn no_rows_give_no_outputs() {
    let (weight, mut scratch) = ([1.0; 400], Scratch::default());
    let layer = Linear::new(&weight, &[0.0; 2]);
    layer.forward(&[], &mut [], Epilogue::Identity, &mut scratch);
    layer.backward_inputs(&[], &mut [], &mut scratch);
}

#[test]
#[should_panic(expected = "outputs have 4 values in each of 2 rows")]
fn outputs_of_the_wrong_shape_are_rejected() {
    let layer = Linear::new(&[1.0; 12], &[0.0; 4]);
    layer.forward(&[1.0; 6], &mut [0.0; 9], Epilogue::Identity, &mut Scratch::default());
}

#[test]
#[should_panic(expected = "shards are in order")]
fn descending_ends_are_rejected() {
    backward_weight(&[1.0; 3], &[1.0; 3], &[2, 1, 3], &mut [0.0], &mut Scratch::default());
}

#[test]
#[should_panic(expected = "shards are in order")]
fn descending_ends_are_rejected_even_if_the_last_is_zero() {
    backward_weight(&[], &[], &[3, 0], &mut [0.0], &mut Scratch::default());
}
