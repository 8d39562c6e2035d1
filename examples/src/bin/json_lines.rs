//! A file with one OTLP-JSON object a line, to be read by a collector or by `jq` later.
//!
//! `cargo run -p spanwise-examples --bin json_lines -- https://httpbin.org/get spans.jsonl`

use spanwise_examples::json_lines::JsonLines;
use spanwise_examples::{argument, seed, telemetry};

#[spanwise::main]
async fn main() -> spanwise::Result<()> {
    let exporter = JsonLines::append_to(argument(2, "FILE")?)?;
    telemetry::export_to(exporter);
    seed::run(argument(1, "URL")?).await
}
