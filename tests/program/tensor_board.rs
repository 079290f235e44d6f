//! The event file of `--tensorboard`, decoded here from the descriptions of the formats alone:
//! framing, checksums, messages. `checks/tensor_board.py` checks that the real TensorBoard reads
//! it.

use std::collections::BTreeMap;
use std::fs;

use crate::test_dir::TestDir;
use phalanx::checkpoint::ModelFile;
use serde_json::Value;

/// CRC-32C bit by bit: polynomial 0x1EDC6F41, reflected (RFC 3720, section 12.1).
fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}

fn masked(data: &[u8]) -> u32 {
    let crc = crc32c(data);
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Returns the data of all records, each of which must be complete, with correct checksums.
fn records(mut bytes: &[u8]) -> Vec<&[u8]> {
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        assert_eq!(word(&bytes[8..12]), masked(&bytes[..8]));
        let (data, rest) = bytes[12..].split_at(len);
        assert_eq!(word(&rest[..4]), masked(data));
        found.push(data);
        bytes = &rest[4..];
    }
    found
}

/// Fields of a message by number: the bits of a number of 4, 8 or up to 10 bytes, or the bytes of a
/// field with a length.
type Fields<'a> = BTreeMap<u64, Vec<(u64, &'a [u8])>>;

fn fields(mut bytes: &[u8]) -> Fields<'_> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let len = bytes.iter().position(|byte| *byte < 128).unwrap() + 1;
        let (own, rest) = bytes.split_at(len);
        *bytes = rest;
        own.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 127))
    }
    let mut found = Fields::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let len = match key & 7 {
            0 => {
                found.entry(key >> 3).or_default().push((varint(&mut bytes), &[]));
                continue;
            }
            1 => 8,
            5 => 4,
            2 => varint(&mut bytes) as usize,
            other => panic!("wire type {other}"),
        };
        let (own, rest) = bytes.split_at(len);
        let bits = own.iter().take(8).rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        found.entry(key >> 3).or_default().push((bits, own));
        bytes = rest;
    }
    found
}

fn number(fields: &Fields<'_>, field: u64) -> f64 {
    fields.get(&field).map_or(0.0, |values| f64::from_bits(values[0].0))
}

fn numbers(bytes: &[u8]) -> Vec<f64> {
    bytes.chunks(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect()
}

/// Step; minimum, maximum, count; limits; counts.
type Histogram = (u64, [f64; 3], Vec<f64>, Vec<f64>);

/// The content of an event file.
#[derive(Debug, Default, PartialEq)]
struct EventFile {
    /// Steps of session marks.
    marks: Vec<u64>,
    /// By tag, steps and bits of scalars.
    scalars: BTreeMap<String, Vec<(u64, u32)>>,
    /// By tag.
    histograms: BTreeMap<String, Vec<Histogram>>,
}

fn read_events(dir: &TestDir, run: &str) -> EventFile {
    let names = fs::read_dir(dir.path(run)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = names.filter(|path| path.to_str().unwrap().contains("tfevents")).collect();
    files.sort();
    let newest = files.pop().unwrap();
    assert!(
        files.iter().all(|path| path.metadata().unwrap().len() == 0),
        "the file of the resumed run is empty"
    );
    let bytes = fs::read(newest).unwrap();
    let mut held = EventFile::default();
    let (first, events) = (records(&bytes)[0], records(&bytes).split_off(1));
    assert_eq!(fields(first)[&3][0].1, b"brain.Event:2");
    for event in events.into_iter().map(fields) {
        assert!(number(&event, 1) > 1.7e9, "the wall time is in seconds since 1970");
        let step = event.get(&2).map_or(0, |step| step[0].0);
        if let Some(session) = event.get(&7) {
            assert_eq!(fields(session[0].1)[&1][0].0, 1, "START");
            held.marks.push(step);
            continue;
        }
        for (_, value) in &fields(event[&5][0].1)[&1] {
            let value = fields(value);
            let tag = String::from_utf8(value[&1][0].1.to_vec()).unwrap();
            if let Some(scalar) = value.get(&2) {
                held.scalars.entry(tag).or_default().push((step, scalar[0].0 as u32));
            } else {
                let histogram = fields(value[&5][0].1);
                let about = [1, 2, 3].map(|field| number(&histogram, field));
                let [limits, counts] = [6, 7].map(|field| numbers(histogram[&field][0].1));
                held.histograms.entry(tag).or_default().push((step, about, limits, counts));
            }
        }
    }
    held
}

/// Returns the scalars of the log, in the form of the event file.
fn logged(dir: &TestDir, run: &str) -> BTreeMap<String, Vec<(u64, u32)>> {
    let mut scalars: BTreeMap<String, Vec<(u64, u32)>> = BTreeMap::new();
    for line in dir.read(&format!("{run}/metrics.jsonl")).lines() {
        let line: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
        let (event, step) = (line["event"].as_str().unwrap(), line["step"].as_u64().unwrap());
        for (key, value) in line.iter().filter(|(key, _)| *key != "step" && *key != "epoch") {
            if let Some(value) = value.as_f64() {
                let bits = (value as f32).to_bits();
                scalars.entry(format!("{event}/{key}")).or_default().push((step, bits));
            }
        }
    }
    scalars
}

#[test]
fn the_decoder_accepts_the_published_checksum_and_a_record_written_by_tensorboard() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283, "the check value of RFC 3720's CRC");
    // f = io.BytesIO();
    // tensorboard.summary.writer.record_writer.RecordWriter(f).write(b"123456789");
    // f.getvalue().hex()
    let hex = "090000000000000037f97139313233343536373839e5b08ac7";
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    assert_eq!(records(&bytes), [b"123456789"]);
}

#[test]
fn an_event_file_has_the_scalars_of_the_log_and_histograms_of_the_params() {
    let dir = TestDir::new();
    dir.good("train --tensorboard --noise-scale=2 --log-every 4 --epochs 3 --hidden 16 -o run");
    let held = read_events(&dir, "run");
    assert_eq!(held.marks, [0]);
    assert_eq!(held.scalars, logged(&dir, "run"));
    assert_eq!(held.scalars["step/grad_norm"].len(), 69 / 4);
    for epochs in 1..=3 {
        dir.good(&format!("train --epochs {epochs} --hidden 16 -o ended{epochs}"));
        let mut params =
            &ModelFile::load(&dir.path(&format!("ended{epochs}/model.safetensors"))).unwrap().params[..];
        for (name, len) in [("0.weight", 1024), ("0.bias", 16), ("1.weight", 160), ("1.bias", 10)] {
            let (own, rest) = params.split_at(len);
            params = rest;
            let (step, [min, max, num], limits, counts) =
                &held.histograms[&format!("params/layers.{name}")][epochs - 1];
            assert_eq!((*step, *num, limits.len()), (23 * epochs as u64, len as f64, 30));
            assert_eq!(*max, limits[29]);
            for (at, count) in counts.iter().enumerate() {
                let from = if at == 0 { *min } else { limits[at - 1] };
                let to = if at == 29 { f64::INFINITY } else { limits[at] };
                let inside = own.iter().filter(|value| (from..to).contains(&f64::from(**value))).count();
                assert_eq!(*count, inside as f64, "bucket {at} of {name}");
            }
        }
    }
    assert_eq!(held.histograms.len(), 4);
}

#[test]
fn tensorboard_changes_no_bit_and_is_off_by_default() {
    let dir = TestDir::new();
    for optimizer in ["sgd", "lars"] {
        dir.good(&format!("train --epochs 2 -t 2 --optimizer {optimizer} -o {optimizer}"));
        let config = format!("train --config {optimizer}/config.toml");
        dir.good(&format!("{config} -t 3 --tensorboard -o {optimizer}-board"));
        let hash = |run: &str| dir.json(&format!("{run}/results.json"))["params_sha256"].clone();
        assert_eq!(hash(optimizer), hash(&format!("{optimizer}-board")));
        let names = fs::read_dir(dir.path(optimizer)).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(names.into_iter().all(|name| !name.to_str().unwrap().contains("tfevents")));
    }
    assert!(dir.read("sgd-board/config.toml").contains("tensorboard = true"));
}

#[test]
fn a_resumed_run_has_each_step_once_and_marks_each_resume() {
    let dir = TestDir::new();
    let flags = "--tensorboard --log-every 2 --noise-scale=3 --hidden 16 --quiet";
    dir.good(&format!("train {flags} --epochs 3 -o whole"));
    dir.good(&format!("train {flags} --max-steps 31 -o run"));
    let orphan = read_events(&dir, "run");
    assert_eq!(orphan.scalars["partial_epoch/train_loss"].last().unwrap().0, 31);
    let more = "--epochs 3 --allow-changed epochs --quiet";
    dir.good(&format!("train --resume run -t 3 -o elsewhere {more}"));
    assert_eq!(read_events(&dir, "run"), orphan, "the old directory is unchanged");

    // Stopped at the end of an epoch, then twice in the middle of one; after the second stop, the
    // log was written but no checkpoint saved.
    for steps in [46, 50, 60] {
        dir.good(&format!("train --resume run --max-steps {steps} --allow-changed max-steps --quiet"));
    }
    fs::remove_file(dir.path("run/checkpoints/step-00000060.safetensors")).unwrap();
    dir.good(&format!("train --resume run {more}"));

    let whole = read_events(&dir, "whole");
    let timeless = |held: EventFile| {
        let of_time = |tag: &String| !tag.ends_with("_secs") && tag != "epoch/samples_per_sec";
        held.scalars.into_iter().filter(|(tag, _)| of_time(tag)).collect::<Vec<_>>()
    };
    for (run, marks) in [("elsewhere", &[0, 32][..]), ("run", &[0, 32, 47, 51, 51])] {
        let found = read_events(&dir, run);
        assert_eq!(found.scalars, logged(&dir, run), "{run}");
        assert_eq!((found.marks.as_slice(), &found.histograms), (marks, &whole.histograms), "{run}");
        assert_eq!(timeless(found), timeless(read_events(&dir, "whole")), "{run}");
    }
    dir.good("train --resume elsewhere --tensorboard=false --epochs 4 --allow-changed epochs");
    dir.good("train --epochs 1 -o without --quiet");
    dir.good("train --resume without --tensorboard --epochs 2 --allow-changed epochs --quiet");
    let begun = read_events(&dir, "without");
    assert_eq!((begun.marks, begun.histograms["params/layers.1.bias"][0].0), (vec![0, 24], 46));
}

#[test]
fn an_event_file_that_cannot_be_written_is_named_and_other_commands_refuse_the_flag() {
    let dir = TestDir::new();
    for command in ["sweep --tensorboard", "bench scaling --tensorboard"] {
        let ran = dir.run(command);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(
            ran.err.contains("--tensorboard has no effect") || ran.err.contains("so --tensorboard"),
            "{ran:?}"
        );
    }
    dir.good("train --tensorboard --max-steps 30 -o run");
    let names = fs::read_dir(dir.path("run")).unwrap().map(|entry| entry.unwrap().path());
    let file = names.into_iter().find(|path| path.to_str().unwrap().contains("tfevents")).unwrap();
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let ran = dir.run("train --resume run --epochs 2 --allow-changed epochs");
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(ran.code == Some(1) && ran.err.contains(&format!("cannot read run/{name}")), "{ran:?}");
}
