//! Rows of a small CSV file: traces, scripts and register images of the bench.

use std::path::Path;

/// A file's text, if it is not longer than a limit.
pub(super) fn read(file: &Path, most: u64) -> Result<String, String> {
    let shown = file.display();
    let size = std::fs::metadata(file).map_err(|why| format!("{shown}: {why}"))?.len();
    if size > most {
        return Err(format!("{shown} has {size} bytes: shorten it, or raise trace-bytes ({most})"));
    }
    std::fs::read_to_string(file).map_err(|why| format!("{shown}: {why}"))
}

/// The rows that say something, each with its line number. Fields hold no commas.
pub(super) fn rows(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(at, line)| {
        (at, line.split(',').map(|field| field.trim().trim_matches('"')).collect())
    })
}
