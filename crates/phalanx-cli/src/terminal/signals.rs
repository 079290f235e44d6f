//! Handling of signals: those that end a run, and those that must not.
//!
//! | signal | effect |
//! |---|---|
//! | SIGINT, SIGTERM | ends the run after the next step at the latest; a second one of the same kind ends the program at once |
//! | SIGHUP | ends the run after the next step at the latest, unless it was ignored when the program started, as under `nohup`. A terminal that is closed may send several, so a second one has no effect |
//! | SIGXCPU | ends the run after the next step at the latest: the system sends it every second once the limit on processor time is reached, and kills the program a little later |
//! | SIGXFSZ | a write that would exceed the limit on file sizes fails, with an error that names the file |
//! | SIGPIPE | ignored by Rust's runtime: a write to a pipe without a reader fails |
//! | SIGQUIT and all others | the system's default: they end the program at once |

#![allow(unsafe_code)] // No safe function returns the disposition of a signal at program start.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[cfg(unix)]
use signal_hook::consts::{SIGHUP, SIGXCPU, SIGXFSZ};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Records the signals that ask the program to stop.
pub struct Signals {
    pub stop: Arc<AtomicBool>,
    last: Arc<AtomicUsize>,
}

impl Signals {
    /// Registers the handlers.
    pub fn register() -> io::Result<Self> {
        let signals = Self { stop: Arc::default(), last: Arc::default() };
        for signal in [SIGINT, SIGTERM] {
            // In this order: on the first signal the flag is still false, and is set afterwards.
            let received = Arc::new(AtomicBool::new(false));
            flag::register_conditional_shutdown(signal, exit_code(signal).into(), Arc::clone(&received))?;
            flag::register(signal, received)?;
            signals.stop_on(signal)?;
        }
        #[cfg(unix)]
        {
            signals.stop_on(SIGXCPU)?;
            if !is_ignored(SIGHUP)? {
                signals.stop_on(SIGHUP)?;
            }
        }
        Ok(signals)
    }

    fn stop_on(&self, signal: i32) -> io::Result<()> {
        flag::register_usize(signal, Arc::clone(&self.last), signal as usize)?;
        flag::register(signal, Arc::clone(&self.stop))?;
        Ok(())
    }

    /// Returns the exit code of the signal, 128 + n, or that of SIGTERM if another process of the
    /// job received it; 1 if there was none.
    pub fn exit_code(&self, has_others: bool) -> ExitCode {
        match self.last.load(Ordering::Relaxed) {
            0 if has_others => ExitCode::from(exit_code(SIGTERM)),
            0 => ExitCode::from(1),
            signal => ExitCode::from(exit_code(signal as i32)),
        }
    }
}

/// Lets a write that would exceed the limit on file sizes fail. By default the program would be
/// killed, and would leave a temporary file.
pub fn let_large_writes_fail() -> io::Result<()> {
    #[cfg(unix)]
    // The write fails if there is any handler; this one does nothing else.
    flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    Ok(())
}

/// Returns whether a signal is ignored.
#[cfg(unix)]
fn is_ignored(signal: i32) -> io::Result<bool> {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: with a null pointer nothing is changed, and the current action is written to a buffer
    // of its type.
    if unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it was written.
    Ok(unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN)
}

fn exit_code(signal: i32) -> u8 {
    128 + signal as u8
}
