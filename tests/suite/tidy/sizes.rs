//! Sizes: a file fits a head, a function fits a screen.

use super::{Source, none, sources};

const FILE_LINES: usize = 400;
const MEDIAN_LINES: usize = 150;
const FUNCTION_LINES: usize = 70;
const COLUMNS: usize = 100;

#[test]
fn no_file_is_over_400_lines_and_the_median_is_under_150() {
    let sources = sources();
    let mut lengths: Vec<usize> =
        sources.iter().map(|source| source.text.lines().count()).collect();
    let long = sources.iter().zip(&lengths).filter(|(_, lines)| **lines > FILE_LINES);
    none(long.map(|(source, lines)| format!("{} has {lines} lines", source.path)).collect());
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(median <= MEDIAN_LINES, "the median file has {median} lines");
}

#[test]
fn no_line_is_over_100_columns() {
    let mut faults = Vec::new();
    for source in sources() {
        for (number, line) in (1..).zip(source.text.lines()) {
            if line.chars().count() > COLUMNS {
                faults.push(format!(
                    "{}:{number} has {} columns",
                    source.path,
                    line.chars().count()
                ));
            }
        }
    }
    none(faults);
}

#[test]
fn no_function_is_over_70_lines() {
    none(sources().iter().flat_map(long_functions).collect());
}

/// Functions as rustfmt lays them out: from `fn` to a brace that closes at the same depth.
fn long_functions(source: &Source) -> Vec<String> {
    let lines: Vec<&str> = source.text.lines().collect();
    let mut faults = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let words = line.trim_start().split('(').next().unwrap_or_default();
        let begins = words.split_whitespace().any(|word| word == "fn") && !line.contains(';');
        let comment = line.trim_start().starts_with("//");
        if !begins || comment || line.trim_end().ends_with('}') {
            continue;
        }
        let end = lines[start..].iter().find(|line| line.ends_with('{') || line.ends_with(';'));
        if end.is_none_or(|line| line.ends_with(';')) {
            continue;
        }
        let close = format!("{}}}", " ".repeat(indent));
        let length = lines[start..].iter().position(|line| *line == close);
        if let Some(length) = length.filter(|length| *length > FUNCTION_LINES) {
            faults.push(format!("{}:{} has {length} lines", source.path, start + 1));
        }
    }
    faults
}

#[test]
fn every_file_says_what_it_is() {
    let silent = sources().into_iter().filter(|source| !source.text.starts_with("//!"));
    none(silent.map(|source| format!("{} doesn't begin with //!", source.path)).collect());
}

#[test]
fn modules_are_files_beside_their_folder() {
    let old = sources().into_iter().filter(|source| source.path.ends_with("/mod.rs"));
    none(old.map(|source| source.path).collect());
}

#[test]
fn nothing_is_left_to_do_and_no_test_is_skipped() {
    let mut faults = Vec::new();
    for source in sources() {
        if source.path.starts_with("tests/suite/tidy") {
            continue;
        }
        let marks = ["todo!(", "unimplemented!(", "#[ignore", "TODO", "FIXME", "XXX"];
        for (number, line) in (1..).zip(source.text.lines()) {
            if marks.iter().any(|mark| line.contains(mark)) {
                faults.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    none(faults);
}
