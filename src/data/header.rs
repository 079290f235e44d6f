//! The first row of a table: whether it names the columns, and which of them are features, label and weight.

use super::error::{DataError, Remark};
use super::labels::{Classes, TargetKind};
use super::options::{Columns, HeaderRow, LoadOptions};
use super::text::{Column, FieldKind, excerpt, listed};

/// Decides what the columns of a table are for, from its first row (at `line`) and the options.
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
        Some(known) => row.like(known),
        None => row.anew(),
    }
}

/// Returns whether a column of this name is likely to be the label.
pub(super) fn is_label_name(name: &str) -> bool {
    ["label", "labels", "target", "class", "y"].contains(&name.to_lowercase().as_str())
}

/// The first row of a table, from which its columns are decided. Texts are without the spaces around them.
struct FirstRow<'a> {
    file: &'a str,
    line: u64,
    texts: &'a [&'a str],
    options: &'a LoadOptions,
}

impl FirstRow<'_> {
    /// Decides the columns of a table that no other was read before.
    fn anew(&self) -> Result<(Columns, Vec<Remark>), DataError> {
        let count = self.texts.len();
        let weight = self.wanted(&self.options.weight_column)?;
        let label = self.wanted(&self.options.label_column)?;
        if let Some(column) = label.filter(|_| label == weight) {
            let column = format!("{column} ({:?})", self.texts[column]);
            return Err(DataError::SameColumn { file: self.file.to_owned(), column });
        }
        let is_label_absent = self.is_label_absent(weight)?;
        // Without a number of features to go by, a label that is named is there.
        let label = label.filter(|_| !is_label_absent || self.options.features.is_none());
        let last = |is_usable: &dyn Fn(usize) -> bool| {
            (0..count).rev().find(|&column| Some(column) != weight && is_usable(column))
        };
        // Which columns have no name is known only once the row is known to name them; until then, those that are empty.
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
        // A model whose columns are not known, as it was trained on another format.
        let by_position = self.options.features.and_then(|_| self.taken_by_position(&columns));
        let remarks = [self.unnamed(&columns), self.other_label(&columns), by_position];
        let remarks = remarks.into_iter().flatten().collect();
        Ok((columns, remarks))
    }

    /// Decides the columns of a table by those of the training table.
    fn like(&self, known: &Columns) -> Result<(Columns, Vec<Remark>), DataError> {
        let by_position = self.by_position(known, false);
        let has_names = match (&known.names, self.options.header) {
            (Some(_), HeaderRow::Auto) if self.has_names_of(known) => {
                let is_word = |column: usize| {
                    let name = known.name(column).filter(|name| self.texts.contains(name));
                    name.is_some_and(|name| FieldKind::of(name) == FieldKind::Word)
                };
                if !known.used().any(is_word) {
                    return Err(self.unknown("it has the names of the model's features, which are numbers"));
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
        // Two tables without names can be read in no other way, unless the label may be there or not.
        let is_doubtful = has_names || known.names.is_some() || self.options.target == TargetKind::None;
        let remark = self.taken_by_position(&columns).filter(|_| is_doubtful);
        Ok((columns, remark.into_iter().collect()))
    }

    /// Refuses a first row that would be a sample to use a model on, but has a word as its label that the model does not know.
    fn check_first_label(&self, columns: &Columns) -> Result<(), DataError> {
        let label =
            columns.label.filter(|_| columns.names.is_none() && self.options.header == HeaderRow::Auto);
        let Some(text) = label.map(|label| self.texts[label]) else { return Ok(()) };
        let is_known = |classes: &Classes| classes.index_of(text).is_some();
        if FieldKind::of(text) != FieldKind::Word || self.options.classes.as_ref().is_some_and(is_known) {
            return Ok(());
        }
        Err(self.unknown(&format!("its label {:?} is a word that the model does not know", excerpt(text))))
    }

    /// Returns the remark that columns are taken by position, and which is the label.
    fn taken_by_position(&self, columns: &Columns) -> Option<Remark> {
        let label = columns.label.map(|label| columns.text(label));
        let (file, file_has_names) = (self.file.to_owned(), columns.names.is_some());
        Some(Remark::ByPosition { file, count: columns.count, file_has_names, label })
    }

    fn has_names_of(&self, known: &Columns) -> bool {
        let has = |name: &str| self.texts.contains(&name);
        known.features.iter().all(|&column| known.name(column).is_some_and(has))
    }

    /// The columns of the same names.
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
            let is_sample = self.options.header == HeaderRow::Present
                && self.texts.iter().any(|text| FieldKind::of(text) == FieldKind::Number);
            return Err(DataError::MissingColumns {
                file: self.file.to_owned(),
                missing: listed(missing.into_iter()),
                found: listed(self.texts.iter().map(|name| format!("{name:?}"))),
                remedy: if is_sample { ", or pass --header absent if line 1 is a sample" } else { "" },
            });
        }
        let needed = |column: Option<usize>| match column.map(find).transpose()?.flatten() {
            None if column.is_some() && self.options.target != TargetKind::None => {
                let name = column.and_then(|column| known.name(column)).unwrap_or_default();
                Err(self.no_column(Column::Name(name.to_owned()), format!("one of {}", self.some_names())))
            }
            found => Ok(found),
        };
        let weight = needed(known.weight)?;
        let label = match &self.options.label_column {
            None => needed(known.label)?,
            Some(column) => match self.find(column) {
                // A number beyond the columns may be the name of one, as there are names.
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
        // Columns that the training ignored too are no news.
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

    /// The columns in the order of the training table: all of it, those of it that were used, or the features alone. In a row of names,
    /// columns without one are left out.
    fn by_position(&self, known: &Columns, has_names: bool) -> Result<Option<Columns>, DataError> {
        let all = self.texts.len();
        let usable: Vec<usize> = (0..all).filter(|&at| !has_names || !self.texts[at].is_empty()).collect();
        let count = usable.len();
        if let Some(column) = &self.options.label_column {
            let label = self.find(column)?;
            // The features are the others, in their order.
            let features: Vec<usize> = usable.into_iter().filter(|&column| column != label).collect();
            let is_whole = features.len() == known.features.len() && known.weight.is_none();
            return Ok(is_whole.then_some(Columns {
                names: None,
                count: all,
                features,
                label: Some(label),
                weight: None,
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

    /// Returns whether a table to predict from has no label, by the number of its columns.
    fn is_label_absent(&self, weight: Option<usize>) -> Result<bool, DataError> {
        // A column without a name is none; an empty field of a sample is a fault whatever comes of this.
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

    /// Returns whether the row names the columns rather than being a sample, where the options leave that open: it does if all its features
    /// are words. What may be either is refused, as a wrong guess would lose a sample or invent one.
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
                Err(self.unknown(&format!("it has the word {word:?}, but also {other:?}")))
            }
            (None, None, Some(other)) => {
                Err(self.unknown(&format!("it has no numbers, only such as {other:?}")))
            }
            (None, Some(_), _) => match self.counts(label, weight) {
                Some(what) => Err(self.unknown(what)),
                None => Ok(false),
            },
            (None, None, None) => Ok(false),
        }
    }

    /// Returns the way in which the numbers of the row look like names: those that pandas gives to columns that have none, or years.
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
        // Two numbers that follow one another are too likely in a sample, unless a word stands where its label would be.
        let is_long = numbers.len() >= 3 || (numbers.len() == 2 && first == 0 && has_word_label);
        let is_year = |number: i64| (1900..=2100).contains(&number);
        if counts && is_long && (first == 0 || first == 1) {
            Some("its numbers count up as those that pandas gives to columns without names")
        } else if (rises || falls) && numbers.len() >= 2 && is_year(first) && is_year(last) {
            Some("its numbers look like years")
        } else {
            None
        }
    }

    fn unknown(&self, why: &str) -> DataError {
        DataError::HeaderUnknown { file: self.file.to_owned(), line: self.line, why: why.to_owned() }
    }

    /// Refuses a row that another character separates: fields would be read that are none.
    fn check_delimiter(&self) -> Result<(), DataError> {
        let (line, commas) = (self.texts.join(","), self.texts.len() - 1);
        // Where commas are those of decimals, both may be as many.
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

    /// Refuses two columns of one name: later tables could not be matched with them.
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

    /// A feature with the name of a label, where the last column is the label because nobody said otherwise.
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

    /// Finds a column that the options name. Where no labels are wanted, those of the training samples need not be there.
    fn wanted(&self, column: &Option<Column>) -> Result<Option<usize>, DataError> {
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
            Column::Name(name) => self.of_name(name),
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

    fn of_name(&self, name: &str) -> Result<usize, DataError> {
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

    /// Returns the position of a name, if it is there.
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
