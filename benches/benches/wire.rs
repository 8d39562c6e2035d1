//! The server through its wire: a client that plays a running task and whoever ends what it has asked for. The actions are conditions,
//! which a signal ends, so that no process is started for them. `cargo build --profile dist`, then
//! `cargo bench -p spanwise-benches --bench wire`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::time::{Duration, Instant};

use connectrpc::client::{ClientConfig, HttpClient};
use futures_util::stream::{self, TryStreamExt as _};
use spanwise_benches::rounds::{Figure, head, row};
use spanwise_benches::server::{Server, binary};
use spanwise_proto::flyteidl2::actions::{
    Action, ActionsServiceClient, EnqueueRequest, SignalRequest, WatchForUpdatesRequest, action,
    watch_for_updates_request, watch_for_updates_response,
};
use spanwise_proto::flyteidl2::common::{ActionIdentifier, ActionPhase, ProjectIdentifier, RunIdentifier};
use spanwise_proto::flyteidl2::core::{
    Container, Identifier, Literal, LiteralType, Primitive, Scalar, SimpleType, TaskTemplate, literal, literal_type,
    primitive, scalar,
};
use spanwise_proto::flyteidl2::task::TaskSpec;
use spanwise_proto::flyteidl2::workflow::{ConditionAction, CreateRunRequest, RunServiceClient, create_run_request};

/// Actions of a small run and of a large one.
const FEW: u32 = 1_000;
const MANY: u32 = 50_000;

/// Rounds of small runs; the large one is run once.
const ROUNDS: u32 = 5;

/// Requests under way at a time: what the children of a stock parent are, at least.
const AT_ONCE: usize = 64;

const WATCHES: usize = 2_000;

fn main() -> anyhow::Result<()> {
    if std::env::args().any(|argument| argument == "--list") {
        return Ok(());
    }
    let binary = binary(env!("CARGO_TARGET_TMPDIR"))?;
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    head();
    runtime.block_on(async {
        let server = Server::start(&binary, &directory.path().join("actions"), &[])?;
        actions(&Client::new(&server)?).await?;
        println!("    the server has had {:.0} MB at most", server.memory("VmHWM"));
        watches(&Server::start(&binary, &directory.path().join("watches"), &[])?).await
    })
}

/// Runs of conditions: each is enqueued, signalled, and seen at its end by the watch.
async fn actions(client: &Client) -> anyhow::Result<()> {
    let mut few = Figure::new("(k) an action through the wire, of 1,000");
    let mut many = Figure::new("(k) an action through the wire, of 50,000");
    client.ended(FEW).await?;
    for round in 0..ROUNDS {
        few.add(client.ended(FEW).await? / FEW);
        if round == ROUNDS / 2 {
            many.add(client.ended(MANY).await? / MANY);
        }
    }
    row(&few, None);
    row(&many, Some(("of 1,000", &few, 1.0)));
    println!("    {:.0} actions/s", 1.0 / many.median().as_secs_f64());
    Ok(())
}

/// Watches of one run, each with a connection of its own, as those of 2,000 processes.
async fn watches(server: &Server) -> anyhow::Result<()> {
    let run = Client::new(server)?.root().await?;
    let before = server.memory("VmRSS");
    let mut open = Vec::new();
    for _ in 0..WATCHES {
        let client = Client::new(server)?;
        let mut updates = client.actions.watch_for_updates(of(&run)).await?;
        // The snapshot's end: the watch is up.
        updates.message().await?;
        open.push((client, updates));
    }
    println!("    {WATCHES} watches: {:.0} MB over the {before:.0} MB without", server.memory("VmRSS") - before);
    let (cpu, idle) = (server.cpu()?, Duration::from_secs(10));
    tokio::time::sleep(idle).await;
    println!("    of {idle:?} with them, the server has used {:?} of the processor", server.cpu()? - cpu);
    drop(open);
    Ok(())
}

/// A client as a task has it.
struct Client {
    actions: ActionsServiceClient<HttpClient>,
    runs: RunServiceClient<HttpClient>,
}

impl Client {
    fn new(server: &Server) -> anyhow::Result<Client> {
        let config = ClientConfig::new(format!("http://127.0.0.1:{}", server.port).parse()?);
        let transport = HttpClient::plaintext();
        Ok(Client {
            actions: ActionsServiceClient::new(transport.clone(), config.clone()),
            runs: RunServiceClient::new(transport, config),
        })
    }

    /// Starts a run whose root does nothing for long.
    async fn root(&self) -> anyhow::Result<RunIdentifier> {
        let container = Container { args: vec!["sleep".into(), "3600".into()], ..Container::default() };
        let template = TaskTemplate {
            id: Identifier { name: "bench.root".into(), ..Identifier::default() }.into(),
            r#type: "python".into(),
            target: Some(container.into()),
            ..TaskTemplate::default()
        };
        let project =
            ProjectIdentifier { name: "bench".into(), domain: "development".into(), ..ProjectIdentifier::default() };
        let request = CreateRunRequest {
            id: Some(create_run_request::Id::ProjectId(Box::new(project))),
            task: Some(create_run_request::Task::TaskSpec(Box::new(TaskSpec {
                task_template: template.into(),
                ..TaskSpec::default()
            }))),
            ..CreateRunRequest::default()
        };
        Ok(self.runs.create_run(request).await?.into_owned().run.action.id.run.as_option().cloned().unwrap_or_default())
    }

    /// The time from the first request to the update that says the last of `count` conditions has succeeded.
    async fn ended(&self, count: u32) -> anyhow::Result<Duration> {
        let run = self.root().await?;
        let mut updates = self.actions.watch_for_updates(of(&run)).await?;
        let begin = Instant::now();
        let all = stream::iter((0..count).map(Ok)).try_for_each_concurrent(AT_ONCE, |number| {
            let (enqueue, signal) = (condition(&run, number), signal(&run, number));
            async move {
                self.actions.enqueue(enqueue).await?;
                self.actions.signal(signal).await?;
                anyhow::Ok(())
            }
        });
        let seen = async {
            let mut left = count;
            while left > 0 {
                let Some(message) = updates.message().await? else { anyhow::bail!("the watch has ended") };
                if let Some(watch_for_updates_response::Message::ActionUpdate(update)) =
                    message.to_owned_message().message
                    && update.phase == ActionPhase::ACTION_PHASE_SUCCEEDED
                {
                    left -= 1;
                }
            }
            Ok(())
        };
        let (all, seen) = futures_util::future::join(all, seen).await;
        all.and(seen)?;
        Ok(begin.elapsed())
    }
}

fn action_of(run: &RunIdentifier, name: String) -> ActionIdentifier {
    ActionIdentifier { run: run.clone().into(), name, ..ActionIdentifier::default() }
}

fn of(run: &RunIdentifier) -> WatchForUpdatesRequest {
    let parent = action_of(run, "a0".to_owned());
    WatchForUpdatesRequest {
        filter: Some(watch_for_updates_request::Filter::ParentActionId(Box::new(parent))),
        ..WatchForUpdatesRequest::default()
    }
}

/// Names of actions are digests: they arrive in no order.
fn name(number: u32) -> String {
    format!("{:025}", u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn condition(run: &RunIdentifier, number: u32) -> EnqueueRequest {
    let boolean =
        LiteralType { r#type: Some(literal_type::Type::Simple(SimpleType::BOOLEAN.into())), ..LiteralType::default() };
    let condition =
        ConditionAction { name: "bench.condition".into(), r#type: boolean.into(), ..ConditionAction::default() };
    let action = Action {
        action_id: action_of(run, name(number)).into(),
        parent_action_name: Some("a0".into()),
        spec: Some(action::Spec::Condition(Box::new(condition))),
        ..Action::default()
    };
    EnqueueRequest { action: action.into(), ..EnqueueRequest::default() }
}

fn signal(run: &RunIdentifier, number: u32) -> SignalRequest {
    let primitive = Primitive { value: Some(primitive::Value::Boolean(true)), ..Primitive::default() };
    let scalar = Scalar { value: Some(scalar::Value::Primitive(primitive)), ..Scalar::default() };
    let value = Literal { value: Some(literal::Value::Scalar(scalar)), ..Literal::default() };
    SignalRequest {
        action_id: action_of(run, name(number)).into(),
        parent_action_name: "a0".into(),
        value: value.into(),
        ..SignalRequest::default()
    }
}
