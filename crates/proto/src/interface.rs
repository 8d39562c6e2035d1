//! Making interfaces, inputs and outputs in the form of stock Flyte (`_internal/runtime/types_serde.py`).

use crate::flyteidl2::{
    core::{KeyValuePair, Literal, LiteralType, TypedInterface, Variable, VariableEntry, VariableMap},
    task::{Inputs, NamedLiteral, Outputs},
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

impl Inputs {
    /// The inputs of an action with their context.
    pub fn new(literals: Vec<NamedLiteral>, context: Vec<KeyValuePair>) -> Self {
        Self { literals, context, ..Self::default() }
    }
}

impl Outputs {
    /// The outputs of an action.
    pub fn new(literals: Vec<NamedLiteral>) -> Self {
        Self { literals, ..Self::default() }
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
