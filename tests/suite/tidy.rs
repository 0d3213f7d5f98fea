//! The rules of the layout, checked by reading the sources: imports, homes of foreign crates,
//! sizes, and that the documents name what is there.

mod documents;
mod imports;
mod sizes;

use std::path::{Path, PathBuf};

use tests::guests::repository;

/// A source file of the repository.
pub struct Source {
    /// Its path from the repository's folder.
    pub path: String,
    pub text: String,
}

/// All Rust sources of the workspace, those that cargo makes apart.
pub fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for folder in ["runtime", "guest-sdk", "actors", "examples", "tests"] {
        collect(&repository().join(folder), &mut found);
    }
    assert!(found.len() > 50, "the sources weren't found");
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(repository()).unwrap().to_string_lossy().into_owned();
            found.push(Source { path, text });
        }
    }
}

impl Source {
    /// Its lines with their numbers, without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(number, line)| (number + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// As [`Source::code`], up to the unit tests, which stand last.
    pub fn product_code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code().take_while(|(_, line)| {
            !line.trim_start_matches("pub(crate) ").starts_with("mod tests")
        })
    }

    pub fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.ends_with("/tests.rs")
            || self.path.contains("/tests/")
    }
}

/// Fails with all faults at once, one a line.
fn none(faults: Vec<String>) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
