//! What a gradient noise scale means for a batch size, in words.

use super::grouped;
use phalanx::train::NoiseEstimate;

/// A batch this many times smaller or larger than the noise scale is called so: at 3 a step does a quarter, or three quarters,
/// of what the exact gradient would.
const FAR: f64 = 3.0;

/// Says in one sentence what a noise scale means for batches of `batch` samples.
///
/// A step of B samples does 1/(1 + B_noise/B) of what the exact gradient would, each with its best rate (McCandlish 2018,
/// arXiv:1812.06162, eq. 2.7).
pub fn noise_advice(noise_scale: Option<NoiseEstimate>, batch: usize) -> String {
    let Some(NoiseEstimate { value, error }) = noise_scale else {
        return "too few measurements for so much noise: train longer, measure more often (--noise-scale=1), or raise -b"
            .to_owned();
    };
    let size = batch as f64;
    let (name, about) = (grouped(batch as u64), grouped(rounded(value)));
    let done = 100.0 / (1.0 + value.max(0.0) / size);
    if value < 1.0 {
        return format!("there is next to no noise: a batch of {name} says what a single sample does");
    }
    let advice = if size < value / FAR {
        format!(
            "batches beyond about {about} will mostly be wasted; at {name} each step is noisy and does {done:.0} % of what the \
             exact gradient would, and the rate can grow with the batch (under sum it stays)"
        )
    } else if size > value * FAR {
        format!(
            "batches of {name} are mostly wasted: {about} samples would do half of what the exact gradient does, these do \
             {done:.0} %; smaller ones reach the same loss with fewer samples"
        )
    } else {
        format!(
            "batches of {name} are about right: they do {done:.0} % of what the exact gradient would; larger ones save steps, \
             smaller ones samples"
        )
    };
    if error > value / 4.0 { format!("{advice}; all of this roughly, as the error is large") } else { advice }
}

/// "1230 ± 90": a noise scale with two digits of its error that count, and as many of its own.
pub fn with_error(estimate: &NoiseEstimate) -> String {
    let NoiseEstimate { value, error } = *estimate;
    if !error.is_finite() || value.abs() >= 1e15 {
        return format!("{value:.3e} ± {error:.1e}");
    }
    if error >= 10.0 {
        let unit = 10_f64.powf(error.log10().floor() - 1.0);
        let round = |number: f64| grouped(((number / unit).round() * unit).round() as u64);
        return format!("{} ± {}", round(value), round(error));
    }
    if error >= 1.0 { format!("{value:.0} ± {error:.0}") } else { format!("{value:.2} ± {error:.2}") }
}

/// Two digits that count.
fn rounded(value: f64) -> u64 {
    let unit = 10_f64.powf((value.log10().floor() - 1.0).max(0.0));
    ((value / unit).round() * unit) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: f64, error: f64, batch: usize) -> String {
        noise_advice(Some(NoiseEstimate { value, error }), batch)
    }

    #[test]
    fn the_sentence_depends_on_which_side_the_batch_is() {
        assert!(of(1220.0, 80.0, 64).contains("at 64 each step is noisy and does 5 %"));
        assert!(of(1220.0, 80.0, 1024).contains("1024 are about right: they do 46 %"));
        assert!(of(64.0, 5.0, 1024).contains("1024 are mostly wasted: 64 samples"));
        assert!(of(0.0, 0.0, 8).contains("next to no noise"));
        assert!(noise_advice(None, 8).contains("too few measurements"));
    }

    #[test]
    fn a_large_error_is_said() {
        assert!(of(1220.0, 500.0, 64).ends_with("as the error is large"));
        assert!(!of(1220.0, 80.0, 64).contains("roughly"));
    }

    #[test]
    fn a_value_has_no_more_digits_than_its_error() {
        let text = |value, error| with_error(&NoiseEstimate { value, error });
        assert_eq!(text(1219.8, 85.2), "1220 ± 85");
        assert_eq!(text(1219.8, 451.0), "1220 ± 450");
        assert_eq!(text(123_456.0, 5_432.0), "123,500 ± 5400");
        assert_eq!(text(64.4, 3.3), "64 ± 3");
        assert_eq!(text(0.5, 0.25), "0.50 ± 0.25");
        assert_eq!([rounded(1234.0), rounded(64.4), rounded(203.0), rounded(99.6)], [1200, 64, 200, 100]);
    }

    #[test]
    fn the_sentence_begins_with_the_batch_size_from_which_on_samples_are_wasted() {
        let advice = of(1219.8, 85.2, 64);
        let expected = "batches beyond about 1200 will mostly be wasted; at 64 each step is noisy";
        assert!(advice.starts_with(expected), "{advice}");
    }
}
