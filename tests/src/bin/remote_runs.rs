//! A driver that does something with runs on a server: `remote_runs CASE` prints what it found as one line `RESULT {..}`.
//!
//! `REMOTE_SCRATCH` names a folder for marks that outlive a process.

use std::io::Write;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Value as Json, json};
use spanwise::{
    ActionView, Client, Config, Error, ExitCode, Phase, Result, Run, TaskEnvironment, notify, report, task,
};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("runs"));

/// How often it has run.
#[task(env = ENV)]
async fn count(scratch: String) -> Result<i64> {
    let path = Path::new(&scratch).join("count");
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
    writeln!(file, "x")?;
    Ok(std::fs::read_to_string(path)?.lines().count().try_into()?)
}

#[task(env = ENV)]
async fn parent(scratch: String) -> Result<i64> {
    count(scratch).await
}

/// Fails once it has told how far it has come.
#[task(env = ENV)]
async fn tells(fails: bool) -> Result<String> {
    report::log("<p>begun \u{1f680}</p>");
    report::flush().await?;
    report::tab("numbers").log("<p>42</p>");
    if fails { Err(Error::terminal("no more")) } else { Ok("told".to_owned()) }
}

async fn child_of<T>(run: &Run<T>) -> Result<ActionView>
where
    T: spanwise::TaskOutput,
{
    let child = run.actions().await?.into_iter().find(|action| action.parent.is_some());
    child.ok_or_else(|| Error::terminal("the run has no child"))
}

/// What a run delivers, one that recovers it, and one that recovers it but for its child; and what the child's phase is in each.
async fn recovers(scratch: &str) -> Result<Json> {
    let first = spanwise::with_runcontext().run(parent(scratch.to_owned())).await?;
    first.output().await?;
    let (source, child) = (first.name().to_string(), child_of(&first).await?.name.to_string());
    let second = spanwise::with_runcontext().recover(&source).await?;
    second.output().await?;
    let forced = spanwise::with_runcontext().rerun_actions([child]).recover(&source).await?;
    let mut found = Vec::new();
    for run in [&first, &second, &forced] {
        found.push(json!([run.output().await?, child_of(run).await?.phase.to_string()]));
    }
    Ok(json!(found))
}

/// The names of runs, and the reports that they have left.
async fn reports() -> Result<Json> {
    let mut found = Vec::new();
    for fails in [false, true] {
        let run = spanwise::with_runcontext().run(tells(fails)).await?;
        if run.output().await.is_err() != fails {
            return Err(Error::terminal("it ends otherwise"));
        }
        found.push(json!([run.name().as_str(), run.report().await?]));
    }
    let silent = spanwise::with_runcontext().run(count(std::env::temp_dir().display().to_string())).await?;
    silent.output().await?;
    found.push(json!([silent.name().as_str(), silent.report().await?]));
    Ok(json!(found))
}

/// The name of a run that fails, of whose end somebody is told in each way.
async fn notifies(receiver: &str) -> Result<Json> {
    let url = |path: &str| format!("{receiver}/{path}");
    let ends = [Phase::Failed, Phase::TimedOut];
    let hook =
        notify::webhook(url("hook")).method("PUT").header("X-Run", "{{.Run.Name}}").body(r#"{"why":"{{.Error}}"}"#);
    let mail =
        notify::email(["oncall@example.com"], "{{.Run.Name}} is {{.Phase}}", "{{.Error}}").bcc(["d@example.com"]);
    let run = spanwise::with_runcontext()
        .notify(hook.on(ends))
        .notify(notify::slack(url("slack"), "{{.Run.Name}} \u{1f680}").on(ends))
        .notify(notify::teams(url("teams"), "{{.Phase}}", "{{.Error}}").on(ends))
        .notify(mail.on(ends))
        .notify(notify::slack(url("never"), "well").on([Phase::Succeeded]))
        .run(tells(true))
        .await?;
    let refused = spanwise::with_runcontext().notify(notify::webhook("nowhere").on(ends)).run(tells(true)).await;
    let embedded = Client::open(Config::new().in_memory())?;
    let here = embedded.with_runcontext().notify(notify::slack(url("x"), "x").on(ends)).run(tells(true)).await;
    let why = |refused: Result<Run<String>>| refused.err().map(|error| error.message().to_owned());
    Ok(
        json!({ "run": run.name().as_str(), "failed": run.output().await.is_err(), "refused": why(refused), "here": why(here) }),
    )
}

fn main() -> ExitCode {
    spanwise::main(async {
        spanwise::init().await?;
        let case = std::env::args().nth(1).unwrap_or_default();
        let result = match case.as_str() {
            "recovers" => recovers(&std::env::var("REMOTE_SCRATCH")?).await?,
            "reports" => reports().await?,
            "notifies" => notifies(&std::env::var("RECEIVER")?).await?,
            other => return Err(Error::terminal(format!("there is no case `{other}`"))),
        };
        writeln!(std::io::stdout(), "RESULT {result}")?;
        Ok(())
    })
}
