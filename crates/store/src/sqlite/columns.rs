//! Single columns: how they are read, and what is said of one that makes no sense.

use rusqlite::Row;
use spanwise_core::{ActionKind, ActionName, Phase};

use super::failed;
use crate::Error;

pub(super) fn get<T: rusqlite::types::FromSql>(row: &Row<'_>, index: usize) -> Result<T, Error> {
    row.get(index).map_err(failed)
}

pub(super) fn read_name(name: &str) -> Result<ActionName, Error> {
    ActionName::new(name).map_err(|error| corrupt("action name", &error))
}

pub(super) fn read_kind(number: i64) -> Result<ActionKind, Error> {
    match number {
        1 => Ok(ActionKind::Task),
        2 => Ok(ActionKind::Step),
        3 => Ok(ActionKind::Condition),
        4 => Ok(ActionKind::Timer),
        other => Err(Error::Corrupt { what: format!("kind of action {other}") }),
    }
}

pub(super) fn read_phase(number: i32) -> Result<Phase, Error> {
    Phase::from_number(number).ok_or_else(|| Error::Corrupt { what: format!("phase {number}") })
}

pub(super) fn corrupt(what: &str, error: &dyn std::error::Error) -> Error {
    Error::Corrupt { what: format!("{what}: {error}") }
}
