//! Processes of this machine, and their logs.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

use std::path::Path;

use spanwise_process::{Launch, Limits};

mod logs;
mod run;
mod waiting;

/// A shell script in `directory`, with its output in `directory/log`.
fn script(directory: &Path, script: &str) -> Launch {
    Launch {
        argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
        env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        directory: directory.to_owned(),
        log: directory.join("log"),
        limits: Limits::default(),
        claim: None,
        mounted: None,
        container: None,
    }
}
