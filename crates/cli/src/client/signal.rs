//! `spanwise signal`: answering a condition that waits.

use anyhow::bail;
use spanwise::Phase;
use spanwise_proto::flyteidl2::core::Literal;
use spanwise_proto::flyteidl2::workflow::Action;
use spanwise_wire::requests;

use super::question::{condition_of, conditions, word};
use super::{Ended, TargetOptions, explain, known_phase, phase, say};
use crate::misuse::Misuse;

/// Answer a condition that waits: give it a value of its type.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: TargetOptions,
    /// The run.
    run: String,
    /// The condition: its own name, or that of its action.
    condition: String,
    /// The value: true or false, a whole number, a number or a text, as the condition asks for.
    #[arg(allow_hyphen_values = true)]
    value: String,
    /// Who answers; it is kept with the run [default: the user of this machine].
    #[arg(long)]
    by: Option<String>,
}

/// Answers. A condition that waits no more stays as it is.
pub(crate) async fn run(options: Options) -> anyhow::Result<u8> {
    let Options { target, run, condition, value, by } = options;
    let target = target.resolve()?;
    let (server, id) = (target.server()?, target.run(&run)?);
    // Those that wait are few, however many a run has had.
    let waiting = conditions(&server, &target, &id, Some(Phase::Paused)).await?;
    let found = match waiting.iter().any(|action| is_meant(action, &condition)) {
        true => one_of(&run, &condition, waiting)?,
        false => one_of(&run, &condition, conditions(&server, &target, &id, None).await?)?,
    };
    let (name, simple) = condition_of(&found);
    if known_phase(found.status.phase) != Some(Phase::Paused) {
        let now = phase(found.status.phase);
        return Err(Ended(format!("condition `{name}` of {run} waits no more: it has ended already ({now})")).into());
    }
    let kind = word(simple);
    let literal = Literal::from_text(simple.unwrap_or_default(), &value)
        .map_err(|misfit| Misuse(format!("condition `{name}` waits for a {kind}: {misfit}")))?;
    let given = literal.to_json();
    let (action, parent) = (super::action(&found.id.name)?, super::action(&found.metadata.parent)?);
    let by = by.unwrap_or_else(user);
    let request = requests::signal(&id, &action, &parent, &by, literal);
    server.actions().signal(request).await.map_err(|error| match error.code {
        connectrpc::ErrorCode::FailedPrecondition => Ended(error.message.unwrap_or_default()).into(),
        _ => explain(&target, error),
    })?;
    say(format!("answered {run} {name} ({}) with {given}", found.id.name))?;
    Ok(0)
}

fn user() -> String {
    std::env::var("USER").ok().filter(|user| !user.is_empty()).unwrap_or_else(|| "user".to_owned())
}

fn is_meant(action: &Action, condition: &str) -> bool {
    action.id.name == condition || condition_of(action).0 == condition
}

/// The condition that is meant: the action of this name, else the one of this name that waits, else one that has.
fn one_of(run: &str, condition: &str, all: Vec<Action>) -> anyhow::Result<Action> {
    if let Some(action) = all.iter().find(|action| action.id.name == condition) {
        return Ok(action.clone());
    }
    let named: Vec<&Action> = all.iter().filter(|action| condition_of(action).0 == condition).collect();
    let waiting: Vec<&Action> =
        named.iter().copied().filter(|action| known_phase(action.status.phase) == Some(Phase::Paused)).collect();
    match (&waiting[..], named.last()) {
        ([only], _) => Ok((*only).clone()),
        ([], Some(ended)) => Ok((*ended).clone()),
        ([], None) if all.is_empty() => bail!("run {run} has no condition"),
        ([], None) => {
            let names: Vec<String> = all
                .iter()
                .map(|action| format!("{} ({})", condition_of(action).0, phase(action.status.phase)))
                .collect();
            bail!("run {run} has no condition `{condition}`; it has {}", names.join(", "))
        }
        (several, _) => {
            let actions: Vec<&str> = several.iter().map(|action| action.id.name.as_str()).collect();
            bail!(
                "{} conditions `{condition}` of {run} wait: name the action, one of {}",
                several.len(),
                actions.join(", ")
            )
        }
    }
}
