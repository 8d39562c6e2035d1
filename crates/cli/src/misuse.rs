//! What cannot be meant.

/// Something on the command line cannot be meant; it has an exit code of its own.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misuse(pub(crate) String);
