//! Tasks that ask for something: the cache, resources, secrets, variables, a queue. `task_settings CASE` runs a case, in this process or, with
//! `SPANWISE_ENDPOINT`, on a server, and prints what it found as one line `RESULT {..}`.
//!
//! `REMOTE_SCRATCH` names a folder for marks that outlive a process.

use std::io::Write;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Value as Json, json};
use spanwise::{
    Cache, Call, Error, ExitCode, Overrides, Resources, Result, Secret, TaskEnvironment, TaskOutput, remote_task, task,
};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| {
    TaskEnvironment::new("settings").env_vars([("SPANWISE_TEST_MODE", "env")]).cache(Cache::version("env"))
});

/// What this process has, and how often the body has run with this name.
fn look(scratch: &str, name: &str) -> Result<Vec<String>> {
    let path = Path::new(scratch).join(name);
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
    writeln!(file, "x")?;
    let variables = ["SPANWISE_TEST_GIVEN", "SPANWISE_TEST_OTHER", "SPANWISE_TEST_MODE"];
    let mut found: Vec<String> = variables.map(|name| std::env::var(name).unwrap_or_default()).into();
    found.push(std::fs::read_to_string(path)?.lines().count().to_string());
    Ok(found)
}

#[task(
    env = ENV,
    cache(version = "v1", serialize = true, ignored_inputs = ["at"], max_age = "1h"),
    resources(cpu = "500m", memory = "1Gi", gpu = 1),
    secrets = ["spanwise-test-given", secret("spanwise-test-given", as = "SPANWISE_TEST_OTHER")],
    env_vars = [("SPANWISE_TEST_MODE", "fast")],
    queue = "of-the-task",
)]
async fn everything(scratch: String, name: String, at: i64) -> Result<Vec<String>> {
    let _ = at;
    look(&scratch, &name)
}

#[task(env = ENV)]
async fn of_the_environment(scratch: String, name: String, at: i64) -> Result<Vec<String>> {
    let _ = at;
    look(&scratch, &name)
}

/// Not run: what is deployed of it is compared with the same task in Python.
#[task(
    env = ENV,
    cache(version = "v1", serialize = true, ignored_inputs = ["at"], max_age = "1h"),
    resources(cpu = 2, memory = "1Gi", gpu = 1),
    secrets = ["api-key", secret("db-password", group = "team"), secret("ca", file), secret("other", as = "OTHER")],
    env_vars = [("A", "b"), ("C", "")],
    queue = "gpu",
)]
async fn compared(at: i64) -> Result<i64> {
    Ok(at)
}

fn overrides(which: &str) -> Overrides {
    match which {
        "off" => Overrides::new().cache(Cache::off()),
        "v2" => Overrides::new().cache(Cache::version("v2")).queue("of-the-call").resources(Resources::new().cpu(1)),
        "variables" => Overrides::new().env_vars([("SPANWISE_TEST_MODE", "slow")]).cache(Cache::off()),
        "secrets" => Overrides::new().secrets([Secret::new("not-there")]).cache(Cache::off()),
        _ => Overrides::new(),
    }
}

/// The call of a task of this program, or of the one that was deployed.
fn call(deployed: bool, function: &str, scratch: &str, (name, at): (&str, i64)) -> Call<Vec<String>> {
    let (scratch, name) = (scratch.to_owned(), name.to_owned());
    if deployed {
        let task = remote_task(format!("settings.{function}"));
        return task.input("scratch", scratch).input("name", name).input("at", at).call();
    }
    if function == "everything" { everything(scratch, name, at) } else { of_the_environment(scratch, name, at) }
}

#[task(env = ENV, cache = "disable", env_vars = [])]
async fn calls(
    deployed: bool,
    function: String,
    scratch: String,
    name: String,
    at: i64,
    which: String,
) -> Result<Vec<String>> {
    call(deployed, &function, &scratch, (&name, at)).override_with(overrides(&which)).await
}

async fn outcome<T: TaskOutput + std::fmt::Debug>(call: Call<T>) -> Result<String> {
    let run = spanwise::with_runcontext().run(call).await?;
    Ok(match run.output().await {
        Ok(output) => format!("{output:?}"),
        Err(error) => format!("{} {}", error.code(), error.message()),
    })
}

/// What each call finds, as the root of a run or below one.
async fn found(scratch: &str, deployed: bool, nested: bool) -> Result<Json> {
    let mut found = Vec::new();
    for (function, at, which) in [
        ("everything", 1, ""),
        ("everything", 2, ""),
        ("everything", 1, "v2"),
        ("everything", 1, "v2"),
        ("everything", 1, "off"),
        ("of_the_environment", 1, ""),
        ("of_the_environment", 1, ""),
        ("of_the_environment", 2, ""),
        ("of_the_environment", 2, "variables"),
        ("of_the_environment", 2, "secrets"),
    ] {
        let name = format!("{function}-{deployed}-{nested}");
        found.push(match nested {
            false => outcome(call(deployed, function, scratch, (&name, at)).override_with(overrides(which))).await?,
            true => {
                let (function, scratch) = (function.to_owned(), scratch.to_owned());
                outcome(calls(deployed, function, scratch, name, at, which.to_owned())).await?
            }
        });
    }
    Ok(json!(found))
}

/// The names of a run with a queue of its own, of its rerun, of a rerun of that, and of one in another queue.
async fn reruns(scratch: &str) -> Result<Json> {
    let call = call(false, "everything", scratch, ("reruns", 1));
    let first = spanwise::with_runcontext().queue("of-the-run").run(call).await?;
    first.output().await?;
    let again = spanwise::with_runcontext().rerun::<Vec<String>>(first.name().as_str()).await?;
    let third = spanwise::with_runcontext().rerun::<Vec<String>>(again.name().as_str()).await?;
    let other = spanwise::with_runcontext().queue("chosen").rerun::<Vec<String>>(first.name().as_str()).await?;
    for run in [&again, &third, &other] {
        run.output().await?;
    }
    Ok(json!([first.name().as_str(), again.name().as_str(), third.name().as_str(), other.name().as_str()]))
}

async fn run_case(case: &str, scratch: &str) -> Result<Json> {
    Ok(match case {
        "own" => json!([found(scratch, false, false).await?, found(scratch, false, true).await?]),
        "deployed" => {
            spanwise::deploy().await?;
            json!([found(scratch, true, false).await?, found(scratch, true, true).await?])
        }
        "deploy" => json!(spanwise::deploy().await?.tasks),
        "reruns" => reruns(scratch).await?,
        other => return Err(Error::terminal(format!("there is no case `{other}`"))),
    })
}

fn main() -> ExitCode {
    spanwise::main(async {
        spanwise::init().await?;
        let case = std::env::args().nth(1).unwrap_or_default();
        let result = run_case(&case, &std::env::var("REMOTE_SCRATCH")?).await?;
        writeln!(std::io::stdout(), "RESULT {result}")?;
        Ok(())
    })
}
