//! Artifacts: versions that somebody registers or a task produces, and how they are shown.

use std::collections::BTreeMap;

use bytes::Bytes;
use spanwise_core::artifact::{ArtifactId, ArtifactName, Granularity, Partition, PartitionSchema, TimePartition};
use spanwise_core::{ActionName, AttemptNo, RunId, Timestamp};
use spanwise_proto::Message;
use spanwise_proto::flyteidl2::artifact as message;
use spanwise_proto::flyteidl2::artifact::{
    ArtifactPartitionSchema, ArtifactSpec, PartitionSchemaMismatch, TaskActionSource, TimePartitionKey, artifact_source,
};
use spanwise_proto::flyteidl2::core::{
    self, ArtifactKey, ArtifactVersionId, LabelValue, Literal, LiteralType, label_value,
};

use crate::details::local_identity;
use crate::{Invalid, ids, shown, times, title};

mod consumed;
mod produced;

pub use consumed::{consumed, triggered};
pub use produced::{ProducedBy, other_keys, produced, shown_version};

/// The most versions that one may derive from; the SDK's own limit.
const MAX_PARENTS: usize = 32;

/// The most words of its own that a version may have, and keys of its partition.
const MAX_WORDS: usize = 256;
const MAX_KEYS: usize = 32;

/// The largest message of a version: its value is a reference.
const MAX_BODY: usize = 1 << 20;

/// A version of an artifact as somebody says that it is.
#[derive(Clone, Debug)]
pub struct Described {
    /// Its name and version.
    pub id: ArtifactId,
    /// Its partition.
    pub partition: Partition,
    /// What is said of it in words of its own.
    pub metadata: BTreeMap<String, String>,
    /// The attempt that has made it, if one has.
    pub made_by: Option<(RunId, ActionName, AttemptNo)>,
    /// Where it comes from, if it is from elsewhere.
    pub external: Option<String>,
    /// The message, with what follows from these.
    spec: ArtifactSpec,
}

impl Described {
    /// The keys of its partition.
    pub fn schema(&self) -> PartitionSchema {
        PartitionSchema::of(&self.partition)
    }

    /// The form that is stored. `expected` are the keys of its name, where its own are others.
    ///
    /// # Errors
    /// [`Invalid`] if it is too large.
    pub fn body(&self, expected: Option<&PartitionSchema>) -> Result<Bytes, Invalid> {
        let mismatch = expected.map(|expected| PartitionSchemaMismatch {
            expected: schema_message(expected).into(),
            actual: schema_message(&self.schema()).into(),
            message: mismatch(&self.id.name, expected, &self.schema()),
            ..PartitionSchemaMismatch::default()
        });
        let artifact = message::Artifact {
            spec: self.spec.clone().into(),
            partition_schema_mismatch: mismatch.into(),
            ..message::Artifact::default()
        };
        let body = Bytes::from(artifact.encode_to_vec());
        match body.len() {
            size if size > MAX_BODY => Err(Invalid::field(format!(
                "spec: it has {size} bytes, the limit is {MAX_BODY}: the value is a reference"
            ))),
            _ => Ok(body),
        }
    }
}

/// What is said of a version whose keys are not those of its name.
pub fn mismatch(name: &ArtifactName, expected: &PartitionSchema, actual: &PartitionSchema) -> String {
    format!(
        "artifact `{}` is partitioned by {}, not by {}: other keys are another artifact",
        shown(&name.name),
        keys(expected),
        keys(actual)
    )
}

fn keys(schema: &PartitionSchema) -> String {
    let time = schema.time.iter().map(|(key, granularity)| format!("`{}` ({})", shown(key), word(*granularity)));
    let keys: Vec<String> = time.chain(schema.texts.iter().map(|key| format!("`{}`", shown(key)))).collect();
    if keys.is_empty() { "nothing".to_owned() } else { keys.join(", ") }
}

/// A length of partitions by time, for people.
pub fn word(granularity: Granularity) -> &'static str {
    match granularity {
        Granularity::Minute => "minute",
        Granularity::Hour => "hour",
        Granularity::Day => "day",
        Granularity::Week => "week",
        Granularity::Month => "month",
    }
}

/// The name of an artifact.
///
/// # Errors
/// [`Invalid`] names the part that is no name.
pub fn name(name: Option<&message::ArtifactName>) -> Result<ArtifactName, Invalid> {
    let name = name.ok_or(Invalid::Missing("artifact_id.name"))?;
    named(ids::scope(&name.org, &name.project, &name.domain)?, &name.name)
}

/// The name of an artifact in a scope.
///
/// # Errors
/// [`Invalid`] if it is none.
pub fn named(scope: spanwise_core::Scope, name: &str) -> Result<ArtifactName, Invalid> {
    if name.is_empty() {
        return Err(Invalid::Missing("artifact name"));
    }
    title("artifact name", name)?;
    Ok(ArtifactName { scope, name: name.to_owned() })
}

/// A version of an artifact.
///
/// # Errors
/// [`Invalid`] names the part that is no name.
pub fn id(id: Option<&message::ArtifactIdentifier>) -> Result<ArtifactId, Invalid> {
    let id = id.ok_or(Invalid::Missing("artifact_id"))?;
    let name = name(id.name.as_option())?;
    Ok(ArtifactId { name, version: version(&id.version)? })
}

fn version(version: &str) -> Result<String, Invalid> {
    if version.is_empty() {
        return Err(Invalid::Missing("artifact version"));
    }
    title("artifact version", version)?;
    Ok(version.to_owned())
}

/// A version as somebody registers it.
///
/// # Errors
/// [`Invalid`] names the field.
pub fn registered(id: ArtifactId, mut spec: ArtifactSpec) -> Result<Described, Invalid> {
    if spec.value.value.is_none() {
        return Err(Invalid::Missing("spec.value"));
    }
    let partition = partition(spec.partitions.as_option(), spec.time_partition.as_option())?;
    let metadata: BTreeMap<String, String> = spec.info.user_metadata.clone().into_iter().collect();
    check_words("spec.info.user_metadata", &metadata, MAX_WORDS)?;
    check_words("spec.partitions", &partition.texts, MAX_KEYS)?;
    let parents = std::mem::take(&mut spec.parent_artifacts);
    spec.parent_artifacts = parents_of(&id, parents)?;
    let (mut made_by, mut external) = (None, None);
    match &spec.source.source {
        Some(artifact_source::Source::TaskAction(of)) => {
            let action = of.action.as_option().ok_or(Invalid::Missing("spec.source.task_action.action"))?;
            let (run, action) = ids::action_id(action)?;
            if run.scope() != id.name.scope {
                return Err(Invalid::field(
                    "spec.source.task_action: an attempt of another project cannot be its source",
                ));
            }
            // The SDK counts attempts from 0.
            made_by = Some((run, action, AttemptNo(of.attempt.saturating_add(1))));
        }
        Some(artifact_source::Source::ExternalRef(from)) => {
            title("spec.source.external_ref", from)?;
            external = Some(from.clone()).filter(|from| !from.is_empty());
        }
        None => {}
    }
    stamp(spec.value.get_or_insert_default(), &id);
    if let Some(time) = &partition.time {
        // Whoever has sent it may have sent any moment of it.
        spec.time_partition = time_message(time).into();
    }
    Ok(Described { id, partition, metadata, made_by, external, spec })
}

/// Says of a value which version of an artifact it is.
fn stamp(value: &mut Literal, id: &ArtifactId) {
    value.artifact_id = version_id(id).into();
}

/// The version that a value says to be.
fn version_id(id: &ArtifactId) -> ArtifactVersionId {
    let ArtifactName { scope, name } = &id.name;
    let key = ArtifactKey {
        project: scope.project.clone(),
        domain: scope.domain.clone(),
        name: name.clone(),
        org: scope.org.clone(),
        ..ArtifactKey::default()
    };
    ArtifactVersionId { key: key.into(), version: id.version.clone(), ..ArtifactVersionId::default() }
}

/// What is not said of a parent is as of its child. Whether it is there is not asked.
fn parents_of(id: &ArtifactId, parents: Vec<ArtifactVersionId>) -> Result<Vec<ArtifactVersionId>, Invalid> {
    if parents.len() > MAX_PARENTS {
        let text = format!("spec.parent_artifacts: {} are too many, the limit is {MAX_PARENTS}", parents.len());
        return Err(Invalid::field(text));
    }
    let own = version_id(id);
    let complete = |mut parent: ArtifactVersionId| {
        version(&parent.version)?;
        let key = parent.key.get_or_insert_default();
        for (said, of_child) in [
            (&mut key.org, &own.key.org),
            (&mut key.project, &own.key.project),
            (&mut key.domain, &own.key.domain),
            (&mut key.name, &own.key.name),
        ] {
            title("spec.parent_artifacts", said)?;
            if said.is_empty() {
                said.clone_from(of_child);
            }
        }
        match parent == own {
            true => Err(Invalid::field("spec.parent_artifacts: a version cannot derive from itself")),
            false => Ok(parent),
        }
    };
    parents.into_iter().map(complete).collect()
}

fn check_words(field: &'static str, words: &BTreeMap<String, String>, most: usize) -> Result<(), Invalid> {
    if words.len() > most {
        return Err(Invalid::field(format!("{field}: {} are too many, the limit is {most}", words.len())));
    }
    for (key, value) in words {
        title(field, key)?;
        if key.is_empty() || value.contains('\0') {
            return Err(Invalid::field(format!("{field}: `{}` has no name, or holds a NUL", shown(key))));
        }
    }
    Ok(())
}

/// The partition that messages say.
fn partition(texts: Option<&core::Partitions>, time: Option<&core::TimePartition>) -> Result<Partition, Invalid> {
    let mut partition = Partition::default();
    for (key, value) in texts.into_iter().flat_map(|texts| &texts.value) {
        match &value.value {
            Some(label_value::Value::StaticValue(text)) => {
                partition.texts.insert(key.clone(), text.clone());
            }
            _ => return Err(Invalid::field(format!("spec.partitions: `{}` has no text as its value", shown(key)))),
        }
    }
    let Some(time) = time.filter(|time| time.value.is_set()) else { return Ok(partition) };
    let Some(label_value::Value::TimeValue(at)) = &time.value.value else {
        return Err(Invalid::field("spec.time_partition: it has no time as its value"));
    };
    let granularity = granularity(time.granularity.as_known(), "spec.time_partition.granularity")?;
    let start = granularity.start_of(times::from_timestamp(at));
    let key = time_key(&time.key, granularity)?;
    if partition.texts.contains_key(&key) {
        return Err(Invalid::field(format!("spec.time_partition: `{}` is a partition by a text too", shown(&key))));
    }
    partition.time = Some(TimePartition { key, granularity, start });
    Ok(partition)
}

/// What the SDK calls a partition by time that has no name.
fn time_key(key: &str, granularity: Granularity) -> Result<String, Invalid> {
    title("spec.time_partition.key", key)?;
    Ok(match key {
        "" if granularity == Granularity::Hour => "hour".to_owned(),
        "" => "date".to_owned(),
        key => key.to_owned(),
    })
}

fn granularity(said: Option<core::Granularity>, field: &str) -> Result<Granularity, Invalid> {
    Ok(match said {
        Some(core::Granularity::MINUTE) => Granularity::Minute,
        Some(core::Granularity::HOUR) => Granularity::Hour,
        // What is not said is what a date is.
        Some(core::Granularity::DAY | core::Granularity::UNSET) => Granularity::Day,
        Some(core::Granularity::WEEK) => Granularity::Week,
        Some(core::Granularity::MONTH) => Granularity::Month,
        None => return Err(Invalid::field(format!("{field}: it is none of minute, hour, day, week and month"))),
    })
}

fn granularity_message(granularity: Granularity) -> core::Granularity {
    match granularity {
        Granularity::Minute => core::Granularity::MINUTE,
        Granularity::Hour => core::Granularity::HOUR,
        Granularity::Day => core::Granularity::DAY,
        Granularity::Week => core::Granularity::WEEK,
        Granularity::Month => core::Granularity::MONTH,
    }
}

fn time_message(time: &TimePartition) -> core::TimePartition {
    let at = label_value::Value::TimeValue(Box::new(times::timestamp(time.start)));
    core::TimePartition {
        value: LabelValue { value: Some(at), ..LabelValue::default() }.into(),
        granularity: granularity_message(time.granularity).into(),
        key: time.key.clone(),
        ..core::TimePartition::default()
    }
}

/// The keys that somebody declares.
///
/// # Errors
/// [`Invalid`] names the field.
pub fn schema(message: &ArtifactPartitionSchema) -> Result<PartitionSchema, Invalid> {
    let mut schema = PartitionSchema::default();
    if let Some(time) = message.time_partition.as_option() {
        let granularity = granularity(time.granularity.as_known(), "partition_schema.time_partition.granularity")?;
        schema.time = Some((time_key(&time.key, granularity)?, granularity));
    }
    if message.partition_keys.len() > MAX_KEYS {
        let count = message.partition_keys.len();
        return Err(Invalid::field(format!("partition_schema: {count} keys are too many, the limit is {MAX_KEYS}")));
    }
    for key in &message.partition_keys {
        title("partition_schema.partition_keys", key)?;
        let is_taken = schema.texts.contains(key) || schema.time.as_ref().is_some_and(|(time, _)| time == key);
        if key.is_empty() || is_taken {
            let text = format!("partition_schema.partition_keys: `{}` is empty, or is there twice", shown(key));
            return Err(Invalid::field(text));
        }
        schema.texts.push(key.clone());
    }
    Ok(schema)
}

/// Keys as they are shown.
pub fn schema_message(schema: &PartitionSchema) -> ArtifactPartitionSchema {
    let time = schema.time.as_ref().map(|(key, granularity)| TimePartitionKey {
        key: key.clone(),
        granularity: granularity_message(*granularity).into(),
        ..TimePartitionKey::default()
    });
    ArtifactPartitionSchema {
        time_partition: time.into(),
        partition_keys: schema.texts.clone(),
        ..ArtifactPartitionSchema::default()
    }
}

/// A version as it is stored.
#[derive(Clone, Debug)]
pub struct Version {
    /// Its name and version.
    pub id: ArtifactId,
    message: message::Artifact,
}

impl Version {
    /// Reads the stored form.
    ///
    /// # Errors
    /// [`Invalid::Decode`] if it is none.
    pub fn read(id: &ArtifactId, body: &[u8]) -> Result<Version, Invalid> {
        let message = message::Artifact::decode_from_slice(body)
            .map_err(|source| Invalid::Decode { what: "artifact", source })?;
        Ok(Version { id: id.clone(), message })
    }

    /// It with everything that is known of it.
    pub fn shown(self, created_at: Timestamp) -> message::Artifact {
        message::Artifact {
            artifact_id: identifier(&self.id).into(),
            created_at: times::timestamp(created_at).into(),
            created_by: local_identity().into(),
            ..self.message
        }
    }

    /// Its value, which says which version of what it is.
    pub fn value(&self) -> &Literal {
        &self.message.spec.value
    }

    /// The type of its value.
    pub fn literal_type(&self) -> &LiteralType {
        &self.message.spec.r#type
    }

    /// What is said about it.
    pub fn description(&self) -> &str {
        &self.message.spec.info.description
    }

    /// What is said of it in words of its own.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        self.message.spec.info.user_metadata.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The versions that it derives from, for people.
    pub fn parents(&self) -> impl Iterator<Item = String> {
        let parents = self.message.spec.parent_artifacts.iter();
        parents.map(|parent| format!("{}@{}", shown(&parent.key.name), shown(&parent.version)))
    }

    /// Why its partition is not one of its name, if it is none.
    pub fn mismatch(&self) -> Option<&str> {
        self.message.partition_schema_mismatch.as_option().map(|mismatch| mismatch.message.as_str())
    }
}

/// A version for the wire.
pub fn identifier(id: &ArtifactId) -> message::ArtifactIdentifier {
    let ArtifactName { scope, name } = &id.name;
    let name = message::ArtifactName {
        org: scope.org.clone(),
        project: scope.project.clone(),
        domain: scope.domain.clone(),
        name: name.clone(),
        ..message::ArtifactName::default()
    };
    message::ArtifactIdentifier { name: name.into(), version: id.version.clone(), ..Default::default() }
}

fn source_message(run: &RunId, action: &ActionName, attempt: AttemptNo) -> message::ArtifactSource {
    let of = TaskActionSource {
        action: ids::to_action_identifier(run, action).into(),
        // As the SDK counts them where it says it itself.
        attempt: attempt.0.saturating_sub(1),
        ..TaskActionSource::default()
    };
    message::ArtifactSource { source: Some(of.into()), ..message::ArtifactSource::default() }
}

/// A partition, for people: `date=2026-09-17, region=us`.
pub fn partition_text(partition: &Partition) -> String {
    let time = partition.time.iter().map(|time| {
        let start = spanwise_core::schedule::shown(time.start);
        let text = match time.granularity {
            Granularity::Minute | Granularity::Hour => start.as_str(),
            _ => start.split('T').next().unwrap_or_default(),
        };
        format!("{}={text}", time.key)
    });
    let texts = partition.texts.iter().map(|(key, value)| format!("{key}={value}"));
    time.chain(texts).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
