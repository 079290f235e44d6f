//! A short last batch with fewer samples than shards: each rank then computes a different range of
//! shards than usual, and the bits still do not depend on the number of ranks.

use ndarray::Array2;
use phalanx::data::{Dataset, Targets};
use phalanx::model::{Samples, from_fn};
use phalanx::train::{Length, Options, Shards, Trainer};

/// `samples` samples of one feature each, all different.
fn ramp(samples: usize) -> Dataset {
    let features = Array2::from_shape_fn((samples, 1), |(sample, _)| 0.1 + sample as f32);
    Dataset::from_arrays(features, Targets::None, None).unwrap()
}

/// Returns the bits of the mean that SGD finds in one epoch.
fn trained(data: &Dataset, batch_size: usize, shards: usize, threads: usize) -> u32 {
    let model = from_fn(vec![0.0], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
        grads[0] = samples.inputs.iter().map(|x| params[0] - x).sum();
        samples.inputs.iter().map(|x| f64::from((params[0] - x).powi(2)) / 2.0).sum()
    });
    let (shards, length) = (Shards::Count(shards), Length::Epochs(1));
    let options = Options { threads, batch_size, shards, length, ..Options::default() };
    Trainer::new(&model, data, options).run().unwrap().params[0].to_bits()
}

/// 18 shards over 3 ranks leave 12 to 18 to the last one; 16 shards leave it 11 to 16, which are
/// subtrees of sizes 1, 4 and, while the last is added, 1 and 1: one more than with full batches.
#[test]
fn ranges_of_fewer_shards_that_need_more_slots_get_them() {
    let data = ramp(29 + 16);
    assert_eq!(trained(&data, 29, 18, 3), trained(&data, 29, 18, 1));
}

#[test]
fn every_short_batch_gives_the_same_bits_on_any_number_of_threads() {
    for (batch_size, shards) in [(23, 23), (24, 20), (13, 7)] {
        for rest in 1..batch_size {
            let data = ramp(batch_size + rest);
            let one = trained(&data, batch_size, shards, 1);
            for threads in [2, 3, 5, 8] {
                let found = trained(&data, batch_size, shards, threads);
                assert_eq!(found, one, "{shards} shards, {rest} remaining samples, {threads} threads");
            }
        }
    }
}

#[test]
fn shards_beyond_the_samples_of_a_batch_cost_nothing() {
    let data = ramp(10);
    assert_eq!(trained(&data, 4, usize::MAX, 2), trained(&data, 4, 4, 2));
    assert_eq!(trained(&data, usize::MAX, 10, 2), trained(&data, 10, 10, 2));
}
