//! The store of tests and of programs that need no durability: everything in memory.

use std::collections::{BTreeMap, HashMap, hash_map::Entry};

use std::sync::{Mutex, MutexGuard, PoisonError};

use spanwise_core::trigger::{TriggerChange, TriggerId};
use spanwise_core::{ActionName, Event, Phase, RunId, Timestamp};

use bytes::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    ActionRow, AppRow, Append, CachedOutputs, Definition, Due, DueQuery, Error, ExportState, NotificationRow, Payloads,
    Pruned, PrunedRun, Retention, RunKey, RunQuery, RunRow, Scope, Store, StoredRun, TaskQuery, TaskRow, TriggerQuery,
    TriggerRow,
};

mod apps;
mod artifacts;
mod notifications;
mod registry;
mod retention;

/// Keeps runs in memory; they are gone with the process.
#[derive(Debug, Default)]
pub struct Memory {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    runs: BTreeMap<RunKey, MemoryRun>,
    names: FxHashMap<RunId, RunKey>,
    last_key: i64,
    kept_before: Option<Timestamp>,
    definitions: FxHashMap<String, Bytes>,
    tasks: Vec<TaskRow>,
    triggers: Vec<TriggerRow>,
    settled: HashMap<TriggerId, Timestamp>,
    apps: apps::Apps,
    registered: registry::Registered,
    versions: artifacts::Versions,
    notifications: notifications::Notifications,
    cache: HashMap<String, CachedOutputs>,
}

/// What an event or the row of an action takes up, with what it points to.
const USUAL_BYTES: usize = 300;

#[derive(Debug)]
struct MemoryRun {
    row: RunRow,
    /// The end in its row may still be taken back.
    in_doubt: bool,
    events: Vec<Event>,
    actions: FxHashMap<ActionName, (ActionRow, Payloads)>,
    /// The digests of what it is made from.
    definitions: FxHashSet<String>,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Memory {
        Memory::default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics half-way through a change, so a poisoned lock guards sound data.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryRun {
    fn new(row: RunRow) -> MemoryRun {
        let (actions, definitions) = (FxHashMap::default(), FxHashSet::default());
        MemoryRun { row, in_doubt: false, events: Vec::new(), actions, definitions }
    }

    /// When it has ended for good.
    fn ended_at(&self) -> Option<Timestamp> {
        self.row.ended_at.filter(|_| !self.in_doubt)
    }

    /// When its root has changed last.
    fn updated_at(&self) -> Timestamp {
        let of_root = self.events.iter().rev().find(|event| event.action.is_root()).map(|event| event.at);
        self.row.ended_at.or(of_root).unwrap_or(self.row.created_at)
    }

    fn waits_for_a_signal(&self) -> bool {
        self.row.ended_at.is_none() && self.actions.values().any(|(row, _)| row.phase == Phase::Paused)
    }

    fn used_bytes(&self) -> usize {
        let len = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
        let payloads: usize = self.actions.values().map(|(_, stored)| len(&stored.inputs) + len(&stored.outputs)).sum();
        payloads + USUAL_BYTES * (self.events.len() + self.actions.len())
    }

    fn append(&mut self, append: &Append) {
        self.events.extend(append.events.iter().cloned());
        for (row, payloads) in &append.actions {
            match self.actions.entry(row.name) {
                Entry::Vacant(new) => {
                    new.insert((row.clone(), payloads.clone()));
                }
                Entry::Occupied(mut stored) => {
                    let (stored, of_it) = stored.get_mut();
                    *stored = row.clone();
                    of_it.take_new(payloads.clone());
                }
            }
        }
        self.definitions.extend(append.definitions.iter().map(|definition| definition.digest.clone()));
        if let Some((phase, ended_at)) = append.run_phase {
            self.row.phase = phase;
            self.row.ended_at = ended_at;
            self.in_doubt = append.in_doubt;
        }
    }
}

impl Store for Memory {
    fn create_run(&self, run: &RunRow, first: Append) -> Result<RunKey, Error> {
        let mut inner = self.lock();
        if inner.names.contains_key(&run.id) {
            return Err(Error::AlreadyExists(run.id.name.to_string()));
        }
        inner.last_key += 1;
        let key = RunKey(inner.last_key);
        inner.names.insert(run.id.clone(), key);
        inner.runs.insert(key, MemoryRun::new(run.clone()));
        inner.append(&Append { run: key, ..first });
        Ok(key)
    }

    fn commit(&self, batch: &[Append]) -> Result<(), Error> {
        let mut inner = self.lock();
        let mut lengths = FxHashMap::default();
        for append in batch {
            let Some(run) = inner.runs.get(&append.run) else {
                return Err(Error::Corrupt { what: format!("run {} is not there", append.run.0) });
            };
            let length = lengths.entry(append.run).or_insert(run.events.len() as u64);
            if append.first_seq != *length {
                return Err(Error::Conflict { run: append.run.0, seq: append.first_seq });
            }
            *length += append.events.len() as u64;
        }
        batch.iter().for_each(|append| inner.append(append));
        Ok(())
    }

    fn find(&self, id: &RunId) -> Result<Option<(RunKey, RunRow)>, Error> {
        let inner = self.lock();
        Ok(inner.names.get(id).map(|key| (*key, inner.runs[key].row.clone())))
    }

    fn load(&self, run: RunKey) -> Result<Option<StoredRun>, Error> {
        let inner = self.lock();
        Ok(inner.runs.get(&run).map(|run| StoredRun { row: run.row.clone(), events: run.events.clone() }))
    }

    fn payloads(&self, run: RunKey, action: &ActionName) -> Result<Payloads, Error> {
        let inner = self.lock();
        let found = inner.runs.get(&run).and_then(|run| run.actions.get(action));
        Ok(found.map(|(_, payloads)| payloads.clone()).unwrap_or_default())
    }

    fn action(&self, run: RunKey, action: &ActionName) -> Result<Option<ActionRow>, Error> {
        let inner = self.lock();
        Ok(inner.runs.get(&run).and_then(|run| run.actions.get(action)).map(|(row, _)| row.clone()))
    }

    fn action_of_each(&self, runs: &[RunKey], action: &ActionName) -> Result<Vec<(RunKey, ActionRow)>, Error> {
        let inner = self.lock();
        let asked_for = inner.runs.iter().filter(|(key, _)| runs.contains(key));
        Ok(asked_for.filter_map(|(key, run)| Some((*key, run.actions.get(action)?.0.clone()))).collect())
    }

    fn events_of(&self, run: RunKey, action: &ActionName) -> Result<Vec<Event>, Error> {
        let inner = self.lock();
        let events = inner.runs.get(&run).map(|run| run.events.as_slice()).unwrap_or_default();
        Ok(events.iter().filter(|event| event.action == *action).cloned().collect())
    }

    fn runs(&self, query: &RunQuery) -> Result<Vec<(RunKey, RunRow)>, Error> {
        let inner = self.lock();
        let mut rows: Vec<(RunKey, RunRow)> = inner
            .runs
            .iter()
            .filter(|(key, run)| is_asked_for(query, **key, run))
            .map(|(key, run)| (*key, run.row.clone()))
            .collect();
        if !query.oldest_first {
            rows.reverse();
        }
        rows.truncate(query.limit);
        Ok(rows)
    }

    fn unfinished(&self) -> Result<Vec<RunRow>, Error> {
        let inner = self.lock();
        Ok(inner.runs.values().filter(|run| run.ended_at().is_none()).map(|run| run.row.clone()).collect())
    }

    fn probe(&self) -> Result<(), Error> {
        Ok(())
    }

    fn newest_fact(&self) -> Result<Option<Timestamp>, Error> {
        Ok(self.lock().newest_fact())
    }

    fn last_key(&self) -> Result<RunKey, Error> {
        Ok(RunKey(self.lock().last_key))
    }

    fn skip_keys(&self, last: RunKey) -> Result<(), Error> {
        let mut inner = self.lock();
        inner.last_key = inner.last_key.max(last.0);
        Ok(())
    }

    fn kept_before(&self) -> Option<Timestamp> {
        self.lock().kept_before
    }

    fn keep_what_is_older(&self, than: Timestamp) -> Result<(), Error> {
        let mut inner = self.lock();
        inner.kept_before = inner.kept_before.max(Some(than));
        Ok(())
    }

    fn definition(&self, digest: &str) -> Result<Option<Bytes>, Error> {
        Ok(self.lock().definitions.get(digest).cloned())
    }

    fn deploy_task(&self, task: &TaskRow, definition: &Bytes) -> Result<(), Error> {
        let mut inner = self.lock();
        let name = |task: &TaskRow| (task.scope.clone(), task.name.clone(), task.version.clone());
        if inner.tasks.iter().any(|other| name(other) == name(task)) {
            return Err(Error::AlreadyExists(format!("{} {}", task.name, task.version)));
        }
        inner.tasks.push(task.clone());
        inner.definitions.entry(task.definition.clone()).or_insert_with(|| definition.clone());
        Ok(())
    }

    fn projects(&self) -> Result<Vec<String>, Error> {
        let inner = self.lock();
        let of_runs = inner.runs.values().map(|run| &run.row.id.project);
        let of_apps = inner.apps.rows().map(|app| &app.scope.project);
        let of_tasks = inner.tasks.iter().map(|task| &task.scope.project);
        let projects: std::collections::BTreeSet<_> = of_runs
            .chain(of_tasks)
            .chain(of_apps)
            .chain(inner.registered.projects())
            .chain(inner.versions.projects())
            .collect();
        Ok(projects.into_iter().cloned().collect())
    }

    fn tasks(&self, query: &TaskQuery) -> Result<Vec<TaskRow>, Error> {
        let inner = self.lock();
        let mut seen = FxHashSet::default();
        let newest_first = inner.tasks.iter().rev();
        let asked_for = newest_first.filter(|task| {
            query.scope.as_ref().is_none_or(|scope| task.scope == *scope)
                && query.name.as_ref().is_none_or(|name| task.name == *name)
                && query.part.as_ref().is_none_or(|part| task.name.contains(part))
                && (query.name.is_some() || seen.insert((&task.scope, &task.name)))
        });
        let mut found: Vec<&TaskRow> = asked_for.collect();
        if query.oldest_first {
            found.reverse();
        }
        Ok(found.into_iter().skip(query.offset).take(query.limit).cloned().collect())
    }

    fn task(&self, scope: &Scope, name: &str, version: &str) -> Result<Option<TaskRow>, Error> {
        let inner = self.lock();
        let is_it = |task: &&TaskRow| task.scope == *scope && task.name == name && task.version == version;
        Ok(inner.tasks.iter().find(is_it).cloned())
    }

    fn put_trigger(&self, trigger: &TriggerRow, definition: Option<&Definition>) -> Result<(), Error> {
        let mut inner = self.lock();
        if inner.triggers.iter().any(|other| other.id == trigger.id && other.revision == trigger.revision) {
            return Err(Error::AlreadyExists(format!("{} revision {}", trigger.id, trigger.revision)));
        }
        inner.triggers.push(TriggerRow { settled: None, ..trigger.clone() });
        if let Some(Definition { digest, body }) = definition {
            inner.definitions.entry(digest.clone()).or_insert_with(|| body.clone());
        }
        Ok(())
    }

    fn triggers(&self, query: &TriggerQuery) -> Result<Vec<TriggerRow>, Error> {
        let inner = self.lock();
        let mut seen = FxHashSet::default();
        let current = inner.triggers.iter().rev().filter(|trigger| seen.insert(&trigger.id));
        let asked_for = current.filter(|trigger| {
            trigger.change != TriggerChange::Deleted
                && query.scope.as_ref().is_none_or(|scope| trigger.id.scope == *scope)
                && query.task.as_ref().is_none_or(|task| trigger.id.task == *task)
                && query.task_version.as_ref().is_none_or(|version| trigger.task_version == *version)
                && query.name.as_ref().is_none_or(|name| trigger.id.name == *name)
                && (trigger.active || !query.only_active)
        });
        Ok(asked_for.skip(query.offset).take(query.limit).map(|trigger| inner.with_settled(trigger)).collect())
    }

    fn trigger_revisions(&self, id: &TriggerId, offset: usize, limit: usize) -> Result<Vec<TriggerRow>, Error> {
        let inner = self.lock();
        let revisions = inner.triggers.iter().rev().filter(|trigger| trigger.id == *id);
        Ok(revisions.skip(offset).take(limit).map(|trigger| inner.with_settled(trigger)).collect())
    }

    fn settle_trigger(&self, id: &TriggerId, slot: Timestamp) -> Result<(), Error> {
        self.lock().settled.insert(id.clone(), slot);
        Ok(())
    }

    fn put_app(&self, app: &AppRow) -> Result<(), Error> {
        self.lock().apps.put(app)
    }

    fn apps(&self) -> Result<Vec<AppRow>, Error> {
        Ok(self.lock().apps.newest())
    }

    fn app_revisions(&self, scope: &Scope, name: &str) -> Result<Vec<AppRow>, Error> {
        Ok(self.lock().apps.revisions(scope, name))
    }

    fn delete_app(&self, scope: &Scope, name: &str) -> Result<bool, Error> {
        Ok(self.lock().apps.delete(scope, name))
    }

    fn cached(&self, key: &str) -> Result<Option<CachedOutputs>, Error> {
        Ok(self.lock().cache.get(key).cloned())
    }

    fn cache(&self, key: &str, outputs: &CachedOutputs) -> Result<(), Error> {
        self.lock().cache.insert(key.to_owned(), outputs.clone());
        Ok(())
    }

    fn visit_values(&self, visit: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        let inner = self.lock();
        let actions = inner.runs.values().flat_map(|run| run.actions.values());
        let payloads = actions.flat_map(|(_, payloads)| payloads.inputs.iter().chain(&payloads.outputs));
        let cached = inner.cache.values().map(|cached| &cached.outputs);
        let apps = inner.apps.rows().map(|app| &app.body);
        payloads.chain(cached).chain(inner.definitions.values()).chain(apps).for_each(|value| visit(value));
        inner.registered.values().chain(inner.versions.values()).for_each(visit);
        Ok(())
    }

    fn events_from(&self, run: RunKey, seq: u64, limit: usize) -> Result<Vec<Event>, Error> {
        let inner = self.lock();
        let events = inner.runs.get(&run).map(|run| run.events.as_slice()).unwrap_or_default();
        let from = usize::try_from(seq).unwrap_or(usize::MAX);
        Ok(events.iter().skip(from).take(limit).cloned().collect())
    }

    fn put_exports(&self, states: &[(RunKey, ExportState)]) -> Result<(), Error> {
        let mut inner = self.lock();
        for (key, state) in states {
            if let Some(run) = inner.runs.get_mut(key) {
                run.row.export = Some(*state);
            }
        }
        Ok(())
    }

    fn unexported(&self) -> Result<Vec<RunKey>, Error> {
        let inner = self.lock();
        let pending = |run: &MemoryRun| run.row.export.is_some_and(|export| !export.done);
        Ok(inner.runs.iter().filter(|(_, run)| pending(run)).map(|(key, _)| *key).collect())
    }

    fn due_notifications(&self, query: &DueQuery) -> Result<Due, Error> {
        Ok(self.lock().notifications.due(query))
    }

    fn put_notifications(&self, rows: &[NotificationRow]) -> Result<(), Error> {
        self.lock().notifications.put(rows);
        Ok(())
    }

    fn give_up_notifications(
        &self,
        receiver: &str,
        before: Timestamp,
        now: Timestamp,
        why: &str,
    ) -> Result<u64, Error> {
        let mut inner = self.lock();
        let Inner { runs, notifications, .. } = &mut *inner;
        let ended = |run: &RunKey| runs.get(run).and_then(MemoryRun::ended_at);
        Ok(notifications.give_up(receiver, &|run| ended(run).is_some_and(|ended| ended < before), now, why))
    }

    fn notifications(&self, run: RunKey) -> Result<Vec<NotificationRow>, Error> {
        Ok(self.lock().notifications.of_run(run))
    }

    fn troubled_notifications(
        &self,
        project: &str,
        domain: &str,
        limit: usize,
    ) -> Result<Vec<(NotificationRow, u64)>, Error> {
        let inner = self.lock();
        let is_in = |name: &str, scope: &str| scope.is_empty() || name == scope;
        let is_here = |run: &RunKey| {
            let id = inner.runs.get(run).map(|run| &run.row.id);
            id.is_some_and(|id| is_in(&id.project, project) && is_in(&id.domain, domain))
        };
        Ok(inner.notifications.troubled(&is_here, limit))
    }

    fn run(&self, run: RunKey) -> Result<Option<RunRow>, Error> {
        Ok(self.lock().runs.get(&run).map(|run| run.row.clone()))
    }

    fn prune(&self, keep: &Retention, now: Timestamp) -> Result<Pruned, Error> {
        let mut inner = self.lock();
        let now = inner.newest_fact().map_or(now, |newest| now.min(newest));
        let mut runs = Vec::new();
        if let Some(max_age) = keep.max_age {
            let oldest = now.before(max_age);
            let old = |run: &mut MemoryRun| run.ended_at().is_some_and(|ended| ended < oldest);
            for (key, run) in inner.runs.extract_if(.., |_, run| old(run)).collect::<Vec<_>>() {
                inner.names.remove(&run.row.id);
                runs.push(PrunedRun { key, id: Some(run.row.id) });
            }
            inner.cache.retain(|_, cached| cached.stored_at >= oldest);
        }
        if let Some(max_bytes) = keep.max_bytes {
            inner.forget_definitions();
            inner.shrink(usize::try_from(max_bytes).unwrap_or(usize::MAX), &mut runs);
        }
        inner.forget_definitions();
        let Inner { runs: rest, notifications, versions, .. } = &mut *inner;
        notifications.keep(&|run| rest.contains_key(run));
        versions.keep(&|run| rest.contains_key(run));
        Ok(Pruned { runs })
    }
}

impl Inner {
    fn append(&mut self, append: &Append) {
        let Some(run) = self.runs.get_mut(&append.run) else { return };
        run.append(append);
        self.notifications.insert(append.run, &append.receivers);
        self.versions.give(append.run, &append.given);
        self.versions.put_all(&append.artifacts);
        if let Some((_, Some(ended_at))) = append.run_phase.filter(|_| !append.in_doubt) {
            self.notifications.become_due(append.run, ended_at);
        }
        for Definition { digest, body } in &append.definitions {
            self.definitions.entry(digest.clone()).or_insert_with(|| body.clone());
        }
    }

    fn with_settled(&self, trigger: &TriggerRow) -> TriggerRow {
        TriggerRow { settled: self.settled.get(&trigger.id).copied(), ..trigger.clone() }
    }
}

fn is_asked_for(query: &RunQuery, key: RunKey, run: &MemoryRun) -> bool {
    let row = &run.row;
    let follows = |after: RunKey| if query.oldest_first { key > after } else { key < after };
    query.project.as_ref().is_none_or(|project| row.id.project == *project)
        && query.domain.as_ref().is_none_or(|domain| row.id.domain == *domain)
        && query.task_version.as_ref().is_none_or(|version| row.task_version == *version)
        && query.org.as_ref().is_none_or(|org| row.id.org == *org)
        && (row.ended_at.is_none() || !query.only_live)
        && (row.tracked || !query.only_tracked)
        && (query.keys.is_empty() || query.keys.contains(&key))
        && query.fired_by.as_ref().is_none_or(|trigger| row.fired_by.as_ref() == Some(trigger))
        && query.updated_since.is_none_or(|since| run.updated_at() >= since)
        && query.updated_until.is_none_or(|until| run.updated_at() < until)
        && query.task.as_ref().is_none_or(|task| row.task.as_str() == task)
        && (query.phases.is_empty()
            || query.phases.contains(&row.phase)
            || query.phases.contains(&Phase::Paused) && run.waits_for_a_signal())
        && query.labels.iter().all(|(label, value)| {
            row.labels.get(label).is_some_and(|labelled| value.as_ref().is_none_or(|value| labelled == value))
        })
        && query.since.is_none_or(|since| row.created_at >= since)
        && query.until.is_none_or(|until| row.created_at < until)
        && query.after.is_none_or(follows)
}
