//! Models: their gradients, the kernels beneath, and their interchange as ONNX.

mod gradients;
mod kernels;
mod onnx;
#[path = "../tally/mod.rs"]
mod tally;
