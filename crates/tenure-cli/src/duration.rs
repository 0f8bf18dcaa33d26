//! Durations as people write them: `500ms`, `30s`, `5m`, `2h`, `1h30m`. It never guesses a unit.

use std::time::Duration;

/// A duration for people, `350ms`, `4.2s`, `1h30m`; and one that can be typed, `4s250ms`.
pub(crate) use tenure::runtime::{in_tenths as show, typed};

/// The refusal's last words: the units, and how they are written.
const WRITTEN: &str = "the units are ms, s, m, h and d; write it like 500ms, 30s, 5m, 2h or 1h30m";

/// Reads a duration. The message of a refusal is for people.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("{text} has no unit; did you mean {text}s or {text}ms?"));
    }
    sum(text).map_err(|why| format!("{why}; {WRITTEN}"))
}

/// The sum of numbers with their units.
fn sum(text: &str) -> Result<Duration, String> {
    let mut total = 0_u64;
    let mut rest = text;
    loop {
        let (number, behind) = split_at(rest, |c| !c.is_ascii_digit());
        let (unit, behind) = split_at(behind, |c| c.is_ascii_digit());
        if number.is_empty() {
            return Err("a duration begins with a number, and no sign".into());
        }
        if unit.is_empty() {
            return Err(format!("its last number, {number}, has no unit"));
        }
        let Some(size) = size_of(unit) else { return Err(format!("{unit:?} is no unit")) };
        let span = number.parse::<u64>().ok().and_then(|number| number.checked_mul(size));
        total = span.and_then(|span| total.checked_add(span)).ok_or("it is too long")?;
        if behind.is_empty() {
            return Ok(Duration::from_millis(total));
        }
        rest = behind;
    }
}

fn split_at(text: &str, is_end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(is_end).unwrap_or(text.len()))
}

/// The length of a unit in milliseconds.
fn size_of(unit: &str) -> Option<u64> {
    Some(match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    })
}

/// Reads a number of seconds, as flock does: `10`, `0.5`.
pub(crate) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let seconds = text.parse().ok().filter(|_| is_number);
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or_else(|| {
        "-w takes a number of seconds, such as 10 or 0.5; --wait takes 500ms, 30s, 5m".to_owned()
    })
}

/// As [`show`], with no tenths of a second: `350ms`, `4s`, `1h30m`.
pub(crate) fn show_seconds(span: Duration) -> String {
    match span.as_secs() {
        0 => show(span),
        seconds => show(Duration::from_secs(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_and_their_sums() {
        let cases = [
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("1h30m", 5_400_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("0s", 0),
        ];
        for (text, millis) in cases {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn a_bare_number_gets_a_hint() {
        assert_eq!(parse("30").unwrap_err(), "30 has no unit; did you mean 30s or 30ms?");
        assert_eq!(parse("0").unwrap_err(), "0 has no unit; did you mean 0s or 0ms?");
    }

    #[test]
    fn a_number_of_seconds_as_flock_reads_it() {
        for (text, millis) in [("10", 10_000), ("0.5", 500), ("0", 0), (".25", 250)] {
            assert_eq!(parse_seconds(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", ".", "10s", "-1", "1e3", "inf", "NaN", "99999999999999999999999"] {
            let error = parse_seconds(text).unwrap_err();
            assert!(error.contains("such as 10 or 0.5"), "{text}: {error}");
        }
    }

    #[test]
    fn whatever_else_is_refused_with_the_units() {
        for (text, why) in [
            ("", "begins with a number"),
            ("s", "begins with a number"),
            ("-1s", "begins with a number, and no sign"),
            ("1h30", "its last number, 30, has no unit"),
            ("30 parsecs", "\" parsecs\" is no unit"),
            ("99999999999999999999h", "too long"),
            ("3x", "\"x\" is no unit"),
            // A month and a year, to others.
            ("1M", "\"M\" is no unit"),
            ("1y", "\"y\" is no unit"),
            ("5us", "\"us\" is no unit"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
            assert!(error.contains("the units are ms, s, m, h and d; write it like"), "{error}");
        }
    }

    /// A message proposed `--ttl 4.2s`, which is refused.
    #[test]
    fn a_duration_that_is_proposed_can_be_typed() {
        for millis in [0, 350, 4_000, 4_250, 59_999, 60_005, 5_430_999, 90_000_000] {
            let span = Duration::from_millis(millis);
            assert_eq!(parse(&typed(span)), Ok(span), "{millis}");
        }
        assert!(parse(&show(Duration::from_millis(4_250))).is_err());
    }

    /// They were cut to "0ms".
    #[test]
    fn less_than_a_second_is_not_cut_to_nothing() {
        for (millis, text) in [(350, "350ms"), (4_250, "4s"), (5_430_999, "1h30m30s")] {
            assert_eq!(show_seconds(Duration::from_millis(millis)), text, "{millis}");
        }
    }
}
