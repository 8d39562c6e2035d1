//! Points in time and lengths of it, of any sign and size.

const DAY: i64 = 24 * 3600;

/// `2023-11-14 22:13:20.5 UTC`.
pub(super) fn datetime(seconds: i64, nanos: i32) -> String {
    let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let (year, month, day) = date(days);
    format!("{year:04}-{month:02}-{day:02} {} UTC", clock(rest, nanos))
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

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar without end: eras of 400 years that begin
/// on the first of March.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(-1), (1969, 12, 31));
        assert_eq!(date(11_016), (2000, 2, 29));
        assert_eq!(date(19_723), (2024, 1, 1));
        assert_eq!(date(-719_468), (0, 3, 1));
        assert!(datetime(i64::MIN / 1_000_000, 0).ends_with(" UTC"));
        assert_eq!(duration(0, 1_000), "00:00:00.000001");
        assert_eq!(duration(i64::MIN, 0).chars().next(), Some('-'));
    }
}
