//! OTLP in JSON, made into the protobuf that it stands for, one span at a time.
//!
//! What is around the spans must be right, or the request is refused. What is wrong with a span refuses that span, and what is
//! wrong with a resource or a scope refuses the spans that have it, as it is with protobuf.

use std::borrow::Cow;
use std::fmt;

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::decode;
use crate::limits::{MAX_ORIGIN, MAX_SPAN};
use crate::otlp_json::{self, Message, NOT_HEXADECIMAL};
use crate::refused::{Reason, Refused};

/// A span is longer in JSON than it is in protobuf.
const MAX_SPAN_TEXT: usize = 4 * MAX_SPAN;

/// Pieces of a request that are no UTF-8; with more of them it is no text.
const MOST_NO_TEXT: usize = 1000;

/// Half of a character: a text with it is no text, and what is around it still is JSON.
const NO_TEXT: &str = r"\ud800";

/// The request in protobuf.
///
/// # Errors
/// What is wrong with the text, and where.
pub(super) fn to_protobuf(text: &[u8], refused: &mut Refused) -> Result<Vec<u8>, String> {
    let text = as_text(text)?;
    let request: &RawValue = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let [list] = fields(request, [["resourceSpans", "resource_spans"]])?;
    let mut message = Vec::new();
    each("resourceSpans", list, |position, element| {
        let [resource, list, schema_url] =
            fields(element, [["resource"; 2], ["scopeSpans", "scope_spans"], ["schemaUrl", "schema_url"]])?;
        let common =
            encoded::<Resource>("resource", resource).and_then(|resource| Ok((resource, address(schema_url)?)));
        let mut parts = Vec::new();
        each("scopeSpans", list, |inner, element| {
            let position = format!("{position}: {inner}");
            put_scope(&mut parts, element, &position, common.as_ref().err(), refused)
        })?;
        if let Ok((resource, schema_url)) = &common {
            decode::put_resource_spans(&mut message, resource, &parts, schema_url.as_bytes());
        }
        Ok(())
    })?;
    Ok(message)
}

/// Adds what one scope has made, or refuses all of it because of its resource or itself.
fn put_scope(
    parts: &mut Vec<u8>,
    element: &RawValue,
    position: &str,
    unusable: Option<&Unusable>,
    refused: &mut Refused,
) -> Result<(), String> {
    let [scope, list, schema_url] = fields(element, [["scope"; 2], ["spans"; 2], ["schemaUrl", "schema_url"]])?;
    let common = match unusable {
        Some(unusable) => Err(unusable.clone()),
        None => encoded::<InstrumentationScope>("scope", scope).and_then(|scope| Ok((scope, address(schema_url)?))),
    };
    let mut part = match &common {
        Ok((scope, schema_url)) => decode::begin_scope(scope, schema_url.as_bytes()),
        Err(_) => Vec::new(),
    };
    each("spans", list, |inner, span| {
        let span = match &common {
            _ if span.get() == "null" => Ok(None),
            Ok(_) => encoded_span(span),
            Err(unusable) => Err(unusable.clone()),
        };
        match span {
            Ok(Some(span)) => decode::put_part(&mut part, &span),
            // No element is nothing that could be refused.
            Ok(None) => {}
            Err(Unusable { reason, why }) => refused.add_for(reason, || format!("{position}: {inner}: {why}")),
        }
        Ok(())
    })?;
    if common.is_ok() {
        decode::put_part(parts, &part);
    }
    Ok(())
}

/// Why a part of a request is not used.
#[derive(Clone, Debug)]
struct Unusable {
    reason: Reason,
    why: String,
}

impl Unusable {
    fn of(error: &serde_json::Error) -> Unusable {
        let why = error.to_string();
        let reason = match &why {
            why if why.contains("recursion limit") => Reason::Deep,
            why if why.contains(NOT_HEXADECIMAL) => Reason::Ids,
            _ => Reason::Unreadable,
        };
        Unusable { reason, why }
    }

    fn at(self, name: &str) -> Unusable {
        Unusable { why: format!("{name}: {}", self.why), ..self }
    }
}

fn encoded_span(text: &RawValue) -> Result<Option<Vec<u8>>, Unusable> {
    if text.get().len() > MAX_SPAN_TEXT {
        return Err(Unusable { reason: Reason::Large, why: format!("{} bytes of JSON", text.get().len()) });
    }
    let span = otlp_json::read::<Span>(text.get()).map_err(|error| Unusable::of(&error))?;
    Ok(span.map(|span| prost::Message::encode_to_vec(&span)))
}

/// What spans have in common, in protobuf; nothing if it is not there.
fn encoded<M: Message + prost::Message>(name: &str, text: Option<&RawValue>) -> Result<Vec<u8>, Unusable> {
    let Some(text) = text else { return Ok(Vec::new()) };
    if text.get().len() > 4 * MAX_ORIGIN {
        return Err(Unusable { reason: Reason::Origin, why: format!("{name}: {} bytes of JSON", text.get().len()) });
    }
    let message = otlp_json::read::<M>(text.get()).map_err(|error| Unusable::of(&error).at(name))?;
    Ok(message.map(|message| message.encode_to_vec()).unwrap_or_default())
}

/// The address of a schema.
fn address(text: Option<&RawValue>) -> Result<Cow<'_, str>, Unusable> {
    let read = text.map_or(Ok(None), |text| serde_json::from_str::<Option<Name<'_>>>(text.get()));
    let read = read.map_err(|error| Unusable::of(&error).at("schemaUrl"))?;
    Ok(read.map(|name| name.0).unwrap_or_default())
}

/// A request as a text. What is no UTF-8 is refused with the span that has it, as it is with protobuf.
fn as_text(bytes: &[u8]) -> Result<Cow<'_, str>, String> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(text.into());
    }
    let mut text = String::with_capacity(bytes.len() + MOST_NO_TEXT * NO_TEXT.len());
    for (number, chunk) in bytes.utf8_chunks().enumerate() {
        if number > MOST_NO_TEXT {
            return Err("the request is not in UTF-8".to_owned());
        }
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push_str(NO_TEXT);
        }
    }
    Ok(text.into())
}

/// The values of an object's fields, each with its two names; `null` is not there. Of a field that is there twice, the last one counts.
fn fields<'a, const N: usize>(
    object: &'a RawValue,
    names: [[&str; 2]; N],
) -> Result<[Option<&'a RawValue>; N], String> {
    let read = serde_json::Deserializer::from_str(object.get()).deserialize_any(FieldsVisitor { names });
    let found = read.map_err(|error| error.to_string())?;
    Ok(found.map(|value: Option<&RawValue>| value.filter(|value| value.get() != "null")))
}

struct FieldsVisitor<'n, const N: usize> {
    names: [[&'n str; 2]; N],
}

impl<'de, const N: usize> Visitor<'de> for FieldsVisitor<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("an object")
    }

    /// `null` in the place of an object.
    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        Ok([None; N])
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(Name(key)) = map.next_key()? {
            match self.names.iter().position(|names| names.contains(&&*key)) {
                Some(position) => found[position] = Some(map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

/// A text, borrowed where that can be.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Does something with each element of a list and its place, without a list of them. What goes wrong is said with its place.
fn each<'a>(
    name: &str,
    list: Option<&'a RawValue>,
    work: impl FnMut(Position<'_>, &'a RawValue) -> Result<(), String>,
) -> Result<(), String> {
    let Some(list) = list else { return Ok(()) };
    let mut elements = Elements { name, work, count: 0, failed: None };
    let read = (&mut elements).deserialize(&mut serde_json::Deserializer::from_str(list.get()));
    match (elements.failed, read) {
        (Some(error), _) => Err(format!("{name}[{}]: {error}", elements.count)),
        (None, Err(error)) => Err(format!("{name}: {error}")),
        (None, Ok(())) => Ok(()),
    }
}

/// An element of a list.
#[derive(Clone, Copy)]
struct Position<'n>(&'n str, usize);

impl fmt::Display for Position<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.0, self.1)
    }
}

struct Elements<'n, F> {
    name: &'n str,
    work: F,
    count: usize,
    failed: Option<String>,
}

impl<'de, F: FnMut(Position<'_>, &'de RawValue) -> Result<(), String>> DeserializeSeed<'de> for &mut Elements<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(Position<'_>, &'de RawValue) -> Result<(), String>> Visitor<'de> for &mut Elements<'_, F> {
    type Value = ();

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element::<&'de RawValue>()? {
            if let Err(error) = (self.work)(Position(self.name, self.count), element) {
                self.failed = Some(error);
                return Err(A::Error::custom("stopped"));
            }
            self.count += 1;
        }
        Ok(())
    }
}
