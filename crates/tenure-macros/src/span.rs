//! Spans of time as people write them: `500ms`, `30s`, `5m`, `2h`, `1h30m`.

pub(crate) const SUCH_AS: &str = "\"500ms\", \"30s\", \"5m\", \"2h\" or \"1h30m\"";

/// Milliseconds; `None` if it is no such text. Units fall, and each stands once.
pub(crate) fn millis(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let mut rest = text;
    let mut total = 0_u64;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let after = &rest[digits..];
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (_, unit) = units.find(|(name, _)| *name == &after[..end])?;
        total = total.checked_add(number.checked_mul(*unit)?)?;
        rest = &after[end..];
    }
    (total > 0).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::millis;

    #[test]
    fn spans_are_read_as_written() {
        let good = [("500ms", 500), ("30s", 30_000), ("1h30m", 5_400_000), ("1m1s1ms", 61_001)];
        for (text, span) in good {
            assert_eq!(millis(text), Some(span), "{text}");
        }
        for bad in
            ["", "30", "s", "0s", "1.5s", "30 s", "1s1m", "1s1s", "-1s", "99999999999999999h"]
        {
            assert_eq!(millis(bad), None, "{bad}");
        }
    }
}
