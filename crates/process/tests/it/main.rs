//! Processes of this machine, and their logs.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

use std::path::Path;
use std::time::{Duration, Instant};

use spanwise_process::{Launch, Limits};

mod logs;
mod run;

/// What any of these tests may take; none waits for it.
const DEADLINE: Duration = Duration::from_secs(60);

/// A shell script in `directory`, with its output in `directory/log`.
fn script(directory: &Path, script: &str) -> Launch {
    Launch {
        argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
        env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        directory: directory.to_owned(),
        log: directory.join("log"),
        limits: Limits::default(),
        claim: None,
    }
}

/// Waits until `condition` gives something.
async fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}"),
    }
}

fn text(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Whether a process with this number runs; a zombie does not.
fn runs(pid: &str) -> bool {
    let stat = text(format!("/proc/{pid}/stat"));
    stat.rsplit(')').next().is_some_and(|fields| !fields.is_empty() && !fields.trim_start().starts_with(['Z', 'X']))
}
