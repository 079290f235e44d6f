//! Sweeps: many training runs that differ in batch size, rate, reduction and seed, and their answer
//! to "sum or mean".
//!
//! Vocabulary:
//!
//! - **cell**: a batch size, a rate and a reduction. One run of a cell for each seed.
//! - **curve**: the loss on the test samples over the steps of a run, scored at sample counts that
//!   grow by a factor.
//! - **goal**: a loss on the test samples. The steps to the goal, interpolated on the curve,
//!   measure a rate (the protocol of Shallue et al. 2019, arXiv:1811.03600: the goal is fixed, the
//!   rate tuned for each batch size).
//! - **best rate** of a batch size: the one with the fewest steps to the goal, interpolated between
//!   the rates that were tried.
//! - **law**: the best rate, or the steps to the goal, as a function of the batch size
//!   ([`RateLaw`], [`TradeOff`]).
//!
//! | file | holds |
//! |---|---|
//! | `plan` | the options of a sweep, its runs, its errors |
//! | `sweep_log` | the record of a run, with its curve |
//! | `runner` | several runs at a time, on one thread each; their number does not change the bits |
//! | `law` | the laws of the best rates |
//! | `findings` | the best rates, the laws fitted to them and the answer, as data and in sentences |
//! | `page` | the report |

mod findings;
mod law;
mod page;
mod plan;
mod runner;
mod sweep_log;

pub use findings::{BestRate, Findings, Setting};
pub use law::{RateLaw, TradeOff};
pub use page::{best_rate, losses, page, to_the_goal};
pub use plan::{Cell, SweepError, SweepOptions, SweepRun};
pub use runner::Sweep;
pub use sweep_log::{CurvePoint, SweepRecord, csv};
