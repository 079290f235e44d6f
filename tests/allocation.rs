//! Shows that a step allocates nothing: between two steps of one epoch the number of allocations of
//! the whole process stays the same, with every kind of optimizer, with clipping, and while the
//! noise scale is measured.
//!
//! This is the only test in its process, so that no other allocations count; the allocator is that
//! of the crate dhat.

use phalanx::data::{LoadOptions, Source};
use phalanx::model::{Activation, Loss, Mlp, MlpShape};
use phalanx::optim::{OptimizerKind, OptimizerOptions};
use phalanx::train::{Event, Length, Options, Trainer};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

#[test]
fn no_step_after_the_first_ones_allocates() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let digits = "digits".parse::<Source>().unwrap().load(&LoadOptions::default()).unwrap().train;
    let (hidden, activation, loss) = (vec![48, 32], Activation::Gelu, Loss::CrossEntropy);
    let model = Mlp::new(MlpShape { inputs: 64, hidden, outputs: 10, activation, loss });
    for &kind in OptimizerKind::ALL {
        let every = Some(1);
        for (threads, clip_grad_norm, noise_scale) in
            [(1, None, None), (2, None, every), (3, Some(0.5), every)]
        {
            let optimizer = OptimizerOptions::new(kind);
            let length = Length::Epochs(1);
            let options = Options {
                optimizer,
                threads,
                clip_grad_norm,
                noise_scale,
                length,
                batch_size: 32,
                ..Options::default()
            };
            // The counts of the first steps include what the ranks and this thread allocate during
            // setup.
            let mut counts = Vec::with_capacity(100);
            let outcome = Trainer::new(&model, &digits, options)
                .on_event(|event| {
                    if let Event::Step(_) = event {
                        counts.push(dhat::HeapStats::get().total_blocks);
                    }
                })
                .run();
            assert_eq!(outcome.unwrap().steps, 45);
            // This thread may allocate once, when it first has to wait for a message; allocations
            // in 30 steps would count as 30.
            assert!(counts[40] - counts[10] < 5, "{kind} on {threads} threads: {counts:?}");
        }
    }
}
