//! A tracer provider from an exporter to the last flush.

use opentelemetry::global;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanExporter};
use spanwise::CustomContext;

/// The resource of the examples. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` are read too.
pub fn resource() -> Resource {
    Resource::builder().with_service_name("my.app").build()
}

/// Sends spans in batches to an exporter, and what is left at the end of the program.
pub fn export_to(exporter: impl SpanExporter + 'static) {
    install(SdkTracerProvider::builder().with_resource(resource()).with_batch_exporter(exporter).build());
}

/// Makes a provider the program's own and flushes it at the end, however the program ends.
pub fn install(provider: SdkTracerProvider) {
    global::set_tracer_provider(provider.clone());
    spanwise::at_exit(move || {
        if let Err(error) = provider.shutdown() {
            eprintln!("the last spans were not exported: {error}");
        }
    });
}

/// The W3C environment carrier: `TRACEPARENT`, `TRACESTATE` and `BAGGAGE` of whoever started this program.
pub fn environment_carrier() -> CustomContext {
    let keys = ["traceparent", "tracestate", "baggage"];
    keys.into_iter().filter_map(|key| Some((key, std::env::var(key.to_uppercase()).ok()?))).collect()
}
