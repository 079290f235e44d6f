//! Reproductions: published numbers, each with the runs that reproduce it, and the same runs under
//! a wrong reading of the paper.
//!
//! Vocabulary:
//!
//! - **claim**: the statement of a source: a number, or a relation between settings.
//! - **setting**: one row of a claim, such as a number of hidden units, with its published value.
//! - **reading**: a way to understand the numbers of a paper, right or wrong; flags of `train`.
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
pub use runner::{ClaimRuns, ReadingRecord};
pub use verdict::ClaimFindings;
