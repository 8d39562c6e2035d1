//! `spanwise backfill`: the runs that a schedule would have started.

use serde_json::json;
use spanwise_proto::flyteidl2::workflow::CreateRunRequest;
use spanwise_wire::requests::triggers;
use spanwise_wire::{Timestamp, times, trigger};

use super::table::{table, text};
use super::triggers::{Named, find, full_name, id_of, now};
use super::{Output, Server, Target, TargetOptions, as_it_is, explain, print_json, say, time};
use crate::misuse::Misuse;

/// Start the runs of a trigger's slots in a stretch of time. A slot is one run: one that has been fired already is left as it is.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    trigger: Named,
    /// From this time on: a date, or a time as 2026-01-31T09:00:00Z; UTC, unless it says otherwise.
    #[arg(long, value_parser = moment)]
    from: Timestamp,
    /// Before this time.
    #[arg(long, value_parser = moment)]
    to: Timestamp,
    /// Show which runs these are, and start none.
    #[arg(long)]
    dry_run: bool,
    /// More slots than this are refused.
    #[arg(long, default_value_t = 1000)]
    most: usize,
    /// How to print.
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let (seconds, nanos) = spanwise_proto::json::datetime(text)
        .ok_or_else(|| format!("`{text}` is no time, as 2026-01-31 and 2026-01-31T09:00:00Z are"))?;
    Ok(Timestamp(seconds.saturating_mul(1_000_000).saturating_add(nanos / 1000)))
}

/// Starts the runs, the oldest slot first.
pub(crate) async fn run(options: Options) -> anyhow::Result<u8> {
    let Options { target, trigger: named, from, to, dry_run, most, output } = options;
    let target = target.resolve()?;
    let server = target.server()?;
    let found = find(&server, &target, &named.trigger).await?;
    let id = id_of(&found)?;
    // What is to come is the server's to fire.
    let to = to.min(now());
    let since = times::from_timestamp(&found.status.updated_at);
    let slots = trigger::slots(&found.automation_spec, since, (from, to), most)
        .map_err(|error| Misuse(format!("trigger {}: {error}", full_name(&found))))?;
    if slots.len() > most {
        return Err(Misuse(format!(
            "there are more than {most} slots from {} to {}: --most says how many may be",
            shown(from),
            shown(to)
        ))
        .into());
    }
    let mut rows = Vec::new();
    for slot in slots {
        let run = target.scope().run(trigger::run_of_slot(&id, slot)?);
        let became = match dry_run {
            true => "would be started",
            false => start(&server, &target, triggers::fire_slot(&run, &id, slot)).await?,
        };
        rows.push((shown(slot), run.name.to_string(), became));
    }
    match output {
        Output::Json => {
            let row =
                |(slot, run, became): &(String, String, &str)| json!({"slot": slot, "run": run, "became": became});
            print_json(&rows.iter().map(row).collect())?;
        }
        Output::Table if rows.is_empty() => say(format!("no slot from {} to {}", shown(from), shown(to)))?,
        Output::Table => {
            let mut table = table(&["SLOT", "RUN", ""]);
            for (slot, run, became) in &rows {
                table.add_row([text(slot), text(run), text(became)]);
            }
            as_it_is(table)?;
        }
    }
    Ok(0)
}

fn shown(at: Timestamp) -> String {
    time(&times::timestamp(at))
}

/// Starts the run of a slot, unless it is there already.
async fn start(server: &Server, target: &Target, request: CreateRunRequest) -> anyhow::Result<&'static str> {
    match server.runs().create_run(request).await {
        Ok(_) => Ok("started"),
        Err(error) if error.code == connectrpc::ErrorCode::AlreadyExists => Ok("was there already"),
        Err(error) => Err(explain(target, error)),
    }
}
