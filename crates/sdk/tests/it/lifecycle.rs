//! Lifecycle spans of the embedded engine, with an exporter of OpenTelemetry's and the observer's spans beside them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use spanwise::{Client, Config, CustomContext, ErrorKind, Result, task, trace};

use super::{ENV, memory};

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";

/// Keeps what is exported.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

impl Kept {
    fn client(&self) -> Client {
        Client::open(Config::new().in_memory().lifecycle_exporter(self.clone())).unwrap()
    }

    fn all(&self) -> Vec<SpanData> {
        self.0.lock().unwrap().clone()
    }
}

fn text(span: &SpanData, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
    found.map(|attribute| attribute.value.to_string()).unwrap_or_default()
}

/// The only span of this name under this action, or of any if none is given.
fn one<'a>(spans: &'a [SpanData], name: &str, action: &str) -> &'a SpanData {
    let found: Vec<_> = spans
        .iter()
        .filter(|span| span.name == name && (action.is_empty() || text(span, "flyte.action_name") == action))
        .collect();
    match found[..] {
        [span] => span,
        _ => panic!("one `{name}` of `{action}` is expected among {:?}", names(spans)),
    }
}

fn names(spans: &[SpanData]) -> Vec<&str> {
    spans.iter().map(|span| &*span.name).collect()
}

#[trace]
async fn lc_step(number: i64) -> Result<i64> {
    tokio::time::sleep(Duration::from_millis(2)).await;
    Ok(number + 1)
}

#[task(env = ENV, retries = 1, backoff(base = "20ms"))]
async fn lc_child(number: i64) -> Result<String> {
    let ctx = spanwise::ctx();
    tokio::time::sleep(Duration::from_millis(3)).await;
    if ctx.task()?.attempt_number() == 0 {
        return Err(std::io::Error::other("first attempts fail").into());
    }
    Ok(format!("{number} {}", ctx.custom_context().get("traceparent").unwrap_or("none")))
}

#[task(env = ENV)]
async fn lc_main(number: i64) -> Result<String> {
    let number = lc_step(number).await?;
    lc_child(number).await
}

#[tokio::test]
async fn t6_attempts_hang_in_the_callers_trace_and_tasks_under_their_attempts() {
    let kept = Kept::default();
    let client = kept.client();
    let context = CustomContext::from([("traceparent", CALLER), ("team", "a")]);
    let run = client.with_runcontext().trace("lifecycle").custom_context(context).run(lc_main(1)).await.unwrap();
    let output = run.output().await.unwrap();
    let child = run.actions().await.unwrap().into_iter().find(|action| action.task.as_str() == "it.lc_child").unwrap();
    let (name, child) = (run.name().to_string(), child.name.to_string());
    client.shutdown().await;
    let spans = kept.all();

    let root = one(&spans, "RUN it.lc_main", "a0");
    assert_eq!(root.span_kind, SpanKind::Server);
    assert_eq!(root.parent_span_id, SpanId::from_hex("00f067aa0ba902b7").unwrap());
    assert_eq!(root.status, Status::Ok);
    assert!(root.parent_span_is_remote);
    let main = one(&spans, "it.lc_main", "a0");
    let attempt = one(&spans, "attempt 1", "a0");
    let step = one(&spans, "lc_step", "");
    let action = one(&spans, "it.lc_child", &child);
    let (first, second) = (one(&spans, "attempt 1", &child), one(&spans, "attempt 2", &child));
    let pause = one(&spans, "backoff", &child);
    let parents = [
        (main, root),
        (attempt, main),
        (step, attempt),
        (action, attempt),
        (first, action),
        (second, action),
        (pause, action),
    ];
    for (span, parent) in parents {
        assert_eq!(span.parent_span_id, parent.span_context.span_id(), "{} > {}", parent.name, span.name);
    }
    for span in &spans {
        assert_eq!(span.span_context.trace_id().to_string(), &CALLER[3..35]);
        assert_eq!(span.span_context.trace_flags().to_u8(), 3);
        assert_eq!(text(span, "flyte.run_name"), name);
        assert_eq!(span.instrumentation_scope.name(), "spanwise.engine");
    }
    assert_eq!(first.span_kind, SpanKind::Consumer);
    assert!(matches!(&first.status, Status::Error { description } if description.contains("first attempts fail")));
    assert_eq!(first.events.events[0].name, "exception");
    assert_eq!(second.links.links[0].span_context.span_id(), first.span_context.span_id());
    assert_eq!(pause.links.links[0].span_context.span_id(), second.span_context.span_id());
    // The task was delivered its own attempt's span.
    assert_eq!(output, format!("2 00-{}-{}-03", &CALLER[3..35], second.span_context.span_id()));
    assert!(length(step) >= Duration::from_millis(2));
    sums(&spans, action, &child);
    sums(&spans, main, "a0");
}

fn length(span: &SpanData) -> Duration {
    span.end_time.duration_since(span.start_time).unwrap()
}

/// The parts of an action cover it.
fn sums(spans: &[SpanData], action: &SpanData, name: &str) {
    let is_part = |span: &&SpanData| {
        ["queued", "lookup", "attempt", "backoff"].contains(&text(span, "spanwise.part").as_str())
            && text(span, "flyte.action_name") == name
    };
    let mut parts: Vec<_> = spans.iter().filter(is_part).collect();
    parts.sort_by_key(|span| span.start_time);
    let mut reached: SystemTime = action.start_time;
    for part in parts {
        let gap = part.start_time.duration_since(reached).unwrap();
        assert!(gap <= Duration::from_millis(1), "{} begins {gap:?} late", part.name);
        reached = part.end_time;
    }
    assert!(action.end_time.duration_since(reached).unwrap() <= Duration::from_millis(1));
}

#[tokio::test]
async fn t5_what_the_caller_does_not_record_is_not_exported_and_its_ids_flow() {
    let kept = Kept::default();
    let client = kept.client();
    let unsampled = CALLER.replace("-03", "-02");
    let context = CustomContext::from([("traceparent", unsampled.as_str())]);
    let run = client.with_runcontext().trace("full").custom_context(context).run(lc_main(1)).await.unwrap();
    assert_eq!(run.output().await.unwrap(), format!("2 {unsampled}"));
    client.shutdown().await;
    assert_eq!(names(&kept.all()), [""; 0]);
}

#[tokio::test]
async fn off_is_the_default_and_a_level_without_an_exporter_is_refused() {
    let kept = Kept::default();
    let client = kept.client();
    let run = client.with_runcontext().run(lc_main(1)).await.unwrap();
    assert_eq!(run.output().await.unwrap(), "2 none");
    client.shutdown().await;
    assert_eq!(names(&kept.all()), [""; 0]);

    let refused = memory().with_runcontext().trace("lifecycle").run(lc_main(1)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Usage);
    assert!(refused.to_string().contains("lifecycle_exporter"), "{refused}");
    let unknown = memory().with_runcontext().trace("on").run(lc_main(1)).await.unwrap_err();
    assert!(unknown.to_string().contains("`on`"), "{unknown}");
}

#[tokio::test]
async fn s1_6_a_rerun_links_to_the_run_that_it_repeats() {
    let kept = Kept::default();
    let client = Client::open(Config::new().in_memory().trace("lifecycle").lifecycle_exporter(kept.clone())).unwrap();
    let context = CustomContext::from([("traceparent", CALLER)]);
    let first = client.with_runcontext().custom_context(context).run(lc_main(1)).await.unwrap();
    first.output().await.unwrap();
    let again = client.with_runcontext().rerun::<String>(first.name().as_str()).await.unwrap();
    again.output().await.unwrap();
    client.shutdown().await;
    let spans = kept.all();
    let of = |run: &str| {
        let is_it = |span: &&SpanData| span.span_kind == SpanKind::Server && text(span, "flyte.run_name") == run;
        spans.iter().find(is_it).unwrap().clone()
    };
    let (source, repeat) = (of(first.name().as_str()), of(again.name().as_str()));
    assert_ne!(repeat.span_context.trace_id(), source.span_context.trace_id());
    assert_eq!(repeat.parent_span_id, SpanId::INVALID);
    assert_eq!(repeat.links.links[0].span_context, remote(&source));
}

fn remote(span: &SpanData) -> opentelemetry::trace::SpanContext {
    let known = &span.span_context;
    let state = known.trace_state().clone();
    opentelemetry::trace::SpanContext::new(known.trace_id(), known.span_id(), known.trace_flags(), true, state)
}

#[task(env = ENV)]
async fn lc_leaf(number: i64) -> Result<i64> {
    Ok(number)
}

#[task(env = ENV)]
async fn lc_many(count: i64) -> Result<i64> {
    let leaves = spanwise::map(lc_leaf, 0..count).await;
    Ok(leaves.into_iter().filter(std::result::Result::is_ok).count() as i64)
}

#[tokio::test]
async fn t7_ten_thousand_actions_lose_no_span() {
    let kept = Kept::default();
    let client = kept.client();
    let run = client.with_runcontext().trace("lifecycle").run(lc_many(10_000)).await.unwrap();
    assert_eq!(run.output().await.unwrap(), 10_000);
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !kept.all().iter().any(|span| span.span_kind == SpanKind::Server) {
        assert!(std::time::Instant::now() < deadline, "the run's span has not arrived");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    client.shutdown().await;
    let spans = kept.all();
    let count = |part: &str| spans.iter().filter(|span| text(span, "spanwise.part") == part).count();
    assert_eq!((count("run"), count("action"), count("attempt")), (1, 10_001, 10_001));
    let ids: std::collections::HashSet<_> = spans.iter().map(|span| span.span_context.span_id()).collect();
    assert_eq!(ids.len(), spans.len());
}
