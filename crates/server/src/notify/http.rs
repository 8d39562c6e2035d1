//! Requests that notify: one try each, no redirects, and no more of an answer than its first words.

use std::io::Read as _;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, StatusCode, Uri};
use spanwise_engine::{Fault, Undelivered};
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
    let never = |error: http::Error| Undelivered { text: hidden(&error.to_string(), message), fault: Fault::Rule };
    let request = request(message, id).map_err(never)?;
    let answer = match &message.body {
        Some(body) => agent.run(request.body(body.as_str()).map_err(never)?),
        None => agent.run(request.body(()).map_err(never)?),
    };
    let answer = answer.map_err(|error| failed(&error, message))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let mut said = Vec::new();
    // An answer that breaks off is one all the same.
    let _ = answer.into_body().into_reader().take(READ).read_to_end(&mut said);
    let said = hidden(&shown(String::from_utf8_lossy(&said).trim()), message);
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

fn failed(error: &ureq::Error, message: &HttpMessage) -> Undelivered {
    let text = match error {
        ureq::Error::Timeout(_) => format!("it has not answered within {} s", LIMIT.as_secs()),
        ureq::Error::HostNotFound => "its name is not found".to_owned(),
        other => with_causes(other),
    };
    Undelivered { text: hidden(&text, message), fault: Fault::Receiver }
}

/// A text without what of the address may be a secret: all that follows the host.
fn hidden(text: &str, message: &HttpMessage) -> String {
    let Ok(uri) = message.url.parse::<Uri>() else { return text.to_owned() };
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    if path.len() > 1 { text.replace(path, "/…") } else { text.to_owned() }
}
