//! What whoever starts a run chooses about it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The options of a run: one struct for the SDK, the command line, the wire and the journal.
///
/// A field that is added here is passed on by all of them. A reader that meets a field which it does not know refuses all of it, and names the field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunOptions {
    /// How many of its actions may run at one time; none or 0 means no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_action_concurrency: Option<u32>,
    /// The queue of those of its tasks that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Free labels, by which lists can be filtered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Free notes about it, for people and other tools: shown, and nothing filters by them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Variables of its task processes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The level at which its lifecycle is traced; none: that of its project or its engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// How its actions use the cache.
    #[serde(default, skip_serializing_if = "CacheOptions::is_default")]
    pub cache: CacheOptions,
    /// In a run that recovers another one: actions that are run again although they have succeeded there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rerun_actions: Vec<String>,
}

/// How the actions of a run use the cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheOptions {
    /// Recompute and replace: no lookup.
    #[serde(default)]
    pub overwrite: bool,
    /// What was computed in any project and domain of the organisation counts.
    #[serde(default)]
    pub any_project: bool,
}

impl CacheOptions {
    fn is_default(&self) -> bool {
        *self == CacheOptions::default()
    }
}

impl RunOptions {
    /// The keys of labels that hold a NUL, in themselves or in their values: stores of text would lose what follows it.
    pub fn labels_with_nul(&self) -> impl Iterator<Item = &str> {
        let has_nul = |(key, value): &(&String, &String)| key.contains('\0') || value.contains('\0');
        self.labels.iter().filter(has_nul).map(|(key, _)| key.as_str())
    }

    /// What is stored beside the run and shown with it. Left out is what only its actions need, and what may be secret.
    #[must_use]
    pub fn shown(&self) -> RunOptions {
        RunOptions {
            env: BTreeMap::new(),
            trace: None,
            cache: CacheOptions::default(),
            rerun_actions: Vec::new(),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_with_a_nul_is_found_by_its_key() {
        let cases =
            [("team", "a", None), ("team", "a\0b", Some("team")), ("te\0am", "a", Some("te\0am")), ("", "", None)];
        for (key, value, found) in cases {
            let labels = [("a".to_owned(), "b".to_owned()), (key.to_owned(), value.to_owned())].into();
            let options = RunOptions { labels, ..RunOptions::default() };
            assert_eq!(options.labels_with_nul().next(), found, "{key:?} = {value:?}");
        }
    }
}
