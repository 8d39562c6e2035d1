//! The names of spans that no one gave a name.

use std::sync::{Arc, Mutex};

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use spanwise::{task, trace, traced};

use crate::{ENV, memory};

#[derive(Clone, Debug, Default)]
struct Names(Arc<Mutex<Vec<String>>>);

impl SpanExporter for Names {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch.into_iter().map(|span| span.name.into_owned()));
        Ok(())
    }
}

#[trace]
#[traced]
async fn unnamed_step() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV)]
#[traced]
async fn unnamed_task() -> spanwise::Result<()> {
    unnamed_step().await
}

#[tokio::test]
async fn a_span_without_a_name_has_the_functions() {
    let names = Names::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(names.clone()).build();
    opentelemetry::global::set_tracer_provider(provider);
    memory().with_runcontext().run(unnamed_task()).await.unwrap().output().await.unwrap();
    let names = names.0.lock().unwrap().clone();
    for name in ["unnamed_step", "unnamed_task"] {
        assert!(names.iter().any(|known| known == name), "{names:?}");
    }
}
