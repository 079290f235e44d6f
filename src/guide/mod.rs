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
