//! The skeleton and the elements of a page.

use std::fmt::{Arguments, Write};

use crate::report::figure::{Columns, HeatMap, Plot, escaped};

const STYLE: &str = include_str!("style.css");

/// Width that plots are drawn in. A phone shows them a little smaller, with letters of 10 pixels, a wide screen larger.
const WIDTH: f64 = 450.0;

/// A page in the making: one file that needs nothing else, legible on light and dark screens, narrow ones, and paper.
pub(crate) struct Html {
    text: String,
}

impl Html {
    /// Begins a page. `generator` says who made it, to know it again.
    pub(crate) fn new(generator: &str, title: &str) -> Self {
        let title = escaped(title);
        let mut html = Self { text: format!("{}\n", opening(generator)) };
        html.put(format_args!(
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        ));
        html
    }

    /// Adds elements as they are: what is put in must be escaped.
    pub(crate) fn put(&mut self, text: Arguments<'_>) {
        self.text.write_fmt(text).expect("a string takes what is written to it");
    }

    pub(crate) fn heading(&mut self, text: &str) {
        self.put(format_args!("<h2>{}</h2>\n", escaped(text)));
    }

    pub(crate) fn paragraph(&mut self, class: &str, text: &str) {
        self.put(format_args!("<p class=\"{class}\">{}</p>\n", escaped(text)));
    }

    /// Adds a plot, whose caption is set below it, where it wraps.
    pub(crate) fn plot(&mut self, plot: Plot) {
        let caption = plot.caption.join(" ");
        self.figure(&Plot { caption: Vec::new(), ..plot }.svg_of(WIDTH), &caption);
    }

    /// Adds a figure of columns, whose caption is set below it, where it wraps.
    pub(crate) fn columns(&mut self, columns: Columns) {
        let caption = columns.caption.join(" ");
        self.figure(&Columns { caption: Vec::new(), ..columns }.svg_of(WIDTH), &caption);
    }

    /// Adds a heat map in its full size, which scrolls in its own box where it does not fit; its title and caption wrap below.
    pub(crate) fn heat_map(&mut self, map: &HeatMap) {
        let (title, caption) = (escaped(&map.title), escaped(&map.caption.join(" ")));
        let svg = map.svg_without_title();
        self.put(format_args!(
            "<figure class=\"natural\"><div class=\"scroll natural\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\">{svg}</div>\n\
             <figcaption><b>{title}.</b> {caption}</figcaption></figure>\n"
        ));
    }

    /// A figure with text below it.
    fn figure(&mut self, svg: &str, caption: &str) {
        let caption = escaped(caption);
        let below = if caption.is_empty() { caption } else { format!("<figcaption>{caption}</figcaption>") };
        self.put(format_args!("<figure>{svg}{below}</figure>\n"));
    }

    /// A table whose first column names the rows; `class` is `names` where the others hold text and no numbers, and `wide` where
    /// there are more columns than a narrow page has room for: they keep their width and scroll, the first one stays.
    pub(crate) fn table(&mut self, class: &str, label: &str, head: &[String], rows: &[Vec<String>]) {
        let label = escaped(label);
        self.put(format_args!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{label}\">\n<table class=\"{class}\">\n"
        ));
        if !head.is_empty() {
            let cells: String =
                head.iter().map(|name| format!("<th scope=\"col\">{}</th>", escaped(name))).collect();
            self.put(format_args!("<thead><tr>{cells}</tr></thead>\n"));
        }
        self.put(format_args!("<tbody>\n"));
        for row in rows {
            let Some((first, rest)) = row.split_first() else { continue };
            let cells: String = rest.iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
            self.put(format_args!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", escaped(first)));
        }
        self.put(format_args!("</tbody>\n</table>\n</div>\n"));
    }

    pub(crate) fn finish(mut self) -> String {
        self.text.push_str("</main>\n</body>\n</html>\n");
        self.text
    }
}

/// How every page of a generator begins.
pub(super) fn opening(generator: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"generator\" \
         content=\"{generator}\">"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_wherever_it_stands() {
        let mut html = Html::new("a test", "<title>");
        html.heading("<heading>");
        html.paragraph("", "<p> & \"q\"");
        let cell = || "<cell>".to_owned();
        html.table("", "<label>", &[cell()], &[vec![cell(), cell()]]);
        let page = html.finish();
        for text in ["<title>&lt;title>", "<heading>", "<p> &", "<cell>", "<label>"] {
            assert!(!page.contains(text), "{text}");
        }
        assert_eq!(page.matches("&lt;cell&gt;").count(), 3);
    }

    #[test]
    fn a_page_asks_for_nothing_from_elsewhere() {
        let page = Html::new("a test", "").finish();
        assert!(!page.contains("http") && !page.contains("<script") && !page.contains("<link"));
    }
}
