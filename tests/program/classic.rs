//! The options that classic papers need: squared losses of classes, output activations, initial
//! distributions, input scaling, and momentum per sample.

use crate::test_dir::TestDir;

#[test]
fn a_squared_loss_of_classes_is_trained_evaluated_predicted_exported_and_resumed() {
    let dir = TestDir::new();
    let squared = "--loss half-squared --output-activation sigmoid --activation sigmoid --init-weights lecun-normal \
                   --init-bias normal:0.1 --lr 1 -b 10";
    dir.good(&format!("train {squared} --epochs 6 --quiet -o whole"));
    dir.good(&format!("train {squared} --epochs 3 --quiet -o half"));
    dir.good("train --resume half --epochs 6 --allow-changed epochs --quiet");
    let results = ["whole", "half"].map(|run| dir.json(&format!("{run}/results.json")));
    assert_eq!(results[0]["params_sha256"], results[1]["params_sha256"]);
    assert!(results[0]["test_accuracy"].as_f64().unwrap() > 0.9);
    let evaluated = dir.good("eval whole");
    assert!(evaluated.contains(&format!("accuracy  {}", results[0]["test_accuracy"])), "{evaluated}");
    let predictions = dir.good("predict whole --probabilities");
    assert!(predictions.starts_with("sample,class,output,output(0),"), "{predictions}");
    assert!(
        dir.good("predict whole --format jsonl").starts_with("{\"sample\":0,\"class\":\"1\",\"output\":0.")
    );
    dir.good("report whole");
    assert!(dir.read("whole/report.html").contains("lowest output of their true class"));
    let line: Vec<&str> = predictions.lines().nth(1).unwrap().split(',').collect();
    let numbers: Vec<f64> = line[2..].iter().map(|number| number.parse().unwrap()).collect();
    assert!(numbers.len() == 11 && numbers.iter().all(|p| (0.0..=1.0).contains(p)), "{line:?}");
    assert!(dir.good("inspect whole").contains("half-squared-of-sigmoid"));
    dir.good("export whole model.onnx");
}

#[test]
fn targets_decide_whether_labels_are_classes() {
    let dir = TestDir::new();
    dir.write("t.csv", "x,y\n0,0\n1,1\n2,0\n3,1\n4,2\n5,2\n");
    for (flags, features) in [
        ("--loss mse", "1 value to predict"),
        ("--loss mse --targets one-hot", "3 classes"),
        ("--loss squared --targets plus-minus --output-activation tanh", "3 classes"),
        ("--loss half-mse", "3 classes"),
        ("--loss half-mse --targets values", "1 value to predict"),
        ("--loss bce-sum", "3 classes"),
    ] {
        let ran = dir.run(&format!("train t.csv {flags} --lr 0.01 --epochs 2 --no-progress"));
        assert!(ran.code == Some(0) && ran.err.contains(features), "{flags}: {ran:?}");
    }
}

#[test]
fn a_scale_replaces_that_of_the_file_and_is_saved_with_the_model() {
    let dir = TestDir::new();
    let mut plain = String::new();
    let mut scaled = String::new();
    for row in 0..60 {
        let (a, b) = (row % 7, row % 5);
        plain += &format!("{a},{b},{}\n", u8::from(a > b));
        scaled += &format!("{},{},{}\n", f64::from(a) * 0.25, f64::from(b) * 0.25, u8::from(a > b));
    }
    dir.write("plain.csv", plain);
    dir.write("scaled.csv", scaled);
    dir.good("train plain.csv --scale 1/4 --quiet -o a");
    dir.write("scale.toml", "scale = \"1/4\"\n");
    dir.good("train plain.csv --config scale.toml --quiet -o c");
    dir.good("train plain.csv --config a/config.toml --quiet -o d");
    dir.good("train scaled.csv --quiet -o b");
    let hash = |run: &str| dir.json(&format!("{run}/results.json"))["params_sha256"].clone();
    assert_eq!([hash("a"), hash("c"), hash("d")], [hash("b"), hash("b"), hash("b")]);
    assert_eq!(dir.good("predict a plain.csv"), dir.good("predict b scaled.csv"));
}

#[test]
fn momentum_per_sample_and_as_a_time_constant_is_that_of_the_batch() {
    let dir = TestDir::new();
    let hash = |flags: &str, run: &str| {
        dir.good(&format!("train -b 2 --max-steps 50 {flags} --quiet -o {run}"));
        dir.json(&format!("{run}/results.json"))["params_sha256"].clone()
    };
    let expected = hash("--momentum 0.25", "a");
    assert_eq!(hash("--momentum 0.5 --momentum-unit per-sample", "b"), expected);
    assert_eq!(hash("--momentum 0.25 --momentum-unit per-batch", "c"), expected);
    assert_ne!(hash("--momentum 18.98244316205981 --momentum-unit time-constant", "d"), expected);
    let out =
        dir.run("train -b 2 --max-steps 1 --momentum 18.98244316205981 --momentum-unit time-constant").err;
    assert!(out.contains("momentum 0.9"), "{out}");
}

#[test]
fn the_unit_of_momentum_belongs_to_one_batch_size() {
    let dir = TestDir::new();
    let momentum = "--momentum 0.99 --momentum-unit per-sample";
    let ran = dir.run(&format!("sweep {momentum} -b 16,256"));
    assert!(ran.code == Some(2) && ran.err.contains("--momentum-unit has no effect on a sweep"), "{ran:?}");
    let converted = dir.good(&format!("convert {momentum} -b 16 --to-batch-size 64 --rule linear --lr 0.01"));
    let command = converted.lines().find(|line| line.starts_with("phalanx train")).unwrap();
    // 0.99^16
    assert!(command.contains("--momentum 0.8514577710948755") && !command.contains("unit"), "{converted}");
}

#[test]
fn a_resumed_run_refuses_another_distribution_of_initial_params() {
    let dir = TestDir::new();
    dir.good("train --init-weights lecun --max-steps 3 --quiet -o run");
    for flags in ["--init-weights he", "--init-bias normal", "--init-weights he --init-bias zero"] {
        let ran = dir.run(&format!("train --resume run --max-steps 4 --allow-changed max-steps {flags}"));
        assert!(ran.code == Some(2) && ran.err.contains("--init-"), "{flags}: {ran:?}");
    }
}

#[test]
fn flags_that_contradict_each_other_are_refused_with_the_remedy() {
    let dir = TestDir::new();
    dir.good("train --hidden none --max-steps 1 --quiet -o m");
    for (flags, expected) in [
        ("--output-activation tanh", "for squared losses, but the loss is cross-entropy"),
        ("--targets one-hot --loss bce", "--targets is for squared losses"),
        ("--loss mse --targets one-hot --output-activation gelu", "give relu, tanh, sigmoid or scaled-tanh"),
        ("--loss mse --targets one-hot --standardize-targets", "the targets are classes"),
        (
            "--init m/model.safetensors --hidden none --init-weights he",
            "--init-weights has no effect with --init",
        ),
        ("--init-weights xavier", "glorot"),
        ("--init-bias normal:-1", "numbers of at least 0"),
        ("--targets plus-minus --loss squared --output-activation sigmoid", "cannot reach"),
        ("--scale 1/0", "a divisor other than 0"),
        ("--scale 1/256 --standardize", "drop one of them"),
        ("--scale -1", "expected a number above 0"),
        ("--momentum-unit per-sample", "needs --momentum"),
        ("--momentum -5 --momentum-unit time-constant", "expected at least 0"),
        ("--l2 1 --l2-form data-sum --reduction sum", "mean"),
    ] {
        let ran = dir.run(&format!("train {flags} --max-steps 1 -o never"));
        assert!(ran.code == Some(2) && ran.err.contains(expected), "{flags}: {ran:?}");
        assert!(!dir.path("never").exists());
    }
}
