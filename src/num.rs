//! Small helpers that any module may use: the names of enums, and the largest magnitude.

use crate::simd::vectorized;

/// Generates the names of an enum whose variants are unit variants or hold another choice: `ALL`,
/// `name`, `Display` and `FromStr`, which accepts exactly these names.
///
/// `names!(Loss, "loss", [Mse => "mse", ...])`; the second argument is the noun in the error
/// message. The error type is `String`, or the optional third argument, a type that implements
/// [`UnknownName`].
macro_rules! names {
    ($type:ident, $what:literal, [$($names:tt)+]) => {
        $crate::num::names!($type, $what, String, [$($names)+]);
    };
    ($type:ident, $what:literal, $error:ty, [$($variant:ident $(($inner:path))? => $name:literal),+ $(,)?]) => {
        impl $type {
            /// Every choice, in the order of its documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant $(($inner))?),+];

            /// The kebab-case name, as in flags and files.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant $(($inner))? => $name),+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                let found = Self::ALL.iter().copied().find(|choice| choice.name() == text);
                found.ok_or_else(|| $crate::num::UnknownName::new($what, text, &[$($name),+]))
            }
        }
    };
}

pub(crate) use names;

/// The error for a name that matches no variant.
pub(crate) trait UnknownName {
    fn new(what: &'static str, found: &str, expected: &'static [&'static str]) -> Self;
}

impl UnknownName for String {
    fn new(what: &'static str, found: &str, expected: &'static [&'static str]) -> Self {
        let (last, others) = expected.split_last().expect("an enum has a choice");
        format!("unknown {what} '{found}', expected {} or {last}", others.join(", "))
    }
}

/// Returns the largest magnitude among the values: NaN if any value is NaN, and 0 if there are no
/// values.
///
/// Compares bit patterns, whose integer order is the order of magnitudes, with NaN above infinity.
/// The loop has no branches, so the compiler can vectorize it.
pub(crate) fn largest_magnitude(values: &[f32]) -> f32 {
    let magnitude = |value: &f32| (value.to_bits() & 0x7fff_ffff) as i32;
    let largest = vectorized(
        #[inline(always)]
        || values.iter().fold(0, |largest, value| largest.max(magnitude(value))),
    );
    f32::from_bits(largest as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_magnitude_ignores_the_sign_and_keeps_nan() {
        assert_eq!(largest_magnitude(&[]), 0.0);
        assert_eq!(largest_magnitude(&[1.0, -3.0, 2.0]), 3.0);
        assert_eq!(largest_magnitude(&[1.0, f32::NEG_INFINITY]), f32::INFINITY);
        assert!(largest_magnitude(&[f32::INFINITY, -f32::NAN, 1.0]).is_nan());
    }

    #[test]
    fn the_error_for_an_unknown_name_lists_the_valid_names() {
        assert_eq!(
            <String as UnknownName>::new("loss", "l2", &["bce", "mse"]),
            "unknown loss 'l2', expected bce or mse"
        );
        assert_eq!(
            <String as UnknownName>::new("x", "d", &["a", "b", "c"]),
            "unknown x 'd', expected a, b or c"
        );
    }
}
