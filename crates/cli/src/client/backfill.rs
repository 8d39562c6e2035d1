//! `spanwise backfill`: the runs that a schedule would have started.

use anyhow::Context as _;
use serde_json::json;
use spanwise_proto::flyteidl2::workflow::{CreateRunRequest, RunSource};
use spanwise_proto::google::protobuf::Timestamp;
use spanwise_wire::{ids, times, trigger};

use super::table::{table, text};
use super::triggers::{Named, find, full_name};
use super::{Output, Server, Target, TargetOptions, as_it_is, explain, print_json, say, time};
use crate::run::Misuse;

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
    let nanos = i32::try_from(nanos).unwrap_or_default();
    Ok(Timestamp { seconds, nanos, ..Timestamp::default() })
}

/// Starts the runs, the oldest slot first.
pub(crate) async fn run(options: Options) -> anyhow::Result<u8> {
    let Options { target, trigger: named, from, to, dry_run, most, output } = options;
    let target = target.resolve()?;
    let server = target.server()?;
    let found = find(&server, &target, &named.trigger).await?;
    let id = ids::trigger_id(found.id.name.as_option().context("a trigger without a name")?)?;
    let stretch = (times::from_timestamp(&from), times::from_timestamp(&to));
    let since = times::from_timestamp(&found.status.updated_at);
    let slots = trigger::slots(&found.automation_spec, since, stretch, most)
        .map_err(|error| Misuse(format!("trigger {}: {error}", full_name(&found))))?;
    if slots.len() > most {
        return Err(Misuse(format!(
            "there are more than {most} slots from {} to {}: --most says how many may be",
            time(&from),
            time(&to)
        ))
        .into());
    }
    let mut rows = Vec::new();
    for slot in slots {
        let (run, at) = (trigger::run_of_slot(&id, slot)?.to_string(), times::timestamp(slot));
        let became = match dry_run {
            true => "would be started",
            false => start(&server, &target, &found, (&run, &at)).await?,
        };
        rows.push((time(&at), run, became));
    }
    match output {
        Output::Json => {
            let row =
                |(slot, run, became): &(String, String, &str)| json!({"slot": slot, "run": run, "became": became});
            print_json(&rows.iter().map(row).collect())?;
        }
        Output::Table if rows.is_empty() => say(format!("no slot from {} to {}", time(&from), time(&to)))?,
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

/// Starts the run of a slot as the scheduler does.
async fn start(
    server: &Server,
    target: &Target,
    found: &spanwise_proto::flyteidl2::trigger::Trigger,
    (run, slot): (&str, &Timestamp),
) -> anyhow::Result<&'static str> {
    let name = found.id.name.clone().into_option().unwrap_or_default();
    let request = CreateRunRequest {
        id: Some(target.run(run).into()),
        task: Some(name.into()),
        source: RunSource::RUN_SOURCE_SCHEDULE_TRIGGER.into(),
        run_start_time: slot.clone().into(),
        ..CreateRunRequest::default()
    };
    match server.runs().create_run(request).await {
        Ok(_) => Ok("started"),
        Err(error) if error.code == connectrpc::ErrorCode::AlreadyExists => Ok("was there already"),
        Err(error) => Err(explain(target, error)),
    }
}
