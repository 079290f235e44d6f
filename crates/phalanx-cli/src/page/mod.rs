//! Pages of HTML, and the records that the page of a run is made from.
//!
//! * [`RunRecord`] is a run read from its directory, whether running or ended: options, log,
//!   results.
//! * [`TestPredictions`] holds the predictions of its model for individual samples.
//! * [`run_page`] returns the page of one run, or of several side by side; [`loss_figure`] is its
//!   first figure.
//!
//! | file | holds |
//! |---|---|
//! | `html` | skeleton and elements of all pages, including a sweep's; `style.css` styles them |
//! | `run_record` | a run read from its directory |
//! | `run_page` | the page of runs |
//! | `results`, `curves`, `samples` | its parts |
//! | `test_predictions` | the data of `samples` |

mod curves;
mod html;
mod results;
mod run_page;
mod run_record;
mod samples;
mod test_predictions;

pub use curves::loss_figure;
pub use html::{document, heat_map, plots, table};
pub use run_page::{is_run_page, run_page};
pub use run_record::RunRecord;
pub use test_predictions::TestPredictions;
