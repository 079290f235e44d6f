//! Whether the processes of a run are about to do the same.

use std::fmt::Debug;

use super::processes::Processes;
use super::score::Scorer;
use super::start::Start;
use super::{Options, Position, TrainError};
use crate::data::Dataset;
use crate::model::Model;

/// All that must be the same in every process, a line each: what it is, and what it comes to.
pub(super) struct Agreement {
    lines: String,
}

impl Agreement {
    /// Of what a run is made of. Threads and timeout may differ.
    ///
    /// What the model makes of the first samples says whether it is the same function, which its tensors do not, of the same numbers, which
    /// samples as they are stored do not, and on cores that compute alike.
    ///
    /// # Cost
    ///
    /// Reads all samples, params and state.
    pub(super) fn new<M: Model>(
        (model, train, test): (&M, &Dataset, Option<&Dataset>),
        (options, score_at): (&Options, &[u64]),
        (start, params): (&Start, &[f32]),
    ) -> Self {
        let mut agreement = Self { lines: String::new() };
        agreement.add("the version of phalanx", env!("CARGO_PKG_VERSION"));
        agreement.add("the training samples", train.fingerprint());
        agreement.add("the test samples", test.map(Dataset::fingerprint));
        agreement.add("the model", model.tensors());
        agreement.add("the initial params", checksum(params));
        let Position { step, epoch, batch, updates, skipped, weightless, sums, noise_scale, best } =
            &start.position;
        agreement.add("the step to go on from", step);
        let steps = (updates, skipped, weightless);
        let course = (epoch, batch, steps, sums.loss, sums.weight, noise_scale, best);
        let state: Vec<u32> = start.state.iter().map(|values| checksum(values)).collect();
        agreement.add("what the run goes on from", (course, state, checksum(&start.best)));
        let first = Scorer::new(model, train).score(params, 0).sums().map(f64::to_bits);
        agreement.add("what the model makes of the first samples", first);
        let Options {
            threads: _,
            timeout: _,
            batch_size,
            shards,
            reduction,
            length,
            optimizer,
            rate,
            schedule,
            scale_rate,
            base_batch_size,
            clip_grad_norm,
            drop_last,
            shuffle,
            metric,
            min_gain,
            early_stop,
            keep_best,
            noise_scale,
            grad_norm_every,
            on_divergence,
            seed,
        } = options;
        agreement.add("the batch size", batch_size);
        agreement.add("the shards", shards);
        agreement.add("the reduction", reduction);
        agreement.add("the length of the run", length);
        agreement.add("the optimizer", optimizer);
        agreement.add("the rate", rate);
        agreement.add("the schedule", schedule);
        agreement.add("the scaling of the rate", (scale_rate, base_batch_size));
        agreement.add("the clipping", clip_grad_norm);
        agreement.add("what becomes of a short last batch", drop_last);
        agreement.add("the shuffling", shuffle);
        agreement.add("what params are judged by", (metric, min_gain, early_stop, keep_best));
        agreement.add("what is measured", (noise_scale, grad_norm_every));
        agreement.add("what is done on divergence", on_divergence);
        agreement.add("the seed", seed);
        agreement.add("the steps to score after", score_at);
        agreement
    }

    /// Compares that of all processes: an error on each of them names the first that differs from process 0.
    pub(super) fn check(&self, processes: &Processes<'_>) -> Result<(), TrainError> {
        let texts = processes.gather_texts(&self.lines)?;
        for (process, text) in texts.iter().enumerate() {
            let mut pairs = texts[0].lines().zip(text.lines());
            if let Some((expected, found)) = pairs.find(|(expected, found)| expected != found) {
                let of = |line: &str| line.split_once('\t').map_or(line, |(_, value)| value).to_owned();
                let what = expected.split_once('\t').map_or(expected, |(what, _)| what).to_owned();
                return Err(TrainError::Disagreement {
                    process,
                    what,
                    found: of(found),
                    expected: of(expected),
                });
            }
        }
        Ok(())
    }

    fn add(&mut self, what: &str, value: impl Debug) {
        self.lines.push_str(&format!("{what}\t{}\n", format!("{value:?}").replace('\n', " ")));
    }
}

fn checksum(values: &[f32]) -> u32 {
    crc32c::crc32c(bytemuck::cast_slice(values))
}
