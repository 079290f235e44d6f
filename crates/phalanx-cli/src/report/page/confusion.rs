//! Which classes are taken for which.

use std::cmp::Reverse;

use crate::report::figure::{HeatCell, HeatMap};

/// How many samples of each class were predicted as each class. Weights are not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// Row by row: those of the true class, by predicted class.
    counts: Vec<u64>,
}

impl Confusion {
    /// Counts pairs of a true and a predicted class, each below `classes`.
    ///
    /// # Panics
    ///
    /// If a class is not.
    pub fn new(classes: usize, pairs: impl Iterator<Item = (usize, usize)>) -> Self {
        let mut counts = vec![0; classes * classes];
        for (truth, predicted) in pairs {
            assert!(truth < classes && predicted < classes, "class {truth} or {predicted} of {classes}");
            counts[truth * classes + predicted] += 1;
        }
        Self { classes, counts }
    }

    /// Samples of a class that were predicted as another, or the same.
    pub fn count(&self, truth: usize, predicted: usize) -> u64 {
        self.counts[truth * self.classes + predicted]
    }

    /// All samples.
    pub fn samples(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Samples whose class was predicted right.
    pub fn right(&self) -> u64 {
        (0..self.classes).map(|class| self.count(class, class)).sum()
    }

    /// Samples of a class.
    pub fn of_class(&self, truth: usize) -> u64 {
        (0..self.classes).map(|predicted| self.count(truth, predicted)).sum()
    }

    /// Samples that were predicted as a class.
    pub fn predicted_as(&self, predicted: usize) -> u64 {
        (0..self.classes).map(|truth| self.count(truth, predicted)).sum()
    }

    /// Share of a class that was predicted right; `None` if it has no samples.
    pub fn recall(&self, class: usize) -> Option<f64> {
        share(self.count(class, class), self.of_class(class))
    }

    /// Share of what was predicted as a class that is of it; `None` if nothing was.
    pub fn precision(&self, class: usize) -> Option<f64> {
        share(self.count(class, class), self.predicted_as(class))
    }

    /// The pairs of a true and another, predicted class with the most samples, at most so many, and their counts.
    pub fn worst_pairs(&self, most: usize) -> Vec<(usize, usize, u64)> {
        let pairs =
            (0..self.classes * self.classes).map(|index| (index / self.classes, index % self.classes));
        let wrong = pairs.filter(|(truth, predicted)| truth != predicted);
        let counted = wrong.map(|(truth, predicted)| (truth, predicted, self.count(truth, predicted)));
        let mut pairs: Vec<_> = counted.filter(|(.., count)| *count > 0).collect();
        pairs.sort_by_key(|(truth, predicted, count)| (Reverse(*count), *truth, *predicted));
        pairs.truncate(most);
        pairs
    }

    /// Draws it.
    pub(super) fn figure(&self, names: &[String]) -> HeatMap {
        let cell = |count: &u64| if *count == 0 { HeatCell::Empty } else { HeatCell::Count(*count) };
        HeatMap {
            title: "Which classes are taken for which".to_owned(),
            caption: vec![
                "Samples by true and predicted class; on the diagonal those that are classified right. Colours follow the \
                 logarithm."
                    .to_owned(),
            ],
            columns: ("predicted class".to_owned(), names.to_vec()),
            rows: ("true class".to_owned(), names.to_vec()),
            cells: self.counts.iter().map(cell).collect(),
        }
    }
}

fn share(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scikit-learn 1.9: confusion_matrix([2, 0, 2, 2, 0, 1], [0, 0, 2, 2, 0, 2]) == [[2, 0, 0], [0, 0, 1], [1, 0, 2]];
    /// recall_score(average=None) == [1, 0, 2/3], precision_score == [2/3, undefined, 2/3].
    #[test]
    fn counts_and_shares_are_those_of_scikit_learn() {
        let confusion = Confusion::new(3, [2, 0, 2, 2, 0, 1].into_iter().zip([0, 0, 2, 2, 0, 2]));
        assert_eq!(confusion.counts, [2, 0, 0, 0, 0, 1, 1, 0, 2]);
        let of =
            |value: fn(&Confusion, usize) -> Option<f64>| [0, 1, 2].map(|class| value(&confusion, class));
        assert_eq!(of(Confusion::recall), [Some(1.0), Some(0.0), Some(2.0 / 3.0)]);
        assert_eq!(of(Confusion::precision), [Some(2.0 / 3.0), None, Some(2.0 / 3.0)]);
        assert_eq!(confusion.worst_pairs(5), [(1, 2, 1), (2, 0, 1)]);
        assert_eq!(confusion.worst_pairs(1), [(1, 2, 1)]);
    }

    #[test]
    fn what_never_happened_is_no_cell() {
        let figure = Confusion::new(2, [(0, 0)].into_iter()).figure(&["a".into(), "b".into()]);
        assert_eq!(figure.cells, [HeatCell::Count(1), HeatCell::Empty, HeatCell::Empty, HeatCell::Empty]);
    }

    #[test]
    fn all_samples_and_those_that_are_right_are_counted() {
        let confusion = Confusion::new(2, [(0, 0), (0, 1), (1, 1)].into_iter());
        assert_eq!((confusion.count(0, 1), confusion.samples(), confusion.right()), (1, 3, 2));
        assert_eq!((confusion.recall(0), confusion.precision(1)), (Some(0.5), Some(0.5)));
    }
}
