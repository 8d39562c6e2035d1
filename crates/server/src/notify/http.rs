//! Requests that notify: one try each, no redirects, and no more of an answer than its first words.

use std::io::Read as _;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use spanwise_engine::{Fault, Undelivered};
use spanwise_process::Hidden;
use spanwise_wire::notification::HttpMessage;
use spanwise_wire::{shown, with_causes};

/// From the name of the host to the end of the answer.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// How much of an answer is read that says no.
const READ: u64 = 400;

/// The most of its head that is.
const MAX_HEAD: usize = 32 << 10;

/// The name of a notification for whoever gets it twice.
const ID: &str = "idempotency-key";

pub(super) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(LIMIT))
        // Where a redirect leads was not asked for, and a request that is sent on loses its method and its body.
        .max_redirects(0)
        .http_status_as_error(false)
        .max_response_header_size(MAX_HEAD)
        .user_agent(concat!("spanwise/", env!("CARGO_PKG_VERSION")))
        // Receivers that are written to once in a while have closed the connection by then.
        .max_idle_connections(0)
        .build()
        .into()
}

/// Whether a message can be sent at all.
pub(super) fn check(message: &HttpMessage) -> Result<(), String> {
    let uri: Uri = message.url.parse().map_err(|_| "webhook.url is no address of the web".to_owned())?;
    if uri.host().is_none_or(str::is_empty) {
        return Err("webhook.url names no host".to_owned());
    }
    request(message, "").map(drop).map_err(|error| format!("webhook.headers: {error}"))
}

fn request(message: &HttpMessage, id: &str) -> Result<http::request::Builder, http::Error> {
    let mut request = Request::builder().method(message.method).uri(&message.url);
    let has_id = message.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(ID));
    for (name, value) in &message.headers {
        request = request.header(HeaderName::try_from(name.as_str())?, HeaderValue::from_bytes(value.as_bytes())?);
    }
    Ok(if has_id { request } else { request.header(ID, id) })
}

/// Sends a message. Blocks.
///
/// # Errors
/// [`Undelivered`], if the answer is anything but that the receiver has it.
pub(super) fn send(agent: &ureq::Agent, message: &HttpMessage, id: &str) -> Result<(), Undelivered> {
    let secrets = secrets(message);
    let never = |error: http::Error| Undelivered { text: secrets.mask(&error.to_string()), fault: Fault::Rule };
    let request = request(message, id).map_err(never)?;
    let answer = match &message.body {
        Some(body) => agent.run(request.body(body.as_str()).map_err(never)?),
        None => agent.run(request.body(()).map_err(never)?),
    };
    let answer = answer.map_err(|error| failed(&error, &secrets))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let mut said = Vec::new();
    // An answer that breaks off is one all the same.
    let _ = answer.into_body().into_reader().take(READ).read_to_end(&mut said);
    // What is secret goes before anything is cut off that would leave a part of it.
    let said = shown(secrets.mask_cut(&said).trim());
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let redirects = if status.is_redirection() { " (redirects are not followed)" } else { "" };
    let text = format!("it answers {}{redirects}{said}", status.as_u16());
    Err(Undelivered { text, fault: fault_of(status) })
}

/// Of answers that say no, those that are about this request alone.
fn fault_of(status: StatusCode) -> Fault {
    let is_busy = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    if status.is_server_error() || is_busy { Fault::Receiver } else { Fault::Message }
}

fn failed(error: &ureq::Error, secrets: &Hidden) -> Undelivered {
    let text = match error {
        ureq::Error::Timeout(_) => format!("it has not answered within {} s", LIMIT.as_secs()),
        ureq::Error::HostNotFound => "its name is not found".to_owned(),
        other => with_causes(other),
    };
    Undelivered { text: secrets.mask(&text), fault: Fault::Receiver }
}

/// Headers whose values are those of many.
const OPEN_HEADERS: [&str; 3] = ["accept", "content-type", "user-agent"];

/// What of a message may be a secret: all that follows the host of its address, and the values of its headers, as a whole and word by word, as they
/// are sent and as who gets them may read them.
fn secrets(message: &HttpMessage) -> Hidden {
    let after_scheme = message.url.split_once("://").map_or("", |(_, rest)| rest);
    let behind_host = after_scheme.find(['/', '?', '#']).map_or("", |at| &after_scheme[at..]);
    let is_open = |name: &str| OPEN_HEADERS.iter().any(|open| name.eq_ignore_ascii_case(open));
    let headers = message.headers.iter().filter(|(name, _)| !is_open(name)).map(|(_, value)| value.as_str());
    let mut texts: Vec<String> = Vec::new();
    for whole in std::iter::once(behind_host).chain(headers) {
        for text in std::iter::once(whole).chain(whole.split(|c: char| c.is_whitespace() || "/?&=#;,".contains(c))) {
            texts.push(text.to_owned());
            texts.push(percent_decode_str(text).decode_utf8_lossy().into_owned());
        }
    }
    Hidden::new(texts.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// The error of a message whose receiver answers this.
    fn error_of(path: &str, headers: &[(&str, &str)], answer: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}{path}", listener.local_addr().unwrap());
        let receiver = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let lines = BufReader::new(connection.try_clone().unwrap()).lines();
            assert!(lines.map_while(Result::ok).any(|line| line.is_empty()));
            let head = format!("HTTP/1.1 403 no\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
            connection.write_all(&[head.as_bytes(), &answer].concat()).unwrap();
        });
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let message = HttpMessage { method: "GET", url, headers, body: None };
        let undelivered = send(&agent(), &message, "1").unwrap_err();
        receiver.join().unwrap();
        undelivered.text
    }

    #[test]
    fn s13_5_what_a_receiver_answers_shows_nothing_of_the_address_and_of_headers_wherever_it_is_cut() {
        let long =
            format!("/services/{}/größe-s3cret", "T0KEN".repeat(60)).replace("ö", "%C3%B6").replace("ß", "%C3%9F");
        let headers = [("x-api-key", "k3y-of-the-test"), ("authorization", "Bearer b34rer-of-the-test")];
        for said in [
            long.clone(),
            format!("no such token {}", "T0KEN".repeat(60)),
            "größe-s3cret is wrong".to_owned(),
            "your key k3y-of-the-test is none, and Bearer b34rer-of-the-test neither".to_owned(),
            "b34rer-of-the-test".to_owned(),
        ] {
            // Where a reading of so many bytes and a showing of fewer cut it.
            for before in [0, 60, 70, 78, 300, 385, 395, 399] {
                let text = error_of(&long, &headers, [vec![b'.'; before], said.clone().into_bytes()].concat());
                for part in ["T0KEN", "T0K", "s3c", "gr\u{f6}", "k3y", "b34"] {
                    assert!(!text.contains(part), "{part} after {before}: {text}");
                }
                assert!(text.starts_with("it answers 403: "), "{text}");
            }
        }
        let told = error_of(&long, &headers, b"no_service, as json".to_vec());
        assert_eq!(told, "it answers 403: no_service, as json");
    }
}
