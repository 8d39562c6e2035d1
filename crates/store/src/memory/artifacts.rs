//! Versions of artifacts.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use spanwise_core::artifact::{ArtifactId, ArtifactKey, ArtifactName, Partition, PartitionSchema};
use spanwise_core::trigger::TriggerId;
use spanwise_core::{Scope, Timestamp};

use super::Memory;
use crate::{ArtifactGroup, ArtifactQuery, ArtifactRow, ArtifactSource, Artifacts, NewArtifact};
use crate::{Error, RunKey};

/// What is kept of artifacts.
#[derive(Debug, Default)]
pub(super) struct Versions {
    rows: BTreeMap<ArtifactKey, NewArtifact>,
    newest: ArtifactKey,
    schemas: HashMap<ArtifactName, (PartitionSchema, bool)>,
    /// The versions that runs were given.
    given: BTreeSet<(RunKey, ArtifactKey)>,
    settled: HashMap<TriggerId, ArtifactKey>,
}

impl Versions {
    pub(super) fn put(&mut self, new: &NewArtifact) -> Option<ArtifactKey> {
        if self.rows.values().any(|row| row.id == new.id) {
            return None;
        }
        self.newest = ArtifactKey(self.newest.0 + 1);
        self.rows.insert(self.newest, new.clone());
        let schema = || (PartitionSchema::of(&new.partition), false);
        self.schemas.entry(new.id.name.clone()).or_insert_with(schema);
        Some(self.newest)
    }

    pub(super) fn put_all(&mut self, new: &[NewArtifact]) {
        for new in new {
            self.put(new);
        }
    }

    pub(super) fn give(&mut self, run: RunKey, artifacts: &[ArtifactKey]) {
        self.given.extend(artifacts.iter().map(|artifact| (run, *artifact)));
    }

    /// Forgets what runs were given that are gone.
    pub(super) fn keep(&mut self, is_there: &dyn Fn(&RunKey) -> bool) {
        self.given.retain(|(run, _)| is_there(run));
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &[u8]> {
        self.rows.values().map(|row| &row.body[..])
    }

    /// When the newest one came to be.
    pub(super) fn newest_time(&self) -> Option<Timestamp> {
        self.rows.values().map(|row| row.created_at).max()
    }

    pub(super) fn projects(&self) -> impl Iterator<Item = &String> {
        self.rows.values().map(|row| &row.id.name.scope.project)
    }
}

fn row((key, new): (&ArtifactKey, &NewArtifact)) -> ArtifactRow {
    ArtifactRow { key: *key, artifact: NewArtifact { metadata: BTreeMap::new(), ..new.clone() } }
}

fn is_wanted(query: &ArtifactQuery, key: ArtifactKey, new: &NewArtifact) -> bool {
    let (run, action, external) = match &new.source {
        ArtifactSource::Attempt { run, action, .. } => (Some(run.as_str()), Some(action.as_str()), None),
        ArtifactSource::External(external) => (None, None, Some(external.as_str())),
        ArtifactSource::Unknown => (None, None, None),
    };
    let is = |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
    let has = |found: &BTreeMap<String, String>, wanted: &[(String, Vec<String>)]| {
        wanted.iter().all(|(key, values)| found.get(key).is_some_and(|value| values.contains(value)))
    };
    let start = new.partition.time.as_ref().map(|time| time.start);
    let ArtifactId { name, version } = &new.id;
    name.scope == query.scope
        && is(&query.name, Some(&name.name))
        && is(&query.version, Some(version))
        && is(&query.run, run)
        && is(&query.action, action)
        && is(&query.external, external)
        && query.since.is_none_or(|since| new.created_at >= since)
        && query.until.is_none_or(|until| new.created_at < until)
        && query.time_since.is_none_or(|since| start.is_some_and(|start| start >= since))
        && query.time_until.is_none_or(|until| start.is_some_and(|start| start < until))
        && has(&new.partition.texts, &query.partition)
        && has(&new.metadata, &query.metadata)
        && query.after.is_none_or(|after| key > after)
}

/// What makes two versions belong to one partition.
fn identity(new: &NewArtifact) -> (String, Partition) {
    (new.id.name.name.clone(), new.partition.clone())
}

impl Artifacts for Memory {
    fn put_artifact(&self, new: &NewArtifact) -> Result<Option<ArtifactKey>, Error> {
        Ok(self.lock().versions.put(new))
    }

    fn artifacts(&self, query: &ArtifactQuery) -> Result<Vec<ArtifactRow>, Error> {
        let inner = self.lock();
        let mut seen = Vec::new();
        let newest_first = inner.versions.rows.iter().rev().filter(|(key, new)| is_wanted(query, **key, new));
        let mut found: Vec<ArtifactRow> = newest_first
            .filter(|(_, new)| {
                let identity = identity(new);
                let is_first = !seen.contains(&identity);
                seen.push(identity);
                is_first || !query.latest_per_partition
            })
            .map(row)
            .collect();
        if query.after.is_some() {
            found.reverse();
        }
        Ok(found.into_iter().skip(query.offset).take(query.limit).collect())
    }

    fn artifact_by_key(&self, key: ArtifactKey) -> Result<Option<ArtifactRow>, Error> {
        Ok(self.lock().versions.rows.get_key_value(&key).map(row))
    }

    fn artifact_names(
        &self,
        scope: Option<&Scope>,
        part: &str,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<ArtifactGroup>, Error> {
        let inner = self.lock();
        let mut seen = HashSet::new();
        let is_in = |new: &NewArtifact| scope.is_none_or(|scope| new.id.name.scope == *scope);
        let rows = inner.versions.rows.iter().rev();
        let latest = rows.filter(|(_, new)| is_in(new) && new.id.name.name.contains(part));
        let latest = latest.filter(|(_, new)| seen.insert(&new.id.name)).skip(offset).take(limit);
        let group = |latest: (&ArtifactKey, &NewArtifact)| {
            let of_name = || inner.versions.rows.values().filter(|new| new.id.name == latest.1.id.name);
            let latest_time = of_name().filter_map(|new| Some(new.partition.time.as_ref()?.start)).max();
            ArtifactGroup { latest: row(latest), versions: of_name().count() as u64, latest_time }
        };
        Ok(latest.map(group).collect())
    }

    fn artifact_metadata_keys(&self, scope: &Scope, name: Option<&str>) -> Result<Vec<String>, Error> {
        let inner = self.lock();
        let of_it = inner
            .versions
            .rows
            .values()
            .filter(|new| new.id.name.scope == *scope && name.is_none_or(|name| new.id.name.name == name));
        let keys: BTreeSet<&String> = of_it.flat_map(|new| new.metadata.keys()).collect();
        Ok(keys.into_iter().cloned().collect())
    }

    fn delete_artifact(&self, id: &ArtifactId) -> Result<bool, Error> {
        let versions = &mut self.lock().versions;
        let before = versions.rows.len();
        versions.rows.retain(|_, row| row.id != *id);
        if !versions.rows.values().any(|row| row.id.name == id.name)
            && versions.schemas.get(&id.name).is_some_and(|(_, declared)| !declared)
        {
            versions.schemas.remove(&id.name);
        }
        Ok(versions.rows.len() < before)
    }

    fn declare_artifact(&self, name: &ArtifactName, schema: &PartitionSchema) -> Result<PartitionSchema, Error> {
        let schemas = &mut self.lock().versions.schemas;
        let (there, declared) = schemas.entry(name.clone()).or_insert_with(|| (schema.clone(), true));
        *declared |= there.is_same(schema);
        Ok(there.clone())
    }

    fn artifact_schema(&self, name: &ArtifactName) -> Result<Option<(PartitionSchema, bool)>, Error> {
        Ok(self.lock().versions.schemas.get(name).cloned())
    }

    fn newest_artifact(&self) -> Result<ArtifactKey, Error> {
        Ok(self.lock().versions.newest)
    }

    fn runs_with_artifact(&self, artifact: ArtifactKey, limit: usize) -> Result<Vec<RunKey>, Error> {
        let inner = self.lock();
        let runs = inner.versions.given.iter().rev().filter(|(_, given)| *given == artifact);
        Ok(runs.map(|(run, _)| *run).take(limit).collect())
    }

    fn artifacts_of_run(&self, run: RunKey) -> Result<Vec<ArtifactKey>, Error> {
        let inner = self.lock();
        Ok(inner.versions.given.iter().filter(|(of, _)| *of == run).map(|(_, given)| *given).collect())
    }

    fn settle_version(&self, trigger: &TriggerId, version: ArtifactKey) -> Result<(), Error> {
        self.lock().versions.settled.insert(trigger.clone(), version);
        Ok(())
    }

    fn settled_version(&self, trigger: &TriggerId) -> Result<Option<ArtifactKey>, Error> {
        Ok(self.lock().versions.settled.get(trigger).copied())
    }
}
