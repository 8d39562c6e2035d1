//! Making `LiteralType`s: each constructor gives the bytes that stock Flyte's transformers give for the Python type.
//!
//! The source of the forms is `types/_type_engine.py` unless a constructor names another file.

use serde_json::{Value as Json, json};

use crate::{
    flyteidl2::core::{
        BlobType, EnumType, LiteralType, SimpleType, TypeAnnotation, TypeStructure, UnionType,
        blob_type::BlobDimensionality, literal_type::Type,
    },
    google::protobuf::Struct,
};

/// The tag of the transformer of dataclasses in Flyte.
const DATACLASS_TAG: &str = "Object-Dataclass-Transformer";
/// The tag and the format of Flyte's transformer of pickles.
const PICKLE_TAG: &str = "FlytePickle";
const PICKLE_FORMAT: &str = "PythonPickle";

impl LiteralType {
    /// A Python `int`.
    pub fn integer() -> Self {
        Self::simple(SimpleType::INTEGER)
    }

    /// A Python `float`.
    pub fn float() -> Self {
        Self::simple(SimpleType::FLOAT)
    }

    /// A Python `str`.
    pub fn string() -> Self {
        Self::simple(SimpleType::STRING)
    }

    /// A Python `bool`.
    pub fn boolean() -> Self {
        Self::simple(SimpleType::BOOLEAN)
    }

    /// A Python `datetime` or `date`.
    pub fn datetime() -> Self {
        Self::simple(SimpleType::DATETIME)
    }

    /// A Python `timedelta`.
    pub fn duration() -> Self {
        Self::simple(SimpleType::DURATION)
    }

    /// The type of Python's `None`, and of a function that returns nothing.
    pub fn none() -> Self {
        Self::simple(SimpleType::NONE)
    }

    /// A simple type without a schema.
    pub fn simple(simple: SimpleType) -> Self {
        Self { r#type: Some(Type::Simple(simple.into())), ..Self::default() }
    }

    /// A Python `bytes`: a union of a pickle in a file and a pickle in line (`types/_pickle.py`).
    pub fn bytes() -> Self {
        let file = BlobType {
            format: PICKLE_FORMAT.to_owned(),
            dimensionality: BlobDimensionality::SINGLE.into(),
            ..BlobType::default()
        };
        let file = Self { r#type: Some(file.into()), ..Self::default() };
        let inline = Self::simple(SimpleType::BINARY);
        Self {
            metadata: object(json!({"python_class_name": "<class 'bytes'>"})).into(),
            ..Self::union(vec![file.tagged(PICKLE_TAG), inline.tagged(PICKLE_TAG)])
        }
    }

    /// A Python `list[item]`.
    pub fn list(item: LiteralType) -> Self {
        Self { r#type: Some(Type::CollectionType(Box::new(item))), ..Self::default() }
    }

    /// A Python `dict[str, value]`.
    pub fn map(value: LiteralType) -> Self {
        Self { r#type: Some(Type::MapValueType(Box::new(value))), ..Self::default() }
    }

    /// A Python `enum.Enum` with the names of its members in the order of their declaration.
    pub fn enumeration(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names = EnumType { values: names.into_iter().map(Into::into).collect(), ..EnumType::default() };
        Self { enum_type: names.into(), ..Self::default() }
    }

    /// A union of variants that are tagged already, see [`LiteralType::tagged`].
    pub fn union(variants: Vec<LiteralType>) -> Self {
        let union = UnionType { variants, ..UnionType::default() };
        Self { union_type: union.into(), ..Self::default() }
    }

    /// A Python `Optional[some]`: the union of `some`, tagged with `tag`, and none.
    pub fn optional(some: LiteralType, tag: &str) -> Self {
        Self::union(vec![some.tagged(tag), Self::none().tagged("none")])
    }

    /// This type as the variant of a union: `tag` is the name of its Flyte transformer.
    ///
    /// `int`, `float`, `bool`, `str`, `datetime`, `date`, `timedelta`, `none`, `Typed List`, `Typed Dict` (also untyped),
    /// `DefaultEnumTransformer`, `Object-Dataclass-Transformer`, `Typed Union`, `FlytePickle` (`bytes`). [`LiteralType::default_tag`]
    /// knows them.
    #[must_use]
    pub fn tagged(mut self, tag: impl Into<String>) -> Self {
        let structure = TypeStructure { tag: tag.into(), ..TypeStructure::default() };
        self.structure = structure.into();
        self
    }

    /// The tag that this type has as a variant of a union in stock Flyte, if only one Python type has this form.
    pub fn default_tag(&self) -> Option<&str> {
        if self.structure.is_set() {
            return Some(&self.structure.tag);
        }
        if self.enum_type.is_set() {
            return Some("DefaultEnumTransformer");
        }
        if let Some(union) = self.union_type.as_option() {
            let is_pickle = |variant: &LiteralType| variant.structure.tag == PICKLE_TAG;
            let all_pickles = !union.variants.is_empty() && union.variants.iter().all(is_pickle);
            return Some(if all_pickles { PICKLE_TAG } else { "Typed Union" });
        }
        match self.r#type.as_ref()? {
            Type::Simple(simple) => simple_tag(simple.as_known()?),
            Type::CollectionType(_) => Some("Typed List"),
            Type::MapValueType(_) => Some("Typed Dict"),
            Type::Blob(_) => None,
        }
    }

    /// A dataclass as msgpack with its JSON schema, which consoles make forms of. Stock Flyte's is draft 2020-12 as mashumaro
    /// writes it: `type`, `title` (the name of the class), `properties`, `required` and `additionalProperties`, nested
    /// dataclasses in line.
    pub fn dataclass(schema: Json) -> Self {
        Self { metadata: object(schema).into(), ..Self::untyped_map().tagged(DATACLASS_TAG) }
    }

    /// An untyped `dict`, or one whose keys are no strings, as msgpack.
    pub fn untyped_map() -> Self {
        let annotation = TypeAnnotation {
            annotations: object(json!({
                "cache-key-metadata": {"serialization-format": "msgpack"}
            }))
            .into(),
            ..TypeAnnotation::default()
        };
        Self { annotation: annotation.into(), ..Self::simple(SimpleType::STRUCT) }
    }

    /// The JSON schema of a structure, or whatever else the metadata holds.
    pub fn schema(&self) -> Option<Json> {
        self.metadata.as_option().map(Json::from)
    }
}

fn simple_tag(simple: SimpleType) -> Option<&'static str> {
    Some(match simple {
        SimpleType::INTEGER => "int",
        SimpleType::FLOAT => "float",
        SimpleType::STRING => "str",
        SimpleType::BOOLEAN => "bool",
        SimpleType::DATETIME => "datetime",
        SimpleType::DURATION => "timedelta",
        SimpleType::NONE => "none",
        SimpleType::STRUCT => "Typed Dict",
        SimpleType::BINARY | SimpleType::ERROR => return None,
    })
}

/// A schema is an object; anything else says nothing and becomes an empty one.
fn object(json: Json) -> Struct {
    match json {
        Json::Object(object) => object.into(),
        _ => Struct::default(),
    }
}
