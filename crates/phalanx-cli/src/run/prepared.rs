//! A run before its start: its data is loaded, and its options are checked against the data and
//! against the resumed run.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use phalanx::checkpoint::{Checkpoint, ModelFile, read_tensors};
use phalanx::data::Dataset;
use phalanx::internals::RunFacts;
use phalanx::log::Results;
use phalanx::model::{Mlp, Model};
use phalanx::optim::Framework;
use phalanx::train::{Options, Outcome, Plan, StopReason, TrainError, Trainer, score};
use serde_json::Value;

use super::data::{TrainingData, is_mse_of_values, training_data, unscaled, warn_of_scales};
use super::resume::ResumedRun;
use super::{like, settings, tables};
use crate::advice::constant_loss;
use crate::args::flags::TrainFlags;
use crate::args::parser;
use crate::terminal::failure::{Failure, usage};
use crate::text::TextTable;

/// The maximum number of hidden layers of a new run: a checkpoint can contain 16,000 tensors, fewer
/// if there are thousands of classes, and each layer has two, in the params, in each optimizer
/// state and in the best params. A run with more layers would train and then fail to be saved.
const MOST_SAVED_LAYERS: usize = 1000;

/// A run that is ready to start.
pub struct PreparedRun {
    pub flags: TrainFlags,
    /// The framework of `--like`.
    framework: Option<Framework>,
    pub resumed: Option<ResumedRun>,
    options: Options,
    data: TrainingData,
    pub model: Mlp,
    /// The facts that all saved files of the run have in common.
    pub facts: Arc<RunFacts>,
}

impl PreparedRun {
    pub fn new(
        mut flags: TrainFlags,
        framework: Option<Framework>,
        resumed: Option<ResumedRun>,
    ) -> Result<Self, Failure> {
        let options = settings::options(&flags)?;
        settings::keep(&flags)?;
        let layers = flags.hidden.as_ref().map_or(0, |hidden| hidden.0.len());
        if resumed.is_none() && layers > MOST_SAVED_LAYERS {
            return Err(usage!(
                "--hidden has {layers} layers, but a checkpoint can hold at most {MOST_SAVED_LAYERS} whatever the optimizer; pass at most that many"
            ));
        }
        // A resumed run keeps its classes, because an older version may have numbered them
        // differently.
        let data = training_data(&flags, resumed.as_ref().and_then(ResumedRun::facts))?;
        settings::record_targets(&mut flags, &data);
        let model = settings::model(&flags, &data, &options)?;
        framework.map_or(Ok(()), |framework| like::check_loss(framework, model.shape().loss))?;
        let facts = Arc::new(facts(&flags, &model, &data));
        if let Some(resumed) = &resumed {
            resumed.check_data(&facts.train, facts.test.as_ref())?;
        }
        Ok(Self { flags, framework, resumed, options, data, model, facts })
    }

    /// Returns the trainer, at the beginning or at the position where the run is resumed.
    pub fn trainer(&self) -> Result<Trainer<'_>, Failure> {
        let every = self.flags.save_every.expect("the flag has a default");
        let trainer = Trainer::new(&self.model, &self.data.train, self.options.clone()).save_every(every);
        let trainer = match &self.data.test {
            Some(test) => trainer.test(test),
            None => trainer,
        };
        Ok(match (self.resumed.as_ref().and_then(ResumedRun::snapshot), &self.flags.init) {
            (Some(snapshot), _) => trainer.resume(snapshot.clone()),
            (None, Some(path)) => trainer.initial_params(read_tensors(path, &self.model.tensors())?),
            (None, None) => trainer,
        })
    }

    /// Falls back to the previous checkpoint if the run was stopped between its last checkpoint and
    /// its results. The last checkpoint contains only the params of the final state; the results
    /// are bit-identical when the steps since the previous one are repeated.
    pub fn step_back_from_the_end(&mut self) -> Result<(), Failure> {
        let is_over = self.resumed.is_some() && self.trainer()?.plan().is_err_and(|error| is_over(&error));
        self.resumed.as_mut().filter(|_| is_over).map_or(Ok(()), ResumedRun::step_back)
    }

    /// Returns the checkpoint that the run is resumed from, if it is.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.resumed.as_ref().and_then(ResumedRun::checkpoint)
    }

    /// Warns if the changed options of a resumed run change its rate.
    pub fn warn_of_rate(&self, plan: &Plan) -> Result<(), Failure> {
        if let Some(resumed) = &self.resumed {
            let before = settings::options(resumed.recorded())?;
            let before = Plan::new(&before, &self.model, &self.data.train, self.data.test.as_ref())?;
            resumed.warn_of_rate(&before, plan);
        }
        Ok(())
    }

    /// Warns of features that are too large for training, unless the run is resumed.
    pub fn warn_of_scales(&self) -> Result<(), Failure> {
        if self.resumed.is_some() { Ok(()) } else { warn_of_scales(&self.flags, &self.data.train) }
    }

    /// Returns remedies for values far from 1, which can make a run diverge at any rate.
    pub fn remedies(&self) -> Result<Vec<String>, Failure> {
        let mut remedies = Vec::new();
        if let Some(unscaled) = unscaled(&self.flags, &self.data.train)? {
            remedies.push(format!("give --standardize ({unscaled})"));
        }
        if self.predicts_mse() && self.data.standardize_targets.is_none() {
            remedies.push("give --standardize-targets".to_owned());
        }
        Ok(remedies)
    }

    /// Returns whether the targets are values that may be standardized.
    fn predicts_mse(&self) -> bool {
        is_mse_of_values(self.model.shape().loss, &self.data.train)
    }

    /// Returns the table that is printed before training.
    pub fn table(&self, plan: &Plan, processes: usize, dir: &Path) -> TextTable {
        let (flags, shape) = (&self.flags, self.model.shape());
        let mut table = tables::plan_table(flags, &self.options, &self.data.train, shape, plan, processes);
        if self.predicts_mse() {
            table.row("targets", tables::targets(self.data.standardize_targets.as_ref(), self.framework));
        }
        if let Some(framework) = self.framework {
            table.row("like", like::meaning(framework, flags));
        }
        tables::output_rows(&mut table, flags, dir, self.resumed.as_ref());
        table
    }

    /// Returns a warning if the loss of the saved model on the training samples is not lower than
    /// that of a model that ignores the features.
    ///
    /// The loss of an epoch is computed from each sample before its update, and can be high even if
    /// the final model is good. So the model itself is scored if the loss of the epoch is not low
    /// enough.
    pub fn learned_nothing(&self, outcome: &Outcome, results: &Results) -> Result<Option<String>, Failure> {
        let (train, loss) = (&self.data.train, self.model.shape().loss);
        let Some(constant) = constant_loss(train, loss).filter(|_| results.stopped == StopReason::Completed)
        else {
            return Ok(None);
        };
        if results.train_loss.is_none_or(|loss| loss < constant) {
            return Ok(None);
        }
        let found = score(&self.model, outcome.chosen_params(), train)?.mean_loss();
        Ok((found >= constant).then(|| tables::learned_nothing(&self.flags, found, constant, loss)))
    }

    /// Returns the final model of the run, as a file.
    pub fn model_file(&self, outcome: &Outcome) -> ModelFile {
        let RunFacts { shape, standardize, standardize_targets, classes, options, train, test, data } =
            (*self.facts).clone();
        let params = outcome.chosen_params().to_vec();
        let train = Some(train);
        ModelFile { shape, params, standardize, standardize_targets, classes, options, train, test, data }
    }
}

/// Returns whether the only problem of a resumed run is that it has no steps left.
fn is_over(error: &TrainError) -> bool {
    matches!(error, TrainError::NothingLeft { .. } | TrainError::StoppedEarly { .. })
}

fn facts(flags: &TrainFlags, model: &Mlp, data: &TrainingData) -> RunFacts {
    RunFacts {
        shape: model.shape().clone(),
        standardize: data.standardize.clone(),
        standardize_targets: data.standardize_targets.clone(),
        classes: data.train.classes().cloned(),
        options: options_by_name(&recorded(flags)),
        train: data.train.fingerprint(),
        test: data.test.as_ref().map(Dataset::fingerprint),
        data: data.train.summary(),
    }
}

/// Returns the flags without those that concern only this invocation and not the result.
pub fn recorded(flags: &TrainFlags) -> TrainFlags {
    TrainFlags {
        output_dir: None,
        quiet: None,
        log_format: None,
        no_progress: None,
        resume: None,
        allow_changed: None,
        ..flags.clone()
    }
}

fn options_by_name(flags: &TrainFlags) -> BTreeMap<String, Value> {
    match parser::serialize(flags, serde_json::value::Serializer) {
        Ok(Value::Object(options)) => options.into_iter().collect(),
        other => unreachable!("flags are named values, not {other:?}"),
    }
}
