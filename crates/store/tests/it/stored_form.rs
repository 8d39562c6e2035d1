//! The stored form of each fact, version 1: what stands here must be readable for ever.

use std::sync::Arc;
use std::time::Duration;

use spanwise_core::tracked::{CacheReport, Reported, Tracked};
use spanwise_core::{
    ActionName, ActionSpec, AttemptNo, Backoff, CachePolicy, Fact, Failure, Lookup, RetryPolicy, Scope, Source,
    StepOutcome, Timeouts, Timestamp, Wake,
};

#[test]
fn each_fact_of_version_1_reads_and_writes_as_it_always_did() {
    let attempt = AttemptNo(1);
    let failure = Failure {
        causes: vec!["no route".to_owned()],
        position: Some("a.rs:1:2".to_owned()),
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
    let max_age_seconds = Some(60);
    let long_lived = CachePolicy { key: "p:d:k".to_owned(), overwrite: true, serialize: true, max_age_seconds };
    let cached =
        ActionSpec { cache: Some(long_lived), definition: Some("sha256:d".into()), ..ActionSpec::task("env.fetch") };
    let plainly_cached = ActionSpec {
        cache: Some(CachePolicy { key: "k".to_owned(), overwrite: false, serialize: false, max_age_seconds: None }),
        ..ActionSpec::task("env.fetch")
    };
    let run = "earlier".to_owned();
    let cache = Source::Cache { run: run.clone(), scope: None, action: ActionName::ROOT, attempt };
    let scope = Scope { org: String::new(), project: "q".to_owned(), domain: "d".to_owned() };
    let elsewhere = Source::Cache { run: run.clone(), scope: Some(Box::new(scope)), action: ActionName::ROOT, attempt };
    let span = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03".parse().unwrap();
    let (started, ended) = (Timestamp(1), Timestamp(2));
    let length = Wake::after(Duration::from_secs(1), Timestamp(5));
    let facts = [
        Fact::Enqueued { spec: Arc::new(spec) },
        Fact::Enqueued { spec: Arc::new(ActionSpec::task("env.main")) },
        Fact::WaitsForSlot { wait: None },
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
        Fact::StepRecorded { spec: step.clone(), started, ended, outcome: StepOutcome::Succeeded, observed: false },
        Fact::StepRecorded {
            spec: step.clone(),
            started,
            ended,
            outcome: StepOutcome::Failed(failure),
            observed: false,
        },
        Fact::Enqueued { spec: Arc::new(cached) },
        Fact::Enqueued { spec: Arc::new(plainly_cached) },
        Fact::Enqueued { spec: Arc::new(ActionSpec::condition("approve", ActionName::ROOT)) },
        Fact::Reused { source: cache },
        Fact::Reused { source: Source::Recovery { run, attempt } },
        Fact::Signalled { by: "ann".to_owned(), from: None },
        Fact::Signalled { by: "ann".to_owned(), from: Some(span) },
        Fact::LookedUp {
            lookup: Lookup { asked_at: Timestamp(1), waited_for: Some(span), producer: Some(span) },
            hit: true,
        },
        Fact::LookedUp { lookup: Lookup { asked_at: Timestamp(1), ..Lookup::default() }, hit: false },
        Fact::StepRecorded { spec: step, started, ended, outcome: StepOutcome::Succeeded, observed: true },
        Fact::Enqueued { spec: Arc::new(ActionSpec { traceparent: Some(span), ..ActionSpec::task("env.main") }) },
        Fact::Reused { source: elsewhere },
        Fact::Enqueued { spec: Arc::new(ActionSpec::timer("timer", Some(ActionName::ROOT), length)) },
        Fact::Enqueued { spec: Arc::new(ActionSpec::timer("naps.nap", None, Wake::at(Timestamp(7)))) },
        Fact::Elapsed,
    ];
    let golden = include_str!("events.v1.jsonl");
    let facts: Vec<Fact> = facts.into_iter().chain(facts_of_tracked_runs()).collect();
    let written: Vec<String> = facts.iter().map(|fact| serde_json::to_string(fact).unwrap()).collect();
    assert_eq!(written.join("\n"), golden.trim_end());
    for (line, fact) in golden.lines().zip(&facts) {
        assert_eq!(&serde_json::from_str::<Fact>(line).unwrap(), fact);
    }
}

fn facts_of_tracked_runs() -> [Fact; 6] {
    let attempt = AttemptNo(1);
    let tracked = Tracked { silence_seconds: Some(60), any_retries: true };
    let tracked = ActionSpec { tracked: Some(Box::new(tracked)), ..ActionSpec::task("env.main") };
    let reported = Reported {
        attempt,
        version: 3,
        received_at: Timestamp(5),
        cache: CacheReport::Hit,
        output_uri: Some("s3://b/outputs.pb".to_owned()),
        report_uri: Some("s3://b/report.html".to_owned()),
    };
    let short_report =
        Reported { cache: CacheReport::Disabled, output_uri: None, report_uri: None, ..reported.clone() };
    [
        Fact::Enqueued { spec: Arc::new(tracked) },
        Fact::Reported { report: reported },
        Fact::Reported { report: short_report },
        Fact::InDoubt { failure: Failure::user("E", "broken"), until: Some(Timestamp(9)) },
        Fact::InDoubt { failure: Failure::user("E", "broken"), until: None },
        Fact::HeardAgain,
    ]
}
