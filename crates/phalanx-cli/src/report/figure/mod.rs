//! Figures as SVG, self-contained and legible on light and dark pages and on paper.
//!
//! A figure is said as data ([`Plot`], [`Columns`], [`HeatMap`]) and drawn by its `svg` or `svg_of`. [`Axis`] says where a value lies; `frame` and
//! `legend` are what stands around; `canvas` writes the elements; `style` holds colours and fonts, as classes that follow the reader's scheme.
//!
//! Written by hand, as the drawing crates that were looked at write colours into each element, which no dark page can change.

mod axis;
mod canvas;
mod columns;
mod frame;
mod heat_map;
mod legend;
mod plot;
mod style;

pub use axis::{Axis, Scale, short_number};
pub use columns::Columns;
pub use heat_map::{HeatCell, HeatMap};
pub use plot::{Mark, Plot, Series, SeriesKind};

pub(crate) use axis::distinct_labels;
pub(crate) use canvas::{Canvas, escaped};
pub(crate) use style::curve_class;

/// A text of at most this many letters: the middle of a longer one is left out.
fn shortened(text: &str, most: usize) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= most {
        return text.to_owned();
    }
    let (start, end) = (most / 2 + most % 2, most / 2 - 1);
    letters[..start].iter().chain(['…'].iter()).chain(&letters[letters.len() - end..]).collect()
}
