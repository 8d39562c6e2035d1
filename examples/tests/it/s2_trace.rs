//! S2: the trace of the seed example with the observer, and the trace of a run without a caller.

use opentelemetry_proto::tonic::trace::v1::Span;

use crate::program::program;
use crate::receiver::Receiver;
use crate::spans::{SpanKind, Spans, attributes, exceptions, kind, status, traceparent};
use crate::web::Web;

fn check(span: &Span, expected: &[(&str, &str)]) {
    let found = attributes(span);
    for (key, value) in expected {
        assert_eq!(found.get(*key).map(String::as_str), Some(*value), "{key} of {}: {found:?}", span.name);
    }
}

#[tokio::test]
async fn s2_the_observer_adds_a_span_for_each_task() {
    let (web, receiver) = (Web::start().await, Receiver::http().await);
    let ended = program!("observe").arg(web.url()).export_to(&receiver).succeed().await;
    let run_name = ended.stdout.split(' ').next().unwrap().rsplit('/').next().unwrap();
    let spans = receiver.spans();
    spans.check();
    spans.trace_id();
    assert_eq!(spans.all.len(), 6);
    assert_eq!(spans.path("GET"), "workflow_run > otel.main > main > otel.fetch > fetch > GET");
    assert_eq!(web.header("traceparent"), Some(traceparent(spans.one("GET"))));
    for task in ["otel.main", "otel.fetch"] {
        let span = spans.one(task);
        assert_eq!((kind(span), status(span).as_str()), (SpanKind::Internal, "Ok"), "{task}");
        let run = [("flyte.run_name", run_name), ("flyte.project", "flytesnacks"), ("flyte.domain", "development")];
        check(span, &run);
        check(span, &[("flyte.task_name", task), ("flyte.attempt", "1")]);
    }
    check(spans.one("otel.main"), &[("flyte.action_name", "a0")]);
    assert_ne!(attributes(spans.one("otel.fetch"))["flyte.action_name"], "a0");
}

/// The run whose trace id is a golden value of Flyte's plugin.
async fn run_of_two_attempts() -> Spans {
    let (web, receiver) = (Web::start().await, Receiver::http().await);
    let program = program!("steps").arg(web.url()).arg("run-abc").export_to(&receiver);
    let program = program.env("SPANWISE_ORG", "acme").env("SPANWISE_PROJECT", "proj").env("SPANWISE_DOMAIN", "dev");
    program.succeed().await;
    assert!(web.header("traceparent").is_some(), "the step ran once");
    let spans = receiver.spans();
    spans.check();
    spans
}

#[tokio::test]
async fn s2_without_a_caller_the_attempts_meet_in_the_trace_derived_from_the_run() {
    let spans = run_of_two_attempts().await;
    assert_eq!(spans.trace_id(), "f1e52035191e0f4149814b4f2f9da267");
    let attempts = spans.named("steps.report");
    let [first, second] = attempts[..] else { panic!("{:?}", spans.names()) };
    for attempt in [first, second] {
        assert!(attempt.parent_span_id.is_empty(), "an attempt without a caller is a root");
        let run = [("flyte.org", "acme"), ("flyte.project", "proj"), ("flyte.domain", "dev")];
        check(attempt, &run);
        check(
            attempt,
            &[("flyte.run_name", "run-abc"), ("flyte.action_name", "a0"), ("flyte.task_name", "steps.report")],
        );
    }
    check(first, &[("flyte.attempt", "1")]);
    check(second, &[("flyte.attempt", "2")]);
    assert_eq!(status(first), "Error: the first attempt always fails");
    assert_eq!(exceptions(first), ["NotYet: the first attempt always fails"]);
    assert_eq!((status(second).as_str(), exceptions(second).len()), ("Ok", 0));
}

#[tokio::test]
async fn s2_a_replayed_step_has_its_original_times() {
    let spans = run_of_two_attempts().await;
    let attempts = spans.named("steps.report");
    let is_replayed = |span: &&&Span| attributes(span)["flyte.replayed"] == "true";
    let steps = spans.named("download");
    assert_eq!(steps.len(), 2);
    let replayed = steps.iter().find(is_replayed).unwrap();
    let live = steps.iter().find(|step| !is_replayed(step)).unwrap();
    for (step, attempt) in [(live, attempts[0]), (replayed, attempts[1])] {
        assert_eq!(step.parent_span_id, attempt.span_id);
        assert_eq!((kind(step), status(step).as_str()), (SpanKind::Internal, "Ok"));
        check(
            step,
            &[("flyte.step_name", "download"), ("flyte.task_action_name", "a0"), ("flyte.run_name", "run-abc")],
        );
    }
    assert_eq!(attributes(live)["flyte.action_name"], attributes(replayed)["flyte.action_name"]);
    assert_eq!(spans.path("GET"), "steps.report > download > GET");
    // The record holds the step from outside and in microseconds; it ended before the second attempt began.
    let microseconds = |nanoseconds: u64| nanoseconds / 1000;
    assert!(microseconds(replayed.start_time_unix_nano) <= microseconds(live.start_time_unix_nano));
    assert!(microseconds(replayed.end_time_unix_nano) >= microseconds(live.end_time_unix_nano));
    assert!(replayed.start_time_unix_nano >= microseconds(attempts[0].start_time_unix_nano) * 1000);
    assert!(replayed.end_time_unix_nano <= attempts[1].start_time_unix_nano);
}
