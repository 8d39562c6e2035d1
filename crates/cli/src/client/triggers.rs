//! `spanwise triggers`: what starts runs by a schedule, and by its name.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use serde_json::{Value as Json, json};
use spanwise_proto::flyteidl2::trigger::{Trigger, TriggerRevision};
use spanwise_proto::flyteidl2::workflow::Run;
use spanwise_proto::google::protobuf;
use spanwise_wire::requests::{lists::Page, triggers};
use spanwise_wire::{Timestamp, TriggerId, ids, times, trigger};

use super::table::{phase_cell, table, text};
use super::{
    Output, Server, Target, TargetOptions, as_it_is, explain, known_phase, phase, print_json, say, short, time,
};

/// How many of its runs and revisions a trigger is shown with.
const SHOWN: u32 = 10;

/// What starts runs by a schedule: list triggers, show one, pause, resume and fire it.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: TargetOptions,
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List the triggers of a project.
    Ls {
        /// How to print.
        #[arg(long, short, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Show a trigger, its revisions and its last runs.
    Show {
        #[command(flatten)]
        trigger: Named,
        /// How to print.
        #[arg(long, short, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Deactivate a trigger: it fires no more by itself.
    Pause {
        #[command(flatten)]
        trigger: Named,
    },
    /// Activate a trigger. What it has missed meanwhile is not fired.
    Resume {
        #[command(flatten)]
        trigger: Named,
    },
    /// Start a run of a trigger now, with its inputs and settings.
    Fire {
        #[command(flatten)]
        trigger: Named,
    },
}

/// A trigger.
#[derive(clap::Args)]
pub(crate) struct Named {
    /// Its name, or TASK/NAME where several tasks have one of that name.
    #[arg(value_name = "TRIGGER")]
    pub(crate) trigger: String,
}

/// Does what is asked for.
pub(crate) async fn run(options: Options) -> anyhow::Result<u8> {
    let target = options.target.resolve()?;
    let server = target.server()?;
    match options.action {
        Action::Ls { output } => list(&server, &target, output).await?,
        Action::Show { trigger, output } => show(&server, &target, &trigger.trigger, output).await?,
        Action::Pause { trigger } => update(&server, &target, &trigger.trigger, false).await?,
        Action::Resume { trigger } => update(&server, &target, &trigger.trigger, true).await?,
        Action::Fire { trigger } => fire(&server, &target, &trigger.trigger).await?,
    }
    Ok(0)
}

/// The triggers of the project.
async fn all(server: &Server, target: &Target) -> anyhow::Result<Vec<Trigger>> {
    let (mut triggers, mut token) = (Vec::new(), String::new());
    loop {
        let answer = server.triggers().list_triggers(triggers::listed(&target.scope(), Page::after(token))).await;
        let answer = answer.map_err(|error| explain(target, error))?.into_owned();
        triggers.extend(answer.triggers);
        token = answer.token;
        if token.is_empty() {
            return Ok(triggers);
        }
    }
}

/// The trigger that is meant.
///
/// # Errors
/// If there is none, or several.
pub(crate) async fn find(server: &Server, target: &Target, named: &str) -> anyhow::Result<Trigger> {
    let all = all(server, target).await?;
    let is_meant = |trigger: &&Trigger| trigger.id.name.name == named || full_name(trigger) == named;
    let found: Vec<&Trigger> = all.iter().filter(is_meant).collect();
    match &found[..] {
        [only] => Ok((*only).clone()),
        [] if all.is_empty() => bail!("no trigger is deployed in project {}, domain {}", target.project, target.domain),
        [] => bail!("there is no trigger `{named}`; there are {}", names(&all.iter().collect::<Vec<_>>())),
        several => bail!("{} triggers have the name `{named}`: say which one: {}", several.len(), names(several)),
    }
}

fn names(triggers: &[&Trigger]) -> String {
    triggers.iter().map(|trigger| full_name(trigger)).collect::<Vec<_>>().join(", ")
}

/// `TASK/NAME`.
pub(crate) fn full_name(trigger: &Trigger) -> String {
    format!("{}/{}", trigger.id.name.task_name, trigger.id.name.name)
}

/// What fires it, in words.
fn fires(trigger: &Trigger) -> String {
    trigger::automation(&trigger.automation_spec)
        .map_or_else(|error| error.to_string(), |automation| trigger::described(&automation))
}

/// The time by the clock of this machine.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// The next slot; none if it does not fire by itself.
fn next_slot(trigger: &Trigger) -> Option<protobuf::Timestamp> {
    let since = times::from_timestamp(&trigger.status.updated_at);
    // Beyond the end of time there is nothing.
    let slots = trigger::slots(&trigger.automation_spec, since, (now(), Timestamp(i64::MAX)), 0).ok()?;
    slots.first().filter(|_| trigger.active).map(|slot| times::timestamp(*slot))
}

fn state(trigger: &Trigger) -> &'static str {
    if trigger.active { "active" } else { "paused" }
}

fn described(trigger: &Trigger) -> Json {
    json!({
        "name": trigger.id.name.name,
        "task": trigger.id.name.task_name,
        "revision": trigger.id.revision,
        "active": trigger.active,
        "fires": fires(trigger),
        "next": next_slot(trigger).map(|slot| time(&slot)),
        "deployed": time(&trigger.status.deployed_at),
        "changed": time(&trigger.status.updated_at),
        "fired": trigger.status.triggered_at.as_option().map(time),
    })
}

async fn list(server: &Server, target: &Target, output: Output) -> anyhow::Result<()> {
    let triggers = all(server, target).await?;
    match output {
        Output::Json => print_json(&triggers.iter().map(described).collect()),
        Output::Table if triggers.is_empty() => say("no trigger is deployed"),
        Output::Table => {
            let mut table = table(&["TRIGGER", "TASK", "STATE", "FIRES", "NEXT", "LAST"]);
            for trigger in &triggers {
                table.add_row([
                    text(&trigger.id.name.name),
                    text(&trigger.id.name.task_name),
                    text(state(trigger)),
                    text(&fires(trigger)),
                    text(&next_slot(trigger).map(|slot| time(&slot)).unwrap_or_default()),
                    text(&trigger.status.triggered_at.as_option().map(time).unwrap_or_default()),
                ]);
            }
            as_it_is(table)
        }
    }
}

/// The name of a trigger.
pub(crate) fn id_of(trigger: &Trigger) -> anyhow::Result<TriggerId> {
    Ok(ids::trigger_id(trigger.id.name.as_option().context("a trigger without a name")?)?)
}

async fn revisions(server: &Server, target: &Target, id: &TriggerId) -> anyhow::Result<Vec<TriggerRevision>> {
    let request = triggers::revisions(id, Page::first(SHOWN));
    let answer = server.triggers().get_trigger_revision_history(request).await;
    Ok(answer.map_err(|error| explain(target, error))?.into_owned().triggers)
}

async fn runs(server: &Server, target: &Target, id: &TriggerId) -> anyhow::Result<Vec<Run>> {
    let answer = server.runs().list_runs(triggers::runs(id, Page::first(SHOWN))).await;
    Ok(answer.map_err(|error| explain(target, error))?.into_owned().runs)
}

fn change(revision: &TriggerRevision) -> String {
    let action = revision.action.as_known().map(|action| short(&format!("{action:?}"), "TRIGGER_REVISION_ACTION_"));
    action.unwrap_or_else(|| revision.action.to_i32().to_string()).to_lowercase()
}

async fn show(server: &Server, target: &Target, named: &str, output: Output) -> anyhow::Result<()> {
    let trigger = find(server, target, named).await?;
    let id = id_of(&trigger)?;
    let answer =
        server.triggers().get_trigger_details(triggers::details(&id)).await.map_err(|error| explain(target, error))?;
    let details = answer.into_owned().trigger.into_option().unwrap_or_default();
    let (revisions, runs) = (revisions(server, target, &id).await?, runs(server, target, &id).await?);
    let labels = &details.spec.run_spec.labels.values;
    match output {
        Output::Json => {
            let mut shown = described(&trigger);
            let revision = |revision: &TriggerRevision| json!({"revision": revision.id.revision, "change": change(revision), "at": time(&revision.created_at)});
            let run = |run: &Run| {
                let action = &run.action;
                json!({"name": action.id.run.name, "phase": phase(action.status.phase), "created": time(&action.status.start_time)})
            };
            shown["description"] = json!(details.spec.description);
            shown["task_version"] = json!(details.spec.task_version);
            shown["labels"] = json!(labels);
            shown["revisions"] = revisions.iter().map(revision).collect();
            shown["runs"] = runs.iter().map(run).collect();
            print_json(&shown)
        }
        Output::Table => {
            say(format!("{} {}, {}", full_name(&trigger), state(&trigger), fires(&trigger)))?;
            if !details.spec.description.is_empty() {
                say(&details.spec.description)?;
            }
            let next = next_slot(&trigger).map(|slot| format!(", next {}", time(&slot)));
            say(format!("task version {}{}", details.spec.task_version, next.unwrap_or_default()))?;
            let mut history = table(&["REVISION", "CHANGE", "AT"]);
            for revision in &revisions {
                let number = revision.id.revision.to_string();
                history.add_row([text(&number), text(&change(revision)), text(&time(&revision.created_at))]);
            }
            as_it_is(history)?;
            let mut fired = table(&["RUN", "PHASE", "CREATED"]);
            for run in &runs {
                let status = &run.action.status;
                fired.add_row([
                    text(&run.action.id.run.name),
                    phase_cell(&phase(status.phase), known_phase(status.phase)),
                    text(&time(&status.start_time)),
                ]);
            }
            as_it_is(fired)
        }
    }
}

async fn update(server: &Server, target: &Target, named: &str, active: bool) -> anyhow::Result<()> {
    let trigger = find(server, target, named).await?;
    let request = triggers::set_active(&id_of(&trigger)?, active);
    server.triggers().update_triggers(request).await.map_err(|error| explain(target, error))?;
    say(format!("{} is {}", full_name(&trigger), if active { "active" } else { "paused" }))
}

async fn fire(server: &Server, target: &Target, named: &str) -> anyhow::Result<()> {
    let trigger = find(server, target, named).await?;
    let request = triggers::fire(&target.scope(), &id_of(&trigger)?);
    let answer = server.runs().create_run(request).await.map_err(|error| explain(target, error))?;
    say(format!("{} has started run {}", full_name(&trigger), answer.into_owned().run.action.id.run.name))
}
