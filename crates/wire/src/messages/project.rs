//! Projects.

use spanwise_core::{DEFAULT_DOMAIN, DEFAULT_ORG, Project};
use spanwise_proto::flyteidl2::project as message;
use spanwise_proto::flyteidl2::project::{Domain, ProjectState};
use spanwise_proto::flyteidl2::task::Labels;

use crate::{Invalid, path_name, shown, title};

/// The domains that every project shows (Flyte's own three).
const DOMAINS: [&str; 3] = [DEFAULT_DOMAIN, "staging", "production"];

/// Flyte's limits, in characters.
const MAX_NAME: usize = 64;
const MAX_DESCRIPTION: usize = 300;

/// Labels are for people: more than these are none.
const MAX_LABELS: usize = 64;

/// What a client says of a project.
///
/// # Errors
/// [`Invalid`] names the field, and the limit.
pub fn of_message(project: message::Project) -> Result<Project, Invalid> {
    let id = path_name("project.id", &project.id)?;
    if !matches!(project.org.as_str(), "" | DEFAULT_ORG) {
        let text = "is another organisation: projects are one list for all of them, leave it out";
        return Err(Invalid::field(format!("project.org: `{}` {text}", shown(&project.org))));
    }
    if !project.domains.is_empty() {
        return Err(Invalid::field(format!("project.domains: they are {} in every project", DOMAINS.join(", "))));
    }
    title("project.name", &project.name)?;
    at_most("project.name", &project.name, MAX_NAME)?;
    at_most("project.description", &project.description, MAX_DESCRIPTION)?;
    if let Some(wrong) = project.description.chars().find(|c| c.is_control() && !['\n', '\r', '\t'].contains(c)) {
        return Err(Invalid::field(format!("project.description holds the control character {wrong:?}")));
    }
    let archived = match project.state.as_known() {
        Some(ProjectState::PROJECT_STATE_ACTIVE) => false,
        Some(ProjectState::PROJECT_STATE_ARCHIVED) => true,
        _ => return Err(Invalid::field("project.state: a project is active or archived")),
    };
    let labels = project.labels.into_option().unwrap_or_default().values;
    if labels.len() > MAX_LABELS {
        return Err(Invalid::field(format!(
            "project.labels: {} are too many, the limit is {MAX_LABELS}",
            labels.len()
        )));
    }
    for (key, value) in &labels {
        title("project.labels", key)?;
        title("project.labels", value)?;
    }
    let name = if project.name.is_empty() { id.clone() } else { project.name };
    Ok(Project { id, name, description: project.description, labels: labels.into_iter().collect(), archived })
}

fn at_most(field: &str, text: &str, most: usize) -> Result<(), Invalid> {
    match text.chars().count() {
        count if count > most => Err(Invalid::field(format!("{field} has {count} characters, the limit is {most}"))),
        _ => Ok(()),
    }
}

/// A project as lists show it.
pub fn to_message(project: Project) -> message::Project {
    let domain = |name: &str| Domain { id: name.to_owned(), name: name.to_owned(), ..Domain::default() };
    let state = match project.archived {
        true => ProjectState::PROJECT_STATE_ARCHIVED,
        false => ProjectState::PROJECT_STATE_ACTIVE,
    };
    let labels = Labels { values: project.labels.into_iter().collect(), ..Labels::default() };
    message::Project {
        id: project.id,
        name: project.name,
        domains: DOMAINS.map(domain).into(),
        description: project.description,
        labels: Some(labels).filter(|labels| !labels.values.is_empty()).into(),
        state: state.into(),
        org: DEFAULT_ORG.to_owned(),
        ..message::Project::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(id: &str) -> message::Project {
        message::Project { id: id.to_owned(), name: "The größe".to_owned(), ..message::Project::default() }
    }

    #[test]
    fn a_project_crosses_the_wire() {
        let project = Project {
            id: "my_project".to_owned(),
            name: "My project".to_owned(),
            description: "one\ntwo".to_owned(),
            labels: [("team".to_owned(), "ml".to_owned())].into(),
            archived: true,
        };
        for project in [project, Project::implied("p")] {
            let shown = to_message(project.clone());
            assert_eq!(shown.domains.len(), 3);
            assert_eq!(of_message(message::Project { domains: Vec::new(), ..shown }).unwrap(), project);
        }
    }

    #[test]
    fn what_is_no_project_is_refused_by_its_field_and_the_limit() {
        let refused = |project: message::Project| of_message(project).unwrap_err().to_string();
        for (id, said) in [("", "project.id"), ("a/b", "project.id"), ("../x", "project.id"), (&"x".repeat(64), "63")] {
            assert!(refused(sent(id)).contains(said), "{id}");
        }
        let long = |field: fn(&mut message::Project) -> &mut String, count: usize| {
            let mut project = sent("p");
            *field(&mut project) = "ß".repeat(count);
            project
        };
        assert!(of_message(long(|project| &mut project.name, 64)).is_ok());
        assert!(refused(long(|project| &mut project.name, 65)).contains("65 characters, the limit is 64"));
        assert!(of_message(long(|project| &mut project.description, 300)).is_ok());
        assert!(refused(long(|project| &mut project.description, 301)).contains("the limit is 300"));
        assert!(refused(message::Project { org: "acme".to_owned(), ..sent("p") }).contains("project.org: `acme`"));
        assert!(refused(message::Project { name: "a\nb".to_owned(), ..sent("p") }).contains("project.name"));
        let description = "a\0b".to_owned();
        assert!(refused(message::Project { description, ..sent("p") }).contains("project.description"));
        let state = ProjectState::PROJECT_STATE_SYSTEM_ARCHIVED.into();
        assert!(refused(message::Project { state, ..sent("p") }).contains("project.state"));
        assert!(
            refused(message::Project { domains: vec![Domain::default()], ..sent("p") }).contains("project.domains")
        );
        let values = (0..65).map(|number| (number.to_string(), String::new())).collect();
        let labels = Labels { values, ..Labels::default() };
        assert!(refused(message::Project { labels: labels.into(), ..sent("p") }).contains("the limit is 64"));
    }
}
