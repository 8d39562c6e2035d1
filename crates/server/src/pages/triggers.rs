//! The list of triggers: what fires them, when next, and what they have fired.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use spanwise_core::Timestamp;
use spanwise_core::trigger::TriggerId;
use spanwise_engine::{RunRow, TriggerQuery, TriggerRow};
use spanwise_wire::trigger::described;

use super::assets::{ASSETS, Assets};
use super::format::{Badge, When, badge, when};
use super::{PageError, Pages, address, render};
use crate::control::{Error, wall_clock};

/// As many as a page has; there is no page behind it.
const MOST: usize = 500;

struct Row {
    name: String,
    task: String,
    scope: String,
    scope_address: String,
    description: String,
    /// What fires it.
    fires: String,
    state: &'static str,
    /// What becomes of slots that were missed, and of those that come too early.
    rules: String,
    next: Option<When>,
    /// The last run, and where all of them are listed.
    last: Option<Last>,
    runs: String,
    /// What is wrong with it.
    trouble: Option<String>,
}

struct Last {
    badge: Badge,
    name: String,
    address: String,
    created: When,
}

impl Last {
    fn of(run: &RunRow, now: Timestamp) -> Last {
        Last {
            badge: badge(run.phase),
            name: run.id.name.to_string(),
            address: address::run(&run.id, None),
            created: when(run.created_at, now),
        }
    }
}

/// Where the runs of a trigger are listed.
pub(super) fn runs_of(id: &TriggerId) -> String {
    let list = address::runs(&id.scope.project, &id.scope.domain);
    format!("{list}{}", address::query([("task", id.task.clone()), ("trigger", id.name.clone())]))
}

impl Row {
    fn of(pages: &Pages, trigger: &TriggerRow, now: Timestamp) -> Result<Row, Error> {
        let TriggerId { scope, task, name } = &trigger.id;
        let definition = pages.control.trigger_definition(trigger)?;
        let schedule = definition.schedule(trigger.changed_at).ok().flatten().filter(|_| trigger.active);
        let next = schedule.as_ref().and_then(|schedule| schedule.after(now));
        let rules = pages.control.firing_rules(&definition);
        Ok(Row {
            name: name.clone(),
            task: task.clone(),
            scope: format!("{} / {}", scope.project, scope.domain),
            scope_address: address::runs(&scope.project, &scope.domain),
            description: definition.description().to_owned(),
            fires: described(&definition.automation),
            state: if trigger.active { "active" } else { "paused" },
            rules: match schedule.is_some() {
                true => format!("missed: {}, overlap: {}", rules.catch_up, rules.overlap),
                false => String::new(),
            },
            next: next.map(|slot| when(slot, now)),
            last: pages.control.fired(&trigger.id, 1)?.first().map(|run| Last::of(run, now)),
            runs: runs_of(&trigger.id),
            trouble: pages.control.firing_trouble(&trigger.id),
        })
    }
}

#[derive(Template)]
#[template(path = "triggers.html")]
struct TriggersPage {
    assets: &'static Assets,
    rows: Vec<Row>,
}

/// Every trigger.
pub(super) async fn all(State(pages): State<Pages>) -> Response {
    let read = || {
        let triggers = pages.control.triggers(&TriggerQuery { limit: MOST, ..TriggerQuery::default() })?;
        let now = wall_clock();
        triggers.iter().map(|trigger| Row::of(&pages, trigger, now)).collect::<Result<Vec<_>, Error>>()
    };
    match read() {
        Ok(rows) => render(&TriggersPage { assets: &ASSETS, rows }),
        Err(error) => PageError::from(error).into_response(),
    }
}
