//! Where spans are forwarded to, from settings.

use std::fmt;
use std::str::FromStr;

use http::{HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;

/// An OTLP receiver (http/protobuf), and what each request to it says besides.
#[derive(Clone)]
pub struct TeeTarget {
    pub(super) url: Uri,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

/// A setting that names no receiver.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// The address is none.
    #[error("`{0}` is not the address of an OTLP receiver: it begins with http:// or https:// and a host")]
    Endpoint(String),
    /// The headers are none. Their values are secrets, and not said.
    #[error("header {0} is not of the form name=value")]
    Header(usize),
}

impl TeeTarget {
    /// A receiver by its address, as `OTEL_EXPORTER_OTLP_ENDPOINT` has it (`/v1/traces` is added unless it is there), and headers
    /// as `OTEL_EXPORTER_OTLP_HEADERS` has them: `name=value,name=value`, percent-encoded.
    ///
    /// # Errors
    /// [`BadTarget`] if one of them is not of this form.
    pub fn new(endpoint: &str, headers: &str) -> Result<TeeTarget, BadTarget> {
        let bad = || BadTarget::Endpoint(endpoint.to_owned());
        let url = Uri::from_str(endpoint).map_err(|_| bad())?;
        let is_http = matches!(url.scheme_str(), Some("http" | "https"));
        if !is_http || url.host().is_none_or(str::is_empty) || url.query().is_some() {
            return Err(bad());
        }
        let address = endpoint.trim_end_matches('/');
        let path = if address.ends_with("/v1/traces") { "" } else { "/v1/traces" };
        let url = format!("{address}{path}");
        let pairs = headers.split(',').filter(|pair| !pair.trim().is_empty()).enumerate();
        let headers = pairs.map(|(position, pair)| header(pair).ok_or(BadTarget::Header(position + 1)));
        Ok(TeeTarget { url: url.parse().map_err(|_| bad())?, headers: headers.collect::<Result<_, _>>()? })
    }
}

fn header(pair: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = pair.split_once('=')?;
    let value: Vec<u8> = percent_decode_str(value.trim()).collect();
    let mut value = HeaderValue::from_bytes(&value).ok()?;
    value.set_sensitive(true);
    Some((name.trim().parse().ok()?, value))
}

impl fmt::Debug for TeeTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TeeTarget").field("url", &self.url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(endpoint: &str) -> Result<String, BadTarget> {
        TeeTarget::new(endpoint, "").map(|target| target.url.to_string())
    }

    #[test]
    fn the_path_of_traces_is_added_once() {
        for (endpoint, expected) in [
            ("http://localhost:4318", "http://localhost:4318/v1/traces"),
            ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
            ("https://gateway.example.com/otlp", "https://gateway.example.com/otlp/v1/traces"),
            ("https://example.com/v1/traces", "https://example.com/v1/traces"),
            ("https://example.com/v1/traces/", "https://example.com/v1/traces"),
        ] {
            assert_eq!(url(endpoint).as_deref(), Ok(expected));
        }
        for endpoint in ["", "localhost:4318", "ftp://x", "http://", "/v1/traces", "http://a b", "http://x/?q=1"] {
            assert_eq!(url(endpoint), Err(BadTarget::Endpoint(endpoint.to_owned())), "{endpoint}");
        }
    }

    #[test]
    fn headers_are_decoded_and_never_shown() {
        let target = TeeTarget::new("http://x", "api-key = s%3De%2Ccret,Authorization=Basic%20abc==,").unwrap();
        let text = |name: &str| {
            let (_, value) = target.headers.iter().find(|(header_name, _)| header_name == name).unwrap();
            value.to_str().unwrap().to_owned()
        };
        assert_eq!((text("api-key"), text("authorization")), ("s=e,cret".to_owned(), "Basic abc==".to_owned()));
        assert!(!format!("{target:?} {:?}", target.headers).contains("abc"), "{target:?}");
        for (headers, position) in [("secret", 1), ("a=b,c d=e", 2), ("a=%0a", 1), ("=x", 1)] {
            let error = TeeTarget::new("http://x", headers).unwrap_err();
            assert_eq!(error, BadTarget::Header(position), "{headers}");
            assert!(!error.to_string().contains("secret"));
        }
    }
}
