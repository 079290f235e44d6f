//! Columns of parts, one on the other.

use super::frame::Frame;
use super::legend::{Entry, LINE, Legend};
use super::style::COLOURS;
use super::{Axis, Canvas, Scale, short_number};

/// A figure of columns that are made of parts.
#[derive(Clone, Debug)]
pub struct Columns {
    /// What it shows.
    pub title: String,
    /// Lines below the title.
    pub caption: Vec<String>,
    /// What columns are.
    pub label: String,
    /// What their height is.
    pub height: String,
    /// The name of each column.
    pub names: Vec<String>,
    /// Names of the parts, from below, and the height of each in every column, of 0 or more.
    pub parts: Vec<(String, Vec<f64>)>,
}

impl Columns {
    /// Draws it in this width, in pixels.
    ///
    /// # Panics
    ///
    /// If a part has not as many heights as there are columns.
    pub fn svg_of(&self, width: f64) -> String {
        assert!(self.parts.iter().all(|(_, heights)| heights.len() == self.names.len()), "a height each");
        let entries = self.parts.iter().enumerate();
        let entries = entries.map(|(index, (name, _))| Entry { name, line: None, fill: Some(fill(index)) });
        let legend = Legend::new(entries, width);
        let mut frame = Frame::new(width, 68.0 + LINE * self.caption.len() as f64 + legend.height());
        let tops = (0..self.names.len()).map(|column| self.parts.iter().map(|(_, h)| h[column]).sum());
        let axis = Axis::new(self.height.as_str(), Scale::Linear);
        let y = axis.placed(tops.chain([0.0]), frame.bottom, frame.top);
        frame.make_room(&axis, &y);
        let (size, titles) = ((width, frame.height()), (self.title.as_str(), self.title.as_str()));
        let mut canvas = Canvas::described(size, titles, &self.caption, &self.description());
        legend.draw(&mut canvas, frame.top - 14.0 - legend.height());
        frame.y_axis(&mut canvas, &axis, &y);
        let each = (frame.right - frame.left) / self.names.len().max(1) as f64;
        let left = |column: usize| frame.left + each * column as f64;
        let names = self.names.iter().enumerate();
        frame.x_axis(
            &mut canvas,
            &self.label,
            names.map(|(column, name)| (left(column) + each / 2.0, name.clone())),
        );
        let (wide, beside) = ((0.7 * each).min(90.0), (each - (0.7 * each).min(90.0)) / 2.0);
        for (column, name) in self.names.iter().enumerate() {
            let mut below = 0.0;
            for (index, (part, heights)) in self.parts.iter().enumerate() {
                let (from, to) = (y.at(below), y.at(below + heights[column]));
                let tip = format!("{} {name}, {part}: {}", self.label, short_number(heights[column]));
                canvas.tipped(&fill(index), (left(column) + beside, to), (wide, from - to), &tip);
                below += heights[column];
            }
        }
        canvas.finish()
    }

    /// The shares of the parts in words, for those who cannot see them.
    fn description(&self) -> String {
        let sum = |heights: &[f64]| heights.iter().sum::<f64>();
        let total = self.parts.iter().map(|(_, heights)| sum(heights)).sum::<f64>().max(f64::MIN_POSITIVE);
        let share = |(name, heights): &(String, Vec<f64>)| {
            format!("{name}: {:.0} % of all columns together.", 100.0 * sum(heights) / total)
        };
        let said: Vec<String> = self.caption.iter().cloned().chain(self.parts.iter().map(share)).collect();
        said.join(" ")
    }
}

fn fill(part: usize) -> String {
    format!("f{}", part % COLOURS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_every_column_is_drawn_and_said() {
        let part = |name: &str, heights: [f64; 2]| (name.to_owned(), heights.to_vec());
        let columns = Columns {
            title: "t".into(),
            caption: Vec::new(),
            label: "epoch".into(),
            height: "seconds".into(),
            names: vec!["1".into(), "2".into()],
            parts: vec![part("a", [1.0, 2.0]), part("b", [0.0, 1.0])],
        };
        let svg = columns.svg_of(480.0);
        assert!(svg.contains("epoch 2, a: 2</title>") && svg.contains("epoch 1, b: 0</title>"), "{svg}");
        assert!(svg.contains("a: 75 % of all"), "{svg}");
    }
}
