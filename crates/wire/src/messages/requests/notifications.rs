//! Who a new run notifies, as Flyte's rules.

use spanwise_core::notification::{Delivery, Mail, Notification, Request};
use spanwise_proto::flyteidl2::notification::{
    DeliveryConfigTemplate, EmailDeliveryTemplate, EmailRecipient, HttpMethod, InlineEmailTemplate,
    WebhookDeliveryTemplate, email_delivery_template,
};
use spanwise_proto::flyteidl2::task::{InlineRule, InlineRuleList, inline_rule, run_spec};

use crate::notification::NO_HTML;
use crate::{Invalid, details};

/// The rules of a run.
///
/// # Errors
/// [`Invalid`] if a method is none.
pub(super) fn settings(wanted: &[Notification]) -> Result<Option<run_spec::NotificationSettings>, Invalid> {
    if wanted.is_empty() {
        return Ok(None);
    }
    let rules = wanted.iter().map(rule).collect::<Result<_, _>>()?;
    let list = InlineRuleList { rules, ..InlineRuleList::default() };
    Ok(Some(run_spec::NotificationSettings::NotificationRules(list.into())))
}

fn rule(wanted: &Notification) -> Result<InlineRule, Invalid> {
    let phases = wanted.phases.iter().map(|phase| details::phase(*phase));
    let template = match &wanted.delivery {
        Delivery::Request(request) => of_webhook(webhook(request)?),
        Delivery::Slack { url, message } => of_webhook(message_to(url, &serde_json::json!({ "text": message }))),
        Delivery::Teams { url, title, message } => {
            of_webhook(message_to(url, &serde_json::json!({ "title": title, "text": message })))
        }
        Delivery::Mail(mail) => {
            DeliveryConfigTemplate { email: email(mail).into(), ..DeliveryConfigTemplate::default() }
        }
    };
    Ok(InlineRule {
        on_phases: phases.collect(),
        delivery: Some(inline_rule::Delivery::DeliveryTemplate(template.into())),
        ..InlineRule::default()
    })
}

fn of_webhook(webhook: WebhookDeliveryTemplate) -> DeliveryConfigTemplate {
    DeliveryConfigTemplate { webhook: webhook.into(), ..DeliveryConfigTemplate::default() }
}

fn message_to(url: &str, body: &serde_json::Value) -> WebhookDeliveryTemplate {
    let headers = [("Content-Type".to_owned(), "application/json".to_owned())];
    WebhookDeliveryTemplate {
        url: url.to_owned(),
        method: HttpMethod::HTTP_METHOD_POST.into(),
        headers: headers.into(),
        body_template: body.to_string(),
        ..WebhookDeliveryTemplate::default()
    }
}

fn webhook(request: &Request) -> Result<WebhookDeliveryTemplate, Invalid> {
    let method = match request.method.to_ascii_uppercase().as_str() {
        "" | "POST" => HttpMethod::HTTP_METHOD_POST,
        "GET" => HttpMethod::HTTP_METHOD_GET,
        "HEAD" => HttpMethod::HTTP_METHOD_HEAD,
        "PUT" => HttpMethod::HTTP_METHOD_PUT,
        "DELETE" => HttpMethod::HTTP_METHOD_DELETE,
        "OPTIONS" => HttpMethod::HTTP_METHOD_OPTIONS,
        "PATCH" => HttpMethod::HTTP_METHOD_PATCH,
        _ => {
            return Err(Invalid::field(format!(
                "method `{}`: it is none that a notification can have",
                crate::shown(&request.method)
            )));
        }
    };
    Ok(WebhookDeliveryTemplate {
        url: request.url.clone(),
        method: method.into(),
        headers: request.headers.clone().into_iter().collect(),
        body_template: request.body.clone(),
        ..WebhookDeliveryTemplate::default()
    })
}

fn email(mail: &Mail) -> EmailDeliveryTemplate {
    let recipients = |addresses: &[String]| {
        let of = |address: &String| EmailRecipient { address: address.clone(), ..EmailRecipient::default() };
        addresses.iter().map(of).collect::<Vec<_>>()
    };
    let inline = InlineEmailTemplate {
        subject: mail.subject.clone(),
        text_template: mail.text.clone(),
        html_template: mail.html.clone().unwrap_or_else(|| NO_HTML.to_owned()),
        ..InlineEmailTemplate::default()
    };
    EmailDeliveryTemplate {
        to: recipients(&mail.to),
        cc: recipients(&mail.cc),
        bcc: recipients(&mail.bcc),
        content: Some(email_delivery_template::Content::Inline(inline.into())),
        ..EmailDeliveryTemplate::default()
    }
}
