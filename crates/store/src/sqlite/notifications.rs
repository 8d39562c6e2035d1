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

/// The receivers for whom something waits, each with the time of the first of it, and of the first that is due. Each is found by a look into an
/// index, however much waits for it.
const HEADS: &str = "
    WITH RECURSIVE receivers (name) AS (
        SELECT min(receiver) FROM notifications WHERE state = 0 AND due_at IS NOT NULL
        UNION ALL
        SELECT (SELECT min(receiver) FROM notifications WHERE state = 0 AND due_at IS NOT NULL AND receiver > name)
        FROM receivers WHERE name IS NOT NULL
    ), heads (name, first, untried, late) AS (
        SELECT name,
            (SELECT min(due_at) FROM notifications WHERE state = 0 AND due_at IS NOT NULL AND receiver = name),
            (SELECT min(due_at) FROM notifications WHERE state = 0 AND due_at IS NOT NULL AND tries = 0 AND receiver = name),
            (SELECT min(due_at) FROM notifications WHERE state = 0 AND due_at IS NOT NULL AND receiver = name AND due_at > ?2)
        FROM receivers WHERE name IS NOT NULL AND name NOT IN (SELECT value FROM json_each(?3))
    )
    SELECT name, first, CASE WHEN first <= ?1 THEN first ELSE coalesce(min(untried, late), untried, late) END FROM heads";

pub(super) fn due(connection: &Connection, query: &DueQuery) -> Result<Due, Error> {
    let resting =
        serde_json::to_string(&query.resting).map_err(|error| super::columns::corrupt("receivers", &error))?;
    let mut select = connection.prepare_cached(HEADS).map_err(failed)?;
    let heads = select
        .query_map(params![query.now.0, query.latest.0, resting], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, Option<i64>>(2)?))
        })
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(failed)?;
    let next = heads.iter().filter(|(.., due)| due.is_none()).map(|(_, first, _)| Timestamp(*first)).min();
    let mut due: Vec<(i64, String)> =
        heads.into_iter().filter_map(|(receiver, _, due)| Some((due?, receiver))).collect();
    due.sort();
    due.truncate(query.limit);
    let sql = format!(
        "SELECT {COLUMNS} FROM notifications
         WHERE state = 0 AND due_at IS NOT NULL AND receiver = ?3 AND due_at = ?4 AND {IS_DUE} ORDER BY run, rule LIMIT 1"
    );
    let row =
        |(due, receiver): &(i64, String)| read(connection, &sql, params![query.now.0, query.latest.0, receiver, due]);
    let rows = due.iter().map(row).collect::<Result<Vec<_>, Error>>()?;
    Ok(Due { rows: rows.into_iter().flatten().collect(), next })
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

pub(super) fn troubled(
    connection: &Connection,
    (project, domain): (&str, &str),
    limit: usize,
) -> Result<Vec<(NotificationRow, u64)>, Error> {
    // The other columns are those of the row that has the maximum: of the newest run the first rule.
    let sql = format!(
        "SELECT {COLUMNS}, count(*), max(run * 4096 - rule) FROM notifications
         WHERE error IS NOT NULL AND state IN (0, 2) AND EXISTS (
             SELECT 1 FROM runs WHERE key = run AND (?1 = '' OR project = ?1) AND (?2 = '' OR domain = ?2))
         GROUP BY receiver ORDER BY run DESC, rule LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![project, domain, limit], |row| {
        Ok(read_row(row).and_then(|of_newest| Ok((of_newest, get::<i64>(row, 7)?.unsigned_abs()))))
    });
    rows.map_err(failed)?.map(|row| row.map_err(failed)?).collect()
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

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    /// How many steps it takes to see what is due if so much waits for each of three receivers: for one that rests, for one whose messages are all
    /// tried later, and for one that takes them.
    fn steps(waiting: i64) -> i32 {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../migrations/sqlite/schema.sql")).unwrap();
        for run in 0..waiting {
            for (rule, receiver, tries, due_at) in
                [(0, "rests", 1, run), (1, "refuses", 1, 2_000_000), (2, "takes", 0, run)]
            {
                let insert = "INSERT INTO notifications (run, rule, receiver, state, tries, due_at) VALUES (?1, ?2, ?3, 0, ?4, ?5)";
                connection.execute(insert, params![run, rule, receiver, tries, due_at]).unwrap();
            }
        }
        let (now, latest) = (Timestamp(1_000_000), Timestamp(3_000_000));
        let query = DueQuery { now, latest, resting: vec!["rests".to_owned()], limit: 8 };
        let found = due(&connection, &query).unwrap();
        let rows: Vec<_> = found.rows.iter().map(|row| (row.receiver.as_str(), row.run.0)).collect();
        assert_eq!((rows, found.next), (vec![("takes", 0)], Some(Timestamp(2_000_000))));
        let mut heads = connection.prepare(HEADS).unwrap();
        let count = heads.query_map(params![now.0, latest.0, r#"["rests"]"#], |_| Ok(())).unwrap().count();
        assert_eq!(count, 2);
        heads.get_status(StatementStatus::VmStep)
    }

    #[test]
    fn s13_3_what_is_due_is_found_at_once_however_much_waits() {
        let (few, many) = (steps(10), steps(5000));
        assert!(many < few + 50, "{few} steps with 10 that wait for each receiver, {many} with 5000");
    }
}
