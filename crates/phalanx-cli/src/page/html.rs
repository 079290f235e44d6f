//! The skeleton and the elements of a page. Text is escaped by `maud`.

use maud::{DOCTYPE, Markup, PreEscaped, Render, html};

use crate::figure::{HeatMap, Plot, StackedColumns};

const STYLE: &str = include_str!("style.css");

/// Width at which plots are drawn. A phone shows them slightly smaller, with letters of 10 pixels,
/// and a wide screen shows them larger.
const WIDTH: f64 = 450.0;

/// Returns a page with this body: a single self-contained file, legible on light, dark and narrow
/// screens and on paper. `generator` names the program; [`is_made_by`] recognises the page by it.
pub fn document(generator: &str, title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="generator" content=(generator);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (body) } }
        }
    };
    // Names in files may contain control characters, which HTML does not allow.
    page.into_string().replace(|letter: char| letter.is_control() && letter != '\n', " ")
}

/// Returns whether the beginning of a page names this generator.
pub fn is_made_by(generator: &str, page: &[u8]) -> bool {
    let start = String::from_utf8_lossy(&page[..page.len().min(256)]);
    start.to_ascii_lowercase().starts_with("<!doctype html>")
        && start.contains(&format!("<meta name=\"generator\" content=\"{generator}\">"))
}

/// Returns a grid of plots, as many side by side as fit, with captions that wrap below them.
pub fn plots(plots: impl IntoIterator<Item = Plot>, columns: Option<StackedColumns>) -> Markup {
    let of_plot = |plot: Plot| {
        let caption = plot.caption.join(" ");
        figure(Plot { caption: Vec::new(), ..plot }.svg_of(WIDTH), &caption)
    };
    let of_columns = |columns: StackedColumns| {
        let caption = columns.caption.join(" ");
        figure(StackedColumns { caption: Vec::new(), ..columns }.svg_of(WIDTH), &caption)
    };
    html! {
        div.figures {
            @for plot in plots { (of_plot(plot)) }
            @if let Some(columns) = columns { (of_columns(columns)) }
        }
    }
}

/// Returns a figure with a caption below it.
fn figure(svg: String, caption: &str) -> Markup {
    html! {
        figure {
            (PreEscaped(svg))
            @if !caption.is_empty() { figcaption { (caption) } }
        }
    }
}

/// Returns a heat map at full size, in a box that scrolls if the page is too narrow; its title and
/// caption wrap below.
pub fn heat_map(map: &HeatMap) -> Markup {
    html! {
        figure.natural {
            div.scroll.natural tabindex="0" role="region" aria-label=(map.title) { (PreEscaped(map.svg_without_title())) }
            figcaption { b { (map.title) "." } " " (map.caption.join(" ")) }
        }
    }
}

/// Returns a table whose first column names the rows. `class` is `names` if the other columns hold
/// text, not numbers, and `wide` if there are more columns than fit on a narrow page: the columns
/// then keep their width and scroll, while the first one stays in place.
pub fn table<C: Render>(class: &str, label: &str, head: &[impl Render], rows: &[Vec<C>]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(label) {
            table class=(class) {
                @if !head.is_empty() {
                    thead { tr { @for name in head { th scope="col" { (name) } } } }
                }
                tbody {
                    @for (first, rest) in rows.iter().filter_map(|row| row.split_first()) {
                        tr {
                            th scope="row" { (first) }
                            @for cell in rest { td { (cell) } }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_everywhere() {
        let text = "<&\">";
        let body = html! { h2 { (text) } (table(text, text, &[text], &[vec![text, text]])) };
        let page = document("a test", text, &body);
        assert!(!page.contains(text));
        assert_eq!(page.matches("&lt;&amp;&quot;&gt;").count(), 7);
        assert!(!document("a test", "a\u{1}b", &html! {}).contains('\u{1}'));
    }

    #[test]
    fn a_page_loads_nothing_external() {
        let page = document("a test", "", &html! {});
        assert!(!page.contains("http") && !page.contains("<script") && !page.contains("<link"));
    }

    #[test]
    fn a_page_of_any_version_is_recognised_by_its_generator() {
        let page = document("a test", "", &html! {});
        assert!(is_made_by("a test", page.as_bytes()) && !is_made_by("another", page.as_bytes()));
        let older = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"generator\" content=\"a test\">";
        assert!(is_made_by("a test", older.as_bytes()));
        assert!(!is_made_by("a test", b"<meta name=\"generator\" content=\"a test\">"));
    }
}
