//! Which fields the messages have by which a caller asks for something: runs, tasks, triggers and images. So that each of them can be
//! found in a message, whoever reads it, and what is not declared here is seen as well.

use std::fmt;

use buffa::DecodeError;
use buffa::encoding::{Tag, WireType, decode_varint, skip_field};

/// A message as its .proto file declares it.
pub struct Declared {
    /// Its full name, such as `flyteidl2.task.RunSpec`.
    pub name: &'static str,
    /// Its fields, by their numbers.
    pub fields: &'static [Field],
}

/// A field of a message.
#[derive(Debug)]
pub struct Field {
    /// Its number on the wire.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
    /// The message that it holds, each of them if it is repeated. None for what is looked at as a whole: scalars, maps, literals, types
    /// and Google's own messages.
    pub message: Option<&'static Declared>,
}

impl fmt::Debug for Declared {
    /// Its name: a message may hold itself.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

/// What a message holds at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A field of these names, from the message down, that is set.
    Declared {
        /// True if it asks for something: a message by being there, all else by a value other than zero, false and the empty text.
        is_set: bool,
    },
    /// A field whose number is not declared.
    Unknown {
        /// The message, by its full name.
        message: &'static str,
        /// The number.
        number: u32,
    },
}

/// How deep messages are looked into; none that is declared here goes deeper but by holding itself.
const MAX_DEPTH: u32 = 32;

/// Visits what a message holds: each field with the path to it (`task_template.metadata.retries`; the path of the message that holds it for
/// an unknown one), those in it after the field itself.
///
/// # Errors
/// [`DecodeError`] if the bytes are no message.
pub fn visit(
    message: &[u8],
    declared: &'static Declared,
    visit: &mut dyn FnMut(&str, Found),
) -> Result<(), DecodeError> {
    let mut path = String::new();
    walk(message, declared, &mut path, visit, MAX_DEPTH)
}

fn walk(
    mut message: &[u8],
    declared: &'static Declared,
    path: &mut String,
    visit: &mut dyn FnMut(&str, Found),
    depth: u32,
) -> Result<(), DecodeError> {
    while !message.is_empty() {
        let tag = Tag::decode(&mut message)?;
        let value = value(tag, &mut message)?;
        let number = tag.field_number();
        let Some(field) = declared.fields.iter().find(|field| field.number == number) else {
            visit(path, Found::Unknown { message: declared.name, number });
            continue;
        };
        let outer = path.len();
        if outer > 0 {
            path.push('.');
        }
        path.push_str(field.name);
        let is_set = field.message.is_some() || value.iter().any(|byte| *byte != 0);
        visit(path, Found::Declared { is_set });
        if let (Some(inner), WireType::LengthDelimited, 1..) = (field.message, tag.wire_type(), depth) {
            walk(value, inner, path, visit, depth - 1)?;
        }
        path.truncate(outer);
    }
    Ok(())
}

/// The bytes of a value, without its length if it has one.
fn value<'a>(tag: Tag, message: &mut &'a [u8]) -> Result<&'a [u8], DecodeError> {
    let whole = *message;
    if tag.wire_type() == WireType::LengthDelimited {
        let length = decode_varint(message)?;
        let length = usize::try_from(length).ok().filter(|length| *length <= message.len());
        let (value, rest) = message.split_at(length.ok_or(DecodeError::UnexpectedEof)?);
        *message = rest;
        return Ok(value);
    }
    skip_field(tag, message)?;
    Ok(&whole[..whole.len() - message.len()])
}

include!("generated/fields/tree.rs");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message as _;
    use crate::flyteidl2::core::TaskTemplate;
    use crate::flyteidl2::task::TaskSpec;

    fn seen(message: &[u8]) -> Vec<(String, Found)> {
        let mut seen = Vec::new();
        visit(message, &TASK_TASK_SPEC, &mut |path, found| seen.push((path.to_owned(), found))).unwrap();
        seen
    }

    #[test]
    fn what_is_set_is_found_by_its_path_and_what_is_not_declared_by_its_number() {
        let mut template = TaskTemplate { r#type: "python".to_owned(), ..TaskTemplate::default() };
        template.metadata.get_or_insert_default().discoverable = true;
        let mut bytes = TaskSpec { task_template: template.into(), ..TaskSpec::default() }.encode_to_vec();
        // A field of a later version, of each wire type; and one that is there and says nothing.
        bytes.extend([0xF8, 0x06, 1, 0xFA, 0x06, 1, b'x', 0xFD, 0x06, 0, 0, 0, 0, 0xF9, 0x06, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend([0x1A, 0]);
        let is_set = |is_set| Found::Declared { is_set };
        let unknown = || ("".to_owned(), Found::Unknown { message: "flyteidl2.task.TaskSpec", number: 111 });
        let named = |path: &str, is: bool| (path.to_owned(), is_set(is));
        assert_eq!(
            seen(&bytes),
            [
                named("task_template", true),
                named("task_template.type", true),
                named("task_template.metadata", true),
                named("task_template.metadata.discoverable", true),
                unknown(),
                unknown(),
                unknown(),
                unknown(),
                named("short_name", false),
            ]
        );
    }

    #[test]
    fn bytes_that_are_no_message_are_refused() {
        for bytes in
            [&[0x0A_u8, 5, 0][..], &[0x0A], &[0x80], &[0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]]
        {
            assert!(visit(bytes, &TASK_TASK_SPEC, &mut |_, _| ()).is_err(), "{bytes:?}");
        }
    }
}
