//! The value of `--lens`.

use std::str::FromStr;

/// Lens of vectors: `1000`, `64K`, `16M`, or `1..16M` for 1, 4, 16 ... up to 16M; several with commas between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lens(pub(super) Vec<usize>);

/// Within a range each len is so many times the one before.
const FACTOR: usize = 4;

impl FromStr for Lens {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(|part| match part.split_once("..") {
            Some((from, to)) => range(len(from)?, len(to)?),
            None => Ok(vec![len(part)?]),
        });
        Ok(Self(parts.collect::<Result<Vec<_>, String>>()?.concat()))
    }
}

fn range(from: usize, to: usize) -> Result<Vec<usize>, String> {
    if from > to {
        return Err(format!("the range {from}..{to} is empty; put the smaller len first"));
    }
    let next = |len: &usize| len.checked_mul(FACTOR).filter(|next| *next <= to);
    Ok(std::iter::successors(Some(from), next).collect())
}

fn len(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 1 << 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 1 << 20),
        _ => (text, 1),
    };
    let len = digits.parse::<usize>().ok().and_then(|number| number.checked_mul(unit));
    match len {
        Some(0) => Err("a vector of 0 elements has nothing to reduce; give lens of at least 1".to_owned()),
        Some(len) => Ok(len),
        None => Err(format!(
            "'{text}' is not a len; expected a number such as 1000, 64K or 16M, or a range 1..16M"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lens(text: &str) -> Vec<usize> {
        text.parse::<Lens>().unwrap().0
    }

    #[test]
    fn a_range_takes_steps_of_four() {
        assert_eq!(lens("1..300"), [1, 4, 16, 64, 256]);
        assert_eq!(lens("1..16M").len(), 13);
        assert_eq!(lens("1..16M").last(), Some(&(1 << 24)));
        assert_eq!(lens("5..5"), [5]);
    }

    #[test]
    fn lists_ranges_and_units_mix() {
        assert_eq!(lens("7, 2K,3m,1..4"), [7, 2048, 3 << 20, 1, 4]);
    }

    #[test]
    fn a_range_up_to_the_last_number_there_is_ends() {
        assert_eq!(lens(&format!("1..{}", usize::MAX)).len(), usize::BITS as usize / 2);
    }

    #[test]
    fn what_is_no_len_is_refused() {
        for text in ["", "x", "-1", "1.5", "0", "16G", "K", "1..", "..4", "8..4", "1,,2", "99999999999999M"] {
            assert!(text.parse::<Lens>().is_err(), "{text}");
        }
    }
}
