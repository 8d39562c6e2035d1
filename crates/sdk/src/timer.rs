//! Durable timers: a task waits for a length of time or for a moment, across restarts and without a slot (semantics S15).

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spanwise_core::{ActionName, Timeouts, Timestamp, Wake};
use spanwise_proto::flyteidl2::core::{LiteralType, TypedInterface};
use spanwise_proto::flyteidl2::task::NamedLiteral;
use spanwise_proto::hash;

use crate::call::{Call, Callee};
use crate::ctx::Ambient;
use crate::error::Result;
use crate::parent::{NewTimer, Parent};
use crate::payload::{freeze, read_outcome};
use crate::task::TaskOutput;
use crate::value::{Value, ValueError};

/// What timers are called as actions.
pub(crate) const NAME: &str = "timer";

/// The longest length that Flyte's durations have, about ten thousand years.
const LONGEST: Duration = Duration::from_secs(315_576_000_000);

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
/// limit of [`Call::override_with`]; [`ErrorKind::Usage`](crate::ErrorKind::Usage) inside a step.
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

/// What is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    For(Duration),
    Until(SystemTime),
}

impl Wait {
    /// Waits in this process alone.
    pub(crate) async fn in_process(self) {
        match self {
            Wait::For(length) => tokio::time::sleep(length.min(LONGEST)).await,
            Wait::Until(moment) => {
                // Looked at again and again: the clock may be set.
                while let Ok(left) = moment.duration_since(SystemTime::now()) {
                    if left.is_zero() {
                        return;
                    }
                    tokio::time::sleep(left.min(Duration::from_secs(30))).await;
                }
            }
        }
    }

    /// When a timer ends that is accepted now, by the machine's clock.
    pub(crate) fn wake(self, clock: Timestamp) -> Wake {
        let micros = |length: Duration| i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
        match self {
            Wait::For(length) => Wake::after(length, clock),
            Wait::Until(moment) => Wake::at(Timestamp(match moment.duration_since(UNIX_EPOCH) {
                Ok(after) => micros(after),
                Err(before) => micros(before.duration()).saturating_neg(),
            })),
        }
    }

    /// The input of a timer, as Flyte's type of tasks that only wait takes it.
    fn input(self) -> Result<NamedLiteral, ValueError> {
        Ok(match self {
            Wait::For(length) => NamedLiteral::new("duration", length.min(LONGEST).to_literal()?),
            Wait::Until(moment) => NamedLiteral::new("until", moment.to_literal()?),
        })
    }

    /// What it takes and gives.
    pub(crate) fn interface(self) -> TypedInterface {
        let input = match self {
            Wait::For(_) => ("duration", LiteralType::duration()),
            Wait::Until(_) => ("until", LiteralType::datetime()),
        };
        TypedInterface::new([input], [] as [(&str, LiteralType); 0])
    }

    /// Its identity, which is part of its name.
    fn identity(self) -> &'static Arc<str> {
        static IDENTITIES: [OnceLock<Arc<str>>; 2] = [OnceLock::new(), OnceLock::new()];
        let which = &IDENTITIES[usize::from(matches!(self, Wait::Until(_)))];
        which.get_or_init(|| hash::task_identity(NAME, &hash::interface_hash(&self.interface()), "").into())
    }
}

/// Waits inside a task.
pub(crate) async fn wait<T: TaskOutput>(ambient: &Ambient, wait: Wait, timeouts: Timeouts) -> Result<T> {
    let literals = vec![wait.input()?];
    let action: ActionName = ambient.call_site().name_call(wait.identity(), &literals);
    let group = ambient.group.as_deref().map(str::to_owned);
    let inputs = freeze(literals, &ambient.context)?;
    read_outcome(ambient.task.parent.timer(NewTimer { action, group, wait, timeouts, inputs }).await?)
}
