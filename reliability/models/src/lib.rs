//! The room of the reducer, lifted out of the house as it is, and small programs over it for a model checker: see `models.rs`.
#![cfg(any(feature = "loom", feature = "shuttle"))]

#[path = "../../../crates/phalanx-collective/src/lib.rs"]
pub mod collective;
#[cfg(test)]
mod models;
mod watched;
