//! Figures as SVG, self-contained and legible on light and dark pages and on paper.
//!
//! A figure is data ([`Plot`], [`StackedColumns`], [`HeatMap`]) with a method `svg` or `svg_of`
//! that draws it.
//!
//! | file | holds |
//! |---|---|
//! | `canvas` | the elements of SVG; colours and fonts, as classes that follow the colour scheme of the reader |
//! | `axes` | positions of values, numbers of axes, the legend |
//! | `plots` | the figures |
//!
//! The SVG is written without a plotting crate: those that were examined write colours into each
//! element, so that a dark page cannot change them.

mod axes;
mod canvas;
mod plots;

pub use axes::{Axis, Scale};
pub use canvas::curve_class;
pub use plots::{HeatCell, HeatMap, Mark, Note, Plot, PlotSeries, SeriesKind, StackedColumns};
