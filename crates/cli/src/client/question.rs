//! Conditions of a run that wait for somebody's answer.

use serde_json::{Value as Json, json};
use spanwise::Phase;
use spanwise_proto::flyteidl2::core::{LiteralType, SimpleType, literal_type};
use spanwise_proto::flyteidl2::workflow::{Action, ConditionAction, action_details, action_metadata};
use spanwise_wire::requests::{self, lists::Only};
use spanwise_wire::{RunId, action_name};

use super::actions::listed;
use super::{Server, Target, explain, known_phase};

/// A condition, and what it asks.
pub(super) struct Question {
    /// The name of its action.
    action: String,
    condition: ConditionAction,
}

/// The simple type that a condition waits for.
pub(super) fn simple(kind: &LiteralType) -> Option<SimpleType> {
    match &kind.r#type {
        Some(literal_type::Type::Simple(simple)) => simple.as_known(),
        _ => None,
    }
}

/// A type in Python's words.
pub(super) fn word(simple: Option<SimpleType>) -> &'static str {
    match simple {
        Some(SimpleType::BOOLEAN) => "bool",
        Some(SimpleType::INTEGER) => "int",
        Some(SimpleType::FLOAT) => "float",
        Some(SimpleType::STRING) => "str",
        _ => "value",
    }
}

impl Question {
    fn kind(&self) -> &'static str {
        word(simple(&self.condition.r#type))
    }

    pub(super) fn described(&self) -> Json {
        json!({
            "action": self.action,
            "condition": self.condition.name,
            "type": self.kind(),
            "prompt": self.condition.prompt,
            "description": self.condition.description,
        })
    }

    /// For people, with what to type.
    pub(super) fn said(&self, run: &str) -> String {
        let ConditionAction { name, prompt, description, .. } = &self.condition;
        let mut lines = vec![format!("waiting for you: {name} ({})", self.kind())];
        lines.extend(
            [prompt, description].into_iter().filter(|text| !text.trim().is_empty()).map(|text| format!("  {text}")),
        );
        let example = match self.kind() {
            "bool" => "true",
            "int" => "1",
            "float" => "1.5",
            _ => "TEXT",
        };
        lines.push(format!("  answer it with: spanwise signal {run} {} {example}", self.action));
        lines.join("\n")
    }
}

/// The conditions of a run, of all phases or of one, in the order in which they were made.
pub(super) async fn conditions(
    server: &Server,
    target: &Target,
    run: &RunId,
    in_phase: Option<Phase>,
) -> anyhow::Result<Vec<Action>> {
    let only: Vec<Only> = std::iter::once(Only::Conditions).chain(in_phase.map(Only::In)).collect();
    listed(server, target, run, &only).await
}

/// What the waiting conditions of a run ask.
pub(super) async fn questions(server: &Server, target: &Target, run: &RunId) -> anyhow::Result<Vec<Question>> {
    let mut questions = Vec::new();
    for action in conditions(server, target, run, Some(Phase::Paused)).await? {
        let Ok(name) = action_name(&action.id.name) else { continue };
        let request = requests::action_details(run, &name);
        let details = server.runs().get_action_details(request).await.map_err(|error| explain(target, error))?;
        let details = details.into_owned().details.into_option().unwrap_or_default();
        // One that was answered meanwhile waits no more.
        if known_phase(details.status.phase) == Some(Phase::Paused)
            && let Some(action_details::Spec::Condition(condition)) = details.spec
        {
            questions.push(Question { action: action.id.name.clone(), condition: *condition });
        }
    }
    Ok(questions)
}

/// The name and the type of a condition of a list.
pub(super) fn condition_of(action: &Action) -> (&str, Option<SimpleType>) {
    match &action.metadata.spec {
        Some(action_metadata::Spec::Condition(condition)) => (condition.name.as_str(), simple(&condition.r#type)),
        _ => ("", None),
    }
}
