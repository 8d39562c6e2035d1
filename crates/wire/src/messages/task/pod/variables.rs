//! The variables of a container, and texts in which they stand.

use std::collections::HashMap;

use spanwise_proto::flyteidl2::core::KeyValuePair;

/// What the variables and the arguments of a container may come to, with variables put in: no process can be given more. Each variable may
/// have the one before it twice, so that thirty of them would fill the memory.
pub(super) const MAX_EXPANDED: usize = 2 << 20;

/// The variables of a container.
pub(super) struct Variables {
    /// By their names; when each was set last.
    values: HashMap<String, (usize, String)>,
    /// How often one was set.
    set: usize,
    /// What may still be made.
    left: Option<usize>,
}

impl Variables {
    pub(super) fn new() -> Variables {
        Variables { values: HashMap::new(), set: 0, left: Some(MAX_EXPANDED) }
    }

    /// True if a text was left out because there would have been too much.
    pub(super) fn are_too_large(&self) -> bool {
        self.left.is_none()
    }

    pub(super) fn set(&mut self, name: String, value: String) {
        self.set += 1;
        self.values.insert(name, (self.set, value));
    }

    /// A text with `$(NAME)` put in where the variable is known, as Kubernetes does; `$$` is a dollar that is none of it. Empty if that
    /// would be too much.
    pub(super) fn put_into(&mut self, text: &str) -> String {
        let Some(left) = self.left else { return String::new() };
        let made = self.expanded(text, left);
        self.left = made.as_ref().map(|made| left - made.len());
        made.unwrap_or_default()
    }

    fn expanded(&self, text: &str, limit: usize) -> Option<String> {
        let (mut out, mut rest) = (String::new(), text);
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            let named = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
            let variable = named.and_then(|(name, rest)| Some((self.values.get(name)?, rest)));
            rest = if let Some(rest) = after.strip_prefix('$') {
                out.push('$');
                rest
            } else if let Some(((_, value), rest)) = variable {
                out.push_str(value);
                rest
            } else {
                out.push('$');
                after
            };
            if out.len() > limit {
                return None;
            }
        }
        out.push_str(rest);
        Some(out).filter(|out| out.len() <= limit)
    }

    /// The variables as a container has them, in the order in which they were set last.
    pub(super) fn into_pairs(self) -> Vec<KeyValuePair> {
        let mut listed: Vec<_> = self.values.into_iter().map(|(name, (number, value))| (number, name, value)).collect();
        listed.sort_unstable();
        listed.into_iter().map(|(_, key, value)| KeyValuePair { key, value, ..KeyValuePair::default() }).collect()
    }
}
