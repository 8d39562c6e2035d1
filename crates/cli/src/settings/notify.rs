//! How a server notifies of the ends of runs.

use std::time::Duration;

use clap::Args;
use spanwise_server::{BadMailServer, Config, MailServer};

/// How the ends of runs are notified of.
#[derive(Args, Clone, Debug)]
pub(super) struct Notify {
    /// The mail server of notifications by e-mail: smtp://host:port, with `?tls=required` for STARTTLS, or smtps://host; `user:password@`
    /// before the host. Better in the environment than on the command line.
    #[arg(long, env = "SPANWISE_SMTP_URL", value_name = "URL", hide_env_values = true, hide_default_value = true)]
    smtp_url: Option<String>,
    /// Whom mail is from [default: spanwise@localhost].
    #[arg(long, env = "SPANWISE_SMTP_FROM", value_name = "ADDRESS")]
    smtp_from: Option<String>,
    /// Hours that a notification is tried again which its receiver does not take; then it is given up, and said so on its run.
    #[arg(long, env = "SPANWISE_NOTIFICATION_PATIENCE_HOURS", default_value_t = 72)]
    notification_patience_hours: u32,
}

impl Notify {
    pub(super) fn apply(self, config: &mut Config) -> Result<(), BadMailServer> {
        config.mail = match (self.smtp_url, self.smtp_from) {
            (Some(url), from) => Some(MailServer::new(&url, from.as_deref())?),
            (None, Some(_)) => return Err(BadMailServer::NoServer),
            (None, None) => None,
        };
        config.notifications.patience = Duration::from_secs(u64::from(self.notification_patience_hours) * 3600);
        Ok(())
    }
}
