//! What a timer waits for.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spanwise_core::{Timestamp, Wake};
use spanwise_proto::flyteidl2::core::{LiteralType, TypedInterface};
use spanwise_proto::flyteidl2::task::NamedLiteral;
use spanwise_proto::hash;

use crate::value::{Value, ValueError};

/// What timers are called as actions.
pub(crate) const NAME: &str = "timer";

/// The longest length that Flyte's durations have, about ten thousand years.
const LONGEST: Duration = Duration::from_secs(315_576_000_000);

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
    pub(crate) fn input(self) -> Result<NamedLiteral, ValueError> {
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
    pub(crate) fn identity(self) -> &'static Arc<str> {
        static IDENTITIES: [OnceLock<Arc<str>>; 2] = [OnceLock::new(), OnceLock::new()];
        let which = &IDENTITIES[usize::from(matches!(self, Wait::Until(_)))];
        which.get_or_init(|| hash::task_identity(NAME, &hash::interface_hash(&self.interface()), "").into())
    }
}
