//! The middle and the ends of what several takes gave.

use serde::Serialize;

/// Median, least and greatest of some values, in their unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The middle value; of an even number of values the mean of the two in the middle.
    pub median: f64,
    /// The least value.
    pub min: f64,
    /// The greatest value.
    pub max: f64,
}

impl Spread {
    /// Sorts and looks.
    ///
    /// # Panics
    ///
    /// If there are no values.
    pub fn of(values: &[f64]) -> Self {
        assert!(!values.is_empty(), "no take, no spread");
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let upper = sorted.len() / 2;
        let lower = (sorted.len() - 1) / 2;
        let median = f64::midpoint(sorted[lower], sorted[upper]);
        Self { median, min: sorted[0], max: sorted[sorted.len() - 1] }
    }

    /// (max − min) / median.
    pub fn relative(&self) -> f64 {
        (self.max - self.min) / self.median
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_even_number_of_values_has_its_median_between_the_two_in_the_middle() {
        assert_eq!(Spread::of(&[10.0, 1.0, 4.0, 2.0]), Spread { median: 3.0, min: 1.0, max: 10.0 });
    }

    #[test]
    fn one_value_is_its_own_median_without_any_spread() {
        let one = Spread::of(&[7.5]);
        assert_eq!((one.median, one.relative()), (7.5, 0.0));
    }

    #[test]
    fn the_relative_spread_is_that_of_the_ends_over_the_median() {
        let spread = Spread::of(&[2.0, 8.0, 4.0]);
        assert_eq!((spread.median, spread.min, spread.max), (4.0, 2.0, 8.0));
        assert_eq!(spread.relative(), 1.5);
    }

    proptest! {
        #[test]
        fn at_least_half_of_the_values_lie_on_each_side_of_the_median(
            values in proptest::collection::vec(0.001_f64..1e9, 1..40),
        ) {
            let median = Spread::of(&values).median;
            let below = values.iter().filter(|value| **value <= median).count();
            let above = values.iter().filter(|value| **value >= median).count();
            prop_assert!(2 * below >= values.len() && 2 * above >= values.len());
        }
    }
}
