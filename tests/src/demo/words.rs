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

/// Names of components in a text, shortened to both their ends.
pub(super) fn shortened(text: &str) -> String {
    let name = |word: &str| word.len() == 59 && word.starts_with("bafk");
    let words = text.split(' ').map(|word| match name(word) {
        true => format!("{}…{}", &word[..9], &word[55..]),
        false => word.into(),
    });
    words.collect::<Vec<_>>().join(" ")
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
    }
}
