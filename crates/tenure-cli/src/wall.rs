//! The wall clock in messages. No decision rests on it.

use std::time::Duration;

/// The time of day (UTC) at `span` after `now`, which is a wall clock in microseconds since 1970:
/// `12:00:31 UTC`.
pub(crate) fn time_of_day(now: u64, span: Duration) -> String {
    let span = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let seconds = now.saturating_add(span) / 1_000_000 % 86_400;
    format!("{:02}:{:02}:{:02} UTC", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}
