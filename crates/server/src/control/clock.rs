//! The time of the machine.

use std::time::{SystemTime, UNIX_EPOCH};

use spanwise_core::Timestamp;

/// The time by the clock of the machine: schedules are about that one, however it jumps, and the engine's never does.
pub(crate) fn wall_clock() -> Timestamp {
    let micros = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    Timestamp(i64::try_from(micros).unwrap_or(i64::MAX))
}
