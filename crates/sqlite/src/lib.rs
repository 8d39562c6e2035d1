//! How Spanwise keeps a SQLite file: write-ahead log, migrations, a thread that folds the log, and what to do with a damaged one.
//!
//! The journal and the received spans are such files, in crates that know nothing of each other. What is in a file is no
//! business of this crate's.

use rusqlite::Connection;
use spanwise_core::Durability;

mod aside;
mod checkpoint;
mod error;

pub use aside::set_aside;
pub use checkpoint::Checkpointer;
pub use error::Error;

/// Room for the actions of a run of some ten thousand: names come in no order, and a page that does not fit is read again
/// for the next one.
const CACHE_KIB: u32 = 16 * 1024;

/// The value of SQLite's setting of that name.
fn synchronous(durability: Durability) -> &'static str {
    match durability {
        Durability::Process => "NORMAL",
        Durability::Disk => "FULL",
    }
}

/// What a database has to be.
#[derive(Clone, Copy, Debug)]
pub struct Schema<'a> {
    /// Makes today's database of an empty one, at once.
    pub whole: &'a str,
    /// The same in steps, one for each version of the schema, in order. The number of those applied stands in `user_version`.
    pub steps: &'a [&'a str],
}

/// Settings of a connection that writes, then the steps of the schema that are missing. A new database takes none of them: many small
/// changes of a schema take SQLite several times as long as what they come to.
///
/// # Errors
/// [`Error::Newer`] if there are more of them than are known here; [`Error::Failed`], not sorted yet.
pub fn prepare(connection: &mut Connection, durability: Durability, schema: Schema<'_>) -> Result<(), Error> {
    let synchronous = synchronous(durability);
    let settings = format!(
        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous};
         PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -{CACHE_KIB};"
    );
    connection.execute_batch(&settings)?;
    connection.set_prepared_statement_cache_capacity(32);
    migrate(connection, schema)
}

fn migrate(connection: &mut Connection, Schema { whole, steps }: Schema<'_>) -> Result<(), Error> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))?;
    let applied = usize::try_from(version).unwrap_or(usize::MAX);
    if applied > steps.len() {
        return Err(Error::Newer { what: format!("schema {applied}, this version knows {}", steps.len()) });
    }
    if applied == steps.len() {
        return Ok(());
    }
    // All or none, and one wait for the disk.
    let transaction = connection.transaction()?;
    match applied {
        0 => transaction.execute_batch(whole)?,
        applied => steps[applied..].iter().try_for_each(|step| transaction.execute_batch(step))?,
    }
    transaction.pragma_update(None, "user_version", steps.len() as i64)?;
    transaction.commit()?;
    Ok(())
}

/// Gives the pages back that a connection has kept of what it wrote and read. It keeps as many as it may, so that many small runs would
/// take up memory, one after the other, as if ended ones stayed; the system has the file's pages at hand in any case.
pub fn forget_pages(connection: &Connection) {
    // A connection that cannot be told so keeps them, and nothing else is wrong with it for that.
    let _ = connection.execute_batch("PRAGMA shrink_memory");
}

/// The size of the database in bytes, without the pages that are free.
///
/// # Errors
/// If it cannot be read.
pub fn used_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = pragma("page_count")? - pragma("freelist_count")?;
    Ok(u64::try_from(pages * pragma("page_size")?).unwrap_or(0))
}
