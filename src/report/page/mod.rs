//! Pages of HTML.
//!
//! `html` holds the skeleton and the elements, `style.css` the look of all pages.

mod html;

pub(crate) use html::Html;
