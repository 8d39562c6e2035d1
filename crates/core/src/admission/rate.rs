//! How many attempts may begin within a period: `100/m`.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::Timestamp;

/// No more attempts than this may begin within any such period, wherever it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    period: Period,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Period {
    Second,
    Minute,
    Hour,
    Day,
}

/// Each beginning is remembered for a period.
const MOST: u32 = 100_000;

/// A text that is no rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no rate, such as 10/s, 100/m, 1000/h or 5000/d, with a number from 1 to {MOST}")]
pub struct NotARate(String);

impl Rate {
    /// How long a beginning counts.
    pub fn period(&self) -> Duration {
        Duration::from_secs(match self.period {
            Period::Second => 1,
            Period::Minute => 60,
            Period::Hour => 3600,
            Period::Day => 24 * 3600,
        })
    }

    /// How many may begin.
    pub fn count(&self) -> u32 {
        self.count
    }
}

impl FromStr for Rate {
    type Err = NotARate;

    fn from_str(text: &str) -> Result<Rate, NotARate> {
        let not_a_rate = || NotARate(text.chars().take(40).collect());
        let (count, unit) = text.split_once('/').ok_or_else(not_a_rate)?;
        let period = match unit.trim() {
            "s" => Period::Second,
            "m" => Period::Minute,
            "h" => Period::Hour,
            "d" => Period::Day,
            _ => return Err(not_a_rate()),
        };
        let count = count.trim().parse().ok().filter(|count| (1..=MOST).contains(count)).ok_or_else(not_a_rate)?;
        Ok(Rate { count, period })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.period {
            Period::Second => "s",
            Period::Minute => "m",
            Period::Hour => "h",
            Period::Day => "d",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

/// What has begun within the last period.
#[derive(Debug)]
pub(super) struct Window {
    rate: Rate,
    /// In order.
    begun: VecDeque<Timestamp>,
    /// Those who may begin, and have not: they may do so at any time.
    granted: usize,
}

impl Window {
    pub(super) fn new(rate: Rate) -> Window {
        Window { rate, begun: VecDeque::new(), granted: 0 }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// How many count now.
    pub(super) fn used(&self, now: Timestamp) -> usize {
        let over = self.begun.partition_point(|at| self.is_over(*at, now));
        self.begun.len() - over + self.granted
    }

    pub(super) fn has_room(&self, now: Timestamp) -> bool {
        self.used(now) < self.rate.count as usize
    }

    /// When the next one may begin that may not now; none if that depends on those who may.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let room = (self.rate.count as usize).checked_sub(self.granted).filter(|room| *room > 0)?;
        let counts_last = self.begun.len().checked_sub(room)?;
        self.begun.get(counts_last).map(|at| at.after(self.rate.period()))
    }

    pub(super) fn push(&mut self, at: Timestamp, now: Timestamp) {
        let over = self.begun.partition_point(|begun| self.is_over(*begun, now));
        self.begun.drain(..over);
        // The clock of another process may have been ahead: nothing counts longer than a period from now.
        let at = at.min(now);
        if !self.is_over(at, now) {
            self.begun.insert(self.begun.partition_point(|begun| *begun <= at), at);
        }
    }

    /// One more may begin.
    pub(super) fn grant(&mut self) {
        self.granted += 1;
    }

    /// One of those who may begin begins now, or does not.
    pub(super) fn settle(&mut self, has_begun: bool, now: Timestamp) {
        self.granted -= 1;
        if has_begun {
            self.push(now, now);
        }
    }

    fn is_over(&self, at: Timestamp, now: Timestamp) -> bool {
        at.after(self.rate.period()) <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s14_6_a_rate_is_a_number_and_a_period() {
        for text in ["1/s", "100/m", "1000/h", "100000/d"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        assert_eq!(" 5 / m ".parse::<Rate>().unwrap().period(), Duration::from_secs(60));
        for wrong in ["", "5", "5/", "/m", "0/m", "-1/m", "1.5/m", "5/week", "100001/s", "5/m/s"] {
            let error = wrong.parse::<Rate>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{wrong}`")), "{error}");
        }
    }

    #[test]
    fn s14_6_no_period_has_more_beginnings_than_its_rate() {
        let mut window = Window::new("2/s".parse().unwrap());
        let at = |millis: i64| Timestamp(millis * 1000);
        assert_eq!((window.has_room(at(0)), window.next()), (true, None));
        window.push(at(0), at(0));
        window.push(at(400), at(400));
        assert_eq!((window.has_room(at(999)), window.next()), (false, Some(at(1000))));
        assert!(window.has_room(at(1000)));
        window.push(at(1000), at(1000));
        assert_eq!((window.has_room(at(1399)), window.next()), (false, Some(at(1400))));
        // Whoever may begin counts until it has, however long that takes.
        assert!(window.has_room(at(2000)));
        window.grant();
        window.grant();
        assert_eq!((window.has_room(at(9999)), window.next()), (false, None));
        window.settle(false, at(10_000));
        window.settle(true, at(10_000));
        assert_eq!((window.used(at(10_000)), window.next()), (1, None));
        let mut window = Window::new("2/s".parse().unwrap());
        window.push(at(400), at(400));
        // What an earlier process has begun, by a clock that was ahead and one that was right.
        window.push(at(9000), at(1100));
        window.push(at(50), at(1100));
        assert_eq!((window.used(at(1100)), window.next()), (2, Some(at(1400))));
    }
}
