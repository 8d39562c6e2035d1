//! The wait of an action before an attempt: for what, and who had it.

use super::{Lifecycle, Now, Open};
use crate::event::Wait;
use crate::lifecycle::outcome::Outcome;
use crate::lifecycle::{Link, Part, Value};
use crate::{ActionName, Timestamp};

/// What an action waits for.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// The pool that has too little left; none: it is a cache key.
    pool: Option<String>,
    /// The attempts that had it.
    links: Vec<Link>,
}

impl Lifecycle {
    /// What an action waits for, while those are open that it waits for.
    pub(super) fn waits(&self, wait: Option<&Wait>) -> Waits {
        let Some(Wait { pool, holders, actions }) = wait else { return Waits::default() };
        let of_run = actions.iter().filter_map(|action| match self.open.get(action)?.now {
            Now::Attempt { context, .. } => Some(context),
            _ => None,
        });
        let links = holders.iter().copied().chain(of_run).map(|to| Link { to, why: "waited for" });
        Waits { pool: Some(pool.clone()), links: links.collect() }
    }

    pub(super) fn queued(
        &mut self,
        action: ActionName,
        open: &mut Open,
        times: (Timestamp, Timestamp),
        waits: Option<Waits>,
        outcome: Option<&Outcome>,
    ) {
        let mut span = self.part(action, open, Part::Queued, None, times);
        let reason = if waits.is_some() { "concurrency" } else { "launch" };
        span.details.push(("spanwise.queued.reason", Value::Word(reason)));
        if let Some(Waits { pool, links }) = waits {
            span.details.extend(pool.map(|pool| ("spanwise.queued.pool", Value::from(pool.as_str()))));
            span.links.extend(links);
        }
        if let Some(failed) = outcome.filter(|outcome| outcome.failure.is_some()) {
            failed.describe(&mut span);
        }
        self.close(span);
    }
}
