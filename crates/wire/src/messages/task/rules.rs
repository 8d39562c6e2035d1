//! What the rules need to know of a task action.

use spanwise_core::{ActionName, ActionSpec, CachePolicy, RunDefaults, RunOptions, Scope};
use spanwise_proto::flyteidl2::core::TaskMetadata;
use spanwise_proto::flyteidl2::task::{Inputs, TaskSpec};
use spanwise_proto::hash;

use super::{check, name, needs, template};
use crate::times::from_duration;
use crate::{Invalid, policy, title};

/// What of a run concerns each of its actions.
#[derive(Clone, Debug)]
pub struct RunRules<'a> {
    /// Where it belongs.
    pub scope: &'a Scope,
    /// What its starter has chosen.
    pub options: &'a RunOptions,
    /// What its tasks have where they say nothing.
    pub defaults: &'a RunDefaults,
}

/// What the rules need to know of a task action; `digest` names its definition, see [`encode`](super::encode).
///
/// # Errors
/// [`Invalid`] names the field.
pub fn action_spec(
    spec: &TaskSpec,
    digest: &str,
    parent: Option<ActionName>,
    group: &str,
    cache_key: Option<&str>,
    run: &RunRules<'_>,
) -> Result<ActionSpec, Invalid> {
    title("group", group)?;
    check(spec)?;
    let metadata = &template(spec)?.metadata;
    Ok(ActionSpec {
        parent,
        group: (!group.is_empty()).then(|| group.to_owned()),
        retry: policy::retry(metadata)?,
        timeouts: policy::timeouts(metadata),
        cache: cache_key.filter(|key| !key.is_empty()).map(|key| cache_policy(key, metadata, run)),
        definition: Some(digest.into()),
        queue: run.options.queue.as_deref().map(Into::into),
        needs: run.defaults.needs_under(needs::of(template(spec)?)?),
        ..ActionSpec::task(name(spec)?)
    })
}

fn cache_policy(key: &str, metadata: &TaskMetadata, run: &RunRules<'_>) -> CachePolicy {
    CachePolicy {
        key: CachePolicy::scoped(key, run.scope, run.options.cache.any_project),
        overwrite: run.options.cache.overwrite,
        serialize: metadata.cache_serializable,
        max_age_seconds: from_duration(metadata.cache_max_age.as_option()).map(|age| age.as_secs()),
    }
}

/// The key of a root action in the cache, which children bring along ready (semantics S5).
///
/// # Errors
/// [`Invalid::Missing`] if the definition has no template.
pub fn root_cache_key(spec: &TaskSpec, inputs: &Inputs) -> Result<Option<String>, Invalid> {
    let template = template(spec)?;
    if !template.metadata.discoverable {
        return Ok(None);
    }
    let ignored: Vec<&str> = template.metadata.cache_ignore_input_vars.iter().map(String::as_str).collect();
    let inputs_hash = hash::inputs_hash_ignoring(&inputs.literals, &ignored);
    let interface_hash = hash::interface_hash(&template.interface);
    let version = &template.metadata.discovery_version;
    Ok(Some(hash::cache_key(&inputs_hash, &template.id.name, &interface_hash, version)))
}
