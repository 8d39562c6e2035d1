//! When a trigger fires: the slots of a schedule, as moments.
//!
//! A slot is a whole second. Which there are depends on the schedule alone, never on when somebody looks: so a slot has one name,
//! whoever asks for it, and whenever.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::artifact::OnArtifact;

mod cron;
mod dialect;
#[cfg(test)]
mod tests;
mod zone;

use cron::Cron;

/// What fires a trigger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Automation {
    /// Nothing but whoever asks for it.
    OnDemand,
    /// The times of day that an expression names, as the clocks of a zone show them.
    Cron {
        /// Five fields, or a descriptor: `@daily`, `@every 90s`.
        expression: String,
        /// The name of the zone in the IANA database; empty means UTC.
        zone: String,
    },
    /// Every so often.
    Rate {
        /// From one slot to the next: whole seconds.
        every: Duration,
        /// The first slot; without it the first one is `every` after the trigger was deployed or activated.
        start: Option<Timestamp>,
    },
    /// Each new version of an artifact.
    Artifact(OnArtifact),
}

/// What is wrong with a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSchedule {
    /// The expression is none.
    #[error("cron expression `{expression}`: {what}")]
    Expression {
        /// The expression, shortened.
        expression: String,
        /// What is wrong with it, and the limit.
        what: String,
    },
    /// There is no such zone.
    #[error("`{0}` is no time zone of the IANA database")]
    Zone(String),
    /// It has no slot at all.
    #[error("cron expression `{0}` names a time that never comes")]
    Never(String),
    /// Less than a second.
    #[error("a rate of {0:?} is too quick: one second is the least")]
    Rate(Duration),
}

/// How much of a text an error shows.
const SHOWN: usize = 100;

/// A slot as people and traces read it, in UTC: `2026-03-29T01:00:00Z`.
pub fn shown(slot: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(slot.0).map_or_else(|_| slot.0.to_string(), |instant| instant.to_string())
}

fn short(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

const SECOND: i64 = 1_000_000;

/// How long an interval is: `90s`, `1h30m`, as after `@every` in a cron expression.
///
/// # Errors
/// [`BadSchedule::Expression`] if it is none.
pub fn interval(text: &str) -> Result<Duration, BadSchedule> {
    dialect::interval(text)
}

/// A schedule that has been checked.
#[derive(Clone, Debug)]
pub struct Schedule {
    slots: Slots,
}

#[derive(Clone, Debug)]
enum Slots {
    Cron(Box<Cron>),
    /// `first`, and every so many microseconds from there.
    Every {
        first: Timestamp,
        micros: i64,
    },
}

impl Schedule {
    /// The schedule of a trigger; none if it has none. `since` is when it was deployed or activated: what a rate
    /// counts from that does not say when it starts.
    ///
    /// # Errors
    /// [`BadSchedule`] says what is wrong.
    pub fn new(automation: &Automation, since: Timestamp) -> Result<Option<Schedule>, BadSchedule> {
        let slots = match automation {
            Automation::OnDemand | Automation::Artifact(_) => return Ok(None),
            Automation::Rate { every, start } => rate(*every, *start, since)?,
            Automation::Cron { expression, zone } => match dialect::read(expression)? {
                dialect::Read::Every(every) => rate(every, None, since)?,
                dialect::Read::Fields { pattern, zone: own } => {
                    let zone = own.unwrap_or(zone);
                    Slots::Cron(Box::new(Cron::new(expression, &pattern, zone::named(zone)?)?))
                }
            },
        };
        Ok(Some(Schedule { slots }))
    }

    /// The first slot after a moment; none if none comes.
    pub fn after(&self, moment: Timestamp) -> Option<Timestamp> {
        match &self.slots {
            Slots::Cron(cron) => cron.after(moment),
            Slots::Every { first, micros } => {
                let passed = moment.0.saturating_sub(first.0);
                let count = if passed < 0 { 0 } else { passed / micros + 1 };
                Some(Timestamp(first.0.checked_add(count.checked_mul(*micros)?)?))
            }
        }
    }

    /// The slots after a moment, up to another one and with it.
    pub fn between(&self, after: Timestamp, until: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        let mut last = after;
        std::iter::from_fn(move || {
            let slot = self.after(last).filter(|slot| *slot <= until)?;
            last = slot;
            Some(slot)
        })
    }

    /// The last slots of those that [`between`](Schedule::between) gives, `most` at most. What it takes does not depend on how long
    /// the stretch is.
    pub fn newest(&self, after: Timestamp, until: Timestamp, most: usize) -> Vec<Timestamp> {
        let mut width = Duration::from_secs(60);
        loop {
            let from = until.before(width).max(after);
            let mut slots: Vec<Timestamp> = self.between(from, until).collect();
            if slots.len() >= most || from == after {
                slots.drain(..slots.len().saturating_sub(most));
                return slots;
            }
            // A few steps are enough, and the last of them costs the most.
            width = width.saturating_mul(4);
        }
    }
}

fn rate(every: Duration, start: Option<Timestamp>, since: Timestamp) -> Result<Slots, BadSchedule> {
    let micros = i64::try_from(every.as_micros()).unwrap_or(i64::MAX) / SECOND * SECOND;
    if micros < SECOND {
        return Err(BadSchedule::Rate(every));
    }
    // The name of a slot has no part of a second.
    let whole = |moment: Timestamp| Timestamp(moment.0.div_euclid(SECOND) * SECOND);
    let first = start.map_or_else(|| Timestamp(whole(since).0.saturating_add(micros)), whole);
    Ok(Slots::Every { first, micros })
}
