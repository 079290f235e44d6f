//! Summaries of a data set: its fingerprint, and how the reader interpreted its samples.

use serde::{Deserialize, Serialize};

use super::dataset::Dataset;
use super::features::{Sparse, StoredFeatures};
use super::labels::{Classes, Targets};
use super::options::Columns;
use super::text::listed;

/// The fingerprint of a data set: its sizes, and a checksum of all stored numbers, targets, class
/// names and weights. Two data sets with the same fingerprint are the same, unless a collision was
/// constructed deliberately. Standardization is not included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The number of samples.
    pub samples: usize,
    /// The number of features per sample.
    pub features: usize,
    /// The CRC32C checksum, in hexadecimal.
    pub crc32c: String,
}

/// The summary of how a reader interpreted its samples: stored with a model, and printed before a
/// run.
///
/// # Examples
///
/// ```
/// use phalanx::data::{LoadOptions, Source};
/// use phalanx::internals::DataSummary;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("flowers.csv");
/// std::fs::write(&path, "width,kind\n1.5,rose\n3,iris\n2,rose\n")?;
/// let source: Source = path.to_str().expect("the path is text").parse()?;
/// let data = source.load(&LoadOptions::default())?.train;
/// let summary: DataSummary = data.summary();
/// assert_eq!(summary.class_counts, Some(vec![1, 2]));
/// let rows = summary.rows(data.classes());
/// assert_eq!(rows[1], ("label", "\"kind\", the last column".to_owned()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DataSummary {
    /// The columns of the table and their uses; `None` if the samples come from another format.
    pub columns: Option<Columns>,
    /// The scaling of pixels, such as "pixel / 255"; `None` if features are not scaled.
    #[serde(default)]
    pub scale: Option<String>,
    /// The number of samples of each class, regardless of their weights; `None` unless the targets
    /// are classes.
    pub class_counts: Option<Vec<usize>>,
    /// The remarks of the reader, one sentence each.
    pub remarks: Vec<String>,
}

impl Dataset {
    /// Computes the fingerprint: the number of `samples`, the number of `features`, and `crc32c`, a
    /// checksum, in hexadecimal, of all stored numbers, targets, class names and weights. Two data
    /// sets with the same fingerprint are the same, unless a collision was constructed
    /// deliberately. Standardization is not included.
    ///
    /// # Cost
    ///
    /// One pass over all stored data, at several GB/s.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::data::{LoadOptions, Source};
    ///
    /// let digits = "digits".parse::<Source>()?.load(&LoadOptions::default())?;
    /// let (train, test) = (digits.train.fingerprint(), digits.test.expect("the digits have one").fingerprint());
    /// assert_eq!((train.samples, train.features), (1437, 64));
    /// assert_ne!(train.crc32c, test.crc32c);
    /// # Ok::<(), phalanx::data::DataError>(())
    /// ```
    pub fn fingerprint(&self) -> Fingerprint {
        let mut sum = Checksum(0);
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

    /// Returns how the reader interpreted the samples: the `columns` of their table, the `scale` of
    /// pixels, the number of samples of each class (`class_counts`) and the
    /// [`remarks`](Self::remarks). It is stored in the model file.
    pub fn summary(&self) -> DataSummary {
        let class_counts = match self.targets() {
            Targets::Classes { labels, count } => {
                let mut counts = vec![0; *count];
                labels.iter().for_each(|&label| counts[label as usize] += 1);
                Some(counts)
            }
            Targets::Values { .. } | Targets::None => None,
        };
        let remarks = self.remarks().collect();
        let (columns, scale) = (self.columns().cloned(), self.stored().scale());
        DataSummary { columns, scale, class_counts, remarks }
    }
}

struct Checksum(u32);

impl Checksum {
    /// Adds a text of any length, and its end.
    fn kind(&mut self, text: &[u8]) {
        self.numbers(text);
        self.numbers(&[0xff_u8]);
    }

    fn numbers<T: bytemuck::NoUninit>(&mut self, numbers: &[T]) {
        self.0 = crc32c::crc32c_append(self.0, bytemuck::cast_slice(numbers));
    }

    fn stored(&mut self, stored: &StoredFeatures) {
        match stored {
            StoredFeatures::U8 { values, zero, divisor } => {
                self.kind(b"u8");
                self.numbers(&[*zero, *divisor]);
                self.numbers(values);
            }
            StoredFeatures::I8(values) => {
                self.kind(b"i8");
                self.numbers(values);
            }
            StoredFeatures::F32(values) => {
                self.kind(b"f32");
                self.numbers(values);
            }
            StoredFeatures::F64(values) => {
                self.kind(b"f64");
                self.numbers(values);
            }
            StoredFeatures::Sparse(Sparse { ends, columns, values }) => {
                self.kind(b"sparse");
                self.numbers(ends);
                self.numbers(columns);
                self.numbers(values);
            }
        }
    }
}

/// Returns the label without the characters that would move the cursor of a terminal.
fn printable(label: &str) -> String {
    match label.contains(char::is_control) {
        true => label.escape_debug().to_string(),
        false => label.to_owned(),
    }
}

impl DataSummary {
    /// Returns names and texts for printing as a table; `classes` are the names of the classes.
    pub fn rows(&self, classes: Option<&Classes>) -> Vec<(&'static str, String)> {
        let mut rows = Vec::new();
        if let Some(columns) = &self.columns {
            let names = match columns.names() {
                Some(_) => "named in line 1",
                None => "without names; line 1 is a sample",
            };
            rows.push(("columns", format!("{}, {names}", columns.count())));
            let place = |column: usize| match column + 1 == columns.count() {
                true => "the last column".to_owned(),
                false => format!("column {column}"),
            };
            let named = |column: usize| match columns.names().map(|names| &names[column]) {
                Some(name) => format!("{name:?}, {}", place(column)),
                None if column + 1 == columns.count() => format!("column {column}, the last"),
                None => format!("column {column}"),
            };
            rows.extend(columns.label().map(|column| ("label", named(column))));
            rows.extend(columns.weight().map(|column| ("weights", named(column))));
            let texts = |of: &[usize]| listed(of.iter().map(|&column| columns.text(column)));
            rows.push(("feature columns", texts(columns.features())));
            let ignored = columns.ignored();
            if !ignored.is_empty() {
                let is_named = |column: usize| columns.names().is_some_and(|names| !names[column].is_empty());
                let text = |&column: &usize| match is_named(column) {
                    true => columns.text(column),
                    false => format!("column {column}, without a name"),
                };
                rows.push(("ignored columns", listed(ignored.iter().map(text))));
            }
        }
        rows.extend(self.scale.iter().map(|scale| ("scaled as", scale.clone())));
        if let (Some(counts), Some(classes)) = (&self.class_counts, classes) {
            let each = classes
                .names()
                .iter()
                .zip(counts)
                .map(|(name, count)| format!("{}: {count}", printable(name)));
            rows.push(("samples per class", listed(each.collect::<Vec<_>>().into_iter())));
        }
        rows
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
    fn every_change_affects_the_fingerprint() {
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
