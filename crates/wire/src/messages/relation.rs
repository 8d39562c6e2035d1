//! Where a run comes from.

use spanwise_core::{Relation, RunName, Scope};
use spanwise_proto::flyteidl2::common::{self, RelationType, RunIdentifier};

use crate::{Invalid, ids, shown};

/// The relation of a run of a scope for the wire.
pub fn to_message(scope: &Scope, relation: &Relation) -> common::Relation {
    let (name, kind) = match relation {
        Relation::Spawn { run } => (run, RelationType::RELATION_TYPE_SPAWN),
        Relation::Rerun { run } => (run, RelationType::RELATION_TYPE_RERUN),
        Relation::Recover { run } => (run, RelationType::RELATION_TYPE_RECOVER),
    };
    let related = ids::to_run_identifier(&scope.clone().run(name.clone()));
    common::Relation { related_to: related.into(), relation_type: kind.into(), ..common::Relation::default() }
}

/// The relation that a server tells of; none if it names no run or none of the three.
pub fn of_message(message: &common::Relation) -> Option<Relation> {
    let run = RunName::new(&message.related_to.name).ok()?;
    match message.relation_type.as_known()? {
        RelationType::RELATION_TYPE_SPAWN => Some(Relation::Spawn { run }),
        RelationType::RELATION_TYPE_RERUN => Some(Relation::Rerun { run }),
        RelationType::RELATION_TYPE_RECOVER => Some(Relation::Recover { run }),
        _ => None,
    }
}

/// Where a new run comes from, as its client says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskedRelation {
    /// The relation, as far as it is recorded.
    pub recorded: Option<Relation>,
    /// Why it is not recorded, if it is not.
    pub warning: Option<String>,
}

impl From<Relation> for AskedRelation {
    fn from(relation: Relation) -> AskedRelation {
        AskedRelation { recorded: Some(relation), warning: None }
    }
}

/// The relation that is asked for a new run of a scope. Only a run of the same project and domain can be repeated or recovered; that
/// another one has started this one is not recorded, and said.
///
/// # Errors
/// [`Invalid`] if the run cannot come from there.
pub fn asked_for(relation: Option<&common::Relation>, scope: &Scope) -> Result<AskedRelation, Invalid> {
    let Some(relation) = relation else { return Ok(AskedRelation::default()) };
    let run = RunName::new(&relation.related_to.name)?;
    let RunIdentifier { org, project, domain, .. } = &*relation.related_to;
    let is_other = |given: &str, own: &str| !given.is_empty() && given != own;
    let elsewhere = is_other(org, &scope.org) || is_other(project, &scope.project) || is_other(domain, &scope.domain);
    let from = format!("run `{run}` of project `{}`, domain `{}`", shown(project), shown(domain));
    Ok(match relation.relation_type.as_known() {
        Some(RelationType::RELATION_TYPE_SPAWN) if elsewhere => {
            let warning = Some(format!("run_spec.relation is not recorded: {from} belongs elsewhere"));
            AskedRelation { recorded: None, warning }
        }
        Some(RelationType::RELATION_TYPE_SPAWN) => Relation::Spawn { run }.into(),
        Some(RelationType::RELATION_TYPE_RERUN | RelationType::RELATION_TYPE_RECOVER) if elsewhere => {
            return Err(Invalid::field(format!(
                "run_spec.relation.related_to: {from} cannot be repeated in project `{}`, domain `{}`",
                scope.project, scope.domain
            )));
        }
        Some(RelationType::RELATION_TYPE_RERUN) => Relation::Rerun { run }.into(),
        Some(RelationType::RELATION_TYPE_RECOVER) => Relation::Recover { run }.into(),
        _ => {
            return Err(Invalid::field(format!(
                "run_spec.relation.relation_type: {} is none of rerun (1), recover (2) and spawn (3)",
                relation.relation_type.to_i32()
            )));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_comes_from_where_it_says_if_that_is_near_enough() {
        let scope = Scope { org: "local".to_owned(), project: "p".to_owned(), domain: "d".to_owned() };
        let run = RunName::new("r1").unwrap();
        let source = scope.clone().run(run.clone());
        let other = Scope { project: "q".to_owned(), ..scope.clone() };
        let relations = [
            Relation::Spawn { run: run.clone() },
            Relation::Rerun { run: run.clone() },
            Relation::Recover { run: run.clone() },
        ];
        for relation in relations {
            let relation_from = |from: &Scope| asked_for(Some(&to_message(from, &relation)), &scope);
            assert_eq!(relation_from(&scope).unwrap(), relation.clone().into());
            match &relation {
                Relation::Spawn { .. } => {
                    let relation = relation_from(&other).unwrap();
                    assert!(relation.recorded.is_none() && relation.warning.unwrap().contains("belongs elsewhere"));
                }
                _ => assert!(relation_from(&other).unwrap_err().to_string().contains("cannot be repeated")),
            }
        }
        assert_eq!(asked_for(None, &scope).unwrap(), AskedRelation::default());
        let none = common::Relation { related_to: ids::to_run_identifier(&source).into(), ..Default::default() };
        assert!(asked_for(Some(&none), &scope).unwrap_err().to_string().contains("relation_type: 0"));
    }
}
