//! What tells one data set from another.

use serde::{Deserialize, Serialize};

use super::features::Stored;
use super::sparse::Sparse;
use super::{Dataset, Targets};

/// What tells one data set from another: sizes, and a checksum of all numbers as they are stored, of targets, class names and
/// weights. Two sets with the same fingerprint are the same unless somebody made them so; standardization is not looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Number of samples.
    pub samples: usize,
    /// Features of each.
    pub features: usize,
    /// CRC32C, in hex.
    pub crc32c: String,
}

impl Dataset {
    /// Computes the fingerprint.
    ///
    /// # Cost
    ///
    /// One pass over everything that is stored, at several GB/s.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut sum = Sum(0);
        sum.stored(&self.stored().stored);
        match self.targets() {
            Targets::Classes { labels, count } => {
                sum.kind(b"classes");
                sum.numbers(labels);
                sum.numbers(&[*count as u64]);
            }
            Targets::Values { values, outputs } => {
                sum.kind(b"values");
                sum.numbers(values);
                sum.numbers(&[*outputs as u64]);
            }
            Targets::None => sum.kind(b"none"),
        }
        for name in self.classes().iter().flat_map(|classes| classes.names()) {
            sum.kind(name.as_bytes());
        }
        if let Some(weights) = self.weights() {
            sum.kind(b"weights");
            sum.numbers(weights);
        }
        Fingerprint { samples: self.len(), features: self.features(), crc32c: format!("{:08x}", sum.0) }
    }
}

struct Sum(u32);

impl Sum {
    /// Text of any len, and its end.
    fn kind(&mut self, text: &[u8]) {
        self.numbers(text);
        self.numbers(&[0xff_u8]);
    }

    fn numbers<T: bytemuck::NoUninit>(&mut self, numbers: &[T]) {
        self.0 = crc32c::crc32c_append(self.0, bytemuck::cast_slice(numbers));
    }

    fn stored(&mut self, stored: &Stored) {
        match stored {
            Stored::U8 { values, zero, divisor } => {
                self.kind(b"u8");
                self.numbers(&[*zero, *divisor]);
                self.numbers(values);
            }
            Stored::I8(values) => {
                self.kind(b"i8");
                self.numbers(values);
            }
            Stored::F32(values) => {
                self.kind(b"f32");
                self.numbers(values);
            }
            Stored::F64(values) => {
                self.kind(b"f64");
                self.numbers(values);
            }
            Stored::Sparse(Sparse { ends, columns, values }) => {
                self.kind(b"sparse");
                self.numbers(ends);
                self.numbers(columns);
                self.numbers(values);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    fn of(features: Array2<f32>, labels: Vec<u32>, count: usize, weights: Option<Vec<f32>>) -> Fingerprint {
        Dataset::from_arrays(features, Targets::Classes { labels, count }, weights).unwrap().fingerprint()
    }

    #[test]
    fn whatever_is_changed_shows() {
        let features = || array![[1.0, 2.0], [3.0, 4.0]];
        let all = [
            of(features(), vec![0, 1], 2, None),
            of(array![[1.0, 2.0], [3.0, 5.0]], vec![0, 1], 2, None),
            of(array![[3.0, 4.0], [1.0, 2.0]], vec![0, 1], 2, None),
            of(array![[1.0], [2.0]], vec![0, 1], 2, None),
            of(features(), vec![1, 0], 2, None),
            of(features(), vec![0, 1], 3, None),
            of(features(), vec![0, 1], 2, Some(vec![1.0, 1.0])),
            of(features(), vec![0, 1], 2, Some(vec![1.0, 2.0])),
            Dataset::from_arrays(features(), Targets::None, None).unwrap().fingerprint(),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(all[..index].iter().all(|other| other != one), "{index}");
        }
        assert_eq!(all[0], of(features(), vec![0, 1], 2, None));
    }
}
