//! OTLP exporters made from the standard variables (`OTEL_EXPORTER_OTLP_*`): http/protobuf and gRPC, with headers, TLS and gzip.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response, ResponseBodyTooLarge};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use spanwise_engine::LifecycleExporter;
use tokio::task::spawn_blocking;
use ureq::Agent;

use self::certificates::Certificates;
use crate::Exporting;

mod certificates;

/// The longest answer of a receiver, as with the clients that OpenTelemetry brings.
const MAX_ANSWER: u64 = 4 * 1024 * 1024;

/// A receiver that does not answer for this long counts as away; `OTEL_EXPORTER_OTLP_TIMEOUT` is stricter by default (10 s).
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);

/// An exporter cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The protocol is none that is spoken here.
    #[error("{name} is `{value}`: lifecycle spans go by `http/protobuf` or `grpc`")]
    Protocol {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// A file of certificates or a key cannot be read.
    #[error("{name}: read `{path}`")]
    Read {
        /// The variable.
        name: &'static str,
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file has something else in it.
    #[error("{name}: `{path}`: {what}")]
    Pem {
        /// The variable.
        name: &'static str,
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// A certificate without its key, or the other way round.
    #[error("{given} is set and {missing} is not: a client certificate needs both")]
    HalfIdentity {
        /// The variable that is set.
        given: &'static str,
        /// The one that is not.
        missing: &'static str,
    },
    /// Another setting is wrong.
    #[error("make the exporter of lifecycle spans")]
    Build(#[source] ExporterBuildError),
}

/// True if the environment names a receiver of traces.
pub fn is_configured() -> bool {
    ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]
        .into_iter()
        .any(|name| variable(name).is_some())
}

/// The exporter that the environment asks for; `endpoint` is stronger than the environment's, and may leave out `/v1/traces`. To be
/// called inside a tokio runtime. `log` is told of trouble ([`Exporting::new`]).
///
/// # Errors
/// [`Error`] if a variable has a value that cannot be used.
pub fn exporter(
    endpoint: Option<&str>,
    log: impl Fn(&str) + Send + Sync + 'static,
) -> Result<Arc<dyn LifecycleExporter>, Error> {
    let certificates = Certificates::from_environment()?;
    let exporter = if is_grpc()? {
        let builder = SpanExporter::builder().with_tonic().with_protocol(Protocol::Grpc);
        let builder = builder.with_tls_config(certificates.for_grpc());
        match endpoint {
            Some(endpoint) => builder.with_endpoint(endpoint).build(),
            None => builder.build(),
        }
    } else {
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(CLIENT_TIMEOUT));
        let agent: Agent = config.tls_config(certificates.for_http()?).build().into();
        let builder = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
        let builder = builder.with_http_client(Blocking(agent));
        match endpoint {
            Some(endpoint) => builder.with_endpoint(traces_url(endpoint)).build(),
            None => builder.build(),
        }
    };
    Ok(Arc::new(Exporting::new(exporter.map_err(Error::Build)?, log)))
}

fn is_grpc() -> Result<bool, Error> {
    for name in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
        match variable(name).as_deref() {
            Some("grpc") => return Ok(true),
            Some("http/protobuf") => return Ok(false),
            Some(value) => return Err(Error::Protocol { name, value: value.to_owned() }),
            None => {}
        }
    }
    Ok(false)
}

/// A variable of the environment; an empty one counts as unset, as the specification says.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The address of traces at a receiver: OTLP's path is added where it is missing.
pub fn traces_url(endpoint: &str) -> String {
    let (address, query) = match endpoint.split_once('?') {
        Some((address, query)) => (address, format!("?{query}")),
        None => (endpoint, String::new()),
    };
    let address = address.trim_end_matches('/');
    let path = if address.ends_with("/v1/traces") { "" } else { "/v1/traces" };
    format!("{address}{path}{query}")
}

/// The exporter's way to a blocking client.
#[derive(Clone, Debug)]
pub struct Blocking(pub Agent);

impl HttpClient for Blocking {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let agent = self.0.clone();
        Box::pin(async move { spawn_blocking(move || send(&agent, request)).await? })
    }
}

fn send(agent: &Agent, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let (parts, mut body) = agent.run(request.map(Vec::from))?.into_parts();
    match body.with_config().limit(MAX_ANSWER).read_to_vec() {
        Ok(body) => Ok(Response::from_parts(parts, body.into())),
        // The exporter does not send the spans again for this one.
        Err(ureq::Error::BodyExceedsLimit(_)) => Err(ResponseBodyTooLarge::new().into()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_otlp_is_added_where_it_is_missing() {
        for (given, expected) in [
            ("http://c:4318", "http://c:4318/v1/traces"),
            ("http://c:4318/", "http://c:4318/v1/traces"),
            ("http://c/otlp/", "http://c/otlp/v1/traces"),
            ("http://c/v1/traces", "http://c/v1/traces"),
            ("http://c/v1/traces?key=1", "http://c/v1/traces?key=1"),
        ] {
            assert_eq!(traces_url(given), expected);
        }
    }
}
