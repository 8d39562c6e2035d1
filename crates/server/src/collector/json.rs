//! OTLP in JSON, made into the protobuf that it stands for, one span at a time.

use std::borrow::Cow;
use std::fmt;

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::decode::{self, MAX_SPAN};
use super::refused::{Reason, Refused};

/// A span is longer in JSON than it is in protobuf.
const MAX_SPAN_TEXT: usize = 4 * MAX_SPAN;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestText<'a> {
    #[serde(borrow, default)]
    resource_spans: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpansText<'a> {
    #[serde(borrow, default)]
    resource: Option<&'a RawValue>,
    #[serde(borrow, default)]
    scope_spans: Option<&'a RawValue>,
    #[serde(borrow, default)]
    schema_url: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScopeSpansText<'a> {
    #[serde(borrow, default)]
    scope: Option<&'a RawValue>,
    #[serde(borrow, default)]
    spans: Option<&'a RawValue>,
    #[serde(borrow, default)]
    schema_url: Option<Cow<'a, str>>,
}

/// The request in protobuf.
///
/// # Errors
/// What is wrong with the text, and where.
pub(super) fn to_protobuf(text: &[u8], refused: &mut Refused) -> Result<Vec<u8>, String> {
    let request: &RawValue = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let request: RequestText<'_> = parse(request)?;
    let mut message = Vec::new();
    each("resourceSpans", request.resource_spans, |resource_spans| {
        let ResourceSpansText { resource, scope_spans, schema_url } = parse(resource_spans)?;
        let resource = encoded::<Resource>("resource", resource)?;
        let mut parts = Vec::new();
        each("scopeSpans", scope_spans, |scope_spans| {
            let ScopeSpansText { scope, spans, schema_url } = parse(scope_spans)?;
            let mut part = decode::begin_scope(
                &encoded::<InstrumentationScope>("scope", scope)?,
                schema_url.unwrap_or_default().as_bytes(),
            );
            each("spans", spans, |span| {
                if span.get().len() > MAX_SPAN_TEXT {
                    refused.add(Reason::Large);
                    return Ok(());
                }
                decode::put_part(&mut part, &parse::<Span>(span)?.encode_to_vec());
                Ok(())
            })?;
            decode::put_part(&mut parts, &part);
            Ok(())
        })?;
        decode::put_resource_spans(&mut message, &resource, &parts, schema_url.unwrap_or_default().as_bytes());
        Ok(())
    })?;
    Ok(message)
}

fn parse<'a, T: Deserialize<'a>>(text: &'a RawValue) -> Result<T, String> {
    // A list of the fields in order would do for serde.
    if text.get().starts_with('[') {
        return Err("invalid type: sequence, expected a map".to_owned());
    }
    serde_json::from_str(text.get()).map_err(|error| error.to_string())
}

/// What spans have in common, in protobuf; nothing if it is not there.
fn encoded<'a, T: Message + Default + Deserialize<'a>>(
    name: &str,
    text: Option<&'a RawValue>,
) -> Result<Vec<u8>, String> {
    match text {
        None => Ok(Vec::new()),
        Some(text) if text.get().len() > MAX_SPAN => Err(format!("{name}: larger than {MAX_SPAN} bytes")),
        Some(text) => {
            parse::<T>(text).map(|message| message.encode_to_vec()).map_err(|error| format!("{name}: {error}"))
        }
    }
}

/// Does something with each element of a list, without a list of them. What goes wrong is said with its place.
fn each<'a>(
    name: &str,
    list: Option<&'a RawValue>,
    work: impl FnMut(&'a RawValue) -> Result<(), String>,
) -> Result<(), String> {
    let Some(list) = list else { return Ok(()) };
    let mut elements = Elements { work, count: 0, failed: None };
    let read = (&mut elements).deserialize(&mut serde_json::Deserializer::from_str(list.get()));
    match (elements.failed, read) {
        (Some(error), _) => Err(format!("{name}[{}]: {error}", elements.count)),
        (None, Err(error)) => Err(format!("{name}: {error}")),
        (None, Ok(())) => Ok(()),
    }
}

struct Elements<F> {
    work: F,
    count: usize,
    failed: Option<String>,
}

impl<'de, F: FnMut(&'de RawValue) -> Result<(), String>> DeserializeSeed<'de> for &mut Elements<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(&'de RawValue) -> Result<(), String>> Visitor<'de> for &mut Elements<F> {
    type Value = ();

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element::<&'de RawValue>()? {
            if let Err(error) = (self.work)(element) {
                self.failed = Some(error);
                return Err(A::Error::custom("stopped"));
            }
            self.count += 1;
        }
        Ok(())
    }
}
