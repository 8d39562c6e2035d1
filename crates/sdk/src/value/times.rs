//! Points in time and durations, with the precision of nanoseconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};
use spanwise_proto::flyteidl2::core::{Literal, LiteralType};

use super::{Value, ValueError};

const NANOS: i128 = 1_000_000_000;

fn datetime(nanos: i128) -> Result<Literal, ValueError> {
    let (seconds, rest) = split(nanos)?;
    Ok(Literal::datetime(seconds, rest))
}

fn duration(nanos: i128) -> Result<Literal, ValueError> {
    // A protobuf duration has the sign of the whole in both parts.
    let seconds = i64::try_from(nanos / NANOS).map_err(|_| ValueError::new("the duration is out of range"))?;
    Ok(Literal::duration(seconds, (nanos % NANOS) as i64))
}

fn split(nanos: i128) -> Result<(i64, i64), ValueError> {
    let seconds = i64::try_from(nanos.div_euclid(NANOS)).map_err(|_| ValueError::new("the time is out of range"))?;
    Ok((seconds, nanos.rem_euclid(NANOS) as i64))
}

fn datetime_nanos(literal: &Literal) -> Result<i128, ValueError> {
    let (seconds, nanos) = literal.as_datetime().ok_or_else(|| ValueError::expected("a datetime", literal))?;
    Ok(i128::from(seconds) * NANOS + i128::from(nanos))
}

fn duration_nanos(literal: &Literal) -> Result<i128, ValueError> {
    let (seconds, nanos) = literal.as_duration().ok_or_else(|| ValueError::expected("a duration", literal))?;
    Ok(i128::from(seconds) * NANOS + i128::from(nanos))
}

/// Nanoseconds from a start to an end that may lie before it.
fn std_duration(nanos: i128) -> Result<Duration, ValueError> {
    let seconds = u64::try_from(nanos.div_euclid(NANOS));
    let seconds = seconds.map_err(|_| ValueError::new("a negative duration does not fit std::time::Duration"))?;
    Ok(Duration::new(seconds, nanos.rem_euclid(NANOS) as u32))
}

macro_rules! time_value {
    ($time:ty, $kind:ident, $schema:expr, $to:expr, $from:expr) => {
        impl Value for $time {
            fn literal_type() -> LiteralType {
                LiteralType::$kind()
            }

            fn json_schema() -> Json {
                $schema
            }

            fn to_literal(&self) -> Result<Literal, ValueError> {
                let nanos: fn(&$time) -> i128 = $to;
                $kind(nanos(self))
            }

            fn from_literal(literal: &Literal) -> Result<$time, ValueError> {
                let read: fn(&Literal) -> Result<$time, ValueError> = $from;
                read(literal)
            }
        }
    };
}

fn point_schema() -> Json {
    json!({"type": "string", "format": "date-time"})
}

fn span_schema() -> Json {
    json!({"type": "number", "format": "time-delta"})
}

time_value!(
    SystemTime,
    datetime,
    point_schema(),
    |time| match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    },
    |literal| {
        let nanos = datetime_nanos(literal)?;
        let distance = std_duration(nanos.abs())?;
        let time = if nanos < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
        time.ok_or_else(|| ValueError::new("the time is out of range"))
    }
);

time_value!(Duration, duration, span_schema(), |span| span.as_nanos() as i128, |literal| std_duration(duration_nanos(
    literal
)?));

#[cfg(feature = "chrono")]
time_value!(
    chrono::DateTime<chrono::Utc>,
    datetime,
    point_schema(),
    |time| i128::from(time.timestamp()) * NANOS + i128::from(time.timestamp_subsec_nanos()),
    |literal| {
        let (seconds, nanos) = split(datetime_nanos(literal)?)?;
        chrono::DateTime::from_timestamp(seconds, nanos as u32)
            .ok_or_else(|| ValueError::new("the time is out of range"))
    }
);

#[cfg(feature = "chrono")]
time_value!(
    chrono::TimeDelta,
    duration,
    span_schema(),
    |span| i128::from(span.num_seconds()) * NANOS + i128::from(span.subsec_nanos()),
    |literal| {
        let (seconds, nanos) = split(duration_nanos(literal)?)?;
        chrono::TimeDelta::new(seconds, nanos as u32).ok_or_else(|| ValueError::new("the duration is out of range"))
    }
);

#[cfg(feature = "jiff")]
time_value!(jiff::Timestamp, datetime, point_schema(), |time| time.as_nanosecond(), |literal| {
    jiff::Timestamp::from_nanosecond(datetime_nanos(literal)?).map_err(|error| ValueError::new(error.to_string()))
});

#[cfg(feature = "jiff")]
time_value!(jiff::SignedDuration, duration, span_schema(), |span| span.as_nanos(), |literal| {
    let (seconds, nanos) = split(duration_nanos(literal)?)?;
    Ok(jiff::SignedDuration::new(seconds, nanos as i32))
});
