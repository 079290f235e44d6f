//! Messages of the program about data whose format it had to guess, and about data that has
//! changed.

use std::process::{Command, Stdio};

use crate::tally::Tally;
use crate::test_dir::{ProgramOutput, TestDir, idx, npy, table};

const NAMED: &str = "a,b,kind\n1,10,x\n2,20,y\n3,5,x\n4,50,y\n";

/// Returns a directory with a model of the columns `a` and `b`.
fn trained() -> TestDir {
    let dir = TestDir::new();
    dir.write("named.csv", NAMED);
    dir.good("train named.csv --hidden 4 --standardize --epochs 5 --quiet -o run");
    dir
}

#[test]
fn columns_in_another_order_give_the_same_predictions_and_scores() {
    let dir = trained();
    dir.write("swapped.csv", "kind,b,id,a\nx,10,7,1\ny,20,8,2\nx,5,9,3\ny,50,10,4\n");
    assert_eq!(dir.good("predict run swapped.csv"), dir.good("predict run named.csv"));
    let score = |name: &str| dir.good(&format!("eval run {name}")).replace(name, "");
    assert_eq!(score("swapped.csv"), score("named.csv"));
    let ran = dir.run("predict run swapped.csv");
    assert!(ran.err.contains("ignored column \"id\""), "{ran:?}");
    dir.write("plain.csv", "1,10\n2,20\n");
    let ran = dir.run("predict run plain.csv");
    assert!(ran.code == Some(0) && ran.err.contains("plain.csv: no column names"), "{ran:?}");
    dir.write("lacking.csv", "a,c\n1,10\n");
    let ran = dir.run("predict run lacking.csv");
    assert!(ran.code == Some(1) && ran.err.contains("lacks \"b\", which the model needs"), "{ran:?}");
    dir.write("doubtful.csv", "1,ten,x\n2,20,y\n");
    let ran = dir.run("eval run doubtful.csv");
    assert!(ran.code == Some(1) && ran.err.contains("--header present"), "{ran:?}");
    let ran = dir.run("eval run doubtful.csv --header absent");
    assert!(ran.err.contains("\"ten\" in line 1, column 1"), "{ran:?}");
}

#[test]
fn test_samples_are_matched_by_the_column_names_of_the_training_samples() {
    let dir = trained();
    dir.write("test.csv", "b,kind,a\n10,x,1\n20,y,2\n");
    dir.good("train named.csv --test test.csv --hidden 4 --standardize --epochs 5 --quiet -o tested");
    let hash = |run: &str| dir.json(&format!("{run}/results.json"))["params_sha256"].clone();
    assert_eq!(hash("tested"), hash("run"));
    dir.write("same.csv", "a,b,kind\n1,10,x\n2,20,y\n");
    let loss = |test: &str| dir.good(&format!("eval tested {test}")).lines().nth(2).map(str::to_owned);
    assert_eq!(loss("test.csv"), loss("same.csv"));
}

#[test]
fn data_that_has_changed_since_the_run_is_reported_as_changed() {
    let dir = trained();
    assert!(dir.good("eval run").contains("training samples of named.csv\n"));
    dir.write("named.csv", format!("{NAMED}5,1,x\n"));
    let ran = dir.run("eval run");
    assert!(
        ran.out.contains("changed since the run") && ran.err.contains("5 samples instead of 4"),
        "{ran:?}"
    );
    dir.write("named.csv", NAMED.replace("50", "60"));
    let ran = dir.run("eval run");
    assert!(ran.out.contains("changed since the run") && ran.err.contains("has other values"), "{ran:?}");
    dir.write("named.csv", "kind,b,a\nx,10,1\ny,20,2\nx,5,3\ny,50,4\n");
    assert!(
        dir.good("eval run").contains("training samples of named.csv\n"),
        "another order of the same columns"
    );
}

#[test]
fn labels_are_predicted_as_they_were_written() {
    let dir = TestDir::new();
    dir.write("zip.csv", "1,02139\n2,90210\n1.5,02139\n2.5,90210\n");
    dir.good("train zip.csv --hidden 4 --epochs 1 --quiet -o run");
    assert_eq!(dir.json("run/results.json")["params"], 4 + 4 + 8 + 2, "two outputs");
    let predicted = dir.good("predict run zip.csv");
    assert!(
        predicted.lines().skip(1).all(|line| line.contains(",02139,") || line.contains(",90210,")),
        "{predicted}"
    );
}

#[test]
fn guesses_about_the_data_are_printed_before_a_run_by_inspect_and_on_the_page() {
    let dir = TestDir::new();
    dir.write("flowers.csv", format!(",w,h,kind\n{}", numbered(12)));
    let summary = ["label", "\"kind\", the last column", "\"w\", \"h\"", "rose: 6", "named in line 1"];
    let ran = dir.run("train flowers.csv --hidden 4 --epochs 1 -o run");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("column 0, which has no name in line 1, is ignored"), "{ran:?}");
    let inspected = dir.run("inspect flowers.csv");
    assert!(inspected.err.contains("column 0, which has no name"), "{inspected:?}");
    dir.good("report run");
    let page = dir.read("run/report.html").replace("&quot;", "\"");
    for text in summary {
        assert!(ran.err.contains(text), "{text}: {}", ran.err);
        assert!(inspected.out.contains(text), "{text}: {}", inspected.out);
        assert!(page.contains(text), "{text}");
    }
    assert!(page.contains("which has no name in line 1, is ignored"));
    dir.write("law.csv", table(40, |a, b| format!("{:.3}", a + b)));
    assert!(dir.good("inspect law.csv").contains("1 value to predict"));
    assert!(dir.good("inspect digits").contains("test samples"));
    assert!(dir.good("inspect run").contains("params sha256"));
    let ran = dir.run("inspect run/report.html");
    assert!(ran.code == Some(1) && ran.err.contains("--input-format"), "{ran:?}");
}

fn numbered(count: usize) -> String {
    let row = |n: usize| format!("{n},{}.5,{},{}\n", n * 7 % 5, n * 3 % 4, ["rose", "iris"][n % 2]);
    (0..count).map(row).collect()
}

/// Images of IDX are scaled, arrays of bytes are not.
#[test]
fn features_scaled_differently_than_in_training_give_a_warning() {
    let dir = TestDir::new();
    let pixels = [0, 255, 9, 100, 200, 3, 40, 50];
    dir.write("images/train-images-idx3-ubyte", idx(&[2, 2, 2], &pixels));
    dir.write("images/train-labels-idx1-ubyte", idx(&[2], &[0, 1]));
    dir.write("x.npy", npy("|u1", "2, 4", &pixels));
    let ran = dir.run("train images --hidden none --epochs 1 -o run");
    assert!(ran.code == Some(0) && ran.err.contains("pixel / 255"), "{ran:?}");
    assert!(dir.good("inspect images").contains("pixel / 255"));
    let ran = dir.run("predict run x.npy");
    assert!(
        ran.err.contains("used as stored, but the model was trained on features as pixel / 255"),
        "{ran:?}"
    );
    assert!(!dir.run("predict run images").err.contains("the model was trained on"));
}

#[test]
fn data_without_a_known_extension_is_read_in_the_given_format() {
    let dir = TestDir::new();
    dir.write("a9a", "+1 1:1 3:1\n-1 2:1\n+1 1:1\n-1 2:1 3:1\n");
    let ran = dir.run("train a9a --epochs 1 -o run");
    assert!(ran.code == Some(1) && ran.err.contains("--input-format csv|npy|libsvm"), "{ran:?}");
    dir.good("train a9a --input-format libsvm --test a9a --epochs 1 --quiet -o run");
    assert!(dir.good("predict run a9a --input-format libsvm").contains(",+1,"));
}

/// Runs the program on the endless output of a shell command, with memory for a small part of it.
fn endless(dir: &TestDir, stream: &str, arguments: &str) -> ProgramOutput {
    let program = dir.command(arguments);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -v 400000; {stream} | \"$@\""), "sh"]);
    shell.arg(program.get_program()).args(program.get_args()).current_dir(dir.path(""));
    shell.stdin(Stdio::null()).stderr(Stdio::piped()).output().unwrap().into()
}

#[test]
fn an_endless_stream_takes_bounded_memory_and_ends_at_its_first_fault() {
    let dir = trained();
    let cases = [
        ("cat /dev/zero", "predict run -", "binary data"),
        ("yes", "predict run -", "1 column in stdin"),
        ("yes 1,5,3,4", "predict run -", "4 columns in stdin"),
        ("yes 1,oops", "predict run - --header absent", "\"oops\" in line 1"),
        ("{ echo a,b; yes 1,oops; }", "predict run -", "\"oops\" in line 2"),
        ("yes 1, | tr -d '\\n'", "predict run -", "more than 262144 columns"),
        ("yes 12345678 | tr -d '\\n'", "predict run -", "more than 4194304 bytes"),
        ("yes '\"1,2'", "predict run - --header absent", "text after a closing quote"),
        ("yes 1:1 1:1", "predict run - --input-format libsvm", "index 1 twice"),
        ("yes 1:1 | tr '\\n' ' '", "predict run - --input-format libsvm", "more than 67108864 bytes"),
        ("yes '#' | tr -d '\\n'", "predict run - --input-format libsvm", "more than 67108864 bytes"),
        ("cat /dev/zero", "predict run - --input-format npy", "magic"),
        ("yes", "train - --input-format csv --epochs 1", "1 column in line 1"),
        ("cat /dev/zero", "train /dev/stdin --input-format libsvm --epochs 1", "binary data"),
        ("cat /dev/zero | gzip", "predict run -", "more than 4194304 bytes"),
    ];
    let mut tally = Tally::new(
        "E6",
        "endless streams, with memory for a part of them: one line of error at the first fault",
    );
    for (stream, arguments, part) in cases {
        let ran = endless(&dir, stream, arguments);
        let lines = ran.err.lines().filter(|line| line.starts_with("error:")).count();
        let is_good = ran.code == Some(1) && lines == 1 && ran.err.contains(part);
        if !is_good {
            println!("{stream} | {arguments}: {ran:?}");
        }
        tally.case(is_good, || format!("{stream} | {arguments}: {ran:?}"));
    }
    tally.end();
}
