//! What the workload said it did, and what it may not have done.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A line of the log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Line {
    Begin { key: String, at: SystemTime },
    End(String),
    Ack(String),
}

/// The log as it is now.
pub(crate) fn read(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(parse).collect()
}

fn parse(line: &str) -> Line {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["begin", key, _attempt, micros] => {
            Line::Begin { key: key.to_owned(), at: UNIX_EPOCH + Duration::from_micros(micros.parse().unwrap()) }
        }
        ["end", key] => Line::End(key.to_owned()),
        ["ack", key] => Line::Ack(key.to_owned()),
        _ => panic!("`{line}` is no line of the log"),
    }
}

/// The keys whose outcome has reached their caller.
pub(crate) fn acked(lines: &[Line]) -> BTreeSet<&str> {
    let acked = lines.iter().filter_map(|line| if let Line::Ack(key) = line { Some(key.as_str()) } else { None });
    acked.collect()
}

fn begun(lines: &[Line]) -> impl Iterator<Item = &str> {
    lines.iter().filter_map(|line| if let Line::Begin { key, .. } = line { Some(key.as_str()) } else { None })
}

/// The keys that have begun and whose outcome has reached nobody.
pub(crate) fn in_flight(lines: &[Line]) -> BTreeSet<&str> {
    let acked = acked(lines);
    begun(lines).filter(|key| !acked.contains(key)).collect()
}

/// The attempts of the workload that fail on purpose.
fn deliberate_retries(key: &str) -> usize {
    if key.starts_with("flaky") { 2 } else { 0 }
}

/// Checks a whole log; `kills` are its lengths at each kill.
///
/// # Errors
/// What went wrong, for each key.
pub(crate) fn check(lines: &[Line], kills: &[usize]) -> Result<(), String> {
    let mut allowed: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for kill in kills {
        let (before, after) = lines.split_at(*kill);
        in_flight(before).into_iter().for_each(|key| *allowed.entry(key).or_default() += 1);
        let known = acked(before);
        let again: BTreeSet<&str> = begun(after).filter(|key| known.contains(key)).collect();
        wrong.extend(again.iter().map(|key| format!("`{key}` was acknowledged before line {kill} and began again")));
    }
    let mut begins: BTreeMap<&str, usize> = BTreeMap::new();
    begun(lines).for_each(|key| *begins.entry(key).or_default() += 1);
    for (key, times) in begins {
        let limit = 1 + allowed.get(key).copied().unwrap_or(0) + deliberate_retries(key);
        if times > limit {
            wrong.push(format!("`{key}` began {times} times, {limit} are explained"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// When the first body other than the root's began after line `from`.
pub(crate) fn first_begin_after(lines: &[Line], from: usize) -> Option<SystemTime> {
    lines[from..].iter().find_map(|line| match line {
        Line::Begin { key, at } if key != "root" => Some(*at),
        _ => None,
    })
}

#[test]
fn a_log_that_repeats_acknowledged_work_is_refused() {
    let begin = |key: &str| Line::Begin { key: key.to_owned(), at: UNIX_EPOCH };
    let ack = |key: &str| Line::Ack(key.to_owned());
    let lines = [begin("a"), Line::End("a".to_owned()), ack("a"), begin("b"), begin("b"), ack("b")];
    assert_eq!(check(&lines, &[4]), Ok(()));
    assert!(check(&lines, &[]).unwrap_err().contains("`b` began 2 times, 1 are explained"));
    let repeated = [&lines[..], &[begin("a")]].concat();
    assert!(check(&repeated, &[4]).unwrap_err().contains("`a` was acknowledged before line 4"));
}
