//! Deleting what is kept no longer: finished runs, cached outputs, definitions that nothing is made from.

use rusqlite::{Connection, OptionalExtension, Transaction};
use spanwise_core::Timestamp;
use spanwise_sqlite::used_bytes;

use super::{failed, rows};
use crate::{Error, Pruned, PrunedRun, Retention, RunKey};

/// So many runs are deleted at a time, before the size is looked at again.
const RUNS_AT_A_TIME: i64 = 16;

/// The time of the newest fact that is kept: no clock that jumps moves it.
pub(super) fn newest_fact(connection: &Connection) -> Result<Option<Timestamp>, Error> {
    let newest = connection
        .prepare_cached(
            "SELECT max(at) FROM (
                 SELECT max(created_at) AS at FROM (SELECT created_at FROM runs ORDER BY key DESC LIMIT 64)
                 UNION ALL SELECT max(ended_at) FROM runs WHERE ended_at IS NOT NULL
                 UNION ALL SELECT max(max(enqueued_at, ifnull(started_at, 0), ifnull(ended_at, 0))) FROM actions
                     WHERE run IN (SELECT key FROM runs WHERE ended_at IS NULL)
                 UNION ALL SELECT max(stored_at) FROM cache
                 UNION ALL SELECT max(deployed_at) FROM tasks
                 UNION ALL SELECT max(changed_at) FROM triggers
                 UNION ALL SELECT max(changed_at) FROM apps
                 UNION ALL SELECT max(changed_at) FROM projects
                 UNION ALL SELECT max(changed_at) FROM settings
                 UNION ALL SELECT max(created_at) FROM artifacts)",
        )
        .and_then(|mut select| select.query_row([], |row| row.get::<_, Option<i64>>(0)))
        .map_err(failed)?;
    Ok(newest.map(Timestamp))
}

/// Deletes by the newest fact instead of the clock, where that is later: a clock that jumped makes nothing old.
pub(super) fn prune(connection: &mut Connection, keep: &Retention, now: Timestamp) -> Result<Pruned, Error> {
    let mut pruned = Pruned::default();
    let now = newest_fact(connection)?.map_or(now, |newest| now.min(newest));
    if let Some(max_age) = keep.max_age {
        let oldest = now.before(max_age);
        let old = finished(connection, oldest, i64::MAX)?;
        pruned.runs.extend(ids(connection, &old)?);
        delete(connection, &old, oldest)?;
    }
    if let Some(max_bytes) = keep.max_bytes {
        shrink(connection, max_bytes, &mut pruned)?;
    }
    connection.execute_batch("PRAGMA incremental_vacuum").map_err(failed)?;
    Ok(pruned)
}

/// Cached outputs have half of the room at most; then what is oldest goes.
fn shrink(connection: &mut Connection, max_bytes: u64, pruned: &mut Pruned) -> Result<(), Error> {
    if used_bytes(connection).map_err(failed)? > max_bytes {
        shrink_cache(connection, max_bytes / 2)?;
    }
    while used_bytes(connection).map_err(failed)? > max_bytes {
        let oldest = finished(connection, Timestamp(i64::MAX), RUNS_AT_A_TIME)?;
        let Some((_, last_end)) = oldest.last() else { break };
        pruned.runs.extend(ids(connection, &oldest)?);
        // An output that was cached before its run ended goes with the run: it may name files of the run's.
        delete(connection, &oldest, Timestamp(last_end.0.saturating_add(1)))?;
    }
    Ok(())
}

/// Runs that ended before a time, the first to end first.
fn finished(connection: &Connection, before: Timestamp, limit: i64) -> Result<Vec<(RunKey, Timestamp)>, Error> {
    let mut statement = connection
        .prepare_cached(
            "SELECT key, ended_at FROM runs WHERE ended_at < ?1 AND in_doubt = 0 ORDER BY ended_at LIMIT ?2",
        )
        .map_err(failed)?;
    let runs = statement.query_map([before.0, limit], |row| Ok((RunKey(row.get(0)?), Timestamp(row.get(1)?))));
    runs.map_err(failed)?.collect::<rusqlite::Result<_>>().map_err(failed)
}

/// The runs with their names, as far as these can be read: what they have left elsewhere is found by them.
fn ids(connection: &Connection, runs: &[(RunKey, Timestamp)]) -> Result<Vec<PrunedRun>, Error> {
    let id = |(key, _): &(RunKey, Timestamp)| match rows::read_run_by_key(connection, *key) {
        Ok(row) => Ok(PrunedRun { key: *key, id: row.map(|row| row.id) }),
        Err(error) if error.is_damage() => Ok(PrunedRun { key: *key, id: None }),
        Err(error) => Err(error),
    };
    runs.iter().map(id).collect()
}

/// Deletes runs, what only they refer to, and what was cached before a time.
fn delete(connection: &mut Connection, runs: &[(RunKey, Timestamp)], cached_before: Timestamp) -> Result<(), Error> {
    let transaction = connection.transaction().map_err(failed)?;
    for (run, _) in runs {
        delete_run(&transaction, *run).map_err(failed)?;
    }
    transaction
        .prepare_cached("DELETE FROM cache WHERE stored_at < ?1")
        .and_then(|mut delete| delete.execute([cached_before.0]))
        .map_err(failed)?;
    transaction.commit().map_err(failed)
}

fn delete_run(transaction: &Transaction<'_>, run: RunKey) -> rusqlite::Result<()> {
    let mut definitions = transaction.prepare_cached(
        "DELETE FROM definitions
         WHERE digest IN (SELECT digest FROM run_definitions WHERE run = ?1)
           AND NOT EXISTS (SELECT 1 FROM run_definitions AS other
                           WHERE other.digest = definitions.digest AND other.run <> ?1)
           AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.definition = definitions.digest)
           AND NOT EXISTS (SELECT 1 FROM triggers WHERE triggers.definition = definitions.digest)",
    )?;
    definitions.execute([run.0])?;
    for sql in [
        "DELETE FROM run_definitions WHERE run = ?1",
        "DELETE FROM run_labels WHERE run = ?1",
        "DELETE FROM notifications WHERE run = ?1",
        "DELETE FROM run_artifacts WHERE run = ?1",
        "DELETE FROM events WHERE run = ?1",
        "DELETE FROM actions WHERE run = ?1",
        "DELETE FROM runs WHERE key = ?1",
    ] {
        transaction.prepare_cached(sql)?.execute([run.0])?;
    }
    Ok(())
}

/// Deletes the oldest cached outputs until the others have no more than so many bytes.
fn shrink_cache(connection: &Connection, max_bytes: u64) -> Result<(), Error> {
    let newest_that_goes = connection
        .prepare_cached(
            "SELECT stored_at FROM (SELECT stored_at, sum(length(outputs) + length(key))
                                               OVER (ORDER BY stored_at DESC ROWS UNBOUNDED PRECEDING) AS total
                                    FROM cache)
             WHERE total > ?1 ORDER BY stored_at DESC LIMIT 1",
        )
        .and_then(|mut select| {
            select.query_row([i64::try_from(max_bytes).unwrap_or(i64::MAX)], |row| row.get::<_, i64>(0)).optional()
        })
        .map_err(failed)?;
    let Some(newest) = newest_that_goes else { return Ok(()) };
    connection.execute("DELETE FROM cache WHERE stored_at <= ?1", [newest]).map_err(failed)?;
    Ok(())
}
