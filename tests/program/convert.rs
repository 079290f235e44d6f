//! Tests of `phalanx convert`: the printed command trains to the same bits, the translation is
//! reversible, and errors give a reason.

use crate::test_dir::{ProgramOutput, TestDir};
use serde_json::Value;

/// Returns the command that convert prints, without the program's name.
fn command(out: &str) -> &str {
    out.lines()
        .find_map(|line| line.strip_prefix("phalanx "))
        .unwrap_or_else(|| panic!("no command in {out}"))
}

fn hash(dir: &TestDir, train: &str) -> Value {
    dir.good(&format!("{train} -o run --quiet"));
    let hash = dir.json("run/results.json")["params_sha256"].clone();
    std::fs::remove_dir_all(dir.path("run")).unwrap();
    hash
}

const RUN: &str = "digits --max-steps 30 --drop-last --hidden 8 -b 64 --shards 4";

#[test]
fn the_printed_command_trains_to_the_same_bits() {
    let dir = TestDir::new();
    for options in [
        "--lr 0.05 --momentum 0.9 --l2 0.01 --clip-grad-norm 0.5 --warmup-steps 4",
        "--optimizer adam --l2 0.01 --eps 0.001",
        "--optimizer adagrad --eps-form inside --initial-accumulator 0.1 --no-bias-decay --l2 0.1",
        "--optimizer adamw",
        "--optimizer rmsprop --momentum 0.9 --weight-decay 0.1",
        "--optimizer lamb --weight-decay 0.1",
    ] {
        let expected = hash(&dir, &format!("train {RUN} {options}"));
        for to in
            ["mean", "sum", "mean-of-shard-means", "sum-of-shard-means", "mean-of-shard-sums", "scikit-learn"]
        {
            let out = dir.good(&format!("convert {RUN} {options} --to {to}"));
            assert!(out.contains("exact, same bits") && !out.contains("rounding"), "{out}");
            assert_eq!(hash(&dir, command(&out)), expected, "{options} to {to}: {out}");
        }
    }
}

#[test]
fn a_translation_back_gives_the_original_command() {
    let dir = TestDir::new();
    for batch in [64, 100] {
        for (from, options) in [
            ("mean", "--lr 0.1 --momentum 0.9 --l2 0.0001 --clip-grad-norm 0.7"),
            ("sum", "--optimizer adagrad --lr 0.03 --eps 1e-6 --initial-accumulator 0.1 --l2 0.3"),
            ("sum", "--lr 0.007 --weight-decay 0.3"),
            ("mean", "--optimizer adam --lr 0.001 --eps 1e-7 --l2 0.03"),
        ] {
            let start = format!("-b {batch} {options}");
            let same = dir.good(&format!("convert {start} --from {from}"));
            for to in ["mean", "sum", "scikit-learn"] {
                let out = dir.good(&format!("convert {start} --from {from} --to {to}"));
                let back = command(&out).strip_prefix("train").unwrap();
                let out = dir.good(&format!("convert {back} --from {to} --to {from}"));
                assert_eq!(command(&out), command(&same), "{to}");
            }
        }
    }
}

#[test]
fn a_config_and_a_preset_are_converted_and_json_has_the_same_content() {
    let dir = TestDir::new();
    dir.good(&format!("train {RUN} --lr 0.05 --l2 0.01 -o run --quiet"));
    let out = dir.good("convert --config run/config.toml --to sum");
    assert!(
        out.contains("--lr 0.00078125") && out.contains("--l2 0.64") && out.contains("--hidden 8"),
        "{out}"
    );
    let json: Value =
        serde_json::from_str(&dir.good("convert --config run/config.toml --to sum --json")).unwrap();
    assert_eq!((&json["gradient_factor"], &json["same_bits"]), (&64.0.into(), &true.into()));
    assert_eq!(json["command"].as_str().unwrap().strip_prefix("phalanx "), Some(command(&out)));
    assert_eq!(json["changes"][0]["new"], 0.000_781_25);

    let out = dir.good("convert --like keras --optimizer adam --l2 0.01 -b 64 --to scikit-learn");
    for fragment in ["--l2 1.28", "--l2-form batch-sum", "--eps-form uncorrected", "--no-bias-decay", "alpha"]
    {
        assert!(out.contains(fragment), "no {fragment} in {out}");
    }
    let out = dir.good("convert --like nielsen --lr 0.5 --l2 5 -b 10 --data-size 50000 --to sum");
    for fragment in ["--l2 0.001", "--lr 0.05", "--no-bias-decay", "--init-weights lecun-normal"] {
        assert!(out.contains(fragment), "no {fragment} in {out}");
    }
    assert!(!out.contains("data-sum"), "{out}");
    let error = dir.run("convert --like nielsen --lr 0.5 --l2 5 -b 10 --to sum");
    assert!(error.code == Some(2) && error.err.contains("--data-size"), "{error:?}");
}

#[test]
fn the_short_last_batch_is_mentioned() {
    let dir = TestDir::new();
    let out = dir.good("convert digits -b 128 --to sum");
    assert!(out.contains("of 29 samples instead of 128") && out.contains("--drop-last"), "{out}");
    let out = dir.good("convert -b 128 --to sum --data-size 60000");
    assert!(out.contains("of 96 samples instead of 128: its update is 0.75 times"), "{out}");
    assert!(!dir.good("convert -b 100 --to sum --data-size 60000").contains("last batch"));
    assert!(dir.good("convert -b 128 --to sum").contains("exact if every batch has 128 samples"));
}

#[test]
fn flags_that_need_no_translation_are_kept() {
    let out = TestDir::new().good("convert --to sum --save-every 2epochs --keep 5 -o m --quiet");
    for fragment in ["--save-every 2epochs", "--keep 5", "--output-dir m", "--quiet"] {
        assert!(command(&out).contains(fragment), "no {fragment} in {out}");
    }
}

#[test]
fn settings_without_a_translation_are_rejected_with_the_reason() {
    let dir = TestDir::new();
    for (arguments, code, fragments) in [
        ("--to mean-of-shard-means --shards 3 -b 100", 1, &["34 or 33 samples", "divides the batch"][..]),
        ("--to sum --optimizer lars", 1, &["lars", "tensor are 0", "--init"]),
        ("--to c --data-size 100", 1, &["C is infinite", "--l2"]),
        ("--to-momentum-form caffe --momentum 0.9 --lr-schedule cosine", 1, &["constant rate", "caffe"]),
        ("--to-batch-size 1024 --rule adam --optimizer adam", 1, &["beta1 of 0.9", "10.0 times"]),
        ("--to-batch-size 128 --rule adam", 1, &["adam rule", "sgd"]),
        ("--to sum --weight-column 3", 1, &["weight", "differs from batch to batch"]),
        ("--to-batch-size 128", 2, &["--rule linear or sqrt", "for adam, adamw and rmsprop, --rule adam"]),
        ("--rule linear", 2, &["--to-batch-size"]),
        ("--to-batch-size 0 --rule linear", 2, &["a batch size of 0 is not possible"]),
        ("--to objective-sum", 2, &["--data-size"]),
        ("--to sum-of-shard-means", 2, &["--shards"]),
        ("--from c --data-size 100", 2, &["C of 0"]),
        ("--from sum --reduction mean", 2, &["--from sum", "--reduction"]),
        ("--like keras --from sum", 2, &["--from sum", "mean"]),
        ("--to sum --scale-lr linear --base-batch-size 32", 2, &["--scale-lr", "--to-batch-size"]),
        ("--to sum --resume auto", 2, &["--resume", "keeps its convention", "--config"]),
        ("--to sum --allow-changed lr", 2, &["--allow-changed", "keeps its convention"]),
        ("--to nothing", 2, &["nothing", "mean-of-shard-sums", "scikit-learn"]),
        ("--to sum --momentum 2", 2, &["momentum is 2"]),
        ("--to sum -b 64 --data-size 10", 2, &["64 samples", "10", "reduce the batch size"]),
        ("--to sum --optimizer adadelta", 2, &["adadelta", "single eps"]),
        ("--to sum --optimizer lion", 2, &["lion", "nothing changes"]),
        ("--to sum --optimizer sign-sgd", 2, &["sign-sgd", "nothing changes"]),
    ] {
        let ProgramOutput { code: found, out, err } = dir.run(&format!("convert {arguments}"));
        assert_eq!((found, out.as_str()), (Some(code), ""), "{arguments}: {err}");
        assert!(err.starts_with("error: "), "{err}");
        for fragment in fragments {
            assert!(err.contains(fragment), "{arguments}: no {fragment:?} in {err}");
        }
    }
}

#[test]
fn statements_of_a_paper_become_a_command_with_the_factors_that_remain_uncertain() {
    let dir = TestDir::new();
    let questions = dir.good("convert --paper");
    for fragment in ["loss-reduction", "gradient, loss, decoupled, data-sum, batch-sum", "short, drop, fill"]
    {
        assert!(questions.contains(fragment), "no {fragment} in {questions}");
    }
    for (arguments, train, fragments) in [
        (
            "--paper=loss-reduction=sum,l2=loss --year 2014 --lr 0.01 --momentum 0.9 --l2 0.5 --lr-schedule step -b 128 --data-size 50000",
            "--batch-size 128 --reduction sum --lr 0.01 --momentum 0.9 --momentum-form caffe --l2 0.5 --lr-schedule step",
            &["momentum        caffe   --year", "without the half", "1/k times", "last 80 samples"][..],
        ),
        (
            "--paper --year 1998 --lr 0.01 -b 256",
            "--batch-size 256 --reduction sum --lr 0.01",
            &["sums were usual before 2005", "loss-reduction=mean: updates are 256 times as small"],
        ),
        (
            "--paper=last-batch=drop --like horovod-sum --shards 8 --lr 0.1 -b 256 --init-weights he",
            "--standardize-targets=false --init-weights he --batch-size 256 --shards 8 --reduction sum-of-shard-means \
             --drop-last --optimizer sgd --lr 0.1 --l2 0.0 --weight-decay 0.0",
            &["all-reduce      sum       --like horovod-sum", "last-batch      drop      --paper"],
        ),
        (
            "--paper=loss-reduction=sum,l2=data-sum --lr 0.1 --l2 5 -b 10 --data-size 50000",
            "--batch-size 10 --reduction sum --lr 0.1 --l2 0.001",
            &["l2              data-sum"],
        ),
        (
            "--paper=loss-reduction=mean,l2=data-sum,last-batch=short --lr 0.1 --l2 5 -b 10",
            "--batch-size 10 --reduction mean --drop-last=false --lr 0.1 --l2 5.0 --l2-form data-sum",
            &["all-reduce=sum over P processes: gradients are P times as large"],
        ),
        (
            "--paper=l2=batch-sum --lr 0.1 --l2 5 -b 10",
            "--batch-size 10 --reduction mean --lr 0.1 --l2 5.0 --l2-form batch-sum",
            &["loss-reduction=sum: updates are 10 times as large", "unless the batch size divides"],
        ),
        (
            "--paper=all-reduce=mean --shards 4 --lr 0.1 --l2 0.5 --clip-grad-norm 1 -b 40",
            "--batch-size 40 --shards 4 --reduction mean-of-shard-means --clip-grad-norm 1.0 --lr 0.1 --l2 0.5",
            &["clip=before", "l2=batch-sum: it is 40 times as weak; l2=data-sum: N times"],
        ),
        (
            "--paper=loss-reduction=sum,all-reduce=none --lr 0.1 --l2 0.5 -b 40 --data-size 4000",
            "--batch-size 40 --reduction sum --lr 0.1 --l2 0.5",
            &["l2 of the mean loss: it is 40 times as strong; l2=data-sum: 100 times as weak"],
        ),
        (
            "--paper=clip=none --shards 4 --lr 0.1 -b 40",
            "--batch-size 40 --shards 4 --reduction mean-of-shard-means --lr 0.1",
            &["updates are 10 times as large", "over 4 processes: gradients are 4 times as large"],
        ),
        (
            "--paper=last-batch=fill --year 2020 --optimizer adam --lr 0.001 --l2 0.01 digits",
            "digits --reduction mean --optimizer adam --lr 0.001 --weight-decay 0.01",
            &["AdamW is of 2019", "give --weight-decay 10.0", "matters to eps", "fill is not possible"],
        ),
        (
            "--paper --like cntk --lr 0.01 -b 64 --data-size 1000",
            "--standardize-targets=false --init-weights glorot --init-bias zero --batch-size 64 --reduction sum --drop-last \
             --optimizer sgd --lr 0.001 --momentum 0.9 --momentum-form caffe --l2 0.0 --weight-decay 0.0",
            &["--like drops a short one"],
        ),
        (
            "digits --paper=loss-reduction=mean,all-reduce=none --lr 0.1 --momentum 0.5",
            "digits --reduction mean --lr 0.1 --momentum 0.5 --momentum-form pytorch",
            &[
                "momentum=caffe: the same, as the rate is constant",
                "last 29 samples of an epoch weighs 2.2069 times",
            ],
        ),
    ] {
        let out = dir.good(&format!("convert {arguments}"));
        let found = out.lines().find_map(|line| line.strip_prefix("phalanx train ")).unwrap();
        assert_eq!(found, train, "{arguments}");
        for fragment in fragments {
            assert!(out.contains(fragment), "{arguments}: no {fragment} in {out}");
        }
        dir.good(&format!("train {train} --epochs 1 --print-config"));
    }
    for (arguments, fragment) in [
        ("--paper l2=loss --lr 0.1", "as in --paper=l2=loss"),
        ("--paper=x=1", "unknown question 'x', expected one of loss-reduction, all-reduce"),
        ("--paper=l2=foo", "l2 is 'foo', expected one of gradient, loss"),
        ("--paper=l2=loss,l2=loss", "l2 is answered twice"),
        (
            "--paper=l2=loss --like pytorch --l2 0.1",
            "l2=loss contradicts --like pytorch, which implies gradient",
        ),
        ("--paper=all-reduce=mean", "give --shards"),
        ("--paper=clip=none --clip-grad-norm 1", "clip=none contradicts --clip-grad-norm"),
        ("--paper=l2=data-sum,loss-reduction=sum --l2 1", "give --data-size"),
        ("--paper=l2=data-sum,all-reduce=sum --shards 2 --l2 1", "l2=data-sum is for one process"),
        ("--paper=l2=decoupled --l2 1 --weight-decay 1", "drop --weight-decay or --l2"),
        ("--paper=l2=loss --reduction sum", "answer loss-reduction and all-reduce instead"),
        ("--paper=l2=loss --to sum", "cannot be used with '--to"),
        ("--paper=last-batch=short --like cntk --lr 0.1", "another momentum"),
        ("--year 1990", "--paper"),
    ] {
        let ran = dir.run(&format!("convert {arguments}"));
        assert!(ran.code == Some(2) && ran.err.contains(fragment), "{arguments}: {ran:?}");
    }
}
