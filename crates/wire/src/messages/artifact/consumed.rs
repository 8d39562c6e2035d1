//! The versions of artifacts that a run is given.

use std::collections::HashSet;

use spanwise_core::Timestamp;
use spanwise_core::artifact::{ArtifactId, ArtifactName, Partition};
use spanwise_proto::flyteidl2::core::{
    ArtifactVersionId, Literal, LiteralType, SimpleType, Union, literal, literal_type, scalar,
};
use spanwise_proto::flyteidl2::task::{ArtifactTrigger, NamedLiteral};

use super::Version;
use crate::task::TaskDefinition;
use crate::{Invalid, TaskInputs, ids, shown};

/// How many versions of a run's inputs are noted.
const MOST: usize = 1000;

/// The versions that inputs say to be, each once: an input as a whole, or an entry of a list.
pub fn consumed(inputs: &TaskInputs) -> Vec<ArtifactId> {
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    let mut open: Vec<&Literal> = inputs.values().literals.iter().rev().map(|literal| &*literal.value).collect();
    while let Some(literal) = open.pop() {
        if let Some(id) = literal.artifact_id.as_option().and_then(version_of)
            && found.len() < MOST
            && seen.insert(id.clone())
        {
            found.push(id);
        }
        match &literal.value {
            Some(literal::Value::Collection(list)) => open.extend(list.literals.iter().rev()),
            Some(literal::Value::Map(map)) => open.extend(map.literals.values()),
            _ => {}
        }
    }
    found
}

/// What is no name of a version names none.
fn version_of(id: &ArtifactVersionId) -> Option<ArtifactId> {
    let key = &id.key;
    let scope = ids::scope(&key.org, &key.project, &key.domain).ok()?;
    let name = ArtifactName { scope, name: key.name.clone() };
    (!key.name.is_empty() && !id.version.is_empty()).then(|| ArtifactId { name, version: id.version.clone() })
}

/// The inputs of a run that a version has started: with the version where the trigger wants it, and parts of its partition.
///
/// # Errors
/// [`Invalid`] names the part that the version does not have.
pub fn triggered(
    trigger: &ArtifactTrigger,
    task: &TaskDefinition,
    mut inputs: TaskInputs,
    (version, partition): (&Version, &Partition),
) -> Result<TaskInputs, Invalid> {
    let interface = &task.message().task_template.interface;
    let variable = |name: &str| interface.inputs.variables.iter().find(|variable| variable.key == name);
    let mut given: Vec<(String, Literal)> = Vec::new();
    if !trigger.input_arg.is_empty() {
        let wanted = variable(&trigger.input_arg).map(|variable| &*variable.value.r#type);
        given.push((trigger.input_arg.clone(), fitting(version, wanted)));
    }
    for (input, key) in &trigger.partition_input_args {
        let wanted = variable(input).map(|variable| &*variable.value.r#type);
        let value = part(partition, key, wanted).ok_or_else(|| {
            Invalid::field(format!(
                "inputs: version `{}` of artifact `{}` has no `{}` in its partition, which `{}` is to be",
                shown(&version.id.version),
                shown(&version.id.name.name),
                shown(key),
                shown(input)
            ))
        })?;
        given.push((input.clone(), value));
    }
    let literals = &mut inputs.values_mut().literals;
    for (name, value) in given {
        match literals.iter_mut().find(|literal| literal.name == name) {
            Some(literal) => literal.value = value.into(),
            None => literals.push(NamedLiteral::new(&name, value)),
        }
    }
    Ok(inputs)
}

/// The value of a version as an input of a type takes it: one that may be several things says which it is.
fn fitting(version: &Version, wanted: Option<&LiteralType>) -> Literal {
    let value = version.value().clone();
    let Some(union) = wanted.and_then(|wanted| wanted.union_type.as_option()) else { return value };
    let own = version.literal_type();
    let kind = |of: &LiteralType| of.r#type.as_ref().map(std::mem::discriminant);
    let mut variants = union.variants.iter();
    let variant = variants.find(|variant| variant.r#type == own.r#type);
    let variant = variant.or_else(|| union.variants.iter().find(|variant| kind(variant) == kind(own)));
    let Some(variant) = variant else { return value };
    let artifact_id = value.artifact_id.clone();
    let union = Union { value: value.into(), r#type: variant.clone().into(), ..Union::default() };
    let scalar = spanwise_proto::flyteidl2::core::Scalar {
        value: Some(scalar::Value::Union(Box::new(union))),
        ..Default::default()
    };
    Literal { value: Some(scalar.into()), artifact_id, ..Literal::default() }
}

/// A part of a partition: a time as a time, or as a text where the task wants one.
fn part(partition: &Partition, key: &str, wanted: Option<&LiteralType>) -> Option<Literal> {
    if let Some(text) = partition.texts.get(key) {
        return Some(Literal::string(text.clone()));
    }
    let time = partition.time.as_ref().filter(|time| time.key == key)?;
    let wants_text = wanted.and_then(|wanted| wanted.r#type.as_ref()).is_some_and(
        |wanted| matches!(wanted, literal_type::Type::Simple(simple) if simple.as_known() == Some(SimpleType::STRING)),
    );
    Some(match wants_text {
        true => Literal::string(spanwise_core::schedule::shown(time.start)),
        false => datetime(time.start),
    })
}

fn datetime(at: Timestamp) -> Literal {
    Literal::datetime(at.0.div_euclid(1_000_000), at.0.rem_euclid(1_000_000) * 1000)
}
