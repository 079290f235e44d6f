//! Reproductions: published numbers, each with the runs that reproduce it, and the same runs under a
//! wrong reading of the paper.
//!
//! Vocabulary:
//!
//! - **claim**: what a source states: a number, or a relation between settings.
//! - **setting**: one row of a claim, such as a number of hidden units, with its published value.
//! - **reading**: how the numbers of the paper are understood: the right one, and a wrong one, for
//!   example the same rate under the other reduction. Both are flags of `train`.
//! - **verdict**: whether the right reading reproduces the claim, and whether the wrong one fails.
//!
//! | file | holds |
//! |---|---|
//! | `claims` | the table of all claims |
//! | `computed` | the claims that are computed, not trained |
//! | `runner` | one run of a reading, and what is measured |
//! | `verdict` | the settings with their means over seeds, and the verdict |
//! | `page` | the page |

mod claims;
mod computed;
mod page;
mod runner;
mod verdict;

pub use claims::{CLAIMS, Claim, ClaimData, Work};
pub use page::{HEAD, cells, page};
pub use runner::{ClaimRuns, RunRecord};
pub use verdict::Findings;
