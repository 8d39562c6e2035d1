//! `spanwise get`: a run and its actions.

use std::collections::HashMap;

use serde_json::json;
use spanwise_proto::flyteidl2::common::ListRequest;
use spanwise_proto::flyteidl2::workflow::{
    Action, ActionDetails, GetActionDetailsRequest, GetRunDetailsRequest, ListActionsRequest, action_details,
    action_metadata,
};

use super::table::{phase_cell, table, text};
use super::{Output, Server, Target, TargetOptions, as_it_is, duration, explain, phase, print_json, say, time};

/// Show a run: its actions as a tree, what failed, and where to look on.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: TargetOptions,
    /// The run.
    run: String,
    /// How to print.
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// A page of actions; a run of ten thousand takes ten requests.
const PAGE: u32 = 1000;

/// Prints the run. The exit code is 1 if it has not succeeded.
pub(crate) async fn run(options: Options) -> anyhow::Result<u8> {
    let Options { target, run, output } = options;
    let target = target.resolve()?;
    let server = target.server()?;
    let request = GetRunDetailsRequest { run_id: target.run(&run).into(), ..GetRunDetailsRequest::default() };
    let details = server.runs().get_run_details(request).await.map_err(|error| explain(&target, error))?;
    let root = details.into_owned().details.action.clone();
    let actions = actions(&server, &target, &run).await?;
    let waits = waits(&server, &target, &actions).await?;
    match output {
        Output::Json => print_json(&json!({
            "name": run,
            "url": page(&target, &run),
            "phase": phase(root.status.phase),
            "error": error(&root),
            "actions": actions.iter().map(|action| described(action, &waits)).collect::<Vec<_>>(),
        }))?,
        Output::Table => print(&target, &run, &root, &actions, &waits)?,
    }
    let failed = matches!(phase(root.status.phase).as_str(), "FAILED" | "TIMED_OUT" | "ABORTED");
    Ok(u8::from(failed))
}

pub(crate) async fn actions(server: &Server, target: &Target, run: &str) -> anyhow::Result<Vec<Action>> {
    let (mut actions, mut token) = (Vec::new(), String::new());
    loop {
        let page = ListRequest { limit: PAGE, token, ..ListRequest::default() };
        let request = ListActionsRequest {
            request: page.into(),
            run_id: target.run(run).into(),
            ..ListActionsRequest::default()
        };
        let answer = server.runs().list_actions(request).await.map_err(|error| explain(target, error))?.into_owned();
        actions.extend(answer.actions);
        token = answer.token;
        if token.is_empty() {
            return Ok(actions);
        }
    }
}

/// Of so many actions that wait for a place it is said why: they mostly wait for the same.
const WAITS_TOLD: usize = 10;

/// What actions wait for that could be launched otherwise, by their names.
async fn waits(server: &Server, target: &Target, actions: &[Action]) -> anyhow::Result<HashMap<String, String>> {
    let waiting = |action: &&Action| phase(action.status.phase) == "WAITING_FOR_RESOURCES";
    let mut waits = HashMap::new();
    for action in actions.iter().filter(waiting).take(WAITS_TOLD) {
        let request = GetActionDetailsRequest { action_id: action.id.clone(), ..GetActionDetailsRequest::default() };
        let answer = server.runs().get_action_details(request).await.map_err(|error| explain(target, error))?;
        let attempts = answer.into_owned().details.attempts.clone();
        let told = attempts.last().and_then(|attempt| attempt.cluster_events.last()).map(|event| event.message.clone());
        waits.extend(told.map(|told| (action.id.name.clone(), told)));
    }
    Ok(waits)
}

pub(crate) fn page(target: &Target, run: &str) -> String {
    format!("{}/v2/domain/{}/project/{}/runs/{run}", target.url(), target.domain, target.project)
}

fn print(
    target: &Target,
    run: &str,
    root: &ActionDetails,
    actions: &[Action],
    waits: &HashMap<String, String>,
) -> anyhow::Result<()> {
    say(format!("{run}  {}  {}", phase(root.status.phase), page(target, run)))?;
    if let Some(error) = error(root) {
        say(format!("\n{error}"))?;
    }
    let mut table = table(&["ACTION", "NAME", "PHASE", "ATTEMPTS", "STARTED", "TOOK"]);
    for (depth, action) in tree(actions) {
        let status = &action.status;
        table.add_row(vec![
            text(&format!("{}{}", "  ".repeat(depth), task_of(action))),
            text(&action.id.name),
            phase_cell(&phase(status.phase)),
            status.attempts.into(),
            time(&status.start_time).into(),
            duration(status.duration_ms).into(),
        ]);
    }
    as_it_is(format!("\n{table}"))?;
    for action in actions {
        if let Some(told) = waits.get(action.id.name.as_str()) {
            say(format!("{} waits: {told}", action.id.name))?;
        }
    }
    Ok(())
}

/// The actions in the order of the tree, each with its depth.
fn tree(actions: &[Action]) -> Vec<(usize, &Action)> {
    let mut children: HashMap<&str, Vec<&Action>> = HashMap::new();
    for action in actions {
        children.entry(action.metadata.parent.as_str()).or_default().push(action);
    }
    let mut ordered = Vec::with_capacity(actions.len());
    let mut pending: Vec<(usize, &Action)> =
        children.get("").into_iter().flatten().rev().map(|root| (0, *root)).collect();
    while let Some((depth, action)) = pending.pop() {
        ordered.push((depth, action));
        let below = children.get(action.id.name.as_str()).into_iter().flatten().rev();
        pending.extend(below.map(|child| (depth + 1, *child)));
    }
    ordered
}

fn task_of(action: &Action) -> &str {
    match &action.metadata.spec {
        Some(action_metadata::Spec::Task(task)) => task.id.name.as_str(),
        Some(action_metadata::Spec::Trace(step)) => step.name.as_str(),
        Some(action_metadata::Spec::Condition(condition)) => condition.name.as_str(),
        None => "",
    }
}

fn error(details: &ActionDetails) -> Option<String> {
    match details.result.as_ref()? {
        action_details::Result::ErrorInfo(error) => Some(format!("{}: {}", error.code, error.message)),
        action_details::Result::AbortInfo(abort) => Some(format!("aborted: {}", abort.reason)),
        action_details::Result::SignalInfo(_) => None,
    }
}

fn described(action: &Action, waits: &HashMap<String, String>) -> serde_json::Value {
    let status = &action.status;
    json!({
        "name": action.id.name,
        "parent": action.metadata.parent,
        "task": task_of(action),
        "group": action.metadata.group,
        "phase": phase(status.phase),
        "waits": waits.get(action.id.name.as_str()),
        "attempts": status.attempts,
        "started": time(&status.start_time),
        "ended": status.end_time.as_option().map(time),
        "duration_ms": status.duration_ms,
    })
}
