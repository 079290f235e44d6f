//! Where a value lies on an axis, and which values are written beside it.

/// How values are spread over an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal differences are equally long.
    Linear,
    /// Equal ratios are equally long; values are above 0.
    Log,
}

/// One axis of a figure.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What its values are.
    pub label: String,
    /// How they are spread.
    pub scale: Scale,
    /// Values that are written beside it; chosen if there are none.
    pub ticks: Vec<f64>,
}

impl Axis {
    /// An axis whose ticks are chosen.
    pub fn new(label: impl Into<String>, scale: Scale) -> Self {
        Self { label: label.into(), scale, ticks: Vec::new() }
    }

    /// With these ticks.
    pub fn with_ticks(self, ticks: Vec<f64>) -> Self {
        Self { ticks, ..self }
    }

    /// The axis from one position to another, around all values that it can show.
    pub(super) fn placed(&self, values: impl Iterator<Item = f64>, from: f64, to: f64) -> PlacedAxis {
        let shown = |value: &f64| value.is_finite() && (self.scale == Scale::Linear || *value > 0.0);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.chain(self.ticks.iter().copied()).filter(shown).map(|v| self.scale.place(v)) {
            // Differences of larger ones than these may be no number.
            let value = value.clamp(-1e300, 1e300);
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        // Huge values that are equal, or nearly, need a span in which steps between ticks can be told apart.
        let least = if high > low { 0.0 } else { 0.5_f64 }.max(1e-6 * low.abs().max(high.abs()));
        let margin = (0.04 * (high - low)).max(least);
        PlacedAxis { scale: self.scale, low: low - margin, high: high + margin, from, to }
    }
}

impl Scale {
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.log10(),
        }
    }
}

/// An axis with a place on the drawing.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlacedAxis {
    scale: Scale,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl PlacedAxis {
    pub(super) fn at(&self, value: f64) -> f64 {
        self.from + (self.to - self.from) * (self.scale.place(value) - self.low) / (self.high - self.low)
    }

    /// The values to write beside it: those that are asked for, or round ones.
    pub(super) fn ticks(&self, asked: &[f64]) -> Vec<f64> {
        let chosen = match (asked, self.scale) {
            ([], Scale::Linear) => self.round_linear(),
            ([], Scale::Log) => self.round_log(),
            _ => asked.to_vec(),
        };
        let within = |value: &f64| (self.low..=self.high).contains(&self.scale.place(*value));
        chosen.into_iter().filter(within).collect()
    }

    fn round_linear(&self) -> Vec<f64> {
        let step = round_step(self.high - self.low);
        let first = (self.low / step).ceil();
        (0..=MOST_STEPS)
            .map(|k| (first + f64::from(k)) * step)
            .take_while(|value| *value <= self.high)
            .collect()
    }

    /// Powers of ten; with 2 and 5 in between where there would be few.
    fn round_log(&self) -> Vec<f64> {
        let digits: &[f64] = if self.high - self.low < 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let (first, last) = (self.low.floor() as i32, self.high.ceil() as i32);
        (first..=last).flat_map(|power| digits.iter().map(move |digit| digit * 10_f64.powi(power))).collect()
    }
}

const MOST_STEPS: u32 = 8;

/// The least of 1, 2, 5 times a power of ten of which at most [`MOST_STEPS`] fit into a span.
fn round_step(span: f64) -> f64 {
    let most = f64::from(MOST_STEPS);
    let power = 10_f64.powf((span / most).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power);
    step.into_iter().find(|step| span / step <= most).unwrap_or(10.0 * power)
}

/// A number in as few letters as three digits that count need; whole ones below a million as they are.
///
/// # Examples
///
/// ```
/// use phalanx::report::figure::short_number;
///
/// assert_eq!([0.25, 1234.0, 60000.0, 0.00002, 1e7].map(short_number), ["0.25", "1234", "60,000", "2e-5", "1e7"]);
/// ```
pub fn short_number(value: f64) -> String {
    if value.fract() == 0.0 && (0.0..1e6).contains(&value) {
        return crate::report::grouped(value as u64);
    }
    let rounded: f64 = format!("{value:.2e}").parse().expect("a number was written");
    match rounded.abs() {
        1e-4..1e4 => rounded.to_string(),
        1e4..1e6 => crate::report::grouped(rounded as u64),
        _ => format!("{rounded:e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_lie_within_the_drawing_and_order_is_kept() {
        for scale in [Scale::Linear, Scale::Log] {
            let placed = Axis::new("", scale).placed([1.0, 10.0, 1000.0].into_iter(), 0.0, 100.0);
            let at = [1.0, 10.0, 1000.0].map(|value| placed.at(value));
            assert!(at[0] > 0.0 && at[0] < at[1] && at[1] < at[2] && at[2] < 100.0, "{at:?}");
        }
    }

    #[test]
    fn equal_ratios_are_equally_long_on_a_log_axis() {
        let placed = Axis::new("", Scale::Log).placed([1.0, 16.0].into_iter(), 0.0, 100.0);
        assert!((placed.at(4.0) - f64::midpoint(placed.at(1.0), placed.at(16.0))).abs() < 1e-9);
    }

    #[test]
    fn ticks_are_few_and_round() {
        let placed = |scale, low, high| Axis::new("", scale).placed([low, high].into_iter(), 0.0, 1.0);
        assert_eq!(placed(Scale::Linear, 0.0, 1.0).ticks(&[]), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(placed(Scale::Log, 1.0, 1e5).ticks(&[]), [1.0, 10.0, 100.0, 1e3, 1e4, 1e5]);
        assert_eq!(placed(Scale::Log, 1.0, 9.0).ticks(&[]), [1.0, 2.0, 5.0]);
        assert_eq!(placed(Scale::Log, 1.0, 9.0).ticks(&[3.0, 30.0]), [3.0]);
    }

    #[test]
    fn values_of_any_size_have_a_few_ticks_among_them() {
        for value in [0.0, 1e-320, 9e15, 2.9e34, -1e20, 1e300, f64::MAX, f64::MIN] {
            for values in
                [vec![value], vec![value, value * (1.0 - 1e-16)], vec![value, 0.0], vec![f64::MIN, value]]
            {
                let placed = Axis::new("", Scale::Linear).placed(values.iter().copied(), 0.0, 1.0);
                let ticks = placed.ticks(&[]);
                assert!((1..=9).contains(&ticks.len()), "{values:?}: {ticks:?}");
                assert!(
                    ticks.iter().all(|tick| (0.0..=1.0).contains(&placed.at(*tick))),
                    "{values:?}: {ticks:?}"
                );
            }
        }
    }

    #[test]
    fn one_value_and_none_have_an_axis_too() {
        assert!((Axis::new("", Scale::Log).placed([5.0].into_iter(), 0.0, 1.0).at(5.0) - 0.5).abs() < 1e-12);
        assert!(Axis::new("", Scale::Log).placed([-5.0, f64::NAN].into_iter(), 0.0, 1.0).at(2.0).is_finite());
    }
}
