//! Notifications: who is told of the end of a run. A server sends them; the engine of this process refuses a run that asks for one.
//!
//! ```no_run
//! use spanwise::{Phase, notify};
//! # use spanwise::{TaskEnvironment, task};
//! # static ENV: std::sync::LazyLock<TaskEnvironment> = std::sync::LazyLock::new(|| TaskEnvironment::new("nightly"));
//! # #[task(env = ENV)]
//! # async fn train() -> spanwise::Result<()> { Ok(()) }
//! # async fn start() -> spanwise::Result<()> {
//! let run = spanwise::with_runcontext()
//!     .notify(notify::slack("https://hooks.slack.com/services/..", "{{.Run.Name}}: {{.Error}}").on([Phase::Failed, Phase::TimedOut]))
//!     .notify(notify::email(["oncall@example.com"], "{{.Run.Name}} is {{.Phase}}", "{{.Error}}").on([Phase::Failed]))
//!     .notify(notify::webhook("https://api.example.com/done").header("X-Api-Key", "..").on([Phase::Succeeded]))
//!     .run(train())
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! Texts may have Flyte's templates: `{{.Run.Name}}`, `{{.Run.Project}}`, `{{.Run.Domain}}`, `{{.Phase}}`, `{{.Error}}`. The server refuses, by the name of the field, what it could
//! never send.

use spanwise_core::Phase;
use spanwise_core::notification::{Delivery, Mail, Notification, Request};

/// A request to any address: a POST without a body, unless something else is said.
pub fn webhook(url: impl Into<String>) -> Webhook {
    Webhook(Request { url: url.into(), ..Request::default() })
}

/// A message for a channel of Slack, by the address of its incoming webhook.
pub fn slack(url: impl Into<String>, message: impl Into<String>) -> Wanted {
    Wanted(Delivery::Slack { url: url.into(), message: message.into() })
}

/// A message for a channel of Microsoft Teams, by the address of its webhook.
pub fn teams(url: impl Into<String>, title: impl Into<String>, message: impl Into<String>) -> Wanted {
    Wanted(Delivery::Teams { url: url.into(), title: title.into(), message: message.into() })
}

/// A mail to everybody named, with a subject and a text.
pub fn email(
    to: impl IntoIterator<Item = impl Into<String>>,
    subject: impl Into<String>,
    text: impl Into<String>,
) -> Email {
    let to = to.into_iter().map(Into::into).collect();
    Email(Mail { to, subject: subject.into(), text: text.into(), ..Mail::default() })
}

/// What is sent, to whom; [`Wanted::on`] says when.
#[derive(Clone, Debug)]
#[must_use = "it is sent to nobody until `on` says when"]
pub struct Wanted(Delivery);

impl Wanted {
    /// At which ends of the run it is sent: `Succeeded`, `Failed`, `Aborted`, `TimedOut`.
    #[must_use = "a run notifies by `with_runcontext().notify(..)`"]
    pub fn on(self, phases: impl IntoIterator<Item = Phase>) -> Notification {
        Notification { phases: phases.into_iter().collect(), delivery: self.0 }
    }
}

/// A request that is being described.
#[derive(Clone, Debug)]
#[must_use = "it is sent to nobody until `on` says when"]
pub struct Webhook(Request);

impl Webhook {
    /// Another method than POST: GET, HEAD, PUT, DELETE, OPTIONS, PATCH.
    pub fn method(mut self, method: impl Into<String>) -> Webhook {
        self.0.method = method.into();
        self
    }

    /// A header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Webhook {
        self.0.headers.insert(name.into(), value.into());
        self
    }

    /// The body, which is JSON unless a header says otherwise.
    pub fn body(mut self, body: impl Into<String>) -> Webhook {
        self.0.body = body.into();
        self
    }

    /// At which ends of the run it is sent: see [`Wanted::on`].
    #[must_use = "a run notifies by `with_runcontext().notify(..)`"]
    pub fn on(self, phases: impl IntoIterator<Item = Phase>) -> Notification {
        Wanted(Delivery::Request(self.0)).on(phases)
    }
}

/// A mail that is being described.
#[derive(Clone, Debug)]
#[must_use = "it is sent to nobody until `on` says when"]
pub struct Email(Mail);

impl Email {
    /// Who gets a copy.
    pub fn cc(mut self, addresses: impl IntoIterator<Item = impl Into<String>>) -> Email {
        self.0.cc.extend(addresses.into_iter().map(Into::into));
        self
    }

    /// Who gets a copy that the others do not see.
    pub fn bcc(mut self, addresses: impl IntoIterator<Item = impl Into<String>>) -> Email {
        self.0.bcc.extend(addresses.into_iter().map(Into::into));
        self
    }

    /// The same as HTML, for those who read mail so.
    pub fn html(mut self, html: impl Into<String>) -> Email {
        self.0.html = Some(html.into());
        self
    }

    /// At which ends of the run it is sent: see [`Wanted::on`].
    #[must_use = "a run notifies by `with_runcontext().notify(..)`"]
    pub fn on(self, phases: impl IntoIterator<Item = Phase>) -> Notification {
        Wanted(Delivery::Mail(self.0)).on(phases)
    }
}
