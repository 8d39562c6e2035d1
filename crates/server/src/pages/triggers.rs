//! Triggers: what fires them, when next, and what they have fired.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::Uri;
use spanwise_core::trigger::{TriggerChange, TriggerId};
use spanwise_core::{Scope, Timestamp};
use spanwise_engine::{RunRow, TriggerQuery, TriggerRow};
use spanwise_wire::{ids, trigger::described};

use super::assets::{ASSETS, Assets};
use super::format::{Badge, When, badge, when};
use super::{PageError, Pages, address, render};
use crate::control::{Error, wall_clock};

/// As many as a page has; there is no page behind it.
const MOST: usize = 500;

/// How many slots behind the next one, changes and runs the page of a trigger shows.
const LATER: usize = 4;
const REVISIONS: usize = 20;
const RUNS: usize = 20;

struct Row {
    name: String,
    address: String,
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
fn runs_of(id: &TriggerId) -> String {
    let list = address::runs(&id.scope.project, &id.scope.domain);
    format!("{list}{}", address::query([("task", id.task.clone()), ("trigger", id.name.clone())]))
}

impl Row {
    fn of(pages: &Pages, trigger: &TriggerRow, now: Timestamp) -> Result<Row, Error> {
        let TriggerId { scope, task, name } = &trigger.id;
        let definition = pages.control.trigger_definition(trigger)?;
        let schedule = definition.schedule(trigger.since).ok().flatten().filter(|_| trigger.active);
        let next = schedule.as_ref().and_then(|schedule| schedule.after(now));
        let rules = pages.control.firing_rules(&definition);
        Ok(Row {
            name: name.clone(),
            address: address::trigger(&trigger.id),
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
            trouble: pages.control.firing_trouble(trigger),
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
    list(&pages, None)
}

/// The triggers of one project.
pub(super) async fn of_project(
    State(pages): State<Pages>,
    Path((domain, project)): Path<(String, String)>,
    uri: Uri,
) -> Response {
    match ids::scope(&org(&uri), &project, &domain) {
        Ok(scope) => list(&pages, Some(scope)),
        Err(error) => PageError::not_found(error.to_string()).into_response(),
    }
}

fn list(pages: &Pages, scope: Option<Scope>) -> Response {
    let read = || {
        let query = TriggerQuery { scope, limit: MOST, ..TriggerQuery::default() };
        let (triggers, now) = (pages.control.triggers(&query)?, wall_clock());
        triggers.iter().map(|trigger| Row::of(pages, trigger, now)).collect::<Result<Vec<_>, Error>>()
    };
    match read() {
        Ok(rows) => render(&TriggersPage { assets: &ASSETS, rows }),
        Err(error) => PageError::from(error).into_response(),
    }
}

/// A change of a trigger.
struct Revision {
    number: u64,
    change: &'static str,
    at: When,
    task_version: String,
}

#[derive(Template)]
#[template(path = "trigger.html")]
struct TriggerPage {
    assets: &'static Assets,
    row: Row,
    /// Those after the next one.
    later: Vec<When>,
    task_version: String,
    warnings: Vec<String>,
    revisions: Vec<Revision>,
    last: Vec<Last>,
}

/// One trigger.
pub(super) async fn one(
    State(pages): State<Pages>,
    Path((domain, project, task, trigger)): Path<(String, String, String, String)>,
    uri: Uri,
) -> Response {
    let found = || {
        let id = ids::trigger_of_task(ids::scope(&org(&uri), &project, &domain)?, &task, &trigger)?;
        page_of(&pages, &pages.control.trigger(&id)?)
    };
    match found() {
        Ok(page) => render(&page),
        Err(error) => PageError::from(error).into_response(),
    }
}

fn page_of(pages: &Pages, trigger: &TriggerRow) -> Result<TriggerPage, Error> {
    let now = wall_clock();
    let definition = pages.control.trigger_definition(trigger)?;
    let schedule = definition.schedule(trigger.since)?.filter(|_| trigger.active);
    let slots = schedule.iter().flat_map(|schedule| schedule.between(now, Timestamp(i64::MAX)));
    let later = slots.skip(1).take(LATER).map(|slot| when(slot, now)).collect();
    let revisions = pages.control.trigger_revisions(&trigger.id, 0, REVISIONS)?.into_iter().map(|row| Revision {
        number: row.revision,
        change: match row.change {
            TriggerChange::Deployed => "deployed",
            TriggerChange::Activated => "activated",
            TriggerChange::Deactivated => "deactivated",
            TriggerChange::Deleted => "deleted",
        },
        at: when(row.changed_at, now),
        task_version: row.task_version,
    });
    let runs = pages.control.fired(&trigger.id, RUNS)?;
    Ok(TriggerPage {
        assets: &ASSETS,
        row: Row::of(pages, trigger, now)?,
        later,
        task_version: trigger.task_version.clone(),
        warnings: definition.warnings(),
        revisions: revisions.collect(),
        last: runs.iter().map(|run| Last::of(run, now)).collect(),
    })
}

/// The organisation that an address names, mostly none.
fn org(uri: &Uri) -> String {
    address::pairs(uri).into_iter().find(|(name, _)| name == "org").map(|(_, org)| org).unwrap_or_default()
}
