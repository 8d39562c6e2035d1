//! Notifications of the ends of runs.

use rusqlite::{Connection, Row, Transaction, params};
use spanwise_core::Timestamp;

use super::columns::get;
use super::failed;
use crate::{Due, DueQuery, Error, NotificationRow, NotificationState, RunKey};

const COLUMNS: &str = "run, rule, receiver, state, tries, due_at, error";

fn number(state: NotificationState) -> i64 {
    match state {
        NotificationState::Waiting => 0,
        NotificationState::Delivered => 1,
        NotificationState::GivenUp => 2,
        NotificationState::Unwanted => 3,
    }
}

fn state(number: i64) -> Result<NotificationState, Error> {
    match number {
        0 => Ok(NotificationState::Waiting),
        1 => Ok(NotificationState::Delivered),
        2 => Ok(NotificationState::GivenUp),
        3 => Ok(NotificationState::Unwanted),
        other => Err(Error::Corrupt { what: format!("state {other} of a notification") }),
    }
}

pub(super) fn insert(transaction: &Transaction<'_>, run: RunKey, receivers: &[(u32, String)]) -> Result<(), Error> {
    for (rule, receiver) in receivers {
        transaction
            .prepare_cached("INSERT INTO notifications (run, rule, receiver, state, tries) VALUES (?1, ?2, ?3, 0, 0)")
            .and_then(|mut insert| insert.execute(params![run.0, rule, receiver]))
            .map_err(failed)?;
    }
    Ok(())
}

/// The run has ended: its notifications are to be sent.
pub(super) fn become_due(transaction: &Transaction<'_>, run: RunKey, ended_at: Timestamp) -> Result<(), Error> {
    transaction
        .prepare_cached("UPDATE notifications SET due_at = ?2 WHERE run = ?1 AND due_at IS NULL")
        .and_then(|mut update| update.execute(params![run.0, ended_at.0]))
        .map_err(failed)?;
    Ok(())
}

/// What was never tried is due whatever the clock says: it may have been moved since the run has ended.
const IS_DUE: &str = "(tries = 0 OR due_at <= ?1 OR due_at > ?2)";

const WAITS: &str = "state = 0 AND due_at IS NOT NULL AND receiver NOT IN (SELECT value FROM json_each(?3))";

pub(super) fn due(connection: &Connection, query: &DueQuery) -> Result<Due, Error> {
    let resting =
        serde_json::to_string(&query.resting).map_err(|error| super::columns::corrupt("receivers", &error))?;
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    // The other columns are those of the row that has the minimum.
    let sql = format!(
        "SELECT run, rule, receiver, state, tries, min(due_at), error FROM notifications
         WHERE {WAITS} AND {IS_DUE} GROUP BY receiver ORDER BY min(due_at) LIMIT ?4"
    );
    let rows = read(connection, &sql, params![query.now.0, query.latest.0, resting, limit])?;
    let sql = format!("SELECT min(due_at) FROM notifications WHERE {WAITS} AND NOT {IS_DUE}");
    let next = connection
        .prepare_cached(&sql)
        .and_then(|mut select| {
            select.query_row(params![query.now.0, query.latest.0, resting], |row| row.get::<_, Option<i64>>(0))
        })
        .map_err(failed)?;
    Ok(Due { rows, next: next.map(Timestamp) })
}

pub(super) fn put(transaction: &Transaction<'_>, row: &NotificationRow) -> Result<(), Error> {
    let values =
        params![row.run.0, row.rule, number(row.state), row.tries, row.at.map(|at| at.0), row.error.as_deref()];
    transaction
        .prepare_cached(
            "UPDATE notifications SET state = ?3, tries = ?4, due_at = ?5, error = ?6 WHERE run = ?1 AND rule = ?2",
        )
        .and_then(|mut update| update.execute(values))
        .map_err(failed)?;
    Ok(())
}

pub(super) fn give_up(
    transaction: &Transaction<'_>,
    receiver: &str,
    (before, now): (Timestamp, Timestamp),
    why: &str,
) -> Result<u64, Error> {
    let given_up = transaction
        .prepare_cached(
            "UPDATE notifications SET state = 2, due_at = ?3, error = ?4
             WHERE receiver = ?1 AND state = 0 AND due_at IS NOT NULL
               AND (SELECT ended_at FROM runs WHERE key = run) < ?2",
        )
        .and_then(|mut update| update.execute(params![receiver, before.0, now.0, why]))
        .map_err(failed)?;
    Ok(given_up as u64)
}

pub(super) fn of_run(connection: &Connection, run: RunKey) -> Result<Vec<NotificationRow>, Error> {
    read(connection, &format!("SELECT {COLUMNS} FROM notifications WHERE run = ?1 ORDER BY rule"), params![run.0])
}

pub(super) fn troubled(connection: &Connection, limit: usize) -> Result<Vec<NotificationRow>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM notifications WHERE error IS NOT NULL AND state IN (0, 2)
         ORDER BY run DESC, rule LIMIT ?1"
    );
    read(connection, &sql, params![i64::try_from(limit).unwrap_or(i64::MAX)])
}

fn read(connection: &Connection, sql: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Vec<NotificationRow>, Error> {
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let rows = statement.query_map(values, |row| Ok(read_row(row))).map_err(failed)?;
    rows.map(|row| row.map_err(failed)?).collect()
}

fn read_row(row: &Row<'_>) -> Result<NotificationRow, Error> {
    Ok(NotificationRow {
        run: RunKey(get(row, 0)?),
        rule: get(row, 1)?,
        receiver: get(row, 2)?,
        state: state(get(row, 3)?)?,
        tries: get(row, 4)?,
        at: get::<Option<i64>>(row, 5)?.map(Timestamp),
        error: get(row, 6)?,
    })
}
