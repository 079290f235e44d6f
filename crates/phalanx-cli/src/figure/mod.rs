//! Figures as SVG, self-contained and legible on light and dark pages and on paper.
//!
//! A figure is data ([`Plot`], [`StackedColumns`], [`HeatMap`]) that is drawn by its `svg` or
//! `svg_of`.
//!
//! | file | holds |
//! |---|---|
//! | `canvas` | the elements of SVG; colours and fonts, as classes that follow the colour scheme of the reader |
//! | `axes` | places of values, numbers of axes, the legend |
//! | `plots` | the figures |
//!
//! Written by hand, as the drawing crates that were examined write colours into each element, which
//! no dark page can change.

mod axes;
mod canvas;
mod plots;

pub use axes::{Axis, Scale};
pub use canvas::curve_class;
pub use plots::{HeatCell, HeatMap, Mark, Note, Plot, PlotSeries, SeriesKind, StackedColumns};
