//! Waiting for what processes do, for the tests of this crate and of the server.

use std::path::Path;
use std::time::{Duration, Instant};

/// What any of these tests may take; none waits for it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until `condition` gives something.
pub(crate) async fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits for what comes soon, or stops the test.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}"),
    }
}

/// What a file holds; nothing if it is not there.
pub(crate) fn text(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Whether a process with this number runs; a zombie does not.
pub(crate) fn runs(pid: &str) -> bool {
    let stat = text(format!("/proc/{pid}/stat"));
    stat.rsplit(')').next().is_some_and(|fields| !fields.is_empty() && !fields.trim_start().starts_with(['Z', 'X']))
}
