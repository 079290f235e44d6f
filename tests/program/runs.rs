//! The files that train writes, and their use by eval, predict and inspect.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command};

use crate::test_dir::{ProgramOutput, TestDir, idx, npy, rows, table, value};
use serde_json::Value;

const KEYS: [&str; 33] = [
    "params_sha256",
    "params",
    "threads",
    "processes",
    "shards",
    "batch_size",
    "reduction",
    "conventions",
    "seed",
    "steps",
    "epochs",
    "train_samples",
    "test_samples",
    "train_loss",
    "test_loss",
    "test_accuracy",
    "noise_scale",
    "noise_scale_error",
    "noise_scale_of_run",
    "noise_scale_of_run_error",
    "epoch_secs",
    "partial_epoch_secs",
    "samples_per_sec",
    "phase_secs",
    "peak_rss_bytes",
    "wall_secs",
    "best_epoch",
    "of_best_epoch",
    "stopped_early",
    "skipped_steps",
    "weightless_steps",
    "divergence",
    "stopped",
];

fn above_or_below(a: f64, b: f64) -> String {
    (if a > b { "above" } else { "below" }).to_owned()
}

#[test]
fn train_writes_a_complete_run_directory() {
    let dir = TestDir::new();
    let ran = dir.run("train -t 2 --epochs 3");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let names = [
        "checkpoints",
        "config.toml",
        "loss.svg",
        "metrics.csv",
        "metrics.jsonl",
        "model.safetensors",
        "results.json",
    ];
    let mut found: Vec<_> =
        fs::read_dir(dir.path("runs/1")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    found.sort();
    assert_eq!(found, names);

    let results = dir.json("runs/1/results.json");
    for key in KEYS {
        assert!(results.get(key).is_some(), "no {key} in {results}");
    }
    assert_eq!(results.as_object().unwrap().len(), KEYS.len());
    assert_eq!(results["noise_scale"], Value::Null);
    for (key, expected) in [("params", 9610), ("threads", 2), ("shards", 4), ("batch_size", 64), ("seed", 42)]
    {
        assert_eq!(results[key], expected, "{key}");
    }
    for (key, expected) in [("steps", 69), ("epochs", 3), ("train_samples", 1437), ("test_samples", 360)] {
        assert_eq!(results[key], expected, "{key}");
    }
    assert_eq!((&results["reduction"], &results["stopped"]), (&"mean".into(), &"completed".into()));
    let number = |key: &str| results[key].as_f64().unwrap_or_else(|| panic!("{key} is not a number"));
    assert!(number("test_accuracy") > 0.9 && number("test_loss") < 0.5 && number("train_loss") < 0.5);
    assert!(number("samples_per_sec") > 0.0 && number("peak_rss_bytes") > 1e6 && number("wall_secs") > 0.0);
    assert_eq!(results["epoch_secs"].as_array().unwrap().len(), 3);
}

#[test]
fn metrics_are_one_json_object_per_line() {
    let dir = TestDir::new();
    dir.good("train --epochs 2 --log-every 5 -o run");
    let lines: Vec<Value> =
        dir.read("run/metrics.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |event: &str| lines.iter().filter(|line| line["event"] == event).count();
    assert_eq!((of("step"), of("epoch"), lines.len()), (9, 2, 11));
    let results = dir.json("run/results.json");
    for key in ["train_loss", "test_loss", "test_accuracy"] {
        assert_eq!(lines[10][key], results[key], "{key}");
    }
}

#[test]
fn the_written_config_makes_the_same_bits_on_any_number_of_threads() {
    let dir = TestDir::new();
    dir.good("train --epochs 2 -b 100 --optimizer adam --hidden 20,10 --activation gelu --seed 7 -o one");
    dir.good("train --config one/config.toml -t 3 -o two");
    let (one, two) = (dir.json("one/results.json"), dir.json("two/results.json"));
    assert_eq!(one["params_sha256"], two["params_sha256"]);
    dir.good("train --config one/config.toml --seed 8 -o three");
    assert_ne!(one["params_sha256"], dir.json("three/results.json")["params_sha256"]);
}

#[test]
fn the_command_line_overrides_the_file_and_both_spellings_are_the_same_flag() {
    let dir = TestDir::new();
    dir.write("run.toml", "lr = 0.5\nbatch_size = 32\nepochs = 9\n");
    dir.good("train --config run.toml --lr 0.25 --max_steps 2 --output_dir run --log_every=1");
    let config = dir.read("run/config.toml");
    for line in ["lr = 0.25", "batch-size = 32", "max-steps = 2", "log-every = 1"] {
        assert!(config.lines().any(|found| found == line), "no {line} in {config}");
    }
    assert!(!config.contains("epochs"), "{config}");
}

#[test]
fn eval_gives_the_bits_that_training_reported() {
    let dir = TestDir::new();
    dir.good("train --epochs 2 -o run");
    let (results, scored) = (dir.json("run/results.json"), dir.good("eval run"));
    for (name, key) in [("loss", "test_loss"), ("accuracy", "test_accuracy")] {
        let (found, expected): (f64, _) = (value(&scored, name).parse().unwrap(), results[key].as_f64());
        assert_eq!(Some(found.to_bits()), expected.map(f64::to_bits), "{name}");
    }
    assert_eq!(scored, dir.good("eval run/model.safetensors"));
    assert_eq!(scored, dir.good("eval run digits"));
    assert!(dir.good("inspect run").contains(results["params_sha256"].as_str().unwrap()));
}

#[test]
fn stdout_has_the_results_and_stderr_the_rest() {
    let dir = TestDir::new();
    let ran = dir.run("train --epochs 2");
    assert!(
        ran.out.starts_with("test accuracy by epoch")
            && ran.out.contains("\ntest accuracy")
            && !ran.out.contains("\nepoch "),
        "{}",
        ran.out
    );
    assert!(ran.err.starts_with("data ") && ran.err.contains("\nepoch 2/2"), "{}", ran.err);
    let ProgramOutput { out, err, .. } = dir.run("train --epochs 2 --no-progress");
    assert!(out.contains("\ntest accuracy") && !err.contains("\nepoch "), "{err}");
    let ProgramOutput { code, out, err } = dir.run("train --epochs 2 --quiet");
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "", ""));
}

#[test]
fn predictions_are_a_csv_with_class_names_and_probabilities() {
    let dir = TestDir::new();
    dir.write("points.csv", format!("a,b,where\n{}", table(120, above_or_below)));
    dir.good("train points.csv --label-column where --standardize --epochs 40 -b 16 -o run --loss bce");
    let predicted = dir.good("predict run points.csv --probabilities");
    assert_eq!(predicted.lines().next(), Some("sample,class,probability,p(above),p(below)"));
    let rows = rows(&predicted);
    assert_eq!(rows.len(), 120);
    let labels: Vec<_> =
        table(120, above_or_below).lines().map(|line| line.rsplit(',').next().unwrap().to_owned()).collect();
    let right = rows.iter().zip(&labels).filter(|(row, label)| row[1] == **label).count();
    assert!(right >= 110, "{right} of 120");
    assert_eq!(value(&dir.good("eval run points.csv"), "accuracy").parse(), Ok(right as f64 / 120.0));
    for row in &rows {
        let [likeliest, above, below] = [2, 3, 4].map(|at: usize| row[at].parse::<f32>().unwrap());
        assert!((above + below - 1.0).abs() < 1e-6 && likeliest == above.max(below), "{row:?}");
        assert_eq!(row[1] == "above", above >= below, "{row:?}");
    }
    // The named label column may be missing.
    dir.write("new.csv", "a,b\n0.0,1.0\n");
    assert!(dir.good("predict run new.csv").lines().nth(1).unwrap().starts_with("0,below,"));
}

#[test]
fn predicted_values_follow_the_linear_law_of_the_data() {
    let dir = TestDir::new();
    dir.write("law.csv", table(200, |a, b| format!("{:.6}", 3.0 * a - 2.0 * b + 0.5)));
    dir.good("train law.csv --hidden none --epochs 200 -b 20 --lr 0.2 -o run");
    dir.write("new.csv", "0,0\n1,0\n0,1\n");
    let predicted = dir.good("predict run new.csv");
    assert_eq!(predicted.lines().next(), Some("sample,value"));
    for (row, expected) in rows(&predicted).iter().zip([0.5, 3.5, -1.5]) {
        assert!((row[1].parse::<f64>().unwrap() - expected).abs() < 1e-3, "{row:?}");
    }
    assert_eq!(dir.json("run/results.json")["test_accuracy"], Value::Null);
    assert!(value(&dir.good("eval run law.csv"), "loss").parse::<f64>().unwrap() < 1e-6);
}

#[test]
fn a_model_keeps_the_standardization_it_learned() {
    let dir = TestDir::new();
    let shifted: String = table(100, above_or_below)
        .lines()
        .map(|line| {
            let fields: Vec<_> = line.split(',').collect();
            let (a, b): (f64, f64) = (fields[0].parse().unwrap(), fields[1].parse().unwrap());
            format!("{},{},{}\n", 1000.0 + a, 50.0 * b, fields[2])
        })
        .collect();
    dir.write("far.csv", &shifted);
    dir.write("first.csv", shifted.lines().next().unwrap());
    dir.good("train far.csv --standardize --epochs 5 -o run");
    let (all, first) = (dir.good("predict run far.csv"), dir.good("predict run first.csv"));
    assert_eq!(first.lines().nth(1), all.lines().nth(1));
}

#[test]
fn npy_and_libsvm_are_trained_on_and_predicted() {
    let dir = TestDir::new();
    let text = table(60, |a, b| usize::from(a > b).to_string());
    let fields: Vec<Vec<f32>> =
        text.lines().map(|line| line.split(',').map(|field| field.parse().unwrap()).collect()).collect();
    let inputs: Vec<u8> = fields.iter().flat_map(|row| &row[..2]).flat_map(|x| x.to_le_bytes()).collect();
    let labels: Vec<u8> = fields.iter().flat_map(|row| (row[2] as i64).to_le_bytes()).collect();
    dir.write("x.npy", npy("<f4", "60, 2", &inputs));
    dir.write("y.npy", npy("<i8", "60,", &labels));
    dir.write("points.csv", &text);
    let lines = fields.iter().map(|row| format!("{} 1:{} 2:{}\n", row[2], row[0], row[1]));
    dir.write("points.libsvm", lines.collect::<String>());
    for (data, run) in [("x.npy,y.npy", "npy"), ("points.csv", "csv"), ("points.libsvm", "libsvm")] {
        dir.good(&format!("train {data} --epochs 3 -b 16 -o {run}"));
    }
    for data in ["x.npy,y.npy", "points.libsvm"] {
        assert_eq!(dir.good(&format!("predict csv {data}")), dir.good("predict csv points.csv"), "{data}");
    }
    assert_eq!(dir.good("predict csv x.npy"), dir.good("predict csv points.csv"));
    let hash = |run: &str| dir.json(&format!("{run}/results.json"))["params_sha256"].clone();
    assert_eq!((hash("npy"), hash("libsvm")), (hash("csv"), hash("csv")));
}

#[test]
fn accuracy_is_weighted_by_the_samples() {
    let dir = TestDir::new();
    let weight = |a: f64, b: f64| {
        if a > 0.5 { format!("{},3", usize::from(a > b)) } else { format!("{},0.5", usize::from(a > b)) }
    };
    dir.write("weighted.csv", table(50, weight));
    dir.good("train weighted.csv --weight-column -1 --max-steps 3 -o run");
    let predicted = rows(&dir.good("predict run weighted.csv"));
    let (mut right, mut all) = (0.0, 0.0);
    for (row, line) in predicted.iter().zip(dir.read("weighted.csv").lines()) {
        let fields: Vec<_> = line.split(',').collect();
        let weight: f64 = fields[3].parse().unwrap();
        all += weight;
        right += if row[1] == fields[2] { weight } else { 0.0 };
    }
    let scored = dir.good("eval run weighted.csv");
    assert_eq!(value(&scored, "accuracy").parse(), Ok(right / all), "{scored}");
    assert!(!scored.contains(" of 50)"), "a share of the weight is not a share of the samples: {scored}");
}

#[test]
fn without_data_a_model_is_used_on_its_test_samples() {
    let dir = TestDir::new();
    let (pixels, labels): (Vec<u8>, Vec<u8>) =
        ((0..40 * 4).map(|p| (p * 37 % 251) as u8).collect(), (0..40).map(|s| s % 3).collect());
    dir.write("images/train-images-idx3-ubyte", idx(&[40, 2, 2], &pixels));
    dir.write("images/train-labels-idx1-ubyte", idx(&[40], &labels));
    dir.write("images/t10k-images-idx3-ubyte", idx(&[8, 2, 2], &pixels[..32]));
    dir.write("images/t10k-labels-idx1-ubyte", idx(&[8], &labels[..8]));
    dir.write("points.csv", table(50, above_or_below));
    dir.write("test.csv", table(9, above_or_below));
    for (run, data, name, samples) in [
        ("own", "digits", "test samples of digits", 360),
        ("folder", "images", "test samples of images", 8),
        ("given", "points.csv --test test.csv", "test.csv", 9),
        ("split", "points.csv --test-split 0.2", "points.csv, the fraction 0.2 set aside for testing", 10),
        ("none", "points.csv", "training samples of points.csv", 50),
    ] {
        dir.good(&format!("train {data} --epochs 1 -o {run}"));
        let scored = dir.good(&format!("eval {run}"));
        assert!(scored.lines().next().unwrap().ends_with(&format!("  {name}")), "{scored}");
        assert_eq!(value(&scored, "samples"), samples.to_string());
        assert_eq!(rows(&dir.good(&format!("predict {run}"))).len(), samples);
        let results = dir.json(&format!("{run}/results.json"));
        if run != "none" {
            assert_eq!(value(&scored, "loss").parse().ok(), results["test_loss"].as_f64(), "{run}");
        }
    }
}

#[test]
fn a_pytorch_model_gives_the_predictions_of_pytorch() {
    let dir = TestDir::new();
    let fixture = |name: &str| format!("{}/../../tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let expected: Value =
        serde_json::from_str(&fs::read_to_string(fixture("linear_layers.json")).unwrap()).unwrap();
    let lists = |key: &str| -> Vec<Vec<f64>> { serde_json::from_value(expected[key].clone()).unwrap() };
    let line = |(sample, row): (usize, &Vec<f64>)| {
        row.iter().map(|x| format!("{x},")).collect::<String>() + &format!("{}\n", sample % 3)
    };
    dir.write("inputs.csv", lists("inputs").iter().enumerate().map(line).collect::<String>());
    fs::copy(fixture("linear_layers.safetensors"), dir.path("torch.safetensors")).unwrap();
    // A step at rate 0 changes no param.
    dir.good("train inputs.csv --hidden 6,5 --activation tanh --init torch.safetensors --lr 0 --max-steps 1 -o run");
    let predicted = rows(&dir.good("predict run inputs.csv --probabilities"));
    assert_eq!(predicted.len(), 8);
    for (row, expected) in predicted.iter().zip(lists("probabilities")) {
        for (found, expected) in row[3..].iter().zip(expected) {
            assert!((found.parse::<f64>().unwrap() - expected).abs() < 1e-5, "{row:?}");
        }
    }
    dir.good("train inputs.csv --hidden 6,5 --activation tanh --init run --lr 0 --max-steps 1 -o again");
    let hash = |run: &str| dir.json(&format!("{run}/results.json"))["params_sha256"].clone();
    assert_eq!(hash("run"), hash("again"));
}

/// Waits until the first epoch is printed, so that training is in progress.
fn wait_for_an_epoch(child: &mut Child) -> BufReader<impl Read + use<>> {
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("epoch ") {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the program ended before its first epoch");
    }
    lines
}

#[test]
fn a_signal_ends_the_run_with_its_model_saved() {
    for (signal, code) in [("HUP", 129), ("INT", 130), ("TERM", 143), ("XCPU", 152)] {
        let dir = TestDir::new();
        let mut child = dir.spawn("train --epochs 1000000 -o run");
        let mut rest = wait_for_an_epoch(&mut child);
        assert!(
            Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap().success()
        );
        rest.read_to_end(&mut Vec::new()).unwrap();
        let ran = ProgramOutput::from(child.wait_with_output().unwrap());
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.out.contains("stopped") && ran.out.contains(" of 23,000,000 steps"), "{}", ran.out);
        assert_eq!(dir.json("run/results.json")["stopped"], "interrupted");
        let loss = dir.json("run/results.json")["test_loss"].as_f64();
        assert_eq!(value(&dir.good("eval run"), "loss").parse().ok(), loss);
    }
}

#[test]
fn divergence_exits_with_3_and_keeps_the_params_before_it() {
    let dir = TestDir::new();
    let ran = dir.run("train --lr 1e30 -o run");
    assert_eq!(ran.code, Some(3));
    let last = ran.err.lines().last().unwrap();
    assert!(
        last.starts_with("error: training diverged in step 2: the loss of shard 0 is NaN or infinite"),
        "{last}"
    );
    let divergence = dir.json("run/results.json")["divergence"].clone();
    assert_eq!(divergence, "step 2: the loss of shard 0 is NaN or infinite");
    assert_eq!(dir.json("run/results.json")["stopped"], "diverged");
    let params = phalanx::checkpoint::ModelFile::load(&dir.path("run")).unwrap().params;
    assert!(params.iter().all(|param| param.is_finite()));
    let line: Value = serde_json::from_str(dir.read("run/metrics.jsonl").lines().last().unwrap()).unwrap();
    assert_eq!((&line["event"], &line["test_loss"]), (&"partial_epoch".into(), &Value::Null));
}

#[test]
fn steps_that_diverge_are_skipped_if_asked_for_and_counted() {
    let dir = TestDir::new();
    let rows = (0..64).map(|row| {
        format!("{},{}\n", if row == 40 { "1e38".into() } else { (row % 9).to_string() }, row % 2)
    });
    dir.write("wild.csv", rows.collect::<String>());
    let train = "train wild.csv --loss mse --hidden none --lr 0.001 -b 8 --no-shuffle --epochs 2";
    assert_eq!(dir.run(&format!("{train} -o stopped")).code, Some(3));
    let out = dir.good(&format!("{train} --on-divergence skip -o run"));
    assert!(out.contains("2 steps with a NaN or infinite loss or gradient"), "{out}");
    let results = dir.json("run/results.json");
    assert_eq!((&results["skipped_steps"], &results["steps"]), (&2.into(), &16.into()));
    let log = dir.read("run/metrics.jsonl");
    assert!(log.contains(r#"{"event":"diverged","step":6,"epoch":1,"train_loss":null,"lr":0.001}"#), "{log}");
    // A run that skips a whole epoch diverges.
    let ran = dir.run("train --lr 1e30 --on-divergence skip -o nothing");
    assert_eq!(
        (ran.code, ran.err.contains("training diverged in step 46: the loss of shard 0")),
        (Some(3), true),
        "{ran:?}"
    );
}

#[test]
fn steps_of_total_weight_0_are_counted_and_data_of_total_weight_0_is_refused() {
    let dir = TestDir::new();
    let line = |sample: usize, weight: u32| format!("{},{weight},{}\n", sample % 9, sample % 2);
    let lines =
        |weight: fn(usize) -> u32| (0..32).map(|sample| line(sample, weight(sample))).collect::<String>();
    dir.write("some.csv", format!("x,w,y\n{}", lines(|sample| u32::from(sample < 24))));
    dir.write("none.csv", format!("x,w,y\n{}", lines(|_| 0)));
    let train =
        |data: &str| format!("train {data} --weight-column w -b 8 --no-shuffle --hidden none --epochs 2");
    let out = dir.good(&format!("{} --log-every 1 -o run", train("some.csv --test-split 0")));
    assert!(out.contains("2 steps, whose samples all have weight 0, changed nothing"), "{out}");
    let results = dir.json("run/results.json");
    assert_eq!((&results["weightless_steps"], &results["steps"]), (&2.into(), &8.into()));
    let log = dir.read("run/metrics.jsonl");
    assert!(log.contains(r#"{"event":"step","step":4,"epoch":1,"train_loss":null,"lr":0.1}"#), "{log}");

    let before = dir.listing();
    for arguments in
        ["eval run none.csv".to_owned(), format!("{} -o other", train("some.csv --test none.csv"))]
    {
        let ran = dir.run(&arguments);
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{arguments}: {ran:?}");
        assert!(ran.err.contains("the weights of all 32 samples to score are 0"), "{arguments}: {ran:?}");
        assert_eq!(dir.listing(), before, "{arguments}");
    }
}

#[test]
fn simultaneous_runs_get_separate_directories() {
    let dir = TestDir::new();
    let children: Vec<_> = (0..4).map(|seed| dir.spawn(&format!("train --epochs 1 --seed {seed}"))).collect();
    for child in children {
        assert_eq!(ProgramOutput::from(child.wait_with_output().unwrap()).code, Some(0));
    }
    let mut seeds: Vec<u64> =
        (1..=4).map(|run| dir.json(&format!("runs/{run}/results.json"))["seed"].as_u64().unwrap()).collect();
    seeds.sort_unstable();
    assert_eq!(seeds, [0, 1, 2, 3]);
}

#[test]
fn a_reader_that_closes_the_pipe_is_not_an_error() {
    let dir = TestDir::new();
    dir.good("train --epochs 1 -o run");
    for arguments in ["eval run", "inspect run", "predict run", "train --epochs 20 -o out"] {
        let mut child = dir.spawn(arguments);
        drop(child.stdout.take());
        let ran = ProgramOutput::from(child.wait_with_output().unwrap());
        assert_eq!(ran.code, Some(0), "{arguments}: {ran:?}");
        assert!(!ran.err.contains("panicked"), "{arguments}: {ran:?}");
    }
    let mut child = dir.spawn("train --epochs 20 -o err");
    drop(child.stderr.take());
    assert_eq!(ProgramOutput::from(child.wait_with_output().unwrap()).code, Some(0));
    for run in ["out", "err"] {
        assert_eq!(dir.json(&format!("{run}/results.json"))["epochs"], 20);
    }
}

#[test]
fn a_run_that_learned_nothing_prints_a_warning_and_one_that_learned_does_not() {
    const WARNING: &str = "no lower than that of always predicting";
    let dir = TestDir::new();
    dir.write(
        "line.csv",
        (0..200).map(|k| format!("{},{}\n", k % 17, 3.5 + 2.0 * f64::from(k % 17))).collect::<String>(),
    );
    dir.write("same.csv", "1,0.5\n2,0.5\n3,0.5\n4,0.5\n".repeat(20));
    let with = |arguments: &str, printed: &[&str]| {
        let ran = dir.run(&format!("train {arguments}"));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        printed.iter().for_each(|printed| {
            assert!(ran.err.contains(printed), "{arguments} does not print {printed}: {}", ran.err)
        });
        if printed.is_empty() {
            assert!(!ran.err.contains(WARNING), "{arguments}: {}", ran.err);
        }
    };
    // Rates at which all units of the hidden layer die, and rates close to 0.
    with(
        "--lr 100",
        &[
            "warning: the training loss of the saved model is ",
            WARNING,
            "the class frequencies, 2.3025; try another --lr (now 100.0)",
            "--standardize",
        ],
    );
    with("--lr 100 --log-format json", &["\"level\":\"warning\"", WARNING]);
    with(
        "line.csv --loss mse --hidden none --lr 1e-9 --epochs 1",
        &[WARNING, "the mean of the targets, 94.3724; try another --lr (now 1e-9)"],
    );
    // Runs that learn print no warning, whether after one epoch, in the middle of a warm-up, or
    // after an epoch with a high mean loss.
    with("--epochs 1", &[]);
    with("--epochs 1 --warmup-steps 23", &[]);
    with("line.csv --loss mse --hidden none --lr 0.005 --epochs 1 -b 2", &[]);
    // Nothing can be learned from targets that are all equal; a quiet run prints no warning either.
    with("same.csv --loss mse --epochs 1", &[]);
    with("--lr 100 --quiet", &[]);
}

#[test]
fn messages_and_files_show_numbers_of_any_size_in_a_few_digits() {
    let dir = TestDir::new();
    for arguments in [
        "train --lr 1e300",
        "train --lr -1e300",
        "train --momentum 1e300",
        "train --clip-grad-norm -1e300",
        "train --min-gain -1e300",
        "train --test-split 1e300",
        "train --timeout -1e300",
        "train --warmup-steps 2 --warmup-start 1e300",
        "train --lr 1e300 --clip-grad-norm 1e300 --eps 1e-300 --print-config",
        "sweep --goal -1e300",
        "sweep --lr -1e300",
        "convert --to sum --lr 1e-300 --clip-grad-norm 1e300",
    ] {
        let ran = dir.run(arguments);
        let printed = ran.out + &ran.err;
        assert!(printed.contains("1e300") || printed.contains("1e-300"), "{arguments}: {printed}");
        assert!(!printed.contains("0000000000"), "{arguments}: {printed}");
    }
    // Batches of 100 are not 33.333333333333336 times as large as those of 3.
    let printed = dir.good("convert --lr 0.1 -b 3 --to-batch-size 100 --rule linear");
    assert!(printed.contains("times 33.3333\n"), "{printed}");
}

#[cfg(unix)]
#[test]
fn outputs_may_have_names_of_any_bytes_and_data_with_such_names_is_refused() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    let dir = TestDir::new();
    let name = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let with = |before: &str, file: OsString, after: &str| -> ProgramOutput {
        let mut command = dir.command(before);
        command.arg(file).args(after.split_whitespace()).output().unwrap().into()
    };
    let good = |ran: ProgramOutput| assert_eq!(ran.code, Some(0), "{ran:?}");
    good(with("train --max-steps 2 --quiet -o", name(b"r\xff"), ""));
    good(with("train --max-steps 3 --allow-changed max-steps --quiet --resume", name(b"r\xff"), ""));
    good(with("train --max-steps 2 --quiet -o second --init", name(b"r\xff"), ""));
    good(with(
        "train --max-steps 3 --allow-changed max-steps --quiet --resume second",
        name(b"--output_dir=s\xff"),
        "",
    ));
    good(with("report", name(b"r\xff"), "-o page.html"));
    good(with("report second -o", name(b"p\xff.html"), ""));
    good(with("eval", name(b"r\xff"), ""));
    good(with("predict second -o", name(b"p\xff.csv"), ""));
    good(with("export second", name(b"m\xff.onnx"), ""));
    good(with("sweep -b 8 --lr 0.1 --seed 1 --max-steps 4 --quiet -o", name(b"w\xff"), ""));
    good(with("man -o", name(b"m\xff"), ""));
    for (before, file) in [
        ("train", &b"d\xff.csv"[..]),
        ("train --test", b"d\xff.csv"),
        ("train", b"--label_column=\xff"),
        ("eval second", b"\xff.csv"),
    ] {
        let ran = with(before, name(file), "");
        let shown = String::from_utf8_lossy(file).into_owned();
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(
            ran.err.contains(&shown.replace('_', "-")) && ran.err.contains("is not UTF-8"),
            "{}",
            ran.err
        );
    }
}

#[test]
fn a_misspelled_name_gets_a_suggestion() {
    let dir = TestDir::new();
    dir.good("train --max-steps 1 --quiet -o x");
    for (arguments, meant) in [
        ("train --optimizer adamm", "'adam'"),
        ("train --loss mes", "'mse'"),
        ("train --activation rleu", "'relu'"),
        ("train --reduction men", "'mean'"),
        ("train --lr-schedule cosin", "'cosine'"),
        ("train --like pytorh", "'pytorch'"),
        ("train --metric test-los", "'test-loss'"),
        ("train --on-divergence skp", "'skip'"),
        ("train --header presnt", "'present'"),
        ("train --log-format jso", "'json'"),
        ("train --eps-form insde", "'inside'"),
        ("train --momentum-form cafe", "'caffe'"),
        ("train --scale-lr lineer", "'linear'"),
        ("train --color nevr", "'never'"),
        ("train --batchsize 5", "'--batch-size'"),
        ("train --resume x --allow-changed epoch", "'epochs'"),
        ("convert --to summ", "'sum'"),
        ("convert --rule lineer", "'linear'"),
        ("sweep --reductions men,sum", "'mean'"),
        ("predict x --format jsnl", "'jsonl'"),
        ("predict x - --input-format libsvn", "'libsvm'"),
        ("bench all-reduce --op summ", "'sum'"),
        ("bench all-reduce --type f23", "'f32'"),
        ("bench scalng", "'scaling'"),
        ("completions bsh", "'bash'"),
        ("man trian", "'train'"),
        ("trian", "'train'"),
    ] {
        let ran = dir.run(arguments);
        assert_eq!(ran.code, Some(2), "{arguments}: {ran:?}");
        assert!(ran.err.contains(meant), "{arguments}: {}", ran.err);
    }
    for arguments in ["train --optimizer nothing-like-it", "train --loss x"] {
        assert!(!dir.run(arguments).err.contains("similar"), "{arguments}");
    }
}
