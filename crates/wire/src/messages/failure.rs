//! Failures: what a task writes (`error.pb`), and what parents and drivers are told. Flyte's messages have one text; causes and the
//! place stand in it, each on a line of its own, and are read back from it.

use spanwise_core::{End, Failure, FailureKind, code};
use spanwise_proto::Message;
use spanwise_proto::flyteidl2::core::{
    ContainerError, ErrorDocument, ExecutionError, container_error, execution_error,
};
use spanwise_proto::flyteidl2::workflow::{ErrorInfo, error_info};

use crate::Invalid;

mod skim;

pub use skim::skim;

const CAUSE: &str = "\n  caused by: ";
const SOURCE: &str = "\n  at ";

/// The prefix of a code that says that retries are used up (`_internal/controllers/remote`).
const EXHAUSTED: &str = "RetriesExhausted|";

/// What a task says went wrong (`error.pb`). Its text stays one.
///
/// # Errors
/// [`Invalid`] if it is no such document.
pub fn read(document: &[u8]) -> Result<Failure, Invalid> {
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

/// `error.pb`.
pub fn document(failure: &Failure) -> Vec<u8> {
    let error = ContainerError {
        code: failure.code.clone(),
        message: text(failure),
        kind: recoverability(failure).into(),
        origin: kind(failure).into(),
        ..ContainerError::default()
    };
    ErrorDocument { error: error.into(), ..ErrorDocument::default() }.encode_to_vec()
}

/// The error of an action that has ended, as its parent is told.
pub fn of_execution(error: &ExecutionError) -> Failure {
    let kind = match error.kind.as_known() {
        Some(execution_error::ErrorKind::USER) => FailureKind::User,
        Some(execution_error::ErrorKind::SYSTEM) => FailureKind::System,
        _ => FailureKind::Unknown,
    };
    let recoverable = error.recoverability.as_known() != Some(container_error::Kind::NON_RECOVERABLE);
    of_text(&error.code, &error.message, kind, recoverable)
}

/// The error of an action in its details, which do not say whether it is recoverable.
pub fn of_details(error: &ErrorInfo) -> Failure {
    let kind = match error.kind.as_known() {
        Some(error_info::Kind::KIND_USER) => FailureKind::User,
        Some(error_info::Kind::KIND_SYSTEM) => FailureKind::System,
        _ => FailureKind::Unknown,
    };
    of_text(&error.code, &error.message, kind, true)
}

/// The error of an action at its end, for its parent; none if it has none.
pub fn execution_error(end: &End, retried: bool) -> Option<ExecutionError> {
    let failure = match end {
        End::Failed(failure) | End::TimedOut(failure) => failure,
        End::Aborted { by, reason } => {
            let message = format!("aborted by {by}: {reason}");
            return Some(to_execution_error(
                &Failure::user(code::ABORTED, message).terminal(),
                code::ABORTED.to_owned(),
            ));
        }
        End::Succeeded { .. } | End::Reused(_) | End::Signalled { .. } | End::Elapsed => return None,
    };
    let shown = shown_code(end, failure, retried);
    Some(to_execution_error(failure, shown))
}

/// The code that tells the SDK which exception to raise. A user's error that has used up its retries is marked by a prefix
/// that the SDK splits off.
fn shown_code(end: &End, failure: &Failure, retried: bool) -> String {
    let exhausted =
        retried && matches!(end, End::Failed(_)) && failure.recoverable && failure.kind == FailureKind::User;
    if exhausted { format!("{EXHAUSTED}{}", failure.code) } else { failure.code.clone() }
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
pub fn error_info(failure: &Failure) -> ErrorInfo {
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

/// One text of a failure with its causes and its place.
fn text(failure: &Failure) -> String {
    let mut text = failure.message.clone();
    for cause in &failure.causes {
        text.push_str(CAUSE);
        text.push_str(cause);
    }
    if let Some(position) = &failure.position {
        text.push_str(SOURCE);
        text.push_str(position);
    }
    text
}

/// The failure that was made into a [`text`].
fn of_text(code: &str, text: &str, kind: FailureKind, recoverable: bool) -> Failure {
    let is_position = |position: &&str| !position.contains('\n') && position.rsplit(':').take(2).all(is_number);
    let split = text.rsplit_once(SOURCE).filter(|(_, position)| is_position(position));
    let (text, position) = split.map_or((text, None), |(text, position)| (text, Some(position.to_owned())));
    let mut parts = text.split(CAUSE).map(str::to_owned);
    let message = parts.next().unwrap_or_default();
    let code = code.strip_prefix(EXHAUSTED).unwrap_or(code);
    Failure { kind, recoverable, causes: parts.collect(), position, ..Failure::user(code, message) }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_and_position_cross_the_wire_in_the_text() {
        let failure = Failure {
            causes: vec!["inner".to_owned(), "of two\nlines".to_owned()],
            position: Some("src/main.rs:7:9".to_owned()),
            ..Failure::user("Outer", "what\nhappened").terminal()
        };
        let document = ErrorDocument::decode_from_slice(&document(&failure)).unwrap();
        let error = document.error.as_option().unwrap();
        let sent = ExecutionError {
            code: format!("{EXHAUSTED}{}", error.code),
            message: error.message.clone(),
            kind: error.origin,
            recoverability: error.kind,
            ..ExecutionError::default()
        };
        assert_eq!(of_execution(&sent), failure);
        let python = ExecutionError { message: "x\n  at home".to_owned(), ..sent };
        assert_eq!(of_execution(&python).message, "x\n  at home");
    }
}
