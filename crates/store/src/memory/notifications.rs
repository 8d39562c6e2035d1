//! Notifications of the ends of runs.

use std::collections::BTreeMap;

use spanwise_core::Timestamp;

use crate::{Due, DueQuery, NotificationRow, NotificationState, RunKey};

/// All of them, by their runs and rules.
#[derive(Debug, Default)]
pub(super) struct Notifications(BTreeMap<(RunKey, u32), NotificationRow>);

impl Notifications {
    pub(super) fn insert(&mut self, run: RunKey, receivers: &[(u32, String)]) {
        for (rule, receiver) in receivers {
            let (rule, receiver, state) = (*rule, receiver.clone(), NotificationState::Waiting);
            let row = NotificationRow { run, rule, receiver, state, tries: 0, at: None, error: None };
            self.0.insert((run, rule), row);
        }
    }

    pub(super) fn become_due(&mut self, run: RunKey, ended_at: Timestamp) {
        for row in self.0.values_mut().filter(|row| row.run == run) {
            row.at.get_or_insert(ended_at);
        }
    }

    pub(super) fn due(&self, query: &DueQuery) -> Due {
        let mut due: BTreeMap<&str, &NotificationRow> = BTreeMap::new();
        let mut later: BTreeMap<&str, Timestamp> = BTreeMap::new();
        for row in self.0.values().filter(|row| row.state == NotificationState::Waiting) {
            let Some(at) = row.at.filter(|_| !query.resting.contains(&row.receiver)) else { continue };
            if row.tries > 0 && at > query.now && at <= query.latest {
                let first = later.entry(&row.receiver).or_insert(at);
                *first = at.min(*first);
                continue;
            }
            let first = due.entry(&row.receiver).or_insert(row);
            if row.at < first.at {
                *first = row;
            }
        }
        let next = later.iter().filter(|(receiver, _)| !due.contains_key(*receiver)).map(|(_, at)| *at).min();
        let mut rows: Vec<NotificationRow> = due.into_values().cloned().collect();
        rows.sort_by_key(|row| row.at);
        rows.truncate(query.limit);
        Due { rows, next }
    }

    pub(super) fn put(&mut self, rows: &[NotificationRow]) {
        for row in rows {
            if let Some(there) = self.0.get_mut(&(row.run, row.rule)) {
                *there = NotificationRow { receiver: there.receiver.clone(), ..row.clone() };
            }
        }
    }

    pub(super) fn give_up(
        &mut self,
        receiver: &str,
        is_old: &dyn Fn(&RunKey) -> bool,
        now: Timestamp,
        why: &str,
    ) -> u64 {
        let mut given_up = 0;
        for row in self.0.values_mut() {
            let waits = row.receiver == receiver && row.state == NotificationState::Waiting && row.at.is_some();
            if waits && is_old(&row.run) {
                (row.state, row.at, row.error) = (NotificationState::GivenUp, Some(now), Some(why.to_owned()));
                given_up += 1;
            }
        }
        given_up
    }

    pub(super) fn of_run(&self, run: RunKey) -> Vec<NotificationRow> {
        self.0.range((run, 0)..=(run, u32::MAX)).map(|(_, row)| row.clone()).collect()
    }

    pub(super) fn troubled(&self, is_here: &dyn Fn(&RunKey) -> bool, limit: usize) -> Vec<(NotificationRow, u64)> {
        let states = [NotificationState::Waiting, NotificationState::GivenUp];
        let is_troubled = |row: &&NotificationRow| row.error.is_some() && states.contains(&row.state);
        let mut newest: BTreeMap<&str, (&NotificationRow, u64)> = BTreeMap::new();
        for row in self.0.values().filter(is_troubled).filter(|row| is_here(&row.run)) {
            let (first, count) = newest.entry(&row.receiver).or_insert((row, 0));
            *count += 1;
            if row.run > first.run {
                *first = row;
            }
        }
        let mut rows: Vec<_> = newest.into_values().map(|(row, count)| (row.clone(), count)).collect();
        rows.sort_by_key(|(row, _)| (std::cmp::Reverse(row.run), row.rule));
        rows.truncate(limit);
        rows
    }

    /// Those of other runs go with them.
    pub(super) fn keep(&mut self, is_there: &dyn Fn(&RunKey) -> bool) {
        self.0.retain(|(run, _), _| is_there(run));
    }
}
