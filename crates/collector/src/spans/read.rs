//! Reading spans back, with what made them.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use spanwise_sqlite::Error;

use super::database::FILE;
use super::{SpanOrigin, StoredSpan};

/// How many spans of a trace there are.
pub(super) fn count(connection: &Connection, trace_id: [u8; 16]) -> Result<u64, Error> {
    let mut select = connection.prepare_cached("SELECT count(*) FROM spans WHERE trace_id = ?1")?;
    let count = select.query_row([&trace_id[..]], |row| row.get::<_, i64>(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// The spans of a trace, the first to begin first, at most `limit` of them.
pub(super) fn trace(connection: &Connection, trace_id: [u8; 16], limit: usize) -> Result<Vec<StoredSpan>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT span_id, parent_id, name, started_at, ended_at, origin, body FROM spans
             WHERE trace_id = ?1 ORDER BY started_at, key LIMIT ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![&trace_id[..], limit])?;
    let (mut origins, mut spans) = (HashMap::new(), Vec::new());
    while let Some(row) = rows.next()? {
        spans.push(span(connection, trace_id, row, &mut origins)?);
    }
    Ok(spans)
}

/// The spans with these keys, in their order.
pub(super) fn of_keys(connection: &Connection, trace_id: [u8; 16], keys: &[i64]) -> Result<Vec<StoredSpan>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT span_id, parent_id, name, started_at, ended_at, origin, body FROM spans WHERE key = ?1",
    )?;
    let (mut origins, mut spans) = (HashMap::new(), Vec::with_capacity(keys.len()));
    for key in keys {
        let mut rows = statement.query([key])?;
        while let Some(row) = rows.next()? {
            spans.push(span(connection, trace_id, row, &mut origins)?);
        }
    }
    Ok(spans)
}

fn span(
    connection: &Connection,
    trace_id: [u8; 16],
    row: &rusqlite::Row<'_>,
    origins: &mut HashMap<i64, Arc<SpanOrigin>>,
) -> Result<StoredSpan, Error> {
    let key: i64 = row.get(5)?;
    let origin = match origins.get(&key) {
        Some(origin) => Arc::clone(origin),
        None => {
            let origin = Arc::new(read_origin(connection, key)?);
            origins.insert(key, Arc::clone(&origin));
            origin
        }
    };
    Ok(StoredSpan {
        trace_id,
        span_id: row.get(0)?,
        parent_id: row.get(1)?,
        name: row.get(2)?,
        start: row.get(3)?,
        end: row.get(4)?,
        origin,
        body: row.get::<_, Vec<u8>>(6)?.into(),
    })
}

fn read_origin(connection: &Connection, key: i64) -> Result<SpanOrigin, Error> {
    let found =
        connection.prepare_cached("SELECT digest, body FROM origins WHERE key = ?1").and_then(|mut select| {
            let origin = |row: &rusqlite::Row<'_>| {
                Ok(SpanOrigin { digest: row.get(0)?, body: row.get::<_, Vec<u8>>(1)?.into() })
            };
            select.query_row([key], origin).optional()
        })?;
    found.ok_or_else(|| Error::Corrupt { what: format!("{FILE}: there is no origin {key}") })
}
