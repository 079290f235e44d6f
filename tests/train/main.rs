//! Tests of training: the result of a step, its bits for any number of threads, agreement with
//! other frameworks and papers, and how runs stop, fail and resume.

mod base_rate;
mod bits;
mod by_shards;
mod convention;
mod divergence;
mod early_stop;
mod failures;
mod fewer_samples_than_shards;
mod goyal_remarks;
mod noise_scale;
mod noisy_quadratic;
mod optimizers;
mod own_data;
mod processes;
mod pytorch;
mod reference_step;
mod resume;
mod same_bits;
mod semantics;
mod short_last_batch;
#[path = "../tally/mod.rs"]
mod tally;
mod targets;
mod translations;
mod warm_up;
