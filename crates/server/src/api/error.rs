//! What went wrong, with Flyte's code for it.

use connectrpc::ConnectError;
use spanwise_blobs as blobs;
use spanwise_core::Rejection;
use spanwise_wire::with_causes;

use crate::control::Error;

impl From<Error> for ConnectError {
    fn from(error: Error) -> ConnectError {
        let message = with_causes(&error);
        match error {
            Error::Invalid(_) | Error::Uri(_) => ConnectError::invalid_argument(message),
            Error::NotFound(_) => ConnectError::not_found(message),
            Error::AlreadyExists(_) => ConnectError::already_exists(message),
            Error::Changed(_) => ConnectError::aborted(message),
            Error::Unmet(_) => ConnectError::failed_precondition(message),
            Error::Engine(error) => from_engine(&error, message),
            Error::Blobs(blobs::Error::TooLarge { .. }) => ConnectError::invalid_argument(message),
            // The SDK tries again at `unavailable` for a while.
            Error::Blobs(blobs::Error::DiskFull { .. } | blobs::Error::Gone { .. }) | Error::NotReady(_) => {
                ConnectError::unavailable(message)
            }
            Error::Io { source, .. } if is_full(&source) => ConnectError::unavailable(message),
            Error::Unreadable { .. } => ConnectError::data_loss(message),
            Error::Definition(crate::definitions::Error::Engine(error)) => from_engine(&error, message),
            Error::Definition(_) | Error::Blobs(_) | Error::Io { .. } => internal(message),
        }
    }
}

fn from_engine(error: &spanwise_engine::Error, message: String) -> ConnectError {
    use spanwise_engine::Error as Engine;
    match error {
        Engine::Rejected(Rejection::NotFound(_)) | Engine::NotFound(_) => ConnectError::not_found(message),
        // The SDK gives the child up at `aborted`, and tries again for ever at most other codes.
        Engine::Rejected(Rejection::RunEnded(_) | Rejection::ParentEnded { .. }) => ConnectError::aborted(message),
        // The SDK tries a child again at `resource_exhausted` as long as it takes (`_core.py`, `_bg_run`).
        Engine::Rejected(Rejection::Refused { refusal, .. }) if refusal.may_pass() => {
            ConnectError::resource_exhausted(message)
        }
        Engine::Rejected(Rejection::Refused { .. }) => ConnectError::invalid_argument(message),
        Engine::Rejected(_) => ConnectError::failed_precondition(message),
        Engine::AlreadyExists(_) => ConnectError::already_exists(message),
        Engine::ConcurrencyOfOne | Engine::Settings(_) => ConnectError::invalid_argument(message),
        // It is taken up again.
        Engine::Interrupted | Engine::NotOurs(_) => ConnectError::unavailable(message),
        Engine::Store(source) if source.may_pass() => ConnectError::unavailable(message),
        Engine::Open(_) | Engine::Store(_) => internal(message),
    }
}

fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

fn internal(message: String) -> ConnectError {
    tracing::error!(%message, "a request failed");
    ConnectError::internal(message)
}
