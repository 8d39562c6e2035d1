//! A task with triggers. `trigger_tasks` deploys it, twice, and prints what came of it as one line `RESULT {..}`.
//!
//! `TRIGGER_NAME` is the name of one of the triggers, `TRIGGER_FACTOR` an input of it, and `TASK_MODE` a variable of the task.

use std::io::Write;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use spanwise::{ExitCode, Result, TaskEnvironment, Trigger, ctx, on_demand, task};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| match std::env::var("TASK_MODE") {
    Ok(mode) => TaskEnvironment::new("rust_triggers").env_vars([("MODE", mode)]),
    Err(_) => TaskEnvironment::new("rust_triggers"),
});

/// The first moment of the year 2000.
fn long_ago() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(946_684_800)
}

fn by_hand() -> Trigger {
    let name = std::env::var("TRIGGER_NAME").unwrap_or_else(|_| "by_hand".to_owned());
    let factor = std::env::var("TRIGGER_FACTOR").ok().and_then(|factor| factor.parse().ok()).unwrap_or(5_i64);
    on_demand().name(name).input("factor", factor).input("at", long_ago())
}

/// Says what it is started with.
#[task(
    env = ENV,
    triggers = [
        cron("0 9 * * *")
            .tz("Europe/Berlin")
            .name("daily")
            .description("Every day.")
            .input("factor", 3_i64)
            .time_input("at")
            .custom_context([("who", "trigger")])
            .label("team", "a")
            .env("FIRED", "by trigger")
            .queue("gpu")
            .max_action_concurrency(2),
        every("90m").starting_at(long_ago()).name("rate").paused().input("factor", 4_i64).time_input("at"),
        by_hand(),
    ],
)]
async fn report(at: SystemTime, factor: i64) -> Result<String> {
    let seconds = at.duration_since(UNIX_EPOCH)?.as_secs();
    let fired = std::env::var("FIRED").unwrap_or_default();
    Ok(format!("{seconds} {factor} {fired} {}", ctx().custom_context().get("who").unwrap_or_default()))
}

fn main() -> ExitCode {
    spanwise::main(async {
        spanwise::init().await?;
        let first = spanwise::deploy().await.map(|deployed| deployed.tasks);
        let again = spanwise::deploy().await.is_ok();
        let result = json!({ "tasks": first.map_err(|error| error.to_string()), "again": again });
        writeln!(std::io::stdout(), "RESULT {result}")?;
        Ok(())
    })
}
