//! Definitions, deployed tasks and cached outputs.

use bytes::Bytes;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Transaction, params};
use spanwise_core::{AttemptNo, Timestamp};

use super::columns::{get, read_name};
use super::failed;
use crate::{CachedOutputs, Definition, Error, RunKey, Scope, TaskQuery, TaskRow};

/// Keeps what a run is made from as long as the run is there.
pub(super) fn insert_definitions(
    transaction: &Transaction<'_>,
    run: RunKey,
    definitions: &[Definition],
) -> Result<(), Error> {
    for Definition { digest, body } in definitions {
        let referred = transaction
            .prepare_cached("INSERT INTO run_definitions (run, digest) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
            .and_then(|mut insert| insert.execute(params![run.0, digest]));
        // What the run refers to already is there.
        if referred.map_err(failed)? > 0 {
            insert_definition(transaction, digest, body)?;
        }
    }
    Ok(())
}

pub(super) fn insert_definition(transaction: &Transaction<'_>, digest: &str, body: &Bytes) -> Result<(), Error> {
    transaction
        .prepare_cached("INSERT INTO definitions (digest, body) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
        .and_then(|mut insert| insert.execute(params![digest, &body[..]]))
        .map_err(failed)?;
    Ok(())
}

pub(super) fn definition(connection: &Connection, digest: &str) -> Result<Option<Bytes>, Error> {
    let body = connection
        .prepare_cached("SELECT body FROM definitions WHERE digest = ?1")
        .and_then(|mut select| select.query_row([digest], |row| row.get::<_, Vec<u8>>(0)).optional())
        .map_err(failed)?;
    Ok(body.map(Bytes::from))
}

pub(super) fn insert_task(transaction: &Transaction<'_>, task: &TaskRow) -> Result<(), Error> {
    let values = params![
        task.scope.org,
        task.scope.project,
        task.scope.domain,
        task.name,
        task.version,
        task.definition,
        task.deployed_at.0,
    ];
    transaction
        .prepare_cached(
            "INSERT INTO tasks (org, project, domain, name, version, definition, deployed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .and_then(|mut insert| insert.execute(values))
        .map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => Error::AlreadyExists(format!("{} {}", task.name, task.version)),
            _ => failed(error),
        })?;
    Ok(())
}

const COLUMNS: &str = "org, project, domain, name, version, definition, deployed_at";

pub(super) fn read_tasks(connection: &Connection, query: &TaskQuery) -> Result<Vec<TaskRow>, Error> {
    let any = Scope { org: String::new(), project: String::new(), domain: String::new() };
    let scope = query.scope.as_ref().unwrap_or(&any);
    let order = if query.oldest_first { "ASC" } else { "DESC" };
    let sql = format!(
        "SELECT {COLUMNS} FROM tasks
         WHERE (?1 OR (org = ?2 AND project = ?3 AND domain = ?4))
           AND CASE WHEN ?5 IS NULL
                    THEN key IN (SELECT max(key) FROM tasks GROUP BY org, project, domain, name)
                    ELSE name = ?5 END
           AND (?8 IS NULL OR instr(name, ?8) > 0)
         ORDER BY key {order} LIMIT ?6 OFFSET ?7"
    );
    let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let values = params![
        query.scope.is_none(),
        scope.org,
        scope.project,
        scope.domain,
        query.name,
        number(query.limit),
        number(query.offset),
        query.part,
    ];
    let rows = statement.query_map(values, |row| Ok(read_row(row))).map_err(failed)?;
    rows.map(|row| row.map_err(failed)?).collect()
}

/// The projects of runs, of deployed tasks, of apps and of artifacts, and those that are registered.
pub(super) fn read_projects(connection: &Connection) -> Result<Vec<String>, Error> {
    let sql = "SELECT project FROM runs UNION SELECT project FROM tasks UNION SELECT project FROM apps
               UNION SELECT id FROM projects UNION SELECT project FROM artifacts ORDER BY 1";
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let (mut rows, mut projects) = (statement.query([]).map_err(failed)?, Vec::new());
    while let Some(row) = rows.next().map_err(failed)? {
        // A damaged name is one that nobody can ask for: it costs the list nothing else.
        projects.extend(row.get(0).ok());
    }
    Ok(projects)
}

pub(super) fn read_task(
    connection: &Connection,
    scope: &Scope,
    name: &str,
    version: &str,
) -> Result<Option<TaskRow>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM tasks WHERE org = ?1 AND project = ?2 AND domain = ?3 AND name = ?4 AND version = ?5"
    );
    let values = params![scope.org, scope.project, scope.domain, name, version];
    let found = connection
        .prepare_cached(&sql)
        .and_then(|mut select| select.query_row(values, |row| Ok(read_row(row))).optional())
        .map_err(failed)?;
    found.transpose()
}

fn read_row(row: &Row<'_>) -> Result<TaskRow, Error> {
    Ok(TaskRow {
        scope: Scope { org: get(row, 0)?, project: get(row, 1)?, domain: get(row, 2)? },
        name: get(row, 3)?,
        version: get(row, 4)?,
        definition: get(row, 5)?,
        deployed_at: Timestamp(get(row, 6)?),
    })
}

pub(super) fn cached(connection: &Connection, key: &str) -> Result<Option<CachedOutputs>, Error> {
    let mut statement = connection
        .prepare_cached(
            "SELECT run, action, attempt, outputs, stored_at, producer, org, project, domain FROM cache WHERE key = ?1",
        )
        .map_err(failed)?;
    let mut rows = statement.query([key]).map_err(failed)?;
    let Some(row) = rows.next().map_err(failed)? else { return Ok(None) };
    let scope = match (get(row, 6)?, get(row, 7)?, get(row, 8)?) {
        (Some(org), Some(project), Some(domain)) => Some(Scope { org, project, domain }),
        _ => None,
    };
    Ok(Some(CachedOutputs {
        run: get(row, 0)?,
        scope,
        action: read_name(&get::<String>(row, 1)?)?,
        attempt: AttemptNo(get(row, 2)?),
        outputs: Bytes::from(get::<Vec<u8>>(row, 3)?),
        stored_at: Timestamp(get(row, 4)?),
        producer: get::<Option<String>>(row, 5)?.and_then(|header| header.parse().ok()),
    }))
}

pub(super) fn cache(transaction: &Transaction<'_>, key: &str, value: &CachedOutputs) -> Result<(), Error> {
    let scope = value.scope.as_ref();
    let values = params![
        key,
        value.run,
        value.action.as_str(),
        value.attempt.0,
        &value.outputs[..],
        value.stored_at.0,
        value.producer.map(String::from),
        scope.map(|scope| &scope.org),
        scope.map(|scope| &scope.project),
        scope.map(|scope| &scope.domain),
    ];
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO cache (key, run, action, attempt, outputs, stored_at, producer, org, project, domain)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )
        .and_then(|mut upsert| upsert.execute(values))
        .map_err(failed)?;
    Ok(())
}

pub(super) fn visit_values(connection: &Connection, visit: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
    let mut statement = connection
        .prepare(
            "SELECT inputs FROM actions WHERE inputs IS NOT NULL
             UNION ALL SELECT outputs FROM actions WHERE outputs IS NOT NULL
             UNION ALL SELECT outputs FROM cache
             UNION ALL SELECT body FROM definitions
             UNION ALL SELECT body FROM apps
             UNION ALL SELECT body FROM settings
             UNION ALL SELECT body FROM artifacts",
        )
        .map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let value = row.get_ref(0).and_then(|value| Ok(value.as_blob()?)).map_err(failed)?;
        visit(value);
    }
    Ok(())
}
