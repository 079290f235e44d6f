//! The precedence of flags: the command line over the environment, over a file, over the defaults;
//! and the output of `--print-config`, which is a file that reproduces the run.

use crate::test_dir::{ProgramOutput, TestDir};
use toml::Table;

/// A flag; its values in the file, as a variable and on the command line; and its default.
const FLAGS: [(&str, [&str; 3], Option<&str>); 10] = [
    ("batch-size", ["8", "16", "32"], Some("64")),
    ("lr", ["0.5", "0.25", "0.125"], Some("0.001")),
    ("hidden", ["\"5\"", "\"6\"", "\"7\""], Some("\"128\"")),
    ("optimizer", ["\"adam\"", "\"lamb\"", "\"adamw\""], None),
    ("threads", ["\"auto\"", "2", "3"], Some("\"auto\"")),
    ("standardize", ["true", "false", "true"], Some("false")),
    ("label-column", ["1", "\"name\"", "-1"], None),
    ("clip-grad-norm", ["1.0", "2.0", "3.0"], None),
    ("save-every", ["\"1h\"", "\"2epochs\"", "\"never\""], Some("\"1min\"")),
    ("data", ["\"a.csv\"", "\"b c.csv\"", "\"d.csv\""], Some("\"digits\"")),
];

const SOURCES: usize = 3;

fn variable(flag: &str) -> String {
    format!("PHALANX_{}", flag.replace('-', "_").to_uppercase())
}

#[test]
fn flags_override_variables_override_the_file_override_defaults() {
    let dir = TestDir::new();
    // Neighbouring flags are given in different sets of sources; over all turns, each flag is given
    // in every set.
    for turn in 0..1 << SOURCES {
        let sets: Vec<usize> = (0..FLAGS.len()).map(|at| (turn + at) % (1 << SOURCES)).collect();
        let given = |source: usize| FLAGS.iter().zip(&sets).filter(move |(_, set)| *set >> source & 1 == 1);
        let file: String =
            given(0).map(|((flag, values, _), _)| format!("{flag} = {}\n", values[0])).collect();
        dir.write("run.toml", file);
        let mut command = dir.command("train --print-config --config run.toml");
        for ((flag, values, _), _) in given(1) {
            command.env(variable(flag), values[1].trim_matches('"'));
        }
        for ((flag, values, _), _) in given(2) {
            let value = values[2].trim_matches('"');
            command.arg(if *flag == "data" { value.to_owned() } else { format!("--{flag}={value}") });
        }
        let ran: ProgramOutput = command.output().unwrap().into();
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
        for ((flag, values, default), set) in FLAGS.iter().zip(&sets) {
            let line = given(0).position(|((other, ..), _)| other == flag).map_or(0, |index| index + 1);
            let expected = match set {
                4.. => (
                    Some(values[2]),
                    if *flag == "data" { "the command line".into() } else { format!("--{flag}") },
                ),
                2.. => (Some(values[1]), variable(flag)),
                1 => (Some(values[0]), format!("run.toml line {line}")),
                _ => (*default, "default".to_owned()),
            };
            let found = ran.out.lines().find_map(|line| line.strip_prefix(&format!("{flag} = ")));
            let found =
                found.and_then(|line| line.split_once("  # ")).map(|(value, from)| (value.trim(), from));
            match (flag, expected) {
                // The default depends on the optimizer.
                (&"lr", (_, from)) if *set == 0 => assert_eq!(found.unwrap().1, from),
                (&"optimizer", (None, from)) => assert_eq!(found, Some(("\"sgd\"", from.as_str()))),
                (_, (value, from)) => assert_eq!(found, value.map(|value| (value, from.as_str())), "{flag}"),
            }
        }
    }
}

#[test]
fn a_printed_config_reproduces_itself() {
    let dir = TestDir::new();
    dir.write("own.toml", "batch_size = 9\nhidden = [30, 20]\n");
    for arguments in [
        "",
        "my.csv --test other.csv --label-column -1 --header absent --weight-column w --init x --noise-scale",
        "--config own.toml --max-steps 7 --optimizer adamw --quiet -o out --test-split 0.25",
        "--like keras --momentum 0.9 --l2 1e-4 --seed 9223372036854775807 --lr 1e-300",
        "--like scikit-learn --optimizer adam --timeout 1e9",
    ] {
        let printed = dir.good(&format!("train --print-config {arguments}"));
        dir.write("printed.toml", &printed);
        let again = dir.good("train --print-config --config printed.toml");
        let values = |text: &str| text.parse::<Table>().unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(values(&printed), values(&again), "{arguments}");
    }
    let left: Vec<_> =
        dir.listing().into_iter().map(|(path, _)| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(left, ["own.toml", "printed.toml"], "nothing was trained");
}

#[test]
fn the_flags_set_by_like_are_printed_with_their_origins() {
    let dir = TestDir::new();
    let printed = dir.good("train --print-config --like keras --momentum 0.9 --l2 1e-4");
    for line in [
        "l2 = 0.0002 # --l2, as in keras",
        "momentum-form = \"caffe\" # --like keras",
        "momentum = 0.9 # --momentum",
        "batch-size = 32 # --like keras",
        "epochs = 10 # default",
    ] {
        let plain = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(printed.lines().any(|found| plain(found) == line), "no {line} in {printed}");
    }
    dir.write("like.toml", "like = \"keras\"\n");
    let printed = dir.good("train --print-config --config like.toml");
    assert!(
        printed.contains("# like keras, like.toml line 1\n") && !printed.contains("\nlike ="),
        "{printed}"
    );
}

#[test]
fn of_two_mutually_exclusive_flags_the_one_from_the_higher_source_is_used() {
    let dir = TestDir::new();
    dir.write("run.toml", "epochs = 3\ntest = \"other.csv\"\n");
    let printed = |arguments: &str, variables: &[(&str, &str)]| {
        let mut command = dir.command(&format!("train --print-config --config run.toml {arguments}"));
        let ran: ProgramOutput = command.envs(variables.iter().copied()).output().unwrap().into();
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.out.parse::<Table>().unwrap()
    };
    for (arguments, variables, has, lacks) in [
        ("", &[("PHALANX_MAX_STEPS", "7")][..], "max-steps", "epochs"),
        ("--epochs 2", &[("PHALANX_MAX_STEPS", "7")], "epochs", "max-steps"),
        ("--max-steps 2", &[("PHALANX_EPOCHS", "7")], "max-steps", "epochs"),
        ("", &[("PHALANX_TEST_SPLIT", "0.5")], "test-split", "test"),
        ("--test x.csv", &[("PHALANX_TEST_SPLIT", "0.5")], "test", "test-split"),
    ] {
        let found = printed(arguments, variables);
        assert!(found.contains_key(has) && !found.contains_key(lacks), "{arguments} {variables:?}: {found}");
    }
}

#[test]
fn a_resumed_run_prints_its_effective_flags() {
    let dir = TestDir::new();
    dir.good("train --epochs 1 --lr 0.05 -o run");
    let printed = dir.good("train --print-config --resume run -t 3");
    for (start, end) in [
        ("lr = 0.05 ", "# the resumed run"),
        ("epochs = 1 ", "# the resumed run"),
        ("threads = 3 ", "# --threads"),
        ("resume = \"run\"", "# --resume"),
    ] {
        let found = printed.lines().find(|line| line.starts_with(start));
        assert!(found.is_some_and(|line| line.ends_with(end)), "{start} {end}: {printed}");
    }
    // A variable counts as a flag: the recorded value is not a change, another value is.
    let resumed = |lr: &str| -> ProgramOutput {
        dir.command("train --resume run --epochs 2 --allow-changed epochs --quiet")
            .env("PHALANX_LR", lr)
            .output()
            .unwrap()
            .into()
    };
    assert_eq!(resumed("0.05").code, Some(0));
    let ran = resumed("0.5");
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("--lr is 0.5 (PHALANX_LR), was 0.05"), "{}", ran.err);
}

#[test]
fn all_commands_with_the_flags_of_train_read_its_variables() {
    let dir = TestDir::new();
    let with = |arguments: &str, variable: &str, value: &str| -> ProgramOutput {
        dir.command(arguments).env(variable, value).output().unwrap().into()
    };
    let converted = with("convert --to sum --lr 0.64", "PHALANX_BATCH_SIZE", "32");
    assert!(converted.out.contains("--lr 0.02"), "{converted:?}");
    for command in ["train", "sweep", "convert --to sum", "bench scaling"] {
        let ran = with(command, "PHALANX_BATCH_SIZE", "many");
        assert_eq!(ran.code, Some(2), "{command}: {ran:?}");
        assert!(
            ran.err.starts_with("error: PHALANX_BATCH_SIZE is 'many': expected a whole number"),
            "{}",
            ran.err
        );
        let ran = with(command, "PHALANX_BATCHSIZE", "8");
        assert_eq!(ran.code, Some(2), "{command}: {ran:?}");
        assert!(ran.err.contains("did you mean PHALANX_BATCH_SIZE?"), "{}", ran.err);
    }
    for command in ["sweep", "convert", "bench scaling"] {
        let ran = dir.run(&format!("{command} --print-config"));
        assert_eq!(ran.code, Some(2), "{command}: {ran:?}");
    }
    assert_eq!(dir.listing(), vec![]);
}
