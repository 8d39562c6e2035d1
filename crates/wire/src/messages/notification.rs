//! Whom a run notifies of its end: Flyte's rules, checked when the run is accepted, and the messages that are made of them when it has ended.

use spanwise_core::Phase;
use spanwise_proto::flyteidl2::notification::{
    DeliveryConfigTemplate, EmailDeliveryTemplate, EmailRecipient, HttpMethod, InlineEmailTemplate,
    WebhookDeliveryTemplate, email_delivery_template,
};
use spanwise_proto::flyteidl2::task::{InlineRule, RunSpec, inline_rule, run_spec};

use crate::{Invalid, shown};

mod message;
mod template;
#[cfg(test)]
mod tests;

pub use message::{HttpMessage, Mail, Outgoing};
pub use template::{Ended, VARIABLES};

/// The most of each: what a run notifies is for people and their tools, not a way to send data.
const MAX_RULES: usize = 50;
const MAX_URL: usize = 2048;
const MAX_HEADERS: usize = 50;
const MAX_HEADER: usize = 4 << 10;
const MAX_BODY: usize = 64 << 10;
const MAX_RECIPIENTS: usize = 50;
const MAX_SUBJECT: usize = 900;
const MAX_ADDRESS: usize = 254;

/// What the stock SDK sends where there is no body in HTML (`flyte/_internal/runtime/notifications_serde.py`); who reads mail as HTML would
/// see that instead of the text.
pub(crate) const NO_HTML: &str = "No HTML body";

/// Headers that are the connection's.
const RESERVED: [&str; 6] = ["connection", "content-length", "host", "te", "transfer-encoding", "upgrade"];

/// A wish to be notified, of those that can be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its number among the rules of its run, from 0.
    pub number: u32,
    /// The ends that it is about.
    pub phases: Vec<Phase>,
    /// How and to whom.
    pub delivery: Delivery,
}

/// How somebody is notified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// By a request: of Slack, Teams or anything else.
    Webhook(Webhook),
    /// By e-mail.
    Email(Email),
}

/// A request, as a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    url: String,
    method: &'static str,
    headers: Vec<(String, String)>,
    body: String,
}

/// A mail, as a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    to: Vec<Recipient>,
    cc: Vec<Recipient>,
    bcc: Vec<Recipient>,
    subject: String,
    text: String,
    html: Option<String>,
}

/// Somebody who gets mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The name; may be empty.
    pub name: String,
    /// The address.
    pub address: String,
}

/// The rules of a run that can be followed. Those that name what an administrator would have set up are left out: the warnings of the run
/// tell of them.
///
/// # Errors
/// [`Invalid`] names the field, and the limit if it is about one.
pub fn rules(spec: &RunSpec) -> Result<Vec<Rule>, Invalid> {
    let Some(run_spec::NotificationSettings::NotificationRules(list)) = &spec.notification_settings else {
        return Ok(Vec::new());
    };
    if list.rules.len() > MAX_RULES {
        let text =
            format!("run_spec.notification_rules has {} rules, and at most {MAX_RULES} are followed", list.rules.len());
        return Err(Invalid::field(text));
    }
    let mut rules = Vec::new();
    for (number, rule) in (0..).zip(&list.rules) {
        let field = format!("run_spec.notification_rules.rules[{number}]");
        let phases = phases(rule).map_err(|text| Invalid::field(format!("{field}.on_phases: {text}")))?;
        let delivery = delivery(rule).map_err(|text| Invalid::field(format!("{field}.{text}")))?;
        rules.extend(delivery.map(|delivery| Rule { number, phases, delivery }));
    }
    Ok(rules)
}

/// The same of the message that a run was created with.
///
/// # Errors
/// [`Invalid`]
pub fn stored(bytes: &[u8]) -> Result<Vec<Rule>, Invalid> {
    rules(&crate::options::decode(bytes)?)
}

fn phases(rule: &InlineRule) -> Result<Vec<Phase>, String> {
    if rule.on_phases.is_empty() {
        return Err("no phase is named".to_owned());
    }
    let phase = |sent: &spanwise_proto::EnumValue<_>| {
        let phase = Phase::from_number(sent.to_i32()).ok_or_else(|| format!("{} is no phase", sent.to_i32()))?;
        let is_end = phase.is_terminal();
        is_end
            .then_some(phase)
            .ok_or_else(|| format!("{phase} is no end of a run: SUCCEEDED, FAILED, ABORTED and TIMED_OUT are"))
    };
    rule.on_phases.iter().map(phase).collect()
}

/// None for one with a name, which only an administrator's settings could explain.
fn delivery(rule: &InlineRule) -> Result<Option<Delivery>, String> {
    let template = match rule.delivery.as_ref() {
        None => return Err("delivery is missing".to_owned()),
        Some(inline_rule::Delivery::DeliveryConfigName(_)) => return Ok(None),
        Some(inline_rule::Delivery::DeliveryTemplate(template)) => template,
    };
    let DeliveryConfigTemplate { webhook, email, .. } = &**template;
    let of = |kind: &str, text: String| format!("delivery_template.{kind}.{text}");
    match (webhook.as_option(), email.as_option()) {
        (Some(_), Some(_)) => Err("delivery_template has both a webhook and an e-mail".to_owned()),
        (None, None) => Err("delivery_template is neither a webhook nor an e-mail".to_owned()),
        (Some(webhook), None) => {
            Ok(Some(Delivery::Webhook(read_webhook(webhook).map_err(|text| of("webhook", text))?)))
        }
        (None, Some(email)) => Ok(read_email(email).map_err(|text| of("email", text))?.map(Delivery::Email)),
    }
}

fn read_webhook(sent: &WebhookDeliveryTemplate) -> Result<Webhook, String> {
    let method = method(sent)?;
    check_url(&sent.url).map_err(|text| format!("url: {text}"))?;
    if sent.headers.len() > MAX_HEADERS {
        return Err(format!("headers: {}, and at most {MAX_HEADERS} are sent", sent.headers.len()));
    }
    let mut headers = Vec::new();
    for (name, value) in &sent.headers {
        check_header(name, value).map_err(|text| format!("headers: {text}"))?;
        headers.push((name.clone(), value.clone()));
    }
    check_template("body_template", &sent.body_template, MAX_BODY)?;
    Ok(Webhook { url: sent.url.clone(), method, headers, body: sent.body_template.clone() })
}

fn method(sent: &WebhookDeliveryTemplate) -> Result<&'static str, String> {
    match sent.method.as_known() {
        Some(HttpMethod::HTTP_METHOD_UNSPECIFIED | HttpMethod::HTTP_METHOD_POST) => Ok("POST"),
        Some(HttpMethod::HTTP_METHOD_GET) => Ok("GET"),
        Some(HttpMethod::HTTP_METHOD_HEAD) => Ok("HEAD"),
        Some(HttpMethod::HTTP_METHOD_PUT) => Ok("PUT"),
        Some(HttpMethod::HTTP_METHOD_DELETE) => Ok("DELETE"),
        Some(HttpMethod::HTTP_METHOD_OPTIONS) => Ok("OPTIONS"),
        Some(HttpMethod::HTTP_METHOD_PATCH) => Ok("PATCH"),
        Some(HttpMethod::HTTP_METHOD_CONNECT | HttpMethod::HTTP_METHOD_TRACE) => {
            Err("method: CONNECT and TRACE notify nobody".to_owned())
        }
        None => Err(format!("method: {} is none", sent.method.to_i32())),
    }
}

/// The address up to its path, as `https://host:port`: what of it is no secret.
fn origin(url: &str) -> Option<&str> {
    let begin = url.find("://")? + 3;
    let end = url[begin..].find(['/', '?', '#']).map_or(url.len(), |end| begin + end);
    Some(&url[..end])
}

fn check_url(url: &str) -> Result<(), String> {
    if url.len() > MAX_URL {
        return Err(format!("{} bytes, and at most {MAX_URL} are sent", url.len()));
    }
    let lower = url.get(..8).unwrap_or(url).to_ascii_lowercase();
    let (true, Some(origin)) = (lower.starts_with("http://") || lower.starts_with("https://"), origin(url)) else {
        return Err("it begins with http:// or https://".to_owned());
    };
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    if host.is_empty() || host.contains(|c: char| !c.is_ascii_alphanumeric() && !"-._:[]".contains(c)) {
        let what = "its host is no name: templates are for what follows it, and passwords for a header";
        return Err(what.to_owned());
    }
    // What a template stands for is encoded when it is put in.
    let is_written = |c: char| c.is_ascii_graphic() || (c == ' ' && url.contains("{{"));
    if let Some(wrong) = url.chars().find(|c| !is_written(*c)) {
        return Err(format!("`{}` is to be percent-encoded", wrong.escape_default()));
    }
    template::check(url)
}

fn check_header(name: &str, value: &str) -> Result<(), String> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let lower = name.to_ascii_lowercase();
    if name.is_empty() || !name.chars().all(is_token) || RESERVED.contains(&lower.as_str()) {
        return Err(format!("`{}` cannot be sent", shown(name)));
    }
    if name.len() + value.len() > MAX_HEADER || value.contains(char::is_control) {
        return Err(format!(
            "the value of `{name}` has control characters or, with the name, more than {MAX_HEADER} bytes"
        ));
    }
    template::check(value).map_err(|text| format!("`{name}`: {text}"))
}

fn check_template(field: &str, text: &str, most: usize) -> Result<(), String> {
    if text.len() > most {
        return Err(format!("{field}: {} bytes, and at most {most} are sent", text.len()));
    }
    template::check(text).map_err(|text| format!("{field}: {text}"))
}

/// None for a template that a provider of mail would have.
fn read_email(sent: &EmailDeliveryTemplate) -> Result<Option<Email>, String> {
    if sent.to.is_empty() {
        return Err("to: nobody is named".to_owned());
    }
    let recipients = sent.to.len() + sent.cc.len() + sent.bcc.len();
    if recipients > MAX_RECIPIENTS {
        return Err(format!("to, cc and bcc have {recipients} recipients, and at most {MAX_RECIPIENTS} get a mail"));
    }
    let (to, cc, bcc) =
        (read_recipients("to", &sent.to)?, read_recipients("cc", &sent.cc)?, read_recipients("bcc", &sent.bcc)?);
    let inline = match &sent.content {
        None => return Err("content is missing".to_owned()),
        Some(email_delivery_template::Content::ProviderTemplate(_)) => return Ok(None),
        Some(email_delivery_template::Content::Inline(inline)) => inline,
    };
    let InlineEmailTemplate { subject, html_template, text_template, .. } = &**inline;
    check_template("inline.subject", subject, MAX_SUBJECT)?;
    check_template("inline.text_template", text_template, MAX_BODY)?;
    check_template("inline.html_template", html_template, MAX_BODY)?;
    let html = Some(html_template).filter(|html| !html.is_empty() && *html != NO_HTML).cloned();
    Ok(Some(Email { to, cc, bcc, subject: subject.clone(), text: text_template.clone(), html }))
}

fn read_recipients(field: &str, sent: &[EmailRecipient]) -> Result<Vec<Recipient>, String> {
    let read = |(position, EmailRecipient { name, address, .. }): (usize, &EmailRecipient)| {
        let whole = address.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
        let is_written = !address.contains(|c: char| c.is_control() || c.is_whitespace() || "<>,;".contains(c));
        if !whole || !is_written || address.len() > MAX_ADDRESS {
            return Err(format!("{field}[{position}].address: `{}` is no address", shown(address)));
        }
        if name.contains(char::is_control) || name.len() > MAX_ADDRESS {
            return Err(format!("{field}[{position}].name: `{}` is no name", shown(name)));
        }
        Ok(Recipient { name: name.clone(), address: address.clone() })
    };
    sent.iter().enumerate().map(read).collect()
}

impl Rule {
    /// True if it asks to be told of this end. A run that was recovered as a whole has succeeded.
    pub fn wants(&self, phase: Phase) -> bool {
        let outcome = if phase == Phase::Recovered { Phase::Succeeded } else { phase };
        self.phases.contains(&phase) || self.phases.contains(&outcome)
    }

    /// Whom it is for, as people may read it: of an address its host only, as what follows may be a secret.
    pub fn receiver(&self) -> String {
        match &self.delivery {
            Delivery::Webhook(webhook) => {
                let origin = origin(&webhook.url).unwrap_or_default();
                format!("{} at {origin}", kind_of(origin))
            }
            Delivery::Email(email) => {
                let others = email.to.len() + email.cc.len() + email.bcc.len() - 1;
                let first = email.to.first().map(|recipient| shown(&recipient.address)).unwrap_or_default();
                match others {
                    0 => format!("e-mail to {first}"),
                    others => format!("e-mail to {first} and {others} more"),
                }
            }
        }
    }
}

/// What takes requests at an address.
fn kind_of(origin: &str) -> &'static str {
    let host = origin.split_once("://").map_or("", |(_, host)| host).to_ascii_lowercase();
    // Without its port: a name has no colon.
    let host = host.split(':').next().unwrap_or_default().trim_end_matches('.');
    let is_at = |suffix: &str| host == suffix || host.ends_with(&format!(".{suffix}"));
    match () {
        () if is_at("slack.com") => "Slack",
        () if ["office.com", "logic.azure.com", "powerplatform.com"].into_iter().any(is_at) => "Teams",
        () => "webhook",
    }
}
