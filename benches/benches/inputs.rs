//! What CreateRun and Enqueue take, with small and with large inputs: the time of an answer and the processor's time in the server.
//! One slot is taken for good, so that nothing which is accepted is started: no process disturbs the figures.
//!
//! `cargo build --profile dist`, then `cargo bench -p spanwise-benches --bench inputs`. Paths of server binaries after `--` are measured in
//! turns instead, each beside the first: `-- before/spanwise after/spanwise`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use connectrpc::client::{ClientConfig, HttpClient};
use spanwise_benches::rounds::{Figure, head, row};
use spanwise_benches::server::{Server, binary};
use spanwise_proto::flyteidl2::actions::{Action, ActionsServiceClient, EnqueueRequest, action};
use spanwise_proto::flyteidl2::common::{ActionIdentifier, ActionPhase, ProjectIdentifier, RunIdentifier};
use spanwise_proto::flyteidl2::core::{Container, Identifier, KeyValuePair, Literal, TaskTemplate};
use spanwise_proto::flyteidl2::dataproxy::{DataProxyServiceClient, UploadInputsRequest, upload_inputs_request};
use spanwise_proto::flyteidl2::task::{Envs, Inputs, Labels, NamedLiteral, RunSpec, TaskSpec};
use spanwise_proto::flyteidl2::workflow::{
    CreateRunRequest, GetRunDetailsRequest, RunServiceClient, TaskAction, create_run_request,
};

/// Rounds, in each of which every server has its turn.
const ROUNDS: u32 = 7;

/// Requests of a turn.
const REQUESTS: u32 = 100;

/// The sizes of the inputs: how many literals of how many bytes.
const SMALL: (usize, usize) = (4, 100);
const LARGE: (usize, usize) = (1_000, 1_000);

fn main() -> anyhow::Result<()> {
    if std::env::args().any(|argument| argument == "--list") {
        return Ok(());
    }
    let given = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let mut binaries: Vec<PathBuf> = given.map(|path| Path::new(&path).to_owned()).collect();
    if binaries.is_empty() {
        binaries.push(binary(env!("CARGO_TARGET_TMPDIR"))?);
    }
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut sides = Vec::new();
        for (number, binary) in binaries.iter().enumerate() {
            println!("{}: {}", number + 1, binary.display());
            sides.push(Side::start(binary, &directory.path().join(number.to_string())).await?);
        }
        for round in 0..ROUNDS {
            let count = sides.len();
            // Nobody is always the first one.
            for turn in 0..count {
                sides[(round as usize + turn) % count].turn().await?;
            }
        }
        print(&sides);
        Ok(())
    })
}

/// What is measured of a request.
struct Measured {
    answer: Figure,
    cpu: Figure,
}

impl Measured {
    fn new(answer: &'static str, cpu: &'static str) -> Measured {
        Measured { answer: Figure::new(answer), cpu: Figure::new(cpu) }
    }

    /// Sends requests one after the other.
    async fn measure(
        &mut self,
        server: &Server,
        mut request: impl AsyncFnMut(u32) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let before = server.cpu()?;
        for number in 0..REQUESTS {
            let begin = Instant::now();
            request(number).await?;
            self.answer.add(begin.elapsed());
        }
        self.cpu.add((server.cpu()? - before) / REQUESTS);
        Ok(())
    }
}

/// A server, and what has been measured of it.
struct Side {
    server: Server,
    client: Client,
    /// The run whose actions are enqueued.
    parent: RunIdentifier,
    /// Inputs in the server's store: small, then large ones.
    uploaded: [String; 2],
    enqueued: u64,
    measured: [Measured; 5],
}

impl Side {
    async fn start(binary: &Path, data: &Path) -> anyhow::Result<Side> {
        let server = Server::start(binary, data, &["--max-tasks", "1"])?;
        let client = Client::new(&server)?;
        let parent = client.create(Some(of(SMALL))).await?;
        client.wait_until_running(&parent).await?;
        let uploaded = [client.upload(of(SMALL)).await?, client.upload(of(LARGE)).await?];
        let measured = [
            Measured::new("(m) CreateRun, 400 B", "    the server's processor"),
            Measured::new("(m) CreateRun, 1 MB", "    the server's processor"),
            Measured::new("(m) UploadInputs and CreateRun, 1 MB", "    the server's processor"),
            Measured::new("(m) Enqueue, 400 B", "    the server's processor"),
            Measured::new("(m) Enqueue, 1 MB", "    the server's processor"),
        ];
        Ok(Side { server, client, parent, uploaded, enqueued: 0, measured })
    }

    async fn turn(&mut self) -> anyhow::Result<()> {
        let Side { server, client, parent, uploaded, enqueued, measured } = self;
        let [small, large, offloaded, few, many] = measured;
        small.measure(server, async |_| client.create(Some(of(SMALL))).await.map(drop)).await?;
        large.measure(server, async |_| client.create(Some(of(LARGE))).await.map(drop)).await?;
        let two = async |_| {
            let uri = client.upload(of(LARGE)).await?;
            client.create_with(create_run_request::InputWrapper::OffloadedInputData(Box::new(at(uri)))).await.map(drop)
        };
        offloaded.measure(server, two).await?;
        for (measured, uri) in [(few, &uploaded[0]), (many, &uploaded[1])] {
            let first = *enqueued;
            *enqueued += u64::from(REQUESTS);
            measured
                .measure(server, async |number| client.enqueue(parent, first + u64::from(number), uri).await)
                .await?;
        }
        Ok(())
    }
}

fn print(sides: &[Side]) {
    head();
    for kind in 0..sides[0].measured.len() {
        for (number, side) in sides.iter().enumerate() {
            let (own, first) = (&side.measured[kind], &sides[0].measured[kind]);
            let beside = |figure| (number > 0).then_some(("the first binary", figure, 1.0));
            row(&own.answer, beside(&first.answer));
            row(&own.cpu, beside(&first.cpu));
        }
    }
}

fn at(uri: String) -> spanwise_proto::flyteidl2::common::OffloadedInputData {
    spanwise_proto::flyteidl2::common::OffloadedInputData { uri, ..Default::default() }
}

/// A client, as a driver and as a task have it.
struct Client {
    runs: RunServiceClient<HttpClient>,
    actions: ActionsServiceClient<HttpClient>,
    data: DataProxyServiceClient<HttpClient>,
}

impl Client {
    fn new(server: &Server) -> anyhow::Result<Client> {
        let config = ClientConfig::new(format!("http://127.0.0.1:{}", server.port).parse()?);
        let transport = HttpClient::plaintext();
        Ok(Client {
            runs: RunServiceClient::new(transport.clone(), config.clone()),
            actions: ActionsServiceClient::new(transport.clone(), config.clone()),
            data: DataProxyServiceClient::new(transport, config),
        })
    }

    async fn create(&self, inputs: Option<Inputs>) -> anyhow::Result<RunIdentifier> {
        self.create_with(create_run_request::InputWrapper::Inputs(Box::new(inputs.unwrap_or_default()))).await
    }

    async fn create_with(&self, inputs: create_run_request::InputWrapper) -> anyhow::Result<RunIdentifier> {
        let request = CreateRunRequest {
            id: Some(create_run_request::Id::ProjectId(Box::new(project()))),
            task: Some(create_run_request::Task::TaskSpec(Box::new(task()))),
            input_wrapper: Some(inputs),
            run_spec: run_spec().into(),
            ..CreateRunRequest::default()
        };
        Ok(self.runs.create_run(request).await?.into_owned().run.action.id.run.as_option().cloned().unwrap_or_default())
    }

    async fn wait_until_running(&self, run: &RunIdentifier) -> anyhow::Result<()> {
        let begin = Instant::now();
        loop {
            let request = GetRunDetailsRequest { run_id: run.clone().into(), ..GetRunDetailsRequest::default() };
            let details = self.runs.get_run_details(request).await?.into_owned();
            if details.details.action.status.phase != ActionPhase::ACTION_PHASE_QUEUED {
                return Ok(());
            }
            anyhow::ensure!(begin.elapsed() < Duration::from_secs(30), "the run that takes the slot does not begin");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn upload(&self, inputs: Inputs) -> anyhow::Result<String> {
        let request = UploadInputsRequest {
            id: Some(upload_inputs_request::Id::ProjectId(Box::new(project()))),
            inputs: inputs.into(),
            ..UploadInputsRequest::default()
        };
        Ok(self.data.upload_inputs(request).await?.into_owned().offloaded_input_data.uri.clone())
    }

    async fn enqueue(&self, run: &RunIdentifier, number: u64, uri: &str) -> anyhow::Result<()> {
        let name = format!("{:025}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let id = ActionIdentifier { run: run.clone().into(), name, ..ActionIdentifier::default() };
        let asked = TaskAction { spec: task().into(), ..TaskAction::default() };
        let action = Action {
            action_id: id.into(),
            parent_action_name: Some("a0".into()),
            input_uri: uri.to_owned(),
            spec: Some(action::Spec::Task(Box::new(asked))),
            ..Action::default()
        };
        self.actions.enqueue(EnqueueRequest { action: action.into(), ..EnqueueRequest::default() }).await?;
        Ok(())
    }
}

fn project() -> ProjectIdentifier {
    ProjectIdentifier { name: "bench".into(), domain: "development".into(), ..ProjectIdentifier::default() }
}

/// A task that takes its slot for long.
fn task() -> TaskSpec {
    let container = Container { args: vec!["sleep".into(), "3600".into()], ..Container::default() };
    let template = TaskTemplate {
        id: Identifier { name: "bench.root".into(), ..Identifier::default() }.into(),
        r#type: "python".into(),
        target: Some(container.into()),
        ..TaskTemplate::default()
    };
    TaskSpec { task_template: template.into(), ..TaskSpec::default() }
}

/// What a driver sends along: some labels and variables.
fn run_spec() -> RunSpec {
    let pair = |number: usize| KeyValuePair {
        key: format!("VARIABLE_{number}"),
        value: "x".repeat(40),
        ..KeyValuePair::default()
    };
    let labels = (0..5).map(|number| (format!("label-{number}"), "value".to_owned())).collect();
    RunSpec {
        labels: Labels { values: labels, ..Labels::default() }.into(),
        envs: Envs { values: (0..50).map(pair).collect(), ..Envs::default() }.into(),
        ..RunSpec::default()
    }
}

/// Inputs of so many literals of so many bytes, with a context.
fn of((count, bytes): (usize, usize)) -> Inputs {
    let literal = |number| NamedLiteral::new(format!("input_{number}"), Literal::string("x".repeat(bytes)));
    let pair = |number| KeyValuePair { key: format!("key-{number}"), value: "value".into(), ..KeyValuePair::default() };
    Inputs { literals: (0..count).map(literal).collect(), context: (0..5).map(pair).collect(), ..Inputs::default() }
}
