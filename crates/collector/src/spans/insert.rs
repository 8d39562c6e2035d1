//! Storing spans: the first of an id stays, and what made them is stored once.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use spanwise_core::Timestamp;

use super::{Inserted, SpanOrigin, StoredSpan};

/// Keys of origins that are remembered; a program has a handful.
const REMEMBERED_ORIGINS: usize = 4096;

const INSERT: &str =
    "INSERT INTO spans (trace_id, span_id, parent_id, name, started_at, ended_at, received_at, origin, body)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (trace_id, span_id) DO NOTHING";

/// Stores spans in one transaction.
pub(super) fn insert(
    connection: &mut Connection,
    origins: &mut HashMap<[u8; 32], i64>,
    spans: &[StoredSpan],
    now: Timestamp,
) -> rusqlite::Result<Inserted> {
    if origins.len() > REMEMBERED_ORIGINS {
        origins.clear();
    }
    let mut inserted = Inserted::default();
    let transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
    {
        let mut statement = transaction.prepare_cached(INSERT)?;
        let mut touched = HashMap::new();
        for (index, span) in spans.iter().enumerate() {
            let origin = match touched.get(&span.origin.digest) {
                Some(key) => *key,
                None => {
                    let key = origin_key(&transaction, origins, &span.origin)?;
                    touched.insert(span.origin.digest, key);
                    key
                }
            };
            let parent = span.parent_id.as_ref().map(|id| &id[..]);
            let changed = statement.execute(params![
                &span.trace_id[..],
                &span.span_id[..],
                parent,
                span.name,
                span.start,
                span.end,
                now.0,
                origin,
                &span.body[..],
            ])?;
            match changed {
                0 => inserted.repeated.push(index),
                _ => inserted.new += 1,
            }
        }
        let mut touch = transaction
            .prepare_cached("UPDATE origins SET last = (SELECT ifnull(max(key), 0) FROM spans) WHERE key = ?1")?;
        for key in touched.into_values() {
            touch.execute([key])?;
        }
    }
    transaction.commit()?;
    Ok(inserted)
}

/// The key of an origin, which is stored if it is not there.
fn origin_key(
    transaction: &Transaction<'_>,
    origins: &mut HashMap<[u8; 32], i64>,
    origin: &SpanOrigin,
) -> rusqlite::Result<i64> {
    if let Some(key) = origins.get(&origin.digest) {
        return Ok(*key);
    }
    let stored = transaction
        .prepare_cached("SELECT key FROM origins WHERE digest = ?1")?
        .query_row([&origin.digest[..]], |row| row.get(0))
        .optional()?;
    let key = match stored {
        Some(key) => key,
        None => {
            transaction
                .prepare_cached("INSERT INTO origins (digest, last, body) VALUES (?1, 0, ?2)")?
                .execute(params![&origin.digest[..], &origin.body[..]])?;
            transaction.last_insert_rowid()
        }
    };
    origins.insert(origin.digest, key);
    Ok(key)
}
