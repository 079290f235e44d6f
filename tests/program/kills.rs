//! The program is killed at random moments of a run that saves as often as possible: saved
//! checkpoints are never lost, incomplete files are never mistaken for complete ones, and the
//! result of the run is bit-identical to that of an uninterrupted run.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use phalanx::checkpoint::CheckpointDir;

use crate::moments::{Random, SAVING, all_whole, furnished, newest_name, span};
use crate::tally::{Tally, count};
use crate::test_dir::{ProgramOutput, TestDir, hash};

/// The number of kills after which a run may complete and another one starts.
const KILLS_OF_A_RUN: u64 = 10;

/// Kills the run at a random moment; returns whether it had completed before.
fn ended_before_kill(
    dir: &TestDir,
    random: &mut Random,
    keep: u64,
    longest: Duration,
) -> Result<bool, String> {
    let threads = 1 + random.below(3);
    let mut seen = newest_name(dir);
    let mut child = dir.spawn(&format!("{SAVING} --save-every 1 --keep {keep} -t {threads}"));
    // The newest checkpoint seen, or a newer one, must exist after the kill.
    let (moment, begun) = (random.time(longest), Instant::now());
    while let Some(left) = moment.checked_sub(begun.elapsed()) {
        seen = seen.max(newest_name(dir));
        sleep(left.min(Duration::from_millis(1)));
    }
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.signal() != Some(9) {
        let ran = ProgramOutput::from(output);
        return if ran.code == Some(0) { Ok(true) } else { Err(format!("{ran:?}")) };
    }
    let whole = all_whole(dir)?;
    let last = whole.last().map_or(0, |checkpoint| checkpoint.snapshot.position().step);
    // The newest checkpoint as found by the program itself.
    let found = CheckpointDir::of_run(&dir.path("run")).newest(|_| ()).map_err(|error| error.to_string())?;
    let found = found.map_or(0, |(_, checkpoint)| checkpoint.snapshot.position().step);
    if found < seen || found != last {
        return Err(format!(
            "step {seen} was saved before the kill, but step {found} is the newest after it"
        ));
    }
    Ok(false)
}

#[test]
fn after_a_kill_at_any_moment_no_checkpoint_is_lost_and_the_result_is_the_same() {
    let (dir, whole) = furnished();
    let longest = span(&dir);
    let mut random = Random(1);
    let mut kills =
        Tally::new("D1", "kills after which all checkpoints are complete, and no checkpoint is lost");
    let mut ends =
        Tally::new("D1", "runs killed up to ten times that are bit-identical to an uninterrupted run");
    for killed in 0..count(20, 1000) {
        let runs = killed / KILLS_OF_A_RUN;
        let ended = ended_before_kill(&dir, &mut random, 1 + 2 * (runs % 2), longest);
        kills.case(ended.is_ok(), || format!("kill {killed}: {ended:?}"));
        if ended == Ok(true) || (killed + 1) % KILLS_OF_A_RUN == 0 {
            // A complete run is not resumed, so an incomplete temporary file of its plot is left.
            let is_over = dir.path("run/results.json").exists();
            let end = ended == Ok(true) || dir.run(&format!("{SAVING} --save-every never")).code == Some(0);
            ends.case(end && hash(&dir, "run") == whole, || format!("the run of kill {killed}"));
            let is_left = |path: &Path| path.to_string_lossy().contains(".writing");
            let leftover = dir.listing().into_iter().find(|(path, _)| is_left(path));
            assert_eq!(leftover.filter(|_| !is_over), None);
            std::fs::remove_dir_all(dir.path("run")).unwrap();
        }
    }
    kills.end();
    ends.end();
}
