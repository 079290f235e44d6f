//! Scores and predictions of whole data sets.
//!
//! Samples are processed in fixed groups, whose scores are added in order: the bits do not depend
//! on whether a rank computes a group at the end of an epoch, or a rayon pool does.

use std::ops::Range;

use ndarray::Array2;
use rayon::prelude::*;

use super::error::TrainError;
use super::samples::{gathered_for, memory_is_given, samples_of, target_shape};
use crate::data::{Dataset, GatherBuffer};
use crate::model::{Model, Score};

/// The number of samples that are scored or predicted in one call of the model.
const GROUP: usize = 256;

/// Scores `model` with `params` on all of `data`, on the threads of the current rayon pool.
///
/// The bits do not depend on the number of threads, and are those that training reports for the
/// same params.
///
/// # Errors
///
/// If the params, the model and the data do not fit each other, there are no samples, all have
/// weight 0, or the system cannot provide the memory.
///
/// # Panics
///
/// If the model panics.
pub fn score<M: Model>(model: &M, params: &[f32], data: &Dataset) -> Result<Score, TrainError> {
    check_params(model, params)?;
    model.check(data.features(), target_shape(data))?;
    check_score_weights(data)?;
    check_memory(data)?;
    let groups: Vec<Score> = (0..groups(data))
        .into_par_iter()
        .map_init(|| Scorer::new(model, data), |scorer, group| scorer.score(params, group))
        .collect();
    Ok(sum(groups))
}

/// Predicts all of `data`, on the threads of the current rayon pool: one row of
/// [`prediction_len`](Model::prediction_len) values per sample. Those of a perceptron are
/// probabilities if the loss defines them, otherwise in the units of the targets. Row i belongs to
/// sample i of `data`.
///
/// # Errors
///
/// [`TrainError::NoPredictions`] if the [`prediction_len`](Model::prediction_len) of the model is 0.
/// If the model has another number of params, or of features than the data, or the system cannot
/// provide the memory.
///
/// # Panics
///
/// If the model panics.
///
/// # Examples
///
/// ```
/// use phalanx::data::{LoadOptions, Source};
/// use phalanx::model::{Activation, Loss, Mlp, MlpShape, Model};
/// use phalanx::train::{predict, score};
///
/// let digits: Source = "digits".parse()?;
/// let test = digits.load(&LoadOptions::default())?.test.expect("the digits have test samples");
/// let (hidden, activation, loss) = (vec![], Activation::Relu, Loss::CrossEntropy);
/// let model = Mlp::new(MlpShape { inputs: 64, hidden, outputs: 10, activation, loss });
/// let params = vec![0.0; model.params_len()];
/// let probabilities = predict(&model, &params, &test)?;
/// assert_eq!(probabilities.dim(), (360, 10));
/// assert!(probabilities.iter().all(|share| *share == 0.1));
/// assert!((score(&model, &params, &test)?.mean_loss() - 10_f64.ln()).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn predict<M: Model>(model: &M, params: &[f32], data: &Dataset) -> Result<Array2<f32>, TrainError> {
    let outputs = model.prediction_len();
    if outputs == 0 {
        return Err(TrainError::NoPredictions);
    }
    check_params(model, params)?;
    model.check_features(data.features())?;
    check_memory(data)?;
    let mut predictions = Array2::zeros((data.len(), outputs));
    let rows = predictions.as_slice_mut().expect("a new array is contiguous");
    rows.par_chunks_mut(GROUP * outputs).enumerate().for_each_init(
        || Scorer::new(model, data),
        |scorer, (group, rows)| {
            scorer.gather(group);
            model.predict_samples(params, &samples_of(&scorer.gathered), rows, &mut scorer.workspace);
        },
    );
    Ok(predictions)
}

fn check_params(model: &impl Model, params: &[f32]) -> Result<(), TrainError> {
    let (found, expected) = (params.len(), model.params_len());
    if found == expected { Ok(()) } else { Err(TrainError::ParamsLen { found, expected }) }
}

/// Checks that samples have a mean loss.
pub(super) fn check_score_weights(data: &Dataset) -> Result<(), TrainError> {
    match data.weights() {
        _ if data.is_empty() => Err(TrainError::NoScoreSamples),
        Some(weights) if weights.iter().all(|weight| *weight == 0.0) => {
            Err(TrainError::ZeroScoreWeight { samples: weights.len() })
        }
        _ => Ok(()),
    }
}

/// Checks that the system provides the memory for gathering the groups, one per thread.
fn check_memory(data: &Dataset) -> Result<(), TrainError> {
    let at_a_time = rayon::current_num_threads().min(groups(data));
    let (samples, features) = (at_a_time * GROUP.min(data.len()), data.features());
    let bytes = samples.saturating_mul(features).saturating_mul(size_of::<f32>());
    if memory_is_given(bytes) { Ok(()) } else { Err(TrainError::ScoreMemory { samples, features, bytes }) }
}

/// Returns the number of groups of a data set.
pub(super) fn groups(data: &Dataset) -> usize {
    data.len().div_ceil(GROUP)
}

/// Adds up the scores of groups in order.
pub(super) fn sum(groups: impl IntoIterator<Item = Score>) -> Score {
    let mut total = Score::default();
    groups.into_iter().for_each(|group| total += group);
    total
}

/// Buffers for scoring groups one at a time.
pub(super) struct Scorer<'a, M: Model + ?Sized> {
    model: &'a M,
    data: &'a Dataset,
    samples: Vec<u32>,
    gathered: GatherBuffer,
    workspace: M::Workspace,
}

impl<'a, M: Model + ?Sized> Scorer<'a, M> {
    pub(super) fn new(model: &'a M, data: &'a Dataset) -> Self {
        let most = GROUP.min(data.len());
        Self {
            model,
            data,
            samples: Vec::with_capacity(most),
            gathered: gathered_for(data, most),
            workspace: model.workspace(most),
        }
    }

    /// Scores one group of the data.
    pub(super) fn score(&mut self, params: &[f32], group: usize) -> Score {
        self.gather(group);
        self.gathered.clear_weightless();
        self.model.score(params, &samples_of(&self.gathered), &mut self.workspace)
    }

    fn gather(&mut self, group: usize) {
        let Range { start, end } = group * GROUP..self.data.len().min((group + 1) * GROUP);
        self.samples.clear();
        self.samples.extend(start as u32..end as u32);
        self.data.gather(&self.samples, &mut self.gathered);
    }
}
