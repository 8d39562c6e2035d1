//! Failures on the wire: `error.pb`, and what parents and drivers are told. Flyte's messages have a text only; causes and the
//! place stand in it, each on a line of its own, and are read back from it.

use spanwise_core::{Failure, FailureKind};
use spanwise_proto::Message;
use spanwise_proto::flyteidl2::core::{
    ContainerError, ErrorDocument, ExecutionError, container_error, execution_error,
};
use spanwise_proto::flyteidl2::workflow::{ErrorInfo, error_info};

const CAUSE: &str = "\n  caused by: ";
const PLACE: &str = "\n  at ";

/// The prefix of a code that says that retries are used up (`_internal/controllers/remote`).
const EXHAUSTED: &str = "RetriesExhausted|";

/// `error.pb`.
pub(super) fn document(failure: &Failure) -> Vec<u8> {
    let kind = match failure.recoverable {
        true => container_error::Kind::RECOVERABLE,
        false => container_error::Kind::NON_RECOVERABLE,
    };
    let origin = match failure.kind {
        FailureKind::User => execution_error::ErrorKind::USER,
        FailureKind::System => execution_error::ErrorKind::SYSTEM,
        FailureKind::Unknown => execution_error::ErrorKind::UNKNOWN,
    };
    let error = ContainerError {
        code: failure.code.clone(),
        message: text(failure),
        kind: kind.into(),
        origin: origin.into(),
        ..ContainerError::default()
    };
    ErrorDocument { error: error.into(), ..ErrorDocument::default() }.encode_to_vec()
}

/// The error of an action that has ended.
pub(super) fn of_execution(error: &ExecutionError) -> Failure {
    let kind = match error.kind.as_known() {
        Some(execution_error::ErrorKind::USER) => FailureKind::User,
        Some(execution_error::ErrorKind::SYSTEM) => FailureKind::System,
        _ => FailureKind::Unknown,
    };
    let recoverable = error.recoverability.as_known() != Some(container_error::Kind::NON_RECOVERABLE);
    read(&error.code, &error.message, kind, recoverable)
}

/// The error of an action in its details, which do not say whether it is recoverable.
pub(super) fn of_details(error: &ErrorInfo) -> Failure {
    let kind = match error.kind.as_known() {
        Some(error_info::Kind::KIND_USER) => FailureKind::User,
        Some(error_info::Kind::KIND_SYSTEM) => FailureKind::System,
        _ => FailureKind::Unknown,
    };
    read(&error.code, &error.message, kind, true)
}

fn text(failure: &Failure) -> String {
    let mut text = failure.message.clone();
    for cause in &failure.causes {
        text.push_str(CAUSE);
        text.push_str(cause);
    }
    if let Some(place) = &failure.place {
        text.push_str(PLACE);
        text.push_str(place);
    }
    text
}

fn read(code: &str, text: &str, kind: FailureKind, recoverable: bool) -> Failure {
    let is_place = |place: &&str| !place.contains('\n') && place.rsplit(':').take(2).all(is_number);
    let split = text.rsplit_once(PLACE).filter(|(_, place)| is_place(place));
    let (text, place) = split.map_or((text, None), |(text, place)| (text, Some(place.to_owned())));
    let mut parts = text.split(CAUSE).map(str::to_owned);
    let message = parts.next().unwrap_or_default();
    let code = code.strip_prefix(EXHAUSTED).unwrap_or(code);
    Failure { kind, recoverable, causes: parts.collect(), place, ..Failure::user(code, message) }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_and_place_cross_the_wire_in_the_text() {
        let failure = Failure {
            causes: vec!["inner".to_owned(), "of two\nlines".to_owned()],
            place: Some("src/main.rs:7:9".to_owned()),
            ..Failure::user("Outer", "what\nhappened").terminal()
        };
        let document = ErrorDocument::decode_from_slice(&document(&failure)).unwrap();
        let error = document.error.as_option().unwrap();
        let told = ExecutionError {
            code: format!("{EXHAUSTED}{}", error.code),
            message: error.message.clone(),
            kind: error.origin,
            recoverability: error.kind,
            ..ExecutionError::default()
        };
        assert_eq!(of_execution(&told), failure);
        let python = ExecutionError { message: "x\n  at home".to_owned(), ..told };
        assert_eq!(of_execution(&python).message, "x\n  at home");
    }
}
