//! The waterfall: parts, spans of others that may say anything, links, files, and ten thousand of everything.

use serde_json::{Value, json};
use spanwise_core::lifecycle::{RunTrace, TraceLevel};
use spanwise_core::trace::derived_trace_id;
use spanwise_core::{Backoff, CachePolicy, RetryPolicy};
use spanwise_wire::{ids, values};

use super::*;

/// Fails the first attempt of everything.
struct Flaky;

impl Executor for Flaky {
    fn execute(&self, attempt: Attempt) -> Pin<Box<dyn Future<Output = Report> + Send>> {
        let failure = Failure::user("ValueError", "<b>not yet</b>");
        let is_first = attempt.scope.attempt.0 == 1;
        Box::pin(std::future::ready(if is_first { Report::Failed(failure) } else { Report::Succeeded(Bytes::new()) }))
    }
}

const PATH: &str = "/v2/domain/d/project/p/runs/r";

/// A console whose server receives spans.
pub(super) async fn collecting() -> Console {
    Console::start_with(Some(CollectorConfig { port: 0, ..CollectorConfig::default() })).await
}

/// A span in OTLP's JSON.
pub(super) fn span(trace: &str, id: u64, parent: &str, name: &str, attributes: &[(&str, &str)]) -> Value {
    let attributes: Vec<Value> =
        attributes.iter().map(|(key, value)| json!({"key": key, "value": {"stringValue": value}})).collect();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    json!({
        "traceId": trace, "spanId": format!("{id:016x}"), "parentSpanId": parent, "name": name, "kind": 3,
        "startTimeUnixNano": (now - 1_000_000).to_string(), "endTimeUnixNano": now.to_string(), "attributes": attributes,
    })
}

pub(super) async fn receive(console: &Console, spans: Vec<Value>) {
    let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": "<u>shop</u>"}}]});
    let scope = json!({"scope": {"name": "<s>scope</s>"}, "spans": spans});
    let body = json!({"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}).to_string();
    let answer = console.send("POST", "/v1/traces", "Content-Type: application/json\r\n", &body).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "{}"), "{}", answer.body);
}

/// A run whose only task was tried twice, with the id of its trace and that of the span of its second attempt.
async fn retried(console: &Console) -> (RunHandle, String, String) {
    let scope = ids::scope("", "p", "d").unwrap();
    let id = scope.run(RunName::new("r").unwrap());
    let backoff = Some(Backoff::constant(Duration::from_millis(30)));
    let spec = ActionSpec { retry: RetryPolicy { retries: 1, backoff }, ..ActionSpec::task("env.main") };
    let inputs = values::encode_inputs(&Inputs::default());
    let new = NewRun { id, spec, inputs, settings: RunSettings::default(), definitions: Vec::new() };
    let run = console.control.engine().create_run(new).unwrap();
    run.drive(Call { action: ActionName::ROOT, inputs: None, caller: None }, &Flaky).await.unwrap();
    let attempt = run.lifecycle().await.unwrap().into_iter().find(|span| &*span.name == "attempt 2").unwrap();
    let trace = derived_trace_id(run.id()).to_string();
    (run, trace, attempt.context.span.to_string())
}

/// Wherever the page says which run the outputs come from, it leads to the project of that run.
#[tokio::test]
async fn s5_what_was_reused_leads_to_the_run_that_made_it_in_whichever_project() {
    let console = Console::start().await;
    let key = CachePolicy { key: "k".to_owned(), overwrite: false, serialize: false, max_age_seconds: None };
    let (scope, other) = (ids::scope("", "p", "d").unwrap(), ids::scope("", "q", "d").unwrap());
    for (scope, name) in [(&other, "made"), (&scope, "here"), (&other, "there")] {
        let id = scope.clone().run(RunName::new(name).unwrap());
        let traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap());
        let spec = ActionSpec { cache: Some(key.clone()), traceparent, ..ActionSpec::task("env.main") };
        let inputs = values::encode_inputs(&Inputs::default());
        let trace = RunTrace { level: TraceLevel::Lifecycle, sampled: true, ..RunTrace::default() };
        let settings = RunSettings { trace, ..RunSettings::default() };
        let new = NewRun { id, spec, inputs, settings, definitions: Vec::new() };
        drive(&console.control.engine().create_run(new).unwrap(), ActionName::ROOT).await;
    }
    for (project, name, text) in [("p", "here", "made of q/d"), ("q", "there", "made")] {
        let path = format!("/v2/domain/d/project/{project}/runs/{name}");
        let made = "href=\"/v2/domain/d/project/q/runs/made\"";
        let page = console.get(&path).await.body;
        assert!(page.contains(&format!("{made}>{text}</a>")), "{path}: {page}");
        let id = ids::scope("", project, "d").unwrap().run(RunName::new(name).unwrap());
        let run = console.control.engine().resume(&id).unwrap();
        let lookup = run.lifecycle().await.unwrap().into_iter().find(|span| &*span.name == "cache lookup").unwrap();
        let page = console.get(&format!("{path}?s={}", lookup.context.span)).await.body;
        assert!(page.contains("producer") && page.contains(&format!("{made}>run made</a>")), "{path}: {page}");
    }
}

#[tokio::test]
async fn attempts_and_spans_of_others_are_one_waterfall_and_nothing_of_it_is_markup() {
    let console = collecting().await;
    let (_run, trace, attempt) = retried(&console).await;
    let hostile = "<script>alert(1)</script>";
    let named = [("flyte.run_name", "r"), ("flyte.action_name", "a0"), ("flyte.attempt", "1")];
    let spans = vec![
        span(&trace, 1, &attempt, hostile, &[("<i>key</i>", "\"><img src=x onerror=alert(2)>"), ("api_key", "hush")]),
        span(&trace, 2, "0000000000000001", "below", &[]),
        span(&trace, 3, "00000000000000ff", "orphan", &[]),
        span(&trace, 4, "", "outsider", &[]),
        span(&trace, 5, "00000000000000fe", "by its attributes", &named),
        span(&trace, 6, "", "of another run", &[("flyte.run_name", "other")]),
        span(&trace, 7, "0000000000000006", "below another run", &[]),
        span(&trace, 8, "0000000000000009", "a circle", &[]),
        span(&trace, 9, "0000000000000008", "the same circle", &[]),
    ];
    receive(&console, spans).await;
    let page = console.get(PATH).await.body;
    for text in ["attempt 1", "attempt 2", "backoff", "parent not received", "outside the run", "by its attributes"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("below another run"), "{page}");
    let said = "Not shown: 2 received spans of other runs: they are on the pages of those runs";
    assert!(page.contains(said) && page.contains(&format!("/v1/traces/{trace}?limit=9")), "{page}");
    assert!(page.contains("class=\"f-backoff\"") && page.contains("class=\"cp\""), "{page}");
    assert!(page.contains("Where the time went") && page.contains("for attempts that were repeated"), "{page}");
    let opened = console.get(&format!("{PATH}?open=.{attempt},.0000000000000001")).await.body;
    assert!(opened.contains("&#60;script&#62;alert(1)") && opened.contains("below"), "{opened}");
    let chosen = console.get(&format!("{PATH}?s=0000000000000001")).await.body;
    assert!(chosen.contains("client span of") && chosen.contains("(hidden)") && chosen.contains(&trace), "{chosen}");
    for page in [&page, &opened, &chosen] {
        assert_eq!(page.matches("<script").count(), 1, "only our own: {page}");
        for markup in ["<img", "<i>", "<u>", "<s>", "<b>", "hush", " onerror=\"", " style="] {
            assert!(!page.contains(markup), "{markup}: {page}");
        }
    }
    let of_attempt = console.get(&format!("{PATH}?s={attempt}")).await.body;
    assert!(of_attempt.contains("previous attempt") && of_attempt.contains("spanwise.attempt.result"), "{of_attempt}");
    assert_eq!(console.get(&format!("{PATH}?s=00000000000000aa")).await.status, 200);
}

#[tokio::test]
async fn the_trace_and_the_explanation_are_files_for_other_tools() {
    let console = collecting().await;
    let (_run, trace, attempt) = retried(&console).await;
    receive(&console, vec![span(&trace, 1, &attempt, "call", &[("n", "1")])]).await;
    let data: Value = serde_json::from_str(&console.get(&format!("{PATH}/trace.json")).await.body).unwrap();
    let spans: Vec<&Value> = data["resourceSpans"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|resource| resource["scopeSpans"][0]["spans"].as_array().unwrap())
        .collect();
    assert!(spans.iter().all(|span| span["traceId"] == trace.as_str()), "{data}");
    let by_name =
        |name: &str| spans.iter().find(|span| span["name"] == name).unwrap_or_else(|| panic!("{name}: {data}"));
    assert_eq!(by_name("call")["parentSpanId"], by_name("attempt 2")["spanId"]);
    let jaeger: Value =
        serde_json::from_str(&console.get(&format!("{PATH}/trace.json?format=jaeger")).await.body).unwrap();
    let jaeger = &jaeger["data"][0];
    assert_eq!(jaeger["spans"].as_array().unwrap().len(), spans.len());
    assert_eq!((&jaeger["traceID"], &jaeger["processes"]["p1"]["serviceName"]), (&json!(trace), &json!("spanwise")));
    let explained: Value = serde_json::from_str(&console.get(&format!("{PATH}/explain.json")).await.body).unwrap();
    let sum: u64 = explained["uses"].as_array().unwrap().iter().map(|used| used["us"].as_u64().unwrap()).sum();
    assert_eq!(Some(sum), explained["wall_us"].as_u64(), "{explained}");
    assert!(explained["retried_us"].as_u64() >= Some(30_000), "{explained}");
    assert_eq!(console.get(&format!("{PATH}/trace.json?format=zipkin")).await.status, 400);
    assert_eq!(console.get("/v2/domain/d/project/p/runs/none/explain.json").await.status, 404);
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", console.port)).await.unwrap();
    let request = format!("GET {PATH}/trace.json HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 421"), "{answer}");
}

#[tokio::test]
async fn ten_thousand_spans_under_one_attempt_stay_usable() {
    let console = collecting().await;
    let (_run, trace, attempt) = retried(&console).await;
    let spans = (1..=10_000).map(|id| span(&trace, id, &attempt, &format!("item {id}"), &[])).collect();
    receive(&console, spans).await;
    let shut = console.get(PATH).await.body;
    assert!(!shut.contains("item 1") && shut.contains(">10,000<"), "{shut}");
    let open = console.get(&format!("{PATH}?open=.{attempt}")).await.body;
    assert!(open.contains("item 99<") && open.contains("1–100 of 10,00"), "{open}");
    assert!(open.len() < 300_000, "{} bytes", open.len());
    let chosen = console.get(&format!("{PATH}?s={:016x}", 7777)).await.body;
    assert!(chosen.contains("item 7777<") && chosen.contains("of 10,00"), "{chosen}");
}
