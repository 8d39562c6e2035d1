//! Artifacts: named values in versions, each of which may belong to a partition.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Scope, Timestamp};

/// The name of an artifact, with everything that makes it unique.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArtifactName {
    /// Where it belongs.
    pub scope: Scope,
    /// Its name.
    pub name: String,
}

/// A version of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArtifactId {
    /// Of which artifact.
    pub name: ArtifactName,
    /// The version.
    pub version: String,
}

/// The number of a version of an artifact in its store: later versions have higher ones, whatever the clock says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ArtifactKey(pub i64);

/// How long a partition by time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Granularity {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week from Monday on.
    Week,
    /// A month.
    Month,
}

impl Granularity {
    /// The start of the partition that a moment is in, in UTC.
    pub fn start_of(self, moment: Timestamp) -> Timestamp {
        const MINUTE: i64 = 60_000_000;
        let floor = |length: i64| Timestamp(moment.0.div_euclid(length) * length);
        let day = floor(1440 * MINUTE);
        match self {
            Granularity::Minute => floor(MINUTE),
            Granularity::Hour => floor(60 * MINUTE),
            Granularity::Day => day,
            Granularity::Week => {
                // The first day that is counted was a Thursday.
                let since_monday = (day.0.div_euclid(1440 * MINUTE) + 3).rem_euclid(7);
                Timestamp(day.0 - since_monday * 1440 * MINUTE)
            }
            Granularity::Month => {
                let date = jiff::Timestamp::from_microsecond(day.0).unwrap_or_default();
                let date = jiff::tz::Offset::UTC.to_datetime(date);
                let since_first = i64::from(date.day()) - 1;
                Timestamp(day.0 - since_first * 1440 * MINUTE)
            }
        }
    }
}

/// The partition by time that a version belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimePartition {
    /// What the partition is called, mostly `date`.
    pub key: String,
    /// How long it is.
    pub granularity: Granularity,
    /// Its start.
    pub start: Timestamp,
}

/// The partition that a version belongs to; none of both for an artifact that has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partition {
    /// By time.
    pub time: Option<TimePartition>,
    /// By texts.
    pub texts: BTreeMap<String, String>,
}

/// The keys by which versions of an artifact are partitioned. Fixed by whoever declares it, or by its first version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionSchema {
    /// The key by time, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<(String, Granularity)>,
    /// The others, in the order in which they were declared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<String>,
}

impl PartitionSchema {
    /// The keys of a version.
    pub fn of(partition: &Partition) -> PartitionSchema {
        PartitionSchema {
            time: partition.time.as_ref().map(|time| (time.key.clone(), time.granularity)),
            texts: partition.texts.keys().cloned().collect(),
        }
    }

    /// True if both have the same keys, in whatever order.
    pub fn is_same(&self, other: &PartitionSchema) -> bool {
        let sorted = |schema: &PartitionSchema| {
            let mut texts = schema.texts.clone();
            texts.sort_unstable();
            texts
        };
        self.time == other.time && sorted(self) == sorted(other)
    }
}

/// What somebody waits for: the next version of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnArtifact {
    /// The name of the artifact, in the scope of who waits.
    pub name: String,
    /// Only this version, if one is named.
    pub version: Option<String>,
    /// Only versions that have each of these in their partition.
    pub partition: BTreeMap<String, String>,
}

impl OnArtifact {
    /// True for a version that is waited for.
    pub fn wants(&self, version: &str, partition: &Partition) -> bool {
        self.version.as_deref().is_none_or(|wanted| wanted == version)
            && self.partition.iter().all(|(key, value)| partition.texts.get(key) == Some(value))
    }
}

#[cfg(test)]
mod tests;
