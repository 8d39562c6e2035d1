//! Inputs as files, and in the place of placeholders.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value as Json, json};
use spanwise_proto::Message as _;
use spanwise_proto::flyteidl2::core::{
    Binary, Blob, Literal, LiteralMap, blob_type::BlobDimensionality, literal, scalar,
};

use super::{ContainerTask, Format, is_file_name, span};
use crate::{TaskInputs, shown};

/// What is below the directory of inputs.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A directory.
    Directory(String),
    /// A file with this content.
    File(String, Vec<u8>),
    /// What is stored under a name elsewhere: a file, or with `is_directory` all that is below it.
    Stored {
        /// Where it is to be, from the directory of inputs.
        path: String,
        /// Where it is stored.
        uri: String,
        /// Whether it is a directory.
        is_directory: bool,
    },
}

/// An input that no file can stand for, or that is asked for and is not there.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadInput {
    /// Its type has no form in a file.
    #[error("input `{0}` is of a type that no file can hold")]
    NoForm(String),
    /// A placeholder names an input that the task does not have.
    #[error("the command asks for input `{0}`, which the task does not have")]
    Unknown(String),
    /// Its name, or the name of something in it, leads elsewhere.
    #[error("`{0}` cannot be the name of a file")]
    Name(String),
}

/// What collects the entries.
struct Entries<'a> {
    task: &'a ContainerTask,
    entries: Vec<Entry>,
}

impl ContainerTask {
    /// What is below the directory of inputs.
    ///
    /// # Errors
    /// [`BadInput`] names the input.
    pub fn entries(&self, inputs: &TaskInputs) -> Result<Vec<Entry>, BadInput> {
        let mut found = Entries { task: self, entries: Vec::new() };
        let (mut all, mut map) = (Vec::new(), BTreeMap::new());
        for named in &inputs.values().literals {
            let name = &named.name;
            if !is_file_name(name) {
                return Err(BadInput::Name(shown(name)));
            }
            let staged = found.take(name, name, &named.value)?;
            all.push((name.clone(), in_json(&staged)));
            map.insert(name.clone(), staged);
        }
        let packed = LiteralMap { literals: map, ..LiteralMap::default() }.encode_to_vec();
        found.entries.push(Entry::File("inputs.pb".to_owned(), packed));
        match self.format {
            Format::Proto => {}
            Format::Json => {
                let all: serde_json::Map<String, Json> = all.into_iter().collect();
                found.entries.push(Entry::File("inputs.json".to_owned(), Json::Object(all).to_string().into_bytes()));
            }
            Format::Yaml => {
                // What JSON is, YAML is too.
                let line = |(name, value): (String, Json)| format!("{}: {value}\n", Json::String(name));
                let lines: String = all.into_iter().map(line).collect();
                let lines = if lines.is_empty() { "{}\n".to_owned() } else { lines };
                found.entries.push(Entry::File("inputs.yaml".to_owned(), lines.into_bytes()));
            }
        }
        Ok(found.entries)
    }

    /// Words with inputs in the place of `{{.inputs.name}}`.
    ///
    /// # Errors
    /// [`BadInput::Unknown`] for an input that is not there.
    pub fn filled(&self, words: &[String], inputs: &TaskInputs) -> Result<Vec<String>, BadInput> {
        words.iter().map(|word| fill(word, inputs)).collect()
    }
}

impl Entries<'_> {
    /// Adds what stands for a value, and returns the value as it is in the container: what is stored elsewhere has its path there.
    fn take(&mut self, input: &str, path: &str, value: &Literal) -> Result<Literal, BadInput> {
        if let Some((inner, kind)) = value.as_union() {
            return Ok(Literal::union(self.take(input, path, inner)?, kind.clone()));
        }
        if let Some(blob) = blob(value) {
            return self.take_blob(path, blob, None);
        }
        if let Some(items) = value.as_list() {
            self.entries.push(Entry::Directory(path.to_owned()));
            let mut names = HashSet::new();
            let each = |(index, item): (usize, &Literal)| match blob(item).filter(|blob| self.is_named(blob)) {
                Some(blob) => self.take_blob(path, blob, Some((index, &mut names))),
                None => self.take(input, &format!("{path}/{index}"), item),
            };
            return Ok(Literal::list(items.iter().enumerate().map(each).collect::<Result<_, _>>()?));
        }
        if let Some(entries) = value.as_map() {
            self.entries.push(Entry::Directory(path.to_owned()));
            let each = |(key, entry): (&String, &Literal)| {
                if !is_file_name(key) {
                    return Err(BadInput::Name(shown(key)));
                }
                Ok((key.clone(), self.take(input, &format!("{path}/{key}"), entry)?))
            };
            return Ok(Literal::map(entries.iter().map(each).collect::<Result<_, _>>()?));
        }
        let content = content(value).ok_or_else(|| BadInput::NoForm(shown(input)))?;
        self.entries.push(Entry::File(path.to_owned(), content));
        Ok(value.clone())
    }

    fn is_named(&self, blob: &Blob) -> bool {
        self.task.is_named && !is_directory(blob)
    }

    /// A file or a directory that is stored elsewhere. `among` says which one it is of several in one directory, and which names are taken there.
    fn take_blob(
        &mut self,
        path: &str,
        blob: &Blob,
        among: Option<(usize, &mut HashSet<String>)>,
    ) -> Result<Literal, BadInput> {
        let path = if !self.is_named(blob) {
            path.to_owned()
        } else {
            let is_alone = among.is_none();
            let (index, mut own) = (among.as_ref().map_or(0, |(index, _)| *index), HashSet::new());
            let names = among.map_or(&mut own, |(_, names)| names);
            if is_alone {
                self.entries.push(Entry::Directory(path.to_owned()));
            }
            format!("{path}/{}", own_name(blob, index, names))
        };
        let (uri, is_directory) = (blob.uri.clone(), is_directory(blob));
        let there = format!("{}/{path}", self.task.inputs.trim_end_matches('/'));
        self.entries.push(Entry::Stored { path, uri, is_directory });
        let blob = Blob { uri: there, ..blob.clone() };
        let scalar = spanwise_proto::flyteidl2::core::Scalar { value: Some(blob.into()), ..Default::default() };
        Ok(Literal { value: Some(scalar.into()), ..Literal::default() })
    }
}

/// The name that a file has where it is stored; one that is taken already has a number before it.
fn own_name(blob: &Blob, index: usize, taken: &mut HashSet<String>) -> String {
    let last = blob.uri.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let base = if is_file_name(last) { last.to_owned() } else { index.to_string() };
    let mut name = base.clone();
    let mut number = 1;
    while !taken.insert(name.clone()) {
        name = format!("{number}_{base}");
        number += 1;
    }
    name
}

/// What is stored elsewhere.
fn blob(value: &Literal) -> Option<&Blob> {
    match value.value.as_ref()? {
        literal::Value::Scalar(scalar) => match scalar.value.as_ref()? {
            scalar::Value::Blob(blob) => Some(blob),
            _ => None,
        },
        _ => None,
    }
}

fn is_directory(blob: &Blob) -> bool {
    blob.metadata.r#type.dimensionality.as_known() == Some(BlobDimensionality::MULTIPART)
}

fn in_json(value: &Literal) -> Json {
    match value.as_duration() {
        Some((seconds, nanos)) => json!(span::text(seconds, nanos)),
        None => value.to_json(),
    }
}

/// The content of the file that stands for a value; none if it has no form there.
fn content(value: &Literal) -> Option<Vec<u8>> {
    if let Some(bytes) = value.as_bytes() {
        return Some(bytes.to_vec());
    }
    match value.value.as_ref() {
        Some(literal::Value::Scalar(scalar)) => match scalar.value.as_ref() {
            Some(scalar::Value::Binary(binary)) if value.as_msgpack().is_none() => Some(raw(binary)),
            Some(scalar::Value::StructuredDataset(_)) => None,
            _ => Some(text(value).into_bytes()),
        },
        _ => Some(text(value).into_bytes()),
    }
}

fn raw(binary: &Binary) -> Vec<u8> {
    binary.value.clone()
}

/// A value as a word.
fn text(value: &Literal) -> String {
    if let Some((inner, _)) = value.as_union() {
        return text(inner);
    }
    if let Some(blob) = blob(value) {
        return blob.uri.clone();
    }
    if let Some((seconds, nanos)) = value.as_duration() {
        return span::text(seconds, nanos);
    }
    match value.to_json() {
        Json::Null => String::new(),
        Json::String(text) => text,
        // Without the fraction of a whole number, as Flyte's own backend writes it.
        Json::Number(number) if number.is_f64() => number.as_f64().map(|number| number.to_string()).unwrap_or_default(),
        other => other.to_string(),
    }
}

fn fill(word: &str, inputs: &TaskInputs) -> Result<String, BadInput> {
    let mut filled = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(start) = rest.find("{{") {
        let (before, tail) = rest.split_at(start);
        filled.push_str(before);
        let Some(end) = tail.find("}}") else {
            rest = tail;
            break;
        };
        match input_of(&tail[2..end]) {
            Some(name) => {
                let named = inputs.values().literals.iter().find(|literal| literal.name == name);
                let named = named.ok_or_else(|| BadInput::Unknown(shown(name)))?;
                filled.push_str(&text(&named.value));
            }
            None => filled.push_str(&tail[..end + 2]),
        }
        rest = &tail[end + 2..];
    }
    filled.push_str(rest);
    Ok(filled)
}

/// The input that a placeholder names, between its braces.
fn input_of(inner: &str) -> Option<&str> {
    let inner = inner.trim().strip_prefix(['.', '$'])?;
    let (word, name) = inner.split_once('.')?;
    (word.eq_ignore_ascii_case("inputs") && !name.is_empty() && !name.contains(char::is_whitespace)).then_some(name)
}
