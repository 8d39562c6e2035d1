//! What keeps an attempt from beginning, and who has it.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use super::amounts::{Dimension, Needs};
use super::pool::PoolId;
use super::tree::ROOT;
use super::{Admission, Now, Refusal};
use crate::text;
use crate::trace::TraceParent;
use crate::{ActionName, AttemptNo};

/// So many of those who have what is short are named.
pub const NAMED: usize = 8;

/// A pool that has too little left of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle<R> {
    /// The pool: a queue, or what is in it, as `queue/project/key`.
    pub pool: Arc<str>,
    /// True if it is the server's own.
    pub is_of_server: bool,
    /// Of what.
    pub of: Dimension,
    /// How much of it is taken.
    pub used: u64,
    /// How much of it there is.
    pub limit: u64,
    /// The period of a rate, by its letter.
    pub rate: Option<super::Rate>,
    /// Who has it, the first [`NAMED`] of them.
    pub holders: Vec<Holder<R>>,
}

/// An action that has something of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder<R> {
    /// Its run.
    pub run: R,
    /// The action.
    pub action: ActionName,
    /// The attempt that is under way, or is about to be launched.
    pub attempt: Option<AttemptNo>,
    /// A span of its trace, if that is exported.
    pub span_above: Option<TraceParent>,
}

impl<R> fmt::Display for Obstacle<R> {
    /// For instance `gpu 2 of 2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rate) = self.rate {
            return write!(f, "{} rate {rate}", self.pool);
        }
        let what = match self.of {
            Dimension::Attempts | Dimension::Slots => "",
            Dimension::Idle => " idle",
            Dimension::Cpu => " cpu",
            Dimension::Memory => " memory",
            Dimension::Gpu => " gpu",
            Dimension::Begun => " rate",
        };
        let (used, limit) = (shown(self.of, self.used), shown(self.of, self.limit));
        write!(f, "{}{what} {used} of {limit}", self.pool)
    }
}

/// An amount in the unit in which people write it.
fn shown(of: Dimension, amount: u64) -> String {
    match of {
        Dimension::Cpu if amount.is_multiple_of(1000) => (amount / 1000).to_string(),
        Dimension::Cpu => format!("{amount}m"),
        Dimension::Memory => text::bytes(amount),
        _ => amount.to_string(),
    }
}

impl<R: Copy + Eq + Hash, T: Clone> Admission<R, T> {
    /// What keeps an action that stands in line from being launched.
    pub fn obstacle(&self, run: R, action: ActionName) -> Option<Obstacle<R>> {
        let entry = self.entries.get(&(run, action))?;
        let Now::InLine { .. } = entry.now else { return None };
        let (pool, of) = self.tree.obstacle(entry.key, entry.demand.line())?;
        let found = self.tree.pool(pool);
        let rate = found.window.as_ref().filter(|_| of == Dimension::Begun);
        let (used, limit) = match rate {
            Some(window) => (window.used(self.tree.now()) as u64, u64::from(window.rate().count())),
            None => (found.used[of], found.capacity[of as usize]?),
        };
        let holders = if rate.is_some() { Vec::new() } else { self.holders(pool, of) };
        let rate = rate.map(super::rate::Window::rate);
        Some(Obstacle { pool: Arc::clone(&found.name), is_of_server: pool == ROOT, of, used, limit, rate, holders })
    }

    fn holders(&self, pool: PoolId, of: Dimension) -> Vec<Holder<R>> {
        let users = self.tree.pool(pool).users.values();
        let holders = users.filter_map(|(run, action)| {
            let entry = self.entries.get(&(*run, *action)).filter(|entry| entry.had().used[of] > 0)?;
            let attempt = match entry.now {
                Now::UnderWay { attempt, .. } => Some(attempt),
                _ => None,
            };
            Some(Holder { run: *run, action: *action, attempt, span_above: entry.span_above })
        });
        holders.take(NAMED).collect()
    }

    /// Refuses what would wait for ever.
    pub(super) fn check_needs(&self, queue: PoolId, needs: &Needs) -> Result<(), Refusal> {
        let amounts = needs.amounts();
        for (pool, of) in [queue, ROOT].into_iter().flat_map(|pool| Dimension::ALL.map(|of| (pool, of))) {
            let pool = self.tree.pool(pool);
            if let Some(limit) = pool.capacity[of as usize].filter(|limit| amounts[of] > *limit) {
                let name = match of {
                    Dimension::Cpu => "cpu",
                    Dimension::Memory => "memory",
                    Dimension::Gpu => "gpu",
                    _ => continue,
                };
                return Err(Refusal::TooMuch {
                    of: pool.name.to_string(),
                    needed: format!("resources.{name} = {}", shown(of, amounts[of])),
                    limit: shown(of, limit),
                });
            }
        }
        Ok(())
    }
}
