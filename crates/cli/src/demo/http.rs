//! The HTTP client of the demo: TLS that needs nothing from the machine, and limits.

use std::time::Duration;

use ureq::{Agent, Proxy};
use url::{Host, Url};

/// A name that does not resolve or a host that does not answer must not look like a demo that hangs.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client for one address, with Mozilla's root certificates and `ring`: no OpenSSL, no certificates of the system, no cmake.
/// Its calls block for at most `timeout`.
pub(super) fn agent(url: &Url, timeout: Duration) -> Agent {
    Agent::config_builder()
        .timeout_resolve(Some(CONNECT_TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_global(Some(timeout))
        .user_agent(concat!("spanwise/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        // A proxy cannot reach a service on this machine's own loopback.
        .proxy(if is_loopback(url) { None } else { Proxy::try_from_env() })
        .build()
        .into()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_known_by_name_and_by_address() {
        for (url, expected) in [
            ("http://localhost:4318", true),
            ("http://127.0.0.1/get", true),
            ("https://[::1]:80", true),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
            ("http://[2001:db8::1]", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }
}
