//! Versions of artifacts.

use std::collections::BTreeMap;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, named_params, params};
use spanwise_core::artifact::{
    ArtifactId, ArtifactKey, ArtifactName, Granularity, Partition, PartitionSchema, TimePartition,
};
use spanwise_core::trigger::TriggerId;
use spanwise_core::{AttemptNo, RunName, Scope, Timestamp};

use super::columns::{corrupt, get, read_name};
use super::{Sqlite, failed};
use crate::{ArtifactGroup, ArtifactQuery, ArtifactRow, ArtifactSource, Artifacts, NewArtifact};
use crate::{Error, RunKey};

impl Artifacts for Sqlite {
    fn put_artifact(&self, new: &NewArtifact) -> Result<Option<ArtifactKey>, Error> {
        self.transact(|transaction| insert(transaction, new))
    }

    fn artifacts(&self, query: &ArtifactQuery) -> Result<Vec<ArtifactRow>, Error> {
        self.read(|connection| list(connection, query))
    }

    fn artifact_by_key(&self, key: ArtifactKey) -> Result<Option<ArtifactRow>, Error> {
        self.read(|connection| by_key(connection, key))
    }

    fn artifact_names(
        &self,
        scope: Option<&Scope>,
        part: &str,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<ArtifactGroup>, Error> {
        self.read(|connection| names(connection, scope, part, (offset, limit)))
    }

    fn artifact_metadata_keys(&self, scope: &Scope, name: Option<&str>) -> Result<Vec<String>, Error> {
        self.read(|connection| metadata_keys(connection, scope, name))
    }

    fn delete_artifact(&self, id: &ArtifactId) -> Result<bool, Error> {
        self.transact(|transaction| delete(transaction, id))
    }

    fn declare_artifact(&self, name: &ArtifactName, schema: &PartitionSchema) -> Result<PartitionSchema, Error> {
        self.transact(|transaction| declare(transaction, name, schema))
    }

    fn artifact_schema(&self, name: &ArtifactName) -> Result<Option<(PartitionSchema, bool)>, Error> {
        self.read(|connection| schema(connection, name))
    }

    fn newest_artifact(&self) -> Result<ArtifactKey, Error> {
        self.read(newest)
    }

    fn runs_with_artifact(&self, artifact: ArtifactKey, limit: usize) -> Result<Vec<RunKey>, Error> {
        let sql = "SELECT run FROM run_artifacts WHERE artifact = ?1 ORDER BY run DESC LIMIT ?2";
        self.read(|connection| numbers(connection, sql, params![artifact.0, number(limit)]))
            .map(|runs| runs.into_iter().map(RunKey).collect())
    }

    fn artifacts_of_run(&self, run: RunKey) -> Result<Vec<ArtifactKey>, Error> {
        let sql = "SELECT artifact FROM run_artifacts WHERE run = ?1 ORDER BY artifact";
        self.read(|connection| numbers(connection, sql, params![run.0]))
            .map(|artifacts| artifacts.into_iter().map(ArtifactKey).collect())
    }

    fn settle_version(&self, trigger: &TriggerId, version: ArtifactKey) -> Result<(), Error> {
        self.transact(|transaction| settle(transaction, trigger, version))
    }

    fn settled_version(&self, trigger: &TriggerId) -> Result<Option<ArtifactKey>, Error> {
        self.read(|connection| settled(connection, trigger))
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn numbers(connection: &Connection, sql: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Vec<i64>, Error> {
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let rows = statement.query_map(values, |row| row.get(0)).map_err(failed)?;
    rows.collect::<rusqlite::Result<_>>().map_err(failed)
}

fn json(value: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| corrupt("an artifact", &error))
}

/// Keeps a version; none if there is one of its name and version.
pub(super) fn insert(transaction: &Transaction<'_>, new: &NewArtifact) -> Result<Option<ArtifactKey>, Error> {
    let ArtifactId { name: ArtifactName { scope, name }, version } = &new.id;
    let (run, action, attempt, external) = match &new.source {
        ArtifactSource::Attempt { run, action, attempt } => {
            (Some(run.as_str()), Some(action.as_str()), Some(attempt.0), None)
        }
        ArtifactSource::External(external) => (None, None, None, Some(external)),
        ArtifactSource::Unknown => (None, None, None, None),
    };
    let time = new.partition.time.as_ref();
    let unit = time.map(|time| json(&time.granularity)).transpose()?;
    let values = params![
        scope.org,
        scope.project,
        scope.domain,
        name,
        version,
        &new.body[..],
        time.map(|time| &time.key),
        unit,
        time.map(|time| time.start.0),
        json(&new.partition.texts)?,
        run,
        action,
        attempt,
        external,
        new.producer.map(String::from),
        new.created_at.0,
    ];
    let put = transaction
        .prepare_cached(
            "INSERT INTO artifacts (org, project, domain, name, version, body, time_key, time_unit, time_start, partition,
                                    run, action, attempt, external, producer, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) ON CONFLICT DO NOTHING",
        )
        .and_then(|mut insert| insert.execute(values))
        .map_err(failed)?;
    if put == 0 {
        return Ok(None);
    }
    let key = transaction.last_insert_rowid();
    for (word, value) in &new.metadata {
        transaction
            .prepare_cached("INSERT INTO artifact_metadata (artifact, key, value) VALUES (?1, ?2, ?3)")
            .and_then(|mut insert| insert.execute(params![key, word, value]))
            .map_err(failed)?;
    }
    insert_schema(transaction, &new.id.name, &PartitionSchema::of(&new.partition), false)?;
    Ok(Some(ArtifactKey(key)))
}

fn insert_schema(
    transaction: &Transaction<'_>,
    name: &ArtifactName,
    schema: &PartitionSchema,
    declared: bool,
) -> Result<(), Error> {
    let ArtifactName { scope, name } = name;
    let values = params![scope.org, scope.project, scope.domain, name, json(schema)?, declared];
    transaction
        .prepare_cached(
            "INSERT INTO artifact_schemas (org, project, domain, name, body, declared) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO NOTHING",
        )
        .and_then(|mut insert| insert.execute(values))
        .map_err(failed)?;
    Ok(())
}

/// Notes which versions a run was given.
pub(super) fn give(transaction: &Transaction<'_>, run: RunKey, artifacts: &[ArtifactKey]) -> Result<(), Error> {
    for artifact in artifacts {
        transaction
            .prepare_cached("INSERT INTO run_artifacts (run, artifact) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
            .and_then(|mut insert| insert.execute(params![run.0, artifact.0]))
            .map_err(failed)?;
    }
    Ok(())
}

const COLUMNS: &str =
    "a.key, a.org, a.project, a.domain, a.name, a.version, a.body, a.time_key, a.time_unit, a.time_start,
                       a.partition, a.run, a.action, a.attempt, a.external, a.producer, a.created_at";

/// What a query asks for. Lists of keys with values are JSON: `[["region", ["us", "eu"]], ..]`.
const WANTED: &str = "a.org = :org AND a.project = :project AND a.domain = :domain
    AND (:name IS NULL OR a.name = :name)
    AND (:version IS NULL OR a.version = :version)
    AND (:run IS NULL OR a.run = :run)
    AND (:action IS NULL OR a.action = :action)
    AND (:external IS NULL OR a.external = :external)
    AND a.created_at >= :since AND a.created_at < :until
    AND (:time_since IS NULL OR a.time_start >= :time_since)
    AND (:time_until IS NULL OR a.time_start < :time_until)
    AND a.key > :after
    AND NOT EXISTS (
        SELECT 1 FROM json_each(:partition) AS wanted WHERE NOT EXISTS (
            SELECT 1 FROM json_each(a.partition) AS own, json_each(wanted.value, '$[1]') AS one
            WHERE own.key = json_extract(wanted.value, '$[0]') AND own.value = one.value))
    AND NOT EXISTS (
        SELECT 1 FROM json_each(:metadata) AS wanted WHERE NOT EXISTS (
            SELECT 1 FROM artifact_metadata AS own, json_each(wanted.value, '$[1]') AS one
            WHERE own.artifact = a.key AND own.key = json_extract(wanted.value, '$[0]') AND own.value = one.value))";

fn list(connection: &Connection, query: &ArtifactQuery) -> Result<Vec<ArtifactRow>, Error> {
    let order = if query.after.is_some() { "ASC" } else { "DESC" };
    // Said without an alternative, so that an index is used.
    let of_name = if query.name.is_some() { " AND a.name = :name" } else { "" };
    let of_version = if query.version.is_some() { " AND a.version = :version" } else { "" };
    let wanted = format!("{WANTED}{of_name}{of_version}");
    let sql = match query.latest_per_partition {
        false => format!(
            "SELECT {COLUMNS} FROM artifacts AS a WHERE {wanted} ORDER BY a.key {order} LIMIT :limit OFFSET :offset"
        ),
        true => format!(
            "SELECT {COLUMNS} FROM artifacts AS a WHERE a.key IN (
                 SELECT max(a.key) FROM artifacts AS a WHERE {wanted}
                 GROUP BY a.name, a.time_key, a.time_unit, a.time_start, a.partition)
             ORDER BY a.key {order} LIMIT :limit OFFSET :offset"
        ),
    };
    let (partition, metadata) = (json(&query.partition)?, json(&query.metadata)?);
    let values = named_params! {
        ":org": query.scope.org,
        ":project": query.scope.project,
        ":domain": query.scope.domain,
        ":name": query.name,
        ":version": query.version,
        ":run": query.run,
        ":action": query.action,
        ":external": query.external,
        ":since": query.since.map_or(i64::MIN, |since| since.0),
        ":until": query.until.map_or(i64::MAX, |until| until.0),
        ":time_since": query.time_since.map(|since| since.0),
        ":time_until": query.time_until.map(|until| until.0),
        ":partition": partition,
        ":metadata": metadata,
        ":after": query.after.map_or(0, |after| after.0),
        ":limit": number(query.limit),
        ":offset": number(query.offset),
    };
    let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
    let rows = statement.query_map(values, |row| Ok(read(row))).map_err(failed)?;
    rows.map(|row| row.map_err(failed)?).collect()
}

fn by_key(connection: &Connection, key: ArtifactKey) -> Result<Option<ArtifactRow>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM artifacts AS a WHERE a.key = ?1");
    let found = connection
        .prepare_cached(&sql)
        .and_then(|mut select| select.query_row([key.0], |row| Ok(read(row))).optional());
    found.map_err(failed)?.transpose()
}

fn names(
    connection: &Connection,
    scope: Option<&Scope>,
    part: &str,
    (offset, limit): (usize, usize),
) -> Result<Vec<ArtifactGroup>, Error> {
    let sql = format!(
        "SELECT {COLUMNS}, groups.versions, groups.latest_time FROM artifacts AS a JOIN (
             SELECT max(key) AS latest, count(*) AS versions, max(time_start) AS latest_time FROM artifacts
             WHERE (?1 OR (org = ?2 AND project = ?3 AND domain = ?4)) AND (?5 = '' OR instr(name, ?5) > 0)
             GROUP BY org, project, domain, name) AS groups ON a.key = groups.latest
         ORDER BY a.key DESC LIMIT ?6 OFFSET ?7"
    );
    let any = Scope { org: String::new(), project: String::new(), domain: String::new() };
    let of = scope.unwrap_or(&any);
    let values = params![scope.is_none(), of.org, of.project, of.domain, part, number(limit), number(offset)];
    let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
    let group = |row: &Row<'_>| {
        Ok(ArtifactGroup {
            latest: read(row)?,
            versions: get::<i64>(row, 17)?.unsigned_abs(),
            latest_time: get::<Option<i64>>(row, 18)?.map(Timestamp),
        })
    };
    let rows = statement.query_map(values, |row| Ok(group(row))).map_err(failed)?;
    rows.map(|row| row.map_err(failed)?).collect()
}

fn metadata_keys(connection: &Connection, scope: &Scope, name: Option<&str>) -> Result<Vec<String>, Error> {
    let sql = "SELECT DISTINCT m.key FROM artifact_metadata AS m JOIN artifacts AS a ON a.key = m.artifact
               WHERE a.org = ?1 AND a.project = ?2 AND a.domain = ?3 AND (?4 IS NULL OR a.name = ?4) ORDER BY 1";
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let values = params![scope.org, scope.project, scope.domain, name];
    let rows = statement.query_map(values, |row| row.get(0)).map_err(failed)?;
    rows.collect::<rusqlite::Result<_>>().map_err(failed)
}

fn delete(transaction: &Transaction<'_>, id: &ArtifactId) -> Result<bool, Error> {
    let ArtifactId { name: ArtifactName { scope, name }, version } = id;
    let of_version = params![scope.org, scope.project, scope.domain, name, version];
    let of_name = params![scope.org, scope.project, scope.domain, name];
    const OF: &str = "org = ?1 AND project = ?2 AND domain = ?3 AND name = ?4";
    for table in ["artifact_metadata", "run_artifacts"] {
        let sql =
            format!("DELETE FROM {table} WHERE artifact IN (SELECT key FROM artifacts WHERE {OF} AND version = ?5)");
        transaction.prepare_cached(&sql).and_then(|mut delete| delete.execute(of_version)).map_err(failed)?;
    }
    let sql = format!("DELETE FROM artifacts WHERE {OF} AND version = ?5");
    let gone = transaction.prepare_cached(&sql).and_then(|mut delete| delete.execute(of_version)).map_err(failed)?;
    let sql = format!(
        "DELETE FROM artifact_schemas WHERE {OF} AND declared = 0 AND NOT EXISTS (SELECT 1 FROM artifacts WHERE {OF})"
    );
    transaction.prepare_cached(&sql).and_then(|mut delete| delete.execute(of_name)).map_err(failed)?;
    Ok(gone > 0)
}

fn declare(
    transaction: &Transaction<'_>,
    name: &ArtifactName,
    wanted: &PartitionSchema,
) -> Result<PartitionSchema, Error> {
    insert_schema(transaction, name, wanted, true)?;
    let (there, declared) = schema(transaction, name)?.unwrap_or_default();
    if !declared && there.is_same(wanted) {
        let ArtifactName { scope, name } = name;
        transaction
            .prepare_cached(
                "UPDATE artifact_schemas SET declared = 1
                 WHERE org = ?1 AND project = ?2 AND domain = ?3 AND name = ?4",
            )
            .and_then(|mut update| update.execute(params![scope.org, scope.project, scope.domain, name]))
            .map_err(failed)?;
    }
    Ok(there)
}

fn schema(connection: &Connection, name: &ArtifactName) -> Result<Option<(PartitionSchema, bool)>, Error> {
    let ArtifactName { scope, name } = name;
    let found: Option<(String, bool)> = connection
        .prepare_cached(
            "SELECT body, declared FROM artifact_schemas
             WHERE org = ?1 AND project = ?2 AND domain = ?3 AND name = ?4",
        )
        .and_then(|mut select| {
            let values = params![scope.org, scope.project, scope.domain, name];
            select.query_row(values, |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(failed)?;
    let read = |(body, declared): (String, bool)| {
        let schema = serde_json::from_str(&body).map_err(|error| corrupt("keys of an artifact", &error))?;
        Ok((schema, declared))
    };
    found.map(read).transpose()
}

fn newest(connection: &Connection) -> Result<ArtifactKey, Error> {
    let newest = connection
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'artifacts'")
        .and_then(|mut select| select.query_row([], |row| row.get(0)).optional())
        .map_err(failed)?;
    Ok(ArtifactKey(newest.unwrap_or(0)))
}

fn settle(transaction: &Transaction<'_>, id: &TriggerId, version: ArtifactKey) -> Result<(), Error> {
    let TriggerId { scope, task, name } = id;
    transaction
        .prepare_cached(
            "INSERT INTO trigger_artifacts (org, project, domain, task, name, settled) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET settled = excluded.settled",
        )
        .and_then(|mut upsert| upsert.execute(params![scope.org, scope.project, scope.domain, task, name, version.0]))
        .map_err(failed)?;
    Ok(())
}

fn settled(connection: &Connection, id: &TriggerId) -> Result<Option<ArtifactKey>, Error> {
    let TriggerId { scope, task, name } = id;
    let found = connection
        .prepare_cached(
            "SELECT settled FROM trigger_artifacts
             WHERE org = ?1 AND project = ?2 AND domain = ?3 AND task = ?4 AND name = ?5",
        )
        .and_then(|mut select| {
            let values = params![scope.org, scope.project, scope.domain, task, name];
            select.query_row(values, |row| row.get(0)).optional()
        })
        .map_err(failed)?;
    Ok(found.map(ArtifactKey))
}

fn read(row: &Row<'_>) -> Result<ArtifactRow, Error> {
    let scope = Scope { org: get(row, 1)?, project: get(row, 2)?, domain: get(row, 3)? };
    let name = ArtifactName { scope, name: get(row, 4)? };
    Ok(ArtifactRow {
        key: ArtifactKey(get(row, 0)?),
        artifact: NewArtifact {
            id: ArtifactId { name, version: get(row, 5)? },
            body: Bytes::from(get::<Vec<u8>>(row, 6)?),
            partition: read_partition(row)?,
            metadata: BTreeMap::new(),
            source: read_source(row)?,
            producer: get::<Option<String>>(row, 15)?.and_then(|header| header.parse().ok()),
            created_at: Timestamp(get(row, 16)?),
        },
    })
}

fn read_partition(row: &Row<'_>) -> Result<Partition, Error> {
    let (key, unit, start): (Option<String>, Option<String>, Option<i64>) = (get(row, 7)?, get(row, 8)?, get(row, 9)?);
    let time = match (key, unit, start) {
        (Some(key), Some(unit), Some(start)) => {
            let granularity: Granularity =
                serde_json::from_str(&unit).map_err(|error| corrupt("length of a partition", &error))?;
            Some(TimePartition { key, granularity, start: Timestamp(start) })
        }
        _ => None,
    };
    let texts: String = get(row, 10)?;
    Ok(Partition { time, texts: serde_json::from_str(&texts).map_err(|error| corrupt("a partition", &error))? })
}

fn read_source(row: &Row<'_>) -> Result<ArtifactSource, Error> {
    let (run, action, attempt): (Option<String>, Option<String>, Option<u32>) =
        (get(row, 11)?, get(row, 12)?, get(row, 13)?);
    let external: Option<String> = get(row, 14)?;
    Ok(match (run, action, attempt, external) {
        (Some(run), Some(action), Some(attempt), _) => ArtifactSource::Attempt {
            run: RunName::new(&run).map_err(|error| corrupt("name of a run", &error))?,
            action: read_name(&action)?,
            attempt: AttemptNo(attempt),
        },
        (.., Some(external)) => ArtifactSource::External(external),
        _ => ArtifactSource::Unknown,
    })
}
