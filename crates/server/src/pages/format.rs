//! Times, lengths, phases and results as the pages write them.

use std::time::Duration;

use spanwise_core::lifecycle::Span as LifeSpan;
use spanwise_core::{Phase, Times, Timestamp};

use crate::text::date_time;

/// A point in time: exact for machines, short for people, and how long ago it was.
#[derive(Clone, Debug)]
pub(super) struct When {
    pub(super) iso: String,
    pub(super) text: String,
    pub(super) ago: String,
}

pub(super) fn when(at: Timestamp, now: Timestamp) -> When {
    let iso = format!("{:.3}", date_time(at));
    let text = iso[..19].replace('T', " ");
    When { iso, text, ago: format!("{} ago", rough(now.since(at))) }
}

/// A length of time with two of its units.
pub(super) fn length(length: Duration) -> String {
    let (seconds, millis) = (length.as_secs(), length.as_millis());
    match seconds {
        0 if millis == 0 => format!("{} µs", length.as_micros()),
        0 => format!("{millis} ms"),
        1..60 => format!("{:.1} s", (millis / 100) as f64 / 10.0),
        60..3600 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {:02} m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {:02} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// A length of time with its largest unit; the script of the pages says the same.
fn rough(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// How long something ran that has started: to its end, or as long as it goes on.
pub(super) fn ran(times: &Times, now: Timestamp) -> Option<Span> {
    times.started.map(|started| span(started, times.ended, now))
}

/// A length of time that may still grow.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) text: String,
    /// Since when it grows, in milliseconds; none if it has ended.
    pub(super) since: Option<i64>,
}

pub(super) fn span(from: Timestamp, to: Option<Timestamp>, now: Timestamp) -> Span {
    let text = length(to.unwrap_or(now).since(from));
    Span { text, since: to.is_none().then_some(from.0 / 1000) }
}

/// A phase as a class of the style sheet and a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Badge {
    pub(super) class: &'static str,
    pub(super) word: &'static str,
}

/// What a run has in the place of a phase that cannot be read.
pub(super) const UNREADABLE: Badge = Badge { class: "failed", word: "Unreadable" };

/// A run in which a condition waits for somebody's answer.
pub(super) const WAITING: Badge = Badge { class: "paused", word: "Waiting for you" };

pub(super) fn badge(phase: Phase) -> Badge {
    let (class, word) = match phase {
        Phase::Queued => ("queued", "Queued"),
        Phase::WaitingForResources => ("queued", "Waiting"),
        Phase::Initializing => ("starting", "Starting"),
        Phase::Running => ("running", "Running"),
        Phase::Succeeded => ("succeeded", "Succeeded"),
        Phase::Failed => ("failed", "Failed"),
        Phase::Aborted => ("aborted", "Aborted"),
        Phase::TimedOut => ("failed", "Timed out"),
        Phase::Paused => ("paused", "Paused"),
        Phase::Recovered => ("succeeded", "Recovered"),
    };
    Badge { class, word }
}

/// A number with its thousands apart.
pub(super) fn count(number: usize) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let (head, tail) = digits.split_at(first);
    let groups = tail.as_bytes().chunks(3).map(|group| String::from_utf8_lossy(group).into_owned());
    std::iter::once(head.to_owned()).filter(|head| !head.is_empty()).chain(groups).collect::<Vec<_>>().join(",")
}

/// A size in bytes.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// A text, cut to a number of bytes.
pub(super) fn cut(text: &str, most: usize) -> String {
    let end = text.floor_char_boundary(most);
    if end < text.len() { format!("{}…", &text[..end]) } else { text.to_owned() }
}

/// An attribute of a lifecycle span that is a text.
pub(super) fn detail<'a>(span: &'a LifeSpan, key: &str) -> Option<&'a str> {
    span.details.iter().find(|(name, _)| *name == key)?.1.as_text()
}

/// How an attempt came out.
pub(super) fn result_of(span: &LifeSpan) -> Option<Badge> {
    let (class, word) = match detail(span, "spanwise.attempt.result")? {
        "success" => ("succeeded", "Succeeded"),
        "failure" => ("failed", "Failed"),
        "timeout" => ("failed", "Timed out"),
        "error" => ("failed", "Lost"),
        "released" => ("aborted", "Given back"),
        "running" => ("running", "Running"),
        _ => ("aborted", "Aborted"),
    };
    Some(Badge { class, word })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_numbers_are_short() {
        let lengths = [(900, "900 µs"), (12_345, "12 ms"), (3_460_000, "3.4 s"), (125_000_000, "2 m 05 s")];
        for (micros, expected) in lengths {
            assert_eq!(length(Duration::from_micros(micros)), expected);
        }
        assert_eq!(length(Duration::from_secs(100_000)), "1 d 03 h");
        assert_eq!([count(0), count(999), count(1000), count(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(size(1536), "1.5 KiB");
        let at = when(Timestamp(1_700_000_000_000_000), Timestamp(1_700_000_090_000_000));
        assert_eq!((at.text.as_str(), at.ago.as_str()), ("2023-11-14 22:13:20", "1 min ago"));
    }
}
