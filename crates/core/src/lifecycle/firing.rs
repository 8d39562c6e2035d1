//! What a trigger says of the run that it has fired: attributes and links of the run's span.

use super::{Attribute, Link, Value};
use crate::trigger::Firing;

/// What a trigger says of the run that it has fired.
pub(super) fn attributes(firing: &Firing) -> impl Iterator<Item = Attribute> + use<> {
    let name = ("spanwise.trigger.name", Value::from(firing.trigger.as_str()));
    let slot =
        firing.scheduled_at.map(|slot| ("spanwise.scheduled_at", Value::Text(crate::schedule::shown(slot).into())));
    let late = firing.late_ms.map(|late| ("spanwise.late_ms", Value::Int(i64::try_from(late).unwrap_or(i64::MAX))));
    let version = firing.version.as_ref();
    let version = version.map(|version| ("spanwise.artifact", Value::from(version.to_string().as_str())));
    std::iter::once(name).chain(slot).chain(late).chain(version)
}

/// Where the trigger comes from, and what it has fired before.
pub(super) fn links(firing: &Firing) -> impl Iterator<Item = Link> + use<> {
    let deploy = firing.deployed_by.map(|to| Link { to, why: "deploy" });
    deploy.into_iter().chain(firing.previous.map(|to| Link { to, why: "previous firing" }))
}
