//! The first row of a table: decides whether it is column names, and which columns are features,
//! label and weight.

use super::error::{DataError, Remark};
use super::labels::{Classes, TargetKind};
use super::options::{Columns, HeaderRow, LoadOptions};
use super::text::{Column, FieldKind, excerpt, listed};

/// Decides the use of each column of a table from its first row (at `line`) and the options.
pub(super) fn decide_columns(
    file: &str,
    line: u64,
    first: &[String],
    options: &LoadOptions,
) -> Result<(Columns, Vec<Remark>), DataError> {
    let texts: Vec<&str> = first.iter().map(|text| text.trim()).collect();
    let row = FirstRow { file, line, texts: &texts, options };
    row.check_delimiter()?;
    match &options.columns {
        Some(known) => row.columns_from_training(known),
        None => row.columns_from_options(),
    }
}

/// Returns whether a column of this name is likely to be the label.
pub(super) fn is_label_name(name: &str) -> bool {
    ["label", "labels", "target", "class", "y"].contains(&name.to_lowercase().as_str())
}

/// The first row of a table, which determines its columns. Texts are trimmed.
struct FirstRow<'a> {
    file: &'a str,
    line: u64,
    texts: &'a [&'a str],
    options: &'a LoadOptions,
}

impl FirstRow<'_> {
    /// Decides the columns of a table without reference to an earlier table.
    fn columns_from_options(&self) -> Result<(Columns, Vec<Remark>), DataError> {
        let count = self.texts.len();
        let weight = self.requested(&self.options.weight_column)?;
        let label = self.requested(&self.options.label_column)?;
        if let Some(column) = label.filter(|_| label == weight) {
            let column = format!("{column} ({:?})", self.texts[column]);
            return Err(DataError::SameColumn { file: self.file.to_owned(), column });
        }
        let is_label_absent = self.is_label_absent(weight)?;
        // Without a known number of features, a label column that the options name is assumed to be
        // present.
        let label = label.filter(|_| !is_label_absent || self.options.features.is_none());
        let last = |is_usable: &dyn Fn(usize) -> bool| {
            (0..count).rev().find(|&column| Some(column) != weight && is_usable(column))
        };
        // It is not known yet whether the row is column names, and so which columns are unnamed;
        // until then, empty fields count as unnamed.
        let is_filled = |column: usize| !self.texts[column].is_empty();
        let provisional = label.or_else(|| last(&is_filled).filter(|_| !is_label_absent));
        let is_asked_by_name = [(&self.options.label_column, label), (&self.options.weight_column, weight)]
            .iter()
            .any(|(column, found)| found.is_some() && matches!(column, Some(Column::Name(_))));
        let has_names = is_asked_by_name || self.names_columns(provisional, weight)?;
        let is_unnamed = |column: usize| has_names && self.texts[column].is_empty();
        let default = || last(&|column| !is_unnamed(column)).filter(|_| !is_label_absent);
        let label = label.or_else(default);
        let is_feature =
            |&column: &usize| Some(column) != label && Some(column) != weight && !is_unnamed(column);
        let features: Vec<usize> = (0..count).filter(is_feature).collect();
        self.check_width(features.len())?;
        if let Some(label) = label.filter(|&label| !has_names && self.texts[label].is_empty()) {
            return Err(DataError::EmptyLabel { file: self.file.to_owned(), line: self.line, column: label });
        }
        let names = has_names.then(|| self.texts.iter().map(|&name| name.to_owned()).collect());
        let columns = Columns { names, count, features, label, weight };
        self.check_names(&columns)?;
        if self.options.features.is_some() {
            self.check_first_label(&columns)?;
        }
        // The columns of the model are unknown, because it was trained on another format.
        let by_position = self.options.features.and_then(|_| self.by_position_remark(&columns));
        let remarks = [self.unnamed(&columns), self.other_label(&columns), by_position];
        let remarks = remarks.into_iter().flatten().collect();
        Ok((columns, remarks))
    }

    /// Decides the columns of a table from those of the training table.
    fn columns_from_training(&self, known: &Columns) -> Result<(Columns, Vec<Remark>), DataError> {
        let by_position = self.by_position(known, false);
        let has_names = match (&known.names, self.options.header) {
            (Some(_), HeaderRow::Auto) if self.has_names_of(known) => {
                let is_word = |column: usize| {
                    let name = known.name(column).filter(|name| self.texts.contains(name));
                    name.is_some_and(|name| FieldKind::of(name) == FieldKind::Word)
                };
                if !known.used().any(is_word) {
                    return Err(self.ambiguous("it has the names of the model's features, which are numbers"));
                }
                true
            }
            _ => {
                let found = by_position.as_ref().ok().and_then(Option::as_ref);
                let label = found.map_or(self.texts.len().checked_sub(1), |found| found.label);
                self.names_columns(label, found.and_then(|found| found.weight))?
            }
        };
        if has_names && known.names.is_some() {
            return self.by_name(known);
        }
        let by_position = if has_names { self.by_position(known, true)? } else { by_position? };
        let Some(mut columns) = by_position else {
            let (file, found, features) = (self.file.to_owned(), self.texts.len(), known.features.len());
            return Err(DataError::Columns { file, found, features, all: known.count });
        };
        columns.names = has_names.then(|| self.texts.iter().map(|&name| name.to_owned()).collect());
        self.check_first_label(&columns)?;
        // Two tables without names can be read in only one way, unless the label may be absent.
        let is_doubtful = has_names || known.names.is_some() || self.options.target == TargetKind::None;
        let remark = self.by_position_remark(&columns).filter(|_| is_doubtful);
        Ok((columns, remark.into_iter().collect()))
    }

    /// Rejects a first row that would be read as a sample for an existing model, but whose label is
    /// a word that the model does not know.
    fn check_first_label(&self, columns: &Columns) -> Result<(), DataError> {
        let label =
            columns.label.filter(|_| columns.names.is_none() && self.options.header == HeaderRow::Auto);
        let Some(text) = label.map(|label| self.texts[label]) else { return Ok(()) };
        let is_known = |classes: &Classes| classes.index_of(text).is_some();
        if FieldKind::of(text) != FieldKind::Word || self.options.classes.as_ref().is_some_and(is_known) {
            return Ok(());
        }
        Err(self.ambiguous(&format!("its label {:?} is a word that is no class of the model", excerpt(text))))
    }

    /// Returns the remark that columns are matched by position, and which column is the label.
    fn by_position_remark(&self, columns: &Columns) -> Option<Remark> {
        let label = columns.label.map(|label| columns.text(label));
        let (file, file_has_names) = (self.file.to_owned(), columns.names.is_some());
        Some(Remark::ByPosition { file, count: columns.count, file_has_names, label })
    }

    fn has_names_of(&self, known: &Columns) -> bool {
        let has = |name: &str| self.texts.contains(&name);
        known.features.iter().all(|&column| known.name(column).is_some_and(has))
    }

    /// Matches columns by name.
    fn by_name(&self, known: &Columns) -> Result<(Columns, Vec<Remark>), DataError> {
        let find = |column: usize| {
            let name = known.name(column).unwrap_or_default();
            self.position(name)
        };
        let mut features = Vec::with_capacity(known.features.len());
        let mut missing = Vec::new();
        for &column in &known.features {
            match find(column)? {
                Some(found) => features.push(found),
                None => missing.push(known.text(column)),
            }
        }
        if !missing.is_empty() {
            return Err(self.missing(missing));
        }
        let needed = |column: Option<usize>| match (column, column.map(find).transpose()?.flatten()) {
            (Some(column), None) if self.options.target != TargetKind::None => {
                Err(self.missing(vec![known.text(column)]))
            }
            (_, found) => Ok(found),
        };
        let weight = needed(known.weight)?;
        let label = match &self.options.label_column {
            None => needed(known.label)?,
            Some(column) => match self.find(column) {
                // A number past the last column may be the name of a column, as the table has
                // names.
                Err(DataError::NoColumn { column: Column::Number(number), expected, .. }) => {
                    let named = self.position(&number.to_string())?;
                    Some(named.ok_or_else(|| self.no_column(column.clone(), expected))?)
                }
                found => Some(found?),
            },
        };
        if let Some(label) = label.filter(|label| features.contains(label) || weight == Some(*label)) {
            let (file, column) = (self.file.to_owned(), format!("{:?}", self.texts[label]));
            return Err(DataError::LabelIsUsed { file, column });
        }
        let names = Some(self.texts.iter().map(|&name| name.to_owned()).collect());
        let columns = Columns { names, count: self.texts.len(), features, label, weight };
        // Columns that were also ignored in training are not worth a remark.
        let known_ignored: Vec<&str> =
            known.ignored().into_iter().filter_map(|column| known.name(column)).collect();
        let extra: Vec<String> = columns
            .ignored()
            .into_iter()
            .map(|column| self.texts[column])
            .filter(|name| !known_ignored.contains(name))
            .map(str::to_owned)
            .collect();
        let remark =
            (!extra.is_empty()).then(|| Remark::Extra { file: self.file.to_owned(), columns: extra });
        Ok((columns, remark.into_iter().collect()))
    }

    /// Returns the error for columns of the model that the row does not name.
    fn missing(&self, columns: Vec<String>) -> DataError {
        let is_sample = self.options.header == HeaderRow::Present
            && self.texts.iter().any(|text| FieldKind::of(text) == FieldKind::Number);
        DataError::MissingColumns {
            file: self.file.to_owned(),
            missing: listed(columns.into_iter()),
            found: listed(self.texts.iter().map(|name| format!("{name:?}"))),
            remedy: if is_sample { ", or pass --header absent if line 1 is a sample" } else { "" },
        }
    }

    /// Matches columns by position with those of the training table: all columns, only the used
    /// ones, or only the features. In a row of names, columns without a name are excluded.
    fn by_position(&self, known: &Columns, has_names: bool) -> Result<Option<Columns>, DataError> {
        let all = self.texts.len();
        let usable: Vec<usize> = (0..all).filter(|&at| !has_names || !self.texts[at].is_empty()).collect();
        let count = usable.len();
        if let Some(column) = &self.options.label_column {
            let label = self.find(column)?;
            let weight = known.weight.filter(|_| count == known.count).map(|column| usable[column]);
            // The features are the other columns, in their order.
            let is_feature = |&column: &usize| column != label && Some(column) != weight;
            let features: Vec<usize> = usable.into_iter().filter(is_feature).collect();
            let is_whole =
                features.len() == known.features.len() && weight.is_some() == known.weight.is_some();
            return Ok(is_whole.then_some(Columns {
                names: None,
                count: all,
                features,
                label: Some(label),
                weight,
            }));
        }
        let mut used: Vec<usize> = known.used().collect();
        used.sort_unstable();
        let mut features = known.features.clone();
        features.sort_unstable();
        let rank = |of: &[usize], column: usize| of.partition_point(|&other| other < column);
        let columns = |place: &dyn Fn(usize) -> usize, label: Option<usize>, weight: Option<usize>| Columns {
            names: None,
            count: all,
            features: known.features.iter().map(|&column| usable[place(column)]).collect(),
            label: label.map(|column| usable[place(column)]),
            weight: weight.map(|column| usable[place(column)]),
        };
        Ok(if count == known.count {
            Some(columns(&|column| column, known.label, known.weight))
        } else if count == used.len() {
            Some(columns(&|column| rank(&used, column), known.label, known.weight))
        } else if count == features.len() && self.options.target == TargetKind::None {
            Some(columns(&|column| rank(&features, column), None, None))
        } else {
            None
        })
    }

    /// Returns whether a table to predict from has no label column, judging by its number of
    /// columns.
    fn is_label_absent(&self, weight: Option<usize>) -> Result<bool, DataError> {
        // Columns without a name do not count. An empty field in a sample is an error later in any
        // case.
        let found = self.texts.iter().filter(|text| !text.is_empty()).count();
        let others = found.saturating_sub(usize::from(weight.is_some()));
        match (self.options.target, self.options.features) {
            (TargetKind::None, Some(features)) if others == features => Ok(true),
            (TargetKind::None, Some(features)) if others != features + 1 => {
                let all = features + 1 + usize::from(weight.is_some());
                Err(DataError::Columns { file: self.file.to_owned(), found, features, all })
            }
            (TargetKind::None, None) => Ok(true),
            _ => Ok(false),
        }
    }

    /// Returns whether the row is column names rather than a sample, if the options leave that
    /// open: it is if all its features are words. An ambiguous row is rejected, as a wrong guess
    /// would lose a sample or invent one.
    fn names_columns(&self, label: Option<usize>, weight: Option<usize>) -> Result<bool, DataError> {
        match self.options.header {
            HeaderRow::Present => return Ok(true),
            HeaderRow::Absent => return Ok(false),
            HeaderRow::Auto => {}
        }
        let is_feature = |column: usize| Some(column) != label && Some(column) != weight;
        let kinds: Vec<(&str, FieldKind)> = (0..self.texts.len())
            .filter(|&column| is_feature(column))
            .map(|column| (self.texts[column], FieldKind::of(self.texts[column])))
            .filter(|(_, kind)| *kind != FieldKind::Empty)
            .collect();
        let of = |wanted: &[FieldKind]| {
            kinds.iter().find(|(_, kind)| wanted.contains(kind)).map(|(text, _)| *text)
        };
        let word = of(&[FieldKind::Word]);
        let number = of(&[FieldKind::Number, FieldKind::NumberAsText]);
        let other = of(&[FieldKind::Missing, FieldKind::Boolean]);
        match (word, number, other) {
            (Some(_), None, None) => Ok(true),
            (Some(word), Some(other), _) | (Some(word), None, Some(other)) => {
                let (word, other) = (excerpt(word), excerpt(other));
                Err(self.ambiguous(&format!("it contains the word {word:?}, but also {other:?}")))
            }
            (None, None, Some(other)) => {
                Err(self.ambiguous(&format!("it contains no numbers, only values such as {other:?}")))
            }
            (None, Some(_), _) => match self.counts(label, weight) {
                Some(what) => Err(self.ambiguous(what)),
                None => Ok(false),
            },
            (None, None, None) => Ok(false),
        }
    }

    /// Returns how the numbers of the row resemble column names: consecutive numbers, which pandas
    /// gives to unnamed columns, or years.
    fn counts(&self, label: Option<usize>, weight: Option<usize>) -> Option<&'static str> {
        let is_word = |column: usize| FieldKind::of(self.texts[column]) == FieldKind::Word;
        let has_word_label = label.is_some_and(is_word);
        let columns = (0..self.texts.len())
            .filter(|&column| Some(column) != weight && !(has_word_label && Some(column) == label))
            .filter(|&column| !self.texts[column].is_empty());
        let numbers: Option<Vec<i64>> = columns.map(|column| self.texts[column].parse().ok()).collect();
        let numbers = numbers?;
        let (first, last) = (*numbers.first()?, *numbers.last()?);
        let rises = numbers.windows(2).all(|pair| pair[0] < pair[1]);
        let falls = numbers.windows(2).all(|pair| pair[0] > pair[1]);
        let counts = numbers.windows(2).all(|pair| pair[0].checked_add(1) == Some(pair[1]));
        // Two consecutive numbers are too common in a sample, unless the label field contains a
        // word.
        let is_long = numbers.len() >= 3 || (numbers.len() == 2 && first == 0 && has_word_label);
        let is_year = |number: i64| (1900..=2100).contains(&number);
        if counts && is_long && (first == 0 || first == 1) {
            Some("its numbers count up like those that pandas gives to unnamed columns")
        } else if (rises || falls) && numbers.len() >= 2 && is_year(first) && is_year(last) {
            Some("its numbers look like years")
        } else {
            None
        }
    }

    fn ambiguous(&self, why: &str) -> DataError {
        DataError::HeaderUnknown { file: self.file.to_owned(), line: self.line, why: why.to_owned() }
    }

    /// Rejects a row with another separator, which would be split into the wrong fields.
    fn check_delimiter(&self) -> Result<(), DataError> {
        let (line, commas) = (self.texts.join(","), self.texts.len() - 1);
        // With decimal commas, there may be as many commas as separators.
        let is_number =
            |text: &str| matches!(FieldKind::of(text), FieldKind::Number | FieldKind::NumberAsText);
        let others = [(';', "semicolons"), ('\t', "tabs"), ('|', "vertical bars")];
        let separates = |separator: char| {
            line.matches(separator).count() > commas
                || (line.contains(separator) && line.split(separator).all(is_number))
        };
        match others.iter().find(|(separator, _)| separates(*separator)) {
            Some((_, found)) => {
                Err(DataError::Delimiter { file: self.file.to_owned(), line: self.line, found })
            }
            None => Ok(()),
        }
    }

    fn check_width(&self, features: usize) -> Result<(), DataError> {
        if features > 0 {
            return Ok(());
        }
        let label = usize::from(self.options.target != TargetKind::None);
        let weight = usize::from(self.options.weight_column.is_some());
        let (found, expected) = (self.texts.len(), 1 + label + weight);
        Err(DataError::TooFewColumns { file: self.file.to_owned(), line: self.line, found, expected })
    }

    /// Rejects two columns of the same name: later tables could not be matched with them.
    fn check_names(&self, columns: &Columns) -> Result<(), DataError> {
        let Some(names) = &columns.names else { return Ok(()) };
        let mut used: Vec<(&str, usize)> =
            columns.used().map(|column| (names[column].as_str(), column)).collect();
        used.sort_unstable();
        match used.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(&[(name, first), (_, second)]) => Err(DataError::SameName {
                file: self.file.to_owned(),
                name: name.to_owned(),
                columns: [first, second],
            }),
            _ => Ok(()),
        }
    }

    fn unnamed(&self, columns: &Columns) -> Option<Remark> {
        let columns = columns.names.as_ref().map(|_| columns.ignored())?;
        (!columns.is_empty()).then(|| Remark::Unnamed { file: self.file.to_owned(), columns })
    }

    /// Returns a remark about a feature with the name of a label, if the last column is the label
    /// only by default.
    fn other_label(&self, columns: &Columns) -> Option<Remark> {
        let names = columns.names.as_ref()?;
        let label = columns.label.filter(|_| self.options.label_column.is_none())?;
        if is_label_name(&names[label]) {
            return None;
        }
        let other = columns.features.iter().find(|&&column| is_label_name(&names[column]))?;
        let (label, other) = (columns.text(label), columns.text(*other));
        Some(Remark::OtherLabel { file: self.file.to_owned(), label, other })
    }

    /// Finds a column that the options name. If no labels are needed, the columns of the training
    /// samples may be missing.
    fn requested(&self, column: &Option<Column>) -> Result<Option<usize>, DataError> {
        let Some(column) = column else { return Ok(None) };
        match self.find(column) {
            Err(DataError::NoColumn { .. } | DataError::NoHeader { .. })
                if self.options.target == TargetKind::None =>
            {
                Ok(None)
            }
            found => found.map(Some),
        }
    }

    fn find(&self, column: &Column) -> Result<usize, DataError> {
        match column {
            Column::Number(number) => self.by_number(*number),
            Column::Name(name) => self.by_column_name(name),
        }
    }

    fn by_number(&self, number: i64) -> Result<usize, DataError> {
        let count = self.texts.len();
        let may_be_name = self.options.header == HeaderRow::Present;
        let named = if may_be_name { self.position(&number.to_string())? } else { None };
        let found = match usize::try_from(number) {
            Ok(position) if named.is_some_and(|named| named != position && position < count) => {
                return Err(DataError::NumberIsName {
                    file: self.file.to_owned(),
                    number: position,
                    named: named.unwrap_or_default(),
                    from_end: position as i64 - count as i64,
                });
            }
            Ok(number) => Some(number).filter(|&number| number < count).or(named),
            Err(_) => usize::try_from(number.unsigned_abs()).ok().and_then(|back| count.checked_sub(back)),
        };
        found.ok_or_else(|| {
            self.no_column(
                Column::Number(number),
                format!("0 to {}, or -1 to -{count} from the end", count - 1),
            )
        })
    }

    fn by_column_name(&self, name: &str) -> Result<usize, DataError> {
        let column = || Column::Name(name.to_owned());
        let is_sample = self.texts.iter().all(|text| text.parse::<f64>().is_ok());
        if self.options.header == HeaderRow::Absent {
            return Err(DataError::NoHeader { file: self.file.to_owned(), column: column() });
        }
        match self.position(name)? {
            Some(at) => Ok(at),
            None if is_sample => Err(DataError::NoHeader { file: self.file.to_owned(), column: column() }),
            None => Err(self.no_column(column(), format!("one of {}", self.some_names()))),
        }
    }

    /// Returns the position of a name, if present.
    fn position(&self, name: &str) -> Result<Option<usize>, DataError> {
        let mut found = (0..self.texts.len()).filter(|&at| self.texts[at] == name);
        match (found.next(), found.next()) {
            (Some(first), Some(second)) => Err(DataError::SameName {
                file: self.file.to_owned(),
                name: name.to_owned(),
                columns: [first, second],
            }),
            (found, _) => Ok(found),
        }
    }

    fn some_names(&self) -> String {
        listed(self.texts.iter().map(|&name| name.to_owned()))
    }

    fn no_column(&self, column: Column, expected: String) -> DataError {
        DataError::NoColumn { file: self.file.to_owned(), column, expected }
    }
}
