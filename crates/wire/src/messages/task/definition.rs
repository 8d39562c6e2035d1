//! A task definition on its way from a client to the journal.

use bytes::Bytes;
use spanwise_core::{ActionName, ActionSpec};
use spanwise_proto::flyteidl2::task::TaskSpec;

use super::{
    CORE_SLEEP, IMAGE_BUILD, Program, RunRules, TimerInput, action_spec, bundle, check, decode, image, not_honoured,
    program, root_cache_key, template, timer_input, with_defaults, without_docs,
};
use crate::{Definition, Invalid, Stored, TaskInputs};

/// A task definition, which passes through as it was sent, with what is needed of it read out.
#[derive(Clone, Debug)]
pub struct TaskDefinition {
    /// The form that is stored.
    pub stored: Stored,
    /// The full name of the task, as it was sent.
    pub name: String,
    /// The version that the definition names; often empty.
    pub version: String,
    /// The image that it asks for; empty if it asks for none.
    pub image: String,
    /// The URI of the code bundle that it is started with, if it is started with one.
    pub bundle: Option<String>,
    /// True if it is the task that builds images.
    pub builds_images: bool,
    /// True if it is a timer: nothing runs for it.
    pub only_waits: bool,
    message: TaskSpec,
}

impl TaskDefinition {
    /// The definition that a message is.
    ///
    /// # Errors
    /// [`Invalid::Missing`] if it has no template. Everything else is looked at by [`check`](TaskDefinition::check).
    pub fn of(message: TaskSpec) -> Result<TaskDefinition, Invalid> {
        let stored = Stored::of(&message);
        TaskDefinition::new(stored, message)
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`Invalid`] if it is none.
    pub fn read(body: Bytes) -> Result<TaskDefinition, Invalid> {
        let message = decode(&body)?;
        TaskDefinition::new(Stored::from(body), message)
    }

    fn new(stored: Stored, message: TaskSpec) -> Result<TaskDefinition, Invalid> {
        let template = template(&message)?;
        Ok(TaskDefinition {
            stored,
            name: template.id.name.clone(),
            version: template.id.version.clone(),
            image: image(&message),
            bundle: bundle(&message)?,
            builds_images: template.r#type == IMAGE_BUILD,
            only_waits: template.r#type == CORE_SLEEP,
            message,
        })
    }

    /// The message, for an answer.
    pub fn message(&self) -> &TaskSpec {
        &self.message
    }

    /// What a process needs of it.
    ///
    /// # Errors
    /// [`Invalid`] if the definition makes no sense.
    pub fn program(&self) -> Result<Program, Invalid> {
        program(&self.message)
    }

    /// Whether a process could be made of it.
    ///
    /// # Errors
    /// [`Invalid`] names the field that makes no sense.
    pub fn check(&self) -> Result<(), Invalid> {
        check(&self.message)
    }

    /// What is asked for and not honoured, one sentence each.
    pub fn not_honoured(&self) -> Vec<String> {
        not_honoured(&self.message)
    }

    /// True if another definition says something else about the task at most, and does the same.
    pub fn does_what_does(&self, other: &TaskDefinition) -> bool {
        self.stored == other.stored || without_docs(&self.message) == without_docs(&other.message)
    }

    /// The inputs with those that are missing and have a default.
    #[must_use]
    pub fn with_defaults(&self, mut inputs: TaskInputs) -> TaskInputs {
        let values = std::mem::take(inputs.values_mut());
        *inputs.values_mut() = with_defaults(&self.message, values);
        inputs
    }

    /// What an action of this task waits for, if it only waits.
    ///
    /// # Errors
    /// [`Invalid`] says why it cannot be waited for.
    pub fn timer_input(&self, inputs: &TaskInputs) -> Result<TimerInput, Invalid> {
        timer_input(&self.message, inputs.values())
    }

    /// The key of a root action of this task in the cache, if its results are kept there.
    ///
    /// # Errors
    /// [`Invalid`] names the field.
    pub fn root_cache_key(&self, inputs: &TaskInputs) -> Result<Option<String>, Invalid> {
        root_cache_key(&self.message, inputs.values())
    }

    /// What the rules need to know of an action of this task.
    ///
    /// # Errors
    /// [`Invalid`] names the field.
    pub fn action_spec(
        &self,
        parent: Option<ActionName>,
        group: &str,
        cache_key: Option<&str>,
        run: &RunRules<'_>,
    ) -> Result<ActionSpec, Invalid> {
        action_spec(&self.message, &self.stored.digest, parent, group, cache_key, run)
    }
}

impl From<TaskDefinition> for Definition {
    fn from(task: TaskDefinition) -> Definition {
        Definition::Task(Box::new(task.message))
    }
}

#[cfg(test)]
mod tests {
    use spanwise_proto::flyteidl2::core::{Container, Identifier, TaskTemplate};
    use spanwise_proto::flyteidl2::task::DocumentationEntity;

    use super::*;

    fn message(argument: &str) -> TaskSpec {
        let args = ["a0", "--tgz", argument].map(str::to_owned).into();
        let container = Container { image: "team/flyte:1".to_owned(), args, ..Container::default() };
        let id = Identifier { name: "e.f".to_owned(), version: "v1".to_owned(), ..Identifier::default() };
        let template = TaskTemplate { id: id.into(), target: Some(container.into()), ..TaskTemplate::default() };
        TaskSpec { task_template: template.into(), ..TaskSpec::default() }
    }

    #[test]
    fn a_definition_is_stored_as_it_was_sent_and_read_again() {
        let sent = TaskDefinition::of(message("s3://b/code.tgz")).unwrap();
        assert_eq!((sent.name.as_str(), sent.version.as_str(), sent.image.as_str()), ("e.f", "v1", "team/flyte:1"));
        assert_eq!(sent.bundle.as_deref(), Some("s3://b/code.tgz"));
        let read = TaskDefinition::read(sent.stored.body.clone()).unwrap();
        assert_eq!((&read.stored, read.message()), (&sent.stored, sent.message()));
        assert!(TaskDefinition::of(TaskSpec::default()).unwrap_err().to_string().contains("task_template"));
        assert!(TaskDefinition::read(Bytes::from_static(b"\xff")).is_err());
    }

    #[test]
    fn words_about_a_task_make_no_other_task() {
        let sent = TaskDefinition::of(message("s3://b/code.tgz")).unwrap();
        let short_description = "Says it.".to_owned();
        let documentation = DocumentationEntity { short_description, ..DocumentationEntity::default() }.into();
        let other = TaskDefinition::of(TaskSpec { documentation, ..sent.message().clone() }).unwrap();
        assert!(sent.stored != other.stored && sent.does_what_does(&other));
        assert!(!sent.does_what_does(&TaskDefinition::of(message("s3://b/other.tgz")).unwrap()));
    }
}
