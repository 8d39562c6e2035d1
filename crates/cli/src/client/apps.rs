//! `spanwise apps`: what apps there are, what they print, and their start, stop and end.

use std::io::Write as _;

use serde_json::{Value as Json, json};
use spanwise_proto::flyteidl2::app::{App, Condition, tail_logs_response};
use spanwise_proto::json::rfc3339;
use spanwise_wire::apps::{AppId, Desired, requests};

use super::table::{table, text};
use super::{Output, Target, TargetOptions, as_it_is, explain, print_json, say, short, time};
use crate::misuse::Misuse;
use crate::terminal::{harmless, harmless_json};

/// Look at apps, start and stop them.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: TargetOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the apps of the project.
    Ls {
        /// At most this many.
        #[arg(long, short = 'n', default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// How to print.
        #[arg(long, short, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Show one app.
    Show {
        /// Its name.
        name: String,
        /// How to print.
        #[arg(long, short, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Print the log of an app, and go on until its process has ended.
    Logs {
        /// Its name.
        name: String,
        /// Which start of it, from 1; by default the last one.
        #[arg(long)]
        start: Option<u32>,
        /// Each line with its time.
        #[arg(long)]
        times: bool,
        /// As JSON: one object a line.
        #[arg(long, short, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Start an app that is stopped, or try one again that has failed.
    Start {
        /// Its name.
        name: String,
    },
    /// Stop an app.
    Stop {
        /// Its name.
        name: String,
    },
    /// Delete an app, with its logs.
    Delete {
        /// Its name.
        name: String,
    },
}

/// Does what the command says.
pub(crate) async fn run(options: Options) -> anyhow::Result<u8> {
    let Options { target, command } = options;
    let target = target.resolve()?;
    match command {
        Command::Ls { limit, output } => list(&target, limit, output).await?,
        Command::Show { name, output } => show(&get(&target, &name).await?, output)?,
        Command::Logs { name, start, times, output } => logs(&target, &name, start, times, output).await?,
        Command::Start { name } => desire(&target, &name, Desired::Started).await?,
        Command::Stop { name } => desire(&target, &name, Desired::Stopped).await?,
        Command::Delete { name } => {
            let request = requests::delete(&id(&target, &name)?);
            target.server()?.apps().delete(request).await.map_err(|error| explain(&target, error))?;
            say(format!("deleted {name}"))?;
        }
    }
    Ok(0)
}

fn id(target: &Target, name: &str) -> anyhow::Result<AppId> {
    AppId::new(target.scope(), name).map_err(|error| Misuse(error.to_string()).into())
}

async fn get(target: &Target, name: &str) -> anyhow::Result<App> {
    let answer =
        target.server()?.apps().get(requests::get(&id(target, name)?)).await.map_err(|error| explain(target, error))?;
    Ok(answer.into_owned().app.into_option().unwrap_or_default())
}

async fn list(target: &Target, limit: u32, output: Output) -> anyhow::Result<()> {
    let request = requests::list(&target.scope(), limit);
    let apps = target.server()?.apps().list(request).await.map_err(|error| explain(target, error))?.into_owned().apps;
    match output {
        Output::Json => print_json(&apps.iter().map(described).collect()),
        Output::Table if apps.is_empty() => say("no apps"),
        Output::Table => {
            let mut table = table(&["APP", "STATE", "REVISION", "SINCE", "ADDRESS"]);
            for app in &apps {
                table.add_row([
                    text(&app.metadata.id.name),
                    text(&state(app)),
                    text(&app.metadata.revision.to_string()),
                    text(&time(&condition(app).last_transition_time)),
                    text(&app.status.ingress.cname_url),
                ]);
            }
            as_it_is(table)
        }
    }
}

fn condition(app: &App) -> Condition {
    app.status.conditions.last().cloned().unwrap_or_default()
}

/// How it is, in Flyte's words; `SCALED_TO_ZERO` says more than `ACTIVE`.
fn state(app: &App) -> String {
    let condition = condition(app);
    let status = condition.deployment_status.as_known().map(|status| format!("{status:?}"));
    let status = status.map_or_else(|| "UNKNOWN".to_owned(), |status| short(&status, "DEPLOYMENT_STATUS_"));
    match condition.substate.as_known().map(|substate| format!("{substate:?}")) {
        Some(substate) if substate == "SCALED_TO_ZERO" => substate,
        _ => status,
    }
}

fn described(app: &App) -> Json {
    json!({
        "name": app.metadata.id.name,
        "revision": app.metadata.revision,
        "state": state(app),
        "since": time(&condition(app).last_transition_time),
        "message": condition(app).message,
        "desired": app.spec.desired_state.as_known().map(|desired| short(&format!("{desired:?}"), "DESIRED_STATE_")),
        "url": app.status.ingress.cname_url,
        "endpoint": app.status.ingress.public_url,
        "created": time(&app.status.created_at),
        "changed": time(&app.status.last_updated_at),
    })
}

fn show(app: &App, output: Output) -> anyhow::Result<()> {
    let described = described(app);
    if output == Output::Json {
        return print_json(&described);
    }
    for (name, value) in described.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if !value.is_empty() {
            say(format!("{name:9} {value}"))?;
        }
    }
    Ok(())
}

async fn logs(target: &Target, name: &str, start: Option<u32>, times: bool, output: Output) -> anyhow::Result<()> {
    let request = requests::logs(&id(target, name)?, start);
    let client = target.server()?.app_logs();
    let mut batches = client.tail_logs(request).await.map_err(|error| explain(target, error))?;
    while let Some(batch) = batches.message().await.map_err(|error| explain(target, error))? {
        let Some(tail_logs_response::Resp::Batches(batch)) = batch.to_owned_message().resp else { continue };
        let mut out = std::io::stdout().lock();
        for logs in &batch.logs {
            for line in &logs.structured_lines {
                if output == Output::Json {
                    let at = rfc3339(line.timestamp.seconds, line.timestamp.nanos);
                    let whole =
                        json!({"app": name, "start": logs.replica_id.name, "time": at, "message": line.message});
                    writeln!(out, "{}", harmless_json(&whole.to_string()))?;
                    continue;
                }
                if times {
                    write!(out, "{} ", time(&line.timestamp))?;
                }
                writeln!(out, "{}", harmless(line.message.trim_end_matches('\n')))?;
            }
        }
        out.flush()?;
    }
    Ok(())
}

async fn desire(target: &Target, name: &str, desired: Desired) -> anyhow::Result<()> {
    let request = requests::desire(get(target, name).await?, desired, "from the command line");
    let answer = target.server()?.apps().update(request).await.map_err(|error| explain(target, error))?.into_owned();
    say(format!("{name} is {}", state(&answer.app)))
}
