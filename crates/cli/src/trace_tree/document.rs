//! The tree of a run as a server writes it: where spans are, and when they are drawn, is the server's to say.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use opentelemetry::trace::{SpanId, SpanKind, TraceId};
use serde::Deserialize;

use super::Span;

/// The service whose name is not written: the engine.
pub(crate) const ENGINE: &str = "spanwise";

/// A run's tree with what is said about it.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) spans: Vec<Span>,
    /// From when to when there is something to draw.
    pub(crate) axis: (SystemTime, SystemTime),
    pub(crate) is_running: bool,
    pub(crate) has_failed: bool,
    /// What is not in the tree, a sentence each.
    pub(crate) left_out: Vec<String>,
    /// Where all spans of the trace are, on the server.
    pub(crate) all: String,
}

#[derive(Deserialize)]
struct Document {
    running: bool,
    failed: bool,
    from_us: u64,
    to_us: u64,
    left_out: Vec<String>,
    all: String,
    spans: Vec<Drawn>,
}

#[derive(Deserialize)]
struct Drawn {
    id: String,
    above: Option<String>,
    name: String,
    /// Which part of the lifecycle it is; none for a span that was received.
    part: Option<String>,
    service: Option<String>,
    kind: Option<String>,
    from_us: u64,
    to_us: u64,
    length_us: u64,
    error: Option<String>,
    notes: Vec<String>,
    #[serde(default)]
    remarks: Vec<String>,
}

/// Reads a tree.
///
/// # Errors
/// If it is none.
pub(crate) fn trace(body: &[u8]) -> anyhow::Result<Trace> {
    let document: Document = serde_json::from_slice(body).context("read the trace")?;
    let spans = document.spans.into_iter().map(span).collect::<Result<_, _>>().context("read the trace")?;
    Ok(Trace {
        spans,
        axis: (time(document.from_us), time(document.to_us)),
        is_running: document.running,
        has_failed: document.failed,
        left_out: document.left_out,
        all: document.all,
    })
}

fn span(drawn: Drawn) -> anyhow::Result<Span> {
    let service = match drawn.part {
        Some(_) => Cow::Borrowed(ENGINE),
        None => Cow::Owned(drawn.service.unwrap_or_default()),
    };
    Ok(Span {
        trace: TraceId::INVALID,
        id: SpanId::from_hex(&drawn.id)?,
        parent: drawn.above.as_deref().map(SpanId::from_hex).transpose()?,
        name: drawn.name,
        kind: kind(drawn.kind.as_deref().unwrap_or_default()),
        service,
        start: time(drawn.from_us),
        end: time(drawn.to_us),
        length: Duration::from_micros(drawn.length_us),
        error: drawn.error,
        notes: drawn.notes,
        remarks: drawn.remarks,
    })
}

fn kind(word: &str) -> SpanKind {
    match word {
        "server" => SpanKind::Server,
        "client" => SpanKind::Client,
        "producer" => SpanKind::Producer,
        "consumer" => SpanKind::Consumer,
        _ => SpanKind::Internal,
    }
}

fn time(micros: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tree_is_read_as_it_is_written() {
        let run = json!({"id": "0000000000000002", "above": null, "part": "run", "name": "RUN env.main", "from_us": 1, "to_us": 5,
            "length_us": 4, "error": "no", "notes": ["running"]});
        let user = json!({"id": "0000000000000003", "above": "0000000000000002", "service": "shop", "kind": "client", "name": "GET",
            "from_us": 1, "to_us": 1, "length_us": 0, "error": null, "notes": [], "remarks": ["without times"]});
        let document = json!({"running": false, "failed": true, "from_us": 1, "to_us": 5, "left_out": ["1 span"], "all": "/v1", "spans": [run, user]});
        let trace = trace(document.to_string().as_bytes()).unwrap();
        assert!(trace.has_failed && !trace.is_running && trace.left_out == ["1 span"]);
        let [run, user] = &trace.spans[..] else { panic!("{trace:?}") };
        assert_eq!((&*run.service, run.error.as_deref(), run.kind.clone()), (ENGINE, Some("no"), SpanKind::Internal));
        assert_eq!((user.parent, &*user.service, user.kind.clone()), (Some(run.id), "shop", SpanKind::Client));
        assert_eq!(
            (user.remarks.as_slice(), run.length),
            (&["without times".to_owned()][..], Duration::from_micros(4))
        );
        for broken in ["{}", "[]", "nonsense"] {
            assert!(super::trace(broken.as_bytes()).is_err());
        }
    }
}
