//! Pages of HTML, and the records that the page of a run is made from.
//!
//! * [`RunRecord`] is a run as it is in its directory, at whatever point it is: options, log,
//!   results.
//! * [`TestPredictions`] is the performance of its model on samples, one by one.
//! * [`run_page`] makes the page of one run, or of several side by side; [`loss_figure`] is the
//!   first figure of it.
//!
//! | file | holds |
//! |---|---|
//! | `html` | the skeleton and the elements of all pages, that of a sweep too; `style.css` is their look |
//! | `record` | a run read from its directory |
//! | `run_page` | the page of runs |
//! | `results`, `curves`, `samples` | its parts |
//! | `tested` | the data of `samples` |

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
