//! Where spans are shown: the page, the terminal and the files of a run agree, whatever was sent into its trace.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use serde_json::Value;

use crate::command_line::spanwise;
use crate::dev_server::DevServer;
use crate::python::run_case;

/// What a run looks at of a trace.
const LOOKED_AT: usize = 20_000;

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

fn span(trace: &str, id: u64, parent: u64, name: &str, (start, end): (u64, u64)) -> Span {
    Span {
        trace_id: u128::from_str_radix(trace, 16).unwrap().to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id: if parent == 0 { Vec::new() } else { parent.to_be_bytes().to_vec() },
        name: name.to_owned(),
        start_time_unix_nano: start,
        end_time_unix_nano: end,
        ..Span::default()
    }
}

fn send(server: &DevServer, spans: Vec<Span>) {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
    let request = ureq::post(format!("http://127.0.0.1:{}/v1/traces", server.port()));
    let mut answer = request.header("content-type", "application/x-protobuf").send(&body[..]).unwrap();
    assert_eq!(answer.body_mut().read_to_vec().unwrap(), b"", "nothing is refused");
}

/// A file or the page of a run, with what is said to be left out of it.
fn get(server: &DevServer, run: &str, rest: &str) -> (String, Option<String>) {
    let address =
        format!("http://127.0.0.1:{}/v2/domain/development/project/flytesnacks/runs/{run}{rest}", server.port());
    let mut answer = ureq::get(&address).call().unwrap();
    let left_out = answer.headers().get("spanwise-left-out").map(|said| said.to_str().unwrap().to_owned());
    (answer.body_mut().with_config().limit(1 << 30).read_to_string().unwrap(), left_out)
}

/// The rows of the tree in the terminal, without the bars before them.
fn terminal(server: &DevServer, run: &str) -> Vec<String> {
    let drawn = spanwise(server, &["trace", run]);
    assert!(drawn.status.success(), "{drawn:?}");
    let text = String::from_utf8_lossy(&drawn.stdout).into_owned();
    text.lines().skip(1).map(|line| line.trim_start_matches([' ', '█', '▏']).to_owned()).collect()
}

/// The names of the spans in a file of Jaeger's, and how many of them have nothing above them.
fn in_jaeger(file: &Value) -> (Vec<&str>, usize) {
    let spans = file["data"][0]["spans"].as_array().unwrap();
    let is_root = |span: &&Value| span["references"].as_array().unwrap().iter().all(|to| to["refType"] != "CHILD_OF");
    (spans.iter().map(|span| span["operationName"].as_str().unwrap()).collect(), spans.iter().filter(is_root).count())
}

fn is_root(row: &str) -> bool {
    !row.contains("─ ") && !row.starts_with("Not shown") && !row.starts_with("All spans")
}

#[test]
fn t10_with_default_settings_the_terminal_and_the_page_have_one_tree() {
    let directory = tempfile::tempdir().unwrap();
    let server = DevServer::start(directory.path());
    let found = run_case(&server, "placed.py", "under_a_caller");
    let (run, trace) = (found["run"].as_str().unwrap(), found["trace"].as_str().unwrap());
    let caller = u64::from_str_radix(found["caller"].as_str().unwrap(), 16).unwrap();
    let one_tree = |rows: &[String]| {
        let roots: Vec<&String> = rows.iter().filter(|row| is_root(row)).collect();
        assert!(roots.len() == 1 && roots[0].starts_with("RUN placed.main"), "{roots:?}: {rows:#?}");
        for name in ["attempt 1", "placed.leaf", "span of main", "span of leaf"] {
            assert!(rows.iter().any(|row| row.contains(name)), "{name}: {rows:#?}");
        }
    };
    one_tree(&terminal(&server, run));
    // An hour before and an hour after, without times, in rings, of another run: acknowledged, so shown, and none of it sets the axis.
    let (hour, at) = (3_600_000_000_000, now());
    send(
        &server,
        vec![
            span(trace, caller, 0, "the caller", (at - hour, at + hour)),
            span(trace, 1, 2, "ring one", (at, at + 1)),
            span(trace, 2, 1, "ring two", (at, at + 1)),
            span(trace, 3, 1, "below the ring", (at, at + 1)),
            span(trace, 4, 4, "own parent", (at, at + 1)),
            span(trace, 5, 99, "orphan", (at, at + 1)),
            span(trace, 6, 0, "no times", (0, 0)),
            span(trace, 7, 0, "far away", (1 << 63, u64::MAX)),
        ],
    );
    let names =
        ["the caller", "ring one", "ring two", "below the ring", "own parent", "orphan", "no times", "far away"];
    let rows = terminal(&server, run);
    one_tree(&rows);
    let (page, _) = get(&server, run, "?open=.0000000000000001,.0000000000000002");
    let (file, left_out) = get(&server, run, "/trace.json");
    assert_eq!(left_out, None);
    let jaeger: Value = serde_json::from_str(&get(&server, run, "/trace.json?format=jaeger").0).unwrap();
    let (in_jaeger, roots) = in_jaeger(&jaeger);
    assert_eq!(roots, 1, "{jaeger}");
    for name in names {
        assert_eq!(rows.iter().filter(|row| row.contains(name)).count(), 1, "{name}: {rows:#?}");
        assert!(page.contains(&format!(">{name}</a>")), "{name}: {page}");
        assert!(file.contains(&format!("\"{name}\"")) && in_jaeger.contains(&name), "{name}");
    }
    for remark in ["its parents form a ring", "parent not received", "outside the run", "without times"] {
        assert!(rows.iter().any(|row| row.contains(remark)) && page.contains(remark), "{remark}: {rows:#?}");
    }
    let spans = jaeger["data"][0]["spans"].as_array().unwrap();
    let starts = spans.iter().map(|span| span["startTime"].as_i64().unwrap());
    let ends = spans.iter().map(|span| span["startTime"].as_i64().unwrap() + span["duration"].as_i64().unwrap());
    let length = ends.max().unwrap() - starts.min().unwrap();
    assert!(length < 120_000_000, "the run did not take {length} µs");
}

#[test]
fn t10_of_a_trace_that_is_too_large_a_run_sees_its_own_spans_and_how_many_it_does_not_see() {
    let directory = tempfile::tempdir().unwrap();
    let server = DevServer::start(directory.path());
    let found = run_case(&server, "placed.py", "under_a_caller");
    let (run, trace) = (found["run"].as_str().unwrap(), found["trace"].as_str().unwrap());
    // Of other runs of this trace, an hour ago.
    let past = now() - 3_600_000_000_000;
    let elders: Vec<Span> =
        (0..LOOKED_AT as u64 + 1_000).map(|id| span(trace, id + 1, 0, "elder", (past + id, past + id + 5))).collect();
    elders.chunks(3_000).for_each(|elders| send(&server, elders.to_vec()));
    let rows = terminal(&server, run);
    let said = format!("1002 received spans: {LOOKED_AT} of {} are looked at, this run's own first", LOOKED_AT + 1_002);
    let (page, _) = get(&server, run, "");
    let (file, left_out) = get(&server, run, "/trace.json");
    let (jaeger, _) = get(&server, run, "/trace.json?format=jaeger");
    for name in ["span of main", "span of leaf"] {
        assert!(rows.iter().any(|row| row.contains(name)), "{name}: {rows:#?}");
        assert!(file.contains(name) && jaeger.contains(name), "{name}");
    }
    assert!(rows.contains(&format!("Not shown: {said}")), "{rows:#?}");
    assert!(page.contains(&said.replace('\'', "&#39;")), "{page}");
    assert!(left_out.is_some_and(|left_out| left_out.contains(&said)) && jaeger.contains(&said));
    let written = spanwise(&server, &["trace", run, "--format", "otlp-json"]);
    assert!(String::from_utf8_lossy(&written.stderr).contains(&said), "{:?}", written.stderr);
    // Where they say that all of them are.
    let all = rows.iter().find_map(|row| row.strip_prefix("All spans of the trace: ")).unwrap();
    let mut answer = ureq::get(all).call().unwrap();
    let all = answer.body_mut().with_config().limit(1 << 30).read_to_string().unwrap();
    assert_eq!(all.matches("\"elder\"").count(), LOOKED_AT + 1_000);
    assert!(all.contains("span of main"));
}
