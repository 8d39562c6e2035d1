//! Who may press a button: only a page of this server, in a browser that has loaded it.

use std::io::Read;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{COOKIE, HOST, ORIGIN};
use http::{HeaderMap, HeaderName};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The cookie that has to say the same as the form.
const NAME: &str = "spanwise-form";
const RANDOM_BYTES: usize = 24;

/// Why a form is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("the request does not come from a page of this server")]
    Foreign,
    #[error("the form is not one that this browser was given, or its cookie is gone: reload the page and try again")]
    Token,
}

/// What the forms of a page carry.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) value: String,
    is_new: bool,
}

impl Token {
    /// The browser's token, or a new one.
    pub(super) fn of(headers: &HeaderMap) -> Token {
        match cookie(headers) {
            Some(value) => Token { value: value.to_owned(), is_new: false },
            None => Token { value: random(), is_new: true },
        }
    }

    /// The header that a browser needs which has none yet.
    pub(super) fn set_cookie(&self) -> Option<String> {
        self.is_new.then(|| format!("{NAME}={}; Path=/; SameSite=Strict; HttpOnly", self.value))
    }
}

/// Checks the headers and the token of a form that was sent.
pub(super) fn check(headers: &HeaderMap, token: &str) -> Result<(), Refused> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(&HOST).ok_or(Refused::Foreign)?;
    let by_origin = text(&ORIGIN).map(|origin| origin.split_once("://").is_some_and(|(_, from)| from == host));
    let by_site = text(&SEC_FETCH_SITE).map(|site| site == "same-origin");
    // Each of them that is there must agree, and a browser sends at least one.
    if by_origin == Some(false) || by_site == Some(false) || (by_origin.is_none() && by_site.is_none()) {
        return Err(Refused::Foreign);
    }
    match cookie(headers) {
        Some(known) if same(known, token) => Ok(()),
        _ => Err(Refused::Token),
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let values = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    values.into_iter().find(|(name, value)| *name == NAME && is_token(value)).map(|(_, value)| value)
}

fn is_token(value: &str) -> bool {
    value.len() == RANDOM_BYTES * 4 / 3 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Compares without telling by its time how much is equal.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
}

fn random() -> String {
    let mut bytes = [0; RANDOM_BYTES];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes));
    if let Err(error) = read {
        static SAID: OnceLock<()> = OnceLock::new();
        SAID.get_or_init(|| tracing::error!(%error, "read /dev/urandom: the forms of the console are refused"));
        // No token is ever equal to this one: it is not of the right length.
        return String::new();
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_form_needs_its_cookie_and_a_page_of_this_server() {
        let token = Token::of(&HeaderMap::new());
        assert!(token.set_cookie().unwrap().contains("SameSite=Strict"));
        let cookie = format!("other=1; {NAME}={}", token.value);
        let with = |more: &[(&'static str, &str)]| {
            let mut all = vec![("host", "localhost:1"), ("cookie", cookie.as_str())];
            all.extend(more);
            headers(&all)
        };
        let own = with(&[("origin", "http://localhost:1")]);
        assert!(Token::of(&own).set_cookie().is_none());
        assert_eq!(check(&own, &token.value), Ok(()));
        assert_eq!(check(&with(&[("sec-fetch-site", "same-origin")]), &token.value), Ok(()));
        assert_eq!(check(&own, &random()), Err(Refused::Token));
        assert_eq!(check(&own, ""), Err(Refused::Token));
        for foreign in [
            &[("origin", "http://localhost:2")][..],
            &[("origin", "null")],
            &[("origin", "http://evil.example")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site"), ("origin", "http://localhost:1")],
            &[],
        ] {
            assert_eq!(check(&with(foreign), &token.value), Err(Refused::Foreign), "{foreign:?}");
        }
        let no_cookie = headers(&[("host", "localhost:1"), ("origin", "http://localhost:1")]);
        assert_eq!(check(&no_cookie, &token.value), Err(Refused::Token));
        assert_eq!(
            check(
                &headers(&[("host", "localhost:1"), ("origin", "http://localhost:1"), ("cookie", "spanwise-form=")]),
                ""
            ),
            Err(Refused::Token)
        );
    }
}
