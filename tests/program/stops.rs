//! Signals that stop a run, at random moments: before the program installs its signal handlers,
//! they end it and nothing is left; from then on, the run ends after its step with exit code 128 +
//! n, a valid checkpoint and its results, and resumes to the same bits.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::moments::{Random, SAVING, all_whole, furnished, span};
use crate::tally::{Tally, count, within};
use crate::test_dir::{ProgramOutput, TestDir, hash, signal, within_shell};

/// Number of signals after which a run is completed and another one starts.
const SIGNALS_OF_A_RUN: u64 = 10;
const SIGNALS: [(&str, i32); 4] = [("HUP", 1), ("INT", 2), ("TERM", 15), ("XCPU", 24)];

/// The effect of a signal.
#[derive(Debug, PartialEq)]
enum End {
    /// The signal handlers were not installed yet: the signal itself ended the program.
    Before,
    /// The run was saved and ended.
    Stopped,
    /// The run had already ended.
    Over,
}

/// Sends a signal to the run at a random moment, and a second one if `impatient`. A new run is
/// given the time to install its signal handlers: on a busy machine, no other signal may find it in
/// progress.
fn stopped(dir: &TestDir, random: &mut Random, impatient: bool, longest: Duration) -> Result<End, String> {
    let (name, number) = SIGNALS[random.below(4) as usize];
    let every = ["1", "2epochs", "never"][random.below(3) as usize];
    let before = dir.listing();
    let is_new = !dir.path("run").exists();
    let child = dir.spawn(&format!("{SAVING} --save-every {every} -t {}", 1 + random.below(3)));
    // Some signals are sent in the first milliseconds, before the handlers are installed.
    let longest = if random.below(3) == 0 { longest / 30 } else { longest };
    let moment = random.time(longest);
    if is_new {
        wait_for_the_log(dir)
    } else {
        sleep(moment)
    }
    let asked = Instant::now();
    (0..=u32::from(impatient)).for_each(|_| signal(&child, name));
    let output = child.wait_with_output().unwrap();
    let took = asked.elapsed();
    if took > within(2000) {
        return Err(format!("it took {took:?} to end"));
    }
    match output.status.signal() {
        Some(found) if found == number && dir.listing() == before => Ok(End::Before),
        Some(found) => Err(format!("ended by signal {found}, and left {:?}", dir.listing())),
        // A second SIGINT or SIGTERM ends the program at once. The other signals may be delivered
        // more than once.
        None => check_end(dir, output, 128 + number, impatient && ["INT", "TERM"].contains(&name)),
    }
}

/// Checks the files of a run that ended with an exit code.
fn check_end(dir: &TestDir, output: Output, stopped: i32, impatient: bool) -> Result<End, String> {
    let ran = ProgramOutput::from(output);
    let whole = all_whole(dir)?;
    if ran.code == Some(0) {
        return Ok(End::Over);
    }
    if ran.code != Some(stopped) {
        return Err(format!("{ran:?}"));
    }
    if impatient {
        return Ok(End::Stopped);
    }
    let results = dir.json("run/results.json");
    let last = whole.last().ok_or("no checkpoint")?;
    let leftover = dir.listing().into_iter().find(|(path, _)| path.to_string_lossy().contains(".writing"));
    let is_whole = results["stopped"] == "interrupted"
        && results["steps"] == last.snapshot.position().step
        && results["params_sha256"] == phalanx::checkpoint::params_sha256(&last.model().params)
        && leftover.is_none();
    if is_whole { Ok(End::Stopped) } else { Err(format!("{results}, {leftover:?}")) }
}

#[test]
fn a_signal_at_any_moment_saves_the_run_which_resumes_to_the_same_bits() {
    let (dir, whole) = furnished();
    let longest = span(&dir);
    let mut random = Random(2);
    let mut signals = Tally::new(
        "C6",
        "signals that end a run within 2 s, saved and with exit code 128 + n, or before it starts",
    );
    let mut ends =
        Tally::new("C6", "runs stopped up to ten times that end with the same bits as an uninterrupted run");
    let mut kinds = [0, 0, 0];
    for sent in 0..count(12, 500) {
        let end = stopped(&dir, &mut random, sent % 5 == 4, longest);
        signals.case(end.is_ok(), || format!("signal {sent}: {end:?}"));
        end.iter().for_each(|end| kinds[(*end != End::Before) as usize + (*end == End::Over) as usize] += 1);
        let is_over = end == Ok(End::Over);
        if is_over || (sent + 1) % SIGNALS_OF_A_RUN == 0 {
            let end = is_over || dir.run(&format!("{SAVING} --save-every never")).code == Some(0);
            ends.case(end && hash(&dir, "run") == whole, || format!("the run of signal {sent}"));
            std::fs::remove_dir_all(dir.path("run")).unwrap();
        }
    }
    println!(
        "{} before the handlers were installed, {} saved, {} after the end",
        kinds[0], kinds[1], kinds[2]
    );
    signals.end();
    ends.end();
    assert!(kinds[1] > 0, "no signal arrived while the run was in progress");
}

#[test]
fn a_hang_up_that_is_ignored_when_the_program_starts_stays_ignored() {
    let dir = TestDir::new();
    let train = dir.command("train --epochs 300 --no-progress -o run");
    let mut command = within_shell(&dir, "trap '' HUP", &train);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let log = dir.path("run/metrics.jsonl");
    while !std::fs::read_to_string(&log).is_ok_and(|log| log.contains("\"epoch\"")) {
        std::thread::yield_now();
    }
    signal(&child, "HUP");
    let ran = ProgramOutput::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, &dir.json("run/results.json")["epochs"]), (Some(0), &300.into()), "{ran:?}");
}

/// Waits until the program has created its log, which it does after installing the signal handlers.
fn wait_for_the_log(dir: &TestDir) {
    while !dir.path("run/metrics.jsonl").exists() {
        std::thread::yield_now();
    }
}

/// Sends signals in immediate succession.
fn signals(child: &Child, names: [&str; 2]) {
    let kills = names.map(|name| format!("kill -s {name} {}", child.id())).join("; ");
    assert!(Command::new("sh").args(["-c", &kills]).status().unwrap().success());
}

#[test]
fn signals_of_two_kinds_leave_time_to_save_the_run() {
    for names in [["INT", "TERM"], ["TERM", "HUP"], ["HUP", "HUP"], ["XCPU", "XCPU"]] {
        let dir = TestDir::new();
        let child = dir.spawn("train --epochs 1000000 --quiet -o run");
        wait_for_the_log(&dir);
        signals(&child, names);
        let ran = ProgramOutput::from(child.wait_with_output().unwrap());
        let codes = SIGNALS.map(|(name, number)| names.contains(&name).then_some(128 + number));
        assert!(codes.contains(&ran.code) && ran.code.is_some(), "{names:?}: {ran:?}");
        assert_eq!(dir.json("run/results.json")["stopped"], "interrupted", "{names:?}");
    }
}

#[test]
fn a_second_signal_of_the_same_kind_does_not_wait_for_the_step() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let dir = TestDir::new();
        // Each step takes about a second.
        let mut child = dir.spawn("train --hidden 2000,2000 -b 1437 -t 1 --quiet -o run");
        wait_for_the_log(&dir);
        // More than two signals, because the system merges those that have not been delivered yet.
        while child.try_wait().unwrap().is_none() {
            signal(&child, name);
        }
        assert_eq!(ProgramOutput::from(child.wait_with_output().unwrap()).code, Some(code));
        assert!(!dir.path("run/results.json").exists(), "the program waited for the step");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_is_saved_with_its_exit_code_even_if_its_summary_cannot_be_printed() {
    let dir = TestDir::new();
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let child =
        dir.command("train --epochs 1000000 --no-progress -o run").stdout(full()).stderr(full()).spawn();
    let child = child.unwrap();
    wait_for_the_log(&dir);
    signal(&child, "HUP");
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(129));
    assert_eq!(dir.json("run/results.json")["stopped"], "interrupted");
}
