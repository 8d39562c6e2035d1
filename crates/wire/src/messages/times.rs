//! Points in time and lengths of it.

use std::time::Duration;

use spanwise_core::Timestamp;
use spanwise_proto::google::protobuf;

/// A point in time for the wire.
pub fn timestamp(at: Timestamp) -> protobuf::Timestamp {
    protobuf::Timestamp {
        seconds: at.0.div_euclid(1_000_000),
        nanos: (at.0.rem_euclid(1_000_000) * 1000) as i32,
        ..protobuf::Timestamp::default()
    }
}

/// A point in time of the wire, to the microsecond; saturates at the ends of time.
pub fn from_timestamp(at: &protobuf::Timestamp) -> Timestamp {
    Timestamp(at.seconds.saturating_mul(1_000_000).saturating_add(i64::from(at.nanos) / 1000))
}

/// A length of time for the wire; saturates.
pub fn duration(length: Duration) -> protobuf::Duration {
    let seconds = i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
    protobuf::Duration { seconds, nanos: length.subsec_nanos() as i32, ..protobuf::Duration::default() }
}

/// A limit of the wire; none for zero and for what is negative.
pub fn from_duration(value: Option<&protobuf::Duration>) -> Option<Duration> {
    let value = value?;
    let duration = Duration::new(u64::try_from(value.seconds).ok()?, u32::try_from(value.nanos).ok()?);
    (!duration.is_zero()).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_cross_the_wire_to_the_microsecond() {
        for at in [0, 1, 999_999, 1_700_000_000_000_001, -1, -1_000_001] {
            assert_eq!(from_timestamp(&timestamp(Timestamp(at))), Timestamp(at));
        }
        let end = protobuf::Timestamp { seconds: i64::MAX, nanos: i32::MAX, ..protobuf::Timestamp::default() };
        assert_eq!(from_timestamp(&end), Timestamp(i64::MAX));
    }

    #[test]
    fn a_limit_that_is_no_time_is_none() {
        for length in [Duration::from_nanos(1), Duration::from_millis(1500), Duration::from_secs(1 << 40)] {
            assert_eq!(from_duration(Some(&duration(length))), Some(length));
        }
        assert_eq!(from_duration(Some(&duration(Duration::ZERO))), None);
        let negative = protobuf::Duration { seconds: -1, ..protobuf::Duration::default() };
        assert_eq!(from_duration(Some(&negative)), None);
        assert_eq!(from_duration(None), None);
    }
}
