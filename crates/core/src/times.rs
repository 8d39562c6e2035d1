//! The times of a run or an action, by the words that every list, page, command and answer uses for them.

use std::time::Duration;

use crate::Timestamp;

/// When it was created, started and ended; from these, how long it took and ran. A run has the times of its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When it was accepted; of a step, when its body began.
    pub created: Timestamp,
    /// When its first attempt began to run. None if none has: it is queued, was aborted before, had its outputs from a cache or an
    /// earlier run, or is a condition, which nothing runs.
    pub started: Option<Timestamp>,
    /// When it came to its end.
    pub ended: Option<Timestamp>,
}

impl Times {
    /// From created to ended, or to now.
    pub fn took(&self, now: Timestamp) -> Duration {
        self.ended.unwrap_or(now).since(self.created)
    }

    /// From started to ended, or to now, with the pauses between its attempts; none for what has not started.
    pub fn ran(&self, now: Timestamp) -> Option<Duration> {
        Some(self.ended.unwrap_or(now).since(self.started?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn took_is_from_created_and_ran_from_started_to_the_end_or_to_now() {
        let micros = Duration::from_micros;
        let times = |started: Option<i64>, ended: Option<i64>| Times {
            created: Timestamp(10),
            started: started.map(Timestamp),
            ended: ended.map(Timestamp),
        };
        for (times, took, ran) in [
            (times(None, None), 90, None),
            (times(Some(40), None), 90, Some(60)),
            (times(Some(40), Some(70)), 60, Some(30)),
            (times(None, Some(70)), 60, None),
        ] {
            let now = Timestamp(100);
            assert_eq!((times.took(now), times.ran(now)), (micros(took), ran.map(micros)), "{times:?}");
        }
    }
}
