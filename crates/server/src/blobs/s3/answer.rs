//! Errors of the store as S3 says them.

use http::StatusCode;
use s3s::{S3Error, S3ErrorCode};
use spanwise_blobs::{Error, Refusal};

use crate::serve::is_too_slow;

/// What a client is told.
pub(super) fn refused(error: Error) -> S3Error {
    let (code, status) = code(&error);
    if code == S3ErrorCode::InternalError {
        tracing::error!(error = &error as &dyn std::error::Error, "the blob store failed");
    }
    let mut answer = S3Error::with_message(code, error.to_string());
    if let Some(status) = status {
        answer.set_status_code(status);
    }
    answer.set_source(Box::new(error));
    answer
}

fn code(error: &Error) -> (S3ErrorCode, Option<StatusCode>) {
    let code = match error {
        Error::BadUri(_) => S3ErrorCode::InvalidArgument,
        // S3 has neither of the next two problems, and so no codes for them. A full disk passes, and clients of S3 come again
        // after this status.
        Error::DiskFull { .. } => return (own_code("InsufficientStorage"), Some(StatusCode::SERVICE_UNAVAILABLE)),
        Error::Gone { .. } => S3ErrorCode::ServiceUnavailable,
        Error::Conflict { .. } => return (own_code("KeyConflict"), Some(StatusCode::CONFLICT)),
        Error::Exists { .. } => S3ErrorCode::PreconditionFailed,
        Error::Missing { .. } => S3ErrorCode::NoSuchKey,
        Error::Refused { reason: Refusal::Digest { .. }, .. } => S3ErrorCode::BadDigest,
        Error::Refused { reason: Refusal::Limit { .. }, .. } => S3ErrorCode::EntityTooLarge,
        Error::Body { source, .. } if is_too_slow(&**source) => S3ErrorCode::RequestTimeout,
        Error::Refused { reason: Refusal::Length { .. }, .. } | Error::Body { .. } => S3ErrorCode::IncompleteBody,
        Error::NoUpload { .. } => S3ErrorCode::NoSuchUpload,
        Error::BadPart { .. } => S3ErrorCode::InvalidPart,
        _ => S3ErrorCode::InternalError,
    };
    (code, None)
}

fn own_code(name: &'static str) -> S3ErrorCode {
    S3ErrorCode::Custom(name.into())
}
