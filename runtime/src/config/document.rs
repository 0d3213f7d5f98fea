//! Reads TOML strictly: a key is taken by its name, and one that nobody takes is an error.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{ConfigError, units};

/// A text that is being read, and the folder that its relative paths start from.
pub(super) struct Source<'a> {
    pub text: &'a str,
    pub folder: &'a Path,
    /// Whether errors name lines: a grant given on a command line has none.
    pub lines: bool,
}

/// A value, with where it stands for errors.
#[derive(Clone)]
pub(super) struct Entry<'a> {
    pub source: &'a Source<'a>,
    place: String,
    offset: usize,
    value: &'a DeValue<'a>,
}

/// A table whose keys are taken one by one; [`Table::finish`] refuses those left.
pub(super) struct Table<'a> {
    source: &'a Source<'a>,
    place: String,
    offset: usize,
    entries: &'a DeTable<'a>,
    known: Vec<&'static str>,
}

impl Source<'_> {
    /// An error at an offset of the text.
    pub fn error(&self, offset: usize, what: impl Into<String>) -> ConfigError {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        ConfigError { file: None, line: self.lines.then_some(line), what: what.into() }
    }

    /// What the TOML reader found wrong.
    pub fn syntax(&self, error: &toml::de::Error) -> ConfigError {
        let what = error.message().replace('\n', "; ");
        self.error(error.span().map_or(0, |span| span.start), what)
    }

    fn error_at(&self, offset: usize, place: &str, what: &str) -> ConfigError {
        match place {
            "" => self.error(offset, what),
            _ => self.error(offset, format!("{place}: {what}")),
        }
    }
}

impl<'a> Entry<'a> {
    pub fn new(source: &'a Source<'a>, value: &'a Spanned<DeValue<'a>>, place: &str) -> Self {
        Self { source, place: place.into(), offset: value.span().start, value: value.get_ref() }
    }

    /// An error about this value: where, what, and what to write.
    pub fn error(&self, what: impl AsRef<str>) -> ConfigError {
        self.source.error_at(self.offset, &self.place, what.as_ref())
    }

    pub fn is_table(&self) -> bool {
        self.value.is_table()
    }

    pub fn text(&self) -> Result<&'a str, ConfigError> {
        self.value.as_str().ok_or_else(|| self.wrong("a text in quotes"))
    }

    pub fn bool(&self) -> Result<bool, ConfigError> {
        self.value.as_bool().ok_or_else(|| self.wrong("true or false"))
    }

    /// A whole number of at least `least`.
    pub fn number(&self, least: u64) -> Result<u64, ConfigError> {
        self.value
            .as_integer()
            .and_then(|digits| u64::from_str_radix(digits.as_str(), digits.radix()).ok())
            .filter(|number| *number >= least)
            .ok_or_else(|| self.wrong(&format!("a whole number of at least {least}")))
    }

    pub fn duration(&self) -> Result<Duration, ConfigError> {
        let text = self.value.as_str().ok_or_else(|| self.wrong("a duration such as \"10s\""))?;
        units::duration(text).map_err(|what| self.error(what))
    }

    pub fn bytes(&self) -> Result<u64, ConfigError> {
        let text = self.value.as_str().ok_or_else(|| self.wrong("a size such as \"4MiB\""))?;
        units::bytes(text).map_err(|what| self.error(what))
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, ConfigError> {
        let names = words.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>();
        let text = self.value.as_str().ok_or_else(|| self.wrong(&names.join(" or ")))?;
        let found = words.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        found.ok_or_else(|| self.error(format!("{text:?} is not {}", names.join(" or "))))
    }

    /// A path, from the source's folder if it is relative.
    pub fn path(&self, text: &str) -> Result<PathBuf, ConfigError> {
        if text.is_empty() {
            return Err(self.error("the path is empty: name a file"));
        }
        let path = self.source.folder.join(text);
        match path.to_str() {
            Some(_) => Ok(path),
            None => Err(self.error(format!("{} is not UTF-8: rename it", path.display()))),
        }
    }

    pub fn table(&self) -> Result<Table<'a>, ConfigError> {
        let entries = self.value.as_table().ok_or_else(|| self.wrong("a table"))?;
        let (place, offset) = (self.place.clone(), self.offset);
        Ok(Table { source: self.source, place, offset, entries, known: Vec::new() })
    }

    pub fn list(&self) -> Result<Vec<Entry<'a>>, ConfigError> {
        let values = self.value.as_array().ok_or_else(|| self.wrong("a list"))?;
        Ok(values.iter().map(|value| Entry::new(self.source, value, &self.place)).collect())
    }

    /// The same value with its place in the text, for a reader of another kind.
    pub fn spanned(&self) -> Spanned<DeValue<'a>> {
        Spanned::new(self.offset..self.offset, self.value.clone())
    }

    fn wrong(&self, wanted: &str) -> ConfigError {
        self.error(format!("this is a {}: write {wanted}", self.value.type_str()))
    }
}

impl<'a> Table<'a> {
    /// The whole document as a table.
    pub fn document(source: &'a Source<'a>, root: &'a Spanned<DeTable<'a>>) -> Self {
        let place = String::new();
        Self { source, place, offset: 0, entries: root.get_ref(), known: Vec::new() }
    }

    /// An error about the table as a whole.
    pub fn error(&self, what: impl AsRef<str>) -> ConfigError {
        self.source.error_at(self.offset, &self.place, what.as_ref())
    }

    /// The value under a key, if it is there.
    pub fn take(&mut self, key: &'static str) -> Option<Entry<'a>> {
        self.known.push(key);
        let (_, value) = self.entries.iter().find(|(name, _)| name.get_ref() == key)?;
        Some(self.entry(key, value))
    }

    /// The value under a key that must be there.
    pub fn need(&mut self, key: &'static str, write: &str) -> Result<Entry<'a>, ConfigError> {
        self.take(key).ok_or_else(|| self.error(format!("`{key}` is missing: write {write}")))
    }

    /// All keys and values, for tables whose keys are names.
    pub fn names(&self) -> Vec<(String, Entry<'a>)> {
        let entries = self.entries.iter();
        let entry = |(key, value): (&Spanned<_>, _)| {
            let key: &std::borrow::Cow<'_, str> = key.get_ref();
            (key.to_string(), self.entry(key, value))
        };
        entries.map(entry).collect()
    }

    /// Refuses what was not taken: a key that is not known is a mistake, never ignored.
    pub fn finish(self) -> Result<(), ConfigError> {
        for (key, _) in self.entries {
            if !self.known.contains(&key.get_ref().as_ref()) {
                let known = self.known.join(", ");
                let what = format!("`{}` is no key here: known are {known}", key.get_ref());
                return Err(self.source.error_at(key.span().start, &self.place, &what));
            }
        }
        Ok(())
    }

    fn entry(&self, key: &str, value: &'a Spanned<DeValue<'a>>) -> Entry<'a> {
        let place = match self.place.as_str() {
            "" => key.into(),
            place => format!("{place}.{key}"),
        };
        Entry::new(self.source, value, &place)
    }
}
