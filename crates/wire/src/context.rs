//! The string map that crosses task borders: one type for the SDK and the server, with one rule for keys that come twice.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;

use spanwise_core::ContextError;
use spanwise_core::context::is_reserved;
use spanwise_core::trace::{CARRIER_KEYS, TRACEPARENT, TraceParent};
use spanwise_proto::flyteidl2::core::KeyValuePair;

#[cfg(feature = "otel")]
mod otel;

/// The custom context: an ordered map of strings, given to a run and frozen with the inputs of each action.
///
/// Of a key that comes twice the last value counts, as in Python. Keys that begin with `_u_` are Flyte's own: they are kept on the
/// wire, hidden from [`get`](CustomContext::get) and [`iter`](CustomContext::iter), and not inherited by children.
///
/// Cheap to clone. With the feature `otel` it is an OpenTelemetry `Injector` and `Extractor`, so that
/// `propagator.inject_context(&cx, &mut carrier)` works on it directly. An empty value is not kept (opentelemetry-rust
/// injects an empty `tracestate`).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CustomContext {
    entries: Arc<Vec<(String, String)>>,
}

impl CustomContext {
    /// An empty map.
    pub fn new() -> CustomContext {
        CustomContext::default()
    }

    /// The value of a key. Reserved keys have none.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(other, _)| *other == key).map(|(_, value)| value)
    }

    /// Sets a key; an empty value leaves the map as it is.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        let (key, value) = (key.into(), value.into());
        if value.is_empty() {
            return;
        }
        let entries = Arc::make_mut(&mut self.entries);
        match entries.iter_mut().find(|(other, _)| *other == key) {
            Some((_, old)) => *old = value,
            None => entries.push((key, value)),
        }
    }

    /// The keys and values, in the order in which the keys were first set. Reserved keys are left out.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let entries = self.entries.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        entries.filter(|(key, _)| !is_reserved(key))
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// True if there is no key.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The W3C environment carrier: `TRACEPARENT`, `TRACESTATE` and `BAGGAGE` for a process that a task starts, so that it
    /// joins the trace.
    ///
    /// ```
    /// # let context = spanwise_wire::CustomContext::new();
    /// std::process::Command::new("true").envs(context.environment()).status()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn environment(&self) -> impl Iterator<Item = (String, &str)> {
        CARRIER_KEYS.into_iter().filter_map(|key| Some((key.to_uppercase(), self.get(key)?)))
    }

    /// `self` with the keys of `inner` on top (semantics S1.2).
    pub fn merged(&self, inner: &CustomContext) -> CustomContext {
        let overridden = |(key, _): &(String, String)| inner.entries.iter().any(|(new, _)| new == key);
        if self.entries.iter().all(overridden) {
            return inner.clone();
        }
        let mut merged = self.clone();
        for (key, value) in inner.entries.iter() {
            merged.set(key.as_str(), value.as_str());
        }
        merged
    }

    /// The span that the map names, if it is well-formed.
    pub fn span(&self) -> Option<TraceParent> {
        self.get(TRACEPARENT)?.parse().ok()
    }

    /// The same map without the keys that carry a trace: they belong to one run and are not reused by a rerun.
    pub fn without_trace(&self) -> CustomContext {
        self.filtered(|(key, _)| !CARRIER_KEYS.contains(&key.as_str()))
    }

    /// Checks the limits; called where the map is about to be frozen.
    ///
    /// # Errors
    /// A [`ContextError`] that names the limit and a key.
    pub fn check(&self) -> Result<(), ContextError> {
        spanwise_core::context::check(self.entries.iter().map(|(key, value)| (key.as_str(), value.as_str())))
    }

    /// All pairs, reserved ones too, as they stand in `Inputs.context`.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.entries
    }

    /// The map that stands in `Inputs.context`; of a key that comes twice the last value counts.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> CustomContext {
        let mut entries: Vec<(String, String)> = Vec::new();
        // Whoever sends them chooses how many there are, and no limit has been looked at yet.
        let mut positions: HashMap<String, usize> = HashMap::new();
        for (key, value) in pairs {
            match positions.entry(key) {
                Entry::Occupied(entry) => entries[*entry.get()].1 = value,
                Entry::Vacant(new) => {
                    entries.push((new.key().clone(), value));
                    new.insert(entries.len() - 1);
                }
            }
        }
        CustomContext { entries: Arc::new(entries) }
    }

    /// The map that a message holds.
    pub fn from_message(pairs: Vec<KeyValuePair>) -> CustomContext {
        CustomContext::from_pairs(pairs.into_iter().map(|pair| (pair.key, pair.value)))
    }

    /// The map for a message, reserved keys too.
    pub fn to_message(&self) -> Vec<KeyValuePair> {
        pairs(self.entries.iter().cloned())
    }

    /// The map without the keys that have no value.
    pub fn without_empty(&self) -> CustomContext {
        self.filtered(|(_, value)| !value.is_empty())
    }

    fn filtered(&self, keep: impl Fn(&&(String, String)) -> bool) -> CustomContext {
        CustomContext { entries: Arc::new(self.entries.iter().filter(keep).cloned().collect()) }
    }

    /// The map as the body of a task has it: Flyte's own keys are of one action, and its children do not inherit them.
    pub fn without_reserved(&self) -> CustomContext {
        if !self.entries.iter().any(|(key, _)| is_reserved(key)) {
            return self.clone();
        }
        self.filtered(|(key, _)| !is_reserved(key))
    }
}

/// Pairs of strings for a message.
pub(crate) fn pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Vec<KeyValuePair> {
    let pair = |(key, value)| KeyValuePair { key, value, ..KeyValuePair::default() };
    pairs.into_iter().map(pair).collect()
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for CustomContext {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> CustomContext {
        let mut context = CustomContext::new();
        for (key, value) in pairs {
            context.set(key, value);
        }
        context
    }
}

impl<K: Into<String>, V: Into<String>, const N: usize> From<[(K, V); N]> for CustomContext {
    fn from(pairs: [(K, V); N]) -> CustomContext {
        pairs.into_iter().collect()
    }
}

impl<K: Into<String>, V: Into<String>> From<std::collections::HashMap<K, V>> for CustomContext {
    /// In no particular order.
    fn from(pairs: std::collections::HashMap<K, V>) -> CustomContext {
        pairs.into_iter().collect()
    }
}

impl fmt::Debug for CustomContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s1_9_the_65th_key_and_the_8_kib_are_named() {
        let many: CustomContext = (0..65).map(|index| (format!("key-{index}"), "v")).collect();
        let message = many.check().unwrap_err().to_string();
        assert_eq!(message, "custom_context has 65 keys, the limit is 64; one of them is `key-64`");
        let large = CustomContext::from([("small", "v".to_owned()), ("large", "x".repeat(8200))]);
        let message = large.check().unwrap_err().to_string();
        assert!(message.contains("the limit is 8192") && message.contains("`large`"), "{message}");
        let most: CustomContext = (0..64).map(|index| (format!("key-{index}"), "v")).collect();
        most.check().unwrap();
    }

    #[test]
    fn s1_10_empty_values_are_dropped_before_they_reach_the_map() {
        let mut context = CustomContext::from([("traceparent", "00-x"), ("tracestate", "")]);
        context.set("baggage", "");
        assert_eq!(context.iter().collect::<Vec<_>>(), [("traceparent", "00-x")]);
    }

    #[test]
    fn s1_reserved_keys_are_kept_and_hidden() {
        let pairs = vec![("_u_kickoff_time_input_arg".to_owned(), "t".to_owned()), ("team".to_owned(), "a".to_owned())];
        let context = CustomContext::from_pairs(pairs.clone());
        assert_eq!(context.iter().collect::<Vec<_>>(), [("team", "a")]);
        assert_eq!(context.get("_u_kickoff_time_input_arg"), None);
        assert_eq!(context.pairs(), pairs);
        assert_eq!(context.without_reserved(), CustomContext::from([("team", "a")]));
    }

    #[test]
    fn s1_9_of_a_key_that_comes_twice_the_last_value_counts() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let context = CustomContext::from_pairs(vec![pair("a", "1"), pair("b", "2"), pair("a", "3")]);
        assert_eq!(context.iter().collect::<Vec<_>>(), [("a", "3"), ("b", "2")]);
        assert_eq!(CustomContext::from_message(context.to_message()), context);
    }

    #[test]
    fn s1_2_the_inner_map_wins_and_keeps_the_rest() {
        let outer = CustomContext::from([("a", "1"), ("b", "2")]);
        let merged = outer.merged(&CustomContext::from([("b", "3"), ("c", "4")]));
        assert_eq!(merged.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "3"), ("c", "4")]);
    }

    #[test]
    fn s1_6_a_rerun_drops_what_carries_the_trace() {
        let context = CustomContext::from([("traceparent", "t"), ("tracestate", "s"), ("baggage", "b"), ("team", "a")]);
        assert_eq!(context.without_trace(), CustomContext::from([("team", "a")]));
    }

    #[test]
    fn s1_11_the_environment_carrier_has_the_w3c_names() {
        let context = CustomContext::from([("traceparent", "t"), ("baggage", "b"), ("team", "a")]);
        let variables: Vec<_> = context.environment().collect();
        assert_eq!(variables, [("TRACEPARENT".to_owned(), "t"), ("BAGGAGE".to_owned(), "b")]);
    }

    #[test]
    fn s1_9_as_many_pairs_as_anybody_sends_are_read_before_they_are_refused() {
        let pairs = (0..400_000).map(|number| (format!("key{}", number % 200_000), number.to_string()));
        let context = CustomContext::from_pairs(pairs);
        assert_eq!((context.pairs().len(), context.get("key7")), (200_000, Some("200007")));
        assert!(context.check().is_err());
    }
}
