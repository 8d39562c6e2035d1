//! What a task says of its outputs that are versions of artifacts.

use bytes::Bytes;
use spanwise_core::artifact::{ArtifactId, ArtifactName, PartitionSchema};
use spanwise_core::{ActionName, AttemptNo, RunId};
use spanwise_proto::flyteidl2::artifact::ArtifactSpec;
use spanwise_proto::flyteidl2::task::{Outputs, ProducedArtifact};

use super::{Described, named, registered, source_message};
use crate::{Invalid, shown, values};

/// The attempt that has produced something.
#[derive(Clone, Copy, Debug)]
pub struct ProducedBy<'a> {
    /// Its run.
    pub run: &'a RunId,
    /// Its action.
    pub action: &'a ActionName,
    /// Which one it is.
    pub attempt: AttemptNo,
}

/// The versions that an attempt has left among its outputs, and what cannot be one, one sentence each.
///
/// # Errors
/// [`Invalid::Decode`] if the bytes are no outputs.
pub fn produced(outputs: &Bytes, by: ProducedBy<'_>) -> Result<(Vec<Described>, Vec<String>), Invalid> {
    let outputs = values::outputs(outputs)?;
    let (mut versions, mut refused) = (Vec::<Described>::new(), Vec::new());
    for produced in &outputs.produced_artifacts {
        let twice = outputs.produced_artifacts.iter().filter(|other| other.name == produced.name).count() > 1;
        match version(produced, &outputs, by, twice) {
            Ok(version) if versions.iter().any(|other| other.id == version.id) => {
                refused.push(refusal(produced, "another output is this version already"));
            }
            Ok(version) => versions.push(version),
            Err(error) => refused.push(refusal(produced, &error.to_string())),
        }
    }
    Ok((versions, refused))
}

fn refusal(produced: &ProducedArtifact, why: &str) -> String {
    format!("output `{}` is no version of artifact `{}`: {why}", shown(&produced.output), shown(&produced.name))
}

fn version(
    produced: &ProducedArtifact,
    outputs: &Outputs,
    by: ProducedBy<'_>,
    twice: bool,
) -> Result<Described, Invalid> {
    let output = outputs.literals.iter().find(|literal| literal.name == produced.output);
    let output = output.ok_or_else(|| Invalid::field("the task has no such output"))?;
    let name = named(by.run.scope(), &produced.name)?;
    let version = match produced.version.as_str() {
        // Of two outputs that have one name, each is a version of its own.
        "" if twice => format!("{}-{}-{}-{}", by.run.name, by.action, by.attempt, produced.output),
        "" => format!("{}-{}-{}", by.run.name, by.action, by.attempt),
        given => super::version(given)?,
    };
    let spec = ArtifactSpec {
        value: output.value.clone(),
        r#type: produced.r#type.clone(),
        info: produced.info.clone(),
        source: source_message(by.run, by.action, by.attempt).into(),
        parent_artifacts: produced.parent_artifacts.clone(),
        partitions: produced.partitions.clone(),
        time_partition: produced.time_partition.clone(),
        ..ArtifactSpec::default()
    };
    registered(ArtifactId { name, version }, spec)
}

/// The keys that a version should have by those of its name, if they are others.
pub fn other_keys<'a>(schema: Option<&'a PartitionSchema>, version: &Described) -> Option<&'a PartitionSchema> {
    schema.filter(|schema| !schema.is_same(&version.schema()))
}

/// The name of a version, for the log.
pub fn shown_version(id: &ArtifactId) -> String {
    let ArtifactName { name, .. } = &id.name;
    format!("{}@{}", shown(name), shown(&id.version))
}
