//! How often a task is tried again, and how long it may take.

use std::time::Duration;

use spanwise_core::{Backoff, RetryPolicy, Timeouts};
use spanwise_proto::flyteidl2::core::{self, RetryStrategy, TaskMetadata, TimeoutStrategy};

use crate::Invalid;
use crate::times::{duration, from_duration};

/// The retries of a task.
///
/// # Errors
/// [`Invalid::Field`] if the backoff is none.
pub fn retry(metadata: &TaskMetadata) -> Result<RetryPolicy, Invalid> {
    let backoff = metadata.retries.backoff.as_option().map(|backoff| Backoff {
        base: from_duration(backoff.base.as_option()).unwrap_or_default(),
        // Left out on the wire means Flyte's default.
        factor: backoff.factor.filter(|factor| *factor != 0.0).unwrap_or(1.0),
        cap: from_duration(backoff.cap.as_option()),
    });
    if let Some(backoff) = &backoff {
        backoff.check().map_err(|error| Invalid::field(format!("metadata.retries.backoff: {error}")))?;
    }
    Ok(RetryPolicy { retries: metadata.retries.retries, backoff })
}

/// The limits of a task in time.
pub fn timeouts(metadata: &TaskMetadata) -> Timeouts {
    Timeouts {
        max_runtime: from_duration(metadata.timeout.as_option()),
        max_queued_time: from_duration(metadata.timeouts.queued_timeout.as_option()),
        deadline: from_duration(metadata.timeouts.deadline.as_option()),
    }
}

/// Sets the retries and the limits in time; the rest of the metadata stays.
pub fn set(metadata: &mut TaskMetadata, retry: &RetryPolicy, timeouts: &Timeouts) {
    let limit = |limit: Option<Duration>| limit.filter(|limit| !limit.is_zero()).map(duration);
    let backoff = retry.backoff.as_ref().map(|backoff| core::Backoff {
        base: duration(backoff.base).into(),
        factor: Some(backoff.factor),
        cap: backoff.cap.map(duration).into(),
        ..core::Backoff::default()
    });
    let retries = RetryStrategy { retries: retry.retries, backoff: backoff.into(), ..RetryStrategy::default() };
    let strategy = TimeoutStrategy {
        queued_timeout: limit(timeouts.max_queued_time).into(),
        deadline: limit(timeouts.deadline).into(),
        ..TimeoutStrategy::default()
    };
    let has_strategy = strategy.queued_timeout.is_set() || strategy.deadline.is_set();
    metadata.retries = retries.into();
    metadata.timeout = limit(timeouts.max_runtime).into();
    metadata.timeouts = has_strategy.then_some(strategy).into();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_cross_the_wire() {
        let backoff = Backoff { base: Duration::from_millis(250), factor: 2.0, cap: Some(Duration::from_secs(9)) };
        let given = RetryPolicy { retries: 3, backoff: Some(backoff) };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let limits = Timeouts { max_runtime: seconds(1), max_queued_time: seconds(2), deadline: seconds(3) };
        let mut metadata = TaskMetadata { discoverable: true, ..TaskMetadata::default() };
        set(&mut metadata, &given, &limits);
        assert_eq!((retry(&metadata).unwrap(), timeouts(&metadata)), (given, limits));
        set(&mut metadata, &RetryPolicy::default(), &Timeouts::default());
        assert_eq!(timeouts(&metadata), Timeouts::default());
        assert!(metadata.discoverable && !metadata.timeouts.is_set());
    }
}
