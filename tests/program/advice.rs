//! The advice in messages can be followed in the situation in which it appears: it names no flag
//! that the command refuses, and states nothing that is false there.

use std::fs;

use crate::test_dir::{TestDir, npy, table};

/// Returns a directory with data, four runs, a killed run and a changed model.
fn furnished() -> TestDir {
    let dir = TestDir::new();
    let class = |a: f64, b: f64| if a > b { "u" } else { "v" };
    let weighted = |weight: u8| table(40, |a, b| format!("{weight},{}", class(a, b)));
    let values = table(40, |a, b| format!("{:.3}", 2.0 * a + b));
    dir.write("named.csv", format!("a,b,w,kind\n{}", weighted(1)));
    dir.write("weightless.csv", format!("a,b,kind\n{}", table(40, |a, b| class(a, b).to_owned())));
    dir.write("zero.csv", format!("a,b,w,kind\n{}", weighted(0)));
    dir.write("plain.csv", table(40, |a, b| usize::from(a > b).to_string()));
    dir.write("last.csv", table(40, |a, b| format!("{},1.5", usize::from(a > b))));
    dir.write("features.csv", "0.5,0.25\n0.25,0.5\n");
    dir.write("values.csv", format!("a,b,y\n{values}"));
    dir.write("word.csv", "a,b,y\n1,2,x\n");
    dir.write("missing.csv", format!("a,b,y\n{values}1,2,NA\n"));
    dir.write("three.csv", "1,2.5\n2,3\n3,4\n");
    dir.write("one.csv", "a,kind\n1,x\n");
    dir.write("word.svm", "1 1:0.5 3:x\n0 1:1\n");
    dir.write("one.svm", "1 1:0.5\n1 1:1\n");
    dir.write("same.svm", "5.5 1:0.5\n5.5 1:1\n");
    dir.write("wide.npy", npy("|u1", "1, 16777217", &vec![0; 16_777_217]));
    dir.write("rare.csv", table(40, |a, b| class(a, b).to_owned()) + "1,2,rare\n");
    dir.good("train named.csv --weight-column w --epochs 1 -o named");
    dir.good("train plain.csv --epochs 1 -o plain");
    dir.good("train last.csv --weight-column 3 --epochs 1 -o last");
    dir.good("train values.csv --loss mse --epochs 1 -o values");
    dir.good("train rare.csv --test-split 0.9 --epochs 1 -o rare");
    dir.write("killed/config.toml", "");
    dir.write("killed/checkpoints/step-00000010.safetensors", "x");
    let mut changed = fs::read(dir.path("plain/model.safetensors")).unwrap();
    *changed.last_mut().unwrap() ^= 1;
    dir.write("changed.safetensors", changed);
    dir
}

/// Arguments, fragments of the message, and fragments that it must not have.
type Case = (&'static str, &'static [&'static str], &'static [&'static str]);

const OF_KILLED: &[&str] = &[
    "in progress or was killed; wait for it to end",
    "train --resume killed",
    "killed/checkpoints/step-00000010",
];

#[test]
fn advice_can_be_followed_where_it_appears() {
    let dir = furnished();
    let cases: &[Case] = &[
        ("train word.svm", &["line 1, index 3", "replace words with numbers"], &["--label-column"]),
        ("train one.svm", &["the only label of one.svm is \"1\""], &["--label-column"]),
        ("train one.csv", &["(column \"kind\") is \"x\"", "--label-column"], &["all 1"]),
        ("train same.svm --loss mse --epochs 1 -o same", &["for a table, see --label-column"], &["give"]),
        ("train missing.csv --loss mse", &["fill in the missing value"], &["or the column"]),
        ("train wide.npy", &["wide.npy has 16777217 features"], &["line 1"]),
        ("train -t x", &["a whole number such as 8, or auto"], &["0 or more"]),
        ("train -b 1 -t 2 --max-steps 1 -o b", &["at most one per sample"], &["more --shards"]),
        ("train --keep 0 --save-every never", &["give --keep 1"], &["or --save-every"]),
        ("train --like keras --optimizer adamw --l2 0.1", &["drop --l2, or, except with adamw"], &[]),
        ("train --resume plain --momentum 0.9", &["momentum only if the state stays the same"], &[]),
        ("train --resume killed", &["give another file or run directory"], &["model.safetensors"]),
        ("train --init killed", OF_KILLED, &["interrupted"]),
        ("inspect killed", OF_KILLED, &["data as for"]),
        ("inspect absent", &["give a readable file or run directory, or data as for phalanx train"], &[]),
        ("eval killed", OF_KILLED, &["interrupted"]),
        ("eval changed.safetensors plain.csv", &["copy it again"], &["--init"]),
        ("eval plain features.csv", &["all 3 columns", "to predict, only the 2 features"], &[]),
        ("eval last last.csv --label-column 2", &["accuracy"], &["expected"]),
        ("eval named weightless.csv", &["lacks \"w\""], &["--weight-column"]),
        ("eval named named.csv --label-column 9", &["no column 9"], &["--weight-column"]),
        ("eval named zero.csv", &["give at least one a positive weight"], &["omit"]),
        ("eval values word.csv", &["train with --loss cross-entropy"], &["pass --loss"]),
        ("eval rare", &["train with another fraction or --seed"], &["give another"]),
        ("sweep three.csv --loss mse --test-split 0.34", &["or use more data"], &[]),
    ];
    for (arguments, fragments, others) in cases {
        let ran = dir.run(arguments);
        let text = ran.out + &ran.err;
        assert!(fragments.iter().all(|fragment| text.contains(fragment)), "{arguments}: {text}");
        assert!(!others.iter().any(|fragment| text.contains(fragment)), "{arguments}: {text}");
    }
    fs::remove_file(dir.path("plain.csv")).unwrap();
    let warning = dir.run("report plain").err;
    assert!(warning.contains("phalanx eval and predict accept other data after the model"), "{warning}");
}
