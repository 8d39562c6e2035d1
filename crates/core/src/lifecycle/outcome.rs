//! How a part of an action ended, and what its span says of that.

use super::{Attribute, Link, Moment, Span, Status, Value};
use crate::event::{Fact, Source};
use crate::{Failure, Scope};

/// How a part came out.
pub(super) struct Outcome {
    pub(super) status: Status,
    /// A word of `cicd.pipeline.task.run.result`.
    pub(super) result: &'static str,
    pub(super) failure: Option<Failure>,
    pub(super) details: Vec<Attribute>,
    pub(super) links: Vec<Link>,
}

impl Outcome {
    pub(super) fn new(status: Status, result: &'static str) -> Outcome {
        Outcome { status, result, failure: None, details: Vec::new(), links: Vec::new() }
    }

    pub(super) fn failed(result: &'static str, failure: &Failure) -> Outcome {
        let mut outcome = Outcome::new(Status::Error(failure.message.clone()), result);
        outcome.details.push(("error.type", Value::from(&*failure.code)));
        outcome.failure = Some(failure.clone());
        outcome
    }
}

impl Outcome {
    pub(super) fn describe(&self, span: &mut Span) {
        span.status = self.status.clone();
        span.details.extend(self.details.iter().cloned());
        span.links.extend(self.links.iter().cloned());
        if let Some(failure) = &self.failure {
            let attributes = vec![
                ("exception.type", Value::from(&*failure.code)),
                ("exception.message", Value::from(&*failure.message)),
            ];
            span.moments.push(Moment { name: "exception", at: span.end, attributes });
        }
    }
}

/// What the end of an action says about how it came out; none for a fact that is no end.
pub(super) fn outcome_of(fact: &Fact) -> Option<Outcome> {
    Some(match fact {
        Fact::Succeeded { .. } => Outcome::new(Status::Ok, "success"),
        Fact::Failed { failure } => Outcome::failed("failure", failure),
        Fact::TimedOut { failure } => Outcome::failed("timeout", failure),
        Fact::Aborted { by, reason } => {
            let mut outcome = Outcome::new(Status::Unset, "cancellation");
            outcome.details.push(("spanwise.abort.by", Value::from(by.as_str())));
            outcome.details.push(("spanwise.abort.reason", Value::from(reason.as_str())));
            outcome
        }
        Fact::Reused { source } => {
            let mut outcome = Outcome::new(Status::Ok, "success");
            let (from, run, scope) = match source {
                Source::Cache { run, scope, .. } => ("cache", run, scope.as_deref()),
                Source::Recovery { run, .. } => ("recovery", run, None),
            };
            outcome.details.push(("spanwise.reused.from", Value::from(from)));
            outcome.details.push(("spanwise.reused.run", Value::from(run.as_str())));
            if let Some(Scope { org, project, domain }) = scope {
                outcome.details.push(("spanwise.reused.org", Value::from(org.as_str())));
                outcome.details.push(("spanwise.reused.project", Value::from(project.as_str())));
                outcome.details.push(("spanwise.reused.domain", Value::from(domain.as_str())));
            }
            outcome
        }
        Fact::Elapsed => Outcome::new(Status::Ok, "success"),
        Fact::Signalled { by, from } => {
            let mut outcome = Outcome::new(Status::Ok, "success");
            outcome.links.extend(from.map(|to| Link { to, why: "signaller" }));
            outcome.details.push(("spanwise.signal.by", Value::from(by.as_str())));
            outcome
        }
        _ => return None,
    })
}
