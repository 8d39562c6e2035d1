//! What is too old or too large goes.

use std::collections::HashSet;

use bytes::Bytes;
use spanwise_core::Timestamp;

use super::{Inner, MemoryRun};
use crate::{PrunedRun, RunKey};

impl Inner {
    pub(super) fn newest_fact(&self) -> Option<Timestamp> {
        let of_runs = self.runs.values().flat_map(|run| [Some(run.row.created_at), run.row.ended_at]).flatten();
        let of_events = self.runs.values().flat_map(|run| run.events.iter().map(|event| event.at));
        let of_cache = self.cache.values().map(|cached| cached.stored_at);
        let of_tasks = self.tasks.iter().map(|task| task.deployed_at);
        let of_triggers = self.triggers.iter().map(|trigger| trigger.changed_at);
        let of_apps = self.apps.rows().map(|app| app.changed_at);
        let of_all = of_runs.chain(of_events).chain(of_cache).chain(of_tasks).chain(of_triggers).chain(of_apps);
        of_all.chain(self.registered.newest()).chain(self.versions.newest_time()).max()
    }

    /// Cached outputs have half of the room at most; then what is oldest goes.
    pub(super) fn shrink(&mut self, max_bytes: usize, pruned: &mut Vec<PrunedRun>) {
        if self.used_bytes() > max_bytes {
            self.shrink_cache(max_bytes / 2);
        }
        let finished = self.runs.iter().filter_map(|(key, run)| Some((run.ended_at()?, *key)));
        let mut oldest_first: Vec<(Timestamp, RunKey)> = finished.collect();
        oldest_first.sort_unstable();
        let mut used = self.used_bytes();
        for (ended, key) in oldest_first {
            if used <= max_bytes {
                return;
            }
            if let Some(run) = self.runs.remove(&key) {
                used = used.saturating_sub(run.used_bytes());
                self.names.remove(&run.row.id);
                pruned.push(PrunedRun { key, id: Some(run.row.id) });
            }
            // An output that was cached before its run ended goes with the run: it may name files of the run's.
            for (key, cached) in self.cache.extract_if(|_, cached| cached.stored_at <= ended) {
                used = used.saturating_sub(key.len() + cached.outputs.len());
            }
        }
    }

    /// Drops the oldest cached outputs until the others have no more than so many bytes.
    pub(super) fn shrink_cache(&mut self, max_bytes: usize) {
        let mut newest_first: Vec<(Timestamp, usize)> =
            self.cache.iter().map(|(key, cached)| (cached.stored_at, key.len() + cached.outputs.len())).collect();
        newest_first.sort_unstable_by_key(|(stored_at, _)| std::cmp::Reverse(*stored_at));
        let mut total = 0;
        let goes = newest_first.into_iter().find(|(_, bytes)| {
            total += bytes;
            total > max_bytes
        });
        if let Some((newest_that_goes, _)) = goes {
            self.cache.retain(|_, cached| cached.stored_at > newest_that_goes);
        }
    }

    /// About what is kept, in bytes: values as they are, events and rows by their usual size.
    pub(super) fn used_bytes(&self) -> usize {
        let of_runs: usize = self.runs.values().map(MemoryRun::used_bytes).sum();
        let of_cache: usize = self.cache.iter().map(|(key, cached)| key.len() + cached.outputs.len()).sum();
        let of_definitions: usize = self.definitions.values().map(Bytes::len).sum();
        of_runs + of_cache + of_definitions
    }

    /// Drops the definitions that nothing is made from any more.
    pub(super) fn forget_definitions(&mut self) {
        let of_runs = self.runs.values().flat_map(|run| &run.definitions);
        let of_tasks = self.tasks.iter().map(|task| &task.definition);
        let of_triggers = self.triggers.iter().map(|trigger| &trigger.definition);
        let referred: HashSet<&String> = of_runs.chain(of_tasks).chain(of_triggers).collect();
        self.definitions.retain(|digest, _| referred.contains(digest));
    }
}
