//! What a cron expression may be: the dialect of Flyte's scheduler, which is that of Go's `robfig/cron`, read into what `croner` takes.

use std::fmt::Write as _;
use std::time::Duration;

use super::{BadSchedule, short};

/// An expression as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read<'a> {
    /// Fields in plain numbers, and the zone that stands before them.
    Fields { pattern: String, zone: Option<&'a str> },
    /// `@every ..`.
    Every(Duration),
}

struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const FIELDS: [Field; 5] = [
    Field { name: "minute", least: 0, most: 59, names: &[] },
    Field { name: "hour", least: 0, most: 23, names: &[] },
    Field { name: "day of month", least: 1, most: 31, names: &[] },
    Field { name: "month", least: 1, most: 12, names: &MONTHS },
    Field { name: "day of week", least: 0, most: 6, names: &DAYS },
];

const DESCRIPTORS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

pub(super) fn interval(text: &str) -> Result<Duration, BadSchedule> {
    let refused = |what: String| BadSchedule::Expression { expression: short(&format!("@every {text}")), what };
    go_duration(text.trim()).map_err(refused)
}

pub(super) fn read(expression: &str) -> Result<Read<'_>, BadSchedule> {
    let refused = |what: String| BadSchedule::Expression { expression: short(expression), what };
    let (zone, text) = with_zone(expression.trim()).map_err(refused)?;
    if let Some(every) = text.strip_prefix("@every ") {
        return go_duration(every.trim()).map(Read::Every).map_err(refused);
    }
    let text = match text.starts_with('@') {
        true => {
            let found = DESCRIPTORS.iter().find(|(name, _)| *name == text);
            let names = || DESCRIPTORS.map(|(name, _)| name).join(", ");
            found.ok_or_else(|| refused(format!("it is none of {}, @every DURATION", names())))?.1
        }
        false => text,
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.len() != FIELDS.len() {
        return Err(refused(format!(
            "it has {} fields, and 5 are expected: minute, hour, day of month, month, day of week",
            words.len()
        )));
    }
    let fields = FIELDS.iter().zip(words).map(|(field, word)| field.read(word)).collect::<Result<Vec<_>, _>>();
    Ok(Read::Fields { pattern: fields.map_err(refused)?.join(" "), zone })
}

/// The zone that stands before an expression, and the rest.
fn with_zone(text: &str) -> Result<(Option<&str>, &str), String> {
    let Some(rest) = text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) else {
        return Ok((None, text));
    };
    let (zone, text) = rest.split_once(char::is_whitespace).ok_or("nothing follows the time zone")?;
    Ok((Some(zone), text.trim()))
}

impl Field {
    /// The field in numbers; one that may be anything is `*`, which counts for how the two days go together.
    fn read(&self, word: &str) -> Result<String, String> {
        let mut read = String::new();
        for part in word.split(',') {
            let (from, to, step, is_any) = self.part(part)?;
            if is_any {
                return Ok("*".to_owned());
            }
            let comma = if read.is_empty() { "" } else { "," };
            let step = if step == 1 { String::new() } else { format!("/{step}") };
            let range = if from == to { from.to_string() } else { format!("{from}-{to}{step}") };
            let _ = write!(read, "{comma}{range}");
        }
        Ok(read)
    }

    /// The first and the last value of a part, its step, and whether it may be anything.
    fn part(&self, part: &str) -> Result<(u32, u32, u32, bool), String> {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let step = step.map(|step| self.number(step)).transpose()?;
        if step == Some(0) {
            return Err(format!("{} `{part}`: a step of 0", self.name));
        }
        let (from, to) = match range {
            "*" | "?" => (self.least, self.most),
            range => match range.split_once('-') {
                Some((from, to)) => (self.value(from)?, self.value(to)?),
                // From there to the end, if there is a step.
                None => (self.value(range)?, if step.is_some() { self.most } else { self.value(range)? }),
            },
        };
        for value in [from, to] {
            if value < self.least || value > self.most {
                return Err(format!("{} {value} is not from {} to {}", self.name, self.least, self.most));
            }
        }
        if from > to {
            return Err(format!("{} `{part}`: its beginning lies behind its end", self.name));
        }
        let step = step.unwrap_or(1);
        Ok((from, to, step, matches!(range, "*" | "?") && step == 1))
    }

    fn value(&self, text: &str) -> Result<u32, String> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let number = |index: usize| u32::try_from(index).unwrap_or(u32::MAX).saturating_add(self.least);
        named.map_or_else(|| self.number(text), |index| Ok(number(index)))
    }

    fn number(&self, text: &str) -> Result<u32, String> {
        let digits = Some(text).filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
        let number = digits.and_then(|digits| digits.parse().ok());
        number.ok_or_else(|| {
            format!("{} `{}` is neither a number nor `*`, `a-b`, `a/step` or a list of those", self.name, short(text))
        })
    }
}

/// A duration as Go writes it: `1h30m`, `90s`. Whole seconds, one at least.
fn go_duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 7] =
        [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("h", 3600.0), ("m", 60.0), ("s", 1.0)];
    let bad = || format!("`{}` is no duration, as 90s or 1h30m are", short(text));
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
        let (unit, factor) = UNITS.iter().find(|(unit, _)| rest[digits..].starts_with(unit)).ok_or_else(bad)?;
        seconds += number * factor;
        rest = &rest[digits + unit.len()..];
    }
    if text.is_empty() {
        return Err(bad());
    }
    Duration::try_from_secs_f64(seconds.max(1.0).floor()).map_err(|_| bad())
}
