//! A task that is deployed on a server: its interface and its definition are there.

use anyhow::Context as _;
use spanwise::__private::launch::Started;
use spanwise_proto::flyteidl2::core::Literal;
use spanwise_proto::flyteidl2::core::parameter;
use spanwise_proto::flyteidl2::task::{Inputs, NamedLiteral, TaskSpec};
use spanwise_wire::requests;

use super::interface::Task;
use super::{Chosen, How, Misuse, Options, choose, follow, task_name};
use crate::Signals;
use crate::client::{Server, Target, explain};

/// Starts the run and follows it.
pub(super) async fn run(options: Options, signals: &mut Signals) -> anyhow::Result<u8> {
    let name = task_name(&options.what[0]).map_err(Misuse)?.to_owned();
    let started = tokio::select! {
        code = signals.next() => {
            eprintln!("interrupted before the run was started");
            return Ok(code);
        }
        started = start(&options, &name) => started?,
    };
    let Some((target, how, started)) = started else { return Ok(0) };
    follow::run(&target, &how, started, signals).await
}

async fn start(options: &Options, name: &str) -> anyhow::Result<Option<(Target, How, Started)>> {
    // The task's inputs have the names of options only behind its name, which has been read by then.
    let target = options.target.resolve()?;
    let spec = definition(&target, name, options.how.task_version.as_deref()).await?;
    let Some(chosen) = choose(options, &Task::deployed(&spec), 1)? else { return Ok(None) };
    let target = chosen.options.target.resolve()?;
    let how = chosen.options.how.clone();
    let spec = match how.task_version.as_deref() {
        version if version == options.how.task_version.as_deref() => spec,
        version => definition(&target, name, version).await?,
    };
    let inputs = inputs(&spec, &chosen)?;
    let server = target.server()?;
    let started = create(&server, &target, &how, spec, inputs).await?;
    Ok(Some((target, how, started)))
}

async fn definition(target: &Target, name: &str, version: Option<&str>) -> anyhow::Result<TaskSpec> {
    let request = requests::task_details(&target.scope(), name, version.unwrap_or_default());
    let found = target.server()?.tasks().get_task_details(request).await.map_err(|error| match error.code {
        connectrpc::ErrorCode::NotFound => {
            let version = version.map(|version| format!(" in version {version}")).unwrap_or_default();
            let scope = format!("{}/{}", target.project, target.domain);
            Misuse(format!("no task `{name}` is deployed{version} in {scope}: `spanwise tasks` lists those that are"))
                .into()
        }
        _ => explain(target, error),
    })?;
    let spec = found.into_owned().details.into_option().and_then(|details| details.spec.into_option());
    spec.ok_or_else(|| Misuse(format!("the server knows task `{name}` without a definition")).into())
}

/// The inputs in the order of the interface, with the task's defaults.
fn inputs(spec: &TaskSpec, chosen: &Chosen) -> Result<Inputs, Misuse> {
    let mut literals = Vec::new();
    for variable in &spec.task_template.interface.inputs.variables {
        let (name, kind) = (&variable.key, variable.value.r#type.as_option().cloned().unwrap_or_default());
        let default = spec.default_inputs.iter().find(|parameter| parameter.name == *name);
        let default = default.and_then(|parameter| match &parameter.parameter.behavior {
            Some(parameter::Behavior::Default(value)) => Some((**value).clone()),
            _ => None,
        });
        let literal = match (chosen.inputs.get(name), default) {
            (None, Some(default)) => default,
            (given, _) => {
                let value = given.cloned().unwrap_or_default();
                Literal::from_json(&kind, &value).map_err(|misfit| Misuse(format!("input `{name}`: {misfit}")))?
            }
        };
        literals.push(NamedLiteral::new(name.clone(), literal));
    }
    Ok(Inputs::new(literals, chosen.options.how.context().to_message()))
}

async fn create(
    server: &Server,
    target: &Target,
    how: &How,
    task: TaskSpec,
    inputs: Inputs,
) -> anyhow::Result<Started> {
    let name = how.name.as_deref().map(|name| target.run(name)).transpose()?.map(|run| run.name);
    let (scope, options) = (target.scope(), how.options());
    let (name, options) = (name.as_ref(), &options);
    let new = requests::NewRun { scope: &scope, name, task: &task, options, relation: None, notifications: &[] };
    let stored = server.data().upload_inputs(new.upload(inputs)).await.map_err(|error| explain(target, error))?;
    let created = server.runs().create_run(new.create(stored.into_owned())?).await;
    let created = created.map_err(|error| explain(target, error))?.into_owned();
    let id = requests::created(&created).context("the server does not say which run it has created")?;
    let url = crate::client::page(target, id.name.as_str());
    Ok(Started { run: id.name.to_string(), org: id.org, project: id.project, domain: id.domain, url })
}
