//! What stands around curves and columns: the grid, the axes and their labels.

use super::axis::PlacedAxis;
use super::{Axis, Canvas};

/// The part of a drawing that values are drawn in.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

/// Width of a figure that stands alone.
pub(super) const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 78.0;
/// What the label of the left axis takes, with the gaps on both sides of its numbers, and about what a digit takes.
const AXIS_LABEL: f64 = 34.0;
const LETTER: f64 = 8.0;
/// What numbers and the label of the lower axis take.
const BELOW: f64 = 56.0;

impl Frame {
    /// That of a figure of this width, below what takes `above`; narrower ones are less high.
    pub(super) fn new(width: f64, above: f64) -> Self {
        let height = if width < WIDTH { 0.8 * HEIGHT } else { HEIGHT };
        Self { left: LEFT, right: width - 20.0, top: above, bottom: above + height }
    }

    /// Moves the left edge to where the numbers of the axis have room.
    pub(super) fn make_room(&mut self, axis: &Axis, placed: &PlacedAxis) {
        let letters = placed.ticks(&axis.ticks).iter().map(|(_, label)| label.chars().count()).max();
        self.left = self.left.max(AXIS_LABEL + LETTER * letters.unwrap_or(0) as f64);
    }

    /// Height of the whole figure.
    pub(super) fn height(&self) -> f64 {
        self.bottom + BELOW
    }

    /// Lines and numbers of the axis on the left.
    pub(super) fn y_axis(&self, canvas: &mut Canvas, axis: &Axis, placed: &PlacedAxis) {
        for (tick, label) in placed.ticks(&axis.ticks) {
            canvas.line("grid", (self.left, placed.at(tick)), (self.right, placed.at(tick)));
            canvas.text("quiet", "end", (self.left - 8.0, placed.at(tick) + 4.5), &label);
        }
        canvas.text_upwards("quiet", (20.0, f64::midpoint(self.top, self.bottom)), &axis.label);
    }

    /// The axis below: places and what is written there, as far as there is room.
    pub(super) fn x_axis(
        &self,
        canvas: &mut Canvas,
        label: &str,
        ticks: impl Iterator<Item = (f64, String)>,
    ) {
        canvas.line("axis", (self.left, self.bottom), (self.right, self.bottom));
        let mut free = 0.0;
        for (at, text) in ticks {
            let half = 4.0 * text.chars().count() as f64;
            canvas.line("axis", (at, self.bottom), (at, self.bottom + 5.0));
            if at - half >= free {
                canvas.text("quiet", "middle", (at, self.bottom + 20.0), &text);
                free = at + half + 6.0;
            }
        }
        canvas.text("quiet", "middle", (f64::midpoint(self.left, self.right), self.bottom + 43.0), label);
    }
}
