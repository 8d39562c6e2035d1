//! Outputs from files.

use bytes::Bytes;
use serde_json::{Value as Json, json};
use spanwise_proto::Message as _;
use spanwise_proto::flyteidl2::core::{
    Blob, BlobMetadata, BlobType, Literal, LiteralType, Scalar, SimpleType, blob_type::BlobDimensionality,
    literal_type::Type,
};
use spanwise_proto::flyteidl2::task::{NamedLiteral, Outputs};

use super::{ContainerTask, span};
use crate::shown;

/// An output that is looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Its name, which is that of its file.
    pub name: String,
    /// What it is there.
    pub kind: Kind,
    /// Whether it may be missing.
    pub is_optional: bool,
    declared: LiteralType,
}

/// What an output is in the directory of outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: it is always none.
    Nothing,
    /// A file whose text is the value.
    Text,
    /// A file that is the value.
    File,
    /// A directory that is the value.
    Directory,
}

/// A text that is no value of its output.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("output `{name}`: {misfit}")]
pub struct BadOutput {
    name: String,
    misfit: String,
}

impl ContainerTask {
    /// The outputs that are looked for.
    pub fn wanted(&self) -> Vec<Output> {
        let variables = self.interface.outputs.variables.iter();
        let outputs = variables.filter_map(|entry| Output::of(&entry.key, &entry.value.r#type));
        outputs.collect()
    }

    /// An output that no file can hold.
    pub(super) fn unsupported_output(&self) -> Option<String> {
        let variables = self.interface.outputs.variables.iter();
        variables
            .filter(|entry| Output::of(&entry.key, &entry.value.r#type).is_none())
            .map(|entry| entry.key.clone())
            .next()
    }
}

/// What a type is in the directory of outputs; none if it has no form there.
fn kind(declared: &LiteralType) -> Option<Kind> {
    if declared.enum_type.is_set() {
        return Some(Kind::Text);
    }
    if let Some(union) = declared.union_type.as_option() {
        let kinds = union.variants.iter().map(kind).collect::<Option<Vec<Kind>>>()?;
        let mut kinds = kinds.into_iter().filter(|kind| *kind != Kind::Nothing);
        let first = kinds.next().unwrap_or(Kind::Nothing);
        return kinds.all(|kind| kind == first).then_some(first);
    }
    match declared.r#type.as_ref()? {
        Type::Simple(simple) => match simple.as_known()? {
            SimpleType::NONE => Some(Kind::Nothing),
            SimpleType::BINARY | SimpleType::ERROR => None,
            _ => Some(Kind::Text),
        },
        Type::Blob(blob) if blob.dimensionality.as_known() == Some(BlobDimensionality::MULTIPART) => {
            Some(Kind::Directory)
        }
        Type::Blob(_) => Some(Kind::File),
        Type::CollectionType(item) | Type::MapValueType(item) => (kind(item)? == Kind::Text).then_some(Kind::Text),
    }
}

impl Output {
    fn of(name: &str, declared: &LiteralType) -> Option<Output> {
        let union = declared.union_type.as_option();
        let is_optional =
            union.is_some_and(|union| union.variants.iter().any(|variant| kind(variant) == Some(Kind::Nothing)));
        Some(Output { name: name.to_owned(), kind: kind(declared)?, is_optional, declared: declared.clone() })
    }

    /// The value of an output that is missing, or always none.
    pub(super) fn missing(&self) -> Literal {
        match self.declared.union_type.as_option() {
            Some(union) => union
                .variants
                .iter()
                .find(|variant| kind(variant) == Some(Kind::Nothing))
                .map_or_else(Literal::none, |none| Literal::union(Literal::none(), none.clone())),
            None => Literal::none(),
        }
    }
}

/// The outputs that were found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Collected(Vec<NamedLiteral>);

impl Collected {
    /// Adds the value that is written as a text.
    ///
    /// # Errors
    /// [`BadOutput`] says what was expected.
    pub fn text(&mut self, output: &Output, text: &str) -> Result<(), BadOutput> {
        let value = of_text(&output.declared, text);
        let value = value.map_err(|misfit| BadOutput { name: shown(&output.name), misfit })?;
        self.add(output, value);
        Ok(())
    }

    /// Adds the value whose file or directory is stored at a URI.
    pub fn stored(&mut self, output: &Output, uri: &str) {
        self.add(output, stored(&output.declared, uri));
    }

    /// Adds the value of an output that is missing, or always none.
    pub fn missing(&mut self, output: &Output) {
        self.add(output, output.missing());
    }

    fn add(&mut self, output: &Output, value: Literal) {
        self.0.push(NamedLiteral::new(output.name.clone(), value));
    }

    /// `outputs.pb`.
    pub fn encode(self) -> Bytes {
        Bytes::from(Outputs { literals: self.0, ..Outputs::default() }.encode_to_vec())
    }
}

fn of_text(declared: &LiteralType, text: &str) -> Result<Literal, String> {
    if let Some(union) = declared.union_type.as_option() {
        let variants = union.variants.iter().filter(|variant| kind(variant) != Some(Kind::Nothing));
        let mut misfit = String::new();
        for variant in variants {
            match of_text(variant, text) {
                Ok(value) => return Ok(Literal::union(value, variant.clone())),
                Err(other) => misfit = other,
            }
        }
        return Err(misfit);
    }
    let plain = text.trim();
    let expected =
        |what: &str| format!("expected {what}, found {}", shown(&Json::String(plain.to_owned()).to_string()));
    let simple = match &declared.r#type {
        Some(Type::Simple(simple)) => simple.as_known(),
        _ => None,
    };
    let of_json = |json: &Json| Literal::from_json(declared, json).map_err(|misfit| misfit.to_string());
    match simple {
        _ if declared.enum_type.is_set() => of_json(&json!(plain)),
        Some(simple @ (SimpleType::BOOLEAN | SimpleType::INTEGER | SimpleType::FLOAT | SimpleType::STRING)) => {
            Literal::from_text(simple, text).map_err(|misfit| misfit.to_string())
        }
        Some(SimpleType::DATETIME) => of_json(&json!(plain)),
        Some(SimpleType::DURATION) => {
            span::read(plain).ok_or_else(|| expected("a length of time, such as 1.5, 1h30m or 0:01:30"))
        }
        _ => of_json(&serde_json::from_str(plain).map_err(|error| format!("{} ({error})", expected("JSON")))?),
    }
}

fn stored(declared: &LiteralType, uri: &str) -> Literal {
    if let Some(union) = declared.union_type.as_option() {
        let variant = union.variants.iter().find(|variant| matches!(kind(variant), Some(Kind::File | Kind::Directory)));
        return variant.map_or_else(Literal::none, |variant| Literal::union(stored(variant, uri), variant.clone()));
    }
    let kind = match &declared.r#type {
        Some(Type::Blob(blob)) => (**blob).clone(),
        _ => BlobType::default(),
    };
    let metadata = BlobMetadata { r#type: kind.into(), ..BlobMetadata::default() };
    let blob = Blob { metadata: metadata.into(), uri: uri.to_owned(), ..Blob::default() };
    let scalar = Scalar { value: Some(blob.into()), ..Scalar::default() };
    Literal { value: Some(scalar.into()), ..Literal::default() }
}
