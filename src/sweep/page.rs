//! The report of a sweep: one HTML page that needs nothing else.

use std::fmt::Write;

use super::figures::{best_rate, losses, to_the_goal};
use super::{Findings, Sweep};
use crate::report::figure::{escaped, short_number};

const STYLE: &str = "
  :root { color-scheme: light dark; }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #24292f; background: #fff; }
  h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
  .answer { font-size: 1.05rem; border-left: 4px solid #0060a8; padding-left: 1rem; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
  th, td { padding: .2rem .8rem .2rem 0; text-align: right; } th:first-child, td:first-child { text-align: left; }
  thead th { border-bottom: 1px solid #8c959f; }
  .scroll { overflow-x: auto; } svg { max-width: 100%; height: auto; break-inside: avoid; }
  code { overflow-wrap: anywhere; } .quiet { color: #57606a; }
  @media screen and (prefers-color-scheme: dark) {
    body { color: #e6edf3; background: #0d1117; } .quiet { color: #9da7b3; } .answer { border-color: #58a6ff; }
  }
  @media print { body { max-width: none; margin: 0; } h2 { break-after: avoid; } }
";

/// Writes the page. `about` are names and values of what was swept, `command` is how to do it again.
pub fn page<M>(
    sweep: &Sweep<'_, M>,
    findings: &Findings,
    about: &[(String, String)],
    command: &str,
) -> String {
    let mut html = String::new();
    let reductions = &sweep.options().reductions;
    put(
        &mut html,
        format_args!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<title>Sum or mean: a sweep</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<h1>Sum or mean: does one divide by the batch size?</h1>\n<div class=\"answer\">\n"
        ),
    );
    for sentence in &findings.answer {
        put(&mut html, format_args!("<p>{}</p>\n", escaped(sentence)));
    }
    put(&mut html, format_args!("</div>\n<h2>The best rate in both conventions</h2>\n"));
    for &reduction in reductions {
        put(
            &mut html,
            format_args!("<div class=\"scroll\">{}</div>\n", best_rate(findings, reduction).svg()),
        );
    }
    put(&mut html, format_args!("<h2>Steps and samples to the goal</h2>\n"));
    for &reduction in reductions {
        put(
            &mut html,
            format_args!("<div class=\"scroll\">{}</div>\n", to_the_goal(findings, reduction).svg()),
        );
    }
    best_table(&mut html, findings);
    put(&mut html, format_args!("<h2>All runs</h2>\n"));
    for &reduction in reductions {
        put(&mut html, format_args!("<div class=\"scroll\">{}</div>\n", losses(findings, reduction).svg()));
    }
    put(&mut html, format_args!("<h2>What was run</h2>\n<table>\n"));
    for (name, value) in about {
        put(
            &mut html,
            format_args!(
                "<tr><td>{}</td><td style=\"text-align: left\">{}</td></tr>\n",
                escaped(name),
                escaped(value)
            ),
        );
    }
    put(&mut html, format_args!("</table>\n<p>Again: <code>{}</code></p>\n", escaped(command)));
    put(&mut html, format_args!("<p class=\"quiet\">{NOTES}</p>\n</body>\n</html>\n"));
    html
}

const NOTES: &str = "A rate is good if it takes few steps to the goal (Shallue et al. 2019, arXiv:1811.03600); between the rates \
tried the best is interpolated. The laws are those of McCandlish et al. 2018, arXiv:1812.06162, equations 2.6 and 2.11, fitted to \
logarithms by least squares; batch sizes whose best rate is the first or last tried are left out of the fits. Short last batches are \
left out of training, so that a rate under mean is exactly the same rate over B under sum. Each run is one thread's; the bits are \
those of any number.";

fn best_table(html: &mut String, findings: &Findings) {
    put(
        html,
        format_args!(
            "<table>\n<thead><tr><th>reduction</th><th>batch size</th><th>best rate under mean</th><th>under sum</th><th>steps</th>\
         <th>samples</th></tr></thead>\n<tbody>\n"
        ),
    );
    for best in &findings.best {
        let [mean, sum, steps, samples] =
            [best.rate_under_mean, best.rate_under_sum, best.steps, best.samples].map(short_number);
        let end = if best.at_end { " (end of those tried)" } else { "" };
        let (reduction, batch) = (best.cell.reduction, best.cell.batch_size);
        put(
            html,
            format_args!(
                "<tr><td>{reduction}</td><td>{batch}</td><td>{mean}{end}</td><td>{sum}</td><td>{steps}</td><td>{samples}</td></tr>\n"
            ),
        );
    }
    put(html, format_args!("</tbody>\n</table>\n"));
}

fn put(html: &mut String, text: std::fmt::Arguments<'_>) {
    html.write_fmt(text).expect("a string takes what is written to it");
}
