//! Where a value lies on an axis, and which values are written beside it.

use std::collections::BTreeSet;

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

    /// The values to write next to the axis, each with its label: the given ones, or round ones. A label never rounds its value
    /// to another one: batches of 1024 are not 1020, and ticks of 97.21 and 97.22 are told apart.
    pub(super) fn ticks(&self, given: &[f64]) -> Vec<(f64, String)> {
        let chosen: Vec<(f64, String)> = match (given, self.scale) {
            ([], Scale::Linear) => self.round_linear(),
            ([], Scale::Log) => self.round_log().into_iter().map(|value| (value, exact(value))).collect(),
            _ => given.iter().map(|value| (*value, exact(*value))).collect(),
        };
        let within = |(value, _): &(f64, String)| (self.low..=self.high).contains(&self.scale.place(*value));
        chosen.into_iter().filter(within).collect()
    }

    /// Multiples of a round step, written to the digit in which they differ.
    fn round_linear(&self) -> Vec<(f64, String)> {
        let step = round_step(self.high - self.low);
        let first = (self.low / step).ceil();
        let label = |value: f64| {
            let digits = 1.0 + value.abs().log10().floor() - (1.0001 * step).log10().floor();
            exact(rounded(value, digits.clamp(1.0, 17.0) as usize))
        };
        (0..=MOST_STEPS)
            .map(|k| (first + f64::from(k)) * step)
            .take_while(|value| *value <= self.high)
            .map(|value| (value, label(value)))
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

/// Writes a number with three significant digits, but never with a 0 in place of a digit before the decimal point: whole numbers
/// below a million stay as they are. For values that are measured or computed; a number that somebody chose is written exactly.
pub fn short_number(value: f64) -> String {
    exact(if (100.0..1e6).contains(&value.abs()) { value.round() } else { rounded(value, 3) })
}

/// Labels with at least three significant digits, and as many as tell all of the values apart.
pub(crate) fn distinct_labels(values: &[f64]) -> Vec<String> {
    let labels = |digits| -> Vec<String> {
        let written =
            |value: &f64| if digits == 3 { short_number(*value) } else { exact(rounded(*value, digits)) };
        values.iter().map(written).collect()
    };
    let are_distinct = |labels: &Vec<String>| labels.iter().collect::<BTreeSet<_>>().len() == values.len();
    (3..=16).map(labels).find(are_distinct).unwrap_or_else(|| labels(17))
}

/// The nearest number with this many significant digits.
fn rounded(value: f64, digits: usize) -> f64 {
    format!("{value:.0$e}", digits - 1).parse().expect("a number was written")
}

/// Writes a number with all of its digits, with groups of three if it is whole and with a power of ten if it is long.
fn exact(value: f64) -> String {
    let sign = if value < 0.0 { "-" } else { "" };
    match value.abs() {
        size if size < 1e6 && size.fract() == 0.0 => sign.to_owned() + &crate::report::grouped(size as u64),
        1e-4..1e6 => value.to_string(),
        _ => format!("{value:e}"),
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
        let labels = |placed: PlacedAxis, given: &[f64]| -> Vec<String> {
            placed.ticks(given).into_iter().map(|(_, label)| label).collect()
        };
        assert_eq!(labels(placed(Scale::Linear, 0.0, 1.0), &[]), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(
            labels(placed(Scale::Log, 1.0, 1e5), &[]),
            ["1", "10", "100", "1000", "10,000", "100,000"]
        );
        assert_eq!(labels(placed(Scale::Log, 1.0, 9.0), &[]), ["1", "2", "5"]);
        assert_eq!(labels(placed(Scale::Log, 1.0, 9.0), &[3.0, 30.0]), ["3"]);
    }

    #[test]
    fn a_label_is_the_number_that_its_tick_is_at() {
        for given in [1024.0, 4096.0, 1023.5, 65_536.0, 1_048_576.0, -1250.0, -20_000.0, 0.0009765625, 1e300]
        {
            let placed = Axis::new("", Scale::Linear).placed([given].into_iter(), 0.0, 1.0);
            let [(value, label)] = &placed.ticks(&[given])[..] else { panic!("{given}") };
            assert_eq!((label.replace(',', "").parse(), *value), (Ok(given), given), "{label}");
        }
        for (low, high) in [
            (0.0, 0.7),
            (97.21, 97.24),
            (1_000_000.0, 1_020_000.0),
            (-1020.0, -1005.0),
            (-40_000.0, -10_000.0),
            (12_345.0, 12_345.6),
            (1e-9, 3e-9),
            (1e300, 3e300),
        ] {
            let placed = Axis::new("", Scale::Linear).placed([low, high].into_iter(), 0.0, 1.0);
            let ticks = placed.ticks(&[]);
            assert!(ticks.len() >= 3, "{ticks:?}");
            for (value, label) in ticks {
                let read: f64 = label.replace(',', "").parse().unwrap();
                assert!((read - value).abs() <= 1e-9 * (high - low), "{value} is labelled {label}");
            }
        }
    }

    #[test]
    fn labels_of_values_that_are_close_have_the_digits_that_tell_them_apart() {
        assert_eq!(distinct_labels(&[0.1767766, 0.25]), ["0.177", "0.25"]);
        assert_eq!(distinct_labels(&[0.1001, 0.1002, 0.3]), ["0.1001", "0.1002", "0.3"]);
        assert_eq!(distinct_labels(&[1_048_576.0, 1_048_577.0]), ["1.048576e6", "1.048577e6"]);
        assert_eq!(distinct_labels(&[0.5, 0.5]).len(), 2);
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
                    ticks.iter().all(|(tick, _)| (0.0..=1.0).contains(&placed.at(*tick))),
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

    #[test]
    fn a_short_number_keeps_every_digit_before_the_decimal_point() {
        let exact = [0.25, 1234.0, 60_000.0, 0.00002, 1e7].map(short_number);
        assert_eq!(exact, ["0.25", "1234", "60,000", "2e-5", "1e7"]);
        let rounded = [0.12345, 1023.6, -12_345.6, 1_234_567.0].map(short_number);
        assert_eq!(rounded, ["0.123", "1024", "-12,346", "1.23e6"]);
    }
}
