//! Row B7: shows that NaN, infinities and zeros of either sign propagate from any rank as IEEE 754
//! specifies.

use crate::ranks::{Random, on_ranks};
use crate::tally::{Tally, count};
use phalanx_collective::{Float, Op, World};

const OPS: [Op; 5] = [Op::Sum, Op::Mean, Op::Min, Op::Max, Op::Product];
const VALUES: [f64; 6] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0, 1.0];

/// The result of an operator on values from [`VALUES`], in any order: IEEE 754-2019, sections 6.1
/// to 6.3 and 9.6.
fn expected(values: &[f64], op: Op) -> f64 {
    let has = |special: f64| values.iter().any(|value| value.to_bits() == special.to_bits());
    let ones = values.iter().filter(|&&value| value == 1.0).count() as f64;
    let is_minus = values.iter().filter(|value| value.is_sign_negative()).count() % 2 == 1;
    if values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let [highest, lowest] = [f64::INFINITY, f64::NEG_INFINITY];
    match op {
        Op::Sum | Op::Mean if has(highest) && has(lowest) => f64::NAN,
        Op::Sum | Op::Mean if has(highest) => highest,
        Op::Sum | Op::Mean if has(lowest) => lowest,
        Op::Sum | Op::Mean if values.iter().all(|value| value.to_bits() == (-0.0f64).to_bits()) => -0.0,
        Op::Sum => ones,
        Op::Mean => ones / values.len() as f64,
        Op::Min => [lowest, -0.0, 0.0, 1.0, highest].into_iter().find(|&least| has(least)).unwrap(),
        Op::Max => [highest, 1.0, 0.0, -0.0, lowest].into_iter().find(|&most| has(most)).unwrap(),
        Op::Product => {
            let is_zero = has(0.0) || has(-0.0);
            let size = match has(highest) || has(lowest) {
                true if is_zero => return f64::NAN,
                true => f64::INFINITY,
                false => f64::from(!is_zero),
            };
            if is_minus { -size } else { size }
        }
    }
}

/// The values of each rank for each element: every choice of [`VALUES`] for up to four ranks (five
/// in the full form), and for more ranks mostly 1, with a few others.
fn choices(size: usize) -> Vec<Vec<f64>> {
    if size <= count(4, 5) as usize {
        let choice = |number: usize| (0..size as u32).map(move |rank| VALUES[number / 6usize.pow(rank) % 6]);
        return (0..6usize.pow(size as u32)).map(|number| choice(number).collect()).collect();
    }
    let mut random = Random(size as u64);
    let mut choice = |number: usize| {
        let mut values = vec![1.0; size];
        values[number % size] = VALUES[number / size % 6];
        (0..random.below(3))
            .for_each(|_| values[random.below(size as u64) as usize] = VALUES[random.below(6) as usize]);
        values
    };
    (0..600).map(&mut choice).collect()
}

fn specials_propagate<T: Float>() {
    let name = std::any::type_name::<T>();
    let mut tally =
        Tally::new("B7", format!("choices of special values of {name} that propagate as IEEE 754 specifies"));
    let same = |found: T, expected: f64| {
        let (found, expected) = (found.to_f64(), T::from_f64(expected).to_f64());
        found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan()
    };
    for size in 1..=16 {
        let choices = choices(size);
        for op in OPS {
            // The whole vector is lent; 8 elements are sent with the arrival.
            for piece in [choices.len(), 8] {
                let results = on_ranks(World::new(size).unwrap(), |mut rank| {
                    let own = |values: &Vec<f64>| T::from_f64(values[rank.rank()]);
                    let mut values: Vec<T> = choices.iter().map(own).collect();
                    values.chunks_mut(piece).for_each(|piece| rank.all_reduce(piece, op).unwrap());
                    values
                });
                for (index, brought) in choices.iter().enumerate() {
                    let expected = expected(brought, op);
                    tally.case(results.iter().all(|found| same(found[index], expected)), || {
                        let found: Vec<_> = results.iter().map(|values| values[index].to_f64()).collect();
                        format!("{op} of {brought:?} gave {found:?}, not {expected}")
                    });
                }
            }
        }
    }
    tally.end();
}

#[test]
fn special_values_of_f32_from_any_rank_propagate() {
    specials_propagate::<f32>();
}

#[test]
fn special_values_of_f64_from_any_rank_propagate() {
    specials_propagate::<f64>();
}

#[cfg(feature = "half")]
#[test]
fn special_values_of_half_floats_from_any_rank_propagate() {
    specials_propagate::<half::f16>();
    specials_propagate::<half::bf16>();
}
