//! How the transcript words things: commands as a shell takes them, long names shortened.

use std::time::Duration;

/// A word of a command, quoted where a shell needs it.
pub(super) fn quoted(word: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || "-_./:=$@,".contains(char);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Names of components and addresses in a text, shortened to both their ends.
pub(super) fn shortened(text: &str) -> String {
    let cid = |word: &str| word.len() == 59 && word.starts_with("bafk");
    let address = |word: &str| word.len() > 64 && word.starts_with("edge:");
    let words = text.split(' ').map(|word| {
        let bare = word.trim_end_matches(',');
        match cid(bare) || address(bare) {
            true => word.replace(bare, &format!("{}…{}", &bare[..9], &bare[bare.len() - 4..])),
            false => word.into(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The lines of a table, its columns made as wide as they need to be.
pub(super) fn aligned(lines: &[String]) -> Vec<String> {
    let rows: Vec<Vec<&str>> = lines
        .iter()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let line = |row: &Vec<&str>| {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = width(column).unwrap_or(0);
            format!("{cell:width$}")
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    rows.iter().map(line).collect()
}

/// Seconds with one digit after the point; below one, with two.
pub(super) fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds < 1.0 {
        true => format!("{seconds:.2} s"),
        false => format!("{seconds:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_typed_and_names_are_short() {
        assert_eq!(quoted("--data"), "--data");
        assert_eq!(quoted(r#"{"Dial": 7}"#), r#"'{"Dial": 7}'"#);
        let cid = format!("bafkrei{}wxyz", "a".repeat(48));
        assert_eq!(shortened(&format!("runs {cid} (here)")), "runs bafkreiaa…wxyz (here)");
        let table = ["NAME      STATE", "a b  up"].map(String::from);
        assert_eq!(aligned(&table), ["NAME  STATE", "a b   up"]);
    }
}
