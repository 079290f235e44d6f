//! Curves drawn with text, and the character sets of terminals.

use std::{env, io};

use phalanx::internals::{Measure, RunLog};
use terminal_size::{Width, terminal_size_of};

use crate::numbers::measured;

/// A small text plot of a metric by epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct TextCurve {
    name: &'static str,
    /// Counted from 1.
    first_epoch: u64,
    values: Vec<f64>,
    /// Index in `values`.
    best: usize,
    /// The kind of extreme that the best value is: "highest" or "lowest".
    extreme: &'static str,
}

/// The height of the plot, in lines.
const HEIGHT: usize = 5;
/// The maximum width, and the width if that of the terminal is unknown: a curve of a few epochs
/// needs no more columns.
const COLUMNS: usize = 60;
/// The minimum width of a curve, in columns.
const LEAST: usize = 8;

impl TextCurve {
    /// Returns the curve of the test accuracy of the whole epochs in a log, or else of the test
    /// loss, or else of the training loss. `None` for fewer than two epochs, or if a value is NaN
    /// or infinite.
    pub fn of(log: &RunLog) -> Option<Self> {
        let first = log.whole_epochs().next()?.epoch;
        let all = |measure| log.whole_epochs().map(|epoch| epoch.value(measure)).collect::<Option<_>>();
        if let Some(accuracies) = all(Measure::TestAccuracy) {
            return Self::new("test accuracy", first, accuracies, f64::gt, "highest");
        }
        match all(Measure::TestLoss) {
            Some(losses) => Self::lower_is_better("test loss", first, losses),
            None => Self::lower_is_better("training loss", first, all(Measure::TrainLoss)?),
        }
    }

    /// Returns the curve of the values of consecutive epochs; the lowest is the best. `None` for
    /// fewer than two values, or if one is NaN or infinite.
    fn lower_is_better(name: &'static str, first_epoch: u64, values: Vec<f64>) -> Option<Self> {
        Self::new(name, first_epoch, values, f64::lt, "lowest")
    }

    fn new(
        name: &'static str,
        first_epoch: u64,
        values: Vec<f64>,
        is_better: fn(&f64, &f64) -> bool,
        extreme: &'static str,
    ) -> Option<Self> {
        let is_drawn = values.len() >= 2 && values.iter().all(|value| value.is_finite());
        let better = |best: usize, at: usize| if is_better(&values[at], &values[best]) { at } else { best };
        let best = (0..values.len()).reduce(better)?;
        is_drawn.then_some(Self { name, first_epoch, values, best, extreme })
    }

    /// Draws the curve in at most `columns` columns, but at least the minimum width; the title may
    /// be longer.
    pub fn draw(&self, columns: usize, charset: Charset) -> String {
        let fold = |pick: fn(f64, f64) -> f64| self.values.iter().copied().reduce(pick).unwrap_or(0.0);
        let (low, high) = (fold(f64::min), fold(f64::max));
        let labels: Vec<String> = match low == high {
            true => {
                (0..HEIGHT).map(|row| if row == HEIGHT / 2 { measured(low) } else { String::new() }).collect()
            }
            false => {
                let blank = (2..HEIGHT).map(|_| String::new());
                [measured(high)].into_iter().chain(blank).chain([measured(low)]).collect()
            }
        };
        let margin = labels.iter().map(String::len).max().unwrap_or(0);
        let width = columns.min(COLUMNS).saturating_sub(margin + 2).max(LEAST);
        let axis = if charset == Charset::Unicode { '│' } else { '|' };
        let best = self.first_epoch + self.best as u64;
        let mut text = format!(
            "{} by epoch; {}: {} in epoch {best}\n",
            self.name,
            self.extreme,
            measured(self.values[self.best])
        );
        for (label, line) in labels.iter().zip(self.lines(width, (low, high), charset)) {
            text += &format!("{label:>margin$} {axis}{}\n", line.trim_end());
        }
        let (first, last) = (self.first_epoch, self.first_epoch + self.values.len() as u64 - 1);
        let rest = width.saturating_sub(first.to_string().len());
        text + &format!("{:margin$}  {first}{last:>rest$}\n", "")
    }

    /// Draws the values connected by straight lines, with 2 x 4 dots per cell in Unicode and one in
    /// ASCII.
    fn lines(&self, width: usize, (low, high): (f64, f64), charset: Charset) -> Vec<String> {
        let (across, down) = if charset == Charset::Unicode { (2, 4) } else { (1, 1) };
        let (right, bottom) = ((width * across - 1) as f64, (HEIGHT * down - 1) as f64);
        let place = |(index, value): (usize, &f64)| {
            let share = if low == high { 0.5 } else { (value - low) / (high - low) };
            let across = index as f64 / (self.values.len() - 1) as f64;
            ((right * across).round(), (bottom * (1.0 - share)).round())
        };
        let places: Vec<(f64, f64)> = self.values.iter().enumerate().map(place).collect();
        let mut cells = vec![vec![0; width]; HEIGHT];
        for pair in places.windows(2) {
            let [(x0, y0), (x1, y1)] = [pair[0], pair[1]];
            let steps = (x1 - x0).abs().max((y1 - y0).abs()).max(1.0);
            for step in 0..=steps as usize {
                let share = step as f64 / steps;
                let (x, y) = ((x0 + share * (x1 - x0)).round(), (y0 + share * (y1 - y0)).round());
                let (x, y) = (x as usize, y as usize);
                cells[y / down][x / across] |= DOTS[y % down][x % across];
            }
        }
        let mark = |cell: &u8| match (cell, charset) {
            (0, _) => ' ',
            (_, Charset::Ascii) => '*',
            (dots, Charset::Unicode) => char::from_u32(0x2800 + u32::from(*dots)).unwrap_or(' '),
        };
        cells.iter().map(|line| line.iter().map(mark).collect()).collect()
    }
}

/// Returns the number of columns available for a plot on stdout.
pub fn stdout_columns() -> usize {
    terminal_size_of(io::stdout()).map_or(COLUMNS, |(Width(width), _)| width.into())
}

/// The bits of the dots in a Braille pattern, by line and column (Unicode, chapter 21.1).
const DOTS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

/// The character set of text plots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// Unicode lines and dots.
    Unicode,
    /// ASCII only.
    Ascii,
}

impl Charset {
    /// Returns the character set of the locale: Unicode if the first of `LC_ALL`, `LC_CTYPE` and
    /// `LANG` that is set is UTF-8.
    pub fn of_locale() -> Self {
        Self::of(["LC_ALL", "LC_CTYPE", "LANG"].map(|name| env::var(name).unwrap_or_default()))
    }

    fn of(values: [String; 3]) -> Self {
        let locale = values.into_iter().find(|value| !value.is_empty()).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        if locale.contains("utf-8") || locale.contains("utf8") { Self::Unicode } else { Self::Ascii }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(values: &[f64], columns: usize, charset: Charset) -> String {
        TextCurve::lower_is_better("loss", 1, values.to_vec()).unwrap().draw(columns, charset)
    }

    #[test]
    fn a_straight_line_is_drawn_in_dots() {
        let expected = "\
loss by epoch; lowest: 0.0000 in epoch 3
2.0000 │⠑⠢⣀
       │   ⠑⠢⣀
       │      ⠑⠢⣀
       │         ⠑⠢⣀
0.0000 │            ⠉⠢⢄
        1             3
";
        assert_eq!(drawn(&[2.0, 1.0, 0.0], 23, Charset::Unicode), expected);
    }

    #[test]
    fn a_constant_is_drawn_with_one_label() {
        let expected = "\
loss by epoch; lowest: 1.000e-5 in epoch 1
         |
         |
1.000e-5 |********
         |
         |
          1      2
";
        assert_eq!(drawn(&[1e-5, 1e-5], 1, Charset::Ascii), expected);
    }

    #[test]
    fn a_peak_among_thousands_of_epochs_is_visible() {
        let mut values = vec![0.0; 5000];
        values[2500] = 1.0;
        let drawn = drawn(&values, 200, Charset::Ascii);
        assert!(drawn.lines().nth(1).unwrap().contains('*'), "{drawn}");
        assert!(drawn.lines().skip(1).all(|line| line.len() <= COLUMNS), "{drawn}");
        assert!(drawn.ends_with("5000\n"), "{drawn}");
    }

    #[test]
    fn a_single_epoch_and_non_finite_values_give_no_curve() {
        for values in [vec![], vec![1.0], vec![1.0, f64::NAN], vec![f64::INFINITY, 1.0]] {
            assert_eq!(TextCurve::lower_is_better("loss", 1, values), None);
        }
    }

    #[test]
    fn a_loss_that_falls_and_rises_again_is_drawn_in_ascii() {
        let curve = TextCurve::lower_is_better("test loss", 1, vec![4.0, 2.0, 1.0, 1.5]).unwrap();
        let expected = "\
test loss by epoch; lowest: 1.0000 in epoch 3
4.0000 |*
       | **
       |   **
       |     ***     ***
1.0000 |        *****
        1              4
";
        assert_eq!(curve.draw(24, Charset::Ascii), expected);
    }

    #[test]
    fn the_first_variable_that_is_set_determines_the_character_set() {
        for (values, expected) in [
            (["", "", ""], Charset::Ascii),
            (["", "", "en_US.UTF-8"], Charset::Unicode),
            (["", "C.utf8", "C"], Charset::Unicode),
            (["C", "", "de_DE.UTF-8"], Charset::Ascii),
            (["POSIX", "", ""], Charset::Ascii),
        ] {
            assert_eq!(Charset::of(values.map(str::to_owned)), expected, "{values:?}");
        }
    }
}
