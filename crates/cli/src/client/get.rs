//! `spanwise get`: a run and its actions.

use std::collections::HashMap;

use serde_json::{Map, Value as Json, json};
use spanwise::{ActionKind, Phase};
use spanwise_proto::flyteidl2::workflow::{Action, ActionDetails, action_details, action_metadata};
use spanwise_wire::{RunId, RunOptions, action_name, options, requests};

use super::actions::actions;
use super::notifications;
use super::question::{Question, questions};
use super::table::{phase_cell, table, text};
use super::times::Times;
use super::{
    Ending, Output, Server, Target, TargetOptions, as_it_is, ending, explain, known_phase, phase, print_json, say,
};

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

/// Prints the run. The exit code is 1 if it has not succeeded.
pub(crate) async fn run(options: Options) -> anyhow::Result<u8> {
    let Options { target, run, output } = options;
    let target = target.resolve()?;
    let (server, id) = (target.server()?, target.run(&run)?);
    let details =
        server.runs().get_run_details(requests::run_details(&id)).await.map_err(|error| explain(&target, error))?;
    let details = details.into_owned().details.into_option().unwrap_or_default();
    let options = options::of_message(&details.run_spec).shown();
    let root = details.action.into_option().unwrap_or_default();
    let actions = actions(&server, &target, &id).await?;
    let read = match ending(root.status.phase) {
        Ending::WithOutputs => super::output(&server, &target, &id).await,
        Ending::WithoutOutputs | Ending::Open => Ok(Json::Null),
    };
    // The run is shown without it.
    let (output_of_run, output_error) = match read {
        Ok(output) => (output, None),
        Err(error) => (Json::Null, Some(format!("{error:#}"))),
    };
    let shown = Shown {
        waits: waits(&server, &target, (&id, &actions)).await?,
        actions,
        questions: questions(&server, &target, &id).await?,
        notifications: notifications::of_run(&target, &run).await?,
        output: output_of_run,
        output_error,
        options,
        root,
    };
    match output {
        Output::Json => print_json(&shown.described(&target, &run))?,
        Output::Table => shown.print(&target, &run)?,
    }
    let root = &shown.root;
    Ok(u8::from(ending(root.status.phase) == Ending::WithoutOutputs))
}

/// Of so many actions that wait for a slot it is said why: they mostly wait for the same.
const WAITS_TOLD: usize = 10;

/// What timers wait for, and actions that could be launched otherwise, by their names.
async fn waits(
    server: &Server,
    target: &Target,
    (run, actions): (&RunId, &[Action]),
) -> anyhow::Result<HashMap<String, String>> {
    let waiting = |action: &&Action| match known_phase(action.status.phase) {
        Some(Phase::WaitingForResources) => true,
        Some(Phase::Running) => spanwise_wire::view(action).is_some_and(|view| view.kind == ActionKind::Timer),
        _ => false,
    };
    let mut waits = HashMap::new();
    for action in actions.iter().filter(waiting).take(WAITS_TOLD) {
        let Ok(name) = action_name(&action.id.name) else { continue };
        let request = requests::action_details(run, &name);
        let answer = server.runs().get_action_details(request).await.map_err(|error| explain(target, error))?;
        let attempts = answer.into_owned().details.attempts.clone();
        let reason =
            attempts.last().and_then(|attempt| attempt.cluster_events.last()).map(|event| event.message.clone());
        waits.extend(reason.map(|reason| (action.id.name.clone(), reason)));
    }
    Ok(waits)
}

pub(crate) fn page(target: &Target, run: &str) -> String {
    format!("{}/v2/domain/{}/project/{}/runs/{run}", target.url(), target.domain, target.project)
}

/// What is shown of a run.
struct Shown {
    root: ActionDetails,
    /// What its starter has chosen.
    options: RunOptions,
    actions: Vec<Action>,
    questions: Vec<Question>,
    /// What has become of its notifications.
    notifications: Json,
    /// Why actions wait for their turn, by their names.
    waits: HashMap<String, String>,
    /// What the run delivers; null until it has.
    output: Json,
    /// Why the output cannot be shown.
    output_error: Option<String>,
}

/// The longest output that a table has below it.
const LONGEST_OUTPUT: usize = 2000;

impl Shown {
    fn described(&self, target: &Target, run: &str) -> Json {
        let mut object = Map::new();
        let root = &self.root;
        object.insert("name".to_owned(), json!(run));
        object.insert("url".to_owned(), json!(page(target, run)));
        object.insert("phase".to_owned(), json!(phase(root.status.phase)));
        Times::of(&root.status).describe(&mut object);
        object.insert("options".to_owned(), json!(self.options));
        object.insert("error".to_owned(), json!(error(root)));
        object.insert("output".to_owned(), self.output.clone());
        if let Some(error) = &self.output_error {
            object.insert("output_error".to_owned(), json!(error));
        }
        object.insert("waiting".to_owned(), self.questions.iter().map(Question::described).collect());
        object.insert("notifications".to_owned(), self.notifications.clone());
        object.insert("actions".to_owned(), self.actions.iter().map(|action| described(action, &self.waits)).collect());
        Json::Object(object)
    }

    fn print(&self, target: &Target, run: &str) -> anyhow::Result<()> {
        let root = &self.root;
        say(format!("{run}  {}  {}", phase(root.status.phase), page(target, run)))?;
        say(Times::of(&root.status).line())?;
        if let Some(error) = error(root) {
            say(format!("\n{error}"))?;
        }
        for question in &self.questions {
            say(format!("\n{}", question.said(run)))?;
        }
        let mut table = table(&["ACTION", "NAME", "PHASE", "ATTEMPTS", "CREATED", "TOOK", "RAN"]);
        for (depth, action) in tree(&self.actions) {
            let (status, times) = (&action.status, Times::of(&action.status));
            table.add_row(vec![
                text(&format!("{}{}", "  ".repeat(depth), task_of(action))),
                text(&action.id.name),
                phase_cell(&phase(status.phase), known_phase(status.phase)),
                status.attempts.into(),
                times.created().into(),
                times.took().into(),
                times.ran().into(),
            ]);
        }
        as_it_is(format!("\n{table}"))?;
        for action in &self.actions {
            if let Some(reason) = self.waits.get(action.id.name.as_str()) {
                say(format!("{} waits: {reason}", action.id.name))?;
            }
        }
        for line in notifications::lines(&self.notifications)? {
            say(line)?;
        }
        if let Some(error) = &self.output_error {
            return say(format!("\noutput cannot be shown: {error}"));
        }
        if self.output.is_null() {
            return Ok(());
        }
        let output = self.output.to_string();
        let end = output.floor_char_boundary(LONGEST_OUTPUT);
        let rest = if end < output.len() { " … (`-o json` has all of it)" } else { "" };
        say(format!("\noutput  {}{rest}", &output[..end]))
    }
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

pub(super) fn task_of(action: &Action) -> &str {
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

fn described(action: &Action, waits: &HashMap<String, String>) -> Json {
    let mut object = Map::new();
    object.insert("name".to_owned(), json!(action.id.name));
    object.insert("parent".to_owned(), json!(action.metadata.parent));
    object.insert("task".to_owned(), json!(task_of(action)));
    object.insert("group".to_owned(), json!(action.metadata.group));
    object.insert("phase".to_owned(), json!(phase(action.status.phase)));
    object.insert("waits".to_owned(), json!(waits.get(action.id.name.as_str())));
    object.insert("attempts".to_owned(), json!(action.status.attempts));
    Times::of(&action.status).describe(&mut object);
    Json::Object(object)
}
