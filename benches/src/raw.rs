//! The yardstick: SQLite without an engine, with the same amount of data.

use std::path::Path;

use rusqlite::{Connection, params};

/// A database with one table of events and one of actions.
pub struct Raw {
    connection: Connection,
    next: i64,
}

const BODY: &str = r#"[[1700000000000000,{"type":"enqueued","spec":{"parent":"a0","kind":"task","task":"bench.noop"}}],[1700000000000001,{"type":"launched","attempt":1}],[1700000000000002,{"type":"succeeded","attempt":1}]]"#;

impl Raw {
    /// Opens it; `full` waits for the disk at each commit.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn open(path: &Path, full: bool) -> anyhow::Result<Raw> {
        let connection = Connection::open(path)?;
        let synchronous = if full { "FULL" } else { "NORMAL" };
        connection.execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA wal_autocheckpoint = 4096;
             CREATE TABLE events (run INTEGER, seq INTEGER, action TEXT, body TEXT, PRIMARY KEY (run, seq)) WITHOUT ROWID;
             CREATE TABLE actions (run INTEGER, name TEXT, phase INTEGER, at INTEGER, inputs BLOB, outputs BLOB,
                                   PRIMARY KEY (run, name)) WITHOUT ROWID;"
        ))?;
        Ok(Raw { connection, next: 0 })
    }

    /// `count` transactions of `pairs` pairs, each an inserted event and an upserted action.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn commit(&mut self, count: u32, pairs: u32) -> anyhow::Result<()> {
        for _ in 0..count {
            let transaction = self.connection.transaction()?;
            {
                let mut event = transaction.prepare_cached("INSERT INTO events VALUES (1, ?1, ?2, ?3)")?;
                let mut action = transaction.prepare_cached(
                    "INSERT INTO actions VALUES (1, ?1, 5, ?2, ?3, ?4)
                     ON CONFLICT (run, name) DO UPDATE SET phase = excluded.phase",
                )?;
                for _ in 0..pairs {
                    self.next += 1;
                    // Names of actions are digests: they arrive in no order.
                    let name = format!("{:025}", self.next.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64));
                    event.execute(params![self.next, name, BODY])?;
                    action.execute(params![name, self.next, [7u8; 40], [7u8; 20]])?;
                }
            }
            transaction.commit()?;
        }
        Ok(())
    }
}
