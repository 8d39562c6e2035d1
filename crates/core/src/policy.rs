//! How often and how long: retries, backoff and the three timeouts, with the rules that follow from them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A policy that contradicts itself.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidPolicy {
    /// A factor below 1 would shorten the wait with every failure.
    #[error("backoff factor {0} is below 1 or not a number")]
    Factor(f64),
}

/// How many times an action is tried again, and after which pause.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Attempts after the first one.
    pub retries: u32,
    /// The pause before a retry; none means at once.
    #[serde(default)]
    pub backoff: Option<Backoff>,
}

/// A pause that grows: `min(base * factor^n, cap)` before retry `n`, counted from 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backoff {
    /// The pause before the first retry.
    pub base: Duration,
    /// What each further pause is multiplied by; at least 1.
    pub factor: f64,
    /// The longest pause; none means no limit.
    #[serde(default)]
    pub cap: Option<Duration>,
}

impl Backoff {
    /// A pause of `base` before every retry, Flyte's default factor of 1 and no cap.
    pub fn constant(base: Duration) -> Backoff {
        Backoff { base, factor: 1.0, cap: None }
    }

    /// Checks the factor.
    ///
    /// # Errors
    /// [`InvalidPolicy::Factor`] if it is below 1 or not a number.
    pub fn check(&self) -> Result<(), InvalidPolicy> {
        if self.factor >= 1.0 && self.factor.is_finite() {
            return Ok(());
        }
        Err(InvalidPolicy::Factor(self.factor))
    }

    /// The pause before retry `n`, counted from 0. Never panics, whatever the numbers are.
    pub fn delay(&self, n: u32) -> Duration {
        let limit = self.cap.unwrap_or(Duration::MAX);
        if self.base.is_zero() {
            return Duration::ZERO;
        }
        let seconds = self.base.as_secs_f64() * self.factor.powi(i32::try_from(n).unwrap_or(i32::MAX));
        Duration::try_from_secs_f64(seconds).unwrap_or(limit).min(limit)
    }
}

/// The limits in time of an action. `None` and zero mean no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// In RUNNING, for each attempt.
    #[serde(default)]
    pub max_runtime: Option<Duration>,
    /// In QUEUED and WAITING_FOR_RESOURCES, for each attempt.
    #[serde(default)]
    pub max_queued_time: Option<Duration>,
    /// From the first QUEUED to the end, once; beats retries.
    #[serde(default)]
    pub deadline: Option<Duration>,
}

impl Timeouts {
    /// A bare duration, as in `timeout = "30s"`: the limit of each attempt in RUNNING.
    pub fn max_runtime(limit: Duration) -> Timeouts {
        Timeouts { max_runtime: Some(limit), ..Timeouts::default() }
    }
}

/// Zero means no limit (Flyte's rule), so it is dropped here.
pub(crate) fn limit(value: Option<Duration>) -> Option<Duration> {
    value.filter(|limit| !limit.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s4_delay_is_base_times_factor_to_the_n_up_to_the_cap() {
        let backoff = Backoff { base: Duration::from_millis(100), factor: 2.0, cap: Some(Duration::from_millis(350)) };
        let delays: Vec<u128> = (0..4).map(|n| backoff.delay(n).as_millis()).collect();
        assert_eq!(delays, [100, 200, 350, 350]);
        assert_eq!(Backoff::constant(Duration::from_secs(1)).delay(9), Duration::from_secs(1));
    }

    #[test]
    fn a_huge_backoff_saturates() {
        let backoff = Backoff { base: Duration::from_secs(10), factor: 10.0, cap: None };
        assert_eq!(backoff.delay(u32::MAX), Duration::MAX);
        assert!(Backoff { factor: 0.5, ..backoff.clone() }.check().is_err());
        assert!(Backoff { factor: f64::NAN, ..backoff }.check().is_err());
    }
}
