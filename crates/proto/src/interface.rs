//! Making `TypedInterface`s and `NamedLiteral`s in the form of stock Flyte (`_internal/runtime/types_serde.py`).

use crate::flyteidl2::{
    core::{Literal, LiteralType, TypedInterface, Variable, VariableEntry, VariableMap},
    task::NamedLiteral,
};

impl TypedInterface {
    /// An interface with its variables in the order of their names. Outputs are named `o0`, `o1`, and so on; a function that
    /// returns nothing has none.
    pub fn new(
        inputs: impl IntoIterator<Item = (impl Into<String>, LiteralType)>,
        outputs: impl IntoIterator<Item = (impl Into<String>, LiteralType)>,
    ) -> Self {
        Self { inputs: variables(inputs).into(), outputs: variables(outputs).into(), ..Self::default() }
    }
}

impl NamedLiteral {
    /// An input or output. The inputs of a call stand in the order in which the function declares them.
    pub fn new(name: impl Into<String>, value: Literal) -> Self {
        Self { name: name.into(), value: value.into(), ..Self::default() }
    }
}

fn variables(types: impl IntoIterator<Item = (impl Into<String>, LiteralType)>) -> VariableMap {
    let mut variables: Vec<_> =
        types.into_iter().map(|(name, literal_type)| variable(name.into(), literal_type)).collect();
    variables.sort_by(|a, b| a.key.cmp(&b.key));
    VariableMap { variables, ..VariableMap::default() }
}

fn variable(key: String, literal_type: LiteralType) -> VariableEntry {
    let variable = Variable { r#type: literal_type.into(), ..Variable::default() };
    VariableEntry { key, value: variable.into(), ..VariableEntry::default() }
}
