//! The stored form of each fact, version 1: what stands here must be readable for ever.

use std::sync::Arc;
use std::time::Duration;

use spanwise_core::{
    ActionName, ActionSpec, AttemptNo, Backoff, Fact, Failure, RetryPolicy, StepOutcome, Timeouts, Timestamp,
};

#[test]
fn each_fact_of_version_1_reads_and_writes_as_it_always_did() {
    let attempt = AttemptNo(1);
    let failure = Failure {
        causes: vec!["no route".to_owned()],
        place: Some("a.rs:1:2".to_owned()),
        ..Failure::user("E", "broken")
    };
    let spec = ActionSpec {
        parent: Some(ActionName::ROOT),
        group: Some("g".to_owned()),
        retry: RetryPolicy {
            retries: 3,
            backoff: Some(Backoff { base: Duration::from_millis(1500), factor: 2.0, cap: None }),
        },
        timeouts: Timeouts::max_runtime(Duration::from_secs(30)),
        ..ActionSpec::task("env.fetch")
    };
    let step = Arc::new(ActionSpec::step("load", ActionName::ROOT));
    let (started, ended) = (Timestamp(1), Timestamp(2));
    let facts = [
        Fact::Enqueued { spec: Arc::new(spec) },
        Fact::Enqueued { spec: Arc::new(ActionSpec::task("env.main")) },
        Fact::Held,
        Fact::Launched { attempt },
        Fact::Started { attempt },
        Fact::Succeeded { attempt },
        Fact::AttemptFailed { attempt, failure: failure.clone() },
        Fact::AttemptTimedOut { attempt },
        Fact::QueueTimedOut,
        Fact::AttemptLost { attempt, reason: "gone".to_owned(), blamed: true },
        Fact::AttemptReleased { attempt },
        Fact::BackedOff { until: Timestamp(7) },
        Fact::Requeued,
        Fact::Failed { failure: failure.clone() },
        Fact::TimedOut { failure: failure.clone() },
        Fact::Aborted { by: "ann".to_owned(), reason: "enough".to_owned() },
        Fact::StepRecorded { spec: step.clone(), started, ended, outcome: StepOutcome::Succeeded },
        Fact::StepRecorded { spec: step, started, ended, outcome: StepOutcome::Failed(failure) },
    ];
    let golden = include_str!("events.v1.jsonl");
    let written: Vec<String> = facts.iter().map(|fact| serde_json::to_string(fact).unwrap()).collect();
    assert_eq!(written.join("\n"), golden.trim_end());
    for (line, fact) in golden.lines().zip(&facts) {
        assert_eq!(&serde_json::from_str::<Fact>(line).unwrap(), fact);
    }
}
