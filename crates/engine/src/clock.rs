//! The engine's clock: wall time that never goes backwards.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use spanwise_core::Timestamp;

/// Reads the wall clock once and counts from there, so that a step of the system's clock moves no timeout of this process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Timestamp,
    start: Instant,
}

impl Clock {
    /// Starts counting from the system's time.
    pub fn start() -> Clock {
        Clock { wall: Clock::of_machine(), start: Instant::now() }
    }

    /// What the machine's clock says, which somebody may set.
    pub(crate) fn of_machine() -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.wall.after(self.start.elapsed())
    }

    /// The instant of a time; one in the past is now. One that is further away than a timer can be is a year from now:
    /// whoever wakes up then looks at the clock again.
    pub(crate) fn instant(&self, at: Timestamp) -> tokio::time::Instant {
        const FAR: Duration = Duration::from_secs(365 * 24 * 3600);
        tokio::time::Instant::now() + at.since(self.now()).min(FAR)
    }
}
