//! Long curves as few points.

/// Points that a curve on a page is drawn with at most: one for every three pixels.
pub(super) const MOST_POINTS: usize = 160;

/// A curve as means over groups of neighbours, and the least and greatest of each group.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Thinned {
    /// Points in a group; the last may have fewer.
    pub(super) group: usize,
    /// Mean x and mean y of each group.
    pub(super) means: Vec<(f64, f64)>,
    /// Around the values of each group: the greatest from left to right, then the least back; empty if each is a point.
    pub(super) band: Vec<(f64, f64)>,
}

/// Takes as many neighbours together as bring a curve down to [`MOST_POINTS`]; values that are no numbers are left out.
pub(super) fn thinned(points: impl Iterator<Item = (f64, f64)>) -> Thinned {
    let points: Vec<_> = points.filter(|(_, y)| y.is_finite()).collect();
    let group = points.len().div_ceil(MOST_POINTS).max(1);
    let groups = || points.chunks(group);
    let mean = |values: &dyn Fn(&(f64, f64)) -> f64, group: &[(f64, f64)]| {
        group.iter().map(values).sum::<f64>() / group.len() as f64
    };
    let middle = |group: &[(f64, f64)]| mean(&|point| point.0, group);
    let most = |group: &[(f64, f64)]| group.iter().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max);
    let least = |group: &[(f64, f64)]| group.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let means = groups().map(|group| (middle(group), mean(&|point| point.1, group))).collect();
    let upper = groups().map(|group| (middle(group), most(group)));
    let lower = groups().rev().map(|group| (middle(group), least(group)));
    let band = if group > 1 { upper.chain(lower).collect() } else { Vec::new() };
    Thinned { group, means, band }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_curve_stays_as_it_is() {
        let points = [(1.0, 2.0), (2.0, f64::NAN), (3.0, 1.0)];
        let found = thinned(points.into_iter());
        assert_eq!(found, Thinned { group: 1, means: vec![(1.0, 2.0), (3.0, 1.0)], band: Vec::new() });
        assert_eq!(thinned([].into_iter()).means, []);
    }

    #[test]
    fn a_long_curve_keeps_its_mean_and_its_extremes() {
        let points: Vec<_> = (0..9_600).map(|x| (f64::from(x), f64::from(x % 60))).collect();
        let found = thinned(points.into_iter());
        assert_eq!((found.group, found.means.len(), found.band.len()), (60, MOST_POINTS, 2 * MOST_POINTS));
        assert!(found.means.iter().all(|(_, y)| *y == 29.5));
        assert_eq!((found.band[0], found.band[2 * MOST_POINTS - 1]), ((29.5, 59.0), (29.5, 0.0)));
    }
}
