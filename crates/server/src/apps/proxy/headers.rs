//! The heads of requests and answers on their way through.

use http::header::{
    CONNECTION, CONTENT_SECURITY_POLICY, EXPECT, HOST, HeaderName, LOCATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// What is about one connection, beside what `connection` names.
const OF_A_CONNECTION: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-authorization"),
    HeaderName::from_static("proxy-connection"),
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// How a request came.
pub(in crate::apps) enum Way {
    /// By the host name of the app.
    ByHost {
        /// The host and port that the client names.
        authority: String,
    },
    /// By its path on the server.
    ByPath {
        /// The host and port that the client names.
        authority: String,
        /// The path below which the app lies.
        prefix: String,
        /// Path and query as the app sees them.
        rest: String,
    },
}

impl Way {
    fn authority(&self) -> &str {
        match self {
            Way::ByHost { authority } | Way::ByPath { authority, .. } => authority,
        }
    }

    /// Path and query for the app.
    pub(super) fn target(&self, uri: &http::Uri) -> String {
        match self {
            Way::ByHost { .. } => uri.path_and_query().map_or("/", |whole| whole.as_str()).to_owned(),
            Way::ByPath { rest, .. } if rest.starts_with('/') => rest.clone(),
            Way::ByPath { rest, .. } => format!("/{rest}"),
        }
    }
}

/// The other protocol that a request or an answer goes over to.
pub(super) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let goes_over = values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case("upgrade"));
    headers.get(UPGRADE).filter(|_| goes_over).cloned()
}

/// Takes out what is about one connection.
fn remove_of_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').filter_map(|name| name.trim().parse().ok()))
        .collect();
    for name in OF_A_CONNECTION.iter().chain(&named) {
        headers.remove(name);
    }
}

/// The head of a request as the app gets it: who the client meant and how it came is in `X-Forwarded-*`; everything else, the trace
/// context among it, goes through as it is.
pub(super) fn of_request(headers: &mut HeaderMap, way: &Way) {
    let upgrade = upgrade(headers);
    let trailers = headers.get(TE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers"));
    remove_of_connection(headers);
    headers.remove(TE);
    // The server has answered it.
    headers.remove(EXPECT);
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    let authority = HeaderValue::from_str(way.authority()).unwrap_or(HeaderValue::from_static("localhost"));
    headers.entry(HOST).or_insert_with(|| authority.clone());
    headers.entry(FORWARDED_HOST).or_insert(authority);
    headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
    // Only this machine reaches the server.
    headers.append(FORWARDED_FOR, HeaderValue::from_static("127.0.0.1"));
    headers.remove(FORWARDED_PREFIX);
    if let Way::ByPath { prefix, .. } = way
        && let Ok(prefix) = HeaderValue::from_str(prefix)
    {
        headers.insert(FORWARDED_PREFIX, prefix);
    }
}

/// The head of an answer as the client gets it. By the path, an address of the app's own is put below it.
pub(super) fn of_answer(headers: &mut HeaderMap, way: &Way, is_upgrade: bool) {
    let upgrade = upgrade(headers).filter(|_| is_upgrade);
    remove_of_connection(headers);
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
    if let Way::ByPath { authority, prefix, .. } = way
        && let Some(location) = headers.get(LOCATION).and_then(|location| location.to_str().ok())
    {
        let own = format!("http://{authority}");
        let path = location.strip_prefix(&own).unwrap_or(location);
        let is_of_app = path.starts_with('/') && !path.starts_with("//");
        if is_of_app && let Ok(moved) = HeaderValue::from_str(&format!("{prefix}{path}")) {
            headers.insert(LOCATION, moved);
        }
    }
}

/// Whatever an app answers by the path is no document of the console's origin, should a browser show it all the same.
pub(super) fn seal(headers: &mut HeaderMap) {
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn by_path() -> Way {
        let [authority, prefix, rest] = ["localhost:1", "/apps/p/d/web", "/x?y=1"].map(str::to_owned);
        Way::ByPath { authority, prefix, rest }
    }

    #[test]
    fn what_is_about_one_connection_stays_there_and_the_trace_goes_through() {
        let mut sent = headers(&[
            ("host", "localhost:1"),
            ("connection", "keep-alive, x-own"),
            ("x-own", "1"),
            ("te", "trailers, deflate"),
            ("transfer-encoding", "chunked"),
            ("expect", "100-continue"),
            ("traceparent", "00-1-2-03"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-prefix", "/forged"),
        ]);
        of_request(&mut sent, &by_path());
        for gone in ["connection", "x-own", "te", "transfer-encoding", "expect"] {
            assert!(!sent.contains_key(gone), "{gone}");
        }
        let text = |name: &str| sent.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!((text("traceparent"), text("host")), (vec!["00-1-2-03"], vec!["localhost:1"]));
        assert_eq!(
            (text("x-forwarded-for"), text("x-forwarded-proto")),
            (vec!["10.0.0.1", "127.0.0.1"], vec!["https"])
        );
        assert_eq!(
            (text("x-forwarded-host"), text("x-forwarded-prefix")),
            (vec!["localhost:1"], vec!["/apps/p/d/web"])
        );
        assert_eq!(by_path().target(&http::Uri::from_static("/apps/p/d/web/x?y=1")), "/x?y=1");
    }

    #[test]
    fn an_upgrade_is_asked_for_and_answered() {
        let mut sent = headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
        of_request(&mut sent, &by_path());
        assert_eq!(
            (&sent["connection"], &sent["upgrade"]),
            (&"upgrade".parse().unwrap(), &"websocket".parse().unwrap())
        );
        let mut answer = headers(&[("connection", "Upgrade"), ("upgrade", "websocket")]);
        of_answer(&mut answer.clone(), &by_path(), true);
        of_answer(&mut answer, &by_path(), false);
        assert!(!answer.contains_key("upgrade"));
        assert_eq!(upgrade(&headers(&[("upgrade", "h2c")])), None, "the connection does not say so");
    }

    #[test]
    fn addresses_of_the_app_are_put_below_its_path() {
        for (location, expected) in [
            ("/docs", "/apps/p/d/web/docs"),
            ("http://localhost:1/docs?a=1", "/apps/p/d/web/docs?a=1"),
            ("//elsewhere/x", "//elsewhere/x"),
            ("https://example.com/", "https://example.com/"),
            ("relative", "relative"),
        ] {
            let mut answer = headers(&[("location", location)]);
            of_answer(&mut answer, &by_path(), false);
            assert_eq!(answer["location"], expected);
        }
        let mut answer = headers(&[("location", "/docs")]);
        of_answer(&mut answer, &Way::ByHost { authority: "web.localhost:1".to_owned() }, false);
        assert_eq!(answer["location"], "/docs");
    }
}
