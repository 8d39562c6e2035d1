//! Times as text.

use spanwise_core::Timestamp;

/// A point in time as RFC 3339 in UTC, to the microsecond.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    let date_time = std::time::UNIX_EPOCH + std::time::Duration::from_micros(u64::try_from(at.0).unwrap_or(0));
    humantime::format_rfc3339_micros(date_time).to_string()
}
