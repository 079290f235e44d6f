//! The inputs of samples in the types they are stored in, and their conversion to `f32`.

use crate::simd::vectorized;

/// The relation of gathered features to the content of a source, for programs that feed features to an exported model.
pub(crate) const AS_GATHERED: &str = "Features before standardization, which is part of the graph where the model has one: numbers of \
    CSV, npy and libsvm files as they are, pixels of IDX images / 255, pixels of the built-in digits (x - 5) / 3.";

/// The most features a sample may have. A rank gathers dense rows: at this limit one takes 64 MiB, and a single index in a
/// sparse file could otherwise ask for any amount of memory.
pub(super) const MAX_FEATURES: u64 = 1 << 24;

/// Numbers as the file has them: converting on the way in would take up to four times the memory, and the memory bandwidth
/// of every gather.
#[derive(Debug, Clone)]
pub(super) enum StoredFeatures {
    /// Bytes; gathered as (byte − zero) / divisor.
    U8 {
        values: Vec<u8>,
        zero: f32,
        divisor: f32,
    },
    I8(Vec<i8>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Sparse(Sparse),
}

/// Samples of which only the numbers that are not 0 are kept, row after row.
#[derive(Debug, Clone, Default)]
pub(super) struct Sparse {
    /// The end of each row in `columns` and `values`; row r starts where r − 1 ends.
    pub ends: Vec<usize>,
    /// The feature of each number, ascending within a row.
    pub columns: Vec<u32>,
    /// The numbers.
    pub values: Vec<f32>,
}

impl Sparse {
    /// The features and numbers of a row.
    pub fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        let range = start..self.ends[row];
        (&self.columns[range.clone()], &self.values[range])
    }

    /// Writes the rows given, dense, into `out` of (rows, features).
    pub fn gather(&self, samples: &[u32], features: usize, out: &mut [f32]) {
        for (&sample, row) in samples.iter().zip(out.chunks_exact_mut(features)) {
            row.fill(0.0);
            let (columns, values) = self.row(sample as usize);
            for (&column, &value) in columns.iter().zip(values) {
                row[column as usize] = value;
            }
        }
    }

    /// The rows given, in that order.
    pub fn select(&self, samples: &[u32]) -> Sparse {
        let mut chosen = Sparse::default();
        for &sample in samples {
            let (columns, values) = self.row(sample as usize);
            chosen.columns.extend_from_slice(columns);
            chosen.values.extend_from_slice(values);
            chosen.ends.push(chosen.values.len());
        }
        chosen
    }

    pub fn bytes(&self) -> usize {
        size_of_val(self.ends.as_slice())
            + size_of_val(self.columns.as_slice())
            + size_of_val(self.values.as_slice())
    }
}

/// The inputs of all samples: (samples, columns).
#[derive(Debug, Clone)]
pub(super) struct Features {
    pub stored: StoredFeatures,
    /// Features per sample, at least 1.
    pub columns: usize,
    /// The extents of one sample, for people: (28, 28) for an image, or one extent.
    pub shape: Vec<usize>,
}

impl Features {
    pub fn flat(stored: StoredFeatures, columns: usize) -> Self {
        Features { stored, columns, shape: vec![columns] }
    }

    /// The number of samples.
    pub fn rows(&self) -> usize {
        match &self.stored {
            StoredFeatures::U8 { values, .. } => values.len() / self.columns,
            StoredFeatures::I8(values) => values.len() / self.columns,
            StoredFeatures::F32(values) => values.len() / self.columns,
            StoredFeatures::F64(values) => values.len() / self.columns,
            StoredFeatures::Sparse(sparse) => sparse.ends.len(),
        }
    }

    /// Writes the samples given as `f32` into `out` of (samples, columns).
    pub fn gather(&self, samples: &[u32], out: &mut [f32]) {
        let columns = self.columns;
        match &self.stored {
            StoredFeatures::U8 { values, zero, divisor } => {
                let (zero, divisor) = (*zero, *divisor);
                copy(values, columns, samples, out, move |byte| (f32::from(byte) - zero) / divisor);
            }
            StoredFeatures::I8(values) => copy(values, columns, samples, out, f32::from),
            StoredFeatures::F32(values) => copy(values, columns, samples, out, |x| x),
            StoredFeatures::F64(values) => copy(values, columns, samples, out, |x| x as f32),
            StoredFeatures::Sparse(sparse) => sparse.gather(samples, columns, out),
        }
    }

    /// The samples given, in that order.
    pub fn select(&self, samples: &[u32]) -> Features {
        let columns = self.columns;
        let stored = match &self.stored {
            StoredFeatures::U8 { values, zero, divisor } => StoredFeatures::U8 {
                values: select_rows(values, columns, samples),
                zero: *zero,
                divisor: *divisor,
            },
            StoredFeatures::I8(values) => StoredFeatures::I8(select_rows(values, columns, samples)),
            StoredFeatures::F32(values) => StoredFeatures::F32(select_rows(values, columns, samples)),
            StoredFeatures::F64(values) => StoredFeatures::F64(select_rows(values, columns, samples)),
            StoredFeatures::Sparse(sparse) => StoredFeatures::Sparse(sparse.select(samples)),
        };
        Features { stored, columns, shape: self.shape.clone() }
    }

    /// Returns the conversion of a stored byte to a feature in words, if there is one.
    pub fn scale(&self) -> Option<String> {
        match &self.stored {
            StoredFeatures::U8 { zero: 0.0, divisor, .. } if *divisor != 1.0 => {
                Some(format!("pixel / {divisor}"))
            }
            StoredFeatures::U8 { zero, divisor, .. } if *divisor != 1.0 => {
                Some(format!("(pixel - {zero}) / {divisor}"))
            }
            _ => None,
        }
    }

    pub fn bytes(&self) -> usize {
        match &self.stored {
            StoredFeatures::U8 { values, .. } => values.len(),
            StoredFeatures::I8(values) => values.len(),
            StoredFeatures::F32(values) => size_of_val(values.as_slice()),
            StoredFeatures::F64(values) => size_of_val(values.as_slice()),
            StoredFeatures::Sparse(sparse) => sparse.bytes(),
        }
    }

    /// A few words for people: "u8 images 28 × 28".
    pub fn describe(&self) -> String {
        let kind = match &self.stored {
            StoredFeatures::U8 { .. } => "u8",
            StoredFeatures::I8(_) => "i8",
            StoredFeatures::F32(_) => "f32",
            StoredFeatures::F64(_) => "f64",
            StoredFeatures::Sparse(sparse) => {
                return format!("sparse, {:.1} % filled", self.filled_percent(sparse));
            }
        };
        if self.shape.len() < 2 {
            return format!("{kind} dense");
        }
        let extents: Vec<_> = self.shape.iter().map(usize::to_string).collect();
        let noun = if self.shape.len() == 2 { "images" } else { "arrays" };
        format!("{kind} {noun} {}", extents.join(" × "))
    }

    fn filled_percent(&self, sparse: &Sparse) -> f64 {
        100.0 * sparse.values.len() as f64 / (self.rows().max(1) as f64 * self.columns as f64)
    }
}

/// Returns the rows of `width` numbers each, for the samples given.
pub(super) fn select_rows<T: Copy>(values: &[T], width: usize, samples: &[u32]) -> Vec<T> {
    let mut chosen = Vec::with_capacity(samples.len() * width);
    for &sample in samples {
        let start = sample as usize * width;
        chosen.extend_from_slice(&values[start..start + width]);
    }
    chosen
}

/// Converts contiguous rows; one such loop per stored type.
fn copy<T: Copy>(values: &[T], columns: usize, samples: &[u32], out: &mut [f32], convert: impl Fn(T) -> f32) {
    // Moved: numbers behind a reference might be those written to, for all that the compiler knows.
    vectorized(
        #[inline(always)]
        move || {
            for (&sample, row) in samples.iter().zip(out.chunks_exact_mut(columns)) {
                let start = sample as usize * columns;
                for (to, &from) in row.iter_mut().zip(&values[start..start + columns]) {
                    *to = convert(from);
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(stored: StoredFeatures, samples: &[u32]) -> Vec<f32> {
        let mut out = vec![f32::NAN; samples.len() * 3];
        Features::flat(stored, 3).gather(samples, &mut out);
        out
    }

    #[test]
    fn every_stored_type_gathers_to_the_same_numbers() {
        let expected = [4.0, 0.0, 6.0, 1.0, 2.0, 0.0, 4.0, 0.0, 6.0];
        let sparse = Sparse { ends: vec![2, 4], columns: vec![0, 1, 0, 2], values: vec![1.0, 2.0, 4.0, 6.0] };
        let kinds = [
            StoredFeatures::U8 { values: vec![1, 2, 0, 4, 0, 6], zero: 0.0, divisor: 1.0 },
            StoredFeatures::U8 { values: vec![18, 34, 2, 66, 2, 98], zero: 2.0, divisor: 16.0 },
            StoredFeatures::I8(vec![1, 2, 0, 4, 0, 6]),
            StoredFeatures::F32(vec![1.0, 2.0, 0.0, 4.0, 0.0, 6.0]),
            StoredFeatures::F64(vec![1.0, 2.0, 0.0, 4.0, 0.0, 6.0]),
            StoredFeatures::Sparse(sparse),
        ];
        for kind in kinds {
            assert_eq!(gathered(kind, &[1, 0, 1]), expected);
        }
    }

    #[test]
    fn a_pixel_is_the_correctly_rounded_quotient() {
        let values: Vec<u8> = (0..=254).collect();
        let out =
            gathered(StoredFeatures::U8 { values, zero: 0.0, divisor: 255.0 }, &(0..85).collect::<Vec<_>>());
        for (byte, x) in out.into_iter().enumerate() {
            assert_eq!(x, (byte as f64 / 255.0) as f32);
        }
    }
}
