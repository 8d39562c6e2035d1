//! Errors: what a task writes (`error.pb`), what parents and drivers are told.

use spanwise_core::{End, Failure, FailureKind, code};
use spanwise_proto::Message;
use spanwise_proto::flyteidl2::core::{ErrorDocument, ExecutionError, container_error, execution_error};
use spanwise_proto::flyteidl2::workflow::{ErrorInfo, error_info};

use super::Invalid;

/// What a task says went wrong (`error.pb`).
pub(crate) fn read(document: &[u8]) -> Result<Failure, Invalid> {
    let document =
        ErrorDocument::decode_from_slice(document).map_err(|source| Invalid::Decode { what: "error.pb", source })?;
    let error = document.error.as_option().ok_or(Invalid::Missing("error.pb: error"))?;
    let kind = match error.origin.as_known() {
        Some(execution_error::ErrorKind::SYSTEM) => FailureKind::System,
        Some(execution_error::ErrorKind::UNKNOWN) => FailureKind::Unknown,
        _ => FailureKind::User,
    };
    let recoverable = error.kind.as_known() != Some(container_error::Kind::NON_RECOVERABLE);
    Ok(Failure { kind, recoverable, ..Failure::user(error.code.clone(), error.message.clone()) })
}

/// An error as a task writes it.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn write(failure: &Failure) -> Vec<u8> {
    let error = spanwise_proto::flyteidl2::core::ContainerError {
        code: failure.code.clone(),
        message: failure.message.clone(),
        kind: recoverability(failure).into(),
        origin: kind(failure).into(),
        ..Default::default()
    };
    ErrorDocument { error: error.into(), ..ErrorDocument::default() }.encode_to_vec()
}

fn recoverability(failure: &Failure) -> container_error::Kind {
    if failure.recoverable { container_error::Kind::RECOVERABLE } else { container_error::Kind::NON_RECOVERABLE }
}

fn kind(failure: &Failure) -> execution_error::ErrorKind {
    match failure.kind {
        FailureKind::User => execution_error::ErrorKind::USER,
        FailureKind::System => execution_error::ErrorKind::SYSTEM,
        FailureKind::Unknown => execution_error::ErrorKind::UNKNOWN,
    }
}

/// The error of an action at its end, for its parent; none if it has none.
pub(crate) fn execution_error(end: &End, retried: bool) -> Option<ExecutionError> {
    let failure = match end {
        End::Failed(failure) | End::TimedOut(failure) => failure,
        End::Aborted { by, reason } => {
            let message = format!("aborted by {by}: {reason}");
            return Some(to_execution_error(
                &Failure::user(code::ABORTED, message).terminal(),
                code::ABORTED.to_owned(),
            ));
        }
        End::Succeeded { .. } | End::Reused(_) | End::Signalled { .. } => return None,
    };
    let shown = shown_code(end, failure, retried);
    Some(to_execution_error(failure, shown))
}

/// The code that tells the SDK which exception to raise. A user's error that has used up its retries is marked by a prefix
/// that the SDK splits off (`_internal/controllers/remote`).
fn shown_code(end: &End, failure: &Failure, retried: bool) -> String {
    let exhausted =
        retried && matches!(end, End::Failed(_)) && failure.recoverable && failure.kind == FailureKind::User;
    if exhausted { format!("RetriesExhausted|{}", failure.code) } else { failure.code.clone() }
}

fn to_execution_error(failure: &Failure, code: String) -> ExecutionError {
    ExecutionError {
        code,
        message: failure.message.clone(),
        kind: kind(failure).into(),
        recoverability: recoverability(failure).into(),
        ..ExecutionError::default()
    }
}

/// An error, for details.
pub(crate) fn error_info(failure: &Failure) -> ErrorInfo {
    let kind = match failure.kind {
        FailureKind::User => error_info::Kind::KIND_USER,
        FailureKind::System => error_info::Kind::KIND_SYSTEM,
        FailureKind::Unknown => error_info::Kind::KIND_UNSPECIFIED,
    };
    ErrorInfo {
        message: failure.message.clone(),
        kind: kind.into(),
        code: failure.code.clone(),
        ..ErrorInfo::default()
    }
}
