//! The program killed at random moments of a run that saves as often as it can: what was saved is never lost, nothing that is half
//! written is taken for whole, and the run still comes to the bits of one that nobody killed.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use phalanx::checkpoint::CheckpointDir;

use crate::moments::{Random, SAVING, all_whole, furnished, newest_name, span};
use crate::room::{Ran, Room, hash};
use crate::tally::{Tally, count};

/// After so many kills a run may end, and another begins.
const KILLS_OF_A_RUN: u64 = 10;

/// Kills the run at a moment; whether it was over before.
fn ended_before_kill(room: &Room, random: &mut Random, keep: u64, longest: Duration) -> Result<bool, String> {
    let threads = 1 + random.below(3);
    let mut seen = newest_name(room);
    let mut child = room.spawn(&format!("{SAVING} --save-every 1 --keep {keep} -t {threads}"));
    // All that was ever there must be there after the kill, or something newer.
    let (moment, begun) = (random.time(longest), Instant::now());
    while let Some(left) = moment.checked_sub(begun.elapsed()) {
        seen = seen.max(newest_name(room));
        sleep(left.min(Duration::from_millis(1)));
    }
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.signal() != Some(9) {
        let ran = Ran::from(output);
        return if ran.code == Some(0) { Ok(true) } else { Err(format!("{ran:?}")) };
    }
    let whole = all_whole(room)?;
    let last = whole.last().map_or(0, |checkpoint| checkpoint.snapshot.position().step);
    // As the program itself finds it.
    let found = CheckpointDir::of_run(&room.path("run")).newest(|_| ()).map_err(|error| error.to_string())?;
    let found = found.map_or(0, |(_, checkpoint)| checkpoint.snapshot.position().step);
    if found < seen || found != last {
        return Err(format!(
            "step {seen} was saved before the kill, but step {found} is the newest after it"
        ));
    }
    Ok(false)
}

#[test]
fn whatever_the_moment_of_a_kill_nothing_saved_is_lost_and_the_bits_stay_the_same() {
    let (room, whole) = furnished();
    let longest = span(&room);
    let mut random = Random(1);
    let mut kills = Tally::new("D1", "kills after which all checkpoints are whole, and none is lost");
    let mut ends = Tally::new("D1", "runs killed up to ten times that come to the bits of one that was not");
    for killed in 0..count(20, 1000) {
        let runs = killed / KILLS_OF_A_RUN;
        let ended = ended_before_kill(&room, &mut random, 1 + 2 * (runs % 2), longest);
        kills.case(ended.is_ok(), || format!("kill {killed}: {ended:?}"));
        if ended == Ok(true) || (killed + 1) % KILLS_OF_A_RUN == 0 {
            // A run that is complete is not gone on with: what was half of its plot stays.
            let is_over = room.path("run/results.json").exists();
            let end = ended == Ok(true) || room.run(&format!("{SAVING} --save-every never")).code == Some(0);
            ends.case(end && hash(&room, "run") == whole, || format!("the run of kill {killed}"));
            let is_left = |path: &Path| path.to_string_lossy().contains(".writing");
            let leftover = room.listing().into_iter().find(|(path, _)| is_left(path));
            assert_eq!(leftover.filter(|_| !is_over), None);
            std::fs::remove_dir_all(room.path("run")).unwrap();
        }
    }
    kills.end();
    ends.end();
}
