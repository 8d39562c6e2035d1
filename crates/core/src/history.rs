//! How each attempt of an action ended, read from its events: for display and traces, never for a decision.

use crate::event::{Event, Fact};
use crate::tracked::Reported;
use crate::{AttemptNo, Failure, Timestamp};

/// One attempt, from its launch to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptHistory {
    /// Its number.
    pub attempt: AttemptNo,
    /// When the action began to wait for this attempt.
    pub queued_at: Timestamp,
    /// When it was handed to an executor.
    pub launched_at: Timestamp,
    /// When it gave its first sign of life.
    pub started_at: Option<Timestamp>,
    /// When it ended, and how.
    pub end: Option<(Timestamp, AttemptEnd)>,
    /// The last report about it, in a tracked run.
    pub reported: Option<Reported>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum AttemptEnd {
    /// With outputs.
    Succeeded,
    /// With an error.
    Failed(Failure),
    /// By `max_runtime`, or because its action ran out of time.
    TimedOut,
    /// Its process went away without a word.
    Lost(String),
    /// Its executor gave it back.
    Released,
    /// Its action was aborted.
    Aborted,
}

/// The attempts that the events of one action tell of, in order.
pub fn attempts<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<AttemptHistory> {
    let mut attempts: Vec<AttemptHistory> = Vec::new();
    let mut queued_at = Timestamp::default();
    let mut reports: Vec<&Reported> = Vec::new();
    for event in events {
        match &event.fact {
            Fact::Reported { report } => reports.push(report),
            Fact::Enqueued { .. } | Fact::Requeued => queued_at = event.at,
            Fact::Launched { attempt } => attempts.push(AttemptHistory {
                attempt: *attempt,
                queued_at,
                launched_at: event.at,
                started_at: None,
                end: None,
                reported: None,
            }),
            Fact::Started { .. } => {
                if let Some(last) = attempts.last_mut() {
                    last.started_at = Some(event.at);
                }
            }
            // The attempt that follows it in a tracked run has waited since then.
            Fact::InDoubt { .. } => queued_at = event.at,
            fact => {
                let Some(end) = end(fact) else { continue };
                if matches!(end, AttemptEnd::Released | AttemptEnd::Lost(_)) {
                    queued_at = event.at;
                }
                if let Some(last) = attempts.last_mut().filter(|last| last.end.is_none()) {
                    last.end = Some((event.at, end));
                }
            }
        }
    }
    // A report stands before the facts that follow from it.
    for report in reports {
        if let Some(of_it) = attempts.iter_mut().find(|it| it.attempt == report.attempt) {
            let earlier = of_it.reported.take();
            let uri = |new: &Option<String>, of: fn(Reported) -> Option<String>| {
                new.clone().or_else(|| earlier.clone().and_then(of))
            };
            let output_uri = uri(&report.output_uri, |earlier| earlier.output_uri);
            let report_uri = uri(&report.report_uri, |earlier| earlier.report_uri);
            of_it.reported = Some(Reported { output_uri, report_uri, ..report.clone() });
        }
    }
    attempts
}

/// What a fact says about the end of the attempt under way, if there is one.
fn end(fact: &Fact) -> Option<AttemptEnd> {
    Some(match fact {
        Fact::Succeeded { .. } => AttemptEnd::Succeeded,
        Fact::AttemptFailed { failure, .. } => AttemptEnd::Failed(failure.clone()),
        Fact::AttemptTimedOut { .. } | Fact::TimedOut { .. } => AttemptEnd::TimedOut,
        Fact::AttemptLost { reason, .. } => AttemptEnd::Lost(reason.clone()),
        Fact::AttemptReleased { .. } => AttemptEnd::Released,
        Fact::Aborted { .. } => AttemptEnd::Aborted,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ActionName;

    fn at(micros: i64, fact: Fact) -> Event {
        Event { action: ActionName::ROOT, at: Timestamp(micros), fact }
    }

    #[test]
    fn s4_each_attempt_has_its_own_times_and_its_own_end() {
        let failure = Failure::user("ValueError", "no");
        let events = [
            at(1, Fact::Launched { attempt: AttemptNo(1) }),
            at(2, Fact::Started { attempt: AttemptNo(1) }),
            at(3, Fact::AttemptFailed { attempt: AttemptNo(1), failure: failure.clone() }),
            at(3, Fact::Requeued),
            at(4, Fact::Launched { attempt: AttemptNo(2) }),
            at(5, Fact::Aborted { by: "me".into(), reason: "enough".into() }),
        ];
        let attempts = attempts(&events);
        assert_eq!(attempts.len(), 2);
        assert_eq!(attempts[0].started_at, Some(Timestamp(2)));
        assert_eq!(attempts[0].end, Some((Timestamp(3), AttemptEnd::Failed(failure))));
        assert_eq!(attempts[1].queued_at, Timestamp(3));
        assert_eq!(attempts[1].started_at, None);
        assert_eq!(attempts[1].end, Some((Timestamp(5), AttemptEnd::Aborted)));
    }

    #[test]
    fn s4_an_attempt_ends_once_and_waiting_begins_anew_when_it_was_lost_or_given_back() {
        let spec = crate::ActionSpec::task("env.main").into();
        let (first, second, third) = (AttemptNo(1), AttemptNo(2), AttemptNo(3));
        let events = [
            at(1, Fact::Enqueued { spec }),
            at(2, Fact::WaitsForSlot { wait: None }),
            at(3, Fact::Launched { attempt: first }),
            at(4, Fact::AttemptLost { attempt: first, reason: "killed".into(), blamed: true }),
            at(4, Fact::Requeued),
            at(6, Fact::Launched { attempt: second }),
            at(7, Fact::AttemptReleased { attempt: second }),
            at(8, Fact::Launched { attempt: third }),
            at(9, Fact::Started { attempt: third }),
            at(10, Fact::AttemptTimedOut { attempt: third }),
            at(11, Fact::BackedOff { until: Timestamp(12) }),
            at(13, Fact::TimedOut { failure: Failure::user("E", "deadline") }),
        ];
        let ends: Vec<_> = attempts(&events).into_iter().map(|it| (it.queued_at.0, it.launched_at.0, it.end)).collect();
        let expected = [
            (1, 3, Some((Timestamp(4), AttemptEnd::Lost("killed".into())))),
            (4, 6, Some((Timestamp(7), AttemptEnd::Released))),
            (7, 8, Some((Timestamp(10), AttemptEnd::TimedOut))),
        ];
        assert_eq!(ends, expected);
        let source = crate::Source::Recovery { run: "earlier".into(), attempt: first };
        assert_eq!(attempts(&[at(1, Fact::Reused { source })]), []);
    }
}
