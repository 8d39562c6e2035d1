//! Artifacts: their versions, what has made each, and which runs were given it.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::Uri;
use spanwise_core::{Scope, Timestamp};
use spanwise_engine::{ArtifactGroup, ArtifactQuery, ArtifactRow, ArtifactSource, RunRow};
use spanwise_wire::{artifact, ids};

use super::assets::{ASSETS, Assets};
use super::format::{Badge, When, badge, when};
use super::{PageError, Pages, address, render};
use crate::control::{Error, version, wall_clock};

/// As many as a page has; there is no page behind it.
const MOST: usize = 500;

/// As many versions of one artifact.
const VERSIONS: usize = 100;

/// As many runs that were given a version.
const RUNS: usize = 10;

struct Row {
    name: String,
    address: String,
    description: String,
    versions: u64,
    latest: String,
    partition: String,
    created: When,
    scope: String,
    scope_address: String,
}

impl Row {
    fn of(group: &ArtifactGroup, now: Timestamp) -> Result<Row, Error> {
        let latest = &group.latest.artifact;
        let (name, scope) = (&latest.id.name, &latest.id.name.scope);
        Ok(Row {
            name: name.name.clone(),
            address: address::artifact(name),
            description: version(&group.latest)?.description().to_owned(),
            versions: group.versions,
            latest: latest.id.version.clone(),
            partition: artifact::partition_text(&latest.partition),
            created: when(latest.created_at, now),
            scope: format!("{} / {}", scope.project, scope.domain),
            scope_address: address::runs(&scope.project, &scope.domain),
        })
    }
}

#[derive(Template)]
#[template(path = "artifacts.html")]
struct ArtifactsPage {
    assets: &'static Assets,
    rows: Vec<Row>,
}

/// Every artifact.
pub(super) async fn all(State(pages): State<Pages>) -> Response {
    list(&pages, None)
}

/// The artifacts of one project.
pub(super) async fn of_project(
    State(pages): State<Pages>,
    Path((domain, project)): Path<(String, String)>,
    uri: Uri,
) -> Response {
    match ids::scope(&org(&uri), &project, &domain) {
        Ok(scope) => list(&pages, Some(&scope)),
        Err(error) => PageError::not_found(error.to_string()).into_response(),
    }
}

fn list(pages: &Pages, scope: Option<&Scope>) -> Response {
    let read = || {
        let (groups, now) = (pages.control.artifact_names(scope, "", 0, MOST)?, wall_clock());
        groups.iter().map(|group| Row::of(group, now)).collect::<Result<Vec<_>, Error>>()
    };
    match read() {
        Ok(rows) => render(&ArtifactsPage { assets: &ASSETS, rows }),
        Err(error) => PageError::from(error).into_response(),
    }
}

/// A run that was given a version.
struct Given {
    badge: Badge,
    name: String,
    address: String,
}

impl Given {
    fn of(run: &RunRow) -> Given {
        Given { badge: badge(run.phase), name: run.id.name.to_string(), address: address::run(&run.id, None) }
    }
}

/// One version.
struct Shown {
    version: String,
    description: String,
    partition: String,
    words: Vec<String>,
    parents: Vec<String>,
    /// What has made it: the name of its run, and the address of the action.
    made_by: Option<(String, String)>,
    /// Or where it comes from.
    external: String,
    created: When,
    given: Vec<Given>,
    mismatch: Option<String>,
}

impl Shown {
    fn of(pages: &Pages, row: &ArtifactRow, now: Timestamp) -> Result<Shown, Error> {
        let (read, of) = (version(row)?, &row.artifact);
        let made_by = match &of.source {
            ArtifactSource::Attempt { run, action, .. } => {
                let id = of.id.name.scope.clone().run(run.clone());
                Some((run.to_string(), address::run(&id, Some(action))))
            }
            _ => None,
        };
        let external = match &of.source {
            ArtifactSource::External(external) => external.clone(),
            _ => String::new(),
        };
        Ok(Shown {
            version: of.id.version.clone(),
            description: read.description().to_owned(),
            partition: artifact::partition_text(&of.partition),
            words: read.metadata().map(|(key, value)| format!("{key}={value}")).collect(),
            parents: read.parents().collect(),
            made_by,
            external,
            created: when(of.created_at, now),
            given: pages.control.runs_with_artifact(row.key)?.iter().take(RUNS).map(Given::of).collect(),
            mismatch: read.mismatch().map(str::to_owned),
        })
    }
}

#[derive(Template)]
#[template(path = "artifact.html")]
struct ArtifactPage {
    assets: &'static Assets,
    name: String,
    scope: String,
    scope_address: String,
    versions: Vec<Shown>,
    /// There are more than these.
    more: bool,
}

/// One artifact.
pub(super) async fn one(
    State(pages): State<Pages>,
    Path((domain, project, name)): Path<(String, String, String)>,
    uri: Uri,
) -> Response {
    let found = || {
        let scope = ids::scope(&org(&uri), &project, &domain)?;
        let name = artifact::named(scope, &name)?;
        // One that is not there has no page.
        pages.control.latest_artifact(&name)?;
        let query = ArtifactQuery { limit: VERSIONS + 1, ..ArtifactQuery::of(&name) };
        let (rows, now) = (pages.control.artifacts(&query)?, wall_clock());
        let versions = rows.iter().take(VERSIONS).map(|row| Shown::of(&pages, row, now));
        Ok::<_, Error>(ArtifactPage {
            assets: &ASSETS,
            name: name.name,
            scope: format!("{} / {}", name.scope.project, name.scope.domain),
            scope_address: address::runs(&name.scope.project, &name.scope.domain),
            versions: versions.collect::<Result<_, _>>()?,
            more: rows.len() > VERSIONS,
        })
    };
    match found() {
        Ok(page) => render(&page),
        Err(error) => PageError::from(error).into_response(),
    }
}

/// The organisation that an address names, mostly none.
fn org(uri: &Uri) -> String {
    address::pairs(uri).into_iter().find(|(name, _)| name == "org").map(|(_, org)| org).unwrap_or_default()
}
