//! Times as text.

use spanwise_core::Timestamp;

/// A point in time as RFC 3339 in UTC, to the microsecond.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    format!("{:.6}", date_time(at))
}

/// The same point in time for a calendar; one that no calendar has is the calendar's last.
pub(crate) fn date_time(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(at.0.max(0)).unwrap_or(jiff::Timestamp::MAX)
}

/// A time in ISO 8601: without an offset it is UTC, a date alone is its midnight.
pub(crate) fn read_time(text: &str) -> Option<Timestamp> {
    let (seconds, nanos) = spanwise_proto::json::datetime(text)?;
    Some(Timestamp((seconds.saturating_mul(1_000_000) + nanos / 1000).max(0)))
}
