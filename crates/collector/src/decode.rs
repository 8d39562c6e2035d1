//! From the bytes of an OTLP request to spans that can be stored, and back.
//!
//! A request is walked, not decoded as a whole: a span is kept as the bytes that were sent, fields of tomorrow included, and a
//! request of many empty messages costs no memory. Each span is decoded once, to see that it can be read.

use std::sync::Arc;

use buffa::encoding::{Tag, WireType, check_wire_type, decode_varint, skip_field};
use buffa::{DecodeError, encoding};
use bytes::{Buf as _, Bytes};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::limits::{MAX_DEPTH, MAX_ORIGIN, MAX_SPAN};
use crate::refused::{Reason, Refused};
use crate::spans::{SpanOrigin, StoredSpan};

/// What the resources and scopes of one request may take together: each is small in it and can be stored with many others.
const MAX_ORIGINS: usize = 16 << 20;

/// Field numbers that the messages of a request have in common: what the parts have in common, the parts, the schema's address.
const COMMON: u32 = 1;
const PARTS: u32 = 2;
const SCHEMA_URL: u32 = 3;

/// The only field of a request.
const RESOURCE_SPANS: u32 = 1;

/// The fields of a message that have a length; the others are skipped.
#[derive(Clone)]
struct Fields(Bytes);

impl Iterator for Fields {
    type Item = Result<(u32, Bytes), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.0.has_remaining() {
            match self.step() {
                Ok(None) => {}
                Ok(Some(field)) => return Some(Ok(field)),
                Err(error) => {
                    self.0.clear();
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl Fields {
    fn step(&mut self) -> Result<Option<(u32, Bytes)>, DecodeError> {
        let tag = Tag::decode(&mut self.0)?;
        if tag.field_number() <= SCHEMA_URL {
            check_wire_type(tag, WireType::LengthDelimited)?;
        }
        if tag.wire_type() != WireType::LengthDelimited {
            skip_field(tag, &mut self.0)?;
            return Ok(None);
        }
        let length = usize::try_from(decode_varint(&mut self.0)?).map_err(|_| DecodeError::UnexpectedEof)?;
        if length > self.0.len() {
            return Err(DecodeError::UnexpectedEof);
        }
        Ok(Some((tag.field_number(), self.0.split_to(length))))
    }

    /// The next field of this number. What cannot be read is taken for the end: the request has been checked.
    fn next_of(&mut self, number: u32) -> Option<Bytes> {
        self.find_map(|field| field.ok().filter(|(found, _)| *found == number)).map(|(_, value)| value)
    }

    /// The last field of this number, which is the one that counts.
    fn last_of(&self, number: u32) -> Bytes {
        self.clone().filter_map(Result::ok).filter(|(found, _)| *found == number).last().unwrap_or_default().1
    }
}

/// Sees that a request is made of what it should be made of, as far down as the spans.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(request: &Bytes) -> Result<(), DecodeError> {
    for resource_spans in Fields(request.clone()) {
        let (RESOURCE_SPANS, resource_spans) = resource_spans? else { continue };
        for scope_spans in Fields(resource_spans) {
            let (PARTS, scope_spans) = scope_spans? else { continue };
            for field in Fields(scope_spans) {
                field?;
            }
        }
    }
    Ok(())
}

/// The spans of a request that has been checked.
pub(super) struct Spans {
    request: Fields,
    resource: Option<Resource>,
    scope: Option<Scope>,
    /// What the origins that were made so far take.
    origins: usize,
}

struct Resource {
    resource: Bytes,
    schema_url: Bytes,
    digest: [u8; 32],
    parts: Fields,
}

struct Scope {
    scope: Bytes,
    schema_url: Bytes,
    /// Made when the first span needs it.
    origin: Option<Arc<SpanOrigin>>,
    parts: Fields,
}

impl Spans {
    pub(super) fn of(request: Bytes) -> Spans {
        Spans { request: Fields(request), resource: None, scope: None, origins: 0 }
    }

    /// The next spans, up to a number of them and of bytes; none at the end. What is refused is counted.
    pub(super) fn next_batch(&mut self, most: usize, most_bytes: usize, refused: &mut Refused) -> Vec<StoredSpan> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < most && bytes < most_bytes {
            let Some(span) = self.next_span() else { break };
            match self.read(span) {
                Ok(span) => {
                    bytes += span.body.len();
                    batch.push(span);
                }
                Err((reason, None)) => refused.add(reason),
                Err((reason, Some(why))) => refused.add_for(reason, || why.to_string()),
            }
        }
        batch
    }

    fn next_span(&mut self) -> Option<Bytes> {
        loop {
            if let Some(scope) = &mut self.scope {
                if let Some(span) = scope.parts.next_of(PARTS) {
                    return Some(span);
                }
                self.scope = None;
            }
            if let Some(resource) = &mut self.resource {
                if let Some(scope_spans) = resource.parts.next_of(PARTS) {
                    let parts = Fields(scope_spans);
                    let (scope, schema_url) = (parts.last_of(COMMON), parts.last_of(SCHEMA_URL));
                    self.scope = Some(Scope { scope, schema_url, origin: None, parts });
                    continue;
                }
                self.resource = None;
            }
            let parts = Fields(self.request.next_of(RESOURCE_SPANS)?);
            let (resource, schema_url) = (parts.last_of(COMMON), parts.last_of(SCHEMA_URL));
            let digest = digest([&resource, &schema_url]);
            self.resource = Some(Resource { resource, schema_url, digest, parts });
        }
    }

    fn read(&mut self, body: Bytes) -> Result<StoredSpan, (Reason, Option<prost::DecodeError>)> {
        if body.len() > MAX_SPAN {
            return Err((Reason::Large, None));
        }
        let span = Span::decode(body.clone()).map_err(unreadable)?;
        self.stored(span, body).map_err(|reason| (reason, None))
    }

    fn stored(&mut self, span: Span, body: Bytes) -> Result<StoredSpan, Reason> {
        let parent_id = match &span.parent_span_id[..] {
            [] => None,
            given => Some(<[u8; 8]>::try_from(given).map_err(|_| Reason::Ids)?),
        };
        let within =
            span.events.iter().map(|event| &event.attributes).chain(span.links.iter().map(|link| &link.attributes));
        if within.chain([&span.attributes]).any(|attributes| is_deep(attributes)) {
            return Err(Reason::Deep);
        }
        Ok(StoredSpan {
            trace_id: id(&span.trace_id)?,
            span_id: id(&span.span_id)?,
            // Zeros are what some languages have for "none".
            parent_id: parent_id.filter(|id| *id != [0; 8]),
            name: span.name,
            start: i64::try_from(span.start_time_unix_nano).unwrap_or(i64::MAX),
            end: i64::try_from(span.end_time_unix_nano).unwrap_or(i64::MAX),
            origin: self.origin()?,
            body,
        })
    }

    fn origin(&mut self) -> Result<Arc<SpanOrigin>, Reason> {
        let (Some(resource), Some(scope)) = (&self.resource, &mut self.scope) else { return Err(Reason::Origin) };
        if let Some(origin) = &scope.origin {
            return Ok(Arc::clone(origin));
        }
        let parts = [&resource.resource, &resource.schema_url, &scope.scope, &scope.schema_url];
        let size = parts.iter().map(|part| part.len()).sum::<usize>();
        if size > MAX_ORIGIN || self.origins + size > MAX_ORIGINS {
            return Err(Reason::Origin);
        }
        self.origins += size;
        let digest = digest([&resource.digest[..], &scope.scope, &scope.schema_url]);
        let mut part = Vec::new();
        put_part(&mut part, &begin_scope(&scope.scope, &scope.schema_url));
        let body = Bytes::from(resource_spans(&resource.resource, &part, &resource.schema_url));
        let read = ResourceSpans::decode(body.clone()).map_err(|error| unreadable(error).0)?;
        let scopes = read.scope_spans.iter().filter_map(|spans| spans.scope.as_ref()).map(|scope| &scope.attributes);
        if scopes.chain(read.resource.as_ref().map(|resource| &resource.attributes)).any(|common| is_deep(common)) {
            return Err(Reason::Deep);
        }
        let origin = SpanOrigin { digest, body };
        Ok(Arc::clone(scope.origin.insert(Arc::new(origin))))
    }
}

/// What cannot be decoded, or is nested deeper than the decoder goes.
fn unreadable(error: prost::DecodeError) -> (Reason, Option<prost::DecodeError>) {
    let is_deep = error.to_string().contains("recursion limit");
    (if is_deep { Reason::Deep } else { Reason::Unreadable }, Some(error))
}

fn is_deep(attributes: &[KeyValue]) -> bool {
    attributes.iter().any(|pair| pair.value.as_ref().is_some_and(|value| is_deeper(value, MAX_DEPTH)))
}

fn is_deeper(value: &AnyValue, depth: usize) -> bool {
    match &value.value {
        Some(Value::ArrayValue(items)) => depth == 0 || items.values.iter().any(|item| is_deeper(item, depth - 1)),
        Some(Value::KvlistValue(pairs)) => {
            let mut values = pairs.values.iter().filter_map(|pair| pair.value.as_ref());
            depth == 0 || values.any(|value| is_deeper(value, depth - 1))
        }
        _ => false,
    }
}

/// An id of the right length that is not zero.
fn id<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Reason> {
    <[u8; N]>::try_from(bytes).ok().filter(|id| *id != [0; N]).ok_or(Reason::Ids)
}

/// A digest of some parts that no other parts have.
fn digest<const N: usize>(parts: [&[u8]; N]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Adds a field that has a length.
fn put(to: &mut Vec<u8>, number: u32, value: &[u8]) {
    Tag::new(number, WireType::LengthDelimited).encode(to);
    encoding::encode_varint(value.len() as u64, to);
    to.extend_from_slice(value);
}

fn put_unless_empty(to: &mut Vec<u8>, number: u32, value: &[u8]) {
    if !value.is_empty() {
        put(to, number, value);
    }
}

/// The beginning of a `ScopeSpans`, to which spans are added as parts: fields of a message come in any order.
pub(super) fn begin_scope(scope: &[u8], schema_url: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(scope.len() + schema_url.len() + 16);
    put_unless_empty(&mut message, COMMON, scope);
    put_unless_empty(&mut message, SCHEMA_URL, schema_url);
    message
}

/// Adds a span to a `ScopeSpans`, or one of these to a `ResourceSpans`.
pub(super) fn put_part(to: &mut Vec<u8>, part: &[u8]) {
    put(to, PARTS, part);
}

/// A `ResourceSpans` with parts that have been put together.
fn resource_spans(resource: &[u8], parts: &[u8], schema_url: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(resource.len() + parts.len() + schema_url.len() + 24);
    put_unless_empty(&mut message, COMMON, resource);
    message.extend_from_slice(parts);
    put_unless_empty(&mut message, SCHEMA_URL, schema_url);
    message
}

/// Adds a `ResourceSpans` to a request.
pub(super) fn put_resource_spans(request: &mut Vec<u8>, resource: &[u8], parts: &[u8], schema_url: &[u8]) {
    put(request, RESOURCE_SPANS, &resource_spans(resource, parts, schema_url));
}

/// An OTLP request of stored spans: those that follow each other and have one origin share it.
pub(super) fn request_of<'a>(spans: impl Iterator<Item = &'a StoredSpan>) -> Vec<u8> {
    let mut request = Vec::new();
    let mut spans = spans.peekable();
    while let Some(first) = spans.next() {
        let origin = Fields(first.origin.body.clone());
        let mut scope_spans = origin.last_of(PARTS).to_vec();
        put_part(&mut scope_spans, &first.body);
        while let Some(next) = spans.next_if(|next| next.origin.digest == first.origin.digest) {
            put_part(&mut scope_spans, &next.body);
        }
        let mut parts = Vec::with_capacity(scope_spans.len() + 16);
        put_part(&mut parts, &scope_spans);
        put_resource_spans(&mut request, &origin.last_of(COMMON), &parts, &origin.last_of(SCHEMA_URL));
    }
    request
}
