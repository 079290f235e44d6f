//! Room `collective`.
