//! The skeleton and the elements of a page. Text is escaped by `maud`.

use maud::{DOCTYPE, Markup, PreEscaped, Render, html};

use crate::figure::{HeatMap, Plot, StackedColumns};

const STYLE: &str = include_str!("style.css");

/// Width in which plots are drawn. A phone shows them a little smaller, with letters of 10 pixels,
/// a wide screen larger.
const WIDTH: f64 = 450.0;

/// Returns a page around the elements of its body: one file that needs nothing else, legible on
/// light and dark screens, narrow ones, and paper. `generator` names the program, by which the page
/// is recognised.
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
    // Names in files may have control characters, which HTML does not allow.
    page.into_string().replace(|letter: char| letter.is_control() && letter != '\n', " ")
}

/// Returns whether the beginning of a page names this generator.
pub fn is_made_by(generator: &str, page: &[u8]) -> bool {
    let start = String::from_utf8_lossy(&page[..page.len().min(256)]);
    start.to_ascii_lowercase().starts_with("<!doctype html>")
        && start.contains(&format!("<meta name=\"generator\" content=\"{generator}\">"))
}

/// A box of plots side by side, as far as there is space, whose captions are set below them, where
/// they wrap.
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

/// A figure with text below it.
fn figure(svg: String, caption: &str) -> Markup {
    html! {
        figure {
            (PreEscaped(svg))
            @if !caption.is_empty() { figcaption { (caption) } }
        }
    }
}

/// A heat map in its full size, which scrolls in its own box where it does not fit; its title and
/// caption wrap below.
pub fn heat_map(map: &HeatMap) -> Markup {
    html! {
        figure.natural {
            div.scroll.natural tabindex="0" role="region" aria-label=(map.title) { (PreEscaped(map.svg_without_title())) }
            figcaption { b { (map.title) "." } " " (map.caption.join(" ")) }
        }
    }
}

/// A table whose first column names the rows; `class` is `names` where the others hold text and no
/// numbers, and `wide` where there are more columns than a narrow page has space for: they keep
/// their width and scroll, the first one stays.
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
    fn text_is_escaped_wherever_it_stands() {
        let text = "<&\">";
        let body = html! { h2 { (text) } (table(text, text, &[text], &[vec![text, text]])) };
        let page = document("a test", text, &body);
        assert!(!page.contains(text));
        assert_eq!(page.matches("&lt;&amp;&quot;&gt;").count(), 7);
        assert!(!document("a test", "a\u{1}b", &html! {}).contains('\u{1}'));
    }

    #[test]
    fn a_page_asks_for_nothing_from_elsewhere() {
        let page = document("a test", "", &html! {});
        assert!(!page.contains("http") && !page.contains("<script") && !page.contains("<link"));
    }

    #[test]
    fn a_page_is_known_by_its_generator_also_as_older_versions_began_it() {
        let page = document("a test", "", &html! {});
        assert!(is_made_by("a test", page.as_bytes()) && !is_made_by("another", page.as_bytes()));
        let older = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"generator\" content=\"a test\">";
        assert!(is_made_by("a test", older.as_bytes()));
        assert!(!is_made_by("a test", b"<meta name=\"generator\" content=\"a test\">"));
    }
}
