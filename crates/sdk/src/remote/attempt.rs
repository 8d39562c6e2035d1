//! What a server tells a process that it starts for one attempt of a task: Flyte's contract, as `a0` of the Python SDK keeps it. The arguments
//! stand in the task's definition, with placeholders that the server fills in.

use spanwise_core::{ActionName, AttemptNo, Failure, RunId, RunName, TaskName};

use crate::error::{Error, ErrorKind, Result};

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
pub(crate) fn is_attempt(first_argument: &str) -> bool {
    first_argument == MARK
}

/// What the server passes to the process.
pub(super) struct Contract {
    pub(super) task: TaskName,
    /// Where the inputs are.
    pub(super) inputs: String,
    /// The directory of the result.
    pub(super) outputs: String,
    /// The address of the blob store.
    pub(super) blobs: String,
    /// The address of the server.
    pub(super) endpoint: String,
    /// Where this program is in the store.
    pub(super) program: String,
    /// The version of its tasks.
    pub(super) version: String,
    pub(super) run: RunId,
    pub(super) action: ActionName,
    pub(super) attempt: AttemptNo,
    /// The directory of the run's data.
    pub(super) run_base: String,
}

impl Contract {
    /// Reads the arguments and the environment of this process.
    ///
    /// # Errors
    /// [`ErrorKind::System`] names what is missing.
    pub(super) fn read() -> Result<Contract> {
        let arguments: Vec<String> = std::env::args().skip(2).collect();
        let argument = |flag: &str| {
            let at = arguments.iter().position(|argument| argument == flag);
            let value = at.and_then(|at| arguments.get(at + 1)).cloned();
            value.ok_or_else(|| broken_contract(&format!("the argument {flag} is missing")))
        };
        let number: u32 = variable("FLYTE_ATTEMPT_NUMBER")?.parse()?;
        Ok(Contract {
            task: TaskName::from(argument("--task")?.as_str()),
            inputs: argument("--inputs")?,
            outputs: argument("--outputs-path")?.trim_end_matches('/').to_owned(),
            blobs: variable("FLYTE_AWS_ENDPOINT")?.trim_end_matches('/').to_owned(),
            endpoint: variable("_U_EP_OVERRIDE")?,
            program: argument("--program")?,
            version: argument("--version")?,
            run: RunId {
                org: std::env::var("_U_ORG_NAME").unwrap_or_default(),
                project: variable("FLYTE_INTERNAL_EXECUTION_PROJECT")?,
                domain: variable("FLYTE_INTERNAL_EXECUTION_DOMAIN")?,
                name: RunName::new(&argument("--run-name")?)?,
            },
            action: ActionName::new(&argument("--name")?)?,
            attempt: AttemptNo(number.saturating_add(1)),
            run_base: variable("_U_RUN_BASE")?.trim_end_matches('/').to_owned(),
        })
    }
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).map_err(|_| broken_contract(&format!("the variable {name} is not set")))
}

/// The server has broken the contract.
pub(super) fn broken_contract(what: &str) -> Error {
    Error::from_failure(ErrorKind::System, Failure::system("BadContract", format!("run one attempt: {what}")))
}
