//! The skeleton and the elements of a page.

use std::fmt::{Arguments, Write};

use crate::report::figure::escaped;

const STYLE: &str = include_str!("style.css");

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

    /// A drawing that can be scrolled where it does not fit.
    pub(crate) fn drawing(&mut self, svg: &str) {
        self.put(format_args!("<div class=\"scroll\">{svg}</div>\n"));
    }

    /// A figure with text below it.
    pub(crate) fn figure(&mut self, svg: &str, caption: &str) {
        let caption = escaped(caption);
        let below = if caption.is_empty() { caption } else { format!("<figcaption>{caption}</figcaption>") };
        self.put(format_args!("<figure>{svg}{below}</figure>\n"));
    }

    /// A table whose first column names the rows; `class` is `names` where the others hold text and no numbers.
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
