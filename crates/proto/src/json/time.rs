//! Points in time and durations in JSON.

use serde_json::Value as Json;

/// What a time looks like.
pub(super) const EXPECTED: &str = "a time such as 2024-02-29T12:00:00Z";

const DAY: i64 = 24 * 3600;
const NANOS: f64 = 1e9;

/// Seconds since 1970 UTC and nanoseconds of a time in RFC 3339: a date alone is its midnight, and a time without an offset is UTC.
pub fn datetime(text: &str) -> Option<(i64, i64)> {
    let (date, clock) = match text.split_once(['T', 't', ' ']) {
        Some((date, clock)) => (date, clock.trim_start()),
        None => (text, "00:00:00"),
    };
    let (clock, offset) = split_offset(clock)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = match clock.len() {
        5 => {
            let [hour, minute] = numbers(clock, ':', [2, 2])?;
            [hour, minute, 0]
        }
        _ => numbers(clock, ':', [2, 2, 2])?,
    };
    let days = days(year, month, day)?;
    // A leap second is the first one of the next minute, as for Python.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some((days * DAY + hour * 3600 + minute * 60 + second - offset, nanos(fraction)?))
}

/// The clock, and how many seconds it is ahead of UTC.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(at) = text.rfind(['+', '-']) else { return Some((text, 0)) };
    let [hours, minutes] = numbers(&text[at + 1..], ':', [2, 2])?;
    let ahead = hours * 3600 + minutes * 60;
    (hours < 24 && minutes < 60).then_some((&text[..at], if text[at..].starts_with('-') { -ahead } else { ahead }))
}

/// Numbers of so many digits each.
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(between);
    let mut numbers = [0; N];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part =
            parts.next().filter(|part| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// The digits behind the point; what is finer than a nanosecond is left out.
fn nanos(fraction: &str) -> Option<i64> {
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nine: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    nine.parse().ok()
}

/// Days from 1970-01-01 to a date of the Gregorian calendar: eras of 400 years that begin on the first of March.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if day < 1 || day > last {
        return None;
    }
    let (year, from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// RFC 3339 in UTC, of a point in time of any sign and size in the Gregorian calendar without end: eras of 400 years that begin on the
/// first of March.
pub fn rfc3339(seconds: i64, nanos: i32) -> String {
    let (days, rest) = (seconds.div_euclid(DAY) + 719_468, seconds.rem_euclid(DAY));
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let fraction = if nanos == 0 { String::new() } else { format!(".{nanos:09}").trim_end_matches('0').to_owned() };
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
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
}
