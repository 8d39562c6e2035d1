//! Apps, each in its revisions.

use bytes::Bytes;
use rusqlite::{Connection, ErrorCode, Row, Transaction, params};
use spanwise_core::Timestamp;

use super::columns::get;
use super::failed;
use crate::{AppRow, Error, REVISIONS_KEPT, Scope};

pub(super) fn insert(transaction: &Transaction<'_>, app: &AppRow) -> Result<(), Error> {
    let Scope { org, project, domain } = &app.scope;
    let revision = i64::try_from(app.revision).unwrap_or(i64::MAX);
    let values = params![
        org,
        project,
        domain,
        app.name,
        revision,
        &app.body[..],
        app.reason,
        app.created_at.0,
        app.changed_at.0,
    ];
    transaction
        .prepare_cached(
            "INSERT INTO apps (org, project, domain, name, revision, body, reason, created_at, changed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )
        .and_then(|mut insert| insert.execute(values))
        .map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => Error::AlreadyExists(format!("{} {}", app.name, app.revision)),
            _ => failed(error),
        })?;
    let oldest = revision.saturating_sub(i64::try_from(REVISIONS_KEPT).unwrap_or(i64::MAX));
    transaction
        .prepare_cached(
            "DELETE FROM apps WHERE org = ?1 AND project = ?2 AND domain = ?3 AND name = ?4 AND revision <= ?5",
        )
        .and_then(|mut delete| delete.execute(params![org, project, domain, app.name, oldest]))
        .map_err(failed)?;
    Ok(())
}

const COLUMNS: &str = "org, project, domain, name, revision, body, reason, created_at, changed_at";

pub(super) fn read_newest(connection: &Connection) -> Result<Vec<AppRow>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM apps AS app WHERE revision = (
             SELECT max(revision) FROM apps
             WHERE org = app.org AND project = app.project AND domain = app.domain AND name = app.name)
         ORDER BY created_at, key"
    );
    read(connection, &sql, params![])
}

pub(super) fn read_revisions(connection: &Connection, scope: &Scope, name: &str) -> Result<Vec<AppRow>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM apps WHERE org = ?1 AND project = ?2 AND domain = ?3 AND name = ?4
         ORDER BY revision DESC"
    );
    read(connection, &sql, params![scope.org, scope.project, scope.domain, name])
}

fn read(connection: &Connection, sql: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Vec<AppRow>, Error> {
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let rows = statement.query_map(values, |row| Ok(read_row(row))).map_err(failed)?;
    rows.map(|row| row.map_err(failed)?).collect()
}

fn read_row(row: &Row<'_>) -> Result<AppRow, Error> {
    let revision: i64 = get(row, 4)?;
    Ok(AppRow {
        scope: Scope { org: get(row, 0)?, project: get(row, 1)?, domain: get(row, 2)? },
        name: get(row, 3)?,
        revision: u64::try_from(revision).map_err(|_| Error::Corrupt { what: format!("revision {revision}") })?,
        body: Bytes::from(get::<Vec<u8>>(row, 5)?),
        reason: get(row, 6)?,
        created_at: Timestamp(get(row, 7)?),
        changed_at: Timestamp(get(row, 8)?),
    })
}

pub(super) fn delete(transaction: &Transaction<'_>, scope: &Scope, name: &str) -> Result<bool, Error> {
    let deleted = transaction
        .prepare_cached("DELETE FROM apps WHERE org = ?1 AND project = ?2 AND domain = ?3 AND name = ?4")
        .and_then(|mut delete| delete.execute(params![scope.org, scope.project, scope.domain, name]))
        .map_err(failed)?;
    Ok(deleted > 0)
}
