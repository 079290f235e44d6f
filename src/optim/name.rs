//! One kebab-case name for each choice: the same in flags, files, logs and messages.

/// Gives an enum of unit variants, or of variants with another such choice, its `ALL`, `name`, `Display` and `FromStr`.
///
/// `FromStr` accepts the kebab-case names and nothing else, and answers with [`OptimError::UnknownName`].
///
/// [`OptimError::UnknownName`]: super::OptimError::UnknownName
macro_rules! names {
    ($type:ident, $what:literal, [$($variant:ident $(($inner:path))? => $name:literal),+ $(,)?]) => {
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
            type Err = $crate::optim::OptimError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|choice| choice.name() == text).ok_or_else(|| {
                    $crate::optim::OptimError::UnknownName {
                        what: $what,
                        found: text.to_owned(),
                        expected: &[$($name),+],
                    }
                })
            }
        }
    };
}

pub(super) use names;

#[cfg(test)]
mod tests {
    use super::super::convention::{BatchRule, Convention};
    use super::super::{
        EpsForm, Framework, L2Form, MomentumForm, OptimError, OptimizerKind, Reduction, ScaleRate,
        ScheduleKind, WarmupForm,
    };
    use serde::{Serialize, de::DeserializeOwned};
    use std::{
        fmt::{Debug, Display},
        str::FromStr,
    };

    fn has_one_name<T>(all: &[T])
    where
        T: Copy + Debug + PartialEq + Display + FromStr<Err = OptimError> + Serialize + DeserializeOwned,
    {
        for &choice in all {
            assert_eq!(choice.to_string().parse::<T>().unwrap(), choice);
            assert_eq!(serde_json::to_string(&choice).unwrap(), format!("\"{choice}\""));
            assert_eq!(serde_json::from_str::<T>(&format!("\"{choice}\"")).unwrap(), choice);
        }
    }

    #[test]
    fn every_choice_has_the_same_name_in_text_and_in_files() {
        has_one_name(OptimizerKind::ALL);
        has_one_name(MomentumForm::ALL);
        has_one_name(EpsForm::ALL);
        has_one_name(Framework::ALL);
        has_one_name(L2Form::ALL);
        has_one_name(Reduction::ALL);
        has_one_name(ScheduleKind::ALL);
        has_one_name(WarmupForm::ALL);
        has_one_name(ScaleRate::ALL);
        has_one_name(Convention::ALL);
        has_one_name(BatchRule::ALL);
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = "mean-of-means".parse::<Reduction>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown reduction \"mean-of-means\"; choose one of mean, sum, mean-of-shard-means, sum-of-shard-means, \
             mean-of-shard-sums"
        );
    }
}
