//! A server, as a driver sees it: runs are created there and looked up.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use connectrpc::{ConnectError, ErrorCode};
use spanwise_core::{ActionName, RunId, RunName, Scope};
use spanwise_engine::Relation;
use spanwise_proto::flyteidl2::task::{Inputs, TaskSpec, TaskTrigger};
use spanwise_proto::flyteidl2::workflow::{GetRunDetailsResponse, RunDetails, action_details};
use spanwise_wire::{ids, options, relation, requests};
use tokio::sync::OnceCell;

use super::connection::{Connection, SHORT, error, persist};
use super::deployed;
use super::program::{self, Program};
use super::run::RemoteRun;
use super::triggers;
use crate::backend::{Again, AnyRun, Backend, NewRun, Pending, Root, RunOptions};
use crate::effective::Effective;
use crate::error::{Error, Result};
use crate::overrides::Overrides;
use crate::payload::{freeze_message, split};
use crate::task::{self, AnyTask};

/// A server on which runs are started.
pub(crate) struct Server {
    connection: Connection,
    scope: Scope,
    /// This program in the server's store, once it is there.
    program: OnceCell<Program>,
}

/// Connects to a server when it is used first.
///
/// # Errors
/// [`ErrorKind::Usage`](crate::ErrorKind::Usage) if the endpoint is none.
pub(crate) fn connect(endpoint: &str, scope: Scope) -> Result<Box<dyn Backend>> {
    let connection = Connection::new(endpoint, None)?;
    Ok(Box::new(Server { connection, scope, program: OnceCell::new() }))
}

impl Server {
    /// A server that has this program already.
    pub(super) fn with_program(connection: Connection, scope: Scope, program: Program) -> Server {
        Server { connection, scope, program: OnceCell::new_with(Some(program)) }
    }

    /// This program in the server's store, where it is uploaded if it is not there.
    async fn program(&self) -> Result<&Program> {
        self.program.get_or_try_init(|| program::upload(&self.connection, &self.scope)).await
    }

    async fn start_new(&self, new: NewRun) -> Result<RemoteRun> {
        let NewRun { root, overrides, context, relation, mut options } = new;
        let (task, inputs) = match root {
            Root::Local(task, literals) => {
                // Before anything is sent: what is over a limit needs no server to say so.
                let (inputs, _) = freeze_message(literals, &context)?;
                let effective = task::effective(task, &overrides)?;
                let spec = task::spec(task, &effective, &overrides);
                // As Python's SDK has it: the queue of the root is that of the tasks of the run that name none.
                options.chosen.queue = options.chosen.queue.or_else(|| effective.settings.queue.clone());
                let program = self.program().await?;
                (program.task_spec((task, &effective), (&spec.retry, &spec.timeouts), &self.scope), inputs)
            }
            Root::Deployed(task) => {
                let (task, literals) = deployed::as_root(&self.connection, &self.scope, task, &overrides).await?;
                options.chosen.queue = options.chosen.queue.or(overrides.settings.queue);
                (task, freeze_message(literals, &context)?.0)
            }
        };
        self.create(task, inputs, relation, options).await
    }

    async fn rerun_of(&self, again: Again, mut options: RunOptions) -> Result<RemoteRun> {
        let (source, relation) = again.source();
        let (task, inputs, of_source) = self.source(source).await?;
        let (literals, context) = split(inputs);
        let context = options.context.take().unwrap_or_else(|| context.without_trace());
        let (inputs, _) = freeze_message(literals, &context)?;
        options.chosen.max_action_concurrency =
            options.chosen.max_action_concurrency.or(of_source.max_action_concurrency);
        options.chosen.queue = options.chosen.queue.or(of_source.queue);
        self.create(task, inputs, Some(relation), options).await
    }

    async fn deploy_all(&self) -> Result<(String, Vec<String>)> {
        let effective = |task: &'static dyn AnyTask| Ok((task, task::effective(task, &Overrides::new())?));
        let tasks: Vec<_> = task::all().map(effective).collect::<Result<_>>()?;
        let program = self.program().await?;
        let definitions = tasks.into_iter().map(|(task, effective)| self.definition(program, task, &effective));
        let definitions: Vec<_> = definitions.collect::<Result<_>>()?;
        let (client, mut names) = (self.connection.tasks(), Vec::new());
        for (name, definition, triggers) in definitions {
            let request = requests::deploy_task(&self.scope, name, &program.version, definition, triggers);
            match persist(SHORT, || client.deploy_task(request.clone())).await {
                // This very program has been deployed before, unless the server says that it keeps other content of a task or of a trigger:
                // what is deployed may follow from variables and files, too.
                Err(there) if there.code == ErrorCode::AlreadyExists && !keeps_other_content(&there) => {}
                deployed => {
                    deployed.map_err(|source| error(&format!("deploy task `{name}`"), &source))?;
                }
            }
            names.push(name.to_owned());
        }
        names.sort();
        Ok((program.version.clone(), names))
    }

    /// What is deployed of a task: its name, its definition, its triggers.
    fn definition(
        &self,
        program: &Program,
        task: &'static dyn AnyTask,
        effective: &Effective,
    ) -> Result<(&'static str, TaskSpec, Vec<TaskTrigger>)> {
        let described = task.described();
        let name = described.name.as_str();
        if let Some(queue) = &effective.settings.queue {
            eprintln!(
                "warning: queue `{queue}` of task `{name}` is not deployed, as Flyte's definitions have none: whoever calls it names it"
            );
        }
        let policy = (&described.retry, &described.timeouts);
        let definition = program.task_spec((task, effective), policy, &self.scope);
        let triggers = triggers::of_task(task, &definition, &self.scope)?;
        Ok((name, definition, triggers))
    }

    /// Creates a run. After `Ok` it goes on without this program.
    async fn create(
        &self,
        task: TaskSpec,
        inputs: Inputs,
        relation: Option<Relation>,
        options: RunOptions,
    ) -> Result<RemoteRun> {
        let id = self.run_id(options.new_name()?);
        options.trace_level()?;
        let new = requests::NewRun {
            scope: &self.scope,
            name: Some(&id.name),
            task: &task,
            options: &options.chosen,
            relation: relation.as_ref(),
            notifications: &options.notifications,
        };
        let upload = new.upload(inputs);
        let (data, runs) = (self.connection.data(), self.connection.runs());
        let inputs = persist(SHORT, || data.upload_inputs(upload.clone())).await;
        let inputs = inputs.map_err(|source| error("upload the inputs", &source))?.into_owned();
        let request = new.create(inputs).map_err(|invalid| Error::usage(invalid.to_string()))?;
        match persist(SHORT, || runs.create_run(request.clone())).await {
            Ok(created) => {
                let named = requests::created(&created.into_owned());
                Ok(RemoteRun::new(self.connection.clone(), named.unwrap_or(id), relation))
            }
            // A random name is nobody else's: an answer was lost, and the request repeated.
            Err(taken) if taken.code == ErrorCode::AlreadyExists && options.name.is_none() => {
                Ok(RemoteRun::new(self.connection.clone(), id, relation))
            }
            Err(source) => Err(error(&format!("create run `{}`", id.name), &source)),
        }
    }

    /// A run that is there.
    async fn find(&self, name: RunName) -> Result<RemoteRun> {
        let id = self.run_id(name);
        let details = self.details(&id).await?;
        let id = details.action.id.run.as_option().and_then(|id| ids::run_id(id).ok()).unwrap_or(id);
        let relation = details.run_spec.relation.as_option().and_then(relation::of_message);
        Ok(RemoteRun::new(self.connection.clone(), id, relation))
    }

    /// What a run was started with: its task, its inputs, its options.
    async fn source(&self, name: RunName) -> Result<(TaskSpec, Inputs, spanwise_core::RunOptions)> {
        let id = self.run_id(name);
        let details = self.details(&id).await?;
        let Some(action_details::Spec::Task(task)) = details.action.into_option().and_then(|action| action.spec) else {
            return Err(Error::usage(format!("run `{}` has no root task", id.name)));
        };
        let request = requests::action_data(&id, &ActionName::ROOT);
        let data = self.connection.data();
        let found = persist(SHORT, || data.get_action_data(request.clone())).await;
        let found = found.map_err(|source| error("read the inputs of the run", &source))?.into_owned();
        Ok((*task, found.inputs.into_option().unwrap_or_default(), options::of_message(&details.run_spec)))
    }

    async fn details(&self, id: &RunId) -> Result<RunDetails> {
        let request = requests::run_details(id);
        let runs = self.connection.runs();
        let found = persist(SHORT, || runs.get_run_details(request.clone())).await;
        let found: GetRunDetailsResponse =
            found.map_err(|source| error(&format!("look up run `{}`", id.name), &source))?.into_owned();
        Ok(found.details.into_option().unwrap_or_default())
    }

    fn run_id(&self, name: RunName) -> RunId {
        self.scope.clone().run(name)
    }
}

/// As a server of ours says it; both answers have one code, as Flyte's have.
fn keeps_other_content(answer: &ConnectError) -> bool {
    answer.message.as_deref().is_some_and(|message| message.contains("with other content"))
}

impl Backend for Server {
    fn start(&self, new: NewRun) -> Pending<'_, AnyRun> {
        Box::pin(async move { Ok(Box::new(self.start_new(new).await?) as AnyRun) })
    }

    fn rerun(&self, again: Again, options: RunOptions) -> Pending<'_, AnyRun> {
        Box::pin(async move { Ok(Box::new(self.rerun_of(again, options).await?) as AnyRun) })
    }

    fn resume(&self, name: RunName) -> Pending<'_, AnyRun> {
        Box::pin(async move { Ok(Box::new(self.find(name).await?) as AnyRun) })
    }

    fn deploy(&self) -> Pending<'_, (String, Vec<String>)> {
        Box::pin(self.deploy_all())
    }

    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }

    fn how_to_open(&self) -> String {
        "served by the server that runs it".to_owned()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.connection.address()).finish_non_exhaustive()
    }
}
