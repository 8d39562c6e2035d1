//! Spans in OTLP's JSON: proto3's JSON with ids in hexadecimal digits. One table of fields both reads and writes it.
//!
//! Reading is as lenient as proto3 allows: names in either case, `null` for what is not there, numbers of 64 bits as numbers or as
//! texts, fields of a later version left out. Writing is what a strict reader takes.

use std::marker::PhantomData;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq, Serializer};

mod form;
mod scalar;
#[cfg(test)]
mod tests;

use form::{
    Always, Base64, Code, Double, Form, Hex, Integer, Kind, List, Long, Maybe, Reading, Sub, Text, Truth, Writing,
};
pub(crate) use scalar::NOT_HEXADECIMAL;

/// A message with its fields.
pub(crate) trait Message: Default {
    /// True if `null` as an element of a list is one of these that is empty; else it is no element.
    const NULL_IS_EMPTY: bool = false;

    /// Reads the value of a field; false for a field that is not known, whose value is left where it is.
    fn read_field<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error>;

    /// Writes the fields that are there.
    fn write_fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error>;
}

/// The fields of a message: their names in JSON, in the protocol's file if that is another one, in the struct, and how they are written.
macro_rules! message {
    ($message:ty { $($json:literal $(| $proto:literal)? => $field:ident: $form:ty,)* }) => {
        impl Message for $message {
            fn read_field<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
                match key {
                    $($json $(| $proto)? => {
                        self.$field = map.next_value_seed(Reading::<$form>::new())?.unwrap_or_default();
                    })*
                    _ => return Ok(false),
                }
                Ok(true)
            }

            fn write_fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
                $(if !<$form>::is_absent(&self.$field) {
                    map.serialize_entry($json, &Writing::<$form>(&self.$field))?;
                })*
                Ok(())
            }
        }
    };
}

message!(Span {
    "traceId" | "trace_id" => trace_id: Hex,
    "spanId" | "span_id" => span_id: Hex,
    "traceState" | "trace_state" => trace_state: Text,
    "parentSpanId" | "parent_span_id" => parent_span_id: Hex,
    "flags" => flags: Integer<u32>,
    "name" => name: Always<Text>,
    "kind" => kind: Kind,
    "startTimeUnixNano" | "start_time_unix_nano" => start_time_unix_nano: Always<Long<u64>>,
    "endTimeUnixNano" | "end_time_unix_nano" => end_time_unix_nano: Always<Long<u64>>,
    "attributes" => attributes: List<Sub<KeyValue>>,
    "droppedAttributesCount" | "dropped_attributes_count" => dropped_attributes_count: Integer<u32>,
    "events" => events: List<Sub<Event>>,
    "droppedEventsCount" | "dropped_events_count" => dropped_events_count: Integer<u32>,
    "links" => links: List<Sub<Link>>,
    "droppedLinksCount" | "dropped_links_count" => dropped_links_count: Integer<u32>,
    "status" => status: Maybe<Sub<Status>>,
});

message!(Event {
    "timeUnixNano" | "time_unix_nano" => time_unix_nano: Always<Long<u64>>,
    "name" => name: Always<Text>,
    "attributes" => attributes: List<Sub<KeyValue>>,
    "droppedAttributesCount" | "dropped_attributes_count" => dropped_attributes_count: Integer<u32>,
});

message!(Link {
    "traceId" | "trace_id" => trace_id: Hex,
    "spanId" | "span_id" => span_id: Hex,
    "traceState" | "trace_state" => trace_state: Text,
    "attributes" => attributes: List<Sub<KeyValue>>,
    "droppedAttributesCount" | "dropped_attributes_count" => dropped_attributes_count: Integer<u32>,
    "flags" => flags: Integer<u32>,
});

message!(Status {
    "message" => message: Text,
    "code" => code: Code,
});

message!(Resource {
    "attributes" => attributes: List<Sub<KeyValue>>,
    "droppedAttributesCount" | "dropped_attributes_count" => dropped_attributes_count: Integer<u32>,
    "entityRefs" | "entity_refs" => entity_refs: List<Sub<EntityRef>>,
});

message!(EntityRef {
    "schemaUrl" | "schema_url" => schema_url: Text,
    "type" => r#type: Text,
    "idKeys" | "id_keys" => id_keys: List<Text>,
    "descriptionKeys" | "description_keys" => description_keys: List<Text>,
});

message!(InstrumentationScope {
    "name" => name: Text,
    "version" => version: Text,
    "attributes" => attributes: List<Sub<KeyValue>>,
    "droppedAttributesCount" | "dropped_attributes_count" => dropped_attributes_count: Integer<u32>,
});

message!(ResourceSpans {
    "resource" => resource: Maybe<Sub<Resource>>,
    "scopeSpans" | "scope_spans" => scope_spans: List<Sub<ScopeSpans>>,
    "schemaUrl" | "schema_url" => schema_url: Text,
});

message!(ScopeSpans {
    "scope" => scope: Maybe<Sub<InstrumentationScope>>,
    "spans" => spans: List<Sub<Span>>,
    "schemaUrl" | "schema_url" => schema_url: Text,
});

message!(KeyValue {
    "key" => key: Always<Text>,
    "value" => value: Maybe<Sub<AnyValue>>,
    "keyStrindex" | "key_strindex" => key_strindex: Integer<i32>,
});

message!(ArrayValue {
    "values" => values: List<Sub<AnyValue>>,
});

message!(KeyValueList {
    "values" => values: List<Sub<KeyValue>>,
});

impl Message for AnyValue {
    const NULL_IS_EMPTY: bool = true;

    fn read_field<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        let value = match key {
            "stringValue" | "string_value" => map.next_value_seed(Reading::<Text>::new())?.map(Value::StringValue),
            "boolValue" | "bool_value" => map.next_value_seed(Reading::<Truth>::new())?.map(Value::BoolValue),
            "intValue" | "int_value" => map.next_value_seed(Reading::<Long<i64>>::new())?.map(Value::IntValue),
            "doubleValue" | "double_value" => map.next_value_seed(Reading::<Double>::new())?.map(Value::DoubleValue),
            "arrayValue" | "array_value" => map.next_value_seed(Reading::<Sub<_>>::new())?.map(Value::ArrayValue),
            "kvlistValue" | "kvlist_value" => map.next_value_seed(Reading::<Sub<_>>::new())?.map(Value::KvlistValue),
            "bytesValue" | "bytes_value" => map.next_value_seed(Reading::<Base64>::new())?.map(Value::BytesValue),
            "stringValueStrindex" | "string_value_strindex" => {
                map.next_value_seed(Reading::<Integer<i32>>::new())?.map(Value::StringValueStrindex)
            }
            _ => return Ok(false),
        };
        // Of several the last one counts, as in protobuf.
        if value.is_some() {
            self.value = value;
        }
        Ok(true)
    }

    fn write_fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match &self.value {
            None => Ok(()),
            Some(Value::StringValue(text)) => map.serialize_entry("stringValue", text),
            Some(Value::BoolValue(truth)) => map.serialize_entry("boolValue", truth),
            Some(Value::IntValue(number)) => map.serialize_entry("intValue", &Writing::<Long<i64>>(number)),
            Some(Value::DoubleValue(number)) => map.serialize_entry("doubleValue", &Writing::<Double>(number)),
            Some(Value::ArrayValue(items)) => map.serialize_entry("arrayValue", &Writing::<Sub<_>>(items)),
            Some(Value::KvlistValue(pairs)) => map.serialize_entry("kvlistValue", &Writing::<Sub<_>>(pairs)),
            Some(Value::BytesValue(bytes)) => map.serialize_entry("bytesValue", &Writing::<Base64>(bytes)),
            Some(Value::StringValueStrindex(index)) => map.serialize_entry("stringValueStrindex", index),
        }
    }
}

/// Reads a message; none for `null`.
///
/// # Errors
/// What is wrong with the text, and where.
pub(crate) fn read<M: Message>(text: &str) -> Result<Option<M>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let message = Sub::<M>::read(&mut deserializer)?;
    deserializer.end()?;
    Ok(message)
}

/// Writes spans as `TracesData`, which is also an `ExportTraceServiceRequest`.
///
/// # Errors
/// None that a `Vec` has.
pub fn write(resource_spans: &Vec<ResourceSpans>) -> Result<Vec<u8>, serde_json::Error> {
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut text);
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry("resourceSpans", &Writing::<List<Sub<ResourceSpans>>>(resource_spans))?;
    SerializeMap::end(map)?;
    Ok(text)
}
