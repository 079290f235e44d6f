//! Flags put together from several places, the one above hiding the one below, and where each value came from.

use std::collections::BTreeMap;
use std::env;
use std::fmt;

use toml::{Table, Value};

use super::failure::Failure;
use super::flags::TrainFlags;
use super::{config, environment, flags, like, settings};

/// Flags of which one replaces the other: given in one place, it does so whichever the place below has.
pub(super) const EITHER_OR: [(&str, &str); 2] = [("epochs", "max-steps"), ("test", "test-split")];

/// Flags, and for each that is given where its value came from, in words.
#[derive(Clone, Debug, Default)]
pub(super) struct Layers {
    pub(super) flags: TrainFlags,
    origins: BTreeMap<String, String>,
}

/// What the command line says, below it the environment, and below that the `--config` file of either.
pub(super) fn given(flags: TrainFlags) -> Result<Layers, Failure> {
    let typed = Layers::new(flags, |name| match name {
        "data" => "the command line".to_owned(),
        name => format!("--{name}"),
    });
    let above = typed.over(environment::flags(env::vars_os())?);
    match above.flags.config.clone() {
        Some(path) => Ok(above.over(config::read(&path)?)),
        None => Ok(above),
    }
}

impl Layers {
    /// Flags from one place; `origin` says it of the flag with this name.
    pub(super) fn new(flags: TrainFlags, origin: impl Fn(&str) -> String) -> Self {
        let origins = table(&flags).keys().map(|name| (name.clone(), origin(name))).collect();
        Self { flags, origins }
    }

    /// These flags, and those of `below` where they are silent.
    pub(super) fn over(self, below: Self) -> Self {
        let (above, mut merged, mut origins) = (table(&self.flags), table(&below.flags), below.origins);
        let pairs = EITHER_OR.iter().flat_map(|(one, other)| [(one, other), (other, one)]);
        pairs.filter(|(one, _)| above.contains_key(**one)).for_each(|(_, other)| drop(merged.remove(*other)));
        merged.extend(above);
        origins.extend(self.origins);
        origins.retain(|name, _| merged.contains_key(name));
        let merged: TrainFlags = merged.try_into().expect("each value was read from a flag or a key");
        // Neither is a key of a file, and so in the table.
        let (config, print_config) = (self.flags.config.or(below.flags.config), self.flags.print_config);
        Self { flags: TrainFlags { config, print_config, ..merged }, origins }
    }

    /// With what `--like` means in its place.
    pub(super) fn resolve_like(self) -> Result<Self, Failure> {
        let Some(framework) = self.flags.like else { return Ok(self) };
        let said = match self.origins.get("like").map(String::as_str) {
            Some("--like") | None => format!("--like {framework}"),
            Some(origin) => format!("like {framework}, {origin}"),
        };
        let origin = |was: Option<&str>| {
            was.map_or_else(|| said.clone(), |was| format!("{was}, as {framework} means it"))
        };
        self.changed_by(origin, like::resolve)
    }

    /// With the defaults of `train`.
    pub(super) fn complete(self) -> Self {
        let filled = self.changed_by(|_| "default".to_owned(), |flags| Ok(settings::complete(flags)));
        filled.expect("a default is no error")
    }

    /// `origin` says where a value came from that `change` has put there, in place of another or not.
    fn changed_by(
        self,
        origin: impl Fn(Option<&str>) -> String,
        change: impl FnOnce(TrainFlags) -> Result<TrainFlags, Failure>,
    ) -> Result<Self, Failure> {
        let before = table(&self.flags);
        let flags = change(self.flags)?;
        let named = |(name, value): (String, Value)| {
            let was = self.origins.get(&name);
            let stays = before.get(&name).map(Value::to_string) == Some(value.to_string());
            let said = was.filter(|_| stays).cloned().unwrap_or_else(|| origin(was.map(String::as_str)));
            (name, said)
        };
        let origins = table(&flags).into_iter().map(named).collect();
        Ok(Self { flags, origins })
    }

    /// A TOML file that makes the same run, with where each value came from, and what is not given.
    pub(super) fn annotated(&self) -> String {
        let values = table(&self.flags);
        let (given, absent): (Vec<String>, _) =
            flags::names().into_iter().partition(|name| values.contains_key(name));
        let line = |name: &String| config::setting(name, &values[name]);
        let lines: Vec<String> = given.iter().map(line).collect();
        let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0).min(40);
        // A comment holds no control characters, which the name of a file may.
        let said = |name: &String| self.origins[name].replace(char::is_control, "?");
        let mut text: String = given
            .iter()
            .zip(&lines)
            .map(|(name, line)| format!("{line:width$}  # {}\n", said(name)))
            .collect();
        text += &format!("# not given: {}\n", absent.join(", "));
        text
    }

    /// What is given here and was not so before.
    pub(super) fn changes_from(&self, before: &TrainFlags) -> Vec<Change> {
        let before = table(before);
        let change = |(name, now): (String, Value)| {
            let was = before.get(&name);
            (was != Some(&now)).then(|| Change {
                was: was.map(config::written),
                now: config::written(&now),
                origin: self.origins[&name].clone(),
                name,
            })
        };
        table(&self.flags).into_iter().filter_map(change).collect()
    }
}

/// A flag that is not what it was.
pub(super) struct Change {
    pub(super) name: String,
    was: Option<String>,
    now: String,
    origin: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, was, now, origin } = self;
        write!(f, "--{name} is {now}")?;
        if *origin != format!("--{name}") {
            write!(f, " ({origin})")?;
        }
        match was {
            Some(was) => write!(f, ", was {was}"),
            None => write!(f, ", was not given"),
        }
    }
}

fn table(flags: &TrainFlags) -> Table {
    Table::try_from(flags).expect("flags are plain data")
}
