//! Which expressions are schedules, and where their slots are when clocks are changed. The oracle test compares many more.

use super::*;

fn cron(expression: &str, zone: &str) -> Result<Schedule, BadSchedule> {
    let automation = Automation::Cron { expression: expression.to_owned(), zone: zone.to_owned() };
    Schedule::new(&automation, Timestamp(0)).map(|schedule| schedule.expect("a cron expression is a schedule"))
}

fn at(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
}

fn first(schedule: &Schedule, after: &str, count: usize) -> Vec<String> {
    schedule.between(at(after), Timestamp(i64::MAX)).take(count).map(shown).collect()
}

#[test]
fn s11_1_the_dialect_is_that_of_flytes_scheduler() {
    for (expression, slots) in [
        ("30 9 * * *", ["2026-01-01T09:30:00Z", "2026-01-02T09:30:00Z"]),
        ("*/20 * * * *", ["2026-01-01T00:20:00Z", "2026-01-01T00:40:00Z"]),
        ("? * * * ?", ["2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z"]),
        // From the minute on, to the end of the hour.
        ("40/10 0 * * *", ["2026-01-01T00:40:00Z", "2026-01-01T00:50:00Z"]),
        ("0 12 * jan,MAR Mon-wed/2", ["2026-01-05T12:00:00Z", "2026-01-07T12:00:00Z"]),
        // Both days: either. One of them: that one. A star with a step is no star.
        ("0 0 13 * fri", ["2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z"]),
        ("0 0 * * fri", ["2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z"]),
        ("0 0 13 * *", ["2026-01-13T00:00:00Z", "2026-02-13T00:00:00Z"]),
        ("0 0 13 * */6", ["2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"]),
        ("0 0 13 * */1", ["2026-01-13T00:00:00Z", "2026-02-13T00:00:00Z"]),
        ("0 0 29 2 *", ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]),
        ("@yearly", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
        ("@annually", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
        ("@monthly", ["2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"]),
        ("@weekly", ["2026-01-04T00:00:00Z", "2026-01-11T00:00:00Z"]),
        ("@daily", ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"]),
        (" @midnight ", ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"]),
        ("@hourly", ["2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"]),
        ("CRON_TZ=Asia/Tokyo 0 9 * * *", ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"]),
        ("TZ=Asia/Tokyo @daily", ["2026-01-01T15:00:00Z", "2026-01-02T15:00:00Z"]),
    ] {
        assert_eq!(first(&cron(expression, "").unwrap(), "2026-01-01T00:00:00Z", 2), slots, "{expression}");
    }
}

#[test]
fn s11_1_what_is_no_schedule_is_refused_with_its_reason() {
    for (expression, reason) in [
        ("", "0 fields, and 5 are expected"),
        ("* * * *", "4 fields"),
        ("0 0 * * * *", "6 fields"),
        ("60 * * * *", "minute 60 is not from 0 to 59"),
        ("* 24 * * *", "hour 24 is not from 0 to 23"),
        ("* * 0 * *", "day of month 0 is not from 1 to 31"),
        ("* * * 13 *", "month 13 is not from 1 to 12"),
        ("* * * * 7", "day of week 7 is not from 0 to 6"),
        ("* * * * fri-mon", "its beginning lies behind its end"),
        ("*/0 * * * *", "a step of 0"),
        ("5-1 * * * *", "its beginning lies behind its end"),
        ("* * L * *", "day of month `L` is neither"),
        ("* * 15W * *", "day of month `15W` is neither"),
        ("* * * * fri#2", "day of week `fri#2` is neither"),
        ("-1 * * * *", "minute `` is neither"),
        ("+1 * * * *", "minute `+1` is neither"),
        ("@reboot", "it is none of @yearly"),
        ("@every", "it is none of @yearly"),
        ("@every soon", "`soon` is no duration"),
        ("0 0 30 2 *", "names a time that never comes"),
        ("TZ=UTC", "nothing follows the time zone"),
    ] {
        let refused = cron(expression, "").unwrap_err().to_string();
        assert!(refused.contains(reason), "{expression}: {refused}");
    }
    assert!(cron("@daily", "Europe/Atlantis").unwrap_err().to_string().contains("`Europe/Atlantis` is no time zone"));
}

/// Clocks go from 02:00 to 03:00 on 29 March 2026 in Berlin, and from 03:00 back to 02:00 on 25 October.
#[test]
fn s11_2_a_time_that_clocks_skip_is_the_change_and_one_that_they_show_twice_is_the_first() {
    for (expression, zone, after, slots) in [
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", vec!["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]),
        ("0 3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", vec!["2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z"]),
        // Four times that are not there are one slot, and the next one is that of 03:15.
        (
            "*/15 * * * *",
            "Europe/Berlin",
            "2026-03-29T00:30:00Z",
            vec!["2026-03-29T00:45:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:15:00Z"],
        ),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", vec!["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", vec!["2026-10-26T01:30:00Z"]),
        ("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", vec!["2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z"]),
        // In the hour that is there again.
        ("*/30 * * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", vec!["2026-10-25T02:00:00Z", "2026-10-25T02:30:00Z"]),
        // Half an hour, on Lord Howe Island.
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T12:00:00Z",
            vec!["2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"],
        ),
        // A whole day that Samoa has left out.
        (
            "0 12 * * *",
            "Pacific/Apia",
            "2011-12-29T12:00:00Z",
            vec!["2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"],
        ),
        ("30 2 * * *", "Etc/GMT-2", "2026-03-28T12:00:00Z", vec!["2026-03-29T00:30:00Z"]),
    ] {
        let found = first(&cron(expression, zone).unwrap(), after, slots.len());
        assert_eq!(found, slots, "{expression} in {zone} after {after}");
    }
}

fn every(seconds: u64, start: Option<&str>, since: &str) -> Schedule {
    let automation = Automation::Rate { every: Duration::from_secs(seconds), start: start.map(at) };
    Schedule::new(&automation, at(since)).unwrap().unwrap()
}

#[test]
fn s11_3_a_rate_counts_from_its_start_or_from_its_activation() {
    let since = "2026-01-01T10:00:07.9Z";
    assert_eq!(first(&every(60, None, since), since, 2), ["2026-01-01T10:01:07Z", "2026-01-01T10:02:07Z"]);
    let started = every(3600, Some("2026-01-01T10:30:00Z"), since);
    assert_eq!(first(&started, since, 2), ["2026-01-01T10:30:00Z", "2026-01-01T11:30:00Z"]);
    assert_eq!(first(&started, "2026-01-01T10:30:00Z", 1), ["2026-01-01T11:30:00Z"]);
    assert_eq!(first(&every(3600, Some("2025-01-01T00:15:00Z"), since), since, 1), ["2026-01-01T10:15:00Z"]);
    let spoken = Automation::Cron { expression: "@every 1m30s".to_owned(), zone: String::new() };
    let spoken = Schedule::new(&spoken, at(since)).unwrap().unwrap();
    assert_eq!(first(&spoken, since, 2), ["2026-01-01T10:01:37Z", "2026-01-01T10:03:07Z"]);
    let refused = Schedule::new(&Automation::Rate { every: Duration::from_millis(500), start: None }, Timestamp(0));
    assert!(refused.unwrap_err().to_string().contains("one second is the least"));
    assert!(Schedule::new(&Automation::OnDemand, Timestamp(0)).unwrap().is_none());
}

#[test]
fn durations_are_read_as_go_reads_them() {
    for (text, seconds) in [("90s", 90), ("1h30m", 5400), ("1.5h", 5400), ("1m1500ms", 61), ("10ms", 1), ("0s", 1)] {
        let expression = format!("@every {text}");
        let read = dialect::read(&expression).unwrap();
        assert_eq!(read, dialect::Read::Every(Duration::from_secs(seconds)), "{text}");
    }
    for text in ["", "90", "s", "1h30", "-1h", "1d", "1..5h", "99999999999999999999999h"] {
        assert!(cron(&format!("@every {text}"), "").is_err(), "{text}");
    }
}

#[test]
fn the_newest_slots_are_found_however_long_the_stretch_is() {
    let (after, until) = (at("1990-01-01T00:00:00Z"), at("2026-06-15T12:00:30Z"));
    let newest = |expression: &str, most| {
        let slots = cron(expression, "Europe/Berlin").unwrap().newest(after, until, most);
        (slots.len(), slots.first().copied().map(shown), slots.last().copied().map(shown))
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(newest("* * * * *", 101), (101, text("2026-06-15T10:20:00Z"), text("2026-06-15T12:00:00Z")));
    assert_eq!(newest("0 0 29 2 *", 100), (9, text("1992-02-28T23:00:00Z"), text("2024-02-28T23:00:00Z")));
    let quick = every(1, None, "1990-01-01T00:00:00Z").newest(after, until, 3);
    assert_eq!(
        quick.into_iter().map(shown).collect::<Vec<_>>().join(" "),
        "2026-06-15T12:00:28Z 2026-06-15T12:00:29Z 2026-06-15T12:00:30Z"
    );
    assert_eq!(every(60, None, "2026-06-15T12:00:00Z").newest(until, until, 9), []);
}
