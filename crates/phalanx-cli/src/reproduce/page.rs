//! The page of a reproduction: the verdict, the numbers, and the curves of both readings.

use maud::html;

use super::claims::{Claim, Test, Work};
use super::runner::commands;
use super::verdict::{ClaimFindings, SettingFinding};
use crate::figure::{Axis, Plot, PlotSeries, Scale, SeriesKind};
use crate::page::{document, plots, table};

/// Returns the page. `command` repeats the reproduction.
pub fn page(claim: &Claim, findings: &ClaimFindings, mnist: &str, command: &str) -> String {
    let rows: Vec<_> = findings.settings.iter().map(cells).collect();
    let about = [
        ("source", claim.source.to_owned()),
        ("claim", claim.says.to_owned()),
        ("convention", claim.convention.to_owned()),
        ("wrong reading", claim.mistake.to_owned()),
        ("test", test_text(claim.test)),
        ("remark", claim.remark.to_owned()),
    ];
    let about: Vec<_> =
        about.into_iter().filter(|row| !row.1.is_empty()).map(|row| vec![row.0.to_owned(), row.1]).collect();
    let no_head: &[&str] = &[];
    let body = html! {
        h1 { (claim.name) }
        div.answer { p { (findings.verdict) } }
        (table("names", "The claim", no_head, &about))
        h2 { (claim.measure.name()) }
        (table("wide", "Published and reproduced values", &HEAD, &rows))
        @if findings.settings.iter().any(|finding| finding.curves.iter().flatten().any(|curve| !curve.is_empty())) {
            h2 { "Test error by epoch" }
            (plots(findings.settings.iter().map(curves), None))
        }
        @if let Work::Trained { .. } = claim.work {
            h2 { "The commands" }
            @for setting in claim.settings {
                @if let Some(([right, wrong], remark)) = commands(claim, setting, mnist) {
                    p { (setting.name) ": " code { (right) } @if !remark.is_empty() { " (" (remark) ")" } }
                    p.quiet { "wrong reading: " code { (wrong) } }
                }
            }
        }
        p { "To repeat it: " code { (command) } }
    };
    document("phalanx reproduce", claim.name, &body)
}

/// The columns of the values.
pub const HEAD: [&str; 5] = ["setting", "published", "right reading", "wrong reading", "reproduced"];

/// Returns the cells of a setting under [`HEAD`].
pub fn cells(finding: &SettingFinding) -> Vec<String> {
    let published = finding.published.unwrap_or("-").to_owned();
    let reproduced = if finding.right_passes { "yes" } else { "no" };
    vec![
        finding.setting.to_owned(),
        published,
        finding.right.text(finding.published),
        finding.wrong.text(finding.published),
        reproduced.to_owned(),
    ]
}

/// Describes the test in a sentence.
fn test_text(test: Test) -> String {
    match test {
        Test::Published => {
            "the published value lies within the 95 % prediction interval of one more run".to_owned()
        }
        Test::SameFactor(factor) => format!("all settings agree to within a factor of {factor}"),
        Test::SameDifference(most) => format!("all settings agree to within {most}"),
        Test::Below(limit) => format!("at most {limit}"),
        Test::Within(factor) => format!("within a factor of {factor} of the published value"),
    }
}

/// Draws the errors of both readings: the mean over the seeds, and the range.
fn curves(finding: &SettingFinding) -> Plot {
    let x = Axis::new("epoch", Scale::Linear);
    let mut plot = Plot::new(finding.setting, x, Axis::new("test error, %, logarithmic", Scale::Log));
    for (colour, (name, curves)) in
        ["right reading", "wrong reading"].into_iter().zip(&finding.curves).enumerate()
    {
        let epochs = curves.iter().map(Vec::len).min().unwrap_or(0);
        let at = |epoch: usize| curves.iter().map(move |curve| curve[epoch]);
        let place = |epoch: usize| (epoch + 1) as f64;
        let low = (0..epochs).map(|epoch| (place(epoch), at(epoch).fold(f64::INFINITY, f64::min)));
        let high = (0..epochs).rev().map(|epoch| (place(epoch), at(epoch).fold(0.0, f64::max)));
        let mean = (0..epochs).map(|epoch| (place(epoch), at(epoch).sum::<f64>() / curves.len() as f64));
        let band = PlotSeries {
            name: String::new(),
            kind: SeriesKind::Band,
            colour,
            points: low.chain(high).collect(),
        };
        let line =
            PlotSeries { name: name.to_owned(), kind: SeriesKind::Curve, colour, points: mean.collect() };
        plot.series.extend([band, line]);
    }
    plot.caption.push("Mean over the seeds, and the range from the lowest to the highest.".to_owned());
    plot
}
