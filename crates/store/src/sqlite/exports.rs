//! How far the lifecycle spans of runs have been exported.

use rusqlite::{Connection, Row, Transaction, params};

use super::columns::get;
use super::failed;
use crate::{Error, ExportState, RunKey};

pub(super) fn put(transaction: &Transaction<'_>, run: RunKey, state: ExportState) -> Result<(), Error> {
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let values =
        params![run.0, number(state.next_seq), number(state.exported), number(state.dropped), i64::from(state.done)];
    transaction
        .prepare_cached(
            "UPDATE runs SET export_seq = ?2, exported = ?3, export_dropped = ?4, export_done = ?5 WHERE key = ?1",
        )
        .and_then(|mut update| update.execute(values))
        .map_err(failed)?;
    Ok(())
}

pub(super) fn pending(connection: &Connection) -> Result<Vec<RunKey>, Error> {
    let mut statement =
        connection.prepare_cached("SELECT key FROM runs WHERE export_done = 0 ORDER BY key").map_err(failed)?;
    let keys = statement.query_map([], |row| row.get(0).map(RunKey)).map_err(failed)?;
    keys.collect::<rusqlite::Result<_>>().map_err(failed)
}

/// Reads the four columns that follow each other from `first`.
pub(super) fn read(row: &Row<'_>, first: usize) -> Result<Option<ExportState>, Error> {
    let Some(next_seq) = get::<Option<i64>>(row, first)? else { return Ok(None) };
    let number = |index| get::<i64>(row, index).map(|count| u64::try_from(count).unwrap_or(0));
    Ok(Some(ExportState {
        next_seq: u64::try_from(next_seq).unwrap_or(0),
        exported: number(first + 1)?,
        dropped: number(first + 2)?,
        done: get::<i64>(row, first + 3)? != 0,
    }))
}
