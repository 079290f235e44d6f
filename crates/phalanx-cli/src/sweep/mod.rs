//! Sweeps: many training runs that differ in batch size, rate, reduction and seed, and what they say of "sum or mean".
//!
//! The words of this room:
//!
//! - **cell**: a batch size, a rate and a reduction. One run of a cell for each seed.
//! - **curve**: the loss on the test samples over the steps of a run, scored at sample counts that grow by a factor.
//! - **goal**: a loss on the test samples. Steps to it, interpolated on the curve, say how good a rate is (the protocol of Shallue et
//!   al. 2019, arXiv:1811.03600: the goal is fixed, the rate tuned for each batch size).
//! - **best rate** of a batch size: the one with the fewest steps to the goal, interpolated between the rates that were tried.
//! - **law**: how the best rate, and the steps to the goal, depend on the batch size ([`RateLaw`], [`TradeOff`]).
//!
//! | file | holds |
//! |---|---|
//! | `options`, `cell` | what is to be run; one run of it |
//! | `record`, `log` | what a run leaves: its curve; the file of them all, from which a sweep goes on |
//! | `runner` | several runs at once, on one thread each: the bits are those of any number |
//! | `best`, `law` | the best rates; the laws fitted to them |
//! | `findings`, `answer` | all that a sweep says, as data and in sentences |
//! | `page`, `figures` | the report |

mod answer;
mod best;
mod cell;
mod error;
mod figures;
mod findings;
mod law;
mod log;
mod options;
mod page;
mod record;
mod runner;

pub use best::BestRate;
pub use cell::{Cell, Run};
pub use error::SweepError;
pub use figures::{best_rate, losses, to_the_goal};
pub use findings::{Findings, Setting};
pub use law::{RateLaw, TradeOff};
pub use log::SweepLog;
pub use options::SweepOptions;
pub use page::page;
pub use record::{CurvePoint, Record, csv};
pub use runner::Sweep;
