//! Points in time and durations in JSON.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::fmt::temporal::Pieces;
use jiff::{SignedDuration, Span, SpanRelativeTo};
use serde_json::Value as Json;

/// What a time looks like.
pub(super) const EXPECTED: &str = "a time such as 2024-02-29T12:00:00Z";

const NANOS: f64 = 1e9;

const EPOCH: DateTime = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);

/// Seconds since 1970 UTC and nanoseconds of a time in RFC 3339: a date alone is its midnight, and a time without an offset is UTC.
pub fn datetime(text: &str) -> Option<(i64, i64)> {
    let pieces = Pieces::parse(text).ok().filter(|pieces| pieces.time_zone_annotation().is_none())?;
    let local = pieces.date().to_datetime(pieces.time().unwrap_or_default());
    let ahead = pieces.to_numeric_offset().map_or(0, |offset| i64::from(offset.seconds()));
    let since = local.duration_since(EPOCH);
    let nanos = i64::from(since.subsec_nanos());
    // Before 1970 both are negative there; in a message only the seconds are.
    Some((since.as_secs() - i64::from(nanos < 0) - ahead, nanos.rem_euclid(NANOS as i64)))
}

/// RFC 3339 in UTC. A point in time that is farther away than the year 9999 is told in seconds.
pub fn rfc3339(seconds: i64, nanos: i32) -> String {
    let since = SignedDuration::from_secs(seconds).checked_add(SignedDuration::from_nanos(nanos.into()));
    match since.and_then(|since| EPOCH.checked_add(since).ok()) {
        Some(at) => format!("{at}Z"),
        None => format!("{seconds} s since 1970-01-01T00:00:00Z"),
    }
}

/// A length of time in words, such as `90s`, `1h30m` or `7d`; a day has 24 hours.
pub fn length(text: &str) -> Option<Duration> {
    let length = text.parse::<Span>().ok()?.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(length).ok()
}

/// Seconds and nanoseconds of a number of seconds.
pub(super) fn seconds(json: &Json) -> Option<(i64, i64)> {
    if let Some(whole) = json.as_i64() {
        return Some((whole, 0));
    }
    let value = json.as_f64().filter(|value| value.abs() < 9.0e18)?;
    Some((value.trunc() as i64, (value.fract() * NANOS).round() as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_forms_of_rfc_3339_and_written_in_utc() {
        for (text, seconds, nanos) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("1970-01-01", 0, 0),
            ("1969-12-31T23:59:59.25Z", -1, 250_000_000),
            ("2024-02-29T12:00:00+02:00", 1_709_200_800, 0),
            ("2024-02-29 10:00", 1_709_200_800, 0),
            ("2000-03-01T00:00:00-00:30", 951_870_600, 0),
            ("0001-01-01T00:00:00Z", -62_135_596_800, 0),
            ("9999-12-31T23:59:59.999999999Z", 253_402_300_799, 999_999_999),
        ] {
            assert_eq!(datetime(text), Some((seconds, nanos)), "{text}");
            assert_eq!(datetime(&rfc3339(seconds, nanos as i32)), Some((seconds, nanos)), "{text}");
        }
        assert_eq!(rfc3339(1_709_200_800, 500_000_000), "2024-02-29T10:00:00.5Z");
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "now",
            "2023-02-29",
            "2024-13-01",
            "2024-00-01",
            "2024-01-32",
            "2024-01-01T24:00:00Z",
            "24-01-01",
            "2024-01-01T00:00:00.Xz",
            "2024-01-01T00:00:00+2",
            "2024-01-01Tüß:00:00",
            "2024-01-01T00:00:00+99:00",
        ] {
            assert_eq!(datetime(text), None, "{text}");
        }
    }

    #[test]
    fn lengths_are_read_in_the_words_of_people() {
        for (text, seconds) in [
            ("90s", 90.0),
            ("1h30m", 5400.0),
            ("1h 30min", 5400.0),
            ("7d", 604_800.0),
            ("2w", 1_209_600.0),
            ("1.5s", 1.5),
            ("250ms", 0.25),
        ] {
            assert_eq!(length(text), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        for text in ["", "90", "h", "1 lightyear", "-1s", "1h-", "2023-11-14", "99999999999999999999s"] {
            assert_eq!(length(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_that_no_calendar_has_is_told_in_seconds() {
        assert_eq!(rfc3339(i64::MAX, 0), "9223372036854775807 s since 1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(0, -1), "1969-12-31T23:59:59.999999999Z");
    }
}
