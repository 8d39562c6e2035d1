//! A server, as a driver sees it: runs are created there and looked up.

use std::collections::BTreeMap;

use connectrpc::ErrorCode;
use spanwise_core::lifecycle::{TRACE_LABEL, TraceLevel};
use spanwise_core::{RunId, RunName, Scope};
use spanwise_engine::Relation;
use spanwise_proto::flyteidl2::core::KeyValuePair;
use spanwise_proto::flyteidl2::dataproxy::{GetActionDataRequest, UploadInputsRequest, upload_inputs_request};
use spanwise_proto::flyteidl2::task::{DeployTaskRequest, Envs, Inputs, Labels, NamedLiteral, RunSpec, TaskSpec};
use spanwise_proto::flyteidl2::workflow::{
    CreateRunRequest, GetRunDetailsRequest, GetRunDetailsResponse, RunDetails, create_run_request,
};
use spanwise_wire::{ids, relation};
use tokio::sync::OnceCell;

use super::connection::{Connection, SHORT, error, persist};
use super::program::{self, Program};
use super::reference::{self, RemoteTask};
use super::run::RemoteRun;
use crate::error::Result;
use crate::overrides::Overrides;
use crate::task::AnyTask;

/// The labels of a run; without any there is no message.
fn labels(own: BTreeMap<String, String>, level: Option<TraceLevel>) -> Option<Labels> {
    let level = level.map(|level| (TRACE_LABEL.to_owned(), level.to_string()));
    let labels = Labels { values: own.into_iter().chain(level).collect(), ..Labels::default() };
    Some(labels).filter(|labels| !labels.values.is_empty())
}

fn envs(env: BTreeMap<String, String>) -> Option<Envs> {
    let pairs = env.into_iter().map(|(key, value)| KeyValuePair { key, value, ..KeyValuePair::default() });
    let envs = Envs { values: pairs.collect(), ..Envs::default() };
    Some(envs).filter(|envs| !envs.values.is_empty())
}

/// A server on which runs are started.
pub(crate) struct Server {
    connection: Connection,
    place: Scope,
    /// This program in the server's store, once it is there.
    program: OnceCell<Program>,
}

/// A run that is to be created.
pub(crate) struct NewRun {
    /// Its name. One that nobody has chosen is random.
    pub(crate) name: RunName,
    /// True if somebody has chosen the name.
    pub(crate) is_named: bool,
    pub(crate) task: TaskSpec,
    pub(crate) inputs: Inputs,
    pub(crate) max_action_concurrency: Option<u32>,
    pub(crate) relation: Option<Relation>,
    /// How its lifecycle is traced, if the driver says it.
    pub(crate) trace: Option<TraceLevel>,
    pub(crate) labels: BTreeMap<String, String>,
    /// Variables of its processes.
    pub(crate) env: BTreeMap<String, String>,
}

impl Server {
    pub(crate) fn new(connection: Connection, place: Scope) -> Server {
        Server { connection, place, program: OnceCell::new() }
    }

    /// A server that has this program already.
    pub(super) fn with_program(connection: Connection, place: Scope, program: Program) -> Server {
        Server { connection, place, program: OnceCell::new_with(Some(program)) }
    }

    pub(crate) fn connect(endpoint: &str, place: Scope) -> Result<Server> {
        Ok(Server::new(Connection::new(endpoint, None)?, place))
    }

    pub(crate) fn address(&self) -> &str {
        self.connection.address()
    }

    /// The definition of a task of this program, which is uploaded for it.
    pub(crate) async fn task_spec(
        &self,
        task: &dyn AnyTask,
        retry: &spanwise_core::RetryPolicy,
        timeouts: &spanwise_core::Timeouts,
    ) -> Result<TaskSpec> {
        let program = self.program.get_or_try_init(|| program::upload(&self.connection, &self.place)).await?;
        Ok(program.task_spec(task, (retry, timeouts), &self.place))
    }

    /// A deployed task with its inputs, for a run.
    pub(crate) async fn deployed(
        &self,
        reference: RemoteTask,
        overrides: &Overrides,
    ) -> Result<(TaskSpec, Vec<NamedLiteral>)> {
        reference::as_root(&self.connection, &self.place, reference, overrides).await
    }

    /// Deploys the tasks of this program: their version, and their names.
    pub(crate) async fn deploy(&self) -> Result<(String, Vec<String>)> {
        let program = self.program.get_or_try_init(|| program::upload(&self.connection, &self.place)).await?;
        let (client, mut names) = (self.connection.tasks(), Vec::new());
        for task in crate::task::all() {
            let described = task.described();
            let name = described.name.as_str();
            let spec = program.task_spec(task, (&described.retry, &described.timeouts), &self.place);
            let request = DeployTaskRequest {
                task_id: ids::to_task_identifier(&self.place, name, &program.version).into(),
                spec: spec.into(),
                ..DeployTaskRequest::default()
            };
            match persist(SHORT, || client.deploy_task(request.clone())).await {
                // This very program has been deployed before.
                Err(known) if known.code == ErrorCode::AlreadyExists => {}
                deployed => {
                    deployed.map_err(|source| error(&format!("deploy task `{name}`"), &source))?;
                }
            }
            names.push(name.to_owned());
        }
        names.sort();
        Ok((program.version.clone(), names))
    }

    /// Creates a run. After `Ok` it goes on without this program.
    pub(crate) async fn create(&self, new: NewRun) -> Result<RemoteRun> {
        let id = self.run_id(new.name);
        let run = ids::to_run_identifier(&id);
        let upload = UploadInputsRequest {
            id: Some(upload_inputs_request::Id::RunId(Box::new(run.clone()))),
            task: Some(upload_inputs_request::Task::TaskSpec(Box::new(new.task.clone()))),
            inputs: new.inputs.into(),
            ..UploadInputsRequest::default()
        };
        let (data, runs) = (self.connection.data(), self.connection.runs());
        let inputs = persist(SHORT, || data.upload_inputs(upload.clone())).await;
        let inputs = inputs.map_err(|source| error("upload the inputs", &source))?.into_owned();
        let request = CreateRunRequest {
            id: Some(create_run_request::Id::RunId(Box::new(run))),
            task: Some(create_run_request::Task::TaskSpec(Box::new(new.task))),
            input_wrapper: Some(create_run_request::InputWrapper::OffloadedInputData(Box::new(
                inputs.offloaded_input_data.into_option().unwrap_or_default(),
            ))),
            run_spec: RunSpec {
                max_action_concurrency: new.max_action_concurrency.unwrap_or_default(),
                relation: new.relation.as_ref().map(|relation| relation::to_message(&id, relation)).into(),
                labels: labels(new.labels, new.trace).into(),
                envs: envs(new.env).into(),
                ..RunSpec::default()
            }
            .into(),
            ..CreateRunRequest::default()
        };
        match persist(SHORT, || runs.create_run(request.clone())).await {
            Ok(created) => {
                let created = created.into_owned();
                let told = created.run.action.id.run.as_option().and_then(|id| ids::run_id(id).ok());
                Ok(RemoteRun::new(self.connection.clone(), told.unwrap_or(id), new.relation))
            }
            // A random name is nobody else's: an answer was lost, and the request repeated.
            Err(taken) if taken.code == ErrorCode::AlreadyExists && !new.is_named => {
                Ok(RemoteRun::new(self.connection.clone(), id, new.relation))
            }
            Err(source) => Err(error(&format!("create run `{}`", id.name), &source)),
        }
    }

    /// A run that is there.
    pub(crate) async fn find(&self, name: RunName) -> Result<RemoteRun> {
        let id = self.run_id(name);
        let details = self.details(&id).await?;
        let id = details.action.id.run.as_option().and_then(|id| ids::run_id(id).ok()).unwrap_or(id);
        let relation = details.run_spec.relation.as_option().and_then(relation::of_message);
        Ok(RemoteRun::new(self.connection.clone(), id, relation))
    }

    /// What a run was started with: its task, its inputs, its limit.
    pub(crate) async fn source(&self, name: RunName) -> Result<(TaskSpec, Inputs, Option<u32>)> {
        let id = self.run_id(name);
        let details = self.details(&id).await?;
        let Some(spanwise_proto::flyteidl2::workflow::action_details::Spec::Task(task)) =
            details.action.into_option().and_then(|action| action.spec)
        else {
            return Err(crate::Error::usage(format!("run `{}` has no root task", id.name)));
        };
        let request = GetActionDataRequest {
            action_id: ids::to_action_identifier(&id, &spanwise_core::ActionName::ROOT).into(),
            ..GetActionDataRequest::default()
        };
        let data = self.connection.data();
        let found = persist(SHORT, || data.get_action_data(request.clone())).await;
        let found = found.map_err(|source| error("read the inputs of the run", &source))?.into_owned();
        let limit = Some(details.run_spec.max_action_concurrency).filter(|limit| *limit > 0);
        Ok((*task, found.inputs.into_option().unwrap_or_default(), limit))
    }

    async fn details(&self, id: &RunId) -> Result<RunDetails> {
        let request =
            GetRunDetailsRequest { run_id: ids::to_run_identifier(id).into(), ..GetRunDetailsRequest::default() };
        let runs = self.connection.runs();
        let found = persist(SHORT, || runs.get_run_details(request.clone())).await;
        let found: GetRunDetailsResponse =
            found.map_err(|source| error(&format!("look up run `{}`", id.name), &source))?.into_owned();
        Ok(found.details.into_option().unwrap_or_default())
    }

    fn run_id(&self, name: RunName) -> RunId {
        self.place.clone().run(name)
    }
}
