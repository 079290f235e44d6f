//! The state that all ranks of a run share, and the params before the current step, to which a
//! failed step is rolled back.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::options::SaveEvery;
use super::phase::PhaseRecord;
use super::plan::Plan;
use super::snapshot::{SnapshotBuffers, Start};
use crate::collective::Shared;
use crate::data::Dataset;
use crate::model::AnyModel;

/// The state that all ranks of a run share.
pub(super) struct RunContext<'a> {
    pub(super) plan: Plan,
    pub(super) model: &'a AnyModel<'a>,
    pub(super) train: &'a Dataset,
    pub(super) test: Option<&'a Dataset>,
    /// Steps after which the test samples are scored in addition to the ends of epochs, ascending.
    pub(super) score_at: Vec<u64>,
    /// The only copy of the params; each rank writes its segment.
    pub(super) params: Shared<f32>,
    /// The sample order of the epoch; rank 0 writes it.
    pub(super) order: Shared<u32>,
    pub(super) start: Start,
    pub(super) save_every: SaveEvery,
    pub(super) buffers: [Arc<SnapshotBuffers>; 2],
    pub(super) rollback: Rollback,
    /// The current phase of each thread.
    pub(super) phases: Vec<Arc<PhaseRecord>>,
    pub(super) stop: &'a AtomicBool,
    /// Set once a subscriber has failed: the ranks stop after the next step at the latest.
    pub(super) quit: AtomicBool,
}

/// The params before the current step, for a step that panics in the middle of its update or makes
/// params NaN or infinite.
pub(super) struct Rollback {
    /// One entry per thread, written by it while it updates its segment.
    segments: Vec<Mutex<OldSegment>>,
    /// The step that made params NaN or infinite, counted from 1; 0 if no step did. Ranks write it,
    /// and the next field, before they depart from the update, and read both after all have
    /// departed, so that all read the same.
    broken_step: AtomicU64,
    /// The first of these params.
    broken_param: AtomicUsize,
}

/// The values, before the step, of the part of a segment that its rank has begun to update.
#[derive(Default)]
pub(super) struct OldSegment {
    /// Counted from 0.
    step: Option<u64>,
    params: Vec<f32>,
}

impl OldSegment {
    /// Copies the next piece, which is about to be updated. Allocates in the first step.
    pub(super) fn keep(&mut self, piece: &[f32]) {
        self.params.extend_from_slice(piece);
    }
}

impl Rollback {
    pub(super) fn new(threads: usize) -> Self {
        Self {
            segments: (0..threads).map(|_| Mutex::default()).collect(),
            broken_step: AtomicU64::new(0),
            broken_param: AtomicUsize::new(usize::MAX),
        }
    }

    /// Begins to keep the values of a thread's segment before a step.
    pub(super) fn begin(&self, thread: usize, step: u64) -> MutexGuard<'_, OldSegment> {
        let mut segment = self.segment(thread);
        segment.step = Some(step);
        segment.params.clear();
        segment
    }

    /// Restores the part of its segment that a thread has begun to update in a step.
    pub(super) fn put_back(&self, thread: usize, step: u64, params: &mut [f32]) {
        let segment = self.segment(thread);
        if segment.step == Some(step) {
            params[..segment.params.len()].copy_from_slice(&segment.params);
        }
    }

    /// Records that a segment, which begins with param `first`, is NaN or infinite after its update
    /// in a step.
    pub(super) fn note_broken(&self, step: u64, first: usize, segment: &[f32]) {
        let at = segment.iter().position(|param| !param.is_finite());
        self.note_broken_param(step, first + at.expect("one of them is NaN or infinite"));
    }

    /// Records that a param is NaN or infinite after its update in a step.
    pub(super) fn note_broken_param(&self, step: u64, param: usize) {
        self.broken_param.fetch_min(param, Ordering::Relaxed);
        self.broken_step.store(step + 1, Ordering::Relaxed);
    }

    /// Returns the first param that a step, counted from 0, has made NaN or infinite.
    pub(super) fn broken_at(&self, step: u64) -> Option<usize> {
        let is_broken = self.broken_step.load(Ordering::Relaxed) == step + 1;
        is_broken.then(|| self.broken_param.load(Ordering::Relaxed))
    }

    /// Returns the params of a run that failed in a step, as the last complete step left them.
    pub(super) fn last_whole(&self, params: Shared<f32>, step: u64) -> Vec<f32> {
        let segments: Vec<_> = (0..self.segments.len()).map(|thread| params.segment(thread)).collect();
        let is_torn = params.is_torn();
        let mut values = params.into_inner();
        if is_torn {
            for (thread, segment) in segments.into_iter().enumerate() {
                self.put_back(thread, step, &mut values[segment]);
            }
        }
        values
    }

    fn segment(&self, thread: usize) -> MutexGuard<'_, OldSegment> {
        self.segments[thread].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Row C1 of the reliability score: panics planted in every phase.
#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, Instant};

    use crate::data::{Dataset, LoadOptions, Source};
    use crate::internals::MlpWorkspace;
    use crate::model::{
        Activation, FusedModel, Loss, Mlp, MlpShape, Model, Samples, Score, ShardRun, Tensor,
    };
    use crate::train::phase::{Phase, PhaseHook};
    use crate::train::{Length, Options, SaveEvery, Shards, TrainError, Trainer};

    /// Returns a hook that panics at the `attempt`th entry, counted from 1, into a phase of a step.
    fn panic_in(step: u64, phase: Phase, attempt: u64) -> PhaseHook {
        let entered = AtomicU64::new(0);
        Box::new(move |at, entering| {
            if (at, entering) == (step, phase) && entered.fetch_add(1, Ordering::Relaxed) + 1 == attempt {
                std::panic::resume_unwind(Box::new("planted"));
            }
        })
    }

    /// The step with the fault, counted from 0.
    const STEP: u64 = 5;
    /// The first step of the second epoch, counted from 0.
    const TURN: u64 = 15;
    const STEPS: u64 = 17;

    /// A perceptron whose gradient is computed by shards, and which can panic after the backward
    /// pass of one rank's step.
    struct ByShards<'a> {
        model: &'a Mlp,
        /// The rank that panics, and the number of gradients that it computes before that.
        fault: Option<(usize, AtomicU64)>,
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

        fn score(&self, params: &[f32], samples: &Samples<'_>, work: &mut MlpWorkspace) -> Score {
            self.model.score(params, samples, work)
        }

        fn fused(&self) -> Option<&dyn FusedModel<MlpWorkspace>> {
            Some(self)
        }
    }

    impl FusedModel<MlpWorkspace> for ByShards<'_> {
        fn subtree_gradient(
            &self,
            params: &[f32],
            shards: &ShardRun<'_>,
            grads: &mut [f32],
            losses: &mut [f64],
            work: &mut MlpWorkspace,
        ) {
            self.model.subtree_gradient(params, shards, grads, losses, work);
            if let Some((rank, left)) = &self.fault
                && std::thread::current().name() == Some(&format!("rank {rank}"))
                && left.fetch_sub(1, Ordering::Relaxed) == 0
            {
                std::panic::resume_unwind(Box::new("planted"));
            }
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

        fn trainer<'a, M: Model>(&'a self, model: &'a M, options: &Options) -> Trainer<'a> {
            let every_step = (1..=STEPS).collect();
            Trainer::new(model, &self.train, options.clone())
                .test(&self.test)
                .score_at(every_step)
                .save_every(SaveEvery::Steps(STEP + 1))
        }

        /// Returns the params after `steps` whole steps.
        fn after(&self, options: &Options, steps: u64) -> Vec<f32> {
            let options = Options { length: Length::Steps(steps), threads: 1, ..options.clone() };
            Trainer::new(&self.model, &self.train, options).run().unwrap().params
        }
    }

    /// The three forms of an update: as pieces of the gradient arrive, after all ranks have checked
    /// theirs, after norms.
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

    /// Returns what is wrong with the result of a run, if anything.
    fn wrong(
        run: impl FnOnce() -> Result<crate::train::Outcome, TrainError>,
        (rank, step, phase): (usize, u64, Phase),
        expected: &[f32],
    ) -> Option<String> {
        // As in tests/tally/mod.rs: a test must not fail because cores are busy.
        let is_full = std::env::var_os("RELIABILITY_FULL").is_some();
        let soon = Duration::from_millis(if is_full { 500 } else { 5000 });
        let begun = Instant::now();
        let ended = run();
        let took = begun.elapsed();
        match ended {
            Err(TrainError::Panicked { rank: r, step: s, phase: p, message, params })
                if (r, s, p, message.as_str()) == (rank, step + 1, phase.text(), "planted") =>
            {
                if params != expected {
                    Some("the params are not those after the last complete step".into())
                } else {
                    (took > soon).then(|| format!("took {took:?}"))
                }
            }
            Err(error) => Some(error.to_string()),
            Ok(_) => Some("no fault was triggered".into()),
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
                        let fault = panic_in(step, phase, 1);
                        let run = || bench.trainer(&bench.model, &options).fault(rank, fault).run();
                        judge(wrong(run, (rank, step, phase), &before), phase.text().to_owned());
                        let by_shards = ByShards { model: &bench.model, fault: None };
                        let fault = panic_in(step, phase, 1);
                        let run = || bench.trainer(&by_shards, &options).fault(rank, fault).run();
                        judge(
                            wrong(run, (rank, step, phase), &before),
                            format!("{}, by shards", phase.text()),
                        );
                    }
                    // One gradient per step and rank, because all shards of a rank form one
                    // subtree; on some ranks two.
                    let by_shards = ByShards { model: &bench.model, fault: Some((rank, AtomicU64::new(0))) };
                    let run = || bench.trainer(&by_shards, &options).run();
                    judge(
                        wrong(run, (rank, 0, Phase::Gradient), &whole[0]),
                        "after the backward pass".into(),
                    );
                }
            }
        }
        println!(
            "C1 {good}/{all}: panics in a phase of a step that are reported with rank and phase within 500 ms, the last complete step kept"
        );
        assert!(bad.is_empty(), "{} of {all}, the first: {}", bad.len(), bad[0]);
    }

    /// Each piece of a rank's segment, so that those before it are updated, and what other ranks
    /// have is whole. Pieces end where tensors do: one rank has all four of them, the second of two
    /// at least the last three.
    #[test]
    fn a_panic_between_two_pieces_of_an_update_leaves_the_params_of_the_last_whole_step() {
        let bench = Bench::new();
        let (mut good, mut all) = (0, 0);
        for (rank, threads, attempt) in [(0, 1, 2), (0, 1, 3), (0, 1, 4), (1, 2, 2), (1, 2, 3)] {
            all += 1;
            let options = Options { threads, ..ways()[0].clone() };
            let fault = panic_in(STEP, Phase::Update, attempt);
            let run = || bench.trainer(&bench.model, &options).fault(rank, fault).run();
            let found = wrong(run, (rank, STEP, Phase::Update), &bench.after(&options, STEP));
            assert_eq!(found, None, "piece {attempt} of rank {rank} of {threads}");
            good += 1;
        }
        println!("C1 {good}/{all}: panics between two pieces of an update");
    }
}
