//! Conditions of a run that wait for somebody's answer.

use serde_json::{Value as Json, json};
use spanwise::Phase;
use spanwise_proto::flyteidl2::common::{Filter, ListRequest, filter};
use spanwise_proto::flyteidl2::core::{LiteralType, SimpleType, literal_type};
use spanwise_proto::flyteidl2::workflow::{
    Action, ActionType, ConditionAction, GetActionDetailsRequest, ListActionsRequest, action_details, action_metadata,
};

use super::{Server, Target, explain, known_phase};

/// As many as one answer has.
const PAGE: u32 = 1000;

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
    run: &str,
    in_phase: Option<Phase>,
) -> anyhow::Result<Vec<Action>> {
    let equal = |field: &str, value: String| Filter {
        function: filter::Function::EQUAL.into(),
        field: field.to_owned(),
        values: vec![value],
        ..Filter::default()
    };
    let of_kind = equal("action_type", (ActionType::ACTION_TYPE_CONDITION as i32).to_string());
    let filters = [Some(of_kind), in_phase.map(|phase| equal("phase", phase.to_string()))];
    let filters: Vec<Filter> = filters.into_iter().flatten().collect();
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let page = ListRequest { limit: PAGE, token, filters: filters.clone(), ..ListRequest::default() };
        let request = ListActionsRequest {
            request: page.into(),
            run_id: target.run(run).into(),
            ..ListActionsRequest::default()
        };
        let answer = server.runs().list_actions(request).await.map_err(|error| explain(target, error))?.into_owned();
        found.extend(answer.actions);
        token = answer.token;
        if token.is_empty() {
            return Ok(found);
        }
    }
}

/// What the waiting conditions of a run ask.
pub(super) async fn questions(server: &Server, target: &Target, run: &str) -> anyhow::Result<Vec<Question>> {
    let mut questions = Vec::new();
    for action in conditions(server, target, run, Some(Phase::Paused)).await? {
        let request = GetActionDetailsRequest { action_id: action.id.clone(), ..GetActionDetailsRequest::default() };
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
