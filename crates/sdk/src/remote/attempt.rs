//! This program as a process that a server has started for one attempt of a task: Flyte's contract, as `a0` of the Python SDK
//! keeps it. The truth about the attempt is the file that is left: `outputs.pb` or `error.pb`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use spanwise_core::{ActionName, AttemptNo, Failure, RunName, Scope, TaskName};
use spanwise_engine::Report;
use spanwise_wire::failure;

use super::connection::{Connection, LONG, error, persist};
use super::parent::{Parent, Parts};
use super::program::Program;
use super::server::Server;
use super::turns;
use crate::control::Control;
use crate::error::{Error, ErrorKind, Result};
use crate::executor::{Delivered, run_attempt};
use crate::{client, entry, task};

/// The first argument of a process that is to run one attempt.
const MARK: &str = "spanwise-attempt";

/// The arguments of a task's process, with Flyte's placeholders in them. The program comes first, as a blob.
pub(super) fn arguments(program: &str, version: &str, task: &str) -> Vec<String> {
    let fixed = [program, MARK, "--task", task, "--program", program, "--version", version];
    let filled_in = [
        "--inputs",
        "{{.input}}",
        "--outputs-path",
        "{{.outputPrefix}}",
        "--run-name",
        "{{.runName}}",
        "--name",
        "{{.actionName}}",
    ];
    fixed.into_iter().chain(filled_in).map(str::to_owned).collect()
}

/// True in a process that was started for one attempt.
pub(crate) fn is_attempt() -> bool {
    std::env::args_os().nth(1).is_some_and(|argument| argument == MARK)
}

/// Runs the attempt and ends the process; does not return. What stands before it in the program has run by then: a tracer
/// provider is set up here as in the driver.
pub(crate) async fn take_over() {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::AcqRel) {
        return std::future::pending().await;
    }
    let code = match run().await {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("error: {error:?}");
            1
        }
    };
    entry::end(code).await
}

/// Runs the attempt and leaves its result in the blob store. An error only if that is not possible.
async fn run() -> Result<()> {
    let Contract { task, inputs, outputs, blobs, endpoint, parts } = Contract::read()?;
    let connection = Connection::new(&endpoint, Some(blobs))?.of_attempt(&parts.run, &parts.action);
    let read = persist(LONG, || connection.get(&inputs)).await;
    let read = read.map_err(|source| error("read the inputs", &source))?;
    let frozen = read.ok_or_else(|| broken_contract(&format!("the inputs `{inputs}` are not there")))?;
    let place = parts.place.clone();
    client::set_default(client::Client::of_server(Server::with_program(
        connection.clone(),
        place,
        parts.program.clone(),
    )));
    let parent = Arc::new(Parent::new(Parts { connection: connection.clone(), ..parts }));
    let report = match task::find(&task) {
        Ok(task) => {
            let body =
                run_attempt(task, Delivered { inputs: frozen, span: None }, Control::Remote(Arc::clone(&parent)), 0);
            turns::run(&parent, body).await
        }
        Err(error) => Report::Failed(error.to_failure()),
    };
    let (file, content) = match report {
        Report::Succeeded(outputs) => ("outputs.pb", outputs),
        Report::Failed(failed) => left(&failed),
        Report::Lost { reason, .. } => left(&Failure::system("AttemptLost", reason)),
    };
    let file = format!("{outputs}/{file}");
    let put = persist(LONG, || connection.put(&file, content.clone())).await;
    put.map_err(|source| error("write the result", &source))
}

/// A failure as a file, and in the log of the attempt.
fn left(failed: &Failure) -> (&'static str, Bytes) {
    eprintln!("error: {:?}", Error::from_failure(ErrorKind::User, failed.clone()));
    ("error.pb", failure::document(failed).into())
}

/// What the process is told.
struct Contract {
    task: TaskName,
    inputs: String,
    outputs: String,
    blobs: String,
    endpoint: String,
    parts: Parts,
}

impl Contract {
    fn read() -> Result<Contract> {
        let arguments: Vec<String> = std::env::args().skip(2).collect();
        let argument = |flag: &str| {
            let at = arguments.iter().position(|argument| argument == flag);
            let value = at.and_then(|at| arguments.get(at + 1)).cloned();
            value.ok_or_else(|| broken_contract(&format!("the argument {flag} is missing")))
        };
        let scope = Scope {
            org: std::env::var("_U_ORG_NAME").unwrap_or_default(),
            project: variable("FLYTE_INTERNAL_EXECUTION_PROJECT")?,
            domain: variable("FLYTE_INTERNAL_EXECUTION_DOMAIN")?,
        };
        let endpoint = variable("_U_EP_OVERRIDE")?;
        let number: u32 = variable("FLYTE_ATTEMPT_NUMBER")?.parse()?;
        Ok(Contract {
            task: TaskName::from(argument("--task")?.as_str()),
            inputs: argument("--inputs")?,
            outputs: argument("--outputs-path")?.trim_end_matches('/').to_owned(),
            blobs: variable("FLYTE_AWS_ENDPOINT")?.trim_end_matches('/').to_owned(),
            parts: Parts {
                connection: Connection::new(&endpoint, None)?,
                place: scope.clone(),
                program: Program { uri: argument("--program")?, version: argument("--version")? },
                run: scope.run(RunName::new(&argument("--run-name")?)?),
                action: ActionName::new(&argument("--name")?)?,
                attempt: AttemptNo(number.saturating_add(1)),
                run_base: variable("_U_RUN_BASE")?.trim_end_matches('/').to_owned(),
            },
            endpoint,
        })
    }
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).map_err(|_| broken_contract(&format!("the variable {name} is not set")))
}

fn broken_contract(what: &str) -> Error {
    Error::from_failure(ErrorKind::System, Failure::system("BadContract", format!("run one attempt: {what}")))
}
