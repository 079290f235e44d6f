//! Tables that could be misread: each is read correctly or rejected with one sentence, no sample is
//! lost or added, and every decision of the reader is reported.

use std::fs;

use crate::tally::Tally;
use phalanx::data::{Column, Dataset, HeaderRow, InputFormat, LoadOptions, Source, TargetKind, Targets};

/// The expected result of reading a table.
enum Expected {
    /// Samples, features, the names of the classes, and a part of each remark.
    Classes(usize, usize, &'static [&'static str], &'static [&'static str]),
    /// The values to predict.
    Values(&'static [f32]),
    /// Parts of the error message.
    Rejected(&'static [&'static str]),
}
use Expected::{Classes, Rejected, Values};

struct Case {
    text: Vec<u8>,
    options: LoadOptions,
    expected: Expected,
    /// A part of the only remark, for values.
    remark: Option<&'static str>,
}

fn case(text: impl Into<Vec<u8>>, expected: Expected) -> Case {
    Case { text: text.into(), options: LoadOptions::default(), expected, remark: None }
}

impl Case {
    fn header(mut self, header: HeaderRow) -> Self {
        self.options.header = header;
        self
    }

    fn remark(mut self, part: &'static str) -> Self {
        self.remark = Some(part);
        self
    }

    fn target(mut self, target: TargetKind) -> Self {
        self.options.target = target;
        self
    }

    fn label(mut self, column: &str) -> Self {
        self.options.label_column = column.parse::<Column>().ok();
        self
    }
}

fn utf16(text: &str) -> Vec<u8> {
    [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

fn compressed(text: &str) -> Vec<u8> {
    crate::bad_source::gz(text.as_bytes())
}

/// Returns rows of two numbers, with the labels in turn.
fn rows(count: usize, labels: &[&str]) -> String {
    (0..count)
        .map(|row| format!("{},{}.5,{}\n", row * 7 % 5, row * 3 % 4, labels[row % labels.len()]))
        .collect()
}

const PRESENT: &str = "--header present";
const ABSENT: &str = "--header absent";
const MSE: &str = "--loss mse";
const CROSS_ENTROPY: &str = "--loss cross-entropy";

fn corpus() -> Vec<Case> {
    use HeaderRow::{Absent, Present};
    let mut cases = vec![
        // The first line.
        case("?,3,a\n1,4,b\n5,6,a\n", Rejected(&["\"?\" in line 1, column 0", "missing value"])),
        case("NA,3,a\n1,4,b\n", Rejected(&["\"NA\" in line 1, column 0", "missing value"])),
        case("1,null,a\n1,4,b\n", Rejected(&["\"null\" in line 1, column 1", "missing value"])),
        case("None,3,a\n1,4,b\n", Rejected(&["\"None\" in line 1, column 0", "missing value"])),
        case(",3,a\n1,4,b\n", Rejected(&["an empty field in line 1, column 0", "missing value"])),
        case("True,3,a\n1,4,b\n", Rejected(&["\"True\" in line 1, column 0", "0 for false"])),
        case("\"1,234\",3,a\n1,4,b\n", Rejected(&["\"1,234\" in line 1, column 0", "a plain number"])),
        case("$5,3,a\n1,4,b\n", Rejected(&["\"$5\" in line 1, column 0", "a plain number"])),
        case("5%,3,a\n1,4,b\n", Rejected(&["\"5%\" in line 1, column 0", "a plain number"])),
        case("NA,None,a\n1,4,b\n", Rejected(&["line 1", "no numbers", PRESENT, ABSENT])),
        case("True,False,a\n1,4,b\n", Rejected(&["line 1", "no numbers", PRESENT, ABSENT])),
        case("5.1,oops,a\n1,4,b\n", Rejected(&["line 1", "the word \"oops\", but also \"5.1\"", PRESENT])),
        case("id,2019,y\n1,4,b\n2,5,c\n", Rejected(&["the word \"id\", but also \"2019\"", ABSENT])),
        case("US,NA,y\n1,4,b\n2,5,c\n", Rejected(&["the word \"US\", but also \"NA\"", PRESENT])),
        case(
            "0,1,2,species\n5.1,3.5,1.4,setosa\n7,3.2,4.7,versicolor\n",
            Rejected(&["pandas", PRESENT, ABSENT]),
        ),
        case("0,1,2,3\n5.1,3.5,1.4,0\n7,3.2,4.7,1\n", Rejected(&["pandas", PRESENT, ABSENT])),
        case("1,2,3\n5.1,3.5,0\n7,3.2,1\n", Rejected(&["pandas", PRESENT])),
        case("0,1,kind\n5.1,3.5,rose\n7,3.2,iris\n", Rejected(&["pandas", PRESENT])),
        case("2019,2020,2021\n5,3,0\n7,3,1\n", Rejected(&["years", PRESENT, ABSENT])),
        case("2010,2015,kind\n5,3,a\n7,3,b\n", Rejected(&["years", PRESENT])),
        case("2021,2020,2019,3\n5,3,0,1\n7,3,1,2\n", Classes(3, 3, &["1", "2", "3"], &[])),
        case(
            "10,30,50,species\n1,2,3,a\n4,5,6,b\n1,2,3,a\n4,5,6,b\n",
            Rejected(&["a word that no other line has", PRESENT, ABSENT]),
        ),
        case(
            "0,1,2,species\n5.1,3.5,1.4,setosa\n7,3.2,4.7,versicolor\n",
            Classes(2, 3, &["setosa", "versicolor"], &[]),
        )
        .header(Present),
        case("0,1,2,species\n5.1,3.5,1.4,setosa\n", Classes(2, 3, &["setosa", "species"], &[]))
            .header(Absent),
        case("0,1,2,species\n5.1,3.5,1.4,a\n7,3.2,4.7,b\n", Classes(2, 3, &["a", "b"], &[])).label("species"),
        case("w,h,kind\n1,2,a\n3,4,b\n", Classes(2, 2, &["a", "b"], &[])),
        case("5.1,3.5,a\n1,4,b\n", Classes(2, 2, &["a", "b"], &[])),
        case("0,2,1\n1,4,0\n", Classes(2, 2, &["0", "1"], &[])),
        case("\u{feff}w,h,kind\n1,2,a\n3,4,b\n", Classes(2, 2, &["a", "b"], &[])),
        case("\n\nw,h,kind\r\n1,2,a\r\n\r\n3,4,b\r\n", Classes(2, 2, &["a", "b"], &[])),
        case(" w , h , kind \n 1 , 2 , a \n 3 , 4 , b \n", Classes(2, 2, &["a", "b"], &[])),
        case("\"w\",\"h,i\",\"kind\"\n1,2,\"a\"\n3,4,\"b\"\n", Classes(2, 2, &["a", "b"], &[])),
        // Names and columns.
        case(",w,h,kind\n0,1,2,a\n1,3,4,b\n", Classes(2, 2, &["a", "b"], &["column 0, which has no name"])),
        case("w,h,kind,\n1,2,a,\n3,4,b,\n", Classes(2, 2, &["a", "b"], &["column 3, which has no name"])),
        case(",0,1,2\n0,5.5,3,1\n1,6,3,0\n", Rejected(&["pandas", PRESENT])),
        case("1,2,a,\n3,4,b,\n", Rejected(&["the label in line 1, column 3", "ends with a comma"])),
        case("w,w,kind\n1,2,a\n3,4,b\n", Rejected(&["columns 0 and 1", "both named \"w\"", "rename"])),
        case("w,kind,kind\n1,2,a\n", Rejected(&["columns 1 and 2", "both named \"kind\""])).label("kind"),
        case(
            "label,p0,p1\n0,1,0\n1,2,1\n0,2,0\n",
            Classes(3, 2, &["0", "1"], &["the label is \"p1\", the last column, and \"label\" is a feature"]),
        ),
        case("label,p0,p1\n0,1,0\n1,2,0\n", Rejected(&["the only label", "column \"p1\"", "--label-column"])),
        case("label,p0,p1\n0,1,0\n1,2,0\n", Classes(2, 2, &["0", "1"], &[])).label("label"),
        case(
            "id,w,kind\n0,5,a\n1,3,b\n2,9,a\n3,4,b\n4,4,b\n",
            Classes(5, 2, &["a", "b"], &["feature \"id\" numbers the samples (0, 1, 2, ...)"]),
        ),
        case(
            "1,5,a\n2,3,b\n3,9,a\n4,4,b\n5,4,b\n",
            Classes(5, 2, &["a", "b"], &["feature 0 numbers the samples (1, 2, 3, ...)"]),
        ),
        case(
            "age, work, income\n39, State-gov, <=50K\n",
            Rejected(&["\"State-gov\" in line 2, column \"work\""]),
        ),
        // Separators and encodings.
        case(
            "\"acid\";\"alcohol\";\"quality\"\n7.4;9.4;5\n",
            Rejected(&["line 1", "separated by semicolons"]),
        ),
        case("7,4;9,4;5\n7,8;9,8;6\n", Rejected(&["line 1", "separated by semicolons"])),
        case("w\th\tkind\n1\t2\ta\n", Rejected(&["separated by tabs"])),
        case("1|2|a\n", Rejected(&["separated by vertical bars"])),
        case("1 2 a\n", Rejected(&["1 column in line 1", "separated by commas"])),
        case(utf16("w,h,kind\n1,2,a\n"), Rejected(&["UTF-16", "save it as UTF-8"])),
        case(&utf16("w,h,kind\n1,2,a\n")[2..], Rejected(&["UTF-16", "save it as UTF-8"])),
        case(compressed("w,h,kind\n1,2,a\n3,4,b\n"), Classes(2, 2, &["a", "b"], &[])),
        case(b"PK\x03\x04rest".to_vec(), Rejected(&["a zip archive", "CSV"])),
        case("<!DOCTYPE html>\n<p>404</p>\n", Rejected(&["a web page"])),
        case(b"w,h,kind\n1,2,caf\xe9\n".to_vec(), Rejected(&["line 2", "not UTF-8"])),
        // Labels.
        case("x,price\n1,\"250,000\"\n2,\"410,000\"\n", Rejected(&["\"250,000\"", MSE, CROSS_ENTROPY])),
        case("1,\"2,5\"\n2,\"3,5\"\n", Rejected(&["\"2,5\"", MSE])),
        case("1,$3.5\n2,$4\n", Rejected(&["\"$3.5\"", MSE])),
        case("1,12%\n2,9%\n", Rejected(&["\"12%\"", MSE])),
        case("1,a\n2,NA\n", Rejected(&["\"NA\" in row 2", CROSS_ENTROPY])),
        case("1,12%\n2,9%\n", Classes(2, 1, &["12%", "9%"], &[])).target(TargetKind::Classes),
        case(
            "1,-9007199254740992\n2,-9007199254740993\n",
            Classes(2, 1, &["-9007199254740993", "-9007199254740992"], &[]),
        ),
        case("1,90210\n2,10001\n3,90210\n", Classes(3, 1, &["10001", "90210"], &[])),
        case("1,0123\n2,123\n", Classes(2, 1, &["0123", "123"], &[])),
        case("4,1\n2,3\n3,2\n", Classes(3, 1, &["1", "2", "3"], &[])),
        case(
            "4,0\n2,1\n3,1.5\n2,0\n2,1\n3,0\n",
            Rejected(&["3 distinct numbers", "1.5 in row 3 has a fraction", MSE, CROSS_ENTROPY]),
        ),
        case("4,0\n2,1\n3,1.5\n", Values(&[0.0, 1.0, 1.5])),
        case("4,0\n2,1\n3,1\n", Values(&[0.0, 1.0, 1.0])).target(TargetKind::Values),
        case("4,a\n2,a\n", Rejected(&["the only label", "at least two classes"])),
        case(
            "a,b,\n1,2,x\n2,3,z\n",
            Rejected(&["the last column", "(column 2) has no name", "\"x\" in line 2", "--label-column"]),
        ),
        case("x,t\n1,1700000000.5\n2,1700000001.5\n", Values(&[1.7e9, 1.7e9]))
            .remark("1700000000.5 in the labels"),
        // Quotes, blank lines, large numbers.
        case("a,b,c\n1.5,2,x\n2.5,3,\"y\n3.5,4,x\n", Rejected(&["an unclosed quote in line 3"])),
        case("a,b,c\n1.5,2,x\n2.5,3,\"y\n3.5,4,x\"z\n", Rejected(&["text after a closing quote in line 3"])),
        case("a,b,c\n1.5,2,5\" pipe\n", Rejected(&["a quote within an unquoted field in line 2"])),
        case("1,2,\"x\ny\"\n3,4,\"a \"\"b\"\"\"\n", Classes(2, 2, &["a \"b\"", "x\ny"], &[])),
        case("sep=,\na,b\n1,2.5\n", Rejected(&["an Excel line", "remove that line"])),
        case(b"f\xe4,y\n1,a\n2,b\n".to_vec(), Rejected(&["line 1", "not UTF-8"])),
        case(
            "400.5,410.5,label\n1,2,0\n3,4,1\n0,1,0\n",
            Rejected(&["a word that no other line has", PRESENT]),
        ),
        case("a,y\n5,1700000001\n6,1700000002.5\n", Values(&[1.7e9, 1.7e9]))
            .remark("1700000001 in the labels"),
        case(
            "id,b,y\n100000001,1,u\n100000002,1,v\n",
            Classes(2, 2, &["u", "v"], &["100000001 in column \"id\" is rounded in f32"]),
        ),
        case(
            "a,y\n1,1000\n2,1e3\n3,2\n",
            Classes(3, 1, &["2", "1000"], &["\"1000\" and \"1e3\" are the same number"]),
        ),
        case("5,3\n6,5\n", Classes(2, 1, &["3", "5"], &[])),
        case("2,0,1\n9.5,1,2.25\n", Rejected(&["position 2", "named 2, at position 0", "-1"]))
            .header(Present)
            .label("2"),
        case(
            "9223372036854775807,5,1\n3,4,2\n",
            Classes(2, 2, &["1", "2"], &["9223372036854775807 in column 0"]),
        ),
        case("4,1.5\n2,low\n", Rejected(&["\"low\" and 1.5 conflict in row 2"])),
    ];
    let texts: Vec<String> = (0..60).map(|n| format!("{}", 100_000 + n * 500)).collect();
    let prices: Vec<&str> = texts.iter().map(String::as_str).collect();
    cases.push(case(rows(60, &prices), Rejected(&["60 distinct labels", "60 samples", MSE, CROSS_ENTROPY])));
    let remark = &[
        "30 distinct whole numbers from 100000 to 114500, treated as classes; if they are numbers to predict, pass --loss mse",
    ];
    cases.push(case(rows(60, &prices[..30]), Classes(60, 2, &[], remark)));
    cases.push(case(rows(40, &["a", "b"]) + "1,2,?\n", Rejected(&["\"?\" in row 41"])));
    cases
}

/// Reads a table as a training run does.
fn load(case: &Case) -> Result<Dataset, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    fs::write(&path, &case.text).unwrap();
    let source = Source::in_format(&path.display().to_string(), InputFormat::Csv);
    let data = source.load(&case.options).map(|loaded| loaded.train);
    data.and_then(|data| data.check_classes("a.csv").map(|()| data)).map_err(|error| error.to_string())
}

/// Returns the error in how a table was read, if any.
fn fault(case: &Case) -> Option<String> {
    let has_all = |text: &str, parts: &[&str]| parts.iter().all(|part| text.contains(part));
    let data = match (load(case), &case.expected) {
        (Err(error), Rejected(parts)) if has_all(&error, parts) && !error.contains('\n') => return None,
        (Err(error), _) => return Some(error),
        (Ok(data), Rejected(_)) => return Some(format!("{} samples were read", data.len())),
        (Ok(data), _) => data,
    };
    let remarks: Vec<String> = data.remarks().collect();
    match (&case.expected, data.targets()) {
        (Values(expected), Targets::Values { values, .. })
            if values == expected
                && remarks.len() == usize::from(case.remark.is_some())
                && case.remark.is_none_or(|part| remarks[0].contains(part)) =>
        {
            None
        }
        (Classes(samples, features, names, parts), Targets::Classes { .. }) => {
            let found = data.classes().map(phalanx::data::Classes::names).unwrap_or_default();
            let is_right = (data.len(), data.features()) == (*samples, *features)
                && (names.is_empty() || found == *names)
                && remarks.len() == parts.len()
                && remarks.iter().zip(*parts).all(|(remark, part)| remark.contains(part));
            (!is_right).then(|| {
                format!("{} samples, {} features, {found:?}, {remarks:?}", data.len(), data.features())
            })
        }
        (_, targets) => Some(format!("{targets:?}, {remarks:?}")),
    }
}

#[test]
fn a_table_that_could_be_misread_is_read_correctly_or_rejected_and_every_guess_is_reported() {
    let mut tally =
        Tally::new("E5", "tables that could be misread: read correctly or rejected, every guess reported");
    for case in corpus() {
        let fault = fault(&case);
        if let Some(fault) = &fault {
            println!("{:?}: {fault}", String::from_utf8_lossy(&case.text));
        }
        tally.case(fault.is_none(), || String::from_utf8_lossy(&case.text).into_owned());
    }
    tally.end();
}

/// The columns of a training table, and tables with other names or another order.
#[test]
fn later_tables_are_matched_by_column_name_or_by_position_with_a_remark() {
    let train = load(&case("a,b,kind\n1,10,x\n2,20,y\n", Classes(2, 2, &[], &[]))).unwrap();
    let later = |text: &str, target, header| {
        let mut case = case(text, Classes(0, 0, &[], &[]));
        case.options = LoadOptions {
            columns: train.columns().cloned(),
            classes: train.classes().cloned(),
            features: Some(2),
            target,
            header,
            ..LoadOptions::default()
        };
        load(&case).map(|data| {
            let remarks: Vec<String> = data.remarks().collect();
            ((0..data.len()).map(|sample| data.features_of(sample)).collect::<Vec<_>>(), remarks.join("; "))
        })
    };
    let predict = |text| later(text, TargetKind::None, HeaderRow::Auto);
    let right = vec![vec![1.0, 10.0], vec![2.0, 20.0]];
    let by_name = [
        "a,b\n1,10\n2,20\n",
        "b,a\n10,1\n20,2\n",
        "kind,b,a\nx,10,1\ny,20,2\n",
        "b,a,kind\n10,1,x\n20,2,y\n",
        " b , a \n10,1\n20,2\n",
    ];
    for text in by_name {
        assert_eq!(predict(text), Ok((right.clone(), String::new())), "{text:?}");
    }
    for text in ["id,a,b\n7,1,10\n8,2,20\n", "a,id,b,kind\n1,7,10,x\n2,8,20,y\n"] {
        let (features, remarks) = predict(text).unwrap();
        assert_eq!(features, right, "{text:?}");
        assert!(remarks.contains("ignored column \"id\", which the model does not use"), "{remarks}");
    }
    for text in ["1,10\n2,20\n", "1,10,x\n2,20,y\n"] {
        let header = if text.contains('x') { HeaderRow::Absent } else { HeaderRow::Auto };
        let (features, remarks) = later(text, TargetKind::None, header).unwrap();
        assert_eq!(features, right, "{text:?}");
        assert!(remarks.contains("no column names; its"), "{remarks}");
        let label =
            if text.contains('x') { "training data, with column 2 as the label" } else { "training data" };
        assert!(remarks.ends_with(label), "{remarks}");
    }
    let error = |text| predict(text).unwrap_err();
    assert!(
        error("a,c\n1,10\n").contains("lacks \"b\", which the model needs; its columns are \"a\", \"c\"")
    );
    assert!(error("A,B\n1,10\n").contains("lacks \"a\", \"b\", which the model needs"));
    assert!(error("1,5,3,4\n").contains("4 columns in"));
    assert!(error("a,b,a\n1,10,1\n").contains("both named \"a\""));
    let scored = |text| later(text, TargetKind::Classes, HeaderRow::Auto);
    assert_eq!(scored("kind,b,a\nx,10,1\ny,20,2\n"), Ok((right.clone(), String::new())));
    assert!(scored("a,b\n1,10\n").unwrap_err().contains("lacks \"kind\", which the model needs"));
    assert!(scored("a,b,kind\n1,10,z\n").unwrap_err().contains("label z in row 1"));
    let present = later("1,10,x\n2,20,y\n", TargetKind::Classes, HeaderRow::Present).unwrap_err();
    assert!(present.contains("lacks \"a\", \"b\", which the model needs"), "no sample is lost: {present}");
}

/// Readers of other formats have no columns, so the position of the label in a table is a guess,
/// which is reported.
#[test]
fn the_column_used_as_the_label_is_reported_for_a_model_of_another_format() {
    let mut later = case("label,a,b\n1,5,6\n", Classes(0, 0, &[], &[]));
    later.options = LoadOptions { features: Some(2), target: TargetKind::None, ..LoadOptions::default() };
    let data = load(&later).unwrap();
    let remarks: Vec<String> = data.remarks().collect();
    assert!(remarks.iter().any(|remark| remark.contains("column \"b\" as the label")), "{remarks:?}");
    later.options.label_column = Some(Column::Name("label".to_string()));
    assert_eq!(load(&later).unwrap().features_of(0), [5.0, 6.0]);
}

#[test]
fn a_first_line_with_an_unknown_label_is_rejected_for_prediction_too() {
    let train = load(&case("400,402,class\n1,5,x\n2,3,y\n", Classes(0, 0, &[], &[])).label("class")).unwrap();
    let later = |text: &str, label: Option<&str>| {
        let mut case = case(text, Classes(0, 0, &[], &[]));
        case.options = LoadOptions {
            columns: train.columns().cloned(),
            classes: train.classes().cloned(),
            target: TargetKind::None,
            label_column: label.map(|label| label.parse().unwrap()),
            ..LoadOptions::default()
        };
        load(&case).map(|data| data.len())
    };
    assert_eq!(later("400,402,class\n1,5,x\n", None), Ok(1));
    assert!(later("400.0,402.0,class\n1,5,x\n", None).unwrap_err().contains(PRESENT));
    assert_eq!(later("9,5,x\n1,5,x\n", None), Ok(2));
    for label in ["402", "-1", "1"] {
        assert!(
            later("class,400,402\nx,1,5\n", Some(label)).unwrap_err().contains("is a feature or the weight"),
            "{label}"
        );
    }
    assert!(later("400,402,class\n1,5,x\n", Some("nosuch")).unwrap_err().contains("no column \"nosuch\""));
}

#[test]
fn a_blank_line_in_a_table_of_one_column_is_a_missing_number() {
    let predict = |text: &str| {
        let mut case = case(text, Classes(0, 0, &[], &[]));
        case.options = LoadOptions { features: Some(1), target: TargetKind::None, ..LoadOptions::default() };
        load(&case).map(|data| data.len())
    };
    assert_eq!(predict("x\n1\n2\n\n\n"), Ok(2));
    assert_eq!(predict("x\r\n1\r\n2\r\n"), Ok(2));
    assert!(predict("x\n1\n\n3\n").unwrap_err().contains("an empty field in line 3"));
}

#[test]
fn a_model_without_column_names_reads_named_columns_by_position_with_a_remark() {
    let train = load(&case("5,10,x\n2,20,y\n", Classes(2, 2, &[], &[]))).unwrap();
    let mut indexed = case(",q,r\n0,5,10\n", Classes(0, 0, &[], &[]));
    indexed.options =
        LoadOptions { columns: train.columns().cloned(), target: TargetKind::None, ..LoadOptions::default() };
    assert_eq!(load(&indexed).unwrap().features_of(0), [5.0, 10.0]);
    let mut named = case("q,r\n5,10\n", Classes(0, 0, &[], &[]));
    named.options =
        LoadOptions { columns: train.columns().cloned(), target: TargetKind::None, ..LoadOptions::default() };
    let data = load(&named).unwrap();
    assert_eq!(data.features_of(0), [5.0, 10.0]);
    assert!(
        data.remarks().next().unwrap().contains("the model was trained without column names; its 2 columns")
    );
}
