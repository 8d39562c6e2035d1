//! What can go wrong with the engine, by what the caller can do about it.

use std::sync::Arc;

use spanwise_core::{Rejection, RunName};

/// A failure of the engine.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The command was refused; nothing changed.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// A run of this name exists.
    #[error("run `{0}` already exists")]
    AlreadyExists(RunName),
    /// No run of this name exists.
    #[error("run `{0}` does not exist in this data directory")]
    NotFound(RunName),
    /// Somebody else has written to the run: what it came to here is not written, and its drivers end here. [`Engine::resume`] takes
    /// it up as the journal has it. Other runs go on.
    ///
    /// [`Engine::resume`]: crate::Engine::resume
    #[error("run `{0}` is no longer this process's: somebody else has written to it")]
    NotOurs(RunName),
    /// The journal could not be opened; nothing was begun.
    #[error("the journal cannot be used")]
    Open(#[source] Arc<spanwise_store::Error>),
    /// The journal failed. What was acknowledged before is safe; what was not may be lost. See [`Error::may_pass`].
    #[error("the journal failed")]
    Store(#[source] Arc<spanwise_store::Error>),
    /// The process is shutting down: the action goes on when the run is resumed.
    #[error("interrupted: the run goes on when it is resumed")]
    Interrupted,
    /// The settings of a run have no stored form: there is no such run.
    #[error("the settings of the run cannot be stored")]
    Settings(#[source] Arc<serde_json::Error>),
    /// `max_action_concurrency` is 1: a parent holds the only slot and its child waits for it for ever.
    #[error("max_action_concurrency is 1: a parent would wait for its child for ever; give 0 (no limit) or at least 2")]
    ConcurrencyOfOne,
}

impl Error {
    /// True if the journal cannot be used now, for instance because the disk is full: the same may succeed when there is room.
    pub fn may_pass(&self) -> bool {
        matches!(self, Error::Store(source) if source.may_pass())
    }

    /// True if what is stored cannot be understood.
    pub fn is_damage(&self) -> bool {
        matches!(self, Error::Store(source) if source.is_damage())
    }

    /// True if another process uses the data directory.
    pub fn is_in_use(&self) -> bool {
        matches!(self, Error::Open(source) if matches!(**source, spanwise_store::Error::InUse { .. }))
    }
}

impl From<spanwise_store::Error> for Error {
    fn from(error: spanwise_store::Error) -> Error {
        Error::Store(Arc::new(error))
    }
}

/// An error and what it comes from, in one line.
pub(crate) fn with_source(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
