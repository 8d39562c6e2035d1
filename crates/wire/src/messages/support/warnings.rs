//! What a message asks for that is not honoured.

use std::collections::BTreeSet;

use spanwise_proto::Message;
use spanwise_proto::fields::{self, Declared, Found};
use spanwise_proto::flyteidl2::app;
use spanwise_proto::flyteidl2::core::resources::ResourceName;
use spanwise_proto::flyteidl2::core::{Resources, task_template};
use spanwise_proto::flyteidl2::settings::Settings;
use spanwise_proto::flyteidl2::task::{RunSpec, TaskSpec};

use super::app::{APP, ONE_MACHINE, ONE_PROCESS};
use super::run::RUN;
use super::settings::SETTINGS;
use super::task::TASK;
use super::{Row, Support};

/// A message by whose fields something is asked for, with what becomes of them.
pub trait Asks: Message {
    /// Its fields.
    const FIELDS: &'static Declared;
    /// What becomes of them.
    const ROWS: &'static [Row];

    /// What is asked for by the values of fields that are honoured, as a name and the sentence about it.
    fn by_values(&self) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }
}

impl Asks for RunSpec {
    const FIELDS: &'static Declared = &fields::TASK_RUN_SPEC;
    const ROWS: &'static [Row] = RUN;
}

impl Asks for TaskSpec {
    const FIELDS: &'static Declared = &fields::TASK_TASK_SPEC;
    const ROWS: &'static [Row] = TASK;

    fn by_values(&self) -> Vec<(&'static str, &'static str)> {
        let mut wishes = match &self.task_template.target {
            Some(task_template::Target::Container(container)) => of_resources(&container.resources),
            _ => Vec::new(),
        };
        // Older clients say it by the type alone.
        if self.task_template.r#type == "actor"
            && let Some(Row { support: Support::Warned(instead), .. }) = covering(TASK, "task_template.reuse_policy")
        {
            wishes.push(("reuse_policy", instead));
        }
        wishes
    }
}

impl Asks for Settings {
    const FIELDS: &'static Declared = &fields::SETTINGS_SETTINGS;
    const ROWS: &'static [Row] = SETTINGS;
}

impl Asks for app::Spec {
    const FIELDS: &'static Declared = &fields::APP_SPEC;
    const ROWS: &'static [Row] = APP;

    fn by_values(&self) -> Vec<(&'static str, &'static str)> {
        let mut wishes = match &self.app_payload {
            Some(app::spec::AppPayload::Container(container)) => of_resources(&container.resources),
            _ => Vec::new(),
        };
        let replicas = &self.autoscaling.replicas;
        if replicas.min > 1 || replicas.max > 1 {
            wishes.push(("autoscaling.replicas above 1", ONE_PROCESS));
        }
        if !matches!(self.cluster_pool.as_str(), "" | "default") {
            wishes.push(("cluster_pool", ONE_MACHINE));
        }
        wishes
    }
}

fn of_resources(resources: &Resources) -> Vec<(&'static str, &'static str)> {
    let asks = |names: &[ResourceName]| {
        let mut entries = resources.requests.iter().chain(&resources.limits);
        entries.any(|entry| entry.name.as_known().is_some_and(|name| names.contains(&name)))
    };
    let mut wishes = Vec::new();
    if asks(&[ResourceName::GPU]) {
        wishes.push(("resources.gpu", "accelerators are not assigned"));
    }
    if asks(&[ResourceName::STORAGE, ResourceName::EPHEMERAL_STORAGE]) {
        wishes.push(("resources.disk", "a process has the machine's disk"));
    }
    wishes
}

/// What is told is told one by one up to this many: a message may hold a million of what is not honoured.
const MOST: usize = 30;

/// The first of many sentences, and how many more there are.
pub fn few(mut sentences: Vec<String>) -> Vec<String> {
    if sentences.len() > MOST {
        let more = sentences.len() - MOST;
        sentences.truncate(MOST);
        sentences.push(format!("and {more} more of the kind"));
    }
    sentences
}

/// What is asked for and not honoured, one sentence each (semantics S10), and what this version does not know. No sentence comes twice.
pub fn not_honoured<M: Asks>(message: &M) -> Vec<String> {
    let mut sentences = by_fields(&message.encode_to_vec(), M::FIELDS, M::ROWS);
    for (name, instead) in message.by_values() {
        let sentence = format!("{name} is not honoured: {instead}");
        if !sentences.contains(&sentence) {
            sentences.push(sentence);
        }
    }
    sentences
}

/// What the bytes of a message ask for by the fields that are set.
pub(super) fn by_fields(message: &[u8], fields: &'static Declared, rows: &'static [Row]) -> Vec<String> {
    let (mut wishes, mut unknown) = (Vec::new(), BTreeSet::new());
    let mut look = |path: &str, found: Found| match found {
        Found::Unknown { message, number } => {
            if covering(rows, path).is_none_or(|row| matches!(row.support, Support::Honoured(_))) {
                unknown.insert((message, number));
            }
        }
        Found::Declared { is_set } => {
            let exact = rows.iter().find(|row| row.path == path && is_set);
            if let Some(row @ Row { support: Support::Warned(instead), .. }) = exact
                && !wishes.contains(&(row.name(), *instead))
            {
                wishes.push((row.name(), *instead));
            }
        }
    };
    // What was encoded here is a message.
    let _ = fields::visit(message, fields, &mut look);
    let mut sentences: Vec<String> =
        wishes.into_iter().map(|(name, instead)| format!("{name} is not honoured: {instead}")).collect();
    let by_number = |(message, number): &(&str, u32)| {
        format!("field {number} of {message} is not honoured: this version does not know it")
    };
    let more = unknown.len().saturating_sub(MOST);
    sentences.extend(unknown.iter().take(MOST).map(by_number));
    sentences.extend((more > 0).then(|| format!("and {more} more of the kind")));
    sentences
}

/// The row that speaks for a field: its own, or the nearest one of what it is in.
pub(super) fn covering(rows: &'static [Row], path: &str) -> Option<&'static Row> {
    let is_of = |row: &&Row| path.strip_prefix(row.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    rows.iter().filter(is_of).max_by_key(|row| row.path.len())
}
