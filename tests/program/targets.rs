//! Standardized targets: the command of the README learns prices, all results are in the units of
//! the prices, and a run that is translated, resumed or started by an older version keeps its
//! targets.

use std::fmt::Write as _;

use crate::test_dir::{ProgramOutput, TestDir, hash, npy, value};
use phalanx::checkpoint::ModelFile;

/// Returns houses with their price, a linear function of four features plus noise of ±20,000, from
/// a fixed random generator.
fn houses(samples: usize) -> String {
    let mut state = 7_u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1_u64 << 24) as f64
    };
    let mut text = "sqm,rooms,age,dist,price\n".to_owned();
    for _ in 0..samples {
        let (sqm, age, dist) = (30.0 + 180.0 * uniform(), 80.0 * uniform(), 20.0 * uniform());
        let rooms = (sqm / 25.0 + 2.0 * uniform()).round();
        let noise = 40_000.0 * (uniform() - 0.5);
        let price = sqm * 2500.0 + rooms * 8000.0 - age * 600.0 - dist * 3000.0 + 60_000.0 + noise;
        writeln!(text, "{sqm:.1},{rooms},{age:.1},{dist:.2},{price:.0}").unwrap();
    }
    text
}

fn dir(samples: usize) -> TestDir {
    let dir = TestDir::new();
    dir.write("houses.csv", houses(samples));
    dir
}

/// Returns the rows of a table of numbers.
fn numbers(text: &str) -> Vec<Vec<f64>> {
    text.lines().skip(1).map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect()).collect()
}

/// Returns the last column.
fn prices(dir: &TestDir, name: &str) -> Vec<f64> {
    numbers(&dir.read(name)).iter().map(|row| *row.last().unwrap()).collect()
}

fn mean_square(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.map(|x| x * x).sum::<f64>() / n
}

fn variance(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    mean_square(values.iter().map(|x| x - mean))
}

/// Returns the predictions of a least-squares fit with a constant, by its normal equations: the
/// definition of linear regression.
fn least_squares(rows: &[Vec<f64>], targets: &[f64]) -> Vec<f64> {
    let rows: Vec<Vec<f64>> = rows.iter().map(|row| [row.as_slice(), &[1.0]].concat()).collect();
    let n = rows[0].len();
    // (XᵀX | Xᵀy), solved by Gaussian elimination with partial pivoting.
    let entry = |i: usize, j: usize| {
        let value = |(row, t): (&Vec<f64>, &f64)| row[i] * if j == n { *t } else { row[j] };
        rows.iter().zip(targets).map(value).sum::<f64>()
    };
    let mut system: Vec<Vec<f64>> = (0..n).map(|i| (0..=n).map(|j| entry(i, j)).collect()).collect();
    for at in 0..n {
        let largest = (at..n).max_by(|a, b| system[*a][at].abs().total_cmp(&system[*b][at].abs())).unwrap();
        system.swap(at, largest);
        let pivot = system[at].clone();
        for (_, equation) in system.iter_mut().enumerate().filter(|(row, _)| *row != at) {
            let factor = equation[at] / pivot[at];
            equation.iter_mut().zip(&pivot).for_each(|(value, pivot)| *value -= factor * pivot);
        }
    }
    let weights: Vec<f64> = (0..n).map(|at| system[at][n] / system[at][at]).collect();
    rows.iter().map(|row| row.iter().zip(&weights).map(|(x, w)| x * w).sum()).collect()
}

const README: &str = "train houses.csv --label-column price --loss mse --standardize --lr 0.01";

#[test]
fn the_command_of_the_readme_learns_prices_with_every_seed() {
    let dir = dir(1000);
    let variance = variance(&prices(&dir, "houses.csv"));
    for seed in 1..=5 {
        dir.good(&format!("{README} --seed {seed} --test-split 0.2 --quiet -o {seed}"));
        let results = dir.json(&format!("{seed}/results.json"));
        for loss in ["train_loss", "test_loss"] {
            let explained = 1.0 - results[loss].as_f64().unwrap() / variance;
            assert!(explained > 0.95 && explained < 1.0, "{loss}, seed {seed}: R2 {explained}");
        }
    }
}

#[test]
fn a_linear_model_converges_to_least_squares_and_all_results_are_in_the_units_of_the_prices() {
    let dir = dir(400);
    let targets = prices(&dir, "houses.csv");
    let rows: Vec<Vec<f64>> = numbers(&dir.read("houses.csv")).iter().map(|row| row[..4].to_vec()).collect();
    let expected = least_squares(&rows, &targets);
    let least = mean_square(expected.iter().zip(&targets).map(|(p, t)| p - t));
    let ran = dir.run(
        &format!("{README} --lr=0.1 --hidden none -b 400 --epochs 1500 -o run").replace("--lr 0.01 ", ""),
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("targets") && ran.err.contains("standardized by mean"), "{}", ran.err);

    let csv = dir.good("predict run houses.csv");
    let deviation = variance(&targets).sqrt();
    for (found, expected) in numbers(&csv).iter().zip(&expected) {
        let apart = (found.last().unwrap() - expected).abs() / deviation;
        assert!(apart < 1e-3, "{found:?}, least squares {expected}");
    }
    let found = dir.json("run/results.json")["train_loss"].as_f64().unwrap();
    assert!((found / least - 1.0).abs() < 1e-3, "{found}, least squares {least}");
    let evaluated: f64 = value(&dir.good("eval run"), "loss").parse().unwrap();
    assert!((evaluated / least - 1.0).abs() < 1e-3, "{evaluated}, least squares {least}");
    let metrics = dir.read("run/metrics.jsonl");
    let last: serde_json::Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
    assert!(last.to_string().contains(&found.to_string()), "{last}");

    // Every format has the same values, and the page shows prices.
    let first = numbers(&csv)[0].last().unwrap().to_string();
    assert!(dir.good("predict run houses.csv --format jsonl").lines().next().unwrap().contains(&first));
    dir.good("predict run houses.csv --format npy -o p.npy");
    let bytes = std::fs::read(dir.path("p.npy")).unwrap();
    let last = f32::from_le_bytes(*bytes.last_chunk().unwrap());
    assert_eq!(f64::from(last), *numbers(&csv).last().unwrap().last().unwrap() as f32 as f64);
    dir.good("report run");
    let page = dir.read("run/report.html");
    assert!(
        page.contains("Worst-predicted samples") && !page.contains("are not shown"),
        "the page has no samples"
    );
    let inspected = dir.good("inspect run");
    assert!(
        inspected.contains("standardized by mean") && inspected.contains("--standardize-targets"),
        "{inspected}"
    );
    assert!(dir.good("export run run.onnx").contains("in the units of the targets"));
}

/// Two outputs of very different scale, in npy, and one in libsvm.
#[test]
fn several_outputs_and_sparse_samples_are_standardized() {
    let dir = TestDir::new();
    let x: Vec<u8> = (0..200_u16).flat_map(|at| (f32::from(at * 7 % 11) / 5.0 - 1.0).to_le_bytes()).collect();
    let feature = |sample: usize, j: usize| ((2 * sample + j) * 7 % 11) as f32 / 5.0 - 1.0;
    let values = |sample: usize| {
        let [a, b] = [feature(sample, 0), feature(sample, 1)];
        [250_000.0 + 90_000.0 * a, 0.002 - 0.001 * b]
    };
    let y: Vec<u8> = (0..100).flat_map(values).flat_map(f32::to_le_bytes).collect();
    dir.write("x.npy", npy("<f4", "100, 2", &x));
    dir.write("y.npy", npy("<f4", "100, 2", &y));
    dir.good("train x.npy,y.npy --loss mse --hidden none --lr 0.1 --epochs 100 -b 20 --quiet -o two");
    dir.good("predict two x.npy -o two.csv");
    for (row, sample) in numbers(&dir.read("two.csv")).iter().zip(0..) {
        for ((found, expected), deviation) in row[row.len() - 2..].iter().zip(values(sample)).zip([6e4, 6e-4])
        {
            assert!((found - f64::from(expected)).abs() < deviation / 100.0, "{sample}: {row:?}, {expected}");
        }
    }
    let lines =
        (0..100).map(|s| format!("{} 1:{} 2:{}\n", values(s)[0], feature(s, 0) + 2.0, feature(s, 1) + 2.0));
    dir.write("houses.libsvm", lines.collect::<String>());
    dir.good("train houses.libsvm --loss mse --standardize --hidden none --lr 0.1 --epochs 100 -b 20 --quiet -o sparse");
    assert!(dir.json("sparse/results.json")["train_loss"].as_f64().unwrap() < 6e4 * 6e4 / 1e4);
}

#[test]
fn threads_checkpoints_and_a_resume_do_not_change_the_bits() {
    let dir = dir(300);
    dir.good(&format!("{README} --quiet -t 1 --epochs 3 -o whole"));
    dir.good(&format!("{README} --quiet -t 3 --epochs 3 -o threads"));
    dir.good(&format!("{README} --quiet -t 2 --max-steps 7 -o half"));
    dir.good("train --resume half --epochs 3 --allow-changed epochs,max-steps --quiet -t 1 -o rest");
    assert_eq!((hash(&dir, "threads"), hash(&dir, "rest")), (hash(&dir, "whole"), hash(&dir, "whole")));
    for run in ["whole", "half", "rest"] {
        assert!(dir.read(&format!("{run}/config.toml")).contains("standardize-targets = true"), "{run}");
    }
    let file = |path: &str| ModelFile::load(&dir.path(path)).unwrap().standardize_targets;
    assert!(file("whole").is_some());
    assert_eq!(file("whole"), file("half/checkpoints/step-00000007.safetensors"));
    // Older programs would predict deviations, so they must refuse the file.
    dir.good("train --max-steps 1 --quiet -o classes");
    let version = |path: &str| {
        let bytes = std::fs::read(dir.path(path)).unwrap();
        let text = String::from_utf8_lossy(&bytes).replace('\\', "");
        ["\"version\":1", "\"version\":2"].map(|version| text.contains(version))
    };
    for (path, expected) in [("whole", [false, true]), ("classes", [true, false])] {
        assert_eq!(version(&format!("{path}/model.safetensors")), expected, "{path}");
    }
    assert_eq!(version("half/checkpoints/step-00000007.safetensors"), [false, true]);
    let ran = dir.run("train --resume half --standardize-targets=false --quiet");
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("--standardize-targets is false, was true"), "{}", ran.err);
}

#[test]
fn a_config_without_the_key_belongs_to_a_run_with_unchanged_targets() {
    let dir = dir(300);
    let start = "train houses.csv --label-column price --loss mse --standardize --lr 1e-8 --epochs 2 --quiet";
    dir.good(&format!("{start} --standardize-targets=false -o run"));
    // As left by an older version that was killed before its first checkpoint.
    let config = dir.read("run/config.toml").replace("standardize-targets = false\n", "");
    dir.write("old/config.toml", &config);
    dir.write("old/metrics.jsonl", "");
    dir.good("train --resume old --quiet");
    assert_eq!(hash(&dir, "old"), hash(&dir, "run"));
    dir.good(&format!("{start} -o new"));
    assert_ne!(hash(&dir, "new"), hash(&dir, "run"));
}

#[test]
fn presets_and_initial_params_do_not_standardize_targets_unless_asked() {
    let dir = dir(300);
    let train = "train houses.csv --label-column price --loss mse --standardize --epochs 1 --lr 1e-8";
    let targets =
        |ran: &ProgramOutput| ran.err.lines().find(|line| line.starts_with("targets")).unwrap().to_owned();
    let ran = dir.run(&format!("{train} --like pytorch -o like"));
    assert!(ran.code == Some(0) && targets(&ran).contains("not standardized, as in pytorch"), "{ran:?}");
    let ran = dir.run(&format!("{train} --like pytorch --standardize-targets -o asked"));
    assert!(ran.code == Some(0) && targets(&ran).contains("standardized by mean"), "{ran:?}");
    dir.good(&format!("{train} --standardize-targets=false --init-weights pytorch --quiet -o plain"));
    assert_eq!(hash(&dir, "like"), hash(&dir, "plain"));
    for (init, expected) in [("plain", "not standardized"), ("asked", "standardized by mean")] {
        let ran = dir.run(&format!("{train} --init {init}/model.safetensors -o from-{init}"));
        assert!(ran.code == Some(0) && targets(&ran).contains(expected), "{init}: {ran:?}");
    }
    let ran = dir.run("train --standardize-targets --quiet -o classes");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("--standardize-targets is for the loss mse"), "{}", ran.err);
}

#[test]
fn a_translation_states_that_both_sides_standardize_targets() {
    let dir = dir(320);
    let options =
        "houses.csv --label-column price --loss mse --standardize --hidden 4 --lr 0.01 -b 64 --epochs 2";
    let out = dir.good(&format!("convert {options} --to sum"));
    assert!(out.contains("standardized targets on both sides") && out.contains("same bits"), "{out}");
    let command = out.lines().find_map(|line| line.strip_prefix("phalanx ")).unwrap();
    dir.good(&format!("train {options} --quiet -o mean"));
    dir.good(&format!("{command} --quiet -o sum"));
    assert_eq!(hash(&dir, "mean"), hash(&dir, "sum"));
    for silent in [
        "convert --to sum --lr 0.1".to_owned(),
        format!("convert {options} --to sum --standardize-targets=false"),
    ] {
        assert!(!dir.good(&silent).contains("standardized targets"), "{silent}");
    }
    let out = dir.good("convert --config mean/config.toml --to sum");
    assert!(out.contains("--standardize-targets") && out.contains("on both sides"), "{out}");
}

#[test]
fn the_remedies_for_a_diverged_run_work() {
    let dir = dir(1000);
    let train = "train houses.csv --label-column price --loss mse --lr 0.01";
    let ran = dir.run(&format!("{train} --standardize-targets=false -o raw"));
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(
        ran.err.contains("give --standardize ") && ran.err.contains("and give --standardize-targets"),
        "{}",
        ran.err
    );
    let ran = dir.run(&format!("{train} -o unscaled"));
    assert!(
        ran.err.contains("features are not standardized") && ran.err.contains("give --standardize"),
        "{ran:?}"
    );
    dir.good(&format!("{train} --standardize --quiet -o good"));
    let ran = dir.run(&format!("{train} --standardize --lr 1.0 -o fast").replace("--lr 0.01 ", ""));
    assert!(ran.code == Some(3) && ran.err.contains("lower --lr (1.0), to 0.1 for example"), "{ran:?}");
}

#[test]
fn features_far_from_1_give_a_warning_and_those_near_1_do_not() {
    let dir = dir(50);
    let stderr = |arguments: &str| dir.run(&format!("train {arguments} --max-steps 1 --lr 0")).err;
    let warned = stderr("houses.csv --loss mse -o a");
    assert!(
        warned.contains("features are not standardized: the root mean square of feature \"sqm\" is"),
        "{warned}"
    );
    assert!(warned.contains("give --standardize"), "{warned}");
    // No warning for lengths of petals, shares that are nearly always 0, and images.
    dir.write("iris.csv", "5.1,3.5,1.4,a\n7.9,3.0,6.9,b\n".repeat(20));
    let rare = (0..200).map(|s| if s == 7 { "1 1:1 2:1\n" } else { "0 2:1\n" });
    dir.write("rare.libsvm", rare.collect::<String>());
    for quiet in
        ["houses.csv --loss mse --standardize -o b", "iris.csv -o c", "rare.libsvm -o d", "digits -o e"]
    {
        assert!(!stderr(quiet).contains("features are not standardized"), "{quiet}");
    }
}
