//! Faults that tests plant into a run; there are none in the library.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Phase;
use super::whereabouts::Whereabouts;

/// A panic of one rank, as it enters a phase of a step for the `attempt`th time, counted from 1.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) rank: usize,
    /// Counted from 0.
    pub(super) step: u64,
    pub(super) phase: Phase,
    pub(super) attempt: u64,
    pub(super) entered: AtomicU64,
}

impl Fault {
    pub(super) fn new(rank: usize, step: u64, phase: Phase, attempt: u64) -> Self {
        Self { rank, step, phase, attempt, entered: AtomicU64::new(0) }
    }

    pub(super) fn strike(&self, step: u64, phase: Phase) {
        if (step, phase) == (self.step, self.phase)
            && self.entered.fetch_add(1, Ordering::Relaxed) + 1 == self.attempt
        {
            std::panic::resume_unwind(Box::new("planted"));
        }
    }
}

/// Plants a fault into the rank that it is of.
pub(super) fn among(mut ranks: Vec<Arc<Whereabouts>>, fault: Option<Fault>) -> Vec<Arc<Whereabouts>> {
    if let Some(fault) = fault {
        let rank = fault.rank;
        let mut struck = Whereabouts::default();
        struck.fault = Some(fault);
        ranks[rank] = Arc::new(struck);
    }
    ranks
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::data::{Dataset, LoadOptions, Source};
    use crate::internals::MlpWorkspace;
    use crate::model::{
        Activation, Loss, Mlp, MlpShape, Model, Samples, Score, ShardRun, SubtreeSums, Tensor,
    };
    use crate::train::{Length, Options, SaveEvery, Shards, TrainError, Trainer};

    /// The step that is struck, counted from 0.
    const STEP: u64 = 5;
    /// That of the second epoch's first.
    const TURN: u64 = 15;
    const STEPS: u64 = 17;

    /// A perceptron whose gradient is computed by shards, and which panics after the backward pass of one rank's step if asked to.
    struct ByShards<'a> {
        model: &'a Mlp,
        /// The rank, and how many gradients it computes before.
        struck: Option<(usize, AtomicU64)>,
    }

    impl Model for ByShards<'_> {
        type Workspace = MlpWorkspace;

        fn tensors(&self) -> Vec<Tensor> {
            self.model.tensors()
        }

        fn initial_params(&self, seed: u64) -> Vec<f32> {
            self.model.initial_params(seed)
        }

        fn workspace(&self, max_samples: usize) -> MlpWorkspace {
            self.model.workspace(max_samples)
        }

        fn gradient(
            &self,
            params: &[f32],
            samples: &Samples<'_>,
            grads: &mut [f32],
            work: &mut MlpWorkspace,
        ) -> f64 {
            self.model.gradient(params, samples, grads, work)
        }

        fn subtree_gradient(
            &self,
            params: &[f32],
            subtree: &ShardRun<'_>,
            sums: SubtreeSums<'_>,
            work: &mut MlpWorkspace,
        ) {
            self.model.subtree_gradient(params, subtree, sums, work);
            if let Some((rank, left)) = &self.struck
                && std::thread::current().name() == Some(&format!("rank {rank}"))
                && left.fetch_sub(1, Ordering::Relaxed) == 0
            {
                std::panic::resume_unwind(Box::new("planted"));
            }
        }

        fn score(&self, params: &[f32], samples: &Samples<'_>, work: &mut MlpWorkspace) -> Score {
            self.model.score(params, samples, work)
        }
    }

    struct Bench {
        model: Mlp,
        train: Dataset,
        test: Dataset,
    }

    impl Bench {
        fn new() -> Self {
            let digits = "digits".parse::<Source>().unwrap().load(&LoadOptions::default()).unwrap();
            let (hidden, activation, loss) = (vec![120], Activation::Relu, Loss::CrossEntropy);
            let model = Mlp::new(MlpShape { inputs: 64, hidden, outputs: 10, activation, loss });
            Self { model, train: digits.train, test: digits.test.unwrap() }
        }

        fn trainer<'a, M: Model>(&'a self, model: &'a M, options: &Options) -> Trainer<'a, M> {
            let every_step = (1..=STEPS).collect();
            Trainer::new(model, &self.train, options.clone())
                .test(&self.test)
                .score_at(every_step)
                .save_every(SaveEvery::Steps(STEP + 1))
        }

        /// The params after so many whole steps.
        fn after(&self, options: &Options, steps: u64) -> Vec<f32> {
            let options = Options { length: Length::Steps(steps), threads: 1, ..options.clone() };
            Trainer::new(&self.model, &self.train, options).run().unwrap().params
        }
    }

    /// The three ways in which a step updates: as pieces of the gradient come, after all have seen theirs, after norms.
    fn ways() -> [Options; 3] {
        let plain = Options {
            batch_size: 100,
            shards: Shards::Count(8),
            rate: Some(0.05),
            length: Length::Steps(STEPS),
            ..Options::default()
        };
        [
            plain.clone(),
            Options { grad_norm_every: 1, ..plain.clone() },
            Options { clip_grad_norm: Some(0.5), ..plain },
        ]
    }

    /// What is wrong with the end of a run, if anything.
    fn wrong(
        run: impl FnOnce() -> Result<crate::train::Outcome, TrainError>,
        (rank, step, phase): (usize, u64, Phase),
        expected: &[f32],
    ) -> Option<String> {
        // As in tests/tally/mod.rs: a test must not fail for want of cores.
        let is_full = std::env::var_os("RELIABILITY_FULL").is_some();
        let soon = Duration::from_millis(if is_full { 500 } else { 5000 });
        let begun = Instant::now();
        let ended = run();
        let took = begun.elapsed();
        match ended {
            Err(TrainError::Panicked { rank: r, step: s, phase: p, message, params })
                if (r, s, p, message.as_str()) == (rank, step + 1, phase, "planted") =>
            {
                if params != expected {
                    Some("params are not those after the last whole step".into())
                } else {
                    (took > soon).then(|| format!("took {took:?}"))
                }
            }
            Err(error) => Some(error.to_string()),
            Ok(_) => Some("nothing was struck".into()),
        }
    }

    /// Row C1: a panic in every phase of a step, on the first, a middle and the last rank.
    #[test]
    fn a_panic_in_any_phase_names_rank_and_phase_and_leaves_the_params_of_the_last_whole_step() {
        let bench = Bench::new();
        let (mut good, mut all, mut bad) = (0, 0, Vec::new());
        for options in ways() {
            let whole = [0, STEP, STEP + 1, STEPS].map(|steps| {
                if steps == 0 { bench.model.initial_params(42) } else { bench.after(&options, steps) }
            });
            for threads in [2, 4, 8] {
                let options = Options { threads, ..options.clone() };
                for rank in BTreeSet::from([0, threads / 2, threads - 1]) {
                    let mut judge = |found: Option<String>, what: String| {
                        all += 1;
                        match found {
                            None => good += 1,
                            Some(found) => {
                                bad.push(format!("{what}, rank {rank} of {threads}, {options:?}: {found}"))
                            }
                        }
                    };
                    for (phase, step, whole) in [
                        (Phase::Order, TURN, None),
                        (Phase::Load, STEP, Some(&whole[1])),
                        (Phase::Gradient, STEP, Some(&whole[1])),
                        (Phase::BeforeReduce, STEP, Some(&whole[1])),
                        (Phase::Reduce, STEP, Some(&whole[1])),
                        (Phase::Update, STEP, Some(&whole[1])),
                        (Phase::AfterReduce, STEP, Some(&whole[1])),
                        (Phase::Score, STEP, Some(&whole[2])),
                        (Phase::Save, STEP, Some(&whole[2])),
                        (Phase::End, STEPS - 1, Some(&whole[3])),
                    ] {
                        let before = whole.cloned().unwrap_or_else(|| bench.after(&options, step));
                        let fault = Fault::new(rank, step, phase, 1);
                        let run = || bench.trainer(&bench.model, &options).fault(fault).run();
                        judge(wrong(run, (rank, step, phase), &before), phase.to_string());
                        let by_shards = ByShards { model: &bench.model, struck: None };
                        let fault = Fault::new(rank, step, phase, 1);
                        let run = || bench.trainer(&by_shards, &options).fault(fault).run();
                        judge(wrong(run, (rank, step, phase), &before), format!("{phase}, by shards"));
                    }
                    // One gradient a step and rank, as all shards of a rank are one subtree; on some ranks two.
                    let by_shards = ByShards { model: &bench.model, struck: Some((rank, AtomicU64::new(0))) };
                    let run = || bench.trainer(&by_shards, &options).run();
                    judge(
                        wrong(run, (rank, 0, Phase::Gradient), &whole[0]),
                        "after the backward pass".into(),
                    );
                }
            }
        }
        println!(
            "C1 {good}/{all}: panics in a phase of a step that are told with rank and phase within 500 ms, the last whole step kept"
        );
        assert!(bad.is_empty(), "{} of {all}, the first: {}", bad.len(), bad[0]);
    }

    /// Each piece of a rank's segment, so that those before it are updated, and what other ranks have is whole. Pieces end where tensors
    /// do: one rank has all four of them, the second of two at least the last three.
    #[test]
    fn a_panic_between_two_pieces_of_an_update_leaves_the_params_of_the_last_whole_step() {
        let bench = Bench::new();
        let (mut good, mut all) = (0, 0);
        for (rank, threads, attempt) in [(0, 1, 2), (0, 1, 3), (0, 1, 4), (1, 2, 2), (1, 2, 3)] {
            all += 1;
            let options = Options { threads, ..ways()[0].clone() };
            let fault = Fault::new(rank, STEP, Phase::Update, attempt);
            let run = || bench.trainer(&bench.model, &options).fault(fault).run();
            let found = wrong(run, (rank, STEP, Phase::Update), &bench.after(&options, STEP));
            assert_eq!(found, None, "piece {attempt} of rank {rank} of {threads}");
            good += 1;
        }
        println!("C1 {good}/{all}: panics between two pieces of an update");
    }
}
