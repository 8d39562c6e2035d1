//! An HTTP GET with a client span, by the semantic conventions for HTTP.

use opentelemetry::trace::{FutureExt, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global};
use spanwise::CustomContext;

/// Gets a page and returns its status. The span `GET` is the child of the span that is active here; the server sees its
/// `traceparent`.
///
/// # Errors
/// If there is no answer. A status of 400 and more is an answer; the span then says ERROR.
pub async fn get(url: &str) -> spanwise::Result<u16> {
    let url = reqwest::Url::parse(url)?;
    let tracer = global::tracer(env!("CARGO_PKG_NAME"));
    let attributes = [
        KeyValue::new("http.request.method", "GET"),
        KeyValue::new("url.full", url.to_string()),
        KeyValue::new("server.address", url.host_str().unwrap_or_default().to_owned()),
        KeyValue::new("server.port", i64::from(url.port_or_known_default().unwrap_or_default())),
    ];
    let span = tracer.span_builder("GET").with_kind(SpanKind::Client).with_attributes(attributes).start(&tracer);
    let context = Context::current_with_span(span);
    // Whatever leaves the function, also a cancelled request, ends the span: it ends with its last context.
    let answer = send(&context, url).with_context(context.clone()).await;
    let failed = match &answer {
        Ok(status) => {
            context.span().set_attribute(KeyValue::new("http.response.status_code", i64::from(*status)));
            (*status >= 400).then(|| status.to_string())
        }
        Err(error) => Some(error.code().to_owned()),
    };
    if let Some(error_type) = failed {
        context.span().set_attribute(KeyValue::new("error.type", error_type));
        context.span().set_status(Status::error(""));
    }
    answer
}

/// The request, with the headers that the context stands for: `traceparent`, and whatever else the propagator writes.
async fn send(context: &Context, url: reqwest::Url) -> spanwise::Result<u16> {
    let mut carrier = CustomContext::new();
    spanwise::otel::inject(context, &mut carrier);
    let mut request = reqwest::Client::new().get(url);
    for (name, value) in carrier.iter() {
        request = request.header(name, value);
    }
    Ok(request.send().await?.status().as_u16())
}
