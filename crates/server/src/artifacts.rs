//! Versions of artifacts on their way into the journal.

use bytes::Bytes;
use spanwise_core::Timestamp;
use spanwise_core::trace::TraceParent;
use spanwise_engine::{ArtifactQuery, ArtifactSource, NewArtifact, RunHandle};
use spanwise_wire::Invalid;
use spanwise_wire::artifact::{self, Described, ProducedBy};

/// Why what an attempt has left is no version.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Engine(#[from] spanwise_engine::Error),
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

/// A version as it is kept.
pub(crate) fn to_keep(
    described: &Described,
    body: Bytes,
    producer: Option<TraceParent>,
    created_at: Timestamp,
) -> NewArtifact {
    let source = match (&described.made_by, &described.external) {
        (Some((run, action, attempt)), _) => {
            ArtifactSource::Attempt { run: run.name.clone(), action: *action, attempt: *attempt }
        }
        (None, Some(external)) => ArtifactSource::External(external.clone()),
        (None, None) => ArtifactSource::Unknown,
    };
    NewArtifact {
        id: described.id.clone(),
        partition: described.partition.clone(),
        metadata: described.metadata.clone(),
        source,
        producer,
        body,
        created_at,
    }
}

/// The versions that an attempt has left among its outputs, to be kept with its success, and what is to be said of others.
pub(crate) fn produced_by(
    run: &RunHandle,
    by: ProducedBy<'_>,
    outputs: &Bytes,
) -> Result<(Vec<NewArtifact>, Vec<String>), Error> {
    let engine = run.engine();
    let (described, mut said) = artifact::produced(outputs, by)?;
    let mut new = Vec::with_capacity(described.len());
    for described in &described {
        let fixed = engine.artifact_schema(&described.id.name)?.map(|(schema, _)| schema);
        let expected = artifact::other_keys(fixed.as_ref(), described);
        said.extend(expected.map(|expected| artifact::mismatch(&described.id.name, expected, &described.schema())));
        let query = ArtifactQuery {
            version: Some(described.id.version.clone()),
            limit: 1,
            ..ArtifactQuery::of(&described.id.name)
        };
        if !engine.artifacts(&query)?.is_empty() {
            said.push(format!(
                "artifact {} is there already: it stays as it is, and what this attempt has made is no version",
                artifact::shown_version(&described.id)
            ));
            continue;
        }
        match described.body(expected) {
            Ok(body) => new.push(to_keep(described, body, run.attempt_span(by.action, by.attempt), engine.now())),
            Err(error) => said.push(format!("artifact {}: {error}", artifact::shown_version(&described.id))),
        }
    }
    Ok((new, said))
}
