//! The features of samples in the types they are stored in, and their conversion to `f32`.

use crate::simd::{prefetch, vectorized};

/// Describes how gathered features relate to the content of a source, for programs that pass
/// features to an exported model.
pub(crate) const AS_GATHERED: &str = "Features before standardization (the graph contains the standardization or --scale of the model, if any): \
    numbers of CSV, npy and libsvm files unchanged, pixels of IDX images / 255, pixels of the built-in digits (x - 5) / 3.";

/// The maximum number of features of a sample. A rank gathers dense rows: at this limit, one row
/// takes 64 MiB, and without it a single index in a sparse file could request any amount of memory.
pub(super) const MAX_FEATURES: u64 = 1 << 24;

/// Features in the type of the file: converting them when reading would take up to four times the
/// memory, and up to four times the memory bandwidth in every gather.
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

/// Samples of which only the nonzero numbers are stored, row after row.
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
    /// Returns the feature indices and numbers of a row.
    pub fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        let range = start..self.ends[row];
        (&self.columns[range.clone()], &self.values[range])
    }

    /// Writes the given rows, as dense rows, to `out` of shape (rows, features).
    pub fn gather(&self, samples: &[u32], features: usize, out: &mut [f32]) {
        if features == 0 {
            return;
        }
        for (&sample, row) in samples.iter().zip(out.chunks_exact_mut(features)) {
            row.fill(0.0);
            let (columns, values) = self.row(sample as usize);
            for (&column, &value) in columns.iter().zip(values) {
                row[column as usize] = value;
            }
        }
    }

    /// Returns the given rows, in that order.
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
    /// Features per sample; 0 if the samples are indices only, which are stored as sparse.
    pub columns: usize,
    /// The shape of one sample, for descriptions: (28, 28) for an image, otherwise a single length.
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

    /// Writes the given samples as `f32` to `out` of shape (samples, columns).
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

    /// Returns the given samples, in that order.
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

    /// Returns a description of the conversion of a stored byte to a feature, if there is one.
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

    /// Returns a short description: "u8 images 28 × 28".
    pub fn describe(&self) -> String {
        if self.columns == 0 {
            return "indices".to_owned();
        }
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

/// Returns the rows of the given samples; each row has `width` numbers.
pub(super) fn select_rows<T: Copy>(values: &[T], width: usize, samples: &[u32]) -> Vec<T> {
    let mut chosen = Vec::with_capacity(samples.len() * width);
    for &sample in samples {
        let start = sample as usize * width;
        chosen.extend_from_slice(&values[start..start + width]);
    }
    chosen
}

/// The number of rows that are requested ahead, and the most bytes of one: the processor itself
/// notices that a longer row is read in order.
///
/// The samples of a shuffled batch are far apart in memory. With 784-128-10 and batches of 128 on
/// MNIST, requesting them ahead gains 6 % of a step with AVX-512 and 4 % with AVX2 on two threads
/// (Zen 5).
const ROWS_AHEAD: usize = 2;

const BYTES_AHEAD: usize = 4096;

/// Converts contiguous rows. Each stored type has its own instance of this loop.
fn copy<T: Copy>(values: &[T], columns: usize, samples: &[u32], out: &mut [f32], convert: impl Fn(T) -> f32) {
    let row = |sample: u32| &values[sample as usize * columns..][..columns];
    // `move`: the compiler must assume that values behind a reference might be overwritten by the
    // loop.
    vectorized(
        #[inline(always)]
        move || {
            for (index, to) in out.chunks_exact_mut(columns).enumerate().take(samples.len()) {
                if let Some(&next) = samples.get(index + ROWS_AHEAD) {
                    prefetch(&row(next)[..columns.min(BYTES_AHEAD / size_of::<T>())]);
                }
                for (to, &from) in to.iter_mut().zip(row(samples[index])) {
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
    fn every_stored_type_is_gathered_as_the_same_numbers() {
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
