//! Sparse samples in compressed rows.

/// Samples of which only the numbers that are not 0 are kept, row after row.
#[derive(Debug, Clone, Default)]
pub(super) struct Sparse {
    /// Where each row ends in `columns` and `values`; row r starts where r − 1 ends.
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
