//! Samples that only the model knows: the trainer passes their indices and weights.

use ndarray::array;
use phalanx::checkpoint::CheckpointError;
use phalanx::data::{DataError, Dataset, Targets};
use phalanx::model::{Model, Samples, Score, Tensor, from_fn, from_score_fn};
use phalanx::optim::{OptimizerKind, OptimizerOptions, Reduction};
use phalanx::train::{Event, Length, Options, Shards, Snapshot, TrainError, Trainer, predict, score};

/// Sequences of different lengths; the model fits p to their mean token, and predicts the sum and
/// the number of tokens of a sequence.
struct MeanToken(Vec<Vec<f32>>);

impl MeanToken {
    fn tokens(&self, samples: &Samples<'_>, k: usize) -> &[f32] {
        &self.0[samples.indices[k] as usize]
    }
}

fn mean(tokens: &[f32]) -> f32 {
    tokens.iter().sum::<f32>() / tokens.len() as f32
}

impl Model for MeanToken {
    type Workspace = ();

    fn tensors(&self) -> Vec<Tensor> {
        vec![Tensor::new("token", &[1])]
    }

    fn initial_params(&self, _: u64) -> Vec<f32> {
        vec![0.0]
    }

    fn workspace(&self, _: usize) {}

    /// The loss of a sequence is ½ (p − its mean)², its weight the number of tokens.
    fn gradient(&self, params: &[f32], samples: &Samples<'_>, grads: &mut [f32], (): &mut ()) -> f64 {
        let (mut gradient, mut loss_sum) = (0.0, 0.0);
        for k in 0..samples.len() {
            let error = params[0] - mean(self.tokens(samples, k));
            gradient += samples.weight(k) * error;
            loss_sum += f64::from(samples.weight(k) * error * error / 2.0);
        }
        grads[0] = gradient;
        loss_sum
    }

    fn score(&self, params: &[f32], samples: &Samples<'_>, (): &mut ()) -> Score {
        let loss_sum = self.gradient(params, samples, &mut [0.0], &mut ());
        Score { loss_sum, weight: samples.total_weight(), correct: None }
    }

    fn prediction_len(&self) -> usize {
        2
    }

    fn predict_samples(&self, params: &[f32], samples: &Samples<'_>, predictions: &mut [f32], (): &mut ()) {
        for (k, row) in predictions.chunks_exact_mut(2).enumerate() {
            let tokens = self.tokens(samples, k);
            row.copy_from_slice(&[tokens.iter().sum::<f32>() * params[0], tokens.len() as f32]);
        }
    }
}

/// A data set of some of the sequences, weighted by their numbers of tokens.
fn data_of(model: &MeanToken, indices: impl Iterator<Item = u32>) -> Dataset {
    let indices: Vec<u32> = indices.collect();
    let weights = indices.iter().map(|index| model.0[*index as usize].len() as f32).collect();
    Dataset::from_indices(indices, Some(weights)).unwrap()
}

fn one_step(model: &MeanToken, reduction: Reduction) -> f32 {
    let data = data_of(model, 0..model.0.len() as u32);
    let options = Options {
        batch_size: model.0.len(),
        length: Length::Steps(1),
        shards: Shards::Count(model.0.len()),
        rate: Some(1.0),
        reduction,
        ..Options::default()
    };
    Trainer::new(model, &data, options).run().unwrap().params[0]
}

/// With 5 tokens against 1, the mean over tokens is (5·1 + 1·4)/6 = 1.5. Data-parallel programs
/// that average the means of their shards give (1 + 4)/2 = 2.5: torchtitan#2206, prime-rl#1957.
#[test]
fn the_mean_over_tokens_is_exact_and_the_mean_of_shard_means_is_the_known_fault_of_others() {
    let model = MeanToken(vec![vec![0.0, 0.5, 1.0, 1.5, 2.0], vec![4.0]]);
    assert_eq!(one_step(&model, Reduction::Mean), 1.5);
    assert_eq!(one_step(&model, Reduction::MeanOfShardMeans), 2.5);
    assert_eq!(one_step(&model, Reduction::Sum), 9.0);
}

#[test]
fn training_and_test_samples_are_parts_of_one_collection_with_the_same_bits_for_any_threads() {
    let sequence = |i: usize| (0..1 + i % 7).map(|token| (i * token % 13) as f32 / 3.0).collect();
    let model = MeanToken((0..500).map(sequence).collect());
    // Every fifth sequence is a test sample.
    let train = data_of(&model, (0..500).filter(|index| index % 5 != 0));
    let test = data_of(&model, (0..500).filter(|index| index % 5 == 0));
    let tokens = |is_test: bool| {
        let chosen = model.0.iter().enumerate().filter(move |(index, _)| (index % 5 == 0) == is_test);
        chosen.map(|(_, tokens)| tokens)
    };
    let run = |threads| {
        let options = Options {
            threads,
            batch_size: 64,
            length: Length::Epochs(30),
            rate: Some(0.1),
            ..Options::default()
        };
        let mut test_loss = 0.0;
        let outcome = Trainer::new(&model, &train, options)
            .test(&test)
            .on_event(|event| {
                if let Event::Epoch(epoch) = event {
                    test_loss = epoch.test.unwrap().mean_loss();
                }
            })
            .run()
            .unwrap();
        (outcome.params[0], test_loss)
    };
    let (param, test_loss) = run(1);
    for threads in 2..=4 {
        assert_eq!(run(threads), (param, test_loss), "{threads} threads");
    }
    let (sum, count) =
        tokens(false).flatten().fold((0.0, 0.0), |(sum, count), token| (sum + token, count + 1.0));
    assert!((param - sum / count).abs() < 0.05, "{param}, expected about {}", sum / count);
    let weighted = |tokens: &Vec<f32>| {
        let error = f64::from(param) - f64::from(mean(tokens));
        (tokens.len() as f64 * error * error / 2.0, tokens.len() as f64)
    };
    let (loss, weight) = tokens(true).map(weighted).fold((0.0, 0.0), |(l, w), (x, y)| (l + x, w + y));
    assert!((test_loss - loss / weight).abs() < 1e-5, "{test_loss}, expected {}", loss / weight);
    assert_eq!(score(&model, &[param], &test).unwrap().mean_loss(), test_loss);
}

#[test]
fn a_model_predicts_the_samples_of_its_own_data() {
    let model = MeanToken((0..700).map(|i| vec![i as f32; 1 + i % 3]).collect());
    let data = data_of(&model, (0..700).rev());
    let predictions = predict(&model, &[2.0], &data).unwrap();
    assert_eq!(predictions.dim(), (700, 2));
    for (row, index) in predictions.rows().into_iter().zip((0..700_usize).rev()) {
        let count = (1 + index % 3) as f32;
        assert_eq!(row.to_vec(), [2.0 * count * index as f32, count]);
    }
}

#[test]
fn a_model_that_does_not_predict_is_refused_with_what_to_implement() {
    let model = from_fn(vec![0.0], |_: &[f32], _: &Samples<'_>, _: &mut [f32]| 0.0);
    let data = Dataset::from_indices(vec![0], None).unwrap();
    let error = predict(&model, &[0.0], &data).unwrap_err();
    assert!(matches!(error, TrainError::NoPredictions));
    assert!(error.to_string().contains("Model::predict_samples"), "{error}");
}

#[test]
fn samples_of_arrays_have_their_positions_as_indices() {
    let features = array![[3.0], [5.0], [7.0], [11.0], [13.0]];
    let data = Dataset::from_arrays(features, Targets::None, None).unwrap();
    let table = [3.0, 5.0, 7.0, 11.0, 13.0];
    let model = from_fn(vec![0.0], |_: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
        assert_eq!(samples.indices.len(), samples.len());
        for (index, x) in samples.indices.iter().zip(&samples.inputs) {
            assert_eq!(table[*index as usize], *x);
        }
        grads[0] = 0.0;
        0.0
    });
    let options = Options { batch_size: 2, rate: Some(0.1), ..Options::default() };
    Trainer::new(&model, &data, options).run().unwrap();
}

#[test]
fn weights_of_indices_are_checked_as_those_of_arrays() {
    let error = Dataset::from_indices(vec![4, 5], Some(vec![1.0])).unwrap_err();
    assert!(matches!(error, DataError::ArrayLen { .. }), "{error}");
    let error = Dataset::from_indices(vec![4, 5], Some(vec![1.0, -1.0])).unwrap_err();
    assert!(matches!(error, DataError::ArrayValue { .. }), "{error}");
}

#[test]
fn a_closure_that_returns_a_score_has_an_accuracy() {
    let model = from_score_fn(vec![0.0], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
        grads[0] = -(samples.len() as f32);
        let correct = samples.indices.iter().filter(|index| f32::from(**index as u16) < params[0]).count();
        Score { loss_sum: 1.0, weight: samples.total_weight(), correct: Some(correct as f64) }
    });
    let data = Dataset::from_indices((0..8).collect(), None).unwrap();
    let options = Options { batch_size: 4, length: Length::Steps(2), rate: Some(1.0), ..Options::default() };
    let mut accuracy = None;
    let outcome = Trainer::new(&model, &data, options)
        .test(&data)
        .on_event(|event| {
            if let Event::Epoch(epoch) = event {
                accuracy = epoch.test.unwrap().accuracy();
            }
        })
        .run()
        .unwrap();
    assert_eq!((outcome.params, accuracy), (vec![2.0], Some(0.25)));
}

#[test]
fn a_snapshot_of_any_model_is_resumed_to_the_same_bits_and_refused_with_any_damaged_byte() {
    let model = MeanToken((0..90).map(|i| vec![(i % 11) as f32; 1 + i % 4]).collect());
    let data = data_of(&model, 0..90);
    let options = |steps| Options {
        batch_size: 20,
        length: Length::Steps(steps),
        optimizer: OptimizerOptions { kind: OptimizerKind::Adam, ..OptimizerOptions::default() },
        keep_best: true,
        ..Options::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    // In the middle of the second epoch.
    let half = Trainer::new(&model, &data, options(7)).test(&data).run().unwrap();
    half.snapshot().unwrap().save(&path, &model.tensors()).unwrap();
    let found = Snapshot::load(&path, &model.tensors()).unwrap();
    assert!(found.has_best());
    let resumed = Trainer::new(&model, &data, options(20)).test(&data).resume(found).run().unwrap();
    let whole = Trainer::new(&model, &data, options(20)).test(&data).run().unwrap();
    assert_eq!((resumed.params, resumed.best_params), (whole.params, whole.best_params));

    let bytes = std::fs::read(&path).unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        assert!(Snapshot::load(&path, &model.tensors()).is_err(), "byte {at} of {}", bytes.len());
    }
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert!(Snapshot::load(&path, &model.tensors()).is_err());
}

#[test]
fn a_snapshot_of_another_model_and_a_file_that_is_none_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let snapshot = Snapshot::new(Default::default(), vec![1.0, 2.0], Vec::new());
    snapshot.save(&path, &[Tensor::new("slope", &[2])]).unwrap();
    let error = |tensors: &[Tensor]| Snapshot::load(&path, tensors).unwrap_err();
    assert!(matches!(error(&[Tensor::new("slope", &[3])]), CheckpointError::TensorShape { .. }));
    assert!(matches!(error(&[Tensor::new("bias", &[2])]), CheckpointError::TensorMissing { .. }));
    assert!(matches!(error(&[]), CheckpointError::TensorUnknown { .. }));
    std::fs::copy("tests/fixtures/linear_layers.safetensors", &path).unwrap();
    let error = Snapshot::load(&path, &[]).unwrap_err();
    assert!(matches!(error, CheckpointError::NoSnapshot { .. }));
    assert!(error.to_string().contains("Snapshot::save"), "{error}");
}

#[test]
fn a_snapshot_is_not_written_with_other_tensors_than_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let snapshot = Snapshot::new(Default::default(), vec![1.0; 4], Vec::new());
    for len in [0, 2, 5] {
        let error = snapshot.save(&path, &[Tensor::new("slope", &[len])]).unwrap_err();
        let expected =
            matches!(error, CheckpointError::SnapshotTensors { found, expected: 4, .. } if found == len);
        assert!(expected, "{error}");
    }
    let error = snapshot.save(&path, &[Tensor::new("slope", &[2]), Tensor::new("slope", &[2])]).unwrap_err();
    assert!(matches!(&error, CheckpointError::SameName { name, .. } if name == "slope"), "{error}");
    assert!(!path.exists());
}

#[test]
fn params_of_another_model_and_a_test_set_without_samples_are_refused() {
    let model = MeanToken(vec![vec![1.0], vec![2.0]]);
    let (data, none) = (data_of(&model, 0..2), Dataset::from_indices(vec![], None).unwrap());
    for params in [&[][..], &[1.0, 2.0]] {
        let refused = |error: TrainError| matches!(error, TrainError::ParamsLen { found, expected: 1 } if found == params.len());
        assert!(refused(score(&model, params, &data).unwrap_err()));
        assert!(refused(predict(&model, params, &data).unwrap_err()));
    }
    assert!(matches!(score(&model, &[1.0], &none).unwrap_err(), TrainError::NoScoreSamples));
    let run = Trainer::new(&model, &data, Options::default()).test(&none).run();
    assert!(matches!(run.unwrap_err(), TrainError::NoScoreSamples));
}
