//! What holds for a call of a task: its own settings over those of its environment, and those of the call on top.

use std::sync::Arc;

use spanwise_core::admission::Needs;
use spanwise_core::settings::{CacheVersion, InvalidSetting, TaskSettings};
use spanwise_core::{ActionSpec, CachePolicy, Scope};
use spanwise_proto::flyteidl2::core::TypedInterface;
use spanwise_proto::flyteidl2::task::NamedLiteral;
use spanwise_proto::hash;

/// The settings that hold, checked, and what follows from them.
pub(crate) struct Effective {
    /// What is said.
    pub(crate) settings: TaskSettings,
    /// The version of the task's results in the cache; none if they are not kept there.
    pub(crate) cache_version: Option<String>,
    /// The identity of the task, which is part of the names of its calls.
    pub(crate) identity: Arc<str>,
    interface_hash: String,
    needs: Needs,
}

impl Effective {
    /// Those of a task of this name, which takes and gives this and has this text.
    pub(crate) fn new(
        name: &str,
        (interface, source): (&TypedInterface, &str),
        settings: TaskSettings,
    ) -> Result<Effective, InvalidSetting> {
        settings.check()?;
        let mut ignored = settings.cache.iter().flat_map(|cache| &cache.ignored_inputs);
        let is_unknown = |input: &&String| interface.inputs.variables.iter().all(|variable| variable.key != **input);
        if let Some(unknown) = ignored.find(is_unknown) {
            let why = format!("the task has no input `{unknown}` that could be ignored");
            return Err(InvalidSetting::new("cache.ignored_inputs", why));
        }
        let cache_version = match settings.cache.as_ref().map(|cache| &cache.version) {
            None | Some(CacheVersion::Off) => None,
            Some(CacheVersion::Given(version)) => Some(version.clone()),
            Some(CacheVersion::Auto) => Some(hash::source_version(source)),
        };
        let interface_hash = hash::interface_hash(interface);
        let identity = hash::task_identity(name, &interface_hash, cache_version.as_deref().unwrap_or_default());
        Ok(Effective { needs: settings.needs()?, identity: identity.into(), settings, cache_version, interface_hash })
    }

    /// The key of a result in the cache, wherever it is kept; none if it is not.
    pub(crate) fn cache_key(&self, name: &str, inputs: &[NamedLiteral]) -> Option<String> {
        let (version, cache) = (self.cache_version.as_deref()?, self.settings.cache.as_ref()?);
        let ignored: Vec<&str> = cache.ignored_inputs.iter().map(String::as_str).collect();
        Some(hash::cache_key(&hash::inputs_hash_ignoring(inputs, &ignored), name, &self.interface_hash, version))
    }

    /// How an action with this key uses the cache of the engine of this process.
    pub(crate) fn cache_policy(&self, key: &str, scope: &Scope) -> CachePolicy {
        let cache = self.settings.cache.as_ref();
        CachePolicy {
            key: CachePolicy::scoped(key, scope, false),
            overwrite: false,
            serialize: cache.is_some_and(|cache| cache.serialize),
            max_age_seconds: cache
                .and_then(|cache| cache.max_age)
                .filter(|age| !age.is_zero())
                .map(|age| age.as_secs()),
        }
    }

    /// Sets what the rules need to know of it.
    pub(crate) fn apply(&self, spec: &mut ActionSpec) {
        spec.queue = self.settings.queue.as_deref().map(Into::into);
        spec.needs = self.needs;
    }
}
