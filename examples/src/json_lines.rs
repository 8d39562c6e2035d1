//! A span exporter that writes a file: one OTLP-JSON object a line, the OTLP file format that collectors read.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// Appends to a file; each line is an object `{"resourceSpans": [..]}` with the spans of one resource.
#[derive(Debug)]
pub struct JsonLines {
    file: Mutex<File>,
    resource: ResourceAttributesWithSchema,
}

impl JsonLines {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn append_to(path: impl AsRef<Path>) -> std::io::Result<JsonLines> {
        let file = File::options().create(true).append(true).open(path)?;
        Ok(JsonLines { file: Mutex::new(file), resource: ResourceAttributesWithSchema::default() })
    }

    fn write(&self, batch: Vec<SpanData>) -> std::io::Result<()> {
        let mut lines = Vec::new();
        for resource_spans in group_spans_by_resource_and_scope(batch, &self.resource) {
            let request = ExportTraceServiceRequest { resource_spans: vec![resource_spans] };
            serde_json::to_writer(&mut lines, &request)?;
            lines.push(b'\n');
        }
        // One write, so that a reader never sees half a batch as a line.
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&lines)
    }
}

impl SpanExporter for JsonLines {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.write(batch).map_err(|error| OTelSdkError::InternalFailure(error.to_string()))
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}
