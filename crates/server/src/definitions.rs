//! What actions and runs are made from: stored once under a digest, decoded once while it is in use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use spanwise_core::ActionSpec;
use spanwise_engine::{Engine, RunSettings, UNREFERRED_DEFINITION};
use spanwise_proto::Message;
use spanwise_proto::flyteidl2::task::RunSpec;
use spanwise_wire::{Definition, Invalid, task, task::Program};

/// Decoded definitions that are kept; a run has a handful, and one is some kilobytes.
const KEPT: usize = 512;

/// How long a definition that was put is not put again: well below the time for which the journal keeps it without a reference.
const PUT_AGAIN: Duration = Duration::from_secs(UNREFERRED_DEFINITION.as_secs() / 4);

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
    /// When it was last put.
    put: HashMap<String, Instant>,
}

impl Definitions {
    pub(crate) fn new(engine: Engine) -> Definitions {
        Definitions { engine, kept: Arc::default() }
    }

    /// Stores a definition under its digest. After `Ok` it survives the process, and what refers to it soon finds it.
    pub(crate) fn put(&self, digest: &str, body: &Bytes) -> Result<(), spanwise_engine::Error> {
        let now = Instant::now();
        if self.kept().put.get(digest).is_some_and(|put| now.duration_since(*put) < PUT_AGAIN) {
            return Ok(());
        }
        self.engine.put_definition(digest, body)?;
        let mut kept = self.kept();
        make_room(&mut kept.put);
        kept.put.insert(digest.to_owned(), now);
        Ok(())
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

    /// The settings that a run was created with, as its client sent them.
    pub(crate) fn run_spec(&self, settings: &RunSettings) -> Result<RunSpec, Error> {
        let Some(digest) = settings.definition.as_deref() else { return Ok(RunSpec::default()) };
        let body = self.body(digest)?;
        let invalid = |source| Invalid::Decode { what: "run settings", source };
        Ok(RunSpec::decode_from_slice(&body).map_err(invalid)?)
    }

    /// The variables that a run gives to each of its actions.
    pub(crate) fn run_env(&self, settings: &RunSettings) -> Result<Vec<(String, String)>, Error> {
        let spec = self.run_spec(settings)?;
        Ok(spec.envs.values.iter().map(|pair| (pair.key.clone(), pair.value.clone())).collect())
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
