//! Why an action is not launched, in words.

use spanwise_core::Timestamp;
use spanwise_engine::{Busy, ShortPool, WaitsFor};

/// So many of those that are in the way are named.
const NAMED: usize = 8;

/// What an action waits for.
pub(crate) fn text(waits: &WaitsFor) -> String {
    match waits {
        WaitsFor::Slot(busy) => {
            told_busy(busy, "", busy.who.iter().map(|(run, action)| format!("{} {action}", run.name)))
        }
        WaitsFor::SlotOfRun(busy) => {
            told_busy(busy, " of the run", busy.who.iter().map(|(_, action)| action.to_string()))
        }
        WaitsFor::Pool(ShortPool { pool, who, count }) if who.is_empty() => {
            count.map_or_else(|| pool.clone(), |_| format!("{pool} busy"))
        }
        WaitsFor::Pool(ShortPool { pool, who, count }) => {
            let busy = who.iter().map(|(run, action)| format!("{} {action}", run.name));
            let count = count.map_or(who.len(), |count| usize::try_from(count).unwrap_or(usize::MAX));
            format!("{pool} busy: {}", named(busy, count))
        }
        WaitsFor::Moment(until) => format!("until {}", moment(*until)),
        WaitsFor::Key => "another action computes the outputs for the same cache key".to_owned(),
    }
}

/// A moment to the second, in UTC.
fn moment(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_microsecond(at.0).unwrap_or_default();
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn told_busy(busy: &Busy, whose: &str, names: impl Iterator<Item = String>) -> String {
    format!("{} of {} slots{whose} busy: {}", busy.who.len(), busy.limit, named(names, busy.who.len()))
}

/// The first of so many.
fn named(names: impl Iterator<Item = String>, count: usize) -> String {
    let named: Vec<String> = names.take(NAMED).collect();
    let more = match count.saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use spanwise_core::{ActionName, RunId, RunName};

    use super::*;

    #[test]
    fn s4_what_is_in_the_way_is_named() {
        let run = |name: &str| RunId {
            org: String::new(),
            project: "p".to_owned(),
            domain: "d".to_owned(),
            name: RunName::new(name).unwrap(),
        };
        let who = |count: usize| (0..count).map(|n| (run(&format!("r{n}")), ActionName::ROOT)).collect();
        assert_eq!(text(&WaitsFor::Slot(Busy { limit: 2, who: who(2) })), "2 of 2 slots busy: r0 a0, r1 a0");
        assert_eq!(text(&WaitsFor::SlotOfRun(Busy { limit: 1, who: who(1) })), "1 of 1 slots of the run busy: a0");
        assert_eq!(text(&WaitsFor::Moment(Timestamp(1_500_000))), "until 1970-01-01 00:00:01 UTC");
        let many = text(&WaitsFor::Slot(Busy { limit: 10, who: who(10) }));
        assert!(many.ends_with("r6 a0, r7 a0 and 2 more"), "{many}");
        let pool = |pool: &str, who, count| text(&WaitsFor::Pool(ShortPool { pool: pool.to_owned(), who, count }));
        assert_eq!(pool("gpu 2 of 2", who(2), Some(2)), "gpu 2 of 2 busy: r0 a0, r1 a0");
        assert!(pool("gpu 30 of 30", who(8), Some(30)).ends_with("r7 a0 and 22 more"));
        assert_eq!(pool("server memory 6Gi of 8Gi", who(1), None), "server memory 6Gi of 8Gi busy: r0 a0");
        assert_eq!(pool("gpu rate 100/m", Vec::new(), None), "gpu rate 100/m");
    }
}
