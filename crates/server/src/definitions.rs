//! What actions and runs are made from: stored once under a digest, decoded once while it is in use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use spanwise_core::{ActionKind, ActionSpec, RunDefaults, RunOptions};
use spanwise_engine::{Engine, RunSettings};
use spanwise_wire::{Definition, Invalid, Stored, options, settings, task, task::Program, task::TaskDefinition};

/// Decoded definitions that are kept; a run has a handful, and one is some kilobytes.
const MOST_CACHED: usize = 512;

/// A larger one is not kept: it is rare, and reading it costs little beside what made it large.
const LARGEST_KEPT: usize = 64 << 10;

/// Why a definition could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Engine(#[from] spanwise_engine::Error),
    #[error("definition {0} is not in the journal")]
    Missing(String),
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

/// The definitions of an engine. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Definitions {
    engine: Engine,
    cache: Arc<Mutex<Cache>>,
}

#[derive(Default)]
struct Cache {
    definitions: HashMap<String, Arc<Definition>>,
    programs: HashMap<String, Arc<Program>>,
    options: HashMap<String, Arc<RunOptions>>,
    defaults: HashMap<String, Arc<RunDefaults>>,
}

/// A definition for the journal.
pub(crate) fn to_store(stored: Stored) -> spanwise_engine::Definition {
    let Stored { digest, body } = stored;
    spanwise_engine::Definition { digest, body }
}

impl Definitions {
    pub(crate) fn new(engine: Engine) -> Definitions {
        Definitions { engine, cache: Arc::default() }
    }

    /// Remembers the task of a new action: what is in hand is not read back from the journal.
    pub(crate) fn remember(&self, task: TaskDefinition) {
        let (digest, size) = (task.stored.digest.clone(), task.stored.body.len());
        let is_known = |cache: &Cache| cache.definitions.contains_key(&digest) && cache.programs.contains_key(&digest);
        if size > LARGEST_KEPT || is_known(&self.cache()) {
            return;
        }
        // One that is none fails its attempt, which reads it again.
        let program = task.program().ok().map(Arc::new);
        let definition = Arc::new(Definition::from(task));
        let mut cache = self.cache();
        program.iter().for_each(|program| insert(&mut cache.programs, (&digest, size), program));
        insert(&mut cache.definitions, (&digest, size), &definition);
    }

    /// Whether a task is remembered by its digest.
    pub(crate) fn knows(&self, digest: &str) -> bool {
        self.cache().definitions.contains_key(digest)
    }

    /// Remembers the options of a new run, with what its settings give to it.
    pub(crate) fn remember_options(&self, settings: &RunSettings, size: usize, options: RunOptions) {
        if let Some(key) = of_options(settings) {
            insert(&mut self.cache().options, (&key, size), &Arc::new(options));
        }
    }

    /// What an action was made from; none if it has no definition.
    pub(crate) fn of(&self, spec: &ActionSpec) -> Result<Option<Arc<Definition>>, Error> {
        let Some(digest) = spec.definition.as_deref() else { return Ok(None) };
        if let Some(cached) = self.cache().definitions.get(digest) {
            return Ok(Some(Arc::clone(cached)));
        }
        let body = match self.body(digest) {
            // Of old steps it may have gone before the run: they are shown without it.
            Err(Error::Missing(_)) if spec.kind == ActionKind::Step => return Ok(None),
            body => body?,
        };
        let definition = Arc::new(Definition::decode(spec.kind, &body)?);
        insert(&mut self.cache().definitions, (digest, body.len()), &definition);
        Ok(Some(definition))
    }

    /// What a process needs to run a task action.
    pub(crate) fn program(&self, spec: &ActionSpec) -> Result<Arc<Program>, Error> {
        let digest = spec.definition.as_deref().ok_or_else(|| Error::Missing(spec.task.to_string()))?;
        if let Some(cached) = self.cache().programs.get(digest) {
            return Ok(Arc::clone(cached));
        }
        let body = self.body(digest)?;
        let program = Arc::new(task::program(&task::decode(&body)?)?);
        insert(&mut self.cache().programs, (digest, body.len()), &program);
        Ok(program)
    }

    /// The message that a run was created with, as its client sent it.
    pub(crate) fn sent_options(&self, settings: &RunSettings) -> Result<Bytes, Error> {
        match settings.definition.as_deref() {
            Some(digest) => self.body(digest),
            None => Ok(options::encode(&settings.options)),
        }
    }

    /// What a run and its tasks have where they say nothing.
    pub(crate) fn defaults(&self, settings: &RunSettings) -> Result<Arc<RunDefaults>, Error> {
        let Some(digest) = settings.defaults.as_deref() else { return Ok(Arc::default()) };
        if let Some(cached) = self.cache().defaults.get(digest) {
            return Ok(Arc::clone(cached));
        }
        let body = self.body(digest)?;
        let read = Arc::new(settings::defaults(&body)?);
        insert(&mut self.cache().defaults, (digest, body.len()), &read);
        Ok(read)
    }

    /// What the starter of a run has chosen, and where that says nothing what its settings give: read once, however many actions the run has.
    pub(crate) fn options(&self, settings: &RunSettings) -> Result<Arc<RunOptions>, Error> {
        if let Some(cached) = of_options(settings).and_then(|key| self.cache().options.get(&key).cloned()) {
            return Ok(cached);
        }
        let sent = self.sent_options(settings)?;
        let read = self.defaults(settings)?.under(options::of_message(&options::decode(&sent)?));
        let read = Arc::new(read);
        if let Some(key) = of_options(settings) {
            insert(&mut self.cache().options, (&key, sent.len()), &read);
        }
        Ok(read)
    }

    fn body(&self, digest: &str) -> Result<Bytes, Error> {
        self.engine.definition(digest)?.ok_or_else(|| Error::Missing(digest.to_owned()))
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two runs that were created alike may have had other settings.
fn of_options(settings: &RunSettings) -> Option<String> {
    let digest = settings.definition.as_deref()?;
    Some(format!("{digest} {}", settings.defaults.as_deref().unwrap_or_default()))
}

/// Keeps what was read of a body of this size, unless that is large. Starts anew when there is too much: what is in use comes back with one
/// read each.
fn insert<T>(cache: &mut HashMap<String, Arc<T>>, (digest, size): (&str, usize), read: &Arc<T>) {
    if size > LARGEST_KEPT {
        return;
    }
    if cache.len() >= MOST_CACHED && !cache.contains_key(digest) {
        cache.clear();
    }
    cache.insert(digest.to_owned(), Arc::clone(read));
}

#[cfg(test)]
mod tests {
    use spanwise_engine::{EngineConfig, Storage};

    use super::*;

    #[test]
    fn what_is_in_hand_is_not_read_back() {
        let engine = Engine::open(EngineConfig::embedded(Storage::Memory, Default::default())).unwrap();
        let definitions = Definitions::new(engine);
        let options = RunOptions { labels: [("team".to_owned(), "a".to_owned())].into(), ..RunOptions::default() };
        let settings = RunSettings { definition: Some("of a run".to_owned()), ..RunSettings::default() };
        // The journal has none of them: whoever asked it would be told so.
        assert!(matches!(definitions.options(&settings), Err(Error::Missing(_))));
        definitions.remember_options(&settings, LARGEST_KEPT + 1, options.clone());
        assert!(matches!(definitions.options(&settings), Err(Error::Missing(_))), "a large one");
        definitions.remember_options(&settings, 1, options.clone());
        assert_eq!(*definitions.options(&settings).unwrap(), options);
        let other = RunSettings { defaults: Some("of a project".to_owned()), ..settings };
        assert!(matches!(definitions.options(&other), Err(Error::Missing(_))), "what others give is another matter");

        let key = spanwise_wire::ids::TaskKey {
            scope: spanwise_wire::ids::scope("", "p", "d").unwrap(),
            name: "build".to_owned(),
            version: "1".to_owned(),
        };
        let task = TaskDefinition::of(spanwise_wire::image::builder(&key, Default::default())).unwrap();
        let spec = ActionSpec { definition: Some(task.stored.digest.as_str().into()), ..ActionSpec::task("build") };
        assert!(matches!(definitions.program(&spec), Err(Error::Missing(_))));
        definitions.remember(task);
        assert_eq!(definitions.program(&spec).unwrap().name, "build");
        assert!(matches!(definitions.of(&spec).unwrap().as_deref(), Some(Definition::Task(_))));
    }
}
