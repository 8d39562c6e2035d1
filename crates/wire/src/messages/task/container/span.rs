//! Lengths of time as programs write them.

use serde_json::json;
use spanwise_proto::flyteidl2::core::{Literal, LiteralType};

/// A length of time as a word: seconds with their fraction.
pub(super) fn text(seconds: i64, nanos: i32) -> String {
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let fraction = format!("{:09}", nanos.unsigned_abs());
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{dot}{fraction}s", seconds.unsigned_abs())
}

/// The length of time that is written as a number of seconds, as Go writes it (`1h2m3.5s`) or as Python does (`1 day, 2:03:04`).
pub(super) fn read(text: &str) -> Option<Literal> {
    let seconds = text.parse::<f64>().ok().or_else(|| of_units(text)).or_else(|| of_clock(text))?;
    Literal::from_json(&LiteralType::duration(), &json!(seconds)).ok()
}

fn of_units(text: &str) -> Option<f64> {
    let (sign, mut rest) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let unit_end = rest[end..].find(|character: char| character.is_ascii_digit()).map_or(rest.len(), |at| end + at);
        seconds += number
            * match &rest[end..unit_end] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    (!text.is_empty()).then_some(sign * seconds)
}

fn of_clock(text: &str) -> Option<f64> {
    let (days, clock) = match text.split_once(", ") {
        Some((days, clock)) => {
            (days.strip_suffix(" days").or_else(|| days.strip_suffix(" day"))?.parse::<f64>().ok()?, clock)
        }
        None => (0.0, text),
    };
    let parts: Vec<f64> = clock.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hours, minutes, seconds] = parts[..] else { return None };
    Some(days * 86400.0 + hours * 3600.0 + minutes * 60.0 + seconds)
}
