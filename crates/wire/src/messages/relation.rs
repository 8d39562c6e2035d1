//! Where a run comes from.

use spanwise_core::{Relation, RunId, RunName};
use spanwise_proto::flyteidl2::common::{self, RelationType};

use crate::ids;

/// The relation of a run for the wire.
pub fn to_message(run: &RunId, relation: &Relation) -> common::Relation {
    let (name, kind) = match relation {
        Relation::Spawn { run } => (run, RelationType::RELATION_TYPE_SPAWN),
        Relation::Rerun { run } => (run, RelationType::RELATION_TYPE_RERUN),
        Relation::Recover { run } => (run, RelationType::RELATION_TYPE_RECOVER),
    };
    let mut related = ids::to_run_identifier(run);
    related.name = name.to_string();
    common::Relation { related_to: related.into(), relation_type: kind.into(), ..common::Relation::default() }
}

/// The relation that a server tells of; none if it names no run or none of the three.
pub fn of_message(told: &common::Relation) -> Option<Relation> {
    let run = RunName::new(&told.related_to.name).ok()?;
    match told.relation_type.as_known()? {
        RelationType::RELATION_TYPE_SPAWN => Some(Relation::Spawn { run }),
        RelationType::RELATION_TYPE_RERUN => Some(Relation::Rerun { run }),
        RelationType::RELATION_TYPE_RECOVER => Some(Relation::Recover { run }),
        _ => None,
    }
}
