//! Notifying of the ends of runs: what the journal's outbox (`spanwise-engine`) has is made into requests and mails here, and sent.
//!
//! Whoever may start a run may do on this machine what the server may, so a receiver may be any address that the server reaches. What is
//! answered goes no further than into the error that is shown with the run.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use spanwise_core::RunId;
use spanwise_engine::{Delivery, Failed, Fault, Notifier, RunEnd, RunRow, Undelivered};
use spanwise_wire::Invalid;
use spanwise_wire::notification::{self, Ended, Outgoing, Rule};
use spanwise_wire::with_causes;

mod http;
mod mail;

pub use mail::{BadMailServer, MailServer};

/// What is said of mail where none is sent.
const NO_MAIL: &str = "notifications by e-mail are not honoured: this server sends none (`smtp_url` is not set): nobody is notified by such a rule";

/// Who notifies. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Courier {
    agent: ureq::Agent,
    mail: Option<Arc<MailServer>>,
    /// Where the console is, and a run on it.
    base_url: Arc<str>,
    page_of: fn(&RunId) -> String,
}

/// Whom a run is going to notify, with the numbers of its rules, and what of them is not honoured.
#[derive(Default)]
pub(crate) struct Receivers {
    pub(crate) receivers: Vec<(u32, String)>,
    pub(crate) not_honoured: Vec<String>,
}

impl Courier {
    pub(crate) fn new(mail: Option<MailServer>, base_url: &str, page_of: fn(&RunId) -> String) -> Courier {
        Courier { agent: http::agent(), mail: mail.map(Arc::new), base_url: base_url.into(), page_of }
    }

    /// Looks at the rules of a run before it is accepted.
    ///
    /// # Errors
    /// [`Invalid`] names the rule whose message could never be sent.
    pub(crate) fn receivers(&self, rules: &[Rule]) -> Result<Receivers, Invalid> {
        let mut found = Receivers { receivers: Vec::new(), not_honoured: Vec::new() };
        for rule in rules {
            let wrong = |text: String| {
                Invalid::field(format!("run_spec.notification_rules.rules[{}].delivery_template: {text}", rule.number))
            };
            // With what stands for nothing in particular: templates are looked at elsewhere.
            match rule.message(&Ended::default()) {
                Outgoing::Http(message) => http::check(&message).map_err(wrong)?,
                Outgoing::Mail(mail) => {
                    mail::check(&mail).map_err(wrong)?;
                    if self.mail.is_none() {
                        found.not_honoured = vec![NO_MAIL.to_owned()];
                        continue;
                    }
                }
            }
            found.receivers.push((rule.number, rule.receiver()));
        }
        Ok(found)
    }

    async fn send(&self, end: RunEnd) -> Result<Delivery, Undelivered> {
        let never = |text: String| Undelivered { text, fault: Fault::Rule };
        let definition = end.definition.as_deref().ok_or_else(|| never("the run's settings are gone".to_owned()))?;
        let rules = notification::stored(definition).map_err(|error| never(with_causes(&error)))?;
        let rule = rules.into_iter().find(|rule| rule.number == end.rule);
        let rule = rule.ok_or_else(|| never("the run has no such rule".to_owned()))?;
        if !rule.wants(end.run.phase) {
            return Ok(Delivery::Unwanted);
        }
        let (message, id) = (rule.message(&self.ended(&end)), id(&end.run, end.rule));
        let (agent, server) = (self.agent.clone(), self.mail.clone());
        let sending = tokio::task::spawn_blocking(move || match message {
            Outgoing::Http(request) => http::send(&agent, &request, &id),
            Outgoing::Mail(mail) => match server {
                Some(server) => server.send(mail, &id),
                None => {
                    let text = "this server sends no mail (`smtp_url` is not set)".to_owned();
                    Err(Undelivered { text, fault: Fault::Receiver })
                }
            },
        });
        let sent = sending
            .await
            .unwrap_or_else(|error| Err(Undelivered { text: format!("send it: {error}"), fault: Fault::Message }));
        sent.map(|()| Delivery::Delivered)
    }

    fn ended(&self, end: &RunEnd) -> Ended {
        let RunRow { id, task, phase, created_at, ended_at, .. } = &end.run;
        let ended_at = ended_at.unwrap_or(*created_at);
        Ended {
            org: id.org.clone(),
            project: id.project.clone(),
            domain: id.domain.clone(),
            run: id.name.to_string(),
            task: task.to_string(),
            phase: phase.to_string(),
            error: end.failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default(),
            duration: format!("{:.2}s", ended_at.since(*created_at).as_secs_f64()),
            url: format!("{}{}", self.base_url, (self.page_of)(id)),
            ..Ended::default()
        }
        .at(ended_at)
    }
}

/// What a receiver knows a notification by that comes twice: the same for each try, another one for every other notification.
fn id(run: &RunRow, rule: u32) -> String {
    let RunId { org, project, domain, name } = &run.id;
    let text = format!("{org}/{project}/{domain}/{name}/{}/{rule}", run.created_at.0);
    Sha256::digest(text.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl Notifier for Courier {
    fn deliver(&self, end: RunEnd) -> Pin<Box<dyn Future<Output = Result<Delivery, Undelivered>> + Send + '_>> {
        Box::pin(self.send(end))
    }

    /// Mail goes to one server, whoever gets it; a host may listen on several ports.
    fn host(&self, receiver: &str) -> String {
        let origin = receiver.rsplit_once(" at ").and_then(|(_, address)| address.split_once("://"));
        let Some((_, host)) = origin else { return "mail".to_owned() };
        let name = match host.split_once(']') {
            Some((of_ipv6, _)) => of_ipv6,
            None => host.split(':').next().unwrap_or(host),
        };
        name.to_ascii_lowercase()
    }

    fn failed(&self, failed: &Failed<'_>) {
        let Failed { run, receiver, error, failures, given_up } = failed;
        let (project, domain, run) = (&run.id.project, &run.id.domain, &run.id.name);
        if *given_up > 0 {
            tracing::error!(%run, project, domain, receiver, error, given_up, "notifications are given up");
        } else if failures.is_power_of_two() {
            // A receiver that is away for days is not said every few minutes.
            tracing::warn!(%run, project, domain, receiver, error, failures, "a notification is not delivered: it is tried again");
        }
    }

    fn takes_again(&self, receiver: &str, failures: u32) {
        tracing::info!(receiver, failures, "notifications are taken again");
    }
}

#[cfg(test)]
mod tests {
    use spanwise_core::{Phase, RunName, TaskName, Timestamp};

    use super::*;

    #[test]
    fn s13_3_receivers_share_the_host_or_the_mail_server_that_brings_it_to_them() {
        let courier = Courier::new(None, "", |_| String::new());
        for (receiver, host) in [
            ("webhook at http://Example.com:8080", "example.com"),
            ("webhook at https://example.com", "example.com"),
            ("Slack at https://hooks.slack.com", "hooks.slack.com"),
            ("webhook at https://[::1]:80", "[::1"),
            ("e-mail to a@example.com", "mail"),
            ("e-mail to b@example.org and 2 more", "mail"),
        ] {
            assert_eq!(courier.host(receiver), host);
        }
    }

    #[test]
    fn s13_a_notification_has_one_id_for_all_tries_and_no_other_has_it() {
        let run = |name: &str, created_at: i64| RunRow {
            id: spanwise_wire::ids::scope("", "p", "d").unwrap().run(RunName::new(name).unwrap()),
            task: TaskName::from("env.main"),
            phase: Phase::Succeeded,
            created_at: Timestamp(created_at),
            ended_at: None,
            labels: Default::default(),
            definition: None,
            task_version: String::new(),
            fired_by: None,
            tracked: false,
            settings: String::new(),
            export: None,
            unreadable: None,
        };
        let ids = [id(&run("a", 1), 0), id(&run("a", 1), 1), id(&run("b", 1), 0), id(&run("a", 2), 0)];
        assert_eq!(ids[0], id(&run("a", 1), 0));
        assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), 4);
        assert_eq!(ids[0].len(), 32);
    }
}
