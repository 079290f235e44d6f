//! Row B2: shows that sum, min and max of floats are exact if the values are crafted so that every
//! partial sum is exact, over the whole range of exponents and with subnormals, and that their mean
//! is at most 1 ulp from the exact quotient.
//!
//! The values of one element are k·2ᵉ, with the same e on all ranks and |k| so small that no sum of
//! them needs more digits than the type has (as in nccl-tests).

use crate::ranks::{Random, on_ranks};
use crate::tally::{Tally, count};
use phalanx_collective::{Float, Op, World};

const OPS: [Op; 4] = [Op::Sum, Op::Min, Op::Max, Op::Mean];

/// A float format: the digits of the significand, the exponent of the smallest subnormal, and the
/// highest e for which a sum of values with all digits is finite.
#[derive(Clone, Copy)]
struct Format {
    digits: i32,
    least: i32,
    most: i32,
}

impl Format {
    /// The distance between neighbouring values at `value`.
    fn ulp(self, value: f64) -> f64 {
        // The exponent field of a subnormal f64 reads as −1023, which is then below the minimum.
        let exponent = (value.to_bits() >> 52 & 0x7ff) as i32 - 1023;
        power_of_two((exponent - self.digits + 1).max(self.least))
    }
}

/// 2 to the power of `exponent`, even if the result is subnormal.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(if exponent < -1022 { 1 << (exponent + 1074) } else { ((exponent + 1023) as u64) << 52 })
}

/// The k of every rank and the e of an element.
struct Crafted {
    factors: Vec<i64>,
    unit: f64,
}

impl Crafted {
    fn new(size: usize, format: Format, random: &mut Random) -> Self {
        let most = (1i64 << format.digits) / size as i64;
        // Any number of digits down to one, and either sign.
        let mut factor = || {
            let factor = random.below(most as u64 + 1) as i64 >> random.below(format.digits as u64);
            if random.below(2) == 0 { factor } else { -factor }
        };
        let factors = (0..size).map(|_| factor()).collect();
        let range = if random.below(4) == 0 { 5 } else { format.most - format.least + 1 };
        let exponent = format.least + random.below(range as u64) as i32;
        Self { factors, unit: power_of_two(exponent) }
    }

    /// The distance of a result from the exact one in ulps.
    fn ulps(&self, found: f64, op: Op, format: Format) -> f64 {
        let factor = match op {
            Op::Min => *self.factors.iter().min().unwrap(),
            Op::Max => *self.factors.iter().max().unwrap(),
            _ => self.factors.iter().sum(),
        };
        let exact = factor as f64 * self.unit;
        // found·n − Σ is rounded once, so f64 is exact enough for it.
        let divisor = if op == Op::Mean { self.factors.len() as f64 } else { 1.0 };
        found.mul_add(divisor, -exact).abs() / format.ulp(found) / divisor
    }
}

fn crafted_sums_are_exact<T: Float>(format: Format) {
    let mut cases = Vec::new();
    let mut random = Random(format.digits as u64);
    // The first length is sent with the arrival, the second needs more than one block.
    for (size, len) in (1..=16).flat_map(|size| [8, 520 * size].map(|len| (size, len))) {
        for _ in 0..count(3, 150) {
            let crafted: Vec<_> = (0..len).map(|_| Crafted::new(size, format, &mut random)).collect();
            let results = on_ranks(World::new(size).unwrap(), |mut rank| {
                OPS.map(|op| {
                    let own = |crafted: &Crafted| crafted.factors[rank.rank()] as f64 * crafted.unit;
                    let mut values: Vec<T> = crafted.iter().map(own).map(T::from_f64).collect();
                    rank.all_reduce(&mut values, op).unwrap();
                    let ulps = values.into_iter().zip(&crafted);
                    ulps.map(|(found, crafted)| crafted.ulps(found.to_f64(), op, format)).fold(0.0, larger)
                })
            });
            for (case, op) in OPS.into_iter().enumerate() {
                let worst = results.iter().map(|ulps| ulps[case]).fold(0.0, larger);
                cases.push((op, size, len, worst));
            }
        }
    }
    let worst = cases.iter().map(|&(.., ulps)| ulps).fold(0.0, larger);
    let name = std::any::type_name::<T>();
    let mut tally = Tally::new(
        "B2",
        format!(
            "crafted reductions of {name}, sum, min and max at 0 ulp, mean at most 1; the worst mean: {worst:.3} ulp"
        ),
    );
    for (op, size, len, ulps) in cases {
        let allowed = if op == Op::Mean { 1.0 } else { 0.0 };
        tally.case(ulps <= allowed, || format!("{op} of {len} {name} over {size}: {ulps} ulp"));
    }
    tally.end();
}

/// The larger of two, or NaN if either is NaN, which must not be hidden by good values.
fn larger(left: f64, right: f64) -> f64 {
    if left.is_nan() || left > right { left } else { right }
}

#[test]
fn crafted_sums_of_f32_are_exact() {
    crafted_sums_are_exact::<f32>(Format { digits: 24, least: -149, most: 103 });
}

#[test]
fn crafted_sums_of_f64_are_exact() {
    crafted_sums_are_exact::<f64>(Format { digits: 53, least: -1074, most: 970 });
}

#[cfg(feature = "half")]
#[test]
fn crafted_sums_of_half_floats_are_exact() {
    crafted_sums_are_exact::<half::f16>(Format { digits: 11, least: -24, most: 4 });
    crafted_sums_are_exact::<half::bf16>(Format { digits: 8, least: -133, most: 119 });
}
