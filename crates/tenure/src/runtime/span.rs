//! A span of time in a message: whole units, and nothing below a millisecond.

use std::time::Duration;

/// The units of a minute and more, the largest first, in seconds.
const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// A span for people, such as `350ms`, `1.5s`, `4m53s` or `30d1h`. It is cut to milliseconds, and
/// to seconds from a minute on.
pub(crate) fn shown(span: Duration) -> String {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    match millis {
        0..1_000 => format!("{millis}ms"),
        1_000..60_000 => format!("{:?}", Duration::from_millis(millis)),
        _ => {
            let (mut rest, mut text) = (millis / 1_000, String::new());
            for (unit, size) in UNITS {
                if rest >= size {
                    text += &format!("{}{unit}", rest / size);
                    rest %= size;
                }
            }
            text
        }
    }
}

/// As `shown`, with no more than tenths of a second: `350ms`, `4.2s`.
#[must_use]
pub fn in_tenths(span: Duration) -> String {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let cut = if millis < 1_000 { millis } else { millis / 100 * 100 };
    shown(Duration::from_millis(cut))
}

/// A span as the parameters of a URL and the options of the command are written, exact to the
/// millisecond: `350ms`, `4s250ms`, `1h30m`. Neither takes a decimal point.
#[must_use]
pub fn typed(span: Duration) -> String {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let rest = Duration::from_millis(millis % 1_000);
    match millis {
        0..1_000 => shown(rest),
        _ if rest.is_zero() => shown(span),
        _ => shown(Duration::from_secs(millis / 1_000)) + &shown(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// They were shown as `0ns`, `1.999814s` and `3456599.99180056s`.
    #[test]
    fn whole_units_and_nothing_below_a_millisecond() {
        for (nanos, text) in [
            (0, "0ms"),
            (350_999_999, "350ms"),
            (1_000_000_000, "1s"),
            (1_999_814_000, "1.999s"),
            (59_999_999_999, "59.999s"),
            (60_000_000_000, "1m"),
            (293_900_000_000, "4m53s"),
            (2_595_600_000_000_000, "30d1h"),
            (3_456_599_991_800_560, "40d9m59s"),
        ] {
            assert_eq!(shown(Duration::from_nanos(nanos)), text, "{nanos}");
        }
    }

    #[test]
    fn tenths_are_for_people_and_no_point_is_typed() {
        for (millis, people, exact) in [
            (0, "0ms", "0ms"),
            (350, "350ms", "350ms"),
            (1_000, "1s", "1s"),
            (4_250, "4.2s", "4s250ms"),
            (59_999, "59.9s", "59s999ms"),
            (60_005, "1m", "1m5ms"),
            (5_430_000, "1h30m30s", "1h30m30s"),
        ] {
            let span = Duration::from_millis(millis);
            assert_eq!((&*in_tenths(span), &*typed(span)), (people, exact), "{millis}");
            assert_eq!(humantime::parse_duration(exact), Ok(span), "a URL's parameter");
        }
    }
}
