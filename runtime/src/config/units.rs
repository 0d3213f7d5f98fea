//! Durations and sizes as people write them: `500ms`, `10s`, `1m`, `4MiB`.

use std::time::Duration;

const TIMES: [(&str, u64); 5] = [
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
];

const SIZES: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];

/// A duration above zero; the error says what to write.
pub fn duration(text: &str) -> Result<Duration, String> {
    quantity(text, &TIMES).map(Duration::from_nanos).ok_or_else(|| {
        format!("{text:?} is not a duration above zero: write a whole number and us, ms, s, m or h")
    })
}

/// A number of bytes above zero; the error says what to write.
pub fn bytes(text: &str) -> Result<u64, String> {
    quantity(text, &SIZES).ok_or_else(|| {
        format!("{text:?} is not a size above zero: write a whole number and B, KiB, MiB or GiB")
    })
}

/// The shortest text that [`duration`] reads as this duration, cut to microseconds.
pub fn duration_text(duration: Duration) -> String {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let (unit, size) = TIMES
        .iter()
        .rev()
        .find(|(_, size)| nanos >= *size && nanos.is_multiple_of(*size))
        .unwrap_or(&TIMES[0]);
    format!("{}{unit}", nanos / size)
}

fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let size = units.iter().find(|(name, _)| *name == unit.trim_start())?.1;
    number.parse::<u64>().ok()?.checked_mul(size).filter(|total| *total > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_and_sizes_are_read_with_their_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("10 s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("1m"), Ok(Duration::from_secs(60)));
        assert_eq!(bytes("4MiB"), Ok(4 << 20));
        assert_eq!(bytes("64B"), Ok(64));
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in ["", "s", "10", "0s", "-1s", "1.5s", "10 parsecs", "99999999999999h", "１s"] {
            assert!(duration(text).is_err(), "{text}");
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_duration_survives_its_text(micros in 1..u64::MAX / 1_000) {
            let given = Duration::from_micros(micros);
            prop_assert_eq!(duration(&duration_text(given)), Ok(given));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = (duration(&text), bytes(&text));
        }
    }
}
