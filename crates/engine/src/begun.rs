//! What earlier processes have begun lately: it counts for the rates of queues, as what this one begins does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use spanwise_core::{ActionName, Event, Fact, RunId, Timestamp};
use spanwise_store::{RunKey, RunQuery};

use crate::engine::Inner;

/// So many runs are read at once.
const PAGE: usize = 200;

impl Inner {
    /// Counts what has begun within the longest period that a queue has.
    pub(crate) fn recall_begun(&self, period: Duration) -> Result<(), spanwise_store::Error> {
        let now = self.clock.now();
        let since = now.before(period);
        let store = self.journal.store();
        let unfinished: Vec<RunId> = store.unfinished()?.into_iter().map(|run| run.id).collect();
        for id in &unfinished {
            if let Some((key, _)) = store.find(id)? {
                self.recall_run(key, since)?;
            }
        }
        let mut after = None;
        loop {
            // The root of a run that has ended changes no more.
            let query = RunQuery { updated_since: Some(since), after, ..RunQuery::newest(PAGE) };
            let page = store.runs(&query)?;
            for (key, _) in page.iter().filter(|(_, run)| run.ended_at.is_some()) {
                self.recall_run(*key, since)?;
            }
            let Some((last, _)) = page.last().filter(|_| page.len() == PAGE) else { return Ok(()) };
            after = Some(*last);
        }
    }

    fn recall_run(&self, run: RunKey, since: Timestamp) -> Result<(), spanwise_store::Error> {
        // One that cannot be read goes on in no process.
        let Ok(Some(stored)) = self.journal.store().load(run) else { return Ok(()) };
        let mut queues: HashMap<ActionName, Option<Arc<str>>> = HashMap::new();
        for Event { action, at, fact } in &stored.events {
            match fact {
                // What a program works off elsewhere is in no queue.
                Fact::Enqueued { spec } if spec.tracked.is_none() => drop(queues.insert(*action, spec.queue.clone())),
                Fact::Launched { .. } if *at > since => {
                    if let Some(queue) = queues.get(action) {
                        self.pools.recall(queue.as_ref(), *at);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
