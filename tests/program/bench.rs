//! Tests of `phalanx bench`: it measures what is requested, reports it as a table, JSON, CSV and
//! SVG, and rejects invalid arguments. No test depends on the speed of anything.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// Runs the program with these arguments, separated by spaces, in this folder.
fn phalanx(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_phalanx"));
    command.current_dir(folder).args(arguments.split_whitespace());
    command.output().expect("the program was built for this test")
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("the program writes UTF-8")
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("the program writes UTF-8")
}

/// Runs the program, which must succeed, and returns its stdout.
fn printed(folder: &TempDir, arguments: &str) -> String {
    let output = phalanx(folder.path(), arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments}: {}", stderr(&output));
    stdout(&output).to_owned()
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be created")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is a number"))
}

const SHORT: &str = "bench scaling digits --hidden 16 --max-steps 4 --takes 2";

#[test]
fn scaling_prints_a_line_for_each_thread_count_and_saves_nothing() {
    let folder = folder();
    let table = printed(&folder, &format!("{SHORT} --threads 2,1"));
    assert!(table.contains("speed-up") && table.contains("of limit") && table.contains("GFLOP/s"), "{table}");
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let of = |count: &str| {
        lines.iter().filter(|line| line.first() == Some(&count) && line.get(1) == Some(&"64")).count()
    };
    assert_eq!((of("1"), of("2")), (1, 1), "{table}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "no run directory");
}

#[test]
fn scaling_gives_the_params_of_training_for_every_thread_count() {
    let folder = folder();
    let report = json(&printed(&folder, &format!("{SHORT} --threads 1,2,3 --json -")));
    assert_eq!(report["same_params"], true);
    printed(&folder, "train digits --hidden 16 --max-steps 4 --threads 2 -o run --quiet");
    let results = json(&fs::read_to_string(folder.path().join("run/results.json")).unwrap());
    for point in report["points"].as_array().unwrap() {
        assert_eq!(point["params_sha256"], results["params_sha256"], "{} threads", point["threads"]);
    }
}

#[test]
fn the_json_of_scaling_has_all_measurements() {
    let report = json(&printed(&folder(), &format!("{SHORT} --threads 1,2 --json - --no-progress")));
    for key in ["version", "options", "growth", "machine", "limit", "flops_per_sample", "points", "warnings"]
    {
        assert!(!report[key].is_null(), "{key}");
    }
    assert_eq!(number(&report["flops_per_sample"]), f64::from(2 * (2 * 64 * 16 + 3 * 16 * 10)));
    let points = report["points"].as_array().unwrap();
    let (first, last) = (&points[0], &points[1]);
    assert_eq!((number(&first["speed_up"]), number(&first["efficiency"])), (1.0, 1.0));
    let speed = |point: &Value| number(&point["samples_per_sec"]["median"]);
    assert_eq!(number(&last["speed_up"]), speed(last) / speed(first));
    assert_eq!(number(&last["efficiency"]), number(&last["speed_up"]) / 2.0);
    assert_eq!(last["takes_samples_per_sec"].as_array().unwrap().len(), 2);
    let rate = speed(last) * number(&report["flops_per_sample"]) / 1e9;
    let share = rate / number(&report["limit"]["gflop_per_sec"]);
    assert!((number(&last["share_of_limit"]) - share).abs() < 1e-9 * share);
    let ranks = last["ranks"].as_array().unwrap();
    assert_eq!(ranks.len(), 2);
    for rank in ranks {
        let sum: f64 = ["compute", "wait", "reduce_update"].map(|phase| number(&rank[phase])).iter().sum();
        assert!((sum - 1.0).abs() < 1e-9, "{rank}");
    }
}

#[test]
fn weak_scaling_increases_the_batch_size_in_proportion_to_the_threads() {
    let report = json(&printed(&folder(), &format!("{SHORT} --threads 2,4,6 -b 30 --weak --json -")));
    let sizes: Vec<f64> =
        report["points"].as_array().unwrap().iter().map(|point| number(&point["batch_size"])).collect();
    assert_eq!((sizes, report["growth"].as_str()), (vec![30.0, 60.0, 90.0], Some("weak")));
}

#[test]
fn the_json_and_csv_files_contain_the_numbers_of_the_table() {
    let folder = folder();
    let arguments = format!("{SHORT} --threads 1,2 --json out.json --csv out.csv --svg out.svg");
    assert!(
        printed(&folder, &arguments).contains("speed-up"),
        "the table is printed in addition to the files"
    );
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let report = json(&read("out.json"));
    let csv = read("out.csv");
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.iter().map(Vec::len).collect::<Vec<_>>(), [16, 16, 16], "{csv}");
    let column = lines[0].iter().position(|name| *name == "samples_per_sec").unwrap();
    assert_eq!(
        lines[2][column].parse::<f64>().unwrap(),
        number(&report["points"][1]["samples_per_sec"]["median"])
    );
    let svg = read("out.svg");
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
    // A point for each thread count and the ideal line; the legend shows one of each.
    assert_eq!((svg.matches("<circle").count(), svg.matches("class=\"fit c5\"").count()), (3, 2));
}

#[test]
fn scaling_takes_its_flags_from_the_config_of_a_run() {
    let folder = folder();
    printed(
        &folder,
        "train digits --hidden 8 --max-steps 3 --threads 2 --metric test-accuracy -o run --quiet",
    );
    let report = json(&printed(&folder, "bench scaling --config run/config.toml -t 1,3 --takes 1 --json -"));
    assert_eq!(
        (&report["options"]["hidden"], number(&report["points"][1]["steps"])),
        (&Value::from("8"), 3.0)
    );
    assert_eq!(number(&report["points"][1]["threads"]), 3.0);
}

#[test]
fn more_threads_than_cores_or_shards_give_a_warning() {
    let threads = 1 + std::thread::available_parallelism().map_or(1, usize::from);
    let output = phalanx(folder().path(), &format!("{SHORT} --shards 1 --threads {threads}"));
    let warnings = stderr(&output);
    assert!(warnings.contains(&format!("warning: {threads} threads on {} core", threads - 1)), "{warnings}");
    assert!(warnings.contains(&format!("warning: {threads} threads for 1 shard: ")), "{warnings}");
}

#[test]
fn quiet_prints_nothing() {
    let folder = folder();
    let commands = [
        format!("{SHORT} --threads 1,9 --quiet --json out.json"),
        "bench all-reduce --threads 1,9 --lengths 2 --takes 1 --quiet --json out.json".to_owned(),
    ];
    for arguments in commands {
        let output = phalanx(folder.path(), &arguments);
        assert_eq!(
            (output.status.code(), stdout(&output), stderr(&output)),
            (Some(0), "", ""),
            "{arguments}"
        );
        json(&fs::read_to_string(folder.path().join("out.json")).unwrap());
    }
}

#[test]
fn a_diverging_run_is_an_error() {
    let output = phalanx(folder().path(), "bench scaling --hidden 8 --lr 1e30 --threads 1 --takes 1 --quiet");
    assert_eq!((output.status.code(), stdout(&output)), (Some(3), ""));
    assert!(
        stderr(&output).contains("error: training on 1 thread diverged in step 2"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn the_all_reduce_is_correct_for_every_operation_and_type() {
    let folder = folder();
    for element in ["f32", "f64", "i32", "i64", "u32", "u64"] {
        for op in ["sum", "mean", "min", "max", "product"] {
            if op == "mean" && !element.starts_with('f') {
                continue;
            }
            let arguments = format!(
                "bench all-reduce -t 1,3 --lengths 1..64,1000 --takes 2 --op {op} --type {element} --json -"
            );
            let report = json(&printed(&folder, &arguments));
            let points = report["points"].as_array().unwrap();
            assert_eq!(
                (points.len(), &report["op"], &report["element"]),
                (10, &Value::from(op), &Value::from(element))
            );
            assert!(points.iter().all(|point| point["wrong"] == 0), "{report}");
        }
    }
}

#[test]
fn the_all_reduce_prints_a_line_for_each_thread_count_and_length() {
    let table = printed(&folder(), "bench all-reduce --threads 1,2 --lengths 16,64K --takes 3");
    let rows: Vec<Vec<&str>> = table.lines().skip(3).map(|line| line.split_whitespace().collect()).collect();
    let places: Vec<(&str, &str)> = rows.iter().map(|row| (row[0], row[1])).collect();
    assert_eq!(places, [("1", "16"), ("1", "65,536"), ("2", "16"), ("2", "65,536")], "{table}");
    assert!(
        table.contains("moved GB/s") && table.contains("moved/copied") && table.contains("wrong"),
        "{table}"
    );
}

#[test]
fn the_json_and_csv_of_the_all_reduce_have_times_and_rates() {
    let folder = folder();
    let report =
        json(&printed(&folder, "bench all-reduce -t 2 --lens 100K --takes 3 --json - --csv out.csv"));
    let point = &report["points"][0];
    let (bytes, secs) = (number(&point["len_bytes"]), number(&point["median_secs"]));
    assert_eq!((bytes, number(&point["takes"])), (409_600.0, 3.0));
    assert_eq!(number(&point["algorithm_bytes_per_sec"]), bytes / secs);
    assert_eq!(number(&point["moved_bytes_per_sec"]), 4.0 * bytes / secs);
    for key in ["min_secs", "copied_bytes_per_sec", "share_of_copy", "reference_secs", "rayon_secs"] {
        assert!(number(&point[key]) > 0.0, "{key}");
    }
    let csv = fs::read_to_string(folder.path().join("out.csv")).unwrap();
    assert!(csv.starts_with("threads,len,len_bytes,takes,median_secs,") && csv.lines().count() == 2, "{csv}");
}

#[test]
fn invalid_arguments_are_rejected_with_exit_code_2() {
    let folder = folder();
    let table = [
        ("bench", "Usage"),
        ("bench scaling --threads 0", "at least 1"),
        ("bench scaling --threads 1,x", "'x'"),
        ("bench scaling --threads=", "--threads"),
        ("bench scaling --takes 0", "the number of takes must be"),
        ("bench scaling --takes x", "--takes"),
        ("bench scaling --batch-size 0", "batch"),
        ("bench scaling --threads 2,3 -b 33 --weak", "33 samples for 2 threads"),
        ("bench scaling -o run", "--output-dir"),
        ("bench scaling --log-every 5", "--log-every"),
        ("bench scaling --json - --csv -", "stdout"),
        ("bench scaling --rounds 3", "--rounds"),
        ("bench all-reduce --threads 0", "at least 1"),
        ("bench all-reduce --lengths 0", "0 elements"),
        ("bench all-reduce --lengths 8..4", "empty"),
        ("bench all-reduce --lengths 16G", "'16G' is not a length"),
        ("bench all-reduce --takes 0", "the number of takes must be"),
        ("bench all-reduce --op median", "expected one of sum, mean, min, max, product"),
        ("bench all-reduce --type f16", "expected one of f32, f64"),
        ("bench all-reduce --op mean --type i32", "mean of i32"),
    ];
    for (arguments, fragment) in table {
        let output = phalanx(folder.path(), arguments);
        assert_eq!(
            (output.status.code(), stdout(&output)),
            (Some(2), ""),
            "{arguments}: {}",
            stderr(&output)
        );
        assert!(stderr(&output).contains(fragment), "{arguments}: {}", stderr(&output));
    }
}

#[test]
fn arguments_that_do_not_fit_the_machine_or_the_data_are_rejected_with_exit_code_1() {
    let folder = folder();
    let table = [
        ("bench scaling missing.csv", "missing.csv"),
        ("bench scaling --json none/out.json", "cannot write none/out.json: there is no folder none"),
        ("bench scaling --svg .", "it is a folder"),
        (
            "bench scaling --threads 1,99 -b 64 --weak",
            "99 threads a batch of 6336 samples, but the data has 1437",
        ),
        ("bench all-reduce --lengths 1 --csv none/out.csv", "there is no folder none"),
    ];
    for (arguments, fragment) in table {
        let output = phalanx(folder.path(), arguments);
        let err = stderr(&output);
        assert_eq!((output.status.code(), stdout(&output)), (Some(1), ""), "{arguments}: {err}");
        assert!(
            err.starts_with("error: ") && err.lines().count() == 1 && err.contains(fragment),
            "{arguments}: {err}"
        );
    }
}

#[test]
#[cfg(target_os = "linux")]
fn vectors_larger_than_the_memory_are_rejected_before_they_are_allocated() {
    let output = phalanx(folder().path(), "bench all-reduce --threads 4 --lengths 9999999999M --op sum");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("bytes, but only"), "{}", stderr(&output));
}
