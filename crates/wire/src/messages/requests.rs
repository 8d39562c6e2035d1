//! The requests of clients, made of core's types: one function for each method that is called. A field that a request gets stands here and
//! nowhere else; the SDK and the command line only send what these make.

use spanwise_core::notification::Notification;
use spanwise_core::{ActionName, AttemptNo, Relation, RunId, RunName, RunOptions, Scope};
use spanwise_proto::flyteidl2::actions::SignalRequest;
use spanwise_proto::flyteidl2::common::{ActionAttemptIdentifier, EnrichedIdentity, User, UserIdentifier};
use spanwise_proto::flyteidl2::core::Literal;
use spanwise_proto::flyteidl2::dataproxy::{
    ArtifactType, CreateDownloadLinkRequest, CreateUploadLocationRequest, GetActionDataRequest, TailLogsRequest,
    UploadInputsRequest, UploadInputsResponse, create_download_link_request, upload_inputs_request,
};
use spanwise_proto::flyteidl2::task::{
    DeployTaskRequest, GetTaskDetailsRequest, Inputs, RunSpec, TaskSpec, TaskTrigger,
};
use spanwise_proto::flyteidl2::workflow::{
    AbortActionRequest, AbortRunRequest, CreateRunRequest, CreateRunResponse, GetActionDetailsRequest,
    GetRunDetailsRequest, WatchActionDetailsRequest, create_run_request,
};

use crate::{Invalid, ids, options, relation};

pub mod children;
pub mod lists;
mod notifications;
pub mod triggers;

/// A run that a client wants. Its inputs go first ([`NewRun::upload`]); with the server's answer it is created ([`NewRun::create`]).
#[derive(Clone, Copy, Debug)]
pub struct NewRun<'a> {
    /// Where it belongs.
    pub scope: &'a Scope,
    /// Its name; without one, the server makes one.
    pub name: Option<&'a RunName>,
    /// What its root runs.
    pub task: &'a TaskSpec,
    /// What its starter has chosen.
    pub options: &'a RunOptions,
    /// Where it comes from, if from another run.
    pub relation: Option<&'a Relation>,
    /// Who is told of its end.
    pub notifications: &'a [Notification],
}

impl NewRun<'_> {
    /// Stores its inputs.
    pub fn upload(&self, inputs: Inputs) -> UploadInputsRequest {
        use upload_inputs_request::{Id, Task};
        let id = match self.id() {
            Some(run) => Id::RunId(Box::new(ids::to_run_identifier(&run))),
            None => Id::ProjectId(Box::new(ids::to_project_identifier(self.scope))),
        };
        UploadInputsRequest {
            id: Some(id),
            task: Some(Task::TaskSpec(Box::new(self.task.clone()))),
            inputs: inputs.into(),
            ..UploadInputsRequest::default()
        }
    }

    /// Creates it with inputs that are stored.
    ///
    /// # Errors
    /// [`Invalid`] if a notification cannot be put into words of Flyte's.
    pub fn create(&self, inputs: UploadInputsResponse) -> Result<CreateRunRequest, Invalid> {
        use create_run_request::{Id, InputWrapper, Task};
        let id = match self.id() {
            Some(run) => Id::RunId(Box::new(ids::to_run_identifier(&run))),
            None => Id::ProjectId(Box::new(ids::to_project_identifier(self.scope))),
        };
        let inputs = inputs.offloaded_input_data.into_option().unwrap_or_default();
        let relation = self.relation.map(|relation| relation::to_message(self.scope, relation));
        let notification_settings = notifications::settings(self.notifications)?;
        let spec = RunSpec { relation: relation.into(), notification_settings, ..options::to_message(self.options) };
        Ok(CreateRunRequest {
            id: Some(id),
            task: Some(Task::TaskSpec(Box::new(self.task.clone()))),
            input_wrapper: Some(InputWrapper::OffloadedInputData(Box::new(inputs))),
            run_spec: spec.into(),
            ..CreateRunRequest::default()
        })
    }

    fn id(&self) -> Option<RunId> {
        self.name.map(|name| self.scope.clone().run(name.clone()))
    }
}

/// The run that was created, as the server names it; none if it does not.
pub fn created(answer: &CreateRunResponse) -> Option<RunId> {
    answer.run.action.id.run.as_option().and_then(|id| ids::run_id(id).ok())
}

/// A run with what it was created with.
pub fn run_details(run: &RunId) -> GetRunDetailsRequest {
    GetRunDetailsRequest { run_id: ids::to_run_identifier(run).into(), ..GetRunDetailsRequest::default() }
}

/// An action with its attempts.
pub fn action_details(run: &RunId, action: &ActionName) -> GetActionDetailsRequest {
    let id = ids::to_action_identifier(run, action);
    GetActionDetailsRequest { action_id: id.into(), ..GetActionDetailsRequest::default() }
}

/// What an action was given and what it delivers.
pub fn action_data(run: &RunId, action: &ActionName) -> GetActionDataRequest {
    let id = ids::to_action_identifier(run, action);
    GetActionDataRequest { action_id: id.into(), ..GetActionDataRequest::default() }
}

/// Where the report of an attempt is read.
pub fn report_link(run: &RunId, action: &ActionName, attempt: AttemptNo) -> CreateDownloadLinkRequest {
    let id = ActionAttemptIdentifier {
        action_id: ids::to_action_identifier(run, action).into(),
        attempt: attempt.0,
        ..ActionAttemptIdentifier::default()
    };
    CreateDownloadLinkRequest {
        artifact_type: ArtifactType::ARTIFACT_TYPE_REPORT.into(),
        source: Some(create_download_link_request::Source::ActionAttemptId(id.into())),
        ..CreateDownloadLinkRequest::default()
    }
}

/// An action at each of its changes.
pub fn watch_action(run: &RunId, action: &ActionName) -> WatchActionDetailsRequest {
    let id = ids::to_action_identifier(run, action);
    WatchActionDetailsRequest { action_id: id.into(), ..WatchActionDetailsRequest::default() }
}

/// The log of an attempt, or of the last one.
pub fn tail_logs(run: &RunId, action: &ActionName, attempt: Option<AttemptNo>) -> TailLogsRequest {
    let id = ids::to_action_identifier(run, action);
    let attempt = attempt.map_or(0, |attempt| attempt.0);
    TailLogsRequest { action_id: id.into(), attempt, ..TailLogsRequest::default() }
}

/// Ends a run.
pub fn abort_run(run: &RunId, reason: &str) -> AbortRunRequest {
    let id = ids::to_run_identifier(run);
    AbortRunRequest { run_id: id.into(), reason: Some(reason.to_owned()), ..AbortRunRequest::default() }
}

/// Ends an action and everything under it.
pub fn abort_action(run: &RunId, action: &ActionName, reason: &str) -> AbortActionRequest {
    let id = ids::to_action_identifier(run, action);
    AbortActionRequest { action_id: id.into(), reason: reason.to_owned(), ..AbortActionRequest::default() }
}

/// Gives a condition its value. `parent` is the action that waits for it.
pub fn signal(run: &RunId, action: &ActionName, parent: &ActionName, by: &str, value: Literal) -> SignalRequest {
    let user = UserIdentifier { subject: by.to_owned(), ..UserIdentifier::default() };
    let by = EnrichedIdentity {
        principal: Some(User { id: user.into(), ..User::default() }.into()),
        ..EnrichedIdentity::default()
    };
    SignalRequest {
        action_id: ids::to_action_identifier(run, action).into(),
        parent_action_name: parent.to_string(),
        value: value.into(),
        signalled_by: by.into(),
        ..SignalRequest::default()
    }
}

/// A deployed task; an empty version means the newest.
pub fn task_details(scope: &Scope, name: &str, version: &str) -> GetTaskDetailsRequest {
    let id = ids::to_task_identifier(scope, name, version);
    GetTaskDetailsRequest { task_id: id.into(), ..GetTaskDetailsRequest::default() }
}

/// Deploys a task in one version.
pub fn deploy_task(
    scope: &Scope,
    name: &str,
    version: &str,
    task: TaskSpec,
    triggers: Vec<TaskTrigger>,
) -> DeployTaskRequest {
    let id = ids::to_task_identifier(scope, name, version);
    DeployTaskRequest { task_id: id.into(), spec: task.into(), triggers, ..DeployTaskRequest::default() }
}

/// Where a file is to be uploaded that has this digest (MD5) and so many bytes.
pub fn upload_location(scope: &Scope, filename: &str, md5: &[u8], bytes: usize) -> CreateUploadLocationRequest {
    CreateUploadLocationRequest {
        org: scope.org.clone(),
        project: scope.project.clone(),
        domain: scope.domain.clone(),
        filename: filename.to_owned(),
        content_md5: md5.to_vec(),
        add_content_md5_metadata: true,
        content_length: i64::try_from(bytes).unwrap_or(i64::MAX),
        ..CreateUploadLocationRequest::default()
    }
}

#[cfg(test)]
mod tests {
    use spanwise_proto::flyteidl2::common::OffloadedInputData;

    use super::*;

    #[test]
    fn a_run_is_asked_for_by_its_name_or_in_its_project_with_all_that_was_chosen() {
        let scope = Scope { org: "o".to_owned(), project: "p".to_owned(), domain: "d".to_owned() };
        let (name, source) = (RunName::new("r1").unwrap(), RunName::new("r0").unwrap());
        let options = RunOptions { max_action_concurrency: Some(3), ..RunOptions::default() };
        let relation = Relation::Rerun { run: source };
        let task = TaskSpec { short_name: "main".to_owned(), ..TaskSpec::default() };
        let stored = OffloadedInputData { uri: "s3://x".to_owned(), ..OffloadedInputData::default() };
        for (name, relation) in [(None, None), (Some(&name), Some(&relation))] {
            let new = NewRun { scope: &scope, name, task: &task, options: &options, relation, notifications: &[] };
            let upload = new.upload(Inputs::default());
            let answer =
                UploadInputsResponse { offloaded_input_data: stored.clone().into(), ..UploadInputsResponse::default() };
            let create = new.create(answer).unwrap();
            match (name, upload.id, create.id) {
                (
                    Some(name),
                    Some(upload_inputs_request::Id::RunId(inputs)),
                    Some(create_run_request::Id::RunId(run)),
                ) => {
                    assert_eq!(ids::run_id(&run).unwrap(), scope.clone().run(name.clone()));
                    assert_eq!(inputs, run);
                }
                (
                    None,
                    Some(upload_inputs_request::Id::ProjectId(inputs)),
                    Some(create_run_request::Id::ProjectId(run)),
                ) => {
                    assert_eq!(ids::project_scope(&run).unwrap(), scope);
                    assert_eq!(inputs, run);
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(upload.task, Some(upload_inputs_request::Task::TaskSpec(Box::new(task.clone()))));
            assert_eq!(create.task, Some(create_run_request::Task::TaskSpec(Box::new(task.clone()))));
            let inputs = create_run_request::InputWrapper::OffloadedInputData(Box::new(stored.clone()));
            assert_eq!(create.input_wrapper, Some(inputs));
            assert_eq!(options::of_message(&create.run_spec), options);
            let from = create.run_spec.relation.as_option().and_then(relation::of_message);
            assert_eq!(from.as_ref(), relation);
        }
    }
}
