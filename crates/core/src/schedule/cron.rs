//! The slots of a cron expression: which times of day it names is `croner`'s, what they are in a zone is decided here.
//!
//! A time that the clocks skip is the moment at which they do, and several such times are that moment once. A time that they show
//! twice is the first of the two.

use croner::Cron as Pattern;
use croner::parser::{CronParser, Seconds};
use jiff::Timestamp as Instant;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

use super::{BadSchedule, SECOND, short};
use crate::Timestamp;

#[derive(Clone, Debug)]
pub(super) struct Cron {
    pattern: Pattern,
    zone: TimeZone,
}

impl Cron {
    /// `pattern` is what the dialect has made of the expression.
    pub(super) fn new(expression: &str, pattern: &str, zone: TimeZone) -> Result<Cron, BadSchedule> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).dom_and_dow(false).build();
        let read = parser
            .parse(pattern)
            .map_err(|error| BadSchedule::Expression { expression: short(expression), what: error.to_string() })?;
        let cron = Cron { pattern: read, zone };
        // A leap day comes within eight years of any day.
        let never = || BadSchedule::Never(short(expression));
        cron.after(Timestamp(0)).ok_or_else(never)?;
        Ok(cron)
    }

    pub(super) fn after(&self, moment: Timestamp) -> Option<Timestamp> {
        let instant = Instant::from_second(moment.0.div_euclid(SECOND)).ok()?;
        let mut civil = self.zone.to_datetime(instant);
        loop {
            civil = self.pattern.find_next_occurrence(&civil, false).ok()?;
            let slot = self.instant(civil)?;
            if slot > moment {
                return Some(slot);
            }
        }
    }

    /// The moment at which the clocks of the zone show a time.
    fn instant(&self, civil: DateTime) -> Option<Timestamp> {
        let instant = match self.zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(civil).ok()?,
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(civil).ok()?,
            AmbiguousOffset::Gap { before, .. } => {
                // By the clocks as they were, the time lies at the change or behind it.
                let behind = before.to_timestamp(civil).ok()?.checked_add(jiff::SignedDuration::from_secs(1)).ok()?;
                self.zone.preceding(behind).next()?.timestamp()
            }
        };
        Some(Timestamp(instant.as_second().checked_mul(SECOND)?))
    }
}
