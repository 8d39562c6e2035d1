//! The times of a run or an action: one meaning of each word, in tables and in JSON.

use serde_json::{Map, Value as Json, json};
use spanwise::Timestamp;
use spanwise_proto::flyteidl2::workflow::ActionStatus;
use spanwise_proto::google::protobuf;

use super::{duration, time};

/// When it was created, started and ended, how long it took (created to ended) and ran (started to ended).
pub(super) struct Times<'a> {
    created: &'a protobuf::Timestamp,
    started: Option<&'a protobuf::Timestamp>,
    ended: Option<&'a protobuf::Timestamp>,
}

impl<'a> Times<'a> {
    pub(super) fn of(status: &'a ActionStatus) -> Times<'a> {
        // Flyte's only start is that of the action as a whole: when it was accepted.
        Times {
            created: &status.start_time,
            started: status.started_at.as_option(),
            ended: status.end_time.as_option(),
        }
    }

    pub(super) fn created(&self) -> String {
        time(self.created)
    }

    /// Empty for what has not ended.
    pub(super) fn took(&self) -> String {
        duration(self.until_end(Some(self.created)))
    }

    /// Empty for what has not ended, or has never started.
    pub(super) fn ran(&self) -> String {
        duration(self.until_end(self.started))
    }

    /// Milliseconds.
    fn until_end(&self, from: Option<&protobuf::Timestamp>) -> Option<u64> {
        let micros = |at: &protobuf::Timestamp| Timestamp(at.seconds * 1_000_000 + i64::from(at.nanos) / 1000);
        Some(micros(self.ended?).since(micros(from?)).as_millis() as u64)
    }

    /// All of them in a line.
    pub(super) fn line(&self) -> String {
        let at = |word: &str, at: Option<&protobuf::Timestamp>| at.map(|at| format!("{word} {}", time(at)));
        let length = |word: &str, length: String| (!length.is_empty()).then(|| format!("{word} {length}"));
        let parts = [
            at("created", Some(self.created)),
            at("started", self.started),
            at("ended", self.ended),
            length("took", self.took()),
            length("ran", self.ran()),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
    }

    /// Adds them to an object; `duration_ms` is what it took, by the API's name.
    pub(super) fn describe(&self, object: &mut Map<String, Json>) {
        object.insert("created".to_owned(), json!(exact(self.created)));
        object.insert("started".to_owned(), json!(self.started.map(exact)));
        object.insert("ended".to_owned(), json!(self.ended.map(exact)));
        object.insert("duration_ms".to_owned(), json!(self.until_end(Some(self.created))));
        object.insert("ran_ms".to_owned(), json!(self.until_end(self.started)));
    }
}

/// To the microsecond, so that a program can add up.
fn exact(at: &protobuf::Timestamp) -> String {
    spanwise_proto::json::rfc3339(at.seconds, at.nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, nanos: i32) -> protobuf::Timestamp {
        protobuf::Timestamp { seconds, nanos, ..protobuf::Timestamp::default() }
    }

    #[test]
    fn created_and_took_give_the_end_and_so_do_started_and_ran() {
        let whole = ActionStatus {
            start_time: at(1_700_000_000, 0).into(),
            started_at: at(1_700_000_003, 500_000_000).into(),
            end_time: at(1_700_000_030, 645_000_000).into(),
            ..ActionStatus::default()
        };
        let times = Times::of(&whole);
        let mut object = Map::new();
        times.describe(&mut object);
        let expected = json!({
            "created": "2023-11-14T22:13:20Z", "started": "2023-11-14T22:13:23.5Z", "ended": "2023-11-14T22:13:50.645Z",
            "duration_ms": 30_645, "ran_ms": 27_145,
        });
        assert_eq!(Json::from(object), expected);
        assert_eq!((times.took().as_str(), times.ran().as_str()), ("0m 30s", "0m 27s"));
        let queued = ActionStatus { start_time: at(1_700_000_000, 0).into(), ..ActionStatus::default() };
        assert_eq!(Times::of(&queued).line(), "created 2023-11-14T22:13:20Z");
        let never_started = ActionStatus { end_time: at(1_700_000_001, 0).into(), ..queued };
        let line = Times::of(&never_started).line();
        assert_eq!(line, "created 2023-11-14T22:13:20Z  ended 2023-11-14T22:13:21Z  took 1.00s");
    }
}
