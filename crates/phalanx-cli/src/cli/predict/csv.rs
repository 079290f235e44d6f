//! Predictions as comma-separated values.

use std::io::{self, Write};

use super::answers::{Answers, likeliest};

/// Writes a header, and a line a sample.
pub(super) fn write(answers: &Answers<'_>, all: bool, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", header(answers, all).join(","))?;
    answers.rows().enumerate().try_for_each(|(sample, row)| {
        write!(out, "{sample}")?;
        let numbers = match answers.names() {
            None => &row[..],
            Some(names) => {
                let (name, probability) = likeliest(names, &row);
                write!(out, ",{},{probability}", quoted(&name))?;
                if all { &row[..names.len().min(row.len())] } else { &[] }
            }
        };
        numbers.iter().try_for_each(|number| write!(out, ",{number}"))?;
        writeln!(out)
    })
}

fn header(answers: &Answers<'_>, all: bool) -> Vec<String> {
    let mut names = vec!["sample".to_owned()];
    match (answers.names(), answers.width()) {
        (Some(classes), _) => {
            names.extend(["class".to_owned(), "probability".to_owned()]);
            if all {
                names.extend(classes.iter().map(|name| quoted(&format!("p({name})"))));
            }
        }
        (None, 1) => names.push("value".to_owned()),
        (None, width) => names.extend((0..width).map(|k| format!("value_{k}"))),
    }
    names
}

/// Text as a field (RFC 4180).
fn quoted(text: &str) -> String {
    let special = |c| matches!(c, ',' | '"' | '\n' | '\r');
    if text.contains(special) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
