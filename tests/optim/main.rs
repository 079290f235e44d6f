//! The update rules: against PyTorch, cut into segments, and in their forms.

mod cuts;
mod forms;
mod pytorch;
