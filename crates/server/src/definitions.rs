//! What actions and runs are made from: stored once under a digest, decoded once while it is in use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use spanwise_core::{ActionSpec, RunOptions};
use spanwise_engine::{Engine, RunSettings};
use spanwise_wire::{Definition, Invalid, options, task, task::Program};

/// Decoded definitions that are kept; a run has a handful, and one is some kilobytes.
const KEPT: usize = 512;

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
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    definitions: HashMap<String, Arc<Definition>>,
    programs: HashMap<String, Arc<Program>>,
}

impl Definitions {
    pub(crate) fn new(engine: Engine) -> Definitions {
        Definitions { engine, kept: Arc::default() }
    }

    /// What an action was made from; none if it has no definition.
    pub(crate) fn of(&self, spec: &ActionSpec) -> Result<Option<Arc<Definition>>, Error> {
        let Some(digest) = spec.definition.as_deref() else { return Ok(None) };
        if let Some(known) = self.kept().definitions.get(digest) {
            return Ok(Some(Arc::clone(known)));
        }
        let definition = Arc::new(Definition::decode(spec.kind, &self.body(digest)?)?);
        let mut kept = self.kept();
        make_room(&mut kept.definitions);
        kept.definitions.insert(digest.to_owned(), Arc::clone(&definition));
        Ok(Some(definition))
    }

    /// What a process needs to run a task action.
    pub(crate) fn program(&self, spec: &ActionSpec) -> Result<Arc<Program>, Error> {
        let digest = spec.definition.as_deref().ok_or_else(|| Error::Missing(spec.task.to_string()))?;
        if let Some(known) = self.kept().programs.get(digest) {
            return Ok(Arc::clone(known));
        }
        let program = Arc::new(task::program(&task::decode(&self.body(digest)?)?)?);
        let mut kept = self.kept();
        make_room(&mut kept.programs);
        kept.programs.insert(digest.to_owned(), Arc::clone(&program));
        Ok(program)
    }

    /// The message that a run was created with, as its client sent it.
    pub(crate) fn sent_options(&self, settings: &RunSettings) -> Result<Bytes, Error> {
        match settings.definition.as_deref() {
            Some(digest) => self.body(digest),
            None => Ok(options::encode(&settings.options)),
        }
    }

    /// What the starter of a run has chosen.
    pub(crate) fn options(&self, settings: &RunSettings) -> Result<RunOptions, Error> {
        Ok(options::of_message(&options::decode(&self.sent_options(settings)?)?))
    }

    fn body(&self, digest: &str) -> Result<Bytes, Error> {
        self.engine.definition(digest)?.ok_or_else(|| Error::Missing(digest.to_owned()))
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts anew when there are too many: those in use come back with one read each.
fn make_room<T>(kept: &mut HashMap<String, T>) {
    if kept.len() >= KEPT {
        kept.clear();
    }
}
