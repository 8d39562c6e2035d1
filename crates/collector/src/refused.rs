//! What is not taken: spans of a request that is otherwise fine, and whole requests.

use std::borrow::Cow;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message as _;
use tonic::Code;
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::limits::{MAX_BODY, MAX_DEPTH, MAX_ORIGIN, MAX_SPAN, READ_LIMIT};

/// Why a span is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Ids,
    Large,
    Deep,
    Unreadable,
    Origin,
}

const REASONS: [Reason; 5] = [Reason::Ids, Reason::Large, Reason::Deep, Reason::Unreadable, Reason::Origin];

/// What is said of one refused span, at most: a part of it may come from its sender.
const LONGEST_EXAMPLE: usize = 300;

impl Reason {
    fn text(self) -> Cow<'static, str> {
        match self {
            Reason::Ids => "with an id of zeros or of a wrong length".into(),
            Reason::Large => format!("larger than {MAX_SPAN} bytes").into(),
            Reason::Deep => format!("with values nested deeper than {MAX_DEPTH}").into(),
            Reason::Unreadable => "that cannot be decoded".into(),
            Reason::Origin => {
                format!("with a resource and scope larger than {MAX_ORIGIN} bytes, or too many of them").into()
            }
        }
    }
}

/// How many spans of a request are refused, and what is wrong with the first of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Refused {
    counts: [u64; REASONS.len()],
    example: Option<String>,
}

/// Equal if as many are refused for the same reasons.
impl PartialEq for Refused {
    fn eq(&self, other: &Refused) -> bool {
        self.counts == other.counts
    }
}

impl Eq for Refused {}

impl Refused {
    pub(super) fn add(&mut self, reason: Reason) {
        self.counts[reason as usize] += 1;
    }

    /// Counts a span, and says more about it if it is the first one of which more is said.
    pub(super) fn add_for(&mut self, reason: Reason, why: impl FnOnce() -> String) {
        self.add(reason);
        if self.example.is_none() {
            let mut why = why();
            why.truncate(why.floor_char_boundary(LONGEST_EXAMPLE));
            self.example = Some(why);
        }
    }

    /// What a sender is told: nothing if all is well.
    pub(super) fn answer(self) -> ExportTraceServiceResponse {
        let count: u64 = self.counts.iter().sum();
        let reasons = REASONS.into_iter().filter(|reason| self.counts[*reason as usize] > 0);
        let reasons = reasons.map(|reason| format!("{} {}", self.counts[reason as usize], reason.text()));
        let example = self.example.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
        let partial_success = (count > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: i64::try_from(count).unwrap_or(i64::MAX),
            error_message: format!("spans refused: {}{example}", reasons.collect::<Vec<_>>().join(", ")),
        });
        ExportTraceServiceResponse { partial_success }
    }
}

/// Why a request is refused, by what its sender can do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// It is of a kind that is not understood.
    #[error("{0}")]
    Unsupported(String),
    /// It makes no sense.
    #[error("{0}")]
    Malformed(String),
    /// It is too large, packed or unpacked.
    #[error("the request is larger than {MAX_BODY} bytes: send fewer spans at a time")]
    TooLarge,
    /// Too much is under way.
    #[error("the collector has as much to store as it keeps in memory: send the spans again in a moment")]
    Busy,
    /// The request does not come to its end.
    #[error("the request did not arrive within {} s", READ_LIMIT.as_secs())]
    Slow,
    /// What has arrived cannot be stored now.
    #[error("the spans cannot be stored now: {0}")]
    NotStored(String),
}

/// How a sender over HTTP writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    pub(super) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Encoding::Protobuf => "application/x-protobuf",
            Encoding::Json => "application/json",
        })
    }
}

impl Refusal {
    fn code(&self) -> Code {
        match self {
            Refusal::Unsupported(_) | Refusal::Malformed(_) => Code::InvalidArgument,
            Refusal::TooLarge | Refusal::Busy => Code::ResourceExhausted,
            Refusal::Slow => Code::DeadlineExceeded,
            Refusal::NotStored(_) => Code::Unavailable,
        }
    }

    fn http(&self) -> StatusCode {
        match self {
            Refusal::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
            Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Busy => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Slow => StatusCode::REQUEST_TIMEOUT,
            Refusal::NotStored(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// When the sender should try again; not at all if the same would happen.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Refusal::Busy => Some(Duration::from_secs(1)),
            Refusal::NotStored(_) => Some(Duration::from_secs(5)),
            _ => None,
        }
    }

    /// As gRPC has it. What is exhausted for a while says so by the time after which to try again.
    pub(super) fn status(&self) -> tonic::Status {
        match self.retry_after() {
            Some(delay) => {
                let details = ErrorDetails::with_retry_info(Some(delay));
                tonic::Status::with_error_details(self.code(), self.to_string(), details)
            }
            None => tonic::Status::new(self.code(), self.to_string()),
        }
    }

    /// As OTLP over HTTP has it: the status of HTTP, and a `google.rpc.Status` in the encoding of the request.
    pub(super) fn response(&self, encoding: Encoding) -> Response {
        let (code, message) = (i32::from(self.code()), self.to_string());
        let body = match encoding {
            Encoding::Protobuf => tonic_types::Status { code, message, details: Vec::new() }.encode_to_vec(),
            Encoding::Json => serde_json::json!({ "code": code, "message": message }).to_string().into_bytes(),
        };
        let mut response = (self.http(), [(CONTENT_TYPE, encoding.content_type())], body).into_response();
        if let Some(delay) = self.retry_after() {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(delay.as_secs()));
        }
        response
    }
}
