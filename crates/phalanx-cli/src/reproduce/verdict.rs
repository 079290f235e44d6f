//! The settings of a claim with their values, and the verdict.

use std::collections::HashMap;

use serde::Serialize;

use super::claims::{Claim, ClaimSetting, Test};
use super::runner::{ClaimRuns, Reading, ReadingRecord, RunKey};
use crate::numbers::{short_number, significant};

/// The findings about a claim.
#[derive(Debug, Serialize)]
pub struct ClaimFindings {
    /// The name of the claim.
    pub claim: &'static str,
    /// Its source.
    pub source: &'static str,
    /// The convention of its numbers.
    pub convention: &'static str,
    /// The wrong reading.
    pub mistake: &'static str,
    /// The measured quantity, with its unit.
    pub measure: String,
    /// A row for each setting.
    pub settings: Vec<SettingFinding>,
    /// True if the right reading passes the test in all settings.
    pub is_reproduced: bool,
    /// The verdict, in a sentence.
    pub verdict: String,
    /// Sum of the wall times of all runs.
    pub secs: f64,
}

/// A setting with its values.
#[derive(Debug, Serialize)]
pub struct SettingFinding {
    /// The setting.
    pub setting: &'static str,
    /// The published value.
    pub published: Option<&'static str>,
    /// The values of the right reading.
    pub right: Spread,
    /// The values of the wrong reading.
    pub wrong: Spread,
    /// True if the right reading passes the test.
    pub right_passes: bool,
    /// True if the wrong reading passes the test too, so that this number does not distinguish
    /// them.
    pub wrong_passes: bool,
    /// Errors by epoch in percent, for each seed: of the right and of the wrong reading.
    #[serde(skip)]
    pub curves: [Vec<Vec<f64>>; 2],
}

/// The values of a reading over the seeds.
#[derive(Clone, Debug, Serialize)]
pub struct Spread {
    /// The mean; `None` if a run has no value.
    pub mean: Option<f64>,
    /// The standard deviation, with the divisor n − 1; 0 for one seed.
    pub deviation: f64,
    /// Number of seeds.
    pub seeds: usize,
    /// Number of runs that diverged or did not reach the goal.
    pub without: usize,
}

impl Spread {
    fn of(values: &[Option<f64>]) -> Self {
        let seeds = values.len();
        let found: Vec<f64> = values.iter().copied().flatten().collect();
        let without = seeds - found.len();
        let mean = found.iter().sum::<f64>() / found.len() as f64;
        let squares: f64 = found.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = if found.len() > 1 { (squares / (found.len() - 1) as f64).sqrt() } else { 0.0 };
        Self { mean: (without == 0).then_some(mean), deviation, seeds, without }
    }

    /// Returns whether a single published value can be one more run: it lies within the 95 %
    /// prediction interval, mean ± t s √(1 + 1/n), or within the rounding of the published value.
    fn includes(&self, published: &str) -> bool {
        let value: f64 = published.parse().expect("published values are numbers");
        let rounding = 0.5 * 10_f64.powi(-(decimals(published) as i32)) * (1.0 + 1e-9);
        let n = self.seeds as f64;
        let reach = self.t() * self.deviation * (1.0 + 1.0 / n).sqrt();
        self.mean.is_some_and(|mean| (mean - value).abs() <= reach.max(rounding))
    }

    /// Student's t for 97.5 % with n − 1 degrees of freedom.
    fn t(&self) -> f64 {
        const T: [f64; 9] = [12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];
        match self.seeds {
            0 | 1 => 0.0,
            seeds => T.get(seeds - 2).copied().unwrap_or(2.0),
        }
    }
}

impl Spread {
    /// Returns the mean and the deviation as text; a mean without deviation has the digits of the
    /// published value, if there is one.
    pub fn text(&self, published: Option<&str>) -> String {
        match (self.mean, published) {
            (None, _) if self.seeds == 1 => "no result".to_owned(),
            (None, _) => format!("no result in {} of {}", self.without, self.seeds),
            (Some(mean), Some(published)) if self.deviation == 0.0 => {
                format!("{mean:.0$}", decimals(published))
            }
            (Some(mean), None) if self.deviation == 0.0 => short_number(mean),
            (Some(mean), _) => {
                // Two digits of the deviation, and as many decimals of the mean.
                let decimals = (1 - self.deviation.log10().floor() as i32).clamp(0, 6) as usize;
                let deviation = significant(self.deviation, 2);
                format!("{mean:.decimals$} ± {deviation:.decimals$}")
            }
        }
    }
}

fn decimals(number: &str) -> usize {
    number.split_once('.').map_or(0, |(_, decimals)| decimals.len())
}

impl ClaimFindings {
    /// Judges the records of all runs.
    pub fn new(runs: &ClaimRuns, seeds: u64, records: &HashMap<RunKey, ReadingRecord>) -> Self {
        let claim = runs.claim;
        let of = |setting: &ClaimSetting, reading: Reading| -> Vec<&ReadingRecord> {
            (1..=seeds).map(|seed| &records[&runs.key(setting, reading, seed)]).collect()
        };
        let spread = |records: &[&ReadingRecord]| {
            Spread::of(&records.iter().map(|record| record.value).collect::<Vec<_>>())
        };
        let curves =
            |records: &[&ReadingRecord]| records.iter().map(|record| record.errors.clone()).collect();
        let mut settings: Vec<SettingFinding> = claim
            .settings
            .iter()
            .map(|setting| {
                let (right, wrong) = (of(setting, Reading::Right), of(setting, Reading::Wrong));
                SettingFinding {
                    setting: setting.name,
                    published: setting.published,
                    right: spread(&right),
                    wrong: spread(&wrong),
                    right_passes: false,
                    wrong_passes: false,
                    curves: [curves(&right), curves(&wrong)],
                }
            })
            .collect();
        let passing =
            |reading: fn(&SettingFinding) -> &Spread| -> Vec<bool> { passes(claim.test, &settings, reading) };
        let (right, wrong) = (passing(|finding| &finding.right), passing(|finding| &finding.wrong));
        for ((finding, right), wrong) in settings.iter_mut().zip(right).zip(wrong) {
            (finding.right_passes, finding.wrong_passes) = (right, wrong);
        }
        let is_reproduced = settings.iter().all(|finding| finding.right_passes);
        let verdict = verdict(claim, &settings);
        let secs = records.values().map(|record| record.secs).sum();
        let Claim { name, source, convention, mistake, measure, .. } = *claim;
        Self {
            claim: name,
            source,
            convention,
            mistake,
            measure: measure.name(),
            settings,
            is_reproduced,
            verdict,
            secs,
        }
    }
}

/// Returns whether each setting passes the test under a reading.
fn passes(test: Test, settings: &[SettingFinding], reading: fn(&SettingFinding) -> &Spread) -> Vec<bool> {
    let means = || settings.iter().map(|finding| reading(finding).mean);
    // The ends of the range of all means, if every setting has one.
    let range = means().try_fold((f64::INFINITY, 0.0_f64), |(low, high), mean| {
        mean.map(|mean| (low.min(mean), high.max(mean)))
    });
    let together = |is_narrow: fn(f64, f64, f64) -> bool, width: f64| {
        vec![range.is_some_and(|(low, high)| is_narrow(low, high, width)); settings.len()]
    };
    let each = |passes: &dyn Fn(f64, &SettingFinding) -> bool| {
        settings.iter().map(|f| reading(f).mean.is_some_and(|mean| passes(mean, f))).collect()
    };
    match test {
        Test::Published => settings
            .iter()
            .map(|finding| finding.published.is_some_and(|published| reading(finding).includes(published)))
            .collect(),
        Test::SameFactor(factor) => together(|low, high, factor| high <= factor * low, factor),
        Test::SameDifference(most) => together(|low, high, most| high - low <= most, most),
        Test::Below(limit) => each(&|mean, _| mean <= limit),
        Test::Within(factor) => each(&|mean, finding| {
            let value: f64 =
                finding.published.unwrap_or_default().parse().expect("published values are numbers");
            mean <= factor * value && value <= factor * mean
        }),
    }
}

fn verdict(claim: &Claim, settings: &[SettingFinding]) -> String {
    let failed: Vec<&SettingFinding> = settings.iter().filter(|finding| !finding.right_passes).collect();
    let confused = settings.iter().filter(|finding| finding.wrong_passes).count();
    let is_joint = matches!(claim.test, Test::SameFactor(_) | Test::SameDifference(_));
    let right = if failed.is_empty() {
        "Reproduced".to_owned()
    } else if is_joint {
        "Could not be reproduced: the settings differ".to_owned()
    } else {
        let each = failed.iter().map(|SettingFinding { setting, published, right, .. }| {
            let ours = right.text(*published);
            published.map_or_else(
                || format!("{setting}: {ours}"),
                |published| format!("{setting}: published {published}, ours {ours}"),
            )
        });
        format!("Could not be reproduced ({})", each.collect::<Vec<_>>().join("; "))
    };
    let wrong = match confused {
        0 => "the wrong reading fails".to_owned(),
        all if all == settings.len() => "this number does not distinguish the wrong reading".to_owned(),
        some => {
            format!("the wrong reading fails in {} of {} settings", settings.len() - some, settings.len())
        }
    };
    let is_single = claim.test == Test::Published && settings.iter().any(|finding| finding.right.seeds == 1);
    let note =
        if is_single { " A single seed has no interval: only agreement in all digits counts." } else { "" };
    format!("{right}; {wrong}.{note}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_value_is_included_if_it_can_be_one_more_run() {
        // Five runs of deviation 0.1: 2.776 · 0.1 · √1.2 = 0.304.
        let spread = Spread { mean: Some(2.0), deviation: 0.1, seeds: 5, without: 0 };
        assert!(spread.includes("2.30") && spread.includes("1.70"));
        assert!(!spread.includes("2.31") && !spread.includes("1.69"));
        let exact = Spread { mean: Some(719.0 / 96.0), deviation: 0.0, seeds: 5, without: 0 };
        assert!(exact.includes("7.489583") && exact.includes("7.5") && !exact.includes("7.489584"));
        assert!(!Spread { mean: None, ..spread }.includes("2.00"));
    }

    #[test]
    fn the_mean_and_the_deviation_are_those_of_the_values() {
        let spread = Spread::of(&[Some(1.0), Some(2.0), Some(3.0), Some(6.0)]);
        assert_eq!((spread.mean, spread.without), (Some(3.0), 0));
        assert!((spread.deviation - (14.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(spread.text(None), "3.0 ± 2.2");
        let spread = Spread::of(&[Some(1.0), None, None]);
        assert_eq!((spread.mean, spread.text(None).as_str()), (None, "no result in 2 of 3"));
        assert_eq!(Spread::of(&[Some(719.0 / 96.0)]).text(Some("7.489583")), "7.489583");
        assert_eq!(Spread::of(&[Some(97.0)]).text(None), "97");
    }

    fn finding(published: Option<&'static str>, right: f64, wrong: Option<f64>) -> SettingFinding {
        let spread = |mean| Spread { mean, deviation: 0.0, seeds: 1, without: 0 };
        SettingFinding {
            setting: "s",
            published,
            right: spread(Some(right)),
            wrong: spread(wrong),
            right_passes: false,
            wrong_passes: false,
            curves: [vec![], vec![]],
        }
    }

    #[test]
    fn every_test_tells_values_that_pass_from_those_that_do_not() {
        let two = [finding(Some("10"), 10.0, Some(3.0)), finding(Some("20"), 20.4, None)];
        let right = |test| passes(test, &two, |finding| &finding.right);
        let wrong = |test| passes(test, &two, |finding| &finding.wrong);
        assert_eq!((right(Test::Published), wrong(Test::Published)), (vec![true, true], vec![false, false]));
        assert_eq!(
            (right(Test::SameFactor(2.1)), right(Test::SameFactor(2.0))),
            (vec![true; 2], vec![false; 2])
        );
        assert_eq!(right(Test::SameDifference(10.5)), [true, true]);
        assert_eq!(
            (right(Test::SameDifference(10.0)), wrong(Test::SameFactor(9.0))),
            (vec![false; 2], vec![false; 2])
        );
        assert_eq!(
            (right(Test::Below(15.0)), wrong(Test::Below(15.0))),
            (vec![true, false], vec![true, false])
        );
        assert_eq!(
            (right(Test::Within(2.0)), wrong(Test::Within(2.0))),
            (vec![true, true], vec![false, false])
        );
    }
}
