//! SQL and row mapping.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::Serializer;
use spanwise_core::{ActionKind, ActionName, Event, Fact, Phase, RunId, RunName, TaskName, Timestamp};

use super::columns::{corrupt, get, read_kind, read_name, read_phase};
use super::{artifacts, catalog, exports, failed, notifications};
use crate::{ActionRow, Append, Error, ExportState, Payloads, RunKey, RunQuery, RunRow};

/// How much of what cannot be read an error shows.
const SHOWN: usize = 200;

/// The version of the stored form of [`Fact`].
const EVENT_VERSION: i64 = 1;

pub(super) const BY_NAME: &str = "org = ?1 AND project = ?2 AND domain = ?3 AND name = ?4";

/// The runs that a condition is true of, with the columns that [`read_run`] reads.
pub(super) fn select_run(condition: &str) -> String {
    format!(
        "SELECT key, org, project, domain, name, task, phase, created_at, ended_at, settings,
                export_seq, exported, export_dropped, export_done, definition, task_version,
                (SELECT json_group_object(label, value) FROM run_labels WHERE run = runs.key), fired_by, tracked
         FROM runs WHERE {condition}"
    )
}

const UPSERT_ACTION: &str =
    "INSERT INTO actions (run, name, parent, kind, task, action_group, phase, attempts, enqueued_at, started_at,
                          ended_at, failure, inputs, outputs)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
     ON CONFLICT (run, name) DO UPDATE SET
         phase = excluded.phase, attempts = excluded.attempts, started_at = excluded.started_at,
         ended_at = excluded.ended_at, failure = excluded.failure,
         inputs = coalesce(excluded.inputs, inputs), outputs = coalesce(excluded.outputs, outputs)";

pub(super) fn insert_run(connection: &Connection, run: &RunRow) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO runs (org, project, domain, name, task, phase, created_at, ended_at, settings,
                           export_seq, exported, export_dropped, export_done, definition, task_version, fired_by,
                           tracked)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
    )?;
    let export = |number: fn(&ExportState) -> i64| run.export.as_ref().map(number);
    statement.execute(params![
        run.id.org,
        run.id.project,
        run.id.domain,
        run.id.name.as_str(),
        run.task.as_str(),
        run.phase.number(),
        run.created_at.0,
        run.ended_at.map(|at| at.0),
        run.settings,
        export(|state| state.next_seq as i64),
        export(|state| state.exported as i64),
        export(|state| state.dropped as i64),
        export(|state| i64::from(state.done)),
        run.definition,
        run.task_version,
        run.fired_by,
        run.tracked,
    ])?;
    Ok(())
}

pub(super) fn insert_labels(transaction: &Transaction<'_>, key: RunKey, run: &RunRow) -> rusqlite::Result<()> {
    for (label, value) in &run.labels {
        transaction
            .prepare_cached("INSERT INTO run_labels (run, label, value) VALUES (?1, ?2, ?3)")?
            .execute(params![key.0, label, value])?;
    }
    Ok(())
}

pub(super) fn append(transaction: &Transaction<'_>, batch: &[Append]) -> Result<(), Error> {
    insert_events(transaction, batch)?;
    let mut upsert = transaction.prepare_cached(UPSERT_ACTION).map_err(failed)?;
    for append in batch {
        catalog::insert_definitions(transaction, append.run, &append.definitions)?;
        notifications::insert(transaction, append.run, &append.receivers)?;
        artifacts::give(transaction, append.run, &append.given)?;
        for new in &append.artifacts {
            artifacts::insert(transaction, new)?;
        }
        for (row, payloads) in &append.actions {
            upsert_action(&mut upsert, append.run, row, payloads)?;
        }
        if let Some((phase, ended_at)) = append.run_phase {
            transaction
                .prepare_cached("UPDATE runs SET phase = ?2, ended_at = ?3, in_doubt = ?4 WHERE key = ?1")
                .and_then(|mut update| {
                    let ended_at = ended_at.map(|at| at.0);
                    update.execute(params![append.run.0, phase.number(), ended_at, append.in_doubt])
                })
                .map_err(failed)?;
            if let Some(ended_at) = ended_at.filter(|_| !append.in_doubt) {
                notifications::become_due(transaction, append.run, ended_at)?;
            }
        }
    }
    Ok(())
}

fn insert_events(transaction: &Transaction<'_>, batch: &[Append]) -> Result<(), Error> {
    let mut insert = transaction
        .prepare_cached("INSERT INTO events (run, seq, count, action, v, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
        .map_err(failed)?;
    let mut body = Vec::with_capacity(1024);
    for append in batch {
        check_seq(transaction, append)?;
        let mut seq = append.first_seq;
        for facts in append.events.chunk_by(|a, b| a.action == b.action) {
            body.clear();
            let pairs = facts.iter().map(|event| (event.at, &event.fact));
            serde_json::Serializer::new(&mut body).collect_seq(pairs).map_err(|error| corrupt("event", &error))?;
            let text = std::str::from_utf8(&body).map_err(|error| corrupt("event", &error))?;
            let (count, action) = (facts.len() as u64, facts[0].action);
            let row = params![append.run.0, seq as i64, count as i64, action.as_str(), EVENT_VERSION, text];
            insert.execute(row).map_err(failed)?;
            seq += count;
        }
    }
    Ok(())
}

/// Refuses events whose numbers are taken, and such that would leave a gap.
fn check_seq(transaction: &Transaction<'_>, append: &Append) -> Result<(), Error> {
    let next = transaction
        .prepare_cached("SELECT seq + count FROM events WHERE run = ?1 ORDER BY seq DESC LIMIT 1")
        .and_then(|mut select| select.query_row([append.run.0], |row| row.get::<_, i64>(0)).optional())
        .map_err(failed)?;
    if append.events.is_empty() || next.unwrap_or(0) == append.first_seq as i64 {
        return Ok(());
    }
    Err(Error::Conflict { run: append.run.0, seq: append.first_seq })
}

fn upsert_action(
    upsert: &mut rusqlite::CachedStatement<'_>,
    run: RunKey,
    row: &ActionRow,
    payloads: &Payloads,
) -> Result<(), Error> {
    let failure = row.failure.as_ref().map(serde_json::to_string).transpose();
    let failure = failure.map_err(|error| corrupt("failure", &error))?;
    let kind = match row.kind {
        ActionKind::Task => 1,
        ActionKind::Step => 2,
        ActionKind::Condition => 3,
        ActionKind::Timer => 4,
    };
    let values = params![
        run.0,
        row.name.as_str(),
        row.parent.as_ref().map(ActionName::as_str),
        kind,
        row.task.as_str(),
        row.group,
        row.phase.number(),
        row.attempts,
        row.enqueued_at.0,
        row.started_at.map(|at| at.0),
        row.ended_at.map(|at| at.0),
        failure,
        payloads.inputs.as_deref(),
        payloads.outputs.as_deref(),
    ];
    upsert.execute(values).map_err(failed)?;
    Ok(())
}

pub(super) fn read_run(row: &Row<'_>) -> Result<(RunKey, RunRow), Error> {
    let name: String = get(row, 4)?;
    let task: String = get(row, 5)?;
    let id = RunId {
        org: get(row, 1)?,
        project: get(row, 2)?,
        domain: get(row, 3)?,
        name: RunName::new(&name).map_err(|error| corrupt("run name", &error))?,
    };
    let run = RunRow {
        id,
        task: TaskName::from(task.as_str()),
        phase: read_phase(get(row, 6)?)?,
        created_at: Timestamp(get(row, 7)?),
        ended_at: get::<Option<i64>>(row, 8)?.map(Timestamp),
        labels: serde_json::from_str(&get::<String>(row, 16)?).map_err(|error| corrupt("labels", &error))?,
        definition: get(row, 14)?,
        task_version: get(row, 15)?,
        fired_by: get(row, 17)?,
        tracked: get(row, 18)?,
        settings: get(row, 9)?,
        export: exports::read(row, 10)?,
        unreadable: None,
    };
    Ok((RunKey(get(row, 0)?), run))
}

/// For lists: a row that cannot be read is shown with what can be read of it, and keeps the others from nothing.
fn show_run(row: &Row<'_>) -> Result<(RunKey, RunRow), Error> {
    let cause = match read_run(row) {
        Ok(read) => return Ok(read),
        Err(cause) => cause,
    };
    let key: i64 = get(row, 0)?;
    let text = |index| row.get::<_, String>(index).unwrap_or_default();
    let number = |index| row.get::<_, i64>(index).ok();
    // A name that is none has one here by which the row can be told from others.
    let name = RunName::new(&text(4)).or_else(|_| RunName::new(&format!("unreadable-{}", key.unsigned_abs())));
    let ended_at = number(8).map(Timestamp);
    let phase = number(6).and_then(|phase| Phase::from_number(i32::try_from(phase).ok()?));
    let run = RunRow {
        id: RunId {
            org: text(1),
            project: text(2),
            domain: text(3),
            name: name.map_err(|error| corrupt("run name", &error))?,
        },
        task: TaskName::from(text(5).as_str()),
        phase: phase.unwrap_or(if ended_at.is_some() { Phase::Failed } else { Phase::Queued }),
        created_at: Timestamp(number(7).unwrap_or(0)),
        ended_at,
        labels: serde_json::from_str(&text(16)).unwrap_or_default(),
        definition: row.get(14).unwrap_or_default(),
        task_version: text(15),
        fired_by: row.get(17).unwrap_or_default(),
        tracked: row.get(18).unwrap_or_default(),
        settings: text(9),
        export: None,
        unreadable: Some(in_one_line(&cause)),
    };
    Ok((RunKey(key), run))
}

/// The key of the last run that there ever was.
pub(super) fn last_key(connection: &Connection) -> Result<RunKey, Error> {
    let last = connection
        .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'runs'", [], |row| row.get(0))
        .optional()
        .map_err(failed)?;
    Ok(RunKey(last.unwrap_or(0)))
}

pub(super) fn skip_keys(transaction: &Transaction<'_>, last: RunKey) -> Result<(), Error> {
    let changed = transaction.execute("UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'runs'", [last.0]);
    if changed.map_err(failed)? == 0 {
        transaction.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('runs', ?1)", [last.0]).map_err(failed)?;
    }
    Ok(())
}

pub(super) fn read_runs(connection: &Connection, query: &RunQuery) -> Result<Vec<(RunKey, RunRow)>, Error> {
    let (filter, values) = filter_of(query);
    let order = if query.oldest_first { "ASC" } else { "DESC" };
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let sql = select_run(&format!("{filter} ORDER BY key {order} LIMIT {limit}"));
    let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
    let rows = statement.query_map(rusqlite::params_from_iter(values), |row| Ok(show_run(row))).map_err(failed)?;
    rows.map(|row| row.map_err(failed)?).collect()
}

/// When the root of a run has changed last: the time of the last fact about it.
const UPDATED_AT: &str = "coalesce(ended_at, (SELECT json_extract(body, '$[#-1][0]') FROM events
     WHERE run = runs.key AND action = 'a0' ORDER BY seq DESC LIMIT 1), created_at)";

/// Nothing waits under a root that has ended.
const WAITS_FOR_A_SIGNAL: &str =
    "(ended_at IS NULL AND EXISTS (SELECT 1 FROM actions WHERE run = runs.key AND actions.phase = 9))";

/// The condition that a query stands for, and the values of its placeholders.
fn filter_of(query: &RunQuery) -> (String, Vec<rusqlite::types::Value>) {
    let mut conditions = vec!["1 = 1".to_owned()];
    let mut values: Vec<rusqlite::types::Value> = Vec::new();
    let mut also = |condition: &str, value: rusqlite::types::Value| {
        conditions.push(condition.to_owned());
        values.push(value);
    };
    if let Some(project) = &query.project {
        also("project = ?", project.clone().into());
    }
    if let Some(domain) = &query.domain {
        also("domain = ?", domain.clone().into());
    }
    if let Some(task) = &query.task {
        also("task = ?", task.clone().into());
    }
    if let Some(version) = &query.task_version {
        also("task_version = ?", version.clone().into());
    }
    if let Some(org) = &query.org {
        also("org = ?", org.clone().into());
    }
    if let Some(trigger) = &query.fired_by {
        also("fired_by = ?", trigger.clone().into());
    }
    for (label, value) in &query.labels {
        also("EXISTS (SELECT 1 FROM run_labels WHERE run = runs.key AND label = ?", label.clone().into());
        match value {
            Some(value) => also("value = ?)", value.clone().into()),
            None => also("?)", true.into()),
        }
    }
    if let Some(since) = query.since {
        also("created_at >= ?", since.0.into());
    }
    if let Some(until) = query.until {
        also("created_at < ?", until.0.into());
    }
    if let Some(since) = query.updated_since {
        also(&format!("{UPDATED_AT} >= ?"), since.0.into());
    }
    if let Some(until) = query.updated_until {
        also(&format!("{UPDATED_AT} < ?"), until.0.into());
    }
    if !query.keys.is_empty() {
        also("key IN (SELECT value FROM json_each(?))", list_of(&query.keys).into());
    }
    if let Some(after) = query.after {
        also(if query.oldest_first { "key > ?" } else { "key < ?" }, after.0.into());
    }
    if !query.phases.is_empty() {
        let numbers: Vec<String> = query.phases.iter().map(|phase| phase.number().to_string()).collect();
        let waiting = if query.phases.contains(&Phase::Paused) { WAITS_FOR_A_SIGNAL } else { "FALSE" };
        conditions.push(format!("(phase IN ({}) OR {waiting})", numbers.join(", ")));
    }
    conditions.extend(plain_conditions(query));
    (conditions.join(" AND "), values)
}

/// The conditions of a query that need no placeholders.
fn plain_conditions(query: &RunQuery) -> impl Iterator<Item = String> {
    let live = query.only_live.then(|| "ended_at IS NULL".to_owned());
    let tracked = query.only_tracked.then(|| "tracked = 1".to_owned());
    [live, tracked].into_iter().flatten()
}

/// Keys as a list in JSON, for a placeholder: the statement is the same for all of them.
fn list_of(keys: &[RunKey]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| key.0.to_string()).collect();
    format!("[{}]", keys.join(","))
}

pub(super) fn read_unfinished(connection: &Connection) -> Result<Vec<RunRow>, Error> {
    let sql = select_run("(ended_at IS NULL OR in_doubt = 1) ORDER BY key");
    let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
    let rows = statement.query_map([], |row| Ok(show_run(row))).map_err(failed)?;
    rows.map(|row| Ok(row.map_err(failed)??.1)).collect()
}

pub(super) fn read_events_of(connection: &Connection, run: RunKey, action: &ActionName) -> Result<Vec<Event>, Error> {
    let mut statement = connection
        .prepare_cached("SELECT action, v, body FROM events WHERE run = ?1 AND action = ?2 ORDER BY seq")
        .map_err(failed)?;
    let mut rows = statement.query(params![run.0, action.as_str()]).map_err(failed)?;
    let mut events = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        read_facts(row, &mut events)?;
    }
    Ok(events)
}

pub(super) fn read_events(connection: &Connection, run: RunKey) -> Result<Vec<Event>, Error> {
    let mut statement =
        connection.prepare_cached("SELECT action, v, body FROM events WHERE run = ?1 ORDER BY seq").map_err(failed)?;
    let mut rows = statement.query([run.0]).map_err(failed)?;
    let mut events = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        read_facts(row, &mut events)?;
    }
    Ok(events)
}

pub(super) fn read_run_by_key(connection: &Connection, run: RunKey) -> Result<Option<RunRow>, Error> {
    let found = connection
        .prepare_cached(&select_run("key = ?1"))
        .and_then(|mut select| select.query_row([run.0], |row| Ok(read_run(row))).optional())
        .map_err(failed)?;
    Ok(found.transpose()?.map(|(_, row)| row))
}

/// From the row that has the event, without those before it in the row.
pub(super) fn read_events_from(
    connection: &Connection,
    run: RunKey,
    seq: u64,
    limit: usize,
) -> Result<Vec<Event>, Error> {
    let mut statement = connection
        .prepare_cached(
            "SELECT action, v, body, seq FROM events WHERE run = ?1
             AND seq >= ifnull((SELECT max(seq) FROM events WHERE run = ?1 AND seq <= ?2), 0) ORDER BY seq",
        )
        .map_err(failed)?;
    let mut rows = statement.query(params![run.0, i64::try_from(seq).unwrap_or(i64::MAX)]).map_err(failed)?;
    let (mut events, mut before) = (Vec::new(), None);
    while events.len() < limit
        && let Some(row) = rows.next().map_err(failed)?
    {
        let first = get::<i64>(row, 3)?.unsigned_abs();
        read_facts(row, &mut events)?;
        before.get_or_insert_with(|| usize::try_from(seq.saturating_sub(first)).unwrap_or(usize::MAX));
    }
    events.drain(..before.unwrap_or(0).min(events.len()));
    Ok(events)
}

fn read_facts(row: &Row<'_>, events: &mut Vec<Event>) -> Result<(), Error> {
    let version: i64 = get(row, 1)?;
    if version > EVENT_VERSION {
        return Err(Error::Newer { what: format!("event version {version}, this version knows {EVENT_VERSION}") });
    }
    let action = read_name(&get::<String>(row, 0)?)?;
    let body: String = get(row, 2)?;
    let facts: Vec<(Timestamp, Fact)> = serde_json::from_str(&body).map_err(|error| {
        let what = format!("events `{}`: {error}", &body[..body.floor_char_boundary(SHOWN)]);
        // JSON with unknown words is a later version's, what is no JSON is nobody's.
        if error.is_data() { Error::Newer { what } } else { Error::Corrupt { what } }
    })?;
    events.extend(facts.into_iter().map(|(at, fact)| Event { action, at, fact }));
    Ok(())
}

pub(super) fn read_payloads(connection: &Connection, run: RunKey, action: &ActionName) -> Result<Payloads, Error> {
    let mut statement = connection
        .prepare_cached("SELECT inputs, outputs FROM actions WHERE run = ?1 AND name = ?2")
        .map_err(failed)?;
    let mut rows = statement.query(params![run.0, action.as_str()]).map_err(failed)?;
    let Some(row) = rows.next().map_err(failed)? else { return Ok(Payloads::default()) };
    let column = |index| get::<Option<Vec<u8>>>(row, index).map(|bytes| bytes.map(Bytes::from));
    Ok(Payloads { inputs: column(0)?, outputs: column(1)? })
}

const SELECT_ACTIONS: &str =
    "SELECT name, parent, kind, task, action_group, phase, attempts, enqueued_at, started_at, ended_at, failure, run
     FROM actions WHERE";

pub(super) fn read_one_action(
    connection: &Connection,
    run: RunKey,
    action: &ActionName,
) -> Result<Option<ActionRow>, Error> {
    let sql = format!("{SELECT_ACTIONS} run = ?1 AND name = ?2");
    let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
    let found = statement.query_row(params![run.0, action.as_str()], |row| Ok(read_action(row))).optional();
    found.map_err(failed)?.transpose()
}

/// The action of one name of each run; one that cannot be read is left out.
pub(super) fn read_action_of_each(
    connection: &Connection,
    runs: &[RunKey],
    action: &ActionName,
) -> Result<Vec<(RunKey, ActionRow)>, Error> {
    let sql = format!("{SELECT_ACTIONS} run IN (SELECT value FROM json_each(?1)) AND name = ?2 ORDER BY run");
    let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
    let with_key = |row: &Row<'_>| Ok::<_, Error>((RunKey(get(row, 11)?), read_action(row)?));
    let mut rows = statement.query(params![list_of(runs), action.as_str()]).map_err(failed)?;
    let mut read = Vec::with_capacity(runs.len());
    // What fails between two rows is no fault of a row: it ends the reading.
    while let Some(row) = rows.next().map_err(failed)? {
        match with_key(row) {
            Err(error) if error.is_damage() => {}
            row => read.push(row?),
        }
    }
    Ok(read)
}

fn read_action(row: &Row<'_>) -> Result<ActionRow, Error> {
    let failure = get::<Option<String>>(row, 10)?.map(|text| serde_json::from_str(&text)).transpose();
    Ok(ActionRow {
        name: read_name(&get::<String>(row, 0)?)?,
        parent: get::<Option<String>>(row, 1)?.as_deref().map(read_name).transpose()?,
        kind: read_kind(get(row, 2)?)?,
        task: TaskName::from(get::<String>(row, 3)?.as_str()),
        group: get(row, 4)?,
        phase: read_phase(get(row, 5)?)?,
        attempts: get(row, 6)?,
        enqueued_at: Timestamp(get(row, 7)?),
        started_at: get::<Option<i64>>(row, 8)?.map(Timestamp),
        ended_at: get::<Option<i64>>(row, 9)?.map(Timestamp),
        failure: failure.map_err(|error| corrupt("failure", &error))?,
    })
}

/// An error and what it comes from.
fn in_one_line(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
