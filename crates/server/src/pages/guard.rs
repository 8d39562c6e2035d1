//! Who may press a button: only a page of this server, in a browser that has loaded it.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::COOKIE;
use http::{HeaderMap, Method, Uri};

use crate::origin::Asker;

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
pub(super) fn check(uri: &Uri, headers: &HeaderMap, token: &str) -> Result<(), Refused> {
    // A browser says from which page a form comes.
    if Asker::of(&Method::POST, uri, headers) != Asker::Console {
        return Err(Refused::Foreign);
    }
    match cookie(headers) {
        Some(sent) if same(sent, token) => Ok(()),
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
    if let Err(error) = getrandom::fill(&mut bytes) {
        static SAID: OnceLock<()> = OnceLock::new();
        SAID.get_or_init(
            || tracing::error!(%error, "the system has no random bytes: the forms of the console are refused"),
        );
        // No token is ever equal to this one: it is not of the right length.
        return String::new();
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn checked(headers: &HeaderMap, token: &str) -> Result<(), Refused> {
        check(&Uri::from_static("/abort"), headers, token)
    }

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
        assert_eq!(checked(&own, &token.value), Ok(()));
        assert_eq!(checked(&with(&[("sec-fetch-site", "same-origin")]), &token.value), Ok(()));
        assert_eq!(checked(&own, &random()), Err(Refused::Token));
        assert_eq!(checked(&own, ""), Err(Refused::Token));
        for foreign in [
            &[("origin", "http://localhost:2")][..],
            &[("origin", "null")],
            &[("origin", "http://evil.example")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site"), ("origin", "http://localhost:1")],
            &[],
        ] {
            assert_eq!(checked(&with(foreign), &token.value), Err(Refused::Foreign), "{foreign:?}");
        }
        let no_cookie = headers(&[("host", "localhost:1"), ("origin", "http://localhost:1")]);
        assert_eq!(checked(&no_cookie, &token.value), Err(Refused::Token));
        assert_eq!(
            checked(
                &headers(&[("host", "localhost:1"), ("origin", "http://localhost:1"), ("cookie", "spanwise-form=")]),
                ""
            ),
            Err(Refused::Token)
        );
    }
}
