//! Points in time and lengths of it, of any sign and size.

use spanwise_proto::json::rfc3339;

const DAY: i64 = 24 * 3600;

/// `2023-11-14 22:13:20.5 UTC`.
pub(super) fn datetime(seconds: i64, nanos: i32) -> String {
    rfc3339(seconds, nanos).replace('T', " ").replace('Z', " UTC")
}

/// `-1 d 01:01:01.5`.
pub(super) fn duration(seconds: i64, nanos: i32) -> String {
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let seconds = seconds.unsigned_abs().min(i64::MAX as u64) as i64;
    let clock = clock(seconds % DAY, nanos.saturating_abs());
    match seconds / DAY {
        0 => format!("{sign}{clock}"),
        days => format!("{sign}{days} d {clock}"),
    }
}

fn clock(seconds: i64, nanos: i32) -> String {
    let whole = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if nanos == 0 {
        return whole;
    }
    format!("{whole}{}", format!(".{nanos:09}").trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_lengths_of_any_size_are_written() {
        assert_eq!(datetime(0, 0), "1970-01-01 00:00:00 UTC");
        assert_eq!(datetime(-86_400, 5_000), "1969-12-31 00:00:00.000005 UTC");
        assert_eq!(datetime(11_016 * DAY, 0), "2000-02-29 00:00:00 UTC");
        assert_eq!(datetime(-719_468 * DAY, 0), "0000-03-01 00:00:00 UTC");
        assert!(datetime(i64::MIN / 1_000_000, 0).ends_with(" UTC"));
        assert_eq!(duration(0, 1_000), "00:00:00.000001");
        assert_eq!(duration(i64::MIN, 0).chars().next(), Some('-'));
    }
}
