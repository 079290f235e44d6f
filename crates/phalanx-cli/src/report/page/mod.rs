//! Pages of HTML, and what the page of a run is made from.
//!
//! * [`RunRecord`] is a run as its directory tells of it, at whatever point it is: options, [`RunLog`], results.
//! * [`Tested`] is how its model does on samples, one by one: [`Confusion`] of classes, the worst of them as [`Picture`]s.
//! * [`run_page`] writes the page of one run, or of several side by side; [`loss_figure`] is the first figure of it.
//!
//! `figures` are the curves of runs, `thinned` brings long ones down to a few hundred points; `results`, `options` and `samples` are
//! the parts of the page. `html` holds the skeleton and the elements, `style.css` the look of all pages, that of a sweep too.

mod confusion;
mod figures;
mod html;
mod log;
mod options;
mod picture;
mod record;
mod results;
mod run_page;
mod samples;
mod tested;
mod thinned;

pub use confusion::Confusion;
pub use figures::loss_figure;
pub use log::{LoggedEpoch, LoggedStep, RunLog};
pub use picture::Picture;
pub use record::{RunRecord, RunState};
pub use run_page::{is_run_page, run_page};
pub use tested::{ShownSample, Tested, TestedTargets, WorstClass, WorstValue};

pub(crate) use html::Html;
