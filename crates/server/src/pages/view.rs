//! What an address says: which run, and what of it is looked at.

use std::collections::{BTreeMap, BTreeSet};

use http::Uri;
use serde::Deserialize;
use spanwise_core::ActionName;
use spanwise_core::trace::SpanId;
use spanwise_engine::RunHandle;

use super::{PageError, Pages, address};

/// A run in an address.
#[derive(Deserialize)]
pub(super) struct RunRoute {
    pub(super) domain: String,
    pub(super) project: String,
    pub(super) run: String,
}

impl RunRoute {
    pub(super) fn run(&self, pages: &Pages, uri: &Uri) -> Result<RunHandle, PageError> {
        let org = address::pairs(uri).into_iter().find(|(name, _)| name == "org").map(|(_, org)| org);
        let id = address::run_id(&self.domain, &self.project, &self.run, &org.unwrap_or_default());
        pages.run(&id.map_err(PageError::not_found)?)
    }
}

/// What of a run is looked at: all of it is in the address, so that it can be sent to somebody.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) org: String,
    pub(super) selected: Option<ActionName>,
    /// The span in the panel; then it shows no action.
    pub(super) span: Option<SpanId>,
    pub(super) open: BTreeSet<String>,
    pub(super) shut: BTreeSet<String>,
    /// Where the page of a node's children begins.
    pub(super) at: BTreeMap<String, usize>,
    /// A class of phases to show.
    pub(super) show: String,
    /// A part of a name to look for.
    pub(super) find: String,
    pub(super) from: usize,
    /// The attempt whose log is shown.
    pub(super) attempt: Option<u32>,
    /// Values are shown in full.
    pub(super) full: bool,
}

impl View {
    pub(super) fn of(uri: &Uri) -> View {
        let mut view = View::default();
        for (name, value) in address::pairs(uri) {
            match name.as_str() {
                "org" => view.org = value,
                "i" => view.selected = ActionName::new(&value).ok(),
                "s" => view.span = span_id(&value),
                "open" => view.open = keys(&value),
                "shut" => view.shut = keys(&value),
                "at" => view.at = positions(&value),
                "show" => view.show = value,
                "find" => view.find = value.trim().to_owned(),
                "from" => view.from = value.parse().unwrap_or(0),
                "attempt" => view.attempt = value.parse().ok(),
                "full" => view.full = value == "1",
                _ => {}
            }
        }
        view
    }

    /// The action in the panel.
    pub(super) fn chosen(&self) -> ActionName {
        self.selected.unwrap_or(ActionName::ROOT)
    }

    /// True if actions are looked for: they are shown without the tree.
    pub(super) fn is_flat(&self) -> bool {
        !self.show.is_empty() || !self.find.is_empty()
    }

    /// The address of another view, relative to the page.
    pub(super) fn with(&self, change: impl FnOnce(&mut View)) -> String {
        let mut view = self.clone();
        change(&mut view);
        let list = |keys: &BTreeSet<String>| keys.iter().cloned().collect::<Vec<_>>().join(",");
        let at: Vec<String> = view.at.iter().map(|(key, at)| format!("{key}:{at}")).collect();
        let query = address::query([
            ("i", view.selected.map(|name| name.to_string()).unwrap_or_default()),
            ("s", view.span.map(|span| span.to_string()).unwrap_or_default()),
            ("show", view.show.clone()),
            ("find", view.find.clone()),
            ("from", if view.from > 0 { view.from.to_string() } else { String::new() }),
            ("open", list(&view.open)),
            ("shut", list(&view.shut)),
            ("at", at.join(",")),
            ("attempt", view.attempt.map(|attempt| attempt.to_string()).unwrap_or_default()),
            ("full", if view.full { "1".to_owned() } else { String::new() }),
            ("org", view.org.clone()),
        ]);
        if query.is_empty() { "?".to_owned() } else { query }
    }
}

fn span_id(text: &str) -> Option<SpanId> {
    let id = u64::from_str_radix(text, 16).ok().filter(|id| *id != 0 && text.len() == 16)?;
    Some(SpanId(id.to_be_bytes()))
}

fn positions(text: &str) -> BTreeMap<String, usize> {
    let key = |part: &str| {
        let (key, at) = part.split_once(':')?;
        Some((key.to_owned(), at.parse().ok()?))
    };
    text.split(',').take(100).filter_map(key).collect()
}

/// Keys of nodes in an address.
pub(super) fn keys(text: &str) -> BTreeSet<String> {
    const MOST: usize = 100;
    text.split(',').filter(|key| !key.is_empty()).take(MOST).map(str::to_owned).collect()
}
