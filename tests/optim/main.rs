//! The update rules: against PyTorch, cut into segments, and in their forms.
#![cfg(feature = "program")]

mod cuts;
mod forms;
mod pytorch;
