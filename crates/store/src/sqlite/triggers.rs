//! Triggers, their revisions, and how far their slots have been decided.

use rusqlite::{Connection, ErrorCode, Row, Transaction, params};
use spanwise_core::artifact::ArtifactKey;
use spanwise_core::trigger::{TriggerChange, TriggerId};
use spanwise_core::{Scope, Timestamp};

use super::columns::get;
use super::{catalog, failed};
use crate::{Definition, Error, TriggerQuery, TriggerRow};

const COLUMNS: &str = "org, project, domain, task, name, revision, change, active, changed_at, deployed_at, deployed_by, \
                       task_version, definition, since, after_artifact, \
                       (SELECT settled FROM trigger_slots AS s WHERE s.org = t.org AND s.project = t.project \
                        AND s.domain = t.domain AND s.task = t.task AND s.name = t.name)";

/// The revision of each trigger that counts.
const CURRENT: &str = "key IN (SELECT max(key) FROM triggers GROUP BY org, project, domain, task, name)";

pub(super) fn insert(
    transaction: &Transaction<'_>,
    trigger: &TriggerRow,
    definition: Option<&Definition>,
) -> Result<(), Error> {
    let TriggerId { scope, task, name } = &trigger.id;
    let values = params![
        scope.org,
        scope.project,
        scope.domain,
        task,
        name,
        i64::try_from(trigger.revision).unwrap_or(i64::MAX),
        trigger.change.number(),
        trigger.active,
        trigger.changed_at.0,
        trigger.deployed_at.0,
        trigger.deployed_by.map(String::from),
        trigger.task_version,
        trigger.definition,
        trigger.since.0,
        trigger.after_artifact.0,
    ];
    transaction
        .prepare_cached(
            "INSERT INTO triggers (org, project, domain, task, name, revision, change, active, changed_at, deployed_at,
                                   deployed_by, task_version, definition, since, after_artifact)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )
        .and_then(|mut insert| insert.execute(values))
        .map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => {
                Error::AlreadyExists(format!("{} revision {}", trigger.id, trigger.revision))
            }
            _ => failed(error),
        })?;
    definition.map_or(Ok(()), |Definition { digest, body }| catalog::insert_definition(transaction, digest, body))
}

pub(super) fn read(connection: &Connection, query: &TriggerQuery) -> Result<Vec<TriggerRow>, Error> {
    let any = Scope { org: String::new(), project: String::new(), domain: String::new() };
    let scope = query.scope.as_ref().unwrap_or(&any);
    let sql = format!(
        "SELECT {COLUMNS} FROM triggers AS t
         WHERE {CURRENT} AND change <> 4
           AND (?1 OR (org = ?2 AND project = ?3 AND domain = ?4))
           AND (?5 IS NULL OR task = ?5)
           AND (?6 IS NULL OR task_version = ?6)
           AND (?7 IS NULL OR name = ?7)
           AND (active OR NOT ?8)
         ORDER BY key DESC LIMIT ?9 OFFSET ?10"
    );
    let values = params![
        query.scope.is_none(),
        scope.org,
        scope.project,
        scope.domain,
        query.task,
        query.task_version,
        query.name,
        query.only_active,
        number(query.limit),
        number(query.offset),
    ];
    rows(connection, &sql, values)
}

pub(super) fn read_revisions(
    connection: &Connection,
    id: &TriggerId,
    offset: usize,
    limit: usize,
) -> Result<Vec<TriggerRow>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM triggers AS t
         WHERE org = ?1 AND project = ?2 AND domain = ?3 AND task = ?4 AND name = ?5
         ORDER BY revision DESC LIMIT ?6 OFFSET ?7"
    );
    let TriggerId { scope, task, name } = id;
    rows(connection, &sql, params![scope.org, scope.project, scope.domain, task, name, number(limit), number(offset)])
}

pub(super) fn settle(transaction: &Transaction<'_>, id: &TriggerId, slot: Timestamp) -> Result<(), Error> {
    let TriggerId { scope, task, name } = id;
    transaction
        .prepare_cached(
            "INSERT INTO trigger_slots (org, project, domain, task, name, settled) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET settled = excluded.settled",
        )
        .and_then(|mut upsert| upsert.execute(params![scope.org, scope.project, scope.domain, task, name, slot.0]))
        .map_err(failed)?;
    Ok(())
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn rows(connection: &Connection, sql: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Vec<TriggerRow>, Error> {
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let rows = statement.query_map(values, |row| Ok(read_row(row))).map_err(failed)?;
    rows.map(|row| row.map_err(failed)?).collect()
}

fn read_row(row: &Row<'_>) -> Result<TriggerRow, Error> {
    let change: i32 = get(row, 6)?;
    let unknown = || Error::Corrupt { what: format!("change of a trigger {change}") };
    Ok(TriggerRow {
        id: TriggerId {
            scope: Scope { org: get(row, 0)?, project: get(row, 1)?, domain: get(row, 2)? },
            task: get(row, 3)?,
            name: get(row, 4)?,
        },
        revision: get::<i64>(row, 5)?.unsigned_abs(),
        change: TriggerChange::from_number(change).ok_or_else(unknown)?,
        active: get(row, 7)?,
        changed_at: Timestamp(get(row, 8)?),
        deployed_at: Timestamp(get(row, 9)?),
        deployed_by: get::<Option<String>>(row, 10)?.and_then(|header| header.parse().ok()),
        task_version: get(row, 11)?,
        definition: get(row, 12)?,
        since: Timestamp(get(row, 13)?),
        after_artifact: ArtifactKey(get(row, 14)?),
        settled: get::<Option<i64>>(row, 15)?.map(Timestamp),
    })
}
