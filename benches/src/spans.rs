//! Spans for the collector, as a program sends them, and the yardstick: the same rows in SQLite without a collector.

use std::path::Path;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use rusqlite::{Connection, params};

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

/// The span of a number, one of a hundred in its trace, with what an HTTP client says about a call.
pub fn span(number: u64) -> Span {
    let start = 1_700_000_000_000_000_000 + number * 1_000;
    // Ids are random: they arrive in no order.
    let id = |number: u64| (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    Span {
        trace_id: [id(number / 100), id(number / 100 + (1 << 32))].concat(),
        span_id: id(number).to_vec(),
        parent_span_id: id(number / 100 * 100).to_vec(),
        name: "GET /v2/resource".to_owned(),
        kind: 3,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 1_500_000,
        attributes: vec![
            attribute("http.request.method", text("GET")),
            attribute("http.response.status_code", Value::IntValue(200)),
            attribute("server.address", text("resource.example.com")),
            attribute("server.port", Value::IntValue(443)),
            attribute("url.full", text("https://resource.example.com/v2/resource?page=7&size=100")),
            attribute("network.protocol.version", text("1.1")),
        ],
        ..Span::default()
    }
}

/// An OTLP request of these spans.
pub fn request(spans: impl Iterator<Item = Span>) -> Vec<u8> {
    let scope = InstrumentationScope { name: "bench".to_owned(), ..InstrumentationScope::default() };
    let resource = Resource { attributes: vec![attribute("service.name", text("bench"))], ..Resource::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans: spans.collect(), ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// A table of spans.
pub struct RawSpans(Connection);

impl RawSpans {
    /// Makes it.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn open(path: &Path) -> anyhow::Result<RawSpans> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4096;
             PRAGMA cache_size = -16384;
             CREATE TABLE spans (key INTEGER PRIMARY KEY, trace_id BLOB, span_id BLOB, parent_id BLOB, name TEXT,
                                 started_at INTEGER, ended_at INTEGER, received_at INTEGER, origin INTEGER, body BLOB);
             CREATE UNIQUE INDEX spans_by_id ON spans (trace_id, span_id);",
        )?;
        Ok(RawSpans(connection))
    }

    /// Inserts spans, each with its body, in one transaction.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn insert(&mut self, spans: &[(Span, Vec<u8>)]) -> anyhow::Result<()> {
        let transaction = self.0.transaction()?;
        {
            let mut insert =
                transaction.prepare_cached("INSERT INTO spans VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6, 1, 1, ?7)")?;
            for (span, body) in spans {
                let (start, end) = (span.start_time_unix_nano as i64, span.end_time_unix_nano as i64);
                insert.execute(params![
                    span.trace_id,
                    span.span_id,
                    span.parent_span_id,
                    span.name,
                    start,
                    end,
                    body
                ])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }
}
