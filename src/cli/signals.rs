//! Ctrl-C and its like.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Knows whether somebody wants the program to stop. The first signal asks the run to end after its step; a second one
/// of the same kind ends the program at once.
pub(super) struct Signals {
    pub(super) stop: Arc<AtomicBool>,
    last: Arc<AtomicUsize>,
}

impl Signals {
    /// Listens from now on.
    pub(super) fn listen() -> io::Result<Self> {
        let (stop, last) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag down, and raises it.
            flag::register_conditional_shutdown(signal, exit_code(signal).into(), Arc::clone(&stop))?;
            flag::register(signal, Arc::clone(&stop))?;
            flag::register_usize(signal, Arc::clone(&last), signal as usize)?;
        }
        Ok(Self { stop, last })
    }

    /// The exit code that says which signal it was: 130 or 143, which it is too if another process of a job got it.
    pub(super) fn exit_code(&self, has_others: bool) -> ExitCode {
        match self.last.load(Ordering::Relaxed) {
            0 if has_others => ExitCode::from(exit_code(SIGTERM)),
            0 => ExitCode::from(1),
            signal => ExitCode::from(exit_code(signal as i32)),
        }
    }
}

fn exit_code(signal: i32) -> u8 {
    128 + signal as u8
}
