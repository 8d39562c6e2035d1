//! Calls that are refused, by the sentence that the table of methods has for them: those of services that nobody here has, too.

use bytes::Bytes;
use connectrpc::dispatcher::{Dispatcher, MethodDescriptor, RequestStream, StreamingResult, UnaryResult};
use connectrpc::{CodecFormat, ConnectError, Payload, RequestContext, Router};
use futures_util::future::BoxFuture;
use spanwise_wire::support::Support;
use spanwise_wire::support::methods::{self, Streams};

/// The services that are there, and the refusal of all else that Flyte has.
pub(crate) struct Refusing(pub(super) Router);

/// Why a method is refused, such as `flyteidl2.workflow.RunService/WatchRuns`.
pub(super) fn refused(path: &str) -> ConnectError {
    let why = methods::refusal(path);
    ConnectError::unimplemented(why.unwrap_or_else(|| format!("{path} is not part of this version")))
}

/// The answer to a call, if the table refuses it; what that does not know is for the services to answer.
fn refusal<T: Send + 'static>(path: &str) -> Option<BoxFuture<'static, Result<T, ConnectError>>> {
    let refused = ConnectError::unimplemented(methods::refusal(path)?);
    Some(Box::pin(async { Err(refused) }))
}

impl Dispatcher for Refusing {
    fn lookup(&self, path: &str) -> Option<MethodDescriptor> {
        match methods::of_path(path).filter(|row| matches!(row.support, Support::Refused(_))) {
            Some(row) => Some(match row.streams {
                Streams::Neither => MethodDescriptor::unary(false),
                Streams::Server => MethodDescriptor::server_streaming(),
                Streams::Both => MethodDescriptor::bidi_streaming(),
            }),
            None => self.0.lookup(path),
        }
    }

    fn call_unary(&self, path: &str, ctx: RequestContext, request: Payload, format: CodecFormat) -> UnaryResult {
        if let Some(refused) = refusal(path) {
            return refused;
        }
        self.0.call_unary(path, ctx, request, format)
    }

    fn call_server_streaming(
        &self,
        path: &str,
        ctx: RequestContext,
        request: Bytes,
        format: CodecFormat,
    ) -> StreamingResult {
        if let Some(refused) = refusal(path) {
            return refused;
        }
        self.0.call_server_streaming(path, ctx, request, format)
    }

    fn call_client_streaming(
        &self,
        path: &str,
        ctx: RequestContext,
        requests: RequestStream,
        format: CodecFormat,
    ) -> UnaryResult {
        self.0.call_client_streaming(path, ctx, requests, format)
    }

    fn call_bidi_streaming(
        &self,
        path: &str,
        ctx: RequestContext,
        requests: RequestStream,
        format: CodecFormat,
    ) -> StreamingResult {
        if let Some(refused) = refusal(path) {
            return refused;
        }
        self.0.call_bidi_streaming(path, ctx, requests, format)
    }
}
