//! What actions and runs are made from: stored once under a digest, decoded once while it is in use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use spanwise_core::{ActionKind, ActionSpec, RunOptions};
use spanwise_engine::{Engine, RunSettings};
use spanwise_wire::{Definition, Invalid, Stored, options, task, task::Program, task::TaskDefinition};

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

    /// Remembers the options of a new run.
    pub(crate) fn remember_options(&self, stored: Stored, options: RunOptions) {
        insert(&mut self.cache().options, (&stored.digest, stored.body.len()), &Arc::new(options));
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

    /// What the starter of a run has chosen: read once, however many actions the run has.
    pub(crate) fn options(&self, settings: &RunSettings) -> Result<Arc<RunOptions>, Error> {
        let cached = |digest: &str| self.cache().options.get(digest).cloned();
        if let Some(cached) = settings.definition.as_deref().and_then(cached) {
            return Ok(cached);
        }
        let sent = self.sent_options(settings)?;
        let read = Arc::new(options::of_message(&options::decode(&sent)?));
        if let Some(digest) = settings.definition.as_deref() {
            insert(&mut self.cache().options, (digest, sent.len()), &read);
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
        let stored = |body: usize| Stored { digest: "of a run".to_owned(), body: vec![0; body].into() };
        definitions.remember_options(stored(LARGEST_KEPT + 1), options.clone());
        assert!(matches!(definitions.options(&settings), Err(Error::Missing(_))), "a large one");
        definitions.remember_options(stored(1), options.clone());
        assert_eq!(*definitions.options(&settings).unwrap(), options);

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
