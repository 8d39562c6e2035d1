//! How long things are kept, and how much of them.

use std::time::Duration;

/// How long finished runs are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Finished runs and cached outputs older than this are deleted; none keeps them for ever.
    pub max_age: Option<Duration>,
    /// While the store is larger than this (bytes), the oldest finished runs are deleted, with what was cached in their time;
    /// cached outputs have half of it at most. None means no limit.
    pub max_bytes: Option<u64>,
}

impl Default for Retention {
    /// 30 days and 1 GiB: room for millions of actions, and no laptop's disk fills up unnoticed.
    fn default() -> Retention {
        Retention { max_age: Some(Duration::from_secs(30 * 24 * 3600)), max_bytes: Some(1 << 30) }
    }
}
