//! Tests of `phalanx report`: the page of a run agrees with the files of the run, whether it is
//! running, killed, diverged or complete.

use crate::test_dir::{TestDir, table, value};

/// Returns the cells of the confusion matrix: true class, predicted class, samples.
fn matrix(page: &str) -> Vec<(usize, usize, u64)> {
    let tips = page.split("<title>true class ").skip(1).map(|text| text.split("</title>").next().unwrap());
    let read = |tip: &str| {
        let (truth, rest) = tip.split_once(", predicted class ").unwrap();
        let (predicted, count) = rest.split_once(": ").unwrap();
        (truth.parse().unwrap(), predicted.parse().unwrap(), count.parse().unwrap())
    };
    tips.map(read).collect()
}

/// Returns the titles of the figures, in order.
fn figures(page: &str) -> Vec<&str> {
    page.split("role=\"img\">\n  <title>")
        .skip(1)
        .map(|text| text.split("</title>").next().unwrap())
        .collect()
}

#[test]
fn the_page_of_a_run_has_its_curves_its_samples_and_the_next_commands() {
    let dir = TestDir::new();
    dir.good("train --quiet --epochs 3 --momentum 0.9 --lr 0.05 --lr-schedule cosine --clip-grad-norm 1");
    let out = dir.good("report");
    assert_eq!(value(&out, "page"), "runs/1/report.html");
    assert_eq!(value(&out, "plot"), "runs/1/loss.svg");
    assert!(out.contains("next  phalanx predict runs/1\n"), "{out}");
    assert!(out.contains("phalanx train --resume runs/1 --epochs 6 --allow-changed epochs"), "{out}");
    let page = dir.read("runs/1/report.html");
    let expected = [
        "Loss by step",
        "Loss by epoch",
        "Test accuracy by epoch",
        "Learning rate",
        "Gradient norm before clipping",
        "Time by phase",
        "Confusion matrix",
    ];
    assert_eq!(figures(&page), expected);
    let results = dir.json("runs/1/results.json");
    assert!(page.contains(results["params_sha256"].as_str().unwrap()));
    let cells = matrix(&page);
    let sum = |keep: &dyn Fn(&&(usize, usize, u64)) -> bool| {
        cells.iter().filter(keep).map(|cell| cell.2).sum::<u64>()
    };
    assert_eq!(sum(&|_| true), results["test_samples"].as_u64().unwrap());
    let right = sum(&|cell| cell.0 == cell.1) as f64;
    assert_eq!(right / 360.0, results["test_accuracy"].as_f64().unwrap());
    assert_eq!(page.matches("<img src=\"data:image/png;base64,").count(), 24);
    assert!(!page.contains("changed since"));
    // The suggested commands work.
    dir.good("train --quiet --resume runs/1 --epochs 6 --allow-changed epochs");
    assert_eq!(dir.json("runs/1/results.json")["epochs"], 6);
    dir.good("report");
    assert!(dir.read("runs/1/report.html").contains("was resumed after step 69."));
}

#[test]
fn the_worst_samples_have_the_lowest_probability_from_predict() {
    let dir = TestDir::new();
    dir.good("train --quiet --epochs 2");
    dir.good("report runs/1");
    let page = dir.read("runs/1/report.html");
    let first = page.split("<li><img").nth(1).unwrap().split("</li>").next().unwrap();
    let between = |from: &str, to: &str| {
        let rest = first.split(from).nth(1).unwrap_or_else(|| panic!("{from} in {first}"));
        rest.split(to).next().unwrap().to_owned()
    };
    let sample: usize = between("alt=\"Sample ", ":").parse().unwrap();
    let truth: usize = between("true <b>", "</b>").parse().unwrap();
    let predicted = between("predicted <b>", "</b>");
    let csv = dir.good("predict runs/1 --probabilities");
    let row: Vec<&str> = csv.lines().nth(sample + 1).unwrap().split(',').collect();
    assert_eq!(row[1], predicted);
    let lowest: f64 = row[3 + truth].parse().unwrap();
    assert_ne!(truth.to_string(), predicted);
    assert!(lowest < 0.1, "{row:?}");
}

#[test]
fn runs_that_differ_in_one_option_show_it_and_identical_params_are_reported() {
    let dir = TestDir::new();
    dir.good("train --quiet --epochs 2 -t 1");
    dir.good("train --quiet --epochs 2 -t 2");
    dir.good("train --quiet --epochs 2 -t 2 --l2 0.001");
    dir.good("report runs/2 runs/3");
    let page = dir.read("runs/report.html");
    let differ = page.split("Options that differ</h2>").nth(1).unwrap().split("</table>").next().unwrap();
    let names: Vec<&str> =
        differ.split("<th scope=\"row\">").skip(1).map(|text| text.split("</th>").next().unwrap()).collect();
    assert_eq!(names, ["l2"]);
    assert!(differ.contains("<td>0.0</td><td>0.001</td>"), "{differ}");
    assert!(!page.contains("bit-identical"));
    assert!(page.contains("runs/3: l2 0.001</text>"), "the differing option is in the legend");
    dir.good("report runs/1 runs/2 runs/3 runs/report.html -o all.html");
    assert!(dir.read("all.html").contains("The params of runs/1, runs/2 are bit-identical."));
}

#[test]
fn text_from_files_is_escaped_and_regression_runs_have_a_page() {
    let dir = TestDir::new();
    dir.write("a&b.csv", table(40, |a, b| if a > b { "<b>".to_owned() } else { "\"x\"\"y\"".to_owned() }));
    dir.good("train --quiet a&b.csv --test-split 0.5 --epochs 2 -o <i>");
    dir.good("report <i>");
    let page = dir.read("<i>/report.html");
    for text in ["<i>", "<b>x", "a&b.csv", ">x\"y<"] {
        assert!(!page.contains(text), "{text}");
    }
    assert!(
        page.contains("Run &lt;i&gt;")
            && page.contains("a&amp;b.csv, the fraction 0.5 set aside for testing")
    );
    assert!(page.contains("phalanx predict '&lt;i&gt;'"), "the name is quoted for the shell");
    dir.write("values.csv", table(40, |a, b| (a + b + 0.25).to_string()));
    dir.good("train --quiet values.csv --lr 0.01 --epochs 2 -o values");
    dir.good("report values");
    let page = dir.read("values/report.html");
    assert!(figures(&page).contains(&"Predicted against true values"));
    assert!(page.contains("Worst-predicted samples") && !page.contains("recall"));
    assert!(page.contains("training samples of values.csv: 40 samples"));
}

#[test]
fn missing_or_changed_data_is_reported_and_the_page_is_written() {
    let dir = TestDir::new();
    let split = |a: f64, b: f64| if a > b { "1".to_owned() } else { "0".to_owned() };
    dir.write("train.csv", table(60, split));
    dir.write("test.csv", table(30, split));
    dir.good("train --quiet train.csv --test test.csv --epochs 5 -o run");
    dir.write("test.csv", table(30, |a, b| if a > b { "0".to_owned() } else { "1".to_owned() }));
    dir.good("report run");
    assert!(dir.read("run/report.html").contains("the data has changed since"));
    std::fs::remove_file(dir.path("train.csv")).unwrap();
    let ran = dir.run("report run");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("the samples of run are not shown") && ran.err.contains("train.csv"), "{ran:?}");
    let page = dir.read("run/report.html");
    assert!(
        page.contains("Not shown: the run&#39;s own data") || page.contains("Not shown: the run's own data")
    );
    assert!(figures(&page).contains(&"Loss by step"));
}

#[test]
fn a_killed_or_diverged_run_has_a_page_with_the_next_command() {
    let dir = TestDir::new();
    dir.good("train --quiet --epochs 2 --save-every 10 -o run");
    std::fs::remove_file(dir.path("run/results.json")).unwrap();
    std::fs::remove_file(dir.path("run/model.safetensors")).unwrap();
    let log = dir.read("run/metrics.jsonl");
    dir.write("run/metrics.jsonl", &log[..log.len() - 20]);
    let out = dir.good("report run");
    assert!(
        out.contains("run   run, killed\n") && out.contains("next  phalanx train --resume run\n"),
        "{out}"
    );
    let page = dir.read("run/report.html");
    assert!(
        page.contains("<b>Killed</b> after step 40") && page.contains("after step 46, the newest checkpoint")
    );
    std::fs::remove_dir_all(dir.path("run/checkpoints")).unwrap();
    dir.good("report run");
    assert!(dir.read("run/report.html").contains("Not shown: the run has no checkpoint"));
    let ran = dir.run("train --quiet --lr 1e30 --log-every 1 -o wild");
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let out = dir.good("report wild");
    assert!(out.contains("wild, diverged") && out.contains("--config wild/config.toml --lr "), "{out}");
    let page = dir.read("wild/report.html");
    let drawn = page.replace("NaN or infinite", "");
    assert!(drawn.contains("<b>Diverged</b>") && !drawn.contains("NaN"), "NaN values are not drawn");
}

#[test]
fn the_loss_of_a_run_is_drawn_at_any_kind_of_end() {
    let dir = TestDir::new();
    let out = dir.good("train --epochs 1 -o short");
    assert!(
        out.contains("plot           short/loss.svg") && out.contains("page           phalanx report short"),
        "{out}"
    );
    let svg = dir.read("short/loss.svg");
    assert!(
        svg.contains("<title>Loss of short</title>")
            && svg.contains("training loss")
            && svg.contains("test loss")
    );
    dir.good("train --quiet --resume short --epochs 2 --allow-changed epochs");
    assert!(dir.read("short/loss.svg").contains(">resumed</text>"));
    dir.good("train --quiet --epochs 2 --log-every 0 -o epochs");
    assert!(dir.read("epochs/loss.svg").contains("Training loss: mean of each epoch."));
    assert_eq!(dir.run("train --quiet --lr 1e30 -o wild").code, Some(3));
    assert!(dir.read("wild/loss.svg").contains("No finite loss was logged."));
}

#[test]
fn a_path_that_is_not_a_run_is_refused_with_its_name_and_the_reason() {
    let dir = TestDir::new();
    let refused = |arguments: &str, parts: &[&str]| {
        let ran = dir.run(arguments);
        assert_ne!(ran.code, Some(0), "{arguments}");
        assert!(parts.iter().all(|part| ran.err.contains(part)), "{arguments}: {}", ran.err);
        assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    };
    refused("report", &["no run in runs", "phalanx train"]);
    refused("report nowhere", &["run directory nowhere does not exist"]);
    dir.write("folder/text.txt", "");
    refused("report folder", &["folder is not a run directory", "config.toml"]);
    refused("report folder/text.txt", &["give a directory that phalanx train created"]);
    dir.good("train --quiet --epochs 1 -o run");
    dir.write("folder/mine.html", "<html>");
    refused("report run -o folder/mine.html", &["folder/mine.html exists", "-o"]);
    refused("report run -o folder", &["folder is a folder", "folder/report.html"]);
    assert_eq!(dir.read("folder/mine.html"), "<html>");
    let log = dir.read("run/metrics.jsonl");
    let second = log.find('\n').unwrap() + 1;
    dir.write("run/metrics.jsonl", format!("{}!{}", &log[..second], &log[second + 1..]));
    refused("report run", &["run/metrics.jsonl, line 2: expected"]);
    dir.write("run/metrics.jsonl", log);
    let results = dir.read("run/results.json");
    dir.write("run/results.json", results.replacen("\"params\"", "\"parms\"", 1));
    refused("report run", &["run/results.json, line", "missing field `params`"]);
    dir.write("run/results.json", results);
    dir.write("run/config.toml", "lr = 0.1\nseed\n");
    refused("report run", &["run/config.toml, line 2"]);
}

#[test]
fn losses_of_any_size_are_drawn() {
    let dir = TestDir::new();
    dir.write("huge.csv", table(20, |a, _| format!("{:e}", 1e8 * (1.0 + a))));
    for (arguments, code) in [
        ("train huge.csv --loss mse --lr 0 --epochs 1 -o still", 0),
        ("train --lr 1e5 -o far", 3),
        ("train huge.csv --loss mse --lr 1e3 --hidden none -o further", 3),
    ] {
        assert_eq!(dir.run(arguments).code, Some(code), "phalanx {arguments}");
    }
    for run in ["still", "far", "further"] {
        assert!(dir.read(&format!("{run}/loss.svg")).contains("<svg"), "{run}");
        dir.good(&format!("report {run}"));
    }
}

#[test]
fn the_conventions_of_a_run_are_in_its_results_and_on_its_page() {
    let dir = TestDir::new();
    for (flags, expected) in [
        (
            "--lr 0.5",
            &[
                ("loss_reduction", "mean over the samples of a batch"),
                ("all_reduce", "sum over all shards (4), divided by the number of all samples in the batch"),
                ("l2", "none"),
                ("momentum", "none"),
                ("clipping", "none"),
                (
                    "last_batch",
                    "short, with 29 of 64 samples, each of which weighs 2.207 times as much as one of a full batch",
                ),
            ][..],
        ),
        (
            "--reduction sum --lr 0.001 --momentum 0.9 --momentum-form caffe --nesterov --l2 0.01 --no-bias-decay",
            &[
                ("loss_reduction", "sum over the samples of a batch"),
                ("all_reduce", "sum over all shards (4)"),
                ("l2", "λw is added to the gradient after the all-reduce, λ = 0.01; not on biases"),
                ("momentum", "v ← μv + ηg, w ← w − v, μ = 0.9, Nesterov"),
                (
                    "last_batch",
                    "short, with 29 of 64 samples, each of which weighs as much as one of a full batch",
                ),
            ],
        ),
        (
            "--like bigdl --shards 8 --l2 0.1 --clip-grad-norm 2 --drop-last",
            &[
                ("loss_reduction", "mean over the samples of each of 8 shards"),
                ("all_reduce", "mean over the shards"),
                (
                    "l2",
                    "λw is added to the gradient after the all-reduce, λ = 0.1; on all params, biases too",
                ),
                ("clipping", "to a global norm of 2.0, after the all-reduce, before L2 and momentum"),
                ("last_batch", "dropped, 29 of 64 samples"),
            ],
        ),
        (
            "--reduction mean-of-shard-sums --shards 4 --optimizer adamw -b 1437",
            &[
                ("loss_reduction", "sum over the samples of each of 4 shards"),
                ("all_reduce", "mean over the shards"),
                ("l2", "decoupled weight decay w ← w − ηλw, λ = 0.01; on all params, biases too"),
                ("momentum", "none other than β₁ = 0.9 of adamw"),
                ("last_batch", "as long as the others, 1437 samples"),
            ],
        ),
        (
            "--like nielsen --lr 1 --l2 5",
            &[(
                "l2",
                "(λ/N)w for N training samples is added to the gradient after the all-reduce, λ = 5.0; not on biases",
            )],
        ),
        (
            "--reduction sum-of-shard-means --optimizer rmsprop --momentum 0.5 --l2-form gradient",
            &[
                ("all_reduce", "sum over the shards"),
                ("momentum", "v ← μv + the step of rmsprop, w ← w − ηv, μ = 0.5"),
            ],
        ),
    ] {
        dir.good(&format!("train {flags} --epochs 1 --quiet -o run"));
        let found = dir.json("run/results.json")["conventions"].clone();
        for (name, text) in expected {
            assert_eq!(found[name], *text, "{name} of {flags}");
        }
        std::fs::remove_dir_all(dir.path("run")).unwrap();
    }
    dir.good("train --max-steps 5 --quiet -o run");
    let found = dir.json("run/results.json")["conventions"]["last_batch"].clone();
    assert_eq!(found, "not reached; all batches have 64 samples");
    std::fs::remove_dir_all(dir.path("run")).unwrap();
    dir.write("weighted.csv", "x,w,y\n0,1,a\n1,3,b\n");
    dir.good("train weighted.csv --weight-column w -b 2 --lr 0.5 --epochs 1 --quiet -o run");
    let results = dir.json("run/results.json");
    let found = &results["conventions"];
    assert_eq!(found["loss_reduction"], "mean over the weighted samples of a batch");
    assert!(
        found["all_reduce"].as_str().unwrap().ends_with("divided by the weight of all samples in the batch")
    );
    assert_eq!(
        (found["rate_under_mean"].as_f64(), found["rate_under_sum"].as_f64()),
        (Some(0.5), Some(0.25))
    );
    dir.good("report run");
    let page = dir.read("run/report.html");
    for text in
        ["What a paper must state", "mean over the weighted samples", "0.5 under mean, 0.25 under sum"]
    {
        assert!(page.contains(text), "no {text}");
    }

    // The results of an older version have no conventions.
    let mut older = results;
    older.as_object_mut().unwrap().remove("conventions");
    dir.write("run/results.json", older.to_string());
    dir.good("report run");
    assert!(!dir.read("run/report.html").contains("What a paper must state"));
}
