//! The messages that notify: templates with what they stand for, escaped for where it stands.

use spanwise_proto::json;

use super::template::{Ended, render};
use super::{Delivery, Email, Recipient, Rule, Webhook, kind_of, origin};

/// The longest body, whatever its template repeats: a template has at most 64 KiB.
const MAX_TEXT: usize = 256 << 10;

/// The longest address, value of a header and subject.
const MAX_LINE: usize = 8 << 10;

/// What is sent to notify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// A request.
    Http(HttpMessage),
    /// A mail.
    Mail(Mail),
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpMessage {
    /// The method.
    pub method: &'static str,
    /// The address, with what may be a secret in it.
    pub url: String,
    /// Headers, the type of the body among them.
    pub headers: Vec<(String, String)>,
    /// The body; none for methods that have none.
    pub body: Option<String>,
}

/// A mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Whom it is to.
    pub to: Vec<Recipient>,
    /// Who has a copy.
    pub cc: Vec<Recipient>,
    /// Who has a copy that the others do not see.
    pub bcc: Vec<Recipient>,
    /// The subject, in one line.
    pub subject: String,
    /// The text.
    pub text: String,
    /// The same in HTML.
    pub html: Option<String>,
}

impl Rule {
    /// The message about the end of a run.
    pub fn message(&self, ended: &Ended) -> Outgoing {
        let ended = ended.shortened();
        match &self.delivery {
            Delivery::Webhook(webhook) => Outgoing::Http(of_webhook(webhook, &ended)),
            Delivery::Email(email) => Outgoing::Mail(of_email(email, &ended)),
        }
    }
}

fn of_webhook(webhook: &Webhook, ended: &Ended) -> HttpMessage {
    let Webhook { url, method, headers, body } = webhook;
    let is_json = serde_json::from_str::<serde_json::Value>(body).is_ok();
    let is_slack = origin(url).is_some_and(|origin| kind_of(origin) == "Slack");
    let of_slack = |value: &str| if is_slack { of_slack(value) } else { value.to_owned() };
    // A text of JSON has braces that begin a variable within its strings only.
    let of_body = |value: &str| if is_json { in_json(&of_slack(value)) } else { of_slack(value) };
    let mut headers: Vec<(String, String)> =
        headers.iter().map(|(name, value)| (name.clone(), render(value, ended, MAX_LINE, &in_one_line))).collect();
    let has_body = !matches!(*method, "GET" | "HEAD" | "OPTIONS") && !body.is_empty();
    if has_body && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        let kind = if is_json { "application/json" } else { "text/plain; charset=utf-8" };
        headers.push(("content-type".to_owned(), kind.to_owned()));
    }
    HttpMessage {
        method,
        url: render(url, ended, MAX_LINE, &percent_encoded),
        headers,
        body: has_body.then(|| render(body, ended, MAX_TEXT, &of_body)),
    }
}

fn of_email(email: &Email, ended: &Ended) -> Mail {
    let as_it_is = |value: &str| value.to_owned();
    let Email { to, cc, bcc, subject, text, html } = email;
    Mail {
        to: to.clone(),
        cc: cc.clone(),
        bcc: bcc.clone(),
        subject: in_one_line(&render(subject, ended, MAX_LINE, &in_one_line)),
        text: render(text, ended, MAX_TEXT, &as_it_is),
        html: html.as_deref().map(|html| render(html, ended, MAX_TEXT, &in_html)),
    }
}

/// For a header: no character of it ends the line.
fn in_one_line(value: &str) -> String {
    value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// For the inside of a string of JSON.
fn in_json(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// What Slack takes for the beginning of a mention or a link (`<!channel>`) is none if it comes from a run.
fn of_slack(value: &str) -> String {
    value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn in_html(value: &str) -> String {
    of_slack(value).replace('"', "&quot;").replace('\'', "&#39;")
}

fn percent_encoded(value: &str) -> String {
    let encoded = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    value.bytes().map(encoded).collect()
}

impl Ended {
    /// The end of a run at a time, in microseconds since 1970 as [`spanwise_core::Timestamp`] has it.
    #[must_use]
    pub fn at(self, ended_at: spanwise_core::Timestamp) -> Ended {
        let ended_at = json::rfc3339(ended_at.0.div_euclid(1_000_000), 0);
        Ended { ended_at, ..self }
    }
}
