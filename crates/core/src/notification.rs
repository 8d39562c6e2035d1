//! What a program wants to be told of the end of a run, and when a notification that could not be delivered is tried again.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Phase, Timestamp};

/// A wish to be notified, as a program has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// At which ends of the run.
    pub phases: Vec<Phase>,
    /// How, and to whom.
    pub delivery: Delivery,
}

/// How somebody is notified. Texts are Flyte's templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// By a request.
    Request(Request),
    /// By a message in a channel of Slack.
    Slack {
        /// The address of its incoming webhook.
        url: String,
        /// The text.
        message: String,
    },
    /// By a message in a channel of Microsoft Teams.
    Teams {
        /// The address of its webhook.
        url: String,
        /// The title.
        title: String,
        /// The text.
        message: String,
    },
    /// By a mail.
    Mail(Mail),
}

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Where it goes.
    pub url: String,
    /// Its method; empty: POST.
    pub method: String,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: String,
}

/// A mail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// The addresses of those it is for.
    pub to: Vec<String>,
    /// Who gets a copy.
    pub cc: Vec<String>,
    /// Who gets a copy that the others do not see.
    pub bcc: Vec<String>,
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub text: String,
    /// The same as HTML.
    pub html: Option<String>,
}

/// The bounds of notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotificationLimits {
    /// The pause after the first failure; it doubles from one to the next.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// A notification that still fails so long after the end of its run is given up.
    pub patience: Duration,
}

impl Default for NotificationLimits {
    fn default() -> NotificationLimits {
        NotificationLimits {
            first_pause: Duration::from_secs(1),
            // A receiver that is there again gets what waits for it within minutes.
            longest_pause: Duration::from_secs(300),
            // A weekend and a day.
            patience: Duration::from_secs(3 * 24 * 3600),
        }
    }
}

impl NotificationLimits {
    /// The pause after so many failures one after the other.
    pub fn pause(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        self.first_pause.saturating_mul(1 << doublings).min(self.longest_pause)
    }

    /// True if a notification of a run that ended at a time is not tried again after a failure.
    pub fn is_over(&self, ended_at: Timestamp, now: Timestamp) -> bool {
        ended_at < self.oldest(now)
    }

    /// The notifications of runs that ended before this are not tried again.
    pub fn oldest(&self, now: Timestamp) -> Timestamp {
        now.before(self.patience)
    }
}

/// What a failure to deliver is the fault of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Of the receiver: it takes nothing now, and the others that wait for it wait on.
    Receiver,
    /// Of this message, as far as anybody knows: others may be taken.
    Message,
    /// Of what it is made from: it is never made.
    Rule,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s13_pauses_double_up_to_the_longest() {
        let limits = NotificationLimits::default();
        let seconds = [0, 1, 2, 3, 9, 10, 1000, u32::MAX].map(|failures| limits.pause(failures).as_secs());
        assert_eq!(seconds, [1, 1, 2, 4, 256, 300, 300, 300]);
    }

    #[test]
    fn s13_a_notification_is_given_up_by_the_age_of_its_run() {
        let limits = NotificationLimits { patience: Duration::from_secs(10), ..NotificationLimits::default() };
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        assert!(!limits.is_over(at(5), at(15)));
        assert!(limits.is_over(at(4), at(15)));
        // A clock that was moved back makes nothing old.
        assert!(!limits.is_over(at(100), at(15)));
    }
}
