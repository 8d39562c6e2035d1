//! Whom an exporter trusts and who it says it is, from `OTEL_EXPORTER_OTLP_CERTIFICATE`, `_CLIENT_CERTIFICATE` and `_CLIENT_KEY`, each with a
//! variable for traces alone (`OTEL_EXPORTER_OTLP_TRACES_..`). OpenTelemetry's own exporters for Rust do not read them.

use std::sync::Arc;

use opentelemetry_otlp::tonic_types::transport;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use super::{Error, variable};

/// What the variables name, read and looked through.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    /// Who signs receivers' certificates, in place of the public authorities.
    authorities: Option<File>,
    /// The certificate that a receiver is shown, and its key.
    identity: Option<(File, File)>,
}

/// A file that a variable names.
#[derive(Debug)]
struct File {
    variable: &'static str,
    path: String,
    text: Vec<u8>,
}

impl Certificates {
    pub(super) fn from_environment() -> Result<Certificates, Error> {
        let authorities = File::named_by(["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"])?;
        let certificate =
            File::named_by(["OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"])?;
        let key = File::named_by(["OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"])?;
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (Some(given), None) => return Err(given.half("OTEL_EXPORTER_OTLP_CLIENT_KEY")),
            (None, Some(given)) => return Err(given.half("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE")),
            (None, None) => None,
        };
        let found = Certificates { authorities, identity };
        // What is no certificate is said at the start, whatever the protocol.
        found.for_http()?;
        Ok(found)
    }

    pub(super) fn for_http(&self) -> Result<TlsConfig, Error> {
        let mut config = TlsConfig::builder();
        if let Some(file) = &self.authorities {
            config = config.root_certs(RootCerts::Specific(Arc::new(file.certificates()?)));
        }
        if let Some((certificate, key)) = &self.identity {
            config = config.client_cert(Some(ClientCert::new_with_certs(&certificate.certificates()?, key.key()?)));
        }
        Ok(config.build())
    }

    pub(super) fn for_grpc(&self) -> transport::ClientTlsConfig {
        let config = transport::ClientTlsConfig::new();
        let config = match &self.authorities {
            Some(file) => config.ca_certificate(transport::Certificate::from_pem(&file.text)),
            // Without this an exporter trusts nobody.
            None => config.with_enabled_roots(),
        };
        match &self.identity {
            Some((certificate, key)) => config.identity(transport::Identity::from_pem(&certificate.text, &key.text)),
            None => config,
        }
    }
}

impl File {
    /// The file that the first of these variables names which is set.
    fn named_by(variables: [&'static str; 2]) -> Result<Option<File>, Error> {
        let named = variables.into_iter().find_map(|name| Some((name, variable(name)?)));
        let Some((variable, path)) = named else { return Ok(None) };
        match std::fs::read(&path) {
            Ok(text) => Ok(Some(File { variable, path, text })),
            Err(source) => Err(Error::Read { name: variable, path, source }),
        }
    }

    fn items(&self) -> Result<Vec<PemItem<'static>>, Error> {
        let items: Result<Vec<_>, _> = parse_pem(&self.text).collect();
        items.map_err(|error| self.wrong(&error.to_string()))
    }

    fn certificates(&self) -> Result<Vec<Certificate<'static>>, Error> {
        let found = self.items()?.into_iter().filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        });
        let found: Vec<_> = found.collect();
        if found.is_empty() { Err(self.wrong("there is no certificate in it (PEM)")) } else { Ok(found) }
    }

    fn key(&self) -> Result<PrivateKey<'static>, Error> {
        let found = self.items()?.into_iter().find_map(|item| match item {
            PemItem::PrivateKey(key) => Some(key),
            _ => None,
        });
        found.ok_or_else(|| self.wrong("there is no private key in it (PEM)"))
    }

    fn wrong(&self, what: &str) -> Error {
        Error::Pem { name: self.variable, path: self.path.clone(), what: what.to_owned() }
    }

    fn half(&self, missing: &'static str) -> Error {
        Error::HalfIdentity { given: self.variable, missing }
    }
}
