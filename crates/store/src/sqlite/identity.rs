//! Which journal a data directory has. The journal's number stands in its header and in a file beside it, so that an empty, missing or
//! foreign journal is not taken for a new one: what runs have left beside it would go as nobody's.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use spanwise_core::Timestamp;

use super::{FILE, damaged, failed};
use crate::Error;

/// The file beside the journal.
const NOTE: &str = "journal.id";

/// Where the header of a SQLite database begins to say what application it belongs to, and where it ends.
const APPLICATION_ID: std::ops::Range<usize> = 68..72;

const MAGIC: &[u8] = b"SQLite format 3\0";

/// What the file beside the journal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// The journal's number.
    pub(super) journal: i32,
    /// What is older than this belongs to a journal that was there before: it is nobody's leftover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) kept_before: Option<Timestamp>,
}

/// What is where the journal should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// No file, or one without content.
    Nothing,
    /// A database that has never been given a number: one of an earlier version, or one that was never folded.
    Nameless,
    /// A database with a number.
    Named(i32),
    /// Something else.
    Foreign,
}

fn look(file: &Path) -> io::Result<Found> {
    let mut header = Vec::new();
    match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        opened => opened?.take(100).read_to_end(&mut header)?,
    };
    if header.is_empty() {
        return Ok(Found::Nothing);
    }
    let number = header.get(APPLICATION_ID).and_then(|bytes| bytes.try_into().ok()).map(i32::from_be_bytes);
    Ok(match number {
        Some(number) if header.starts_with(MAGIC) => match number {
            0 => Found::Nameless,
            number => Found::Named(number),
        },
        _ => Found::Foreign,
    })
}

/// None if there is no note. One that cannot be read says at least that there was a journal.
pub(super) fn read(directory: &Path) -> Option<Option<Note>> {
    let text = match std::fs::read(directory.join(NOTE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        text => text.unwrap_or_default(),
    };
    Some(serde_json::from_slice(&text).ok())
}

/// In one step, so that a crash leaves the old note or the new one.
pub(super) fn write(directory: &Path, note: Note) -> Result<(), Error> {
    let staged = directory.join(format!("{NOTE}.new"));
    let write = || {
        let mut file = File::create(&staged)?;
        file.write_all(&serde_json::to_vec(&note).map_err(io::Error::other)?)?;
        file.sync_all()?;
        std::fs::rename(&staged, directory.join(NOTE))
    };
    write().map_err(|source| Error::Open { path: directory.join(NOTE), source })
}

pub(super) fn remove(directory: &Path) -> io::Result<()> {
    match std::fs::remove_file(directory.join(NOTE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Refuses a journal that is damaged or not the directory's own, before anything is opened: SQLite takes an empty file for a new database, and
/// throws its log away.
pub(super) fn check(directory: &Path) -> Result<(), Error> {
    let file = directory.join(FILE);
    let found = look(&file).map_err(|source| Error::Open { path: file.clone(), source })?;
    let lost =
        |what: &str| Err(Error::Lost { directory: directory.to_owned(), what: format!("`{}` {what}", file.display()) });
    match (found, read(directory)) {
        (Found::Foreign, _) => Err(corrupt(&file, "it does not begin as a database does".to_owned())),
        (Found::Nothing, Some(_)) if file.exists() => lost("is empty, but this directory has had a journal with runs"),
        (Found::Nothing, Some(_)) => lost("is missing, but this directory has had a journal"),
        (Found::Nameless, Some(Some(_))) => lost("is not the journal that this directory has had: it has no number"),
        (Found::Named(number), Some(Some(note))) if number != note.journal => {
            lost("is the journal of another data directory")
        }
        // A log without its database: SQLite would throw it away.
        (Found::Nothing, None) if log_of(directory).is_some() => {
            lost(&format!("is missing or empty, but its log `{FILE}-wal` is there"))
        }
        _ => Ok(()),
    }
}

/// The log, if there is something in it.
fn log_of(directory: &Path) -> Option<PathBuf> {
    let log = directory.join(format!("{FILE}-wal"));
    std::fs::metadata(&log).is_ok_and(|metadata| metadata.len() > 0).then_some(log)
}

/// Gives the journal its number if it has none, and notes it beside the journal.
pub(super) fn establish(connection: &Connection, directory: &Path) -> Result<Note, Error> {
    let number = || connection.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0));
    let mut journal = number().map_err(failed)?;
    if journal == 0 {
        // Any number but 0, which is that of a database without one.
        connection.execute_batch("PRAGMA application_id = 0").map_err(failed)?;
        let random = connection.query_row("SELECT random() & 0x7fffffff | 1", [], |row| row.get::<_, i32>(0));
        connection.pragma_update(None, "application_id", random.map_err(failed)?).map_err(failed)?;
        journal = number().map_err(failed)?;
    }
    if look(&directory.join(FILE)).ok() != Some(Found::Named(journal)) {
        // Into the file itself: it is what tells this journal if the log is lost.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(failed)?;
    }
    match read(directory).flatten() {
        Some(note) if note.journal == journal => Ok(note),
        _ => {
            let note = Note { journal, kept_before: None };
            write(directory, note)?;
            Ok(note)
        }
    }
}

/// A file that has fewer bytes than its header says was cut; pages that are only in the log are not yet in it.
pub(super) fn check_length(connection: &Connection, directory: &Path) -> Result<(), Error> {
    if log_of(directory).is_some() {
        return Ok(());
    }
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let expected = pragma("page_count").map_err(failed)? * pragma("page_size").map_err(failed)?;
    let file = directory.join(FILE);
    let length = std::fs::metadata(&file).map_err(|source| Error::Open { path: file.clone(), source })?.len();
    if length >= u64::try_from(expected).unwrap_or(0) {
        return Ok(());
    }
    Err(corrupt(&file, format!("it has {length} bytes, its header says {expected}")))
}

fn corrupt(file: &Path, what: String) -> Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    damaged(file, rusqlite::Error::SqliteFailure(code, Some(what)))
}
