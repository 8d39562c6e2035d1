//! Who a browser says is asking: which server it takes this one for, and which page sends the request.
//!
//! Without a login, this is all that tells a page of the console from a page of somebody else that the same browser shows. Programs
//! send no `Origin` and none of the headers of Fetch Metadata, and are not asked for them.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use spanwise_wire::shown;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The server that a request names, as `host:port`; nothing if it names none, or two.
pub(crate) fn authority(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let host = only(headers, &HOST)?;
    match (host, uri.authority()) {
        (Some(host), Some(authority)) => host.eq_ignore_ascii_case(authority.as_str()).then_some(host),
        (host, authority) => host.or_else(|| authority.map(|authority| authority.as_str().to_owned())),
    }
}

/// The value of a header that may be there once; nothing if it is there twice, or is no text.
#[expect(clippy::option_option, reason = "there once, not there, or not to be understood")]
fn only(headers: &HeaderMap, name: &HeaderName) -> Option<Option<String>> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Some(None),
        (Some(value), None) => value.to_str().ok().map(|value| Some(value.to_owned())),
        _ => None,
    }
}

/// Which page a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A page of this server, as the browser sees it.
    Console,
    /// A page of somebody else: another host, port or scheme, or a document without an origin.
    Foreign,
    /// No page: a program, an address that was typed in, or a link that was followed.
    Program,
}

impl Asker {
    /// Reads what the browser says. Each header that is there must agree; the port counts, for whatever listens on another one of this
    /// machine is somebody else. Behind a forwarded port both name the other end of it, and agree.
    pub(crate) fn of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Asker {
        let own = authority(uri, headers).map(|authority| format!("http://{authority}"));
        let by_origin = match only(headers, &ORIGIN) {
            Some(None) => Asker::Program,
            Some(Some(origin)) if own.is_some_and(|own| own.eq_ignore_ascii_case(&origin)) => Asker::Console,
            _ => Asker::Foreign,
        };
        match (by_origin, by_site(method, headers)) {
            (Asker::Foreign, _) | (_, Asker::Foreign) => Asker::Foreign,
            (Asker::Program, Asker::Program) => Asker::Program,
            _ => Asker::Console,
        }
    }
}

fn by_site(method: &Method, headers: &HeaderMap) -> Asker {
    let text = |name| headers.get(name).map(|value| value.as_bytes());
    match text(SEC_FETCH_SITE) {
        None | Some(b"none") => Asker::Program,
        Some(b"same-origin") => Asker::Console,
        Some(_) if matches!(*method, Method::GET | Method::HEAD) && text(SEC_FETCH_MODE) == Some(b"navigate") => {
            Asker::Program
        }
        Some(_) => Asker::Foreign,
    }
}

/// Refuses what a browser sends that takes this server for another one, or sends for a page of somebody else. A page of another site
/// can make its own name point to this machine, and can send what needs no permission first: a form is enough.
pub(crate) async fn refuse_foreign(request: Request, next: Next) -> Response {
    let host = authority(request.uri(), request.headers()).unwrap_or_default();
    if !is_own(&host) {
        let text = format!("this server answers to localhost and 127.0.0.1, not to `{}`\n", shown(&host));
        return (StatusCode::MISDIRECTED_REQUEST, text).into_response();
    }
    match Asker::of(request.method(), request.uri(), request.headers()) {
        Asker::Foreign => {
            let origin = request.headers().get(ORIGIN).map(|origin| String::from_utf8_lossy(origin.as_bytes()));
            let origin = origin.as_deref().unwrap_or("another site");
            let text = format!("this server takes nothing from pages of `{}`\n", shown(origin));
            (StatusCode::FORBIDDEN, text).into_response()
        }
        Asker::Console | Asker::Program => next.run(request).await,
    }
}

/// Whether a `host:port` is a name of this machine for itself.
fn is_own(authority: &str) -> bool {
    let (name, port) = match authority.strip_prefix('[') {
        Some(v6) => v6.split_once(']').unwrap_or_default(),
        None => authority.find(':').map_or((authority, ""), |colon| authority.split_at(colon)),
    };
    let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    let is_name = name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    is_port && is_name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_answered_to() {
        for own in ["localhost", "LOCALHOST:8585", "127.0.0.1:1", "127.0.0.9", "[::1]:8585", "[::1]"] {
            assert!(is_own(own), "{own}");
        }
        for foreign in [
            "example.com",
            "localhost.example.com:8585",
            "10.0.0.1",
            "0.0.0.0:80",
            "",
            "[::2]:1",
            "localhost:8585.example.com",
            "localhost:99999",
            "localhost@example.com",
            "[::1",
            "[::1]x",
        ] {
            assert!(!is_own(foreign), "{foreign}");
        }
    }

    /// Headers beside the host.
    type Said<'a> = &'a [(&'static str, &'a str)];

    fn asker(method: Method, pairs: &[(&'static str, &str)]) -> Asker {
        let headers: HeaderMap =
            pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect();
        Asker::of(&method, &Uri::from_static("/x"), &headers)
    }

    #[test]
    fn the_page_of_a_request_is_known_by_host_port_and_scheme() {
        use Asker::{Console, Foreign, Program};
        let host = ("host", "localhost:8585");
        // What is said beside the host, and whose page that is for a form and for what a page reads.
        let cases: [(Said<'_>, Asker, Asker); 16] = [
            (&[], Program, Program),
            (&[("origin", "http://localhost:8585")], Console, Console),
            (&[("origin", "HTTP://LOCALHOST:8585")], Console, Console),
            (&[("origin", "http://localhost:3000")], Foreign, Foreign),
            (&[("origin", "http://localhost")], Foreign, Foreign),
            (&[("origin", "https://localhost:8585")], Foreign, Foreign),
            (&[("origin", "http://127.0.0.1:8585")], Foreign, Foreign),
            (&[("origin", "http://example.com")], Foreign, Foreign),
            (&[("origin", "null")], Foreign, Foreign),
            (&[("origin", "")], Foreign, Foreign),
            (&[("sec-fetch-site", "none")], Program, Program),
            (&[("sec-fetch-site", "same-origin")], Console, Console),
            (&[("sec-fetch-site", "same-site")], Foreign, Foreign),
            (&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")], Foreign, Foreign),
            // A link that is followed; a form of another site navigates too.
            (&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], Foreign, Program),
            (&[("origin", "http://localhost:8585"), ("sec-fetch-site", "cross-site")], Foreign, Foreign),
        ];
        for (said, of_a_form, of_a_read) in cases {
            let all: Vec<_> = [host].iter().chain(said).copied().collect();
            assert_eq!(asker(Method::POST, &all), of_a_form, "{said:?}");
            assert_eq!(asker(Method::GET, &all), of_a_read, "{said:?}");
        }
        // A forwarded port: the browser knows the other end of it only.
        assert_eq!(asker(Method::POST, &[("host", "localhost:9999"), ("origin", "http://localhost:9999")]), Console);
        assert_eq!(asker(Method::POST, &[("host", "[::1]:1"), ("origin", "http://[::1]:1")]), Console);
        assert_eq!(asker(Method::POST, &[("origin", "http://localhost:8585")]), Foreign, "no host");
    }

    #[test]
    fn a_request_names_one_server() {
        let headers = |hosts: &[&str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, host.parse().unwrap());
            }
            headers
        };
        let of = |uri: &'static str, hosts: &[&str]| authority(&Uri::from_static(uri), &headers(hosts));
        assert_eq!(of("/x", &["localhost:1"]).as_deref(), Some("localhost:1"));
        assert_eq!(of("http://localhost:1/x", &[]).as_deref(), Some("localhost:1"));
        assert_eq!(of("http://localhost:1/x", &["localhost:1"]).as_deref(), Some("localhost:1"));
        assert_eq!(of("http://localhost:1/x", &["localhost:2"]), None);
        assert_eq!(of("/x", &["localhost:1", "localhost:1"]), None);
        assert_eq!(of("/x", &[]), None);
    }
}
