//! The columns of a table: which are features, which is the label, which the weight.

use super::{Column, DataError, HeaderRow, LoadOptions, TargetKind};

/// What each column of a table is for.
#[derive(Debug)]
pub(super) struct Columns {
    /// Columns in all.
    pub count: usize,
    /// The label column, also if it is only to be left out.
    pub label: Option<usize>,
    pub weight: Option<usize>,
    /// The columns' names, if the first row has them.
    pub names: Option<Vec<String>>,
}

impl Columns {
    /// Decides from the first row (at `line`) of a table and the options.
    pub fn decide(
        file: &str,
        line: u64,
        first: Vec<String>,
        options: &LoadOptions,
    ) -> Result<Columns, DataError> {
        let search = Search { file, first: &first, is_header: options.header != HeaderRow::Absent };
        let find = |column: &Option<Column>| match search.find(column.as_ref()) {
            // Where no labels are wanted, those of the training samples need not be there.
            Err(DataError::NoColumn { .. } | DataError::NoHeader { .. })
                if options.target == TargetKind::None =>
            {
                Ok(None)
            }
            found => found,
        };
        let weight = find(&options.weight_column)?;
        let label = find(&options.label_column)?;
        let by_name = |column: &Option<Column>| matches!(column, Some(Column::Name(_)));
        let is_named = (label.is_some() && by_name(&options.label_column))
            || (weight.is_some() && by_name(&options.weight_column));
        let mut columns = Columns { count: first.len(), label, weight, names: None };
        if label.is_some() && label == weight {
            let column = columns.label_text(&first);
            return Err(DataError::SameColumn { file: file.to_string(), column });
        }
        columns.default_label(file, options)?;
        let has_header = match options.header {
            HeaderRow::Present => true,
            HeaderRow::Absent => false,
            HeaderRow::Auto => is_named || columns.has_words(&first),
        };
        columns.check_width(file, line, &first, options)?;
        columns.names = has_header.then_some(first);
        Ok(columns)
    }

    /// The number of feature columns.
    pub fn features(&self) -> usize {
        self.count.saturating_sub(usize::from(self.label.is_some()) + usize::from(self.weight.is_some()))
    }

    /// The column as the user would name it.
    pub fn text(&self, column: usize) -> String {
        match self.names.as_ref().and_then(|names| names.get(column)) {
            Some(name) => format!("{name:?}"),
            None => column.to_string(),
        }
    }

    fn label_text(&self, first: &[String]) -> String {
        self.label.map_or_else(String::new, |label| format!("{label} ({:?})", first[label]))
    }

    /// The last column that is not the weight, unless labels are neither wanted nor there.
    fn default_label(&mut self, file: &str, options: &LoadOptions) -> Result<(), DataError> {
        let others = self.count - usize::from(self.weight.is_some());
        let is_absent = match (options.target, options.features) {
            (TargetKind::None, Some(features)) if others == features => {
                self.label = None;
                true
            }
            (TargetKind::None, Some(features)) if others != features + 1 => {
                return Err(DataError::Columns { file: file.to_string(), found: self.count, features });
            }
            (TargetKind::None, None) => true,
            _ => false,
        };
        if self.label.is_none() && !is_absent {
            self.label = (0..self.count).rev().find(|column| Some(*column) != self.weight);
        }
        Ok(())
    }

    /// Whether a feature column has text that is no number. An empty field is a missing number rather than a name.
    fn has_words(&self, first: &[String]) -> bool {
        let is_feature = |column: usize| Some(column) != self.label && Some(column) != self.weight;
        let is_word = |text: &str| !text.is_empty() && text.parse::<f64>().is_err();
        first.iter().enumerate().any(|(column, text)| is_feature(column) && is_word(text.trim()))
    }

    fn check_width(
        &self,
        file: &str,
        line: u64,
        first: &[String],
        options: &LoadOptions,
    ) -> Result<(), DataError> {
        if self.features() > 0 {
            return Ok(());
        }
        let separated = |separator: char| first.iter().any(|text| text.contains(separator));
        let advice = match (separated(';'), separated('\t')) {
            (true, _) => "separated by commas; the line has semicolons",
            (_, true) => "separated by commas; the line has tabs",
            _ => "separated by commas",
        };
        let label = usize::from(options.target != TargetKind::None);
        let weight = usize::from(options.weight_column.is_some());
        let (found, expected) = (self.count, 1 + label + weight);
        Err(DataError::TooFewColumns { file: file.to_string(), line, found, expected, advice })
    }
}

/// Looks up columns in the first row.
struct Search<'a> {
    file: &'a str,
    first: &'a [String],
    /// Whether the row may be a header.
    is_header: bool,
}

impl Search<'_> {
    fn find(&self, column: Option<&Column>) -> Result<Option<usize>, DataError> {
        match column {
            None => Ok(None),
            Some(Column::Number(number)) => self.by_number(*number).map(Some),
            Some(Column::Name(name)) => self.by_name(name).map(Some),
        }
    }

    fn by_number(&self, number: i64) -> Result<usize, DataError> {
        let count = self.first.len();
        let found = match usize::try_from(number) {
            Ok(number) => Some(number).filter(|&number| number < count),
            Err(_) => usize::try_from(number.unsigned_abs()).ok().and_then(|back| count.checked_sub(back)),
        };
        found.ok_or_else(|| {
            self.no_column(
                Column::Number(number),
                format!("0 to {}, or -1 to -{count} from the end", count - 1),
            )
        })
    }

    fn by_name(&self, name: &str) -> Result<usize, DataError> {
        let column = || Column::Name(name.to_string());
        let mut found = (0..self.first.len()).filter(|&at| self.first[at].trim() == name);
        let is_sample = self.first.iter().all(|text| text.trim().parse::<f64>().is_ok());
        match (found.next(), found.next()) {
            _ if !self.is_header => {
                Err(DataError::NoHeader { file: self.file.to_string(), column: column() })
            }
            (Some(at), None) => Ok(at),
            (Some(_), Some(_)) => {
                Err(DataError::TwoColumns { file: self.file.to_string(), column: column() })
            }
            (None, _) if is_sample => {
                Err(DataError::NoHeader { file: self.file.to_string(), column: column() })
            }
            (None, _) => Err(self.no_column(column(), format!("one of {}", self.some_names()))),
        }
    }

    fn some_names(&self) -> String {
        let shown: Vec<_> = self.first.iter().take(8).map(|name| name.trim()).collect();
        let rest = if self.first.len() > shown.len() { ", ..." } else { "" };
        format!("{}{rest}", shown.join(", "))
    }

    fn no_column(&self, column: Column, expected: String) -> DataError {
        DataError::NoColumn { file: self.file.to_string(), column, expected }
    }
}
