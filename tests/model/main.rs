//! Models: their gradients, their kernels, and the export to ONNX.

mod gradients;
mod kernels;
mod onnx;
#[path = "../tally/mod.rs"]
mod tally;
