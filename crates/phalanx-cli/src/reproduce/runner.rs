//! One run of a reading, and what is measured.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::anyhow;
use phalanx::data::Dataset;
use phalanx::internals::InstructionSet;
use phalanx::model::{Mlp, Model};
use phalanx::train::{Event, Options, Outcome, StopReason, Trainer, score};
use serde::{Deserialize, Serialize};

use super::claims::{Claim, ClaimData, ClaimSetting, Measure, Work};
use crate::args::flags::TrainFlags;
use crate::pool::in_parallel;
use crate::run::data::{TrainingData, named_data, prepared};
use crate::run::{like, settings};
use crate::terminal::failure::Failure;
use crate::text::shell_word;

/// A way to understand the numbers of a paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    Right,
    Wrong,
}

/// The identity of a run: its record holds for every claim and reading with the same flags.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RunKey {
    /// The version of the program, and its kind of kernels.
    pub version: String,
    /// The flags of `train` that define the run, or the name of a computed setting.
    pub flags: String,
    /// The seed of initial params and sample order.
    pub seed: u64,
}

/// The record of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadingRecord {
    #[serde(flatten)]
    pub key: RunKey,
    /// The measured value; `None` if the run diverged or did not reach the goal.
    pub value: Option<f64>,
    /// The error on the test or validation samples after each epoch, in percent.
    pub errors: Vec<f64>,
    /// Wall time in seconds.
    pub secs: f64,
}

/// The runs of a claim, with their data.
pub struct ClaimRuns {
    pub claim: &'static Claim,
    /// Seeds, from 1.
    seeds: u64,
    data: Option<LoadedClaim>,
}

/// The data of a trained claim.
struct LoadedClaim {
    /// The flags that all settings have in common.
    flags: &'static str,
    /// The samples to train on, and those scored after each epoch.
    data: TrainingData,
    /// The samples that a validated error is measured on.
    held_out: Option<Dataset>,
}

impl ClaimRuns {
    /// Loads the data of a claim. `mnist` is the folder with MNIST's files.
    pub fn load(claim: &'static Claim, seeds: u64, mnist: Option<&str>) -> Result<Self, Failure> {
        let data = match claim.work {
            Work::Trained { data, flags } => Some(loaded(data, flags, mnist)?),
            Work::Computed(_) => None,
        };
        Ok(Self { claim, seeds, data })
    }

    /// Returns what identifies a run.
    pub fn key(&self, setting: &ClaimSetting, reading: Reading, seed: u64) -> RunKey {
        let flags = match (&self.claim.work, reading) {
            (Work::Trained { flags, .. }, Reading::Right) => joined([flags, setting.right]),
            (Work::Trained { flags, .. }, Reading::Wrong) => joined([flags, setting.wrong]),
            (Work::Computed(_), reading) => format!("{} {} {reading:?}", self.claim.name, setting.name),
        };
        RunKey { version: version(), flags, seed }
    }

    /// Returns the index of the first setting that needs a run, and the reading.
    fn place(&self, key: &RunKey) -> (usize, Reading) {
        let settings = self.claim.settings.iter().enumerate();
        let mut all = settings.flat_map(|(index, setting)| {
            [Reading::Right, Reading::Wrong]
                .map(|reading| (index, reading, self.key(setting, reading, key.seed)))
        });
        let found = all.find(|(.., other)| other == key);
        found.map(|(index, reading, _)| (index, reading)).expect("it is a run of the claim")
    }

    /// Describes a run by its setting, reading and seed.
    pub fn name(&self, key: &RunKey) -> String {
        let (setting, reading) = self.place(key);
        let reading = if reading == Reading::Right { "right" } else { "wrong" };
        format!("{}, {reading} reading, seed {}", self.claim.settings[setting].name, key.seed)
    }

    /// Returns every run once: all settings and readings with the first seed, then with the second.
    pub fn keys(&self) -> Vec<RunKey> {
        let mut keys: Vec<RunKey> = Vec::new();
        for seed in 1..=self.seeds {
            for setting in self.claim.settings {
                for reading in [Reading::Right, Reading::Wrong] {
                    let key = self.key(setting, reading, seed);
                    if !keys.contains(&key) {
                        keys.push(key);
                    }
                }
            }
        }
        keys
    }

    /// Performs every run that has no record in `done`, several at a time on one thread each, and
    /// passes each record to `on_record` as it arrives. Returns all records by their keys; runs
    /// that were stopped have none.
    pub fn run(
        &self,
        jobs: usize,
        done: &[ReadingRecord],
        stop: &AtomicBool,
        mut on_record: impl FnMut(&ReadingRecord),
    ) -> Result<HashMap<RunKey, ReadingRecord>, Failure> {
        let keys = self.keys();
        let known = done.iter().filter(|record| keys.contains(&record.key));
        let mut records: HashMap<_, _> = known.map(|record| (record.key.clone(), record.clone())).collect();
        let missing: Vec<_> = keys.into_iter().filter(|key| !records.contains_key(key)).collect();
        in_parallel(
            jobs,
            &missing,
            stop,
            |key| self.record(key, stop),
            |record| {
                on_record(&record);
                records.insert(record.key.clone(), record);
            },
        )?;
        Ok(records)
    }

    fn record(&self, key: &RunKey, stop: &AtomicBool) -> Result<Option<ReadingRecord>, Failure> {
        let begun = Instant::now();
        let measured = match (&self.claim.work, &self.data) {
            (Work::Trained { .. }, Some(loaded)) => loaded.measured(key, self.claim.measure, stop)?,
            (Work::Computed(value), _) => {
                let (setting, reading) = self.place(key);
                let value = value(key.seed, setting, reading == Reading::Right);
                Some((Some(value).filter(|value| value.is_finite()), Vec::new()))
            }
            (Work::Trained { .. }, None) => unreachable!("the data of a trained claim is loaded"),
        };
        let secs = begun.elapsed().as_secs_f64();
        Ok(measured.map(|(value, errors)| ReadingRecord { key: key.clone(), value, errors, secs }))
    }
}

/// Returns the commands that train a setting in the right and in the wrong reading, with a remark
/// on what they leave out; `None` for a computed claim.
pub fn commands(claim: &Claim, setting: &ClaimSetting, mnist: &str) -> Option<([String; 2], String)> {
    let Work::Trained { data, flags } = claim.work else { return None };
    let (data, remark) = data.in_train(mnist);
    let train = format!("phalanx train {}", shell_word(data));
    Some(([setting.right, setting.wrong].map(|reading| joined([&train, flags, reading, "--seed 1"])), remark))
}

/// Returns the version of the program, and whether its kernels use fused multiply-add, which
/// changes the bits.
fn version() -> String {
    let kernels = match InstructionSet::in_use() {
        InstructionSet::Portable => "portable",
        _ => "fused",
    };
    format!("{}, {kernels}", env!("CARGO_PKG_VERSION"))
}

/// Joins flags that are not empty.
fn joined<const N: usize>(flags: [&str; N]) -> String {
    flags.into_iter().filter(|flags| !flags.is_empty()).collect::<Vec<_>>().join(" ")
}

fn loaded(data: ClaimData, common: &'static str, mnist: Option<&str>) -> Result<LoadedClaim, Failure> {
    let flags = complete(common)?;
    let named = |name: &str| TrainFlags { data: Some(name.to_owned()), ..flags.clone() };
    let images = || {
        let folder = mnist.expect("the command checks that a folder is given");
        if !Path::new(folder).is_dir() {
            return Err(anyhow!("{folder} is not a folder; give the one with MNIST's four IDX files").into());
        }
        let (train, test) = named_data(&named(folder))?;
        match test {
            Some(test) if train.len() == 60_000 && test.len() == 10_000 => Ok((train, test)),
            _ => Err(Failure::from(anyhow!(
                "{folder} has {} training samples and {} test samples, but MNIST has 60000 and 10000; give its folder",
                train.len(),
                test.map_or(0, |test| test.len())
            ))),
        }
    };
    let range =
        |data: &Dataset, from: usize, to: usize| data.select(&(from as u32..to as u32).collect::<Vec<_>>());
    let (train, scored, held_out) = match data {
        ClaimData::Digits => {
            let (train, test) = named_data(&named("digits"))?;
            (train, test, None)
        }
        ClaimData::Mnist(samples) => {
            let (train, test) = images()?;
            (range(&train, 0, samples), Some(test), None)
        }
        ClaimData::MnistValidated(samples) => {
            let (all, test) = images()?;
            let held_out = prepared(&flags, range(&test, 0, samples), None)?.train;
            (range(&all, 0, 50_000), Some(range(&all, 50_000, 50_000 + samples)), Some(held_out))
        }
    };
    Ok(LoadedClaim { flags: common, data: prepared(&flags, train, scored)?, held_out })
}

/// Parses flags of `train`, and adds the defaults.
fn complete(flags: &str) -> Result<TrainFlags, Failure> {
    let mut parsed = TrainFlags::default();
    let arguments = flags.split_whitespace().map(OsString::from).collect();
    parsed.read(arguments).unwrap_or_else(|error| panic!("the flags of a claim are valid: {error}"));
    Ok(settings::complete(&like::resolve(parsed)?))
}

/// The measured value and the errors after each epoch.
type Measured = (Option<f64>, Vec<f64>);

impl LoadedClaim {
    fn measured(
        &self,
        key: &RunKey,
        measure: Measure,
        stop: &AtomicBool,
    ) -> Result<Option<Measured>, Failure> {
        let Some((model, outcome, errors)) = self.trained(&key.flags, key.seed, measure, stop)? else {
            return Ok(None);
        };
        let lowest = || errors.iter().copied().min_by(f64::total_cmp);
        let value = match measure {
            _ if outcome.reason == StopReason::Diverged => None,
            Measure::Error => errors.last().copied(),
            Measure::Accuracy => errors.last().map(|error| 100.0 - error),
            Measure::BestAccuracy => lowest().map(|error| 100.0 - error),
            Measure::ValidatedError => {
                let held_out = self.held_out.as_ref().expect("the claim has validation samples");
                Some(error_of(score(&model, outcome.chosen_params(), held_out)?.accuracy()))
            }
            Measure::EpochsTo(goal) => {
                errors.iter().position(|error| *error <= goal).map(|epoch| (epoch + 1) as f64)
            }
            Measure::NoiseScale => {
                outcome.noise_scale.and_then(|noise| noise.whole()).map(|noise| noise.value)
            }
            Measure::DistanceFrom(reference) => {
                let flags = joined([self.flags, reference]);
                match self.trained(&flags, key.seed, measure, stop)? {
                    Some((_, reference, _)) => {
                        let initial = model.initial_params(key.seed);
                        let from = distance(&initial, &reference.params);
                        Some(100.0 * distance(&outcome.params, &reference.params) / from)
                    }
                    None => return Ok(None),
                }
            }
            Measure::Computed(_) => unreachable!("it is not trained"),
        };
        Ok(Some((value, errors)))
    }

    /// Trains with these flags, on one thread. Returns `None` if it was stopped.
    fn trained(
        &self,
        flags: &str,
        seed: u64,
        measure: Measure,
        stop: &AtomicBool,
    ) -> Result<Option<(Mlp, Outcome, Vec<f64>)>, Failure> {
        let flags = complete(flags)?;
        let options = Options {
            threads: 1,
            seed,
            keep_best: measure == Measure::ValidatedError,
            ..settings::options(&flags)?
        };
        let model = settings::model(&flags, &self.data, &options)?;
        let trainer = Trainer::new(&model, &self.data.train, options).stop_on(stop);
        let trainer = match &self.data.test {
            Some(test) => trainer.test(test),
            None => trainer,
        };
        let mut errors = Vec::new();
        let outcome = trainer
            .on_event(|event| {
                if let Event::Epoch(end) = event {
                    errors.extend(end.test.map(|test| error_of(test.accuracy())));
                }
            })
            .run()?;
        Ok((outcome.reason != StopReason::Interrupted).then_some((model, outcome, errors)))
    }
}

/// Returns the error in percent of an accuracy from 0 to 1.
fn error_of(accuracy: Option<f64>) -> f64 {
    100.0 * (1.0 - accuracy.expect("the samples of a claim have classes"))
}

fn distance(one: &[f32], other: &[f32]) -> f64 {
    one.iter().zip(other).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::CLAIMS;
    use super::*;

    #[test]
    fn every_claim_has_valid_flags_and_at_least_one_setting() {
        for claim in CLAIMS {
            assert!(!claim.settings.is_empty(), "{}", claim.name);
            let Work::Trained { flags, .. } = &claim.work else { continue };
            for reading in claim.settings.iter().flat_map(|setting| [setting.right, setting.wrong]) {
                let flags = complete(&joined([flags, reading])).unwrap_or_else(|_| panic!("{}", claim.name));
                assert!(settings::options(&flags).is_ok(), "{}: {reading}", claim.name);
            }
        }
    }
}
