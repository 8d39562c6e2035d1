//! The addresses of pages, and what of their queries is understood.

use form_urlencoded::Serializer;
use http::Uri;
use spanwise_core::artifact::ArtifactName;
use spanwise_core::trigger::TriggerId;
use spanwise_core::{ActionName, AttemptNo, DEFAULT_ORG, RunId, RunName};
use spanwise_wire::apps::AppId;
use spanwise_wire::ids;

/// The pairs of a query string.
pub(super) fn pairs(uri: &Uri) -> Vec<(String, String)> {
    form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
}

/// A query string with its `?`, without pairs that say nothing; empty if none says anything.
pub(super) fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut query = Serializer::new(String::new());
    for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, &value);
    }
    match query.finish() {
        empty if empty.is_empty() => empty,
        query => format!("?{query}"),
    }
}

/// The full name of a run from the parts of its address.
pub(super) fn run_id(domain: &str, project: &str, run: &str, org: &str) -> Result<RunId, String> {
    let name = RunName::new(run).map_err(|error| error.to_string())?;
    let scope = ids::scope(org, project, domain).map_err(|error| error.to_string())?;
    Ok(scope.run(name))
}

/// The list of a project's runs.
pub(super) fn runs(project: &str, domain: &str) -> String {
    format!("/v2/domain/{domain}/project/{project}/runs")
}

/// The list of a project's apps.
pub(super) fn apps(project: &str, domain: &str) -> String {
    format!("/v2/domain/{domain}/project/{project}/apps")
}

/// The page of an app, without what only its query says.
pub(super) fn app_path(id: &AppId) -> String {
    format!("{}/{}", apps(&id.project, &id.domain), id.name)
}

/// The page of an app.
pub(super) fn app(id: &AppId) -> String {
    let org = if id.org == DEFAULT_ORG { String::new() } else { id.org.clone() };
    format!("{}{}", app_path(id), query([("org", org)]))
}

fn run_path(id: &RunId) -> String {
    format!("{}/{}", runs(&id.project, &id.domain), id.name)
}

/// The organisation, where the address has to name it.
pub(super) fn org(id: &RunId) -> String {
    if id.org == DEFAULT_ORG { String::new() } else { id.org.clone() }
}

/// The page of a run, with one of its actions chosen.
pub(super) fn run(id: &RunId, action: Option<&ActionName>) -> String {
    let action = action.filter(|action| !action.is_root()).map(ToString::to_string).unwrap_or_default();
    format!("{}{}", run_path(id), query([("i", action), ("org", org(id))]))
}

/// Something that belongs to a run: its events, its buttons.
pub(super) fn of_run(id: &RunId, what: &str) -> String {
    format!("{}/{what}{}", run_path(id), query([("org", org(id))]))
}

/// What of a name is not a part of a path as it is.
const IN_A_PATH: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// The page of a trigger, at the address that the SDK prints.
pub(super) fn trigger(id: &TriggerId) -> String {
    let part = |name: &str| percent_encoding::utf8_percent_encode(name, IN_A_PATH).to_string();
    let TriggerId { scope, task, name } = id;
    let list = format!("/v2/domain/{}/project/{}/triggers", scope.domain, scope.project);
    let org = if scope.org == DEFAULT_ORG { String::new() } else { scope.org.clone() };
    format!("{list}/{}/{}{}", part(task), part(name), query([("org", org)]))
}

/// The page of an artifact, at the address that the SDK prints.
pub(super) fn artifact(name: &ArtifactName) -> String {
    let ArtifactName { scope, name } = name;
    let part = percent_encoding::utf8_percent_encode(name, IN_A_PATH);
    let org = if scope.org == DEFAULT_ORG { String::new() } else { scope.org.clone() };
    format!("/v2/domain/{}/project/{}/artifacts/{part}{}", scope.domain, scope.project, query([("org", org)]))
}

/// The trace of a run as a file in a format; an empty one is OTLP.
pub(super) fn trace_file(id: &RunId, format: &str) -> String {
    format!("{}/trace.json{}", run_path(id), query([("format", format.to_owned()), ("org", org(id))]))
}

/// The log of an attempt.
pub(super) fn log(id: &RunId, action: &ActionName, attempt: AttemptNo, tail: &str) -> String {
    of_run(id, &format!("actions/{action}/attempts/{attempt}/log{tail}"))
}
