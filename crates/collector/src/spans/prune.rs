//! Deleting the spans that arrived first.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use spanwise_core::Timestamp;

use super::database::Writer;

/// How many spans are deleted in one transaction: writers wait for it.
pub(super) const PRUNED_AT_ONCE: usize = 2048;

/// Free pages are given back to the file system when there are more of them than a quarter of all, and worth the work.
const FEW_PAGES: i64 = 256;

impl Writer {
    /// When the newest span arrived.
    pub(super) fn newest(&self) -> rusqlite::Result<Option<Timestamp>> {
        let mut select = self.connection.prepare_cached("SELECT received_at FROM spans ORDER BY key DESC LIMIT 1")?;
        select.query_row([], |row| row.get(0).map(Timestamp)).optional()
    }

    /// How many spans a share of all is, and a few more, so that the next insertion does not ask again.
    pub(super) fn share(&self, share: f64) -> rusqlite::Result<usize> {
        // Every key between the first and the last one is a span's, but for those whose id was known.
        let mut select = self.connection.prepare_cached("SELECT max(key) - min(key) + 1 FROM spans")?;
        let all = select.query_row([], |row| row.get::<_, Option<i64>>(0))?.unwrap_or(0) as f64;
        Ok(((all * (share + 1.0 / 32.0)) as usize + 1).min(PRUNED_AT_ONCE))
    }

    /// Deletes the oldest spans, `count` at most, if they arrived before a time, and the origins that nobody needs any more.
    pub(super) fn delete_oldest(&mut self, count: usize, before: i64) -> rusqlite::Result<u64> {
        let transaction = Transaction::new(&mut self.connection, TransactionBehavior::Immediate)?;
        let mut last = None;
        {
            let mut select = transaction.prepare_cached("SELECT key, received_at FROM spans ORDER BY key LIMIT ?1")?;
            let rows = select.query_map([count as i64], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
            for row in rows {
                let (key, received_at) = row?;
                if received_at >= before {
                    break;
                }
                last = Some(key);
            }
        }
        let Some(last) = last else { return Ok(0) };
        let deleted = transaction.prepare_cached("DELETE FROM spans WHERE key <= ?1")?.execute([last])?;
        let origins = transaction.prepare_cached("DELETE FROM origins WHERE last <= ?1")?.execute([last])?;
        transaction.commit()?;
        if origins > 0 {
            self.origins.clear();
        }
        Ok(deleted as u64)
    }
}

/// Gives free pages back to the file system, if there are many: those that are soon used again are best left where they are.
pub(super) fn give_back(connection: &Connection) -> rusqlite::Result<()> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (free, all) = (pragma("freelist_count")?, pragma("page_count")?);
    if free > FEW_PAGES.max(all / 4) {
        connection.execute_batch("PRAGMA incremental_vacuum")?;
    }
    Ok(())
}
