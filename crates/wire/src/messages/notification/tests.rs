//! Rules as the stock SDK sends them, and the messages that are made of them.

use spanwise_proto::MessageField;
use spanwise_proto::flyteidl2::common::ActionPhase;
use spanwise_proto::flyteidl2::task::InlineRuleList;

use super::*;

fn spec(rules: Vec<InlineRule>) -> RunSpec {
    let list = InlineRuleList { rules, ..InlineRuleList::default() };
    RunSpec { notification_settings: Some(list.into()), ..RunSpec::default() }
}

fn rule(phase: ActionPhase, template: DeliveryConfigTemplate) -> InlineRule {
    InlineRule { on_phases: vec![phase.into()], delivery: Some(template.into()), ..InlineRule::default() }
}

fn webhook(change: impl FnOnce(&mut WebhookDeliveryTemplate)) -> InlineRule {
    let mut webhook = WebhookDeliveryTemplate {
        url: "https://api.example.com/alerts".to_owned(),
        method: HttpMethod::HTTP_METHOD_POST.into(),
        ..WebhookDeliveryTemplate::default()
    };
    change(&mut webhook);
    let template = DeliveryConfigTemplate { webhook: MessageField::some(webhook), ..DeliveryConfigTemplate::default() };
    rule(ActionPhase::ACTION_PHASE_FAILED, template)
}

fn email(change: impl FnOnce(&mut EmailDeliveryTemplate, &mut InlineEmailTemplate)) -> InlineRule {
    let address = EmailRecipient { address: "oncall@example.com".to_owned(), ..EmailRecipient::default() };
    let mut email = EmailDeliveryTemplate { to: vec![address], ..EmailDeliveryTemplate::default() };
    let mut inline = InlineEmailTemplate {
        subject: "Run {{.Run.Name}} {{.Phase}}".to_owned(),
        text_template: "Error: {{.Error}}\n".to_owned(),
        html_template: NO_HTML.to_owned(),
        ..InlineEmailTemplate::default()
    };
    change(&mut email, &mut inline);
    email.content.get_or_insert_with(|| inline.into());
    let template = DeliveryConfigTemplate { email: MessageField::some(email), ..DeliveryConfigTemplate::default() };
    rule(ActionPhase::ACTION_PHASE_FAILED, template)
}

fn ended() -> Ended {
    Ended {
        org: "o".to_owned(),
        project: "p".to_owned(),
        domain: "d".to_owned(),
        run: "r1".to_owned(),
        task: "env.main".to_owned(),
        phase: "FAILED".to_owned(),
        error: "ValueError: \"größe\" <!channel> {{.Run.Name}}\n{\r\n".to_owned(),
        duration: "3.00s".to_owned(),
        url: "http://localhost:8585/r1".to_owned(),
        ..Ended::default()
    }
    .at(spanwise_core::Timestamp(1_000_001))
}

fn http(rule: InlineRule) -> HttpMessage {
    match rules(&spec(vec![rule])).unwrap()[0].message(&ended()) {
        Outgoing::Http(message) => message,
        other => panic!("{other:?}"),
    }
}

fn mail(rule: InlineRule) -> Mail {
    match rules(&spec(vec![rule])).unwrap()[0].message(&ended()) {
        Outgoing::Mail(message) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn s13_what_stands_for_the_run_is_put_in_once_and_escaped_for_where_it_stands() {
    let message = http(webhook(|webhook| {
        webhook.url = "https://api.example.com/{{ .Run.Name }}?e={{- .Error -}}&t={task.name}".to_owned();
        webhook.headers.insert("X-Phase".to_owned(), "{{.Phase}} {{.Error}}".to_owned());
        webhook.body_template =
            r#"{"error": "{{.Error}}", "n": {"a": 1}, "who": "{run.name} {project}/{{.Run.Domain}} {unknown}", "at": "{run.timestamp}"}"#
                .to_owned();
    }));
    assert_eq!(
        message.url,
        "https://api.example.com/r1?e=ValueError%3A%20%22gr%C3%B6%C3%9Fe%22%20%3C%21channel%3E%20%7B%7B.Run.Name%7D%7D%0A%7B%0D%0A&t=env.main"
    );
    let body: serde_json::Value = serde_json::from_str(message.body.as_deref().unwrap()).unwrap();
    assert_eq!(body["error"], ended().error);
    assert_eq!(body["who"], "r1 p/d {unknown}");
    assert_eq!(body["at"], "1970-01-01T00:00:01Z");
    let headers: Vec<(&str, &str)> =
        message.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let phase = "FAILED ValueError: \"größe\" <!channel> {{.Run.Name}} {  ";
    assert_eq!(headers, [("X-Phase", phase), ("content-type", "application/json")]);
    let plain = http(webhook(|webhook| webhook.body_template = "failed: {{.Error}}".to_owned()));
    assert_eq!(plain.headers[0].1, "text/plain; charset=utf-8");
    assert!(plain.body.unwrap().ends_with("<!channel> {{.Run.Name}}\n{\r\n"));
    let slack = http(webhook(|webhook| {
        webhook.url = "https://hooks.slack.com/services/T/B/secret".to_owned();
        webhook.body_template = r#"{"text": "<https://x|see> {{.Error}}"}"#.to_owned();
    }));
    let body: serde_json::Value = serde_json::from_str(slack.body.as_deref().unwrap()).unwrap();
    assert!(
        body["text"].as_str().unwrap().starts_with("<https://x|see> ValueError: \"größe\" &lt;!channel&gt;"),
        "{body}"
    );
    for method in [HttpMethod::HTTP_METHOD_GET, HttpMethod::HTTP_METHOD_HEAD] {
        let message = http(webhook(|webhook| {
            webhook.method = method.into();
            webhook.body_template = "{}".to_owned();
        }));
        assert_eq!((message.body, message.headers), (None, vec![]));
    }
}

#[test]
fn s13_a_mail_has_one_line_of_subject_and_html_only_if_it_was_asked_for() {
    let text = mail(email(|_, inline| inline.subject = "{{.Error}}".to_owned()));
    assert_eq!((text.subject.as_str(), text.html), ("ValueError: \"größe\" <!channel> {{.Run.Name}} {  ", None));
    assert_eq!(text.text, format!("Error: {}\n", ended().error));
    let html = mail(email(|_, inline| inline.html_template = "<b>{{.Error}}</b>".to_owned()));
    assert!(html.html.unwrap().starts_with("<b>ValueError: &quot;größe&quot; &lt;!channel&gt;"));
    let long = Ended { error: "ö".repeat(5000), ..ended() };
    let rules = rules(&spec(vec![email(|_, _| ())])).unwrap();
    let Outgoing::Mail(cut) = rules[0].message(&long) else { panic!() };
    assert!(
        cut.text.len() < 2100 && cut.text.ends_with("… (8000 bytes are left out: the page of the run has all of it)\n")
    );
}

#[test]
fn s13_a_message_is_bounded_whatever_its_template_repeats_and_says_what_is_left_out() {
    let long = Ended { error: "\u{1}".repeat(2000), ..ended() };
    let message = |rule| rules(&spec(vec![rule])).unwrap()[0].message(&long);
    let sent = message(webhook(|webhook| {
        webhook.url = format!("https://api.example.com/{}", "{{.Error}}".repeat(200));
        webhook.headers.insert("x-a".to_owned(), "{{.Error}}".repeat(400));
        webhook.body_template = format!(r#"{{"a": "{}", "b": "{{{{.Phase}}}}"}}"#, "{{.Error}}".repeat(6000));
    }));
    let Outgoing::Http(sent) = sent else { panic!() };
    let (body, header) = (sent.body.unwrap(), &sent.headers[0].1);
    assert!(body.len() < 257 << 10, "{}", body.len());
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    // 16 of 6000 have room beside the template, and what is short has it too.
    let told = body["a"].as_str().unwrap().trim_start_matches('\u{1}');
    assert_eq!((told, &body["b"]), ("… (11968000 bytes are left out: a text has at most 262144)", &"FAILED".into()));
    assert!(header.len() < 8400 && header.ends_with("bytes are left out: a text has at most 8192)"), "{header}");
    let url_has = "bytes%20are%20left%20out%3A%20a%20text%20has%20at%20most%208192%29";
    assert!(sent.url.len() < 8400 && sent.url.ends_with(url_has), "{}", sent.url);
    let mail = message(email(|_, inline| {
        inline.subject = "{{.Error}}".repeat(80);
        inline.text_template = "{{.Error}}".repeat(6000);
        inline.html_template = "{{.Error}}".repeat(6000);
    }));
    let Outgoing::Mail(mail) = mail else { panic!() };
    assert!(mail.subject.len() < 8400 && mail.text.len() < 257 << 10 && mail.html.unwrap().len() < 257 << 10);
    assert!(mail.text.ends_with("bytes are left out: a text has at most 262144)"));
}

#[test]
fn s13_a_receiver_is_named_without_what_may_be_secret() {
    let receiver = |rule| rules(&spec(vec![rule])).unwrap()[0].receiver();
    for (url, expected) in [
        ("https://hooks.slack.com/services/T/B/secret", "Slack at https://hooks.slack.com"),
        ("https://x.webhook.office.com/webhookb2/secret", "Teams at https://x.webhook.office.com"),
        ("http://localhost:9999?token=secret", "webhook at http://localhost:9999"),
        ("https://[::1]:80/a", "webhook at https://[::1]:80"),
        ("https://notslack.com/a", "webhook at https://notslack.com"),
        ("https://hooks.slack.com:443/services/T/B/secret", "Slack at https://hooks.slack.com:443"),
        ("https://hooks.slack.com./services/T/B/secret", "Slack at https://hooks.slack.com."),
        ("https://x.webhook.office.com:443/secret", "Teams at https://x.webhook.office.com:443"),
    ] {
        assert_eq!(receiver(webhook(|webhook| webhook.url = url.to_owned())), expected);
    }
    assert_eq!(receiver(email(|_, _| ())), "e-mail to oncall@example.com");
    let second = || EmailRecipient { address: "b@x".to_owned(), ..EmailRecipient::default() };
    assert_eq!(receiver(email(|email, _| email.bcc.push(second()))), "e-mail to oncall@example.com and 1 more");
}

#[test]
fn s13_a_rule_that_cannot_be_followed_is_refused_by_its_field() {
    let of = |name: &str, value: &str| {
        let (name, value) = (name.to_owned(), value.to_owned());
        webhook(move |webhook| drop(webhook.headers.insert(name, value)))
    };
    let url = |url: &str| {
        let url = url.to_owned();
        webhook(move |webhook| webhook.url = url)
    };
    let to = |address: &str| {
        let address = address.to_owned();
        email(move |email, _| email.to[0].address = address)
    };
    let running = InlineRule { on_phases: vec![ActionPhase::ACTION_PHASE_RUNNING.into()], ..webhook(|_| ()) };
    let cases = [
        (running, "rules[1].on_phases: RUNNING is no end of a run"),
        (InlineRule { on_phases: vec![], ..webhook(|_| ()) }, "rules[1].on_phases: no phase is named"),
        (InlineRule { delivery: None, ..webhook(|_| ()) }, "rules[1].delivery is missing"),
        (url("ftp://x/"), "delivery_template.webhook.url: it begins with http:// or https://"),
        (url(""), "webhook.url: it begins with"),
        (url("https:///x"), "webhook.url: its host is no name"),
        (url("https://user:pass@x/"), "webhook.url: its host is no name"),
        (url("https://{{.Run.Name}}.x/"), "webhook.url: its host is no name"),
        (url("https://x/ü"), "webhook.url: `\\u{fc}` is to be percent-encoded"),
        (url("https://x/\n"), "webhook.url: `\\n` is to be percent-encoded"),
        (url("https://x/{{.Nobody}}"), "webhook.url: `{{.Nobody}}` stands for nothing: {{.Run.Org}}, "),
        (url(&format!("https://x/{}", "a".repeat(MAX_URL))), "webhook.url: 2058 bytes, and at most 2048"),
        (of("Host", "x"), "webhook.headers: `Host` cannot be sent"),
        (of("a b", "x"), "webhook.headers: `a b` cannot be sent"),
        (of("x", "a\nb"), "webhook.headers: the value of `x` has control characters"),
        (webhook(|webhook| webhook.method = HttpMethod::HTTP_METHOD_CONNECT.into()), "webhook.method: CONNECT and"),
        (
            webhook(|webhook| webhook.body_template = "{{if .Error}}x{{end}}".to_owned()),
            "webhook.body_template: `{{if .Error}}` stands for nothing",
        ),
        (webhook(|webhook| webhook.body_template = "{{.Error".to_owned()), "body_template: `{{.Error}}` stands for"),
        (to("nobody"), "delivery_template.email.to[0].address: `nobody` is no address"),
        (to("a@b\r\nBcc: c@d"), "email.to[0].address: "),
        (email(|email, _| email.to.clear()), "email.to: nobody is named"),
        (email(|email, _| email.to = vec![email.to[0].clone(); 51]), "51 recipients, and at most 50"),
        (email(|_, inline| inline.subject = "{{.X}}".to_owned()), "email.inline.subject: `{{.X}}` stands for nothing"),
    ];
    for (rule, expected) in cases {
        let refused = rules(&spec(vec![webhook(|_| ()), rule])).unwrap_err().to_string();
        assert!(
            refused.starts_with("run_spec.notification_rules.rules[1].") && refused.contains(expected),
            "{refused}"
        );
    }
    let many = rules(&spec(vec![webhook(|_| ()); 51])).unwrap_err().to_string();
    assert_eq!(many, "run_spec.notification_rules has 51 rules, and at most 50 are followed");
}

#[test]
fn s13_what_only_an_administrator_could_explain_is_left_out_and_takes_no_number() {
    let named = InlineRule {
        delivery: Some(inline_rule::Delivery::DeliveryConfigName("oncall".to_owned())),
        ..webhook(|_| ())
    };
    let card = webhook(|webhook| webhook.body_template = r#"{"t": "{{DATE(2026-01-01T00:00:00Z,SHORT)}}"}"#.to_owned());
    let rules = rules(&spec(vec![named, card])).unwrap();
    assert_eq!(rules.iter().map(|rule| rule.number).collect::<Vec<_>>(), [1]);
    let Outgoing::Http(message) = rules[0].message(&ended()) else { panic!() };
    assert_eq!(message.body.unwrap(), r#"{"t": "{{DATE(2026-01-01T00:00:00Z,SHORT)}}"}"#);
    let name = run_spec::NotificationSettings::NotificationRuleName("r".to_owned());
    assert_eq!(super::rules(&RunSpec { notification_settings: Some(name), ..RunSpec::default() }).unwrap(), []);
    assert!(rules[0].wants(Phase::Failed) && !rules[0].wants(Phase::Succeeded));
    let succeeded = Rule { phases: vec![Phase::Succeeded], ..rules[0].clone() };
    assert!(succeeded.wants(Phase::Recovered) && !succeeded.wants(Phase::Aborted));
}
