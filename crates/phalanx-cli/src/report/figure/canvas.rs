//! The elements that figures are drawn with.

use std::fmt::{Arguments, Write};

use super::shortened;
use super::style::STYLE;

/// What is left free on both sides of the title, and about what one of its letters takes.
const MARGIN: f64 = 16.0;
const TITLE_LETTER: f64 = 9.0;

/// An SVG in the making. Positions are in pixels, from the upper left corner.
pub(crate) struct Canvas {
    svg: String,
}

impl Canvas {
    /// Begins with a background, a title and the lines of a caption below it.
    pub(crate) fn new(width: f64, height: f64, title: &str, caption: &[String]) -> Self {
        Self::described((width, height), (title, title), caption, &caption.join(" "))
    }

    /// Begins a drawing with a name and a description for readers who cannot see it, and the title and caption that are drawn.
    pub(crate) fn described(
        (width, height): (f64, f64),
        (name, title): (&str, &str),
        caption: &[String],
        description: &str,
    ) -> Self {
        let mut canvas = Self { svg: String::new() };
        let (name, description) = (escaped(name), escaped(description));
        canvas.put(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"figure\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\">\n  <title>{name}</title>\n  <desc>{description}</desc>\n  \
             <style>{STYLE}</style>\n"
        ));
        canvas.rect("page", (0.0, 0.0), (width, height));
        if !title.is_empty() {
            let most = ((width - 2.0 * MARGIN) / TITLE_LETTER) as usize;
            canvas.text("title", "start", (MARGIN, 30.0), &shortened(title, most));
        }
        for (index, line) in caption.iter().enumerate() {
            canvas.text("quiet", "start", (MARGIN, 51.0 + 18.0 * index as f64), line);
        }
        canvas
    }

    pub(crate) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.put(format_args!(
            "  <line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>\n"
        ));
    }

    pub(crate) fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.put(format_args!("  <polyline class=\"{class}\" points=\"{}\"/>\n", points.join(" ")));
    }

    /// What lies within some points.
    pub(crate) fn area(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.put(format_args!("  <polygon class=\"{class}\" points=\"{}\"/>\n", points.join(" ")));
    }

    pub(crate) fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64) {
        self.put(format_args!("  <circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"/>\n"));
    }

    pub(crate) fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
        self.put(format_args!(
            "  <rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>\n"
        ));
    }

    /// A rectangle of which `tip` is shown under the pointer.
    pub(crate) fn tipped(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64), tip: &str) {
        let tip = escaped(tip);
        self.put(format_args!(
            "  <rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\">\
             <title>{tip}</title></rect>\n"
        ));
    }

    /// A rectangle of a colour of its own, such as a value's in a heat map; `tip` is shown under the pointer.
    pub(crate) fn filled(&mut self, fill: &str, (x, y): (f64, f64), (width, height): (f64, f64), tip: &str) {
        let tip = escaped(tip);
        self.put(format_args!(
            "  <rect style=\"fill: {fill}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\">\
             <title>{tip}</title></rect>\n"
        ));
    }

    /// Text whose `anchor` (start, middle or end) is at a point on its baseline.
    pub(crate) fn text(&mut self, class: &str, anchor: &str, (x, y): (f64, f64), content: &str) {
        let content = escaped(content);
        self.put(format_args!(
            "  <text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>\n"
        ));
    }

    /// The same, centred and read from below.
    pub(crate) fn text_upwards(&mut self, class: &str, at: (f64, f64), content: &str) {
        self.upwards(class, "middle", at, content);
    }

    /// Text read from below whose upper end is at a point.
    pub(crate) fn text_hanging(&mut self, class: &str, at: (f64, f64), content: &str) {
        self.upwards(class, "end", at, content);
    }

    fn upwards(&mut self, class: &str, anchor: &str, (x, y): (f64, f64), content: &str) {
        let content = escaped(content);
        self.put(format_args!(
            "  <text class=\"{class}\" transform=\"translate({x:.1} {y:.1}) rotate(-90)\" text-anchor=\"{anchor}\">\
             {content}</text>\n"
        ));
    }

    pub(crate) fn finish(mut self) -> String {
        self.svg.push_str("</svg>\n");
        self.svg
    }

    fn put(&mut self, text: Arguments<'_>) {
        self.svg.write_fmt(text).expect("a string takes what is written to it");
    }
}

/// Text as HTML and XML allow it between tags and in quotes. Control characters, which XML has no way to write, become spaces.
pub(crate) fn escaped(text: &str) -> String {
    let plain = text.replace(|letter: char| letter.is_control(), " ");
    plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
