//! Projects and settings.

use bytes::Bytes;
use rusqlite::{Connection, Row, Transaction, params};
use spanwise_core::{Project, Scope, Timestamp};

use super::columns::{corrupt, get};
use super::{Sqlite, failed};
use crate::Error;
use crate::registry::{ProjectRow, Registry, SettingsRow};

impl Registry for Sqlite {
    fn put_project(&self, project: &ProjectRow, is_new: bool) -> Result<bool, Error> {
        self.transact(|transaction| put_project(transaction, project, is_new))
    }

    fn registered_projects(&self) -> Result<Vec<ProjectRow>, Error> {
        self.read(projects)
    }

    fn put_settings(&self, settings: &SettingsRow) -> Result<bool, Error> {
        self.transact(|transaction| put_settings(transaction, settings))
    }

    fn settings(&self, scope: &Scope) -> Result<Vec<SettingsRow>, Error> {
        self.read(|connection| settings(connection, scope))
    }
}

fn put_project(transaction: &Transaction<'_>, row: &ProjectRow, is_new: bool) -> Result<bool, Error> {
    let Project { id, name, description, labels, archived } = &row.project;
    let verb = if is_new { "INSERT OR IGNORE" } else { "INSERT OR REPLACE" };
    let labels = serde_json::to_string(labels).map_err(|error| corrupt("labels of a project", &error))?;
    let values = params![id, name, description, labels, archived, row.created_at.0, row.changed_at.0];
    let sql = format!(
        "{verb} INTO projects (id, name, description, labels, archived, created_at, changed_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
    );
    let put = transaction.prepare_cached(&sql).and_then(|mut put| put.execute(values)).map_err(failed)?;
    Ok(put > 0)
}

fn projects(connection: &Connection) -> Result<Vec<ProjectRow>, Error> {
    let sql = "SELECT id, name, description, labels, archived, created_at, changed_at FROM projects ORDER BY id";
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let rows = statement.query_map([], |row| Ok(project(row))).map_err(failed)?;
    rows.map(|row| row.map_err(failed)?).collect()
}

fn project(row: &Row<'_>) -> Result<ProjectRow, Error> {
    let labels: String = get(row, 3)?;
    let project = Project {
        id: get(row, 0)?,
        name: get(row, 1)?,
        description: get(row, 2)?,
        labels: serde_json::from_str(&labels).map_err(|error| corrupt("labels of a project", &error))?,
        archived: get(row, 4)?,
    };
    Ok(ProjectRow { project, created_at: Timestamp(get(row, 5)?), changed_at: Timestamp(get(row, 6)?) })
}

fn put_settings(transaction: &Transaction<'_>, settings: &SettingsRow) -> Result<bool, Error> {
    let Scope { org, project, domain } = &settings.scope;
    let version = i64::try_from(settings.version).unwrap_or(i64::MAX);
    let values = params![org, domain, project, version, &settings.body[..], settings.changed_at.0];
    let sql = match version {
        1 => {
            "INSERT OR IGNORE INTO settings (org, domain, project, version, body, changed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
        }
        _ => {
            "UPDATE settings SET version = ?4, body = ?5, changed_at = ?6
             WHERE org = ?1 AND domain = ?2 AND project = ?3 AND version = ?4 - 1"
        }
    };
    let put = transaction.prepare_cached(sql).and_then(|mut put| put.execute(values)).map_err(failed)?;
    Ok(put > 0)
}

fn settings(connection: &Connection, scope: &Scope) -> Result<Vec<SettingsRow>, Error> {
    let sql = "SELECT org, domain, project, version, body, changed_at FROM settings
               WHERE org = ?1 AND (domain = '' OR domain = ?2) AND (project = '' OR project = ?3)
               ORDER BY domain <> '', project <> ''";
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let values = params![scope.org, scope.domain, scope.project];
    let rows = statement.query_map(values, |row| Ok(settings_row(row))).map_err(failed)?;
    rows.map(|row| row.map_err(failed)?).collect()
}

fn settings_row(row: &Row<'_>) -> Result<SettingsRow, Error> {
    Ok(SettingsRow {
        scope: Scope { org: get(row, 0)?, domain: get(row, 1)?, project: get(row, 2)? },
        version: get::<i64>(row, 3)?.unsigned_abs(),
        body: Bytes::from(get::<Vec<u8>>(row, 4)?),
        changed_at: Timestamp(get(row, 5)?),
    })
}
