// The figures are drawn by the package phalanx-cli from its src/sweep/guide.json, the results.json of the sweep that guide.md names. When the drawing changes,
// `UPDATE_GUIDE=1 cargo test -p phalanx-cli figures_of_the_guide` draws them again, in a second; without the variable the test says whether they
// are current. To measure anew, run the sweep, copy its results.json here, draw, and state its numbers in guide.md, which a test compares.

#![doc = include_str!("guide.md")]
//!
//! # The best rate against the batch size
//!
#![doc = include_str!("best-rate-mean.svg")]
//!
//! # What a batch costs
//!
#![doc = include_str!("to-the-goal-mean.svg")]
//!
#![doc = include_str!("losses-mean.svg")]
//!
#![doc = include_str!("practice.md")]

#[doc = include_str!("reliability.md")]
pub mod reliability {}

#[doc = include_str!("cluster.md")]
pub mod cluster {}
