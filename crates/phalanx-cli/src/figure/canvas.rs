//! The elements of figures as SVG, with their colours and fonts as classes.

use std::fmt::{Arguments, Write};

/// The CSS classes of all elements. Series differ by colour, and from the seventh on by dash as
/// well. The colours are based on the eight of Okabe and Ito 2008, which colour-blind readers can
/// distinguish, without those that are too light.
const STYLE: &str = concat!("\n", include_str!("style.css"), "  ");

/// Number of colours for series.
const COLOURS: usize = 6;

/// Number of line styles, including the solid one, that distinguish series of the same colour.
const DASHES: usize = 3;

/// Returns the classes of a curve; beyond the last colour, the colours repeat with dashed lines.
pub fn curve_class(colour: usize) -> String {
    format!("curve {} d{}", stroke(colour), colour / COLOURS % DASHES)
}

/// Returns the class of lines of a colour.
pub fn stroke(colour: usize) -> String {
    format!("c{}", colour % COLOURS)
}

/// Returns the class of areas of a colour.
pub fn fill(colour: usize) -> String {
    format!("f{}", colour % COLOURS)
}

/// Space on both sides of the title, and approximate width of one of its letters.
const MARGIN: f64 = 16.0;
const TITLE_LETTER: f64 = 9.0;

/// The texts above a figure, and the texts for screen readers.
pub struct Heading<'a> {
    /// The name of the figure, for screen readers.
    pub name: &'a str,
    /// The title that is drawn, if not empty.
    pub title: &'a str,
    /// The lines below the title.
    pub caption: &'a [String],
    /// The content of the figure in words.
    pub description: &'a str,
}

/// An SVG under construction. Positions are in pixels, from the upper left corner.
pub struct Canvas {
    svg: String,
}

impl Canvas {
    /// Starts an SVG with a background and a heading.
    pub fn new((width, height): (f64, f64), heading: &Heading<'_>) -> Self {
        let mut canvas = Self { svg: String::new() };
        let (name, description) = (escaped(heading.name), escaped(heading.description));
        canvas.put(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"figure\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\">\n  <title>{name}</title>\n  <desc>{description}</desc>\n  \
             <style>{STYLE}</style>\n"
        ));
        canvas.rect("page", (0.0, 0.0), (width, height));
        if !heading.title.is_empty() {
            let most = ((width - 2.0 * MARGIN) / TITLE_LETTER) as usize;
            canvas.text("title", "start", (MARGIN, 30.0), &shortened(heading.title, most));
        }
        for (index, line) in heading.caption.iter().enumerate() {
            canvas.text("quiet", "start", (MARGIN, 51.0 + 18.0 * index as f64), line);
        }
        canvas
    }

    pub fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.put(format_args!(
            "  <line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>\n"
        ));
    }

    pub fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        self.put(format_args!("  <polyline class=\"{class}\" points=\"{}\"/>\n", joined(points)));
    }

    /// Draws a filled polygon.
    pub fn area(&mut self, class: &str, points: &[(f64, f64)]) {
        self.put(format_args!("  <polygon class=\"{class}\" points=\"{}\"/>\n", joined(points)));
    }

    pub fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64) {
        self.put(format_args!("  <circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"/>\n"));
    }

    pub fn rect(&mut self, class: &str, at: (f64, f64), size: (f64, f64)) {
        self.rectangle(&format!("class=\"{class}\""), at, size, "/>");
    }

    /// Draws a rectangle with a tooltip.
    pub fn rect_with_tooltip(&mut self, class: &str, at: (f64, f64), size: (f64, f64), tip: &str) {
        let tip = format!("><title>{}</title></rect>", escaped(tip));
        self.rectangle(&format!("class=\"{class}\""), at, size, &tip);
    }

    /// Draws a rectangle in a custom colour, such as a cell of a heat map, with a tooltip.
    pub fn filled(&mut self, colour: &str, at: (f64, f64), size: (f64, f64), tip: &str) {
        let tip = format!("><title>{}</title></rect>", escaped(tip));
        self.rectangle(&format!("style=\"fill: {colour}\""), at, size, &tip);
    }

    fn rectangle(&mut self, look: &str, (x, y): (f64, f64), (width, height): (f64, f64), end: &str) {
        self.put(format_args!(
            "  <rect {look} x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"{end}\n"
        ));
    }

    /// Draws text whose `anchor` (start, middle or end) is at a point on its baseline.
    pub fn text(&mut self, class: &str, anchor: &str, (x, y): (f64, f64), content: &str) {
        let content = escaped(content);
        self.put(format_args!(
            "  <text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>\n"
        ));
    }

    /// Draws centred text, rotated to read upwards.
    pub fn text_upwards(&mut self, class: &str, at: (f64, f64), content: &str) {
        self.upwards(class, "middle", at, content);
    }

    /// Draws text, rotated to read upwards, that ends at a point.
    pub fn text_upwards_to(&mut self, class: &str, at: (f64, f64), content: &str) {
        self.upwards(class, "end", at, content);
    }

    fn upwards(&mut self, class: &str, anchor: &str, (x, y): (f64, f64), content: &str) {
        let content = escaped(content);
        self.put(format_args!(
            "  <text class=\"{class}\" transform=\"translate({x:.1} {y:.1}) rotate(-90)\" text-anchor=\"{anchor}\">\
             {content}</text>\n"
        ));
    }

    pub fn finish(mut self) -> String {
        self.svg.push_str("</svg>\n");
        self.svg
    }

    fn put(&mut self, text: Arguments<'_>) {
        self.svg.write_fmt(text).expect("writing to a string cannot fail");
    }
}

fn joined(points: &[(f64, f64)]) -> String {
    points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ")
}

/// Escapes a text for HTML and XML, between tags and in quotes. Control characters, which XML
/// cannot represent, become spaces.
pub fn escaped(text: &str) -> String {
    let plain = text.replace(|letter: char| letter.is_control(), " ");
    plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Shortens a text to at most `most` letters by replacing its middle with an ellipsis.
pub fn shortened(text: &str, most: usize) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= most {
        return text.to_owned();
    }
    let (start, end) = (most / 2 + most % 2, most / 2 - 1);
    letters[..start].iter().chain(['…'].iter()).chain(&letters[letters.len() - end..]).collect()
}
