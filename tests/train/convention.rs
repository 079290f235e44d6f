//! Shows that each translation that is called exact is exact, when training through the library:
//! the same bits of params where it promises them, within 1e-5 where it promises equality up to
//! rounding; that translating back restores the original; that settings without an exact
//! translation are rejected with the reason; and that the conditions that a translation names are
//! the ones that matter.

use phalanx::data::{Dataset, LoadOptions, Source};
use phalanx::internals::Condition;
use phalanx::model::{Activation, Loss, Mlp, MlpShape, Model};
use phalanx::optim::convention::{
    BatchRule, Convention, ConventionError, Destination, Exactness, Recipe, Settings, Translation,
};
use phalanx::optim::{
    EpsForm, MomentumForm, OptimizerKind, OptimizerOptions, Reduction, ScheduleKind, ScheduleOptions,
};
use phalanx::train::{Length, Options, Shards, Trainer};

fn digits() -> Dataset {
    "digits".parse::<Source>().unwrap().load(&LoadOptions::default()).unwrap().train
}

/// Trains with the given settings, on full batches unless they keep a short last one.
fn trained(settings: &Settings, data: &Dataset, schedule: ScheduleOptions) -> Vec<f32> {
    let (hidden, activation, loss) = (vec![8], Activation::Tanh, Loss::CrossEntropy);
    let model = Mlp::new(MlpShape { inputs: 64, hidden, outputs: 10, activation, loss });
    let (reduction, recipe) = settings.runnable().unwrap();
    let initial = (0..model.params_len()).map(|i| ((i * 37 % 101) as f32 - 50.3) / 200.0).collect();
    let options = Options {
        threads: 2,
        batch_size: settings.batch_size,
        shards: Shards::Count(settings.shards),
        reduction,
        length: Length::Steps(40),
        optimizer: recipe.options,
        rate: Some(recipe.rate),
        schedule,
        clip_grad_norm: recipe.max_norm,
        drop_last: settings.drop_last,
        ..Options::default()
    };
    Trainer::new(&model, data, options).initial_params(initial).run().unwrap().params
}

fn bits(params: &[f32]) -> Vec<u32> {
    params.iter().map(|w| w.to_bits()).collect()
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    let square = |x: f64| x * x;
    let apart: f64 = a.iter().zip(b).map(|(a, b)| square(f64::from(a - b))).sum();
    let whole: f64 = a.iter().map(|a| square(f64::from(*a))).sum();
    (apart / whole).sqrt()
}

/// A recipe in which every option of its kind has an effect.
fn recipe(kind: OptimizerKind) -> Recipe {
    let base = OptimizerOptions { l2: 0.02, weight_decay: 0.03, ..OptimizerOptions::new(kind) };
    let momentum = OptimizerOptions { momentum: Some(0.9), nesterov: true, ..base };
    let (options, rate) = match kind {
        OptimizerKind::Sgd => (momentum, 0.05),
        OptimizerKind::Lars => (OptimizerOptions { trust_coefficient: Some(0.01), ..momentum }, 1.0),
        OptimizerKind::Adagrad => {
            (OptimizerOptions { eps: Some(0.01), initial_accumulator: Some(0.01), ..base }, 0.05)
        }
        _ => (OptimizerOptions { eps: Some(0.01), ..base }, 0.01),
    };
    Recipe { options, rate, max_norm: Some(0.1) }
}

const MEAN: Convention = Convention::Reduction(Reduction::Mean);
const SUM: Convention = Convention::Reduction(Reduction::Sum);
const MEAN_OF_SHARD_MEANS: Convention = Convention::Reduction(Reduction::MeanOfShardMeans);
const SUM_OF_SHARD_MEANS: Convention = Convention::Reduction(Reduction::SumOfShardMeans);
const MEAN_OF_SHARD_SUMS: Convention = Convention::Reduction(Reduction::MeanOfShardSums);

fn settings(convention: Convention, recipe: Recipe) -> Settings {
    Settings { shards: 4, data_size: Some(1437), drop_last: true, ..Settings::new(convention, recipe, 64) }
}

fn to(settings: &Settings, convention: Convention) -> Translation {
    settings.translated(&Destination::of(convention)).unwrap()
}

#[test]
fn every_convention_has_the_bits_of_the_mean_for_every_optimizer() {
    let data = digits();
    let steady = ScheduleOptions::default();
    for &kind in OptimizerKind::ALL {
        let mean = settings(MEAN, recipe(kind));
        let expected = trained(&mean, &data, steady);
        assert!(
            distance(
                &expected,
                &trained(&settings(MEAN, Recipe { max_norm: None, ..mean.recipe }), &data, steady)
            ) > 1e-4
        );
        for &convention in Convention::ALL {
            let translation = to(&mean, convention);
            let found = trained(&translation.settings, &data, steady);
            if translation.same_bits() {
                assert!(bits(&found) == bits(&expected), "{kind} in {convention}");
            } else {
                // N = 1437 is part of λ in these two, which rounds.
                assert!(matches!(convention, Convention::ObjectiveSum | Convention::C), "{convention}");
                assert!(distance(&found, &expected) < 1e-5, "{kind} in {convention}");
            }
        }
    }
}

/// In these two conventions the numbers are the same, and only the divisions differ: by 60, or by
/// 20 and then by 3.
#[test]
fn divisions_that_round_differently_are_not_called_the_same_bits() {
    let data = digits();
    let steady = ScheduleOptions::default();
    for (batch_size, shards, is_same) in [(60, 3, false), (60, 4, false), (64, 4, true)] {
        let mean = Settings { batch_size, shards, ..settings(MEAN, recipe(OptimizerKind::Sgd)) };
        let translation = to(&mean, MEAN_OF_SHARD_MEANS);
        assert_eq!(translation.factor, 1.0);
        assert_eq!(translation.same_bits(), is_same, "{batch_size} samples in {shards} shards");
        let [found, expected] = [&translation.settings, &mean].map(|side| trained(side, &data, steady));
        assert_eq!(bits(&found) == bits(&expected), is_same, "{batch_size} samples in {shards} shards");
    }
}

#[test]
fn the_penalty_of_the_whole_data_has_the_same_bits_if_its_size_is_a_power_of_two() {
    let data = digits();
    let steady = ScheduleOptions::default();
    let mean = Settings { data_size: Some(1024), ..settings(MEAN, recipe(OptimizerKind::Sgd)) };
    for convention in [Convention::ObjectiveSum, Convention::ObjectiveMean] {
        let translation = to(&mean, convention);
        assert!(translation.same_bits(), "{convention}");
        assert_eq!(
            bits(&trained(&translation.settings, &data, steady)),
            bits(&trained(&mean, &data, steady))
        );
    }
    let whole = to(&mean, Convention::ObjectiveSum).settings.recipe.options.l2;
    assert_eq!(
        (whole, to(&mean, Convention::C).settings.recipe.options.l2),
        (1024.0 * 0.02, 1.0 / (1024.0 * 0.02))
    );
}

#[test]
fn forms_of_eps_are_translated_by_their_own_power() {
    let data = digits();
    let steady = ScheduleOptions::default();
    for (kind, form, power) in [
        (OptimizerKind::Adagrad, EpsForm::Inside, 2),
        (OptimizerKind::Rmsprop, EpsForm::Inside, 2),
        (OptimizerKind::Adam, EpsForm::Uncorrected, 1),
    ] {
        let recipe = recipe(kind);
        let options = OptimizerOptions { eps_form: Some(form), ..recipe.options };
        let mean = settings(MEAN, Recipe { options, ..recipe });
        let sum = to(&mean, SUM);
        assert_eq!(sum.settings.recipe.options.eps, Some(0.01 * 64_f64.powi(power)), "{kind}");
        assert!(sum.same_bits());
        let expected = trained(&mean, &data, steady);
        assert_eq!(bits(&trained(&sum.settings, &data, steady)), bits(&expected), "{kind}");
        let outside = settings(MEAN, recipe);
        assert!(
            distance(&trained(&outside, &data, steady), &expected) > 1e-4,
            "{kind}: the form has no effect"
        );
    }
}

#[test]
fn schedules_of_both_momentum_forms_are_translated_between_sum_and_mean() {
    let data = digits();
    let cosine =
        ScheduleOptions { kind: ScheduleKind::Cosine, warmup_steps: 5, ..ScheduleOptions::default() };
    for &form in MomentumForm::ALL {
        let recipe = recipe(OptimizerKind::Sgd);
        let options = OptimizerOptions { momentum_form: Some(form), ..recipe.options };
        let mean = Settings { rate_changes: true, ..settings(MEAN, Recipe { options, ..recipe }) };
        let sum = to(&mean, SUM);
        assert!(sum.same_bits());
        assert_eq!(
            bits(&trained(&sum.settings, &data, cosine)),
            bits(&trained(&mean, &data, cosine)),
            "{form}"
        );
    }
}

#[test]
fn a_batch_size_that_is_not_a_power_of_two_is_reported_as_exact_up_to_rounding() {
    let data = digits();
    let steady = ScheduleOptions::default();
    for &kind in OptimizerKind::ALL {
        let mean = Settings { batch_size: 100, ..settings(MEAN, recipe(kind)) };
        for &convention in Convention::ALL {
            let translation = to(&mean, convention);
            assert!(translation.changes.iter().all(|change| change.exactness <= Exactness::Rounding));
            let apart =
                distance(&trained(&mean, &data, steady), &trained(&translation.settings, &data, steady));
            assert!(apart < 2e-5, "{kind} in {convention}: {apart:e}");
        }
        assert!(!to(&mean, SUM).same_bits());
    }
}

#[test]
fn translating_there_and_back_restores_the_original() {
    for &kind in OptimizerKind::ALL {
        for batch_size in [64, 100] {
            for &from in Convention::ALL {
                let options = recipe(kind).options.check().unwrap();
                let start = Settings { batch_size, ..settings(from, Recipe { options, ..recipe(kind) }) };
                for &there in Convention::ALL {
                    let back = to(&to(&start, there).settings, from).settings;
                    let numbers = |settings: &Settings| {
                        let Recipe { options: o, rate, max_norm } = settings.recipe;
                        [Some(rate), max_norm, Some(o.l2), Some(o.weight_decay), o.eps, o.initial_accumulator]
                    };
                    for (found, expected) in numbers(&back).into_iter().zip(numbers(&start)) {
                        let (found, expected) = (found.unwrap_or(0.0), expected.unwrap_or(0.0));
                        assert!(
                            (found - expected).abs() <= 1e-15 * expected.abs() * 4.0,
                            "{kind} {from} {there}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_short_last_batch_is_inexact_by_the_amount_in_the_remark() {
    let data = digits();
    let steady = ScheduleOptions::default();
    let options = OptimizerOptions { l2: 0.02, ..OptimizerOptions::default() };
    let recipe = Recipe { options, rate: 0.1, max_norm: None };
    let mean = Settings { drop_last: false, ..settings(MEAN, recipe) };
    let sum = to(&mean, SUM);
    let (r, m) = (1437 % 64, 64);
    assert!(sum.conditions.contains(&Condition::ShortBatch {
        samples: r,
        batch_size: m,
        times: r as f64 / m as f64
    }));
    assert!(
        sum.conditions.contains(&Condition::ShortBatchPenalty { samples: r, times: m as f64 / r as f64 })
    );
    assert!(distance(&trained(&mean, &data, steady), &trained(&sum.settings, &data, steady)) > 1e-3);

    let sklearn = to(&mean, Convention::ScikitLearn);
    assert_eq!(sklearn.conditions, [Condition::ShortBatchPenalty { samples: r, times: m as f64 / r as f64 }]);

    // Between these two only the number of shards matters, and it stays the same.
    let (from, there) = (SUM_OF_SHARD_MEANS, MEAN_OF_SHARD_MEANS);
    let uneven = Settings { drop_last: false, batch_size: 66, ..settings(from, recipe) };
    let other = to(&uneven, there);
    assert_eq!((other.conditions.len(), other.factor, other.same_bits()), (0, 0.25, true));
    assert_eq!(bits(&trained(&uneven, &data, steady)), bits(&trained(&other.settings, &data, steady)));

    let unknown = Settings { data_size: None, ..mean };
    assert_eq!(to(&unknown, SUM).conditions, [Condition::ConstantBatch { batch_size: 64 }]);
    assert_eq!(
        to(&unknown, Convention::ScikitLearn).conditions,
        [Condition::ConstantBatch { batch_size: 64 }]
    );
    assert!(to(&unknown, Convention::ObjectiveMean).conditions.is_empty());
    assert!(to(&Settings { drop_last: true, ..mean }, SUM).conditions.is_empty());
}

#[test]
fn switches_during_a_run_zero_norms_and_clipping_have_remarks() {
    let sum = |recipe: Recipe| to(&settings(MEAN, recipe), SUM).conditions;
    let state = |name, times| Condition::State { name, times };
    let sgd = recipe(OptimizerKind::Sgd);
    assert_eq!(sum(sgd), [state("momentum_buffer", 64.0), Condition::ClipEps { eps: 64e-6 }]);
    let caffe = OptimizerOptions { momentum_form: Some(MomentumForm::Caffe), ..sgd.options };
    assert_eq!(sum(Recipe { options: caffe, max_norm: None, ..sgd }), []);
    let adam = Recipe { max_norm: None, ..recipe(OptimizerKind::Adam) };
    assert_eq!(sum(adam), [state("exp_avg", 64.0), state("exp_avg_sq", 4096.0)]);
    assert_eq!(sum(Recipe { max_norm: None, ..recipe(OptimizerKind::Lars) }), [Condition::LarsZeroNorm]);
}

#[test]
fn the_usual_mistakes_differ_from_the_translations() {
    let data = digits();
    let steady = ScheduleOptions::default();
    let apart = |recipe: Recipe, mistake: &dyn Fn(&mut Recipe)| {
        let mean = settings(MEAN, recipe);
        let mut sum = to(&mean, SUM).settings;
        mistake(&mut sum.recipe);
        distance(&trained(&mean, &data, steady), &trained(&sum, &data, steady))
    };
    let adam = recipe(OptimizerKind::Adam);
    let sgd = recipe(OptimizerKind::Sgd);
    assert!(apart(adam, &|sum| sum.rate /= 64.0) > 0.1, "dividing the rate under adam");
    assert!(apart(adam, &|sum| sum.options.eps = adam.options.eps) > 0.01, "leaving eps alone");
    assert!(apart(sgd, &|sum| sum.options.l2 = sgd.options.l2) > 0.01, "leaving l2 alone");
    assert!(
        apart(sgd, &|sum| sum.options.weight_decay = 0.03) > 0.01,
        "leaving the weight decay of sgd alone"
    );
    assert!(apart(sgd, &|sum| sum.max_norm = sgd.max_norm) > 0.1, "leaving the bound of clipping alone");
    let adamw = recipe(OptimizerKind::Adamw);
    assert!(apart(adamw, &|sum| sum.options.weight_decay *= 64.0) > 0.01, "multiplying the decay of adamw");
}

#[test]
fn momentum_forms_are_equivalent_at_a_constant_rate_only() {
    let data = digits();
    let mean = settings(MEAN, recipe(OptimizerKind::Sgd));
    let target = Destination { momentum_form: Some(MomentumForm::Caffe), ..Destination::of(MEAN) };
    let caffe = mean.translated(&target).unwrap();
    assert!(!caffe.same_bits() && caffe.conditions.contains(&Condition::FormState { times: 0.05 }));
    let steady = ScheduleOptions::default();
    assert!(distance(&trained(&mean, &data, steady), &trained(&caffe.settings, &data, steady)) < 1e-5);

    let changing = Settings { rate_changes: true, ..mean };
    let (from, there) = (MomentumForm::Pytorch, MomentumForm::Caffe);
    assert_eq!(changing.translated(&target), Err(ConventionError::ChangingRate { from, to: there }));
    let linear = ScheduleOptions { kind: ScheduleKind::Linear, ..steady };
    assert!(distance(&trained(&mean, &data, linear), &trained(&caffe.settings, &data, linear)) > 1e-3);
    let plain = settings(MEAN, recipe(OptimizerKind::Adam));
    assert_eq!(plain.translated(&target), Err(ConventionError::NoMomentum));
}

#[test]
fn uneven_shards_are_rejected_where_they_matter() {
    let uneven = |from, there| {
        let settings = Settings { batch_size: 100, shards: 3, ..settings(from, recipe(OptimizerKind::Sgd)) };
        settings.translated(&Destination::of(there))
    };
    for shard_means in [MEAN_OF_SHARD_MEANS, SUM_OF_SHARD_MEANS] {
        for other in [MEAN, SUM, MEAN_OF_SHARD_SUMS] {
            for result in [uneven(shard_means, other), uneven(other, shard_means)] {
                let Err(ConventionError::UnevenShards { shards: 3, least: 33, most: 34, .. }) = result else {
                    panic!("{shard_means} and {other}: {result:?}")
                };
            }
        }
    }
    assert!(
        uneven(MEAN_OF_SHARD_MEANS, SUM_OF_SHARD_MEANS).is_ok() && uneven(SUM, MEAN_OF_SHARD_SUMS).is_ok()
    );
    let (data, steady) = (digits(), ScheduleOptions::default());
    let at = |convention| Settings { batch_size: 10, ..settings(convention, recipe(OptimizerKind::Sgd)) };
    assert!(
        distance(&trained(&at(MEAN), &data, steady), &trained(&at(MEAN_OF_SHARD_MEANS), &data, steady))
            > 1e-3
    );
}

#[test]
fn impossible_translations_are_rejected_with_the_reason() {
    use Convention::{C, ObjectiveSum};
    let base = settings(MEAN, recipe(OptimizerKind::Sgd));
    let bare = Settings { recipe: Recipe { options: OptimizerOptions::default(), ..base.recipe }, ..base };
    let refused = |settings: Settings, target: Destination| settings.translated(&target).unwrap_err();
    let grown =
        |batch_size, rule| Destination { batch_size: Some(batch_size), rule, ..Destination::of(MEAN) };
    let unknown = Settings { data_size: None, ..base };
    assert_eq!(
        refused(unknown, Destination::of(ObjectiveSum)),
        ConventionError::NeedsDataSize { convention: ObjectiveSum }
    );
    assert_eq!(refused(bare, Destination::of(C)), ConventionError::NoPenalty);
    assert_eq!(refused(Settings { convention: C, ..bare }, Destination::of(MEAN)), ConventionError::ZeroC);
    assert_eq!(refused(base, grown(128, None)), ConventionError::NeedsRule);
    let rule = BatchRule::Linear;
    assert_eq!(refused(base, grown(64, Some(rule))), ConventionError::UnusedRule { rule });
    let (rule, kind) = (BatchRule::Adam, OptimizerKind::Sgd);
    assert_eq!(refused(base, grown(128, Some(rule))), ConventionError::NotAdam { rule, kind });
    assert_eq!(
        refused(Settings { batch_size: 0, ..base }, Destination::of(SUM)),
        ConventionError::Zero { what: "batch size" }
    );
    let small = Settings { data_size: Some(10), ..base };
    assert_eq!(
        refused(small, Destination::of(SUM)),
        ConventionError::SmallData { batch_size: 64, data_size: 10 }
    );
    let lars = Settings { zero_start: true, ..settings(MEAN, recipe(OptimizerKind::Lars)) };
    assert_eq!(refused(lars, Destination::of(SUM)), ConventionError::ZeroNorm);
    assert!(lars.translated(&Destination::of(Convention::ScikitLearn)).is_ok());
    let huge = Recipe { max_norm: None, ..recipe(OptimizerKind::Adagrad) };
    let huge = OptimizerOptions { initial_accumulator: Some(1e36), ..huge.options };
    let huge = Settings { recipe: Recipe { options: huge, ..base.recipe }, ..base };
    assert!(matches!(refused(huge, Destination::of(SUM)), ConventionError::Optim(_)));
}

#[test]
fn batch_rules_follow_their_papers_and_are_reported_as_approximations() {
    let adam = OptimizerOptions { l2: 0.5, ..OptimizerOptions::new(OptimizerKind::Adam) };
    let recipe = Recipe { options: adam, rate: 0.001, max_norm: None };
    let grown = |convention, rule| {
        let target = Destination { batch_size: Some(256), rule: Some(rule), ..Destination::of(convention) };
        settings(convention, recipe).translated(&target).unwrap()
    };
    let close =
        |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 1e-12, "{found} {expected}");
    for (convention, eps, l2) in [(MEAN, 0.5e-8, 0.5), (SUM, 2e-8, 2.0)] {
        let found = grown(convention, BatchRule::Adam);
        let options = found.settings.recipe.options;
        close(found.settings.recipe.rate, 0.002);
        close(options.beta1.unwrap(), 0.6);
        close(options.beta2.unwrap(), 0.996);
        close(options.eps.unwrap(), eps);
        close(options.l2, l2);
        assert!(found.changes.iter().all(|change| change.exactness == Exactness::Approximate));
        assert_eq!(found.conditions[0], Condition::Approximation { rule: BatchRule::Adam, growth: 4.0 });
    }
    let limit = Destination { batch_size: Some(704), rule: Some(BatchRule::Adam), ..Destination::of(MEAN) };
    let error = settings(MEAN, recipe).translated(&limit).unwrap_err();
    assert!(matches!(error, ConventionError::BetaOutOfRange { option: "beta1", old: 0.9, .. }), "{error}");

    let sgd = Recipe { options: OptimizerOptions::default(), rate: 0.1, max_norm: None };
    for (convention, rule, expected) in [
        (MEAN, BatchRule::Linear, 0.4),
        (SUM, BatchRule::Linear, 0.1),
        (MEAN, BatchRule::Sqrt, 0.2),
        (SUM, BatchRule::Sqrt, 0.05),
    ] {
        let target = Destination { batch_size: Some(256), rule: Some(rule), ..Destination::of(convention) };
        close(settings(convention, sgd).translated(&target).unwrap().settings.recipe.rate, expected);
    }
}
