//! The unmodified sources of the reducer, and small programs that use it under a model checker: see
//! `models.rs`.
#![cfg(any(feature = "loom", feature = "shuttle"))]

#[path = "../../../crates/phalanx-collective/src/lib.rs"]
pub mod collective;
#[cfg(test)]
mod models;
mod watched;
