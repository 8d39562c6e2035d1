//! W3C Trace Context, for programs that have set no propagator.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use spanwise_core::trace::TRACEPARENT;
use spanwise_wire::CustomContext;

/// Reads `traceparent` and `tracestate` (W3C Trace Context level 2). Unknown flags are kept: level 2 defines `02`, and
/// opentelemetry-python sends `03`. What is malformed, or not in lower case, is ignored.
pub(super) fn extract(parent: &Context, carrier: &CustomContext) -> Context {
    let Some(span) = carrier.span() else { return parent.clone() };
    let (trace_id, span_id) = (TraceId::from_bytes(span.trace.0), SpanId::from_bytes(span.span.0));
    let state = carrier.get("tracestate").and_then(|state| state.parse::<TraceState>().ok()).unwrap_or_default();
    parent.with_remote_span_context(SpanContext::new(trace_id, span_id, TraceFlags::new(span.flags), true, state))
}

/// Writes `traceparent`, and `tracestate` if there is one.
pub(super) fn inject(context: &Context, carrier: &mut CustomContext) {
    let span = context.span();
    let span = span.span_context();
    if !span.is_valid() {
        return;
    }
    let (trace_id, span_id, flags) = (span.trace_id(), span.span_id(), span.trace_flags().to_u8());
    carrier.set(TRACEPARENT, format!("00-{trace_id}-{span_id}-{flags:02x}"));
    carrier.set("tracestate", span.trace_state().header());
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn round_trip(header: &str) -> Option<String> {
        let carrier = CustomContext::from([("traceparent", header)]);
        let mut back = CustomContext::new();
        inject(&extract(&Context::new(), &carrier), &mut back);
        back.get("traceparent").map(str::to_owned)
    }

    #[test]
    fn s1_10_flags_other_than_00_and_01_travel_unchanged() {
        for flags in ["00", "01", "02", "03", "ff"] {
            let header = format!("00-{TRACE}-{SPAN}-{flags}");
            assert_eq!(round_trip(&header), Some(header));
        }
    }

    #[test]
    fn s1_10_malformed_and_upper_case_headers_are_ignored() {
        let zero = "0".repeat(32);
        for bad in [
            String::new(),
            "00".to_owned(),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{zero}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-extra"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}é-{SPAN}-01"),
        ] {
            assert_eq!(round_trip(&bad), None, "{bad}");
        }
        assert!(round_trip(&format!("01-{TRACE}-{SPAN}-01-later")).is_some());
    }
}
