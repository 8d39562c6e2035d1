//! `spanwise list`: the runs of a project.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};
use spanwise::Phase;
use spanwise_proto::flyteidl2::workflow::{Run, action_metadata};
use spanwise_wire::requests::lists::{self, Only, Page};

use super::table::{phase_cell, table, text, waiting_cell};
use super::times::Times;
use super::{Output, Server, Target, TargetOptions, as_it_is, explain, known_phase, phase, print_json, say};

/// List the runs of a project, the newest first.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: TargetOptions,
    /// Only runs in this phase, for instance `failed`, or `paused` for those that wait for an answer; may be given several times.
    #[arg(long)]
    phase: Vec<String>,
    /// Only runs of this task (`environment.function`).
    #[arg(long)]
    task: Option<String>,
    /// Only runs with this label, as `key` or `key=value`; may be given several times.
    #[arg(long)]
    label: Vec<String>,
    /// At most this many.
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// How to print.
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
}

impl Options {
    fn only(&self) -> Vec<Only> {
        let phases = (!self.phase.is_empty()).then(|| Only::InOneOf(self.phase.clone()));
        let task = self.task.clone().map(Only::Task);
        let labels = self.label.iter().map(|label| match label.split_once('=') {
            Some((key, value)) => Only::Label(key.to_owned(), Some(value.to_owned())),
            None => Only::Label(label.clone(), None),
        });
        phases.into_iter().chain(task).chain(labels).collect()
    }
}

/// Prints the list.
pub(crate) async fn run(options: Options) -> anyhow::Result<u8> {
    let target = options.target.resolve()?;
    let request = lists::runs(&target.scope(), Page::first(options.limit), &options.only());
    let server = target.server()?;
    let answer = server.runs().list_runs(request).await;
    let runs = answer.map_err(|error| explain(&target, error))?.into_owned().runs;
    let waiting = waiting(&server, &target).await?;
    let waits = |run: &Run| waiting.contains(&run.action.id.run.name);
    match options.output {
        Output::Json => print_json(&runs.iter().map(|run| described(run, waits(run))).collect())?,
        Output::Table if runs.is_empty() => say("no runs")?,
        Output::Table => {
            let mut table = table(&["RUN", "TASK", "PHASE", "CREATED", "TOOK", "RAN"]);
            for run in &runs {
                let times = Times::of(&run.action.status);
                table.add_row(vec![
                    text(&run.action.id.run.name),
                    text(task_of(run)),
                    if waits(run) { waiting_cell() } else { phase_cell(&shown_phase(run), readable_phase(run)) },
                    times.created().into(),
                    times.took().into(),
                    times.ran().into(),
                ]);
            }
            as_it_is(table)?;
        }
    }
    Ok(0)
}

/// A run that the server cannot read has no phase that could be trusted.
fn is_readable(run: &Run) -> bool {
    !run.labels.contains_key("spanwise.unreadable")
}

fn shown_phase(run: &Run) -> String {
    if is_readable(run) { phase(run.action.status.phase) } else { "UNREADABLE".to_owned() }
}

fn readable_phase(run: &Run) -> Option<Phase> {
    known_phase(run.action.status.phase).filter(|_| is_readable(run))
}

/// The names of the runs in which a condition waits for somebody.
async fn waiting(server: &Server, target: &Target) -> anyhow::Result<BTreeSet<String>> {
    let (mut waiting, mut token) = (BTreeSet::new(), String::new());
    loop {
        let request = lists::waiting_runs(&target.scope(), Page::after(token));
        let answer = server.runs().list_runs(request).await.map_err(|error| explain(target, error))?.into_owned();
        waiting.extend(answer.runs.into_iter().map(|run| run.action.id.run.name.clone()));
        token = answer.token;
        if token.is_empty() {
            return Ok(waiting);
        }
    }
}

fn task_of(run: &Run) -> &str {
    match &run.action.metadata.spec {
        Some(action_metadata::Spec::Task(task)) => task.id.name.as_str(),
        _ => "",
    }
}

/// The trigger that has fired it; none if it was started otherwise.
fn trigger_of(run: &Run) -> Option<&str> {
    Some(run.action.metadata.trigger_name.as_str()).filter(|name| !name.is_empty())
}

fn described(run: &Run, waits: bool) -> Json {
    let status = &run.action.status;
    let mut object = Map::new();
    object.insert("name".to_owned(), json!(run.action.id.run.name));
    object.insert("task".to_owned(), json!(task_of(run)));
    object.insert("trigger".to_owned(), json!(trigger_of(run)));
    object.insert("phase".to_owned(), json!(shown_phase(run)));
    object.insert("waiting".to_owned(), json!(waits));
    Times::of(status).describe(&mut object);
    object.insert("attempts".to_owned(), json!(status.attempts));
    object.insert("labels".to_owned(), json!(run.labels));
    Json::Object(object)
}
