//! The HTTP client of the demo: TLS that needs nothing from the machine, and limits.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustls::{ClientConfig, RootCertStore};

/// A name that does not resolve or a host that does not answer must not look like a demo that hangs.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(10);

/// A builder with Mozilla's root certificates and `ring`: no OpenSSL, no certificates of the system, no cmake.
pub(super) fn client() -> anyhow::Result<reqwest::ClientBuilder> {
    let roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("set up TLS")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let agent = concat!("spanwise/", env!("CARGO_PKG_VERSION"));
    let builder = reqwest::Client::builder().tls_backend_preconfigured(tls).user_agent(agent);
    Ok(builder.connect_timeout(CONNECT_TIMEOUT).timeout(TIMEOUT))
}
