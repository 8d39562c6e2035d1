//! The table of vendors in `docs/exporters.md`, row by row, against a receiver on this machine.

use crate::page;
use crate::program::program;
use crate::receiver::Receiver;
use crate::web::Web;

#[tokio::test]
async fn the_vendor_example_sends_what_each_row_of_the_table_says() {
    let vendors = page::vendors();
    let names: Vec<_> = vendors.iter().map(|vendor| vendor.name.as_str()).collect();
    assert_eq!(names, ["Datadog", "Honeycomb", "New Relic", "Splunk", "Grafana Cloud", "Dynatrace"]);
    let (web, receiver) = (Web::start().await, Receiver::http().await);
    for vendor in vendors {
        let (host, path) = vendor.endpoint.strip_prefix("https://").unwrap().split_once('/').unwrap();
        assert!(host.contains('.'), "{host}");
        let local = format!("{}/{path}", receiver.address());
        let program = program!("vendor").arg(web.url()).env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", local);
        program.env("OTEL_EXPORTER_OTLP_HEADERS", &vendor.variable).succeed().await;
        let exports = receiver.exports();
        assert!(!exports.is_empty(), "{}", vendor.name);
        let mut names = Vec::new();
        for export in exports {
            assert_eq!(export.path, format!("/{path}"), "{}", vendor.name);
            assert_eq!(export.headers["content-encoding"], "gzip", "{}", vendor.name);
            assert_eq!(export.headers["content-type"], "application/x-protobuf", "{}", vendor.name);
            let (header, value) = vendor.header.split_once(": ").unwrap();
            assert_eq!(export.headers[header.to_lowercase()], value, "{}", vendor.name);
            let scopes = export.request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
            names.extend(scopes.flat_map(|scope| scope.spans).map(|span| span.name));
        }
        names.sort_unstable();
        assert_eq!(names, ["GET", "fetch", "main", "workflow_run"], "{}", vendor.name);
    }
}
