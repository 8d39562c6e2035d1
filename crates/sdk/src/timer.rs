//! Durable timers: a task waits for a length of time or for a moment, across restarts and without a slot (semantics S17).

use std::time::{Duration, SystemTime};

use crate::call::{Call, Callee};
use crate::wait::Wait;

/// Waits for a length of time: `spanwise::sleep(Duration::from_secs(3600)).await?`.
///
/// Inside a task it is an action of its own. When it ends is fixed, in the journal, when it is first awaited: after a crash or a
/// restart only the rest is waited for, and what has passed ends at once. Meanwhile the task takes up no slot. It is found again like any call,
/// so equal sleeps of a task are told apart by their order. Any length is allowed; one beyond the year 9999 waits until then.
///
/// The clock of the machine counts, also while the process is not there: one that is set ahead ends what has passed. However it is set
/// back, no sleep lasts longer than its length.
///
/// Outside of a task it is a plain sleep, which is recorded nowhere.
///
/// # Errors
/// [`ErrorKind::Aborted`](crate::ErrorKind::Aborted) if somebody aborts it; [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut) by a
/// limit of [`Call::override_with`]; [`ErrorKind::Usage`](crate::ErrorKind::Usage) inside a step, or by a setting of the call that is no limit in
/// time.
pub fn sleep(length: Duration) -> Call<()> {
    Call::new(Callee::Timer(Wait::For(length)))
}

/// Waits for a moment: `spanwise::sleep_until(deadline).await?`. One that has passed is waited for no longer.
///
/// It is as [`sleep`] in all but this: the moment is part of its name, so one that a task computes from the clock is another one in the
/// task's next attempt ([`sleep`] is not), and it is waited for as long as the machine's clock, however it is set, has not come to it.
///
/// # Errors
/// Those of [`sleep`].
pub fn sleep_until(moment: impl Into<SystemTime>) -> Call<()> {
    Call::new(Callee::Timer(Wait::Until(moment.into())))
}
