//! Tests of the update rules: comparison with PyTorch, segmentation, and variants of the formulas.

mod cuts;
mod forms;
mod pytorch;
